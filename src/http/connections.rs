//! `/api/connections`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query as QueryOf, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::access::Seen;
use super::caller::Caller;
use super::change::Changed;
use super::channels;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::site::Site;
use crate::session::ConnectionReport;

type Shared = State<Arc<Site>>;

/// How long connections are waited for. Each answers between two reads; one that does not is going.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a client is told whom an administrator sends away without a reason.
const CLOSED: &str = "Closed via management plugin";

impl Site {
    /// What all connections say, the oldest first.
    pub(super) async fn ask_connections(&self) -> Vec<ConnectionReport> {
        let (answer, mut answers) = mpsc::unbounded_channel();
        self.host().ask_connections(|| {
            let answer = answer.clone();
            // Nobody listens any more if that took too long.
            Box::new(move |report| drop(answer.send(report)))
        });
        drop(answer);
        let mut reports = Vec::new();
        let all = async {
            while let Some(report) = answers.recv().await {
                reports.push(report);
            }
        };
        if tokio::time::timeout(ANSWER_TIMEOUT, all).await.is_err() {
            tracing::debug!("some connections did not tell of themselves in time");
        }
        reports.sort_by_key(|report: &ConnectionReport| report.id);
        reports
    }

    /// What one connection says.
    pub(super) async fn ask_connection(&self, name: &str) -> Option<ConnectionReport> {
        let (answer, mut answers) = mpsc::unbounded_channel();
        self.host().ask_connection(name, Box::new(move |report| drop(answer.send(report))));
        tokio::time::timeout(ANSWER_TIMEOUT, answers.recv()).await.ok().flatten()
    }

    /// What those connections say whose user the caller may see.
    pub(super) async fn ask_visible(&self, caller: &Caller) -> Vec<ConnectionReport> {
        self.rates().want_connections();
        let mut reports = self.ask_connections().await;
        reports.retain(|report| caller.sees_user(&report.user));
        reports
    }

    /// Those of them that are in a vhost.
    pub(super) async fn ask_visible_in(
        &self,
        Seen { vhost, caller, .. }: &Seen,
    ) -> Vec<ConnectionReport> {
        let mut reports = self.ask_visible(caller).await;
        reports.retain(|report| report.vhost == *vhost.name());
        reports
    }
}

fn shown(site: &Site, reports: &[ConnectionReport]) -> Vec<Value> {
    let rates = site.rates().against(site.now());
    reports.iter().map(|report| forms::connection(site.node(), report, &rates)).collect()
}

/// `GET /api/connections`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible(&caller).await;
    list(&query, move || shown(&site, &reports)).await
}

/// `GET /api/vhosts/{vhost}/connections`.
pub(super) async fn of_vhost(
    State(site): Shared,
    seen: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible_in(&seen).await;
    list(&query, move || shown(&site, &reports)).await
}

/// `GET /api/connections/username/{user}`: little of each.
pub(super) async fn of_user(
    State(site): Shared,
    caller: Caller,
    Path(user): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let mut reports = site.ask_visible(&caller).await;
    reports.retain(|report| report.user == user);
    list(&query, move || {
        let shown = |report: &ConnectionReport| {
            json!({
                "name": report.peer.name(),
                "node": site.node(),
                "user": report.user,
                "vhost": forms::text(&report.vhost),
            })
        };
        reports.iter().map(shown).collect()
    })
    .await
}

/// A connection that the caller may see.
pub(super) async fn find(
    site: &Site,
    caller: &Caller,
    name: &str,
) -> Result<ConnectionReport, Problem> {
    let report = site.ask_connection(name).await.ok_or_else(Problem::not_found)?;
    if caller.sees_user(&report.user) { Ok(report) } else { Err(Problem::not_this()) }
}

/// `GET /api/connections/{name}`.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.rates().want_connections();
    let report = find(&site, &caller, &name).await?;
    let rates = site.rates().against(site.now());
    one(&query, forms::connection(site.node(), &report, &rates))
}

/// `GET /api/connections/{name}/channels`.
pub(super) async fn channels_of(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.rates().want_connections();
    let report = find(&site, &caller, &name).await?;
    list(&query, move || channels::shown(&site, &[report])).await
}

fn reason(headers: &HeaderMap) -> String {
    let given = headers.get("x-reason").and_then(|value| value.to_str().ok());
    given.filter(|reason| !reason.is_empty()).unwrap_or(CLOSED).to_owned()
}

/// `DELETE /api/connections/{name}`: closes it, with the reason in the header `X-Reason`.
pub(super) async fn close(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Changed, Problem> {
    let report = find(&site, &caller, &name).await?;
    if !caller.is_administrator() && report.user != caller.name() {
        return Err(Problem::not_this());
    }
    site.host().close_connection(report.id, &reason(&headers));
    Ok(Changed::Done)
}

/// `DELETE /api/connections/username/{user}`: closes all connections of a user.
pub(super) async fn close_of_user(
    State(site): Shared,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Changed, Problem> {
    if !caller.is_administrator() && user != caller.name() {
        return Err(Problem::not_this());
    }
    site.host().close_user_connections(&user, &reason(&headers));
    Ok(Changed::Done)
}

/// `GET /api/vhosts/{vhost}/channels`.
pub(super) async fn channels_of_vhost(
    State(site): Shared,
    seen: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible_in(&seen).await;
    list(&query, move || channels::shown(&site, &reports)).await
}
