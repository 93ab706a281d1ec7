//! `/api/queues`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::bindings::list_bindings;
use super::body::Body;
use super::caller::Caller;
use super::consumers;
use super::forms::{self, QueueForm};
use super::listing::{Query, list, one};
use super::path::{name, queue};
use super::problem::Problem;
use super::site::Site;
use crate::broker::queue_cell::{QueueCell, QueueProperties};
use crate::broker::vhost::{DeleteConditions, VHost};

type Shared = State<Arc<Site>>;

/// How much is wanted of each queue.
fn form(query: &HashMap<String, String>) -> QueueForm {
    let is_true = |key: &str| query.get(key).is_some_and(|value| value == "true");
    match (is_true("disable_stats"), is_true("enable_queue_totals")) {
        (true, true) => QueueForm::Totals,
        (true, false) => QueueForm::Declared,
        (false, _) => QueueForm::Full,
    }
}

/// `GET /api/queues`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    let form = form(&query);
    list(&query, move || shown(&site, &vhosts, form)).await
}

/// `GET /api/queues/{vhost}`.
pub(super) async fn of_vhost(
    State(site): Shared,
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let form = form(&query);
    list(&query, move || shown(&site, &[vhost], form)).await
}

fn shown(site: &Site, vhosts: &[Arc<VHost>], form: QueueForm) -> Vec<Value> {
    let rates = site.rates().against(site.now());
    let started = site.started();
    let mut items = Vec::new();
    for vhost in vhosts {
        let mut queues = vhost.queues();
        queues.sort_by(|one, other| one.name.cmp(&other.name));
        items.extend(queues.iter().map(|it| forms::queue(site.node(), it, form, &rates, started)));
    }
    items
}

/// `GET /api/queues/{vhost}/{queue}`.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let queue = queue(&vhost, &name)?;
    let rates = site.rates().against(site.now());
    let mut shown = forms::queue(site.node(), &queue, form(&query), &rates, site.started());
    if form(&query) == QueueForm::Full {
        add_consumers(&site, &queue, &mut shown).await;
    }
    one(&query, shown)
}

/// Adds its consumers, and which of them has it for itself.
async fn add_consumers(site: &Site, queue: &QueueCell, shown: &mut Value) {
    let report = queue.state.lock().report();
    let consumers = match report.counts.consumers {
        0 => Vec::new(),
        _ => consumers::of_queue(site, queue).await,
    };
    let tag_of_first = |wanted: bool, is_it: fn(&Value) -> bool| {
        let first = consumers.iter().find(|consumer| wanted && is_it(consumer));
        first.map_or(Value::Null, |consumer| consumer["consumer_tag"].clone())
    };
    shown["exclusive_consumer_tag"] =
        tag_of_first(report.has_exclusive_consumer, |it| it["exclusive"] == true);
    shown["single_active_consumer_tag"] =
        tag_of_first(report.is_single_active, |it| it["active"] == true);
    shown["consumer_details"] = consumers.into();
    if let Some(peer) = queue.properties.owner.and_then(|owner| site.host().peer(owner)) {
        shown["owner_pid_details"] = forms::peer(&peer);
    }
}

/// `PUT /api/queues/{vhost}/{queue}`.
pub(super) async fn put(
    State(site): Shared,
    caller: Caller,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let vhost = site.vhost_to_fill(&vhost)?;
    caller.must_enter(vhost.name())?;
    let queue = name(&queue)?;
    let body = Body::read(&body)?;
    let properties = QueueProperties {
        durable: body.get("durable").is_none() || body.truth("durable")?,
        auto_delete: body.truth("auto_delete")?,
        owner: None,
        arguments: body.table("arguments")?,
    };
    if queue.is_empty() {
        return Err(Problem::bad_request("a queue needs a name"));
    }
    let was_there = vhost.queue(&queue).is_ok();
    caller.visitor(&site, &vhost).declare_queue(&queue, properties, site.now())?;
    site.durable().await;
    Ok(if was_there { StatusCode::NO_CONTENT } else { StatusCode::CREATED }.into_response())
}

/// `DELETE /api/queues/{vhost}/{queue}`.
pub(super) async fn delete(
    State(site): Shared,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_enter(vhost.name())?;
    let queue = queue(&vhost, &name)?;
    let is_true = |key: &str| query.get(key).is_some_and(|value| value == "true");
    let conditions = DeleteConditions {
        if_unused: is_true("if-unused"),
        if_empty: is_true("if-empty"),
        if_expired: None,
    };
    caller.visitor(&site, &vhost).delete_queue(&queue, conditions, site.now())?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/queues/{vhost}/{queue}/contents`.
pub(super) async fn purge(
    State(site): Shared,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_enter(vhost.name())?;
    let queue = queue(&vhost, &name)?;
    caller.visitor(&site, &vhost).purge_queue(&queue, site.now())?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/queues/{vhost}/{queue}/actions`. There are no mirrors that could be behind.
pub(super) async fn act(
    State(site): Shared,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_administer()?;
    queue(&vhost, &name)?;
    match Body::with(&body, &["action"])?.text("action")?.as_deref() {
        Some("sync" | "cancel_sync") => Ok(StatusCode::NO_CONTENT.into_response()),
        other => Err(Problem::bad_request(json!(["unknown", other]))),
    }
}

/// `GET /api/queues/{vhost}/{queue}/bindings`.
pub(super) async fn bindings(
    State(site): Shared,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let queue = queue(&vhost, &name)?;
    list(&query, move || {
        let mut items = vec![forms::default_binding(vhost.name(), &queue.name)];
        items.extend(list_bindings(&vhost, vhost.bindings_to_queue(&queue)));
        items
    })
    .await
}
