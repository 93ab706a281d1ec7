//! A queue as JSON.

use amqp_codec::BasicProperties;
use serde_json::{Map, Value, json};

use super::channel::IDLE_AFTER;
use super::{moment, text};
use crate::broker::json::table;
use crate::broker::policy::QueueKind;
use crate::broker::queue::QueueReport;
use crate::broker::queue_cell::QueueCell;
use crate::http::rates::Comparison;

/// How much of a queue is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum QueueForm {
    /// What it was declared with.
    Declared,
    /// How many messages it has as well.
    Totals,
    /// Everything.
    Full,
}

/// A queue.
pub(in crate::http) fn queue(
    node: &str,
    queue: &QueueCell,
    form: QueueForm,
    rates: &Comparison,
    epoch: crate::broker::time::Timestamp,
) -> Value {
    let mut object = Map::new();
    declared(node, queue, &mut object);
    if form == QueueForm::Declared {
        return object.into();
    }
    let (report, head) = {
        let state = queue.state.lock();
        (state.report(), state.head())
    };
    let (counts, depth) = rates.queue(queue.id, &report);
    if form == QueueForm::Totals {
        let ready = report.counts.ready;
        let unacked = report.counts.unacked;
        object.insert("messages".to_owned(), (ready + unacked).into());
        object.insert("messages_ready".to_owned(), ready.into());
        object.insert("messages_unacknowledged".to_owned(), unacked.into());
        return object.into();
    }
    depth.put(&mut object);
    policies(queue, &mut object);
    contents(&report, &mut object);
    // Whose they are, where there are any, only their connections know.
    if !report.has_exclusive_consumer {
        object.insert("exclusive_consumer_tag".to_owned(), Value::Null);
    }
    if !report.is_single_active {
        object.insert("single_active_consumer_tag".to_owned(), Value::Null);
    }
    persistent(queue, &report, &mut object);
    let idle = report.last_used.max(epoch);
    if !counts.has_moved() && rates.since(idle) >= IDLE_AFTER {
        object.insert("idle_since".to_owned(), moment(idle));
    }
    let head = head.and_then(|head| BasicProperties::decode(head.properties()).ok()?.timestamp);
    object.insert("head_message_timestamp".to_owned(), head.into());
    let stats = counts.object();
    match queue.kind() {
        QueueKind::Classic => extend(
            &mut object,
            json!({
                "backing_queue_status": backing(&report, stats.as_ref()),
                "recoverable_slaves": null,
            }),
        ),
        _ => extend(&mut object, json!({ "open_files": { node: 0 } })),
    }
    if let Some(stats) = stats {
        object.insert("message_stats".to_owned(), stats);
    }
    object.into()
}

/// What it was declared with.
fn declared(node: &str, queue: &QueueCell, object: &mut Map<String, Value>) {
    let kind = match queue.kind() {
        QueueKind::Classic => "classic",
        QueueKind::Quorum => "quorum",
        QueueKind::Stream => "stream",
    };
    extend(
        object,
        json!({
            "name": text(&queue.name),
            "vhost": text(&queue.vhost),
            "type": kind,
            "durable": queue.properties.durable,
            "auto_delete": queue.properties.auto_delete,
            "exclusive": queue.properties.owner.is_some(),
            "arguments": table(&queue.properties.arguments).json,
            "policy": queue.policies.lock().policy.as_ref().map(|policy| policy.name().to_owned()),
            "node": node,
            "state": "running",
        }),
    );
    if kind != "classic" {
        extend(object, json!({ "leader": node, "members": [node], "online": [node] }));
    }
}

fn policies(queue: &QueueCell, object: &mut Map<String, Value>) {
    let effective = queue.effective_definition();
    extend(
        object,
        json!({
            "operator_policy": effective.operator_policy,
            "effective_policy_definition": table(&effective.definition).json,
        }),
    );
}

/// What is in it.
fn contents(report: &QueueReport, object: &mut Map<String, Value>) {
    let counts = report.counts;
    let ready_in_memory = counts.ready - report.ready_paged;
    let has_consumers = counts.consumers > 0;
    // It is at the end of its messages whenever its consumers could take more.
    let capacity = u8::from(has_consumers && counts.ready == 0);
    extend(
        object,
        json!({
            "consumers": counts.consumers,
            "consumer_capacity": capacity,
            "consumer_utilisation": capacity,
            "memory": report.memory,
            "message_bytes": report.ready_bytes + report.unacked_bytes,
            "message_bytes_ready": report.ready_bytes,
            "message_bytes_unacknowledged": report.unacked_bytes,
            "message_bytes_ram": report.ready_bytes - report.ready_paged_bytes + report.unacked_bytes,
            "message_bytes_paged_out": report.ready_paged_bytes,
            "messages_ready_ram": ready_in_memory,
            "messages_unacknowledged_ram": counts.unacked,
            "messages_ram": ready_in_memory + counts.unacked,
            "messages_paged_out": report.ready_paged,
            "messages_delayed": counts.scheduled,
            "messages_dlx": counts.departing,
        }),
    );
}

/// Persistent messages, where that is known without a look at each: of a queue that keeps nothing over a restart, of
/// a quorum queue, which keeps everything, and of one that is empty.
fn persistent(queue: &QueueCell, report: &QueueReport, object: &mut Map<String, Value>) {
    let messages = report.counts.ready + report.counts.unacked;
    let (messages, bytes) = match queue.kind() {
        QueueKind::Quorum => (messages, report.ready_bytes + report.unacked_bytes),
        _ if !queue.properties.durable || messages == 0 => (0, 0),
        _ => return,
    };
    let fields = json!({ "messages_persistent": messages, "message_bytes_persistent": bytes });
    extend(object, fields);
}

/// What RabbitMQ's implementation of a classic queue has to say, as far as it is so of any.
fn backing(report: &QueueReport, stats: Option<&Value>) -> Value {
    let rate = |of: &[&str]| -> f64 {
        let rate = |name: &&str| stats?.get(format!("{name}_details"))?.get("rate")?.as_f64();
        of.iter().filter_map(rate).sum()
    };
    json!({
        "mode": "default",
        "version": 2,
        "len": report.counts.ready,
        "target_ram_count": "infinity",
        "avg_ingress_rate": rate(&["publish"]),
        "avg_egress_rate": rate(&["deliver_get"]),
        "avg_ack_ingress_rate": rate(&["deliver", "get"]),
        "avg_ack_egress_rate": rate(&["ack"]),
    })
}

fn extend(object: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
}
