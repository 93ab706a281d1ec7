//! `/api/permissions` and `/api/topic-permissions`: what users may do, in a vhost and on a topic exchange of
//! one.

use std::sync::Arc;

use amqp_codec::ShortString;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Administrator;
use super::body::Body;
use super::change::Changed;
use super::listing::{Query, list, one};
use super::path::{DEFAULT_EXCHANGE, name};
use super::problem::Problem;
use super::site::Site;
use crate::auth::{
    AccessDefinition, InvalidPermission, Permissions, Put, TopicPermissions, TopicPermissionsOf,
    UserPermissions,
};
use crate::session::{Acting, AdminError, Host};

type Shared = State<Arc<Site>>;

/// What users may do, of one kind. Both kinds have the same paths.
pub(super) trait Granted: Sized + Send + 'static {
    /// All there are.
    fn all(host: &Host) -> Vec<Self>;

    fn user(&self) -> &str;

    fn vhost(&self) -> &ShortString;

    fn shown(self) -> Value;

    /// Puts what a body says in force for a user in a vhost.
    fn put(by: Acting<'_>, of: (&str, &str), body: &Body) -> Result<Put, Problem>;

    /// Takes them away from a user in a vhost; `false` where there were none.
    fn clear(by: Acting<'_>, of: (&str, &str)) -> bool;
}

impl Granted for UserPermissions {
    fn all(host: &Host) -> Vec<Self> {
        host.permissions()
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn vhost(&self) -> &ShortString {
        &self.vhost
    }

    fn shown(self) -> Value {
        AccessDefinition::Permissions(self).to_json().into()
    }

    fn put(by: Acting<'_>, (user, vhost): (&str, &str), body: &Body) -> Result<Put, Problem> {
        body.must_have(&["configure", "write", "read"])?;
        let right = |key: &str| body.text(key).map(Option::unwrap_or_default);
        let permissions = Permissions::new(&right("configure")?, &right("write")?, &right("read")?);
        let permissions = permissions.map_err(|error| invalid(&error))?;
        by.set_permissions(user, vhost, permissions).map_err(refused)
    }

    fn clear(by: Acting<'_>, (user, vhost): (&str, &str)) -> bool {
        by.clear_permissions(user, vhost)
    }
}

impl Granted for TopicPermissionsOf {
    fn all(host: &Host) -> Vec<Self> {
        host.topic_permissions()
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn vhost(&self) -> &ShortString {
        &self.vhost
    }

    fn shown(self) -> Value {
        AccessDefinition::TopicPermissions(self).to_json().into()
    }

    fn put(by: Acting<'_>, (user, vhost): (&str, &str), body: &Body) -> Result<Put, Problem> {
        body.must_have(&["exchange", "write", "read"])?;
        let text = |key: &str| body.text(key).map(Option::unwrap_or_default);
        let permissions = TopicPermissions::new(text("write")?, text("read")?);
        let permissions = permissions.map_err(|error| invalid(&error))?;
        let exchange = text("exchange")?;
        let exchange = if exchange == DEFAULT_EXCHANGE { "" } else { exchange.as_str() };
        by.set_topic_permissions(user, vhost, exchange, permissions).map_err(refused)
    }

    fn clear(by: Acting<'_>, (user, vhost): (&str, &str)) -> bool {
        by.clear_topic_permissions(user, vhost, None)
    }
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

/// Those that are wanted, as JSON.
fn some<G: Granted>(host: &Host, is_wanted: impl Fn(&G) -> bool) -> Vec<Value> {
    G::all(host).into_iter().filter(is_wanted).map(G::shown).collect()
}

/// `GET` of all.
pub(super) async fn all<G: Granted>(
    State(site): Shared,
    _: Administrator,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || some(site.host(), |_: &G| true)).await
}

/// `GET /api/users/{user}/...`.
pub(super) async fn of_user<G: Granted>(
    State(site): Shared,
    _: Administrator,
    Path(user): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.host().user(&user).ok_or_else(Problem::not_found)?;
    list(&query, move || some(site.host(), |it: &G| it.user() == user)).await
}

/// `GET /api/vhosts/{vhost}/...`.
pub(super) async fn of_vhost<G: Granted>(
    State(site): Shared,
    _: Administrator,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    list(&query, move || some(site.host(), |it: &G| it.vhost() == vhost.name())).await
}

/// `PUT .../{vhost}/{user}`.
pub(super) async fn put<G: Granted>(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((vhost, user)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    site.change(move |site| G::put(caller.acting(site), (&user, &vhost), &body)).await
}

/// `DELETE .../{vhost}/{user}`: of topic permissions, those on all exchanges.
pub(super) async fn delete<G: Granted>(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Response, Problem> {
    site.change(move |site| Changed::deleted(G::clear(caller.acting(site), (&user, &vhost)))).await
}

/// `GET /api/permissions/{vhost}/{user}`.
pub(super) async fn get(
    State(site): Shared,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let found = site.host().permissions_of(&user, &vhost).ok_or_else(Problem::not_found)?;
    one(&query, found.shown())
}

/// `GET /api/topic-permissions/{vhost}/{user}`: a list, by exchange.
pub(super) async fn get_topics(
    State(site): Shared,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = name(&vhost)?;
    let is_wanted = |it: &TopicPermissionsOf| it.user == user && it.vhost == vhost;
    let found = some(site.host(), is_wanted);
    if found.is_empty() {
        return Err(Problem::not_found());
    }
    list(&query, move || found).await
}

/// `DELETE /api/topic-permissions/{vhost}/{user}/{exchange}`.
pub(super) async fn delete_topics_of_exchange(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    site.change(move |site| {
        Changed::deleted(caller.acting(site).clear_topic_permissions(
            &user,
            &vhost,
            Some(&exchange),
        ))
    })
    .await
}
