//! `/api/queues`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::{Entered, Seen, Unchecked};
use super::bindings::list_bindings;
use super::body::Body;
use super::caller::Caller;
use super::change::Changed;
use super::consumers;
use super::forms::{self, QueueForm};
use super::listing::{Query, is_true, list, one};
use super::path::name;
use super::problem::Problem;
use super::site::Site;
use crate::broker::queue_cell::{QueueCell, QueueProperties};
use crate::broker::vhost::{DeleteConditions, VHost};

type Shared = State<Arc<Site>>;

/// How much is wanted of each queue.
fn form(query: &HashMap<String, String>) -> QueueForm {
    match (is_true(query, "disable_stats"), is_true(query, "enable_queue_totals")) {
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
    Seen { vhost, .. }: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
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
    Seen { what: queue, .. }: Seen<Arc<QueueCell>>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
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
    let (consumers, deliveries) = match report.counts.consumers {
        0 => Default::default(),
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
    shown["deliveries"] = deliveries.into();
    shown["incoming"] = json!([]);
    if let Some(peer) = queue.properties.owner.and_then(|owner| site.host().peer(owner)) {
        shown["owner_pid_details"] = forms::peer(&peer);
    }
}

/// `PUT /api/queues/{vhost}/{queue}`.
pub(super) async fn put(
    here: Entered,
    Path((_, queue)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let queue = name(&queue)?;
    let properties = QueueProperties {
        durable: body.get("durable").is_none() || body.truth("durable")?,
        auto_delete: body.truth("auto_delete")?,
        owner: None,
        arguments: body.table("arguments")?,
    };
    if queue.is_empty() {
        return Err(Problem::bad_request("a queue needs a name"));
    }
    here.change(move |here| {
        let was_there = here.vhost.queue(&queue).is_ok();
        here.visitor()?.declare_queue(&queue, properties, here.site.now())?;
        Ok(Changed::put(was_there))
    })
    .await
}

/// `DELETE /api/queues/{vhost}/{queue}`.
pub(super) async fn delete(
    here: Entered<Arc<QueueCell>>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let conditions = DeleteConditions {
        if_unused: is_true(&query, "if-unused"),
        if_empty: is_true(&query, "if-empty"),
        if_expired: None,
    };
    here.change(move |here| {
        here.visitor()?.delete_queue(&here.what, conditions, here.site.now())?;
        Ok(())
    })
    .await
}

/// `DELETE /api/queues/{vhost}/{queue}/contents`.
pub(super) async fn purge(here: Entered<Arc<QueueCell>>) -> Result<Response, Problem> {
    here.change(|here| {
        here.visitor()?.purge_queue(&here.what, here.site.now())?;
        Ok(())
    })
    .await
}

/// `POST /api/queues/{vhost}/{queue}/actions`. There are no mirrors that could be behind.
pub(super) async fn act(
    asked: Unchecked,
    Path((_, queue)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let here = asked.by_administrator()?;
    here.vhost.queue(&name(&queue)?).map_err(|_| Problem::not_found())?;
    body.must_have(&["action"])?;
    match body.text("action")?.as_deref() {
        Some("sync" | "cancel_sync") => Ok(StatusCode::NO_CONTENT.into_response()),
        other => Err(Problem::bad_request(json!(["unknown", other]))),
    }
}

/// `GET /api/queues/{vhost}/{queue}/bindings`.
pub(super) async fn bindings(
    Seen { vhost, what: queue, .. }: Seen<Arc<QueueCell>>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || {
        let mut items = vec![forms::default_binding(vhost.name(), &queue.name)];
        items.extend(list_bindings(&vhost, vhost.bindings_to_queue(&queue)));
        items
    })
    .await
}
