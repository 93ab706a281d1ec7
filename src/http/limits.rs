//! `/api/vhost-limits` and `/api/user-limits`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::{Administrator, Seen};
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
    Seen { vhost, .. }: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || of_vhost(&vhost).into_iter().collect()).await
}

/// `PUT /api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn put_of_vhost(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((vhost, limit)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let value = body.value()?;
    site.change(move |site| {
        Ok(caller.acting(site).set_vhost_limit(&vhost, &limit, Some(&value))?)
    })
    .await
}

/// `DELETE /api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn delete_of_vhost(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((vhost, limit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    site.vhost(&vhost)?;
    site.change(move |site| Ok(caller.acting(site).set_vhost_limit(&vhost, &limit, None)?)).await
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
    caller.must_be_or_administer(&name)?;
    let user = site.host().user(&name).ok_or_else(Problem::not_found)?;
    list(&query, move || of_user(&user).into_iter().collect()).await
}

/// `PUT /api/user-limits/{user}/{limit}`.
pub(super) async fn put_of_user(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((user, limit)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let value = body.value()?;
    site.change(move |site| Ok(caller.acting(site).set_user_limit(&user, &limit, Some(&value))?))
        .await
}

/// `DELETE /api/user-limits/{user}/{limit}`.
pub(super) async fn delete_of_user(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((user, limit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    site.host().user(&user).ok_or_else(Problem::not_found)?;
    site.change(move |site| Ok(caller.acting(site).set_user_limit(&user, &limit, None)?)).await
}
