//! `/api/vhosts`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::access::{Administrator, Seen};
use super::body::Body;
use super::caller::Caller;
use super::change::Changed;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::rates::Comparison;
use super::site::Site;
use super::summary::Summary;
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
    Seen { vhost, .. }: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let connections = site.ask_connections().await;
    let rates = site.rates().against(site.now());
    one(&query, shown(&site, &vhost, &connections, &rates))
}

/// `PUT /api/vhosts/{vhost}`. The user who makes one may do everything in it.
pub(super) async fn put(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let metadata = metadata(&body)?;
    site.change(move |site| {
        let put = caller.acting(site).put_vhost(&name, metadata)?;
        // Who runs the broker is no user, and needs no permission.
        if put == Put::Created && !caller.is_local() {
            caller.acting(site).set_permissions(caller.name(), &name, Permissions::all())?;
        }
        Ok(put)
    })
    .await
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
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    site.change(move |site| {
        let deleted = caller.acting(site).delete_vhost(&name, site.now());
        Changed::deleted(deleted.map_err(|error| match error {
            AdminError::ProtectedVHost(_) => {
                let status = StatusCode::PRECONDITION_FAILED;
                Problem::of(status, "precondition_failed", error.to_string())
            }
            error => error.into(),
        })?)
    })
    .await
}

/// `POST /api/vhosts/{vhost}/deletion/protection`: it can't be deleted from now on.
pub(super) async fn protect(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    site.change(move |site| site.set_protected(&caller, &name, true)).await
}

/// `DELETE /api/vhosts/{vhost}/deletion/protection`: it can be deleted again.
pub(super) async fn unprotect(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    site.change(move |site| site.set_protected(&caller, &name, false)).await
}

impl Site {
    fn set_protected(
        &self,
        caller: &Caller,
        name: &str,
        protected_from_deletion: bool,
    ) -> Result<(), Problem> {
        let metadata = VHostMetadata::clone(&self.vhost(name)?.metadata());
        caller
            .acting(self)
            .put_vhost(name, VHostMetadata { protected_from_deletion, ..metadata })?;
        Ok(())
    }
}

/// `POST /api/vhosts/{vhost}/start/{node}`: all vhosts of this node run.
pub(super) async fn start(
    State(site): Shared,
    _: Administrator,
    Path((vhost, node)): Path<(String, String)>,
) -> Result<Changed, Problem> {
    site.vhost(&vhost)?;
    site.must_be_node(&node)?;
    Ok(Changed::Done)
}
