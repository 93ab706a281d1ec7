//! Changes, and how they are answered: once they last.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::access::Entered;
use super::problem::Problem;
use super::site::Site;
use crate::auth::Put;

/// What a request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// There is something new: 201.
    Created,
    /// Something is as it should be, or is no more: 204.
    Done,
}

impl Changed {
    /// By whether there was something that was put there.
    pub(super) fn put(was_there: bool) -> Self {
        if was_there { Self::Done } else { Self::Created }
    }

    /// # Errors
    /// 404, where there was nothing to be deleted.
    pub(super) fn deleted(was_there: bool) -> Result<Self, Problem> {
        if was_there { Ok(Self::Done) } else { Err(Problem::not_found()) }
    }
}

impl From<Put> for Changed {
    fn from(put: Put) -> Self {
        Self::put(put == Put::Replaced)
    }
}

impl From<()> for Changed {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl IntoResponse for Changed {
    fn into_response(self) -> Response {
        match self {
            Self::Created => StatusCode::CREATED,
            Self::Done => StatusCode::NO_CONTENT,
        }
        .into_response()
    }
}

impl Site {
    /// Makes a change and returns once it will last. It runs on a thread where it may take as long as it takes,
    /// and to its end, also where nobody waits for the answer any more.
    pub(super) async fn make<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Arc<Self>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let site = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || change(&site)).await;
        let made = made.map_err(|_| Problem::internal())??;
        self.durable().await;
        Ok(made)
    }

    /// The same, with the answer.
    pub(super) async fn change<C: Into<Changed> + Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Arc<Self>) -> Result<C, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let changed: Changed = self.make(change).await?.into();
        Ok(changed.into_response())
    }
}

impl<T: Send + Sync + 'static> Entered<T> {
    /// Makes a change in the vhost, and answers once it lasts.
    pub(super) async fn change<C: Into<Changed> + Send + 'static>(
        self,
        change: impl FnOnce(&Self) -> Result<C, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let site = Arc::clone(&self.site);
        site.change(move |_| change(&self)).await
    }
}
