//! `/api/vhosts`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::caller::Caller;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::rates::Comparison;
use super::site::Site;
use super::summary::Summary;
use crate::broker::vhost::VHost;
use crate::session::ConnectionReport;

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
    let mut object = json!({
        "name": forms::text(vhost.name()),
        "description": "",
        "tags": [],
        "metadata": { "description": "", "tags": [] },
        "tracing": false,
        "cluster_state": { site.node(): "running" },
    });
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
