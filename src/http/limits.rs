//! `/api/vhost-limits` and `/api/user-limits`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::Body;
use super::caller::Caller;
use super::forms;
use super::listing::{Query, list};
use super::problem::Problem;
use super::site::Site;
use crate::auth::User;
use crate::broker::vhost::VHost;

type Shared = State<Arc<Site>>;

fn of_vhost(vhost: &Arc<VHost>) -> Option<Value> {
    let value = vhost.limits().to_json()?;
    Some(json!({ "vhost": forms::text(vhost.name()), "value": value }))
}

/// `GET /api/vhost-limits`.
pub(super) async fn of_vhosts(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || vhosts.iter().filter_map(of_vhost).collect()).await
}

/// `GET /api/vhost-limits/{vhost}`.
pub(super) async fn of_one_vhost(
    State(site): Shared,
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    list(&query, move || of_vhost(&vhost).into_iter().collect()).await
}

/// `PUT /api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn put_of_vhost(
    State(site): Shared,
    caller: Caller,
    Path((vhost, limit)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let body = Body::with(&body, &["value"])?;
    site.host().set_vhost_limit(&vhost, &limit, Some(body.get("value").unwrap_or(&Value::Null)))?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn delete_of_vhost(
    State(site): Shared,
    caller: Caller,
    Path((vhost, limit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    site.vhost(&vhost)?;
    site.host().set_vhost_limit(&vhost, &limit, None)?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn of_user(user: &Arc<User>) -> Option<Value> {
    let value = serde_json::to_value(user.limits).ok()?;
    let has_any = value.as_object().is_some_and(|limits| !limits.is_empty());
    has_any.then(|| json!({ "user": user.name, "value": value }))
}

/// `GET /api/user-limits`.
pub(super) async fn of_users(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let mut users = site.host().users();
    users.retain(|user| caller.is_administrator() || user.name == caller.name());
    list(&query, move || users.iter().filter_map(of_user).collect()).await
}

/// `GET /api/user-limits/{user}`.
pub(super) async fn of_one_user(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    if caller.name() != name {
        caller.must_administer()?;
    }
    let user = site.host().user(&name).ok_or_else(Problem::not_found)?;
    list(&query, move || of_user(&user).into_iter().collect()).await
}

/// `PUT /api/user-limits/{user}/{limit}`.
pub(super) async fn put_of_user(
    State(site): Shared,
    caller: Caller,
    Path((user, limit)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let body = Body::with(&body, &["value"])?;
    site.host().set_user_limit(&user, &limit, Some(body.get("value").unwrap_or(&Value::Null)))?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/user-limits/{user}/{limit}`.
pub(super) async fn delete_of_user(
    State(site): Shared,
    caller: Caller,
    Path((user, limit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    site.host().user(&user).ok_or_else(Problem::not_found)?;
    site.host().set_user_limit(&user, &limit, None)?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
