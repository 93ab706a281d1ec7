//! `/api/users`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Administrator;
use super::body::Body;
use super::change::Changed;
use super::listing::{Query, json_of, list, one};
use super::problem::Problem;
use super::site::Site;
use crate::auth::{AccessDefinition, HashingAlgorithm, PasswordHash, Tags, User};
use crate::session::{NewPassword, NewUser};

type Shared = State<Arc<Site>>;

fn shown(user: &Arc<User>) -> Value {
    AccessDefinition::User(Arc::clone(user)).to_json().into()
}

/// `GET /api/users`.
pub(super) async fn all(
    State(site): Shared,
    _: Administrator,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || site.host().users().iter().map(shown).collect()).await
}

/// `GET /api/users/without-permissions`.
pub(super) async fn without_permissions(
    State(site): Shared,
    _: Administrator,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || {
        let mut users = site.host().users();
        users.retain(|user| site.host().vhosts_of(&user.name).is_empty());
        users.iter().map(shown).collect()
    })
    .await
}

/// `GET /api/users/{user}`.
pub(super) async fn get(
    State(site): Shared,
    _: Administrator,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    one(&query, shown(&site.host().user(&name).ok_or_else(Problem::not_found)?))
}

/// `PUT /api/users/{user}`.
pub(super) async fn put(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let tags = match body.get("tags") {
        None => return Err(Problem::bad_request("tags_not_present")),
        Some(tags) => serde_json::from_value::<Tags>(tags.clone())
            .map_err(|error| Problem::bad_request(error.to_string()))?,
    };
    let user = NewUser { name, password: password(&body)?, tags };
    site.change(move |site| Ok(caller.acting(site).put_user(user)?)).await
}

/// Without a word of it there is none, and the user can't log in with one.
fn password(body: &Body) -> Result<NewPassword, Problem> {
    if let Some(password) = body.text("password")? {
        return Ok(match password.is_empty() {
            true => NewPassword::None,
            false => NewPassword::Plain(password.into_bytes()),
        });
    }
    match body.text("password_hash")? {
        Some(hash) if !hash.is_empty() => {
            let algorithm = algorithm(body)?;
            PasswordHash::parse(&hash, algorithm)
                .map(NewPassword::Hashed)
                .map_err(|_| Problem::bad_request(json!(["not_base64", hash])))
        }
        _ => Ok(NewPassword::None),
    }
}

fn algorithm(body: &Body) -> Result<HashingAlgorithm, Problem> {
    let Some(name) = body.text("hashing_algorithm")? else {
        return Ok(HashingAlgorithm::default());
    };
    name.parse().map_err(|_| Problem::bad_request(json!(["unknown_hashing_algorithm", name])))
}

/// `DELETE /api/users/{user}`.
pub(super) async fn delete(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    site.change(move |site| Changed::deleted(caller.acting(site).delete_user(&name))).await
}

/// `POST /api/users/bulk-delete`: all of a list, or none if one of them is not there.
pub(super) async fn delete_many(
    State(site): Shared,
    Administrator(caller): Administrator,
    body: Body,
) -> Result<Response, Problem> {
    body.must_have(&["users"])?;
    let names: Vec<String> = body
        .get("users")
        .and_then(|users| serde_json::from_value(users.clone()).ok())
        .ok_or_else(|| Problem::bad_request("users should be a list of names"))?;
    site.change(move |site| {
        if let Some(missing) = names.iter().find(|name| site.host().user(name).is_none()) {
            return Err(Problem::bad_request(json!(["no_such_user", missing])));
        }
        for name in &names {
            caller.acting(site).delete_user(name);
        }
        Ok(())
    })
    .await
}

/// `GET /api/auth/hash_password/{password}`.
pub(super) async fn hash_password(
    State(site): Shared,
    _: Administrator,
    Path(password): Path<String>,
) -> Response {
    let host = site.host();
    let hash = host.hash_password(password.as_bytes(), host.password_hashing());
    json_of(&json!({ "ok": hash.to_base64() }))
}
