//! `/api/vhosts`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::Body;
use super::caller::Caller;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::rates::Comparison;
use super::site::Site;
use super::summary::Summary;
use super::users::put_status;
use crate::auth::{Permissions, Put, Tags};
use crate::broker::policy::QueueKind;
use crate::broker::vhost::{VHost, VHostMetadata};
use crate::session::{AdminError, ConnectionReport};

type Shared = State<Arc<Site>>;

impl Site {
    /// The vhosts that a caller sees, by name.
    pub(super) fn visible_vhosts(&self, caller: &Caller) -> Vec<Arc<VHost>> {
        let mut vhosts = self.host().vhosts();
        vhosts.retain(|vhost| caller.sees(vhost.name()));
        vhosts
    }
}

fn shown(
    site: &Site,
    vhost: &VHost,
    connections: &[ConnectionReport],
    rates: &Comparison,
) -> Value {
    let metadata = vhost.metadata();
    let default_queue_type = metadata.default_queue_type.map_or("undefined", QueueKind::name);
    let mut object = json!({
        "name": forms::text(vhost.name()),
        "description": metadata.description,
        "tags": metadata.tags,
        "default_queue_type": default_queue_type,
        "metadata": { "description": metadata.description, "tags": metadata.tags },
        "protected_from_deletion": metadata.protected_from_deletion,
        "tracing": metadata.tracing,
        "cluster_state": { site.node(): "running" },
    });
    if metadata.default_queue_type.is_some() {
        object["metadata"]["default_queue_type"] = default_queue_type.into();
    }
    let summary = Summary::of(vhost);
    let connections = connections.iter().filter(|report| report.vhost == *vhost.name());
    let (counts, depth, octets) = rates.vhost(vhost.name(), &summary, connections);
    if let Value::Object(object) = &mut object {
        depth.put(object);
        octets.put(object);
        if let Some(stats) = counts.object() {
            object.insert("message_stats".to_owned(), stats);
        }
    }
    object
}

/// `GET /api/vhosts`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.rates().want_connections();
    let connections = site.ask_connections().await;
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || {
        let rates = site.rates().against(site.now());
        vhosts.iter().map(|vhost| shown(&site, vhost, &connections, &rates)).collect()
    })
    .await
}

/// `GET /api/vhosts/{vhost}`.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let connections = site.ask_connections().await;
    let rates = site.rates().against(site.now());
    one(&query, shown(&site, &vhost, &connections, &rates))
}

/// `PUT /api/vhosts/{vhost}`. Who makes one may do everything in it.
pub(super) async fn put(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let body = Body::read(&body)?;
    let put = site.host().put_vhost(&name, metadata(&body)?)?;
    if put == Put::Created {
        site.host().set_permissions(caller.name(), &name, Permissions::all())?;
    }
    site.durable().await;
    Ok(put_status(put))
}

fn metadata(body: &Body) -> Result<VHostMetadata, Problem> {
    let tags = match body.get("tags") {
        None => Tags::default(),
        Some(tags) => serde_json::from_value(tags.clone())
            .map_err(|error| Problem::bad_request(error.to_string()))?,
    };
    let default_queue_type = match body.text("default_queue_type")?.as_deref() {
        None | Some("undefined" | "") => None,
        Some(name) => Some(
            QueueKind::parse(name)
                .ok_or_else(|| Problem::bad_request(format!("unknown queue type '{name}'")))?,
        ),
    };
    Ok(VHostMetadata {
        description: body.text("description")?.unwrap_or_default(),
        tags: tags.iter().map(str::to_owned).collect(),
        default_queue_type,
        protected_from_deletion: body.truth("protected_from_deletion")?,
        tracing: body.truth("tracing")?,
    })
}

/// `DELETE /api/vhosts/{vhost}`.
pub(super) async fn delete(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let deleted = site.host().delete_vhost(&name, site.now());
    let deleted = deleted.map_err(|error| match error {
        AdminError::ProtectedVHost(_) => {
            Problem::of(StatusCode::PRECONDITION_FAILED, "precondition_failed", error.to_string())
        }
        error => error.into(),
    })?;
    if !deleted {
        return Err(Problem::not_found());
    }
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/vhosts/{vhost}/deletion/protection`: it can't be deleted from now on.
pub(super) async fn protect(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set_protected(&site, &caller, &name, true).await
}

/// `DELETE /api/vhosts/{vhost}/deletion/protection`: it can be deleted again.
pub(super) async fn unprotect(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set_protected(&site, &caller, &name, false).await
}

async fn set_protected(
    site: &Site,
    caller: &Caller,
    name: &str,
    protected_from_deletion: bool,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    let metadata = VHostMetadata::clone(&site.vhost(name)?.metadata());
    site.host().put_vhost(name, VHostMetadata { protected_from_deletion, ..metadata })?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/vhosts/{vhost}/start/{node}`: all vhosts of this node run.
pub(super) async fn start(
    State(site): Shared,
    caller: Caller,
    Path((vhost, node)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.must_administer()?;
    site.vhost(&vhost)?;
    site.must_be_node(&node)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
