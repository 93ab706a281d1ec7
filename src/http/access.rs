//! What handlers begin with, as arguments of theirs: a caller with the tag that is needed, and what a path
//! names in a vhost that is open to him.
//!
//! Who asks is looked at first, then whether the vhost is there, then whether he may see or enter it, and
//! then what is in it: nobody learns what there is in a vhost that is closed to him.

use std::sync::Arc;

use amqp_codec::ShortString;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;

use super::caller::Caller;
use super::path::{exchange_name, name};
use super::problem::Problem;
use super::site::Site;
use crate::broker::queue_cell::QueueCell;
use crate::broker::vhost::{ExchangeReport, VHost};
use crate::session::Visitor;

/// A caller who may do everything.
#[derive(Debug)]
pub(super) struct Administrator(pub(super) Caller);

/// A caller who sees everything.
#[derive(Debug)]
pub(super) struct Monitor;

/// A caller who makes policies.
#[derive(Debug)]
pub(super) struct PolicyMaker(pub(super) Caller);

impl FromRequestParts<Arc<Site>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<_>>::from_request_parts(parts, site).await?;
        caller.must_administer()?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Arc<Site>> for Monitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<_>>::from_request_parts(parts, site).await?;
        caller.must_monitor()?;
        Ok(Self)
    }
}

impl FromRequestParts<Arc<Site>> for PolicyMaker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<_>>::from_request_parts(parts, site).await?;
        caller.must_make_policies()?;
        Ok(Self(caller))
    }
}

/// What stands where a path has parameters, by their names.
#[derive(Debug)]
pub(super) struct Named(RawPathParams);

impl Named {
    /// # Errors
    /// 404, where the path has none of this name.
    pub(super) fn get(&self, wanted: &str) -> Result<&str, Problem> {
        let found = self.0.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value).ok_or_else(Problem::not_found)
    }
}

/// Something in a vhost that paths name.
pub(super) trait InVHost: Sized {
    /// # Errors
    /// 404, where it is not there.
    fn find(vhost: &Arc<VHost>, path: &Named) -> Result<Self, Problem>;
}

/// The vhost itself.
impl InVHost for () {
    fn find(_: &Arc<VHost>, _: &Named) -> Result<Self, Problem> {
        Ok(())
    }
}

impl InVHost for Arc<QueueCell> {
    fn find(vhost: &Arc<VHost>, path: &Named) -> Result<Self, Problem> {
        vhost.queue(&name(path.get("queue")?)?).map_err(|_| Problem::not_found())
    }
}

impl InVHost for ExchangeReport {
    fn find(vhost: &Arc<VHost>, path: &Named) -> Result<Self, Problem> {
        let name = exchange_name(path.get("exchange")?)?;
        vhost.exchange_report(&name).ok_or_else(Problem::not_found)
    }
}

/// A request to look at something in a vhost, of a caller who sees what is there.
#[derive(Debug)]
pub(super) struct Seen<T = ()> {
    pub(super) vhost: Arc<VHost>,
    pub(super) caller: Caller,
    pub(super) what: T,
}

/// A request to do something with what is in a vhost, of a caller who has any permission there or is an
/// administrator, who is told of everything.
#[derive(Debug)]
pub(super) struct Entered<T = ()> {
    pub(super) site: Arc<Site>,
    pub(super) caller: Caller,
    pub(super) vhost: Arc<VHost>,
    pub(super) what: T,
}

/// A request for what has a tag of its own. Who does not have it is told so before anything is looked for.
#[derive(Debug)]
pub(super) struct Unchecked {
    site: Arc<Site>,
    caller: Caller,
    /// The vhost, or that it is not there.
    vhost: Result<Arc<VHost>, Problem>,
}

impl Unchecked {
    /// For those who make policies in the vhost.
    ///
    /// # Errors
    /// 401 for others, 404 without the vhost.
    pub(super) fn by_policymaker(self) -> Result<Entered, Problem> {
        self.caller.must_make_policies()?;
        let vhost = self.vhost?;
        self.caller.must_make_policies_in(vhost.name())?;
        Ok(Entered { site: self.site, caller: self.caller, vhost, what: () })
    }

    /// For administrators.
    ///
    /// # Errors
    /// 401 for others, 404 without the vhost.
    pub(super) fn by_administrator(self) -> Result<Entered, Problem> {
        self.caller.must_administer()?;
        Ok(Entered { site: self.site, caller: self.caller, vhost: self.vhost?, what: () })
    }
}

impl<T> Entered<T> {
    /// The caller in the vhost, with his rights.
    ///
    /// # Errors
    /// 401, for an administrator who has none.
    pub(super) fn visitor(&self) -> Result<Visitor<'_>, Problem> {
        let (host, vhost) = (self.site.host(), &self.vhost);
        match self.caller.is_local() {
            true => Ok(host.unrestricted_visitor(self.caller.name(), vhost)),
            false if self.caller.may_enter(vhost.name()) => {
                Ok(host.visitor(self.caller.name(), vhost))
            }
            false => Err(Problem::access_refused()),
        }
    }
}

/// Who asks, and what the path names.
struct Asked {
    caller: Caller,
    path: Named,
    /// The vhost, or that it is not there.
    vhost: Result<Arc<VHost>, Problem>,
}

impl Asked {
    async fn read(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<_>>::from_request_parts(parts, site).await?;
        let path = RawPathParams::from_request_parts(parts, site).await;
        let path = Named(path.map_err(|error| Problem::bad_request(error.to_string()))?);
        let vhost = ShortString::new(path.get("vhost")?).ok();
        let vhost = vhost.and_then(|vhost| site.host().vhost(&vhost));
        let vhost = vhost.ok_or_else(|| match parts.method {
            Method::PUT | Method::POST => Problem::missing("vhost_not_found"),
            _ => Problem::not_found(),
        });
        Ok(Self { caller, path, vhost })
    }
}

impl<T: InVHost> FromRequestParts<Arc<Site>> for Seen<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let Asked { caller, path, vhost } = Asked::read(parts, site).await?;
        let vhost = vhost?;
        caller.must_see(vhost.name())?;
        let what = T::find(&vhost, &path)?;
        Ok(Self { vhost, caller, what })
    }
}

impl<T: InVHost> FromRequestParts<Arc<Site>> for Entered<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let Asked { caller, path, vhost } = Asked::read(parts, site).await?;
        let vhost = vhost?;
        caller.must_enter(vhost.name())?;
        let what = T::find(&vhost, &path)?;
        Ok(Self { site: Arc::clone(site), caller, vhost, what })
    }
}

impl FromRequestParts<Arc<Site>> for Unchecked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let Asked { caller, vhost, .. } = Asked::read(parts, site).await?;
        Ok(Self { site: Arc::clone(site), caller, vhost })
    }
}
