//! `/api/permissions` and `/api/topic-permissions`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::Body;
use super::caller::Caller;
use super::listing::{Query, list, one};
use super::path::{DEFAULT_EXCHANGE, name};
use super::problem::Problem;
use super::site::Site;
use super::users::put_status;
use crate::auth::{
    AccessDefinition, InvalidPermission, Permissions, TopicPermissions, TopicPermissionsOf,
    UserPermissions,
};
use crate::session::AdminError;

type Shared = State<Arc<Site>>;

fn shown(permissions: UserPermissions) -> Value {
    AccessDefinition::Permissions(permissions).to_json().into()
}

fn shown_topic(permissions: TopicPermissionsOf) -> Value {
    AccessDefinition::TopicPermissions(permissions).to_json().into()
}

fn refused(error: AdminError) -> Problem {
    match error {
        AdminError::UnknownUser(_) | AdminError::UnknownVHost(_) => {
            Problem::bad_request("vhost_or_user_not_found")
        }
        error => error.into(),
    }
}

fn invalid(error: &InvalidPermission) -> Problem {
    Problem::bad_request(json!(["invalid_regexp", error.pattern, error.reason.to_string()]))
}

/// Those of a user, if there is one; only administrators look at those of others.
fn must_be_user(site: &Site, caller: &Caller, user: &str) -> Result<(), Problem> {
    if caller.name() != user {
        caller.must_administer()?;
    }
    site.host().user(user).map(drop).ok_or_else(Problem::not_found)
}

/// `GET /api/permissions`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    list(&query, move || site.host().permissions().into_iter().map(shown).collect()).await
}

/// `GET /api/users/{user}/permissions`.
pub(super) async fn of_user(
    State(site): Shared,
    caller: Caller,
    Path(user): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    must_be_user(&site, &caller, &user)?;
    list(&query, move || {
        let all = site.host().permissions().into_iter();
        all.filter(|it| it.user == user).map(shown).collect()
    })
    .await
}

/// `GET /api/vhosts/{vhost}/permissions`.
pub(super) async fn of_vhost(
    State(site): Shared,
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let vhost = site.vhost(&vhost)?;
    list(&query, move || {
        let all = site.host().permissions().into_iter();
        all.filter(|it| it.vhost == *vhost.name()).map(shown).collect()
    })
    .await
}

/// `GET /api/permissions/{vhost}/{user}`.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let found = site.host().permissions_of(&user, &vhost).ok_or_else(Problem::not_found)?;
    one(&query, shown(found))
}

/// `PUT /api/permissions/{vhost}/{user}`.
pub(super) async fn put(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let body = Body::with(&body, &["configure", "write", "read"])?;
    let right = |key: &str| body.text(key).map(Option::unwrap_or_default);
    let permissions = Permissions::new(&right("configure")?, &right("write")?, &right("read")?);
    let permissions = permissions.map_err(|error| invalid(&error))?;
    let put = site.host().set_permissions(&user, &vhost, permissions).map_err(refused)?;
    site.durable().await;
    Ok(put_status(put))
}

/// `DELETE /api/permissions/{vhost}/{user}`.
pub(super) async fn delete(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    if !site.host().clear_permissions(&user, &vhost) {
        return Err(Problem::not_found());
    }
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/topic-permissions`.
pub(super) async fn all_topics(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    list(&query, move || site.host().topic_permissions().into_iter().map(shown_topic).collect())
        .await
}

/// `GET /api/users/{user}/topic-permissions`.
pub(super) async fn topics_of_user(
    State(site): Shared,
    caller: Caller,
    Path(user): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    must_be_user(&site, &caller, &user)?;
    list(&query, move || {
        let all = site.host().topic_permissions().into_iter();
        all.filter(|it| it.user == user).map(shown_topic).collect()
    })
    .await
}

/// `GET /api/vhosts/{vhost}/topic-permissions`.
pub(super) async fn topics_of_vhost(
    State(site): Shared,
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let vhost = site.vhost(&vhost)?;
    list(&query, move || {
        let all = site.host().topic_permissions().into_iter();
        all.filter(|it| it.vhost == *vhost.name()).map(shown_topic).collect()
    })
    .await
}

/// `GET /api/topic-permissions/{vhost}/{user}`: a list, by exchange.
pub(super) async fn get_topics(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let vhost = name(&vhost)?;
    let all = site.host().topic_permissions().into_iter();
    let found: Vec<Value> =
        all.filter(|it| it.user == user && it.vhost == vhost).map(shown_topic).collect();
    if found.is_empty() {
        return Err(Problem::not_found());
    }
    list(&query, move || found).await
}

/// `PUT /api/topic-permissions/{vhost}/{user}`.
pub(super) async fn put_topics(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let body = Body::with(&body, &["exchange", "write", "read"])?;
    let text = |key: &str| body.text(key).map(Option::unwrap_or_default);
    let permissions = TopicPermissions::new(text("write")?, text("read")?);
    let permissions = permissions.map_err(|error| invalid(&error))?;
    let exchange = text("exchange")?;
    let exchange = if exchange == DEFAULT_EXCHANGE { "" } else { exchange.as_str() };
    let put = site.host().set_topic_permissions(&user, &vhost, exchange, permissions);
    let put = put.map_err(refused)?;
    site.durable().await;
    Ok(put_status(put))
}

/// `DELETE /api/topic-permissions/{vhost}/{user}`: on all exchanges.
pub(super) async fn delete_topics(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Response, Problem> {
    clear_topics(&site, &caller, (&vhost, &user), None).await
}

/// `DELETE /api/topic-permissions/{vhost}/{user}/{exchange}`.
pub(super) async fn delete_topics_of_exchange(
    State(site): Shared,
    caller: Caller,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    clear_topics(&site, &caller, (&vhost, &user), Some(&exchange)).await
}

async fn clear_topics(
    site: &Site,
    caller: &Caller,
    (vhost, user): (&str, &str),
    exchange: Option<&str>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    if !site.host().clear_topic_permissions(user, vhost, exchange) {
        return Err(Problem::not_found());
    }
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
