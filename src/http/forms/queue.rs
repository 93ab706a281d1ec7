//! A queue as JSON.

use amqp_codec::BasicProperties;
use serde_json::{Map, Value, json};

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
    let idle = report.last_used.max(epoch);
    object.insert("idle_since".to_owned(), moment(idle));
    let head = head.and_then(|head| BasicProperties::decode(head.properties()).ok()?.timestamp);
    object.insert("head_message_timestamp".to_owned(), head.into());
    if let Some(stats) = counts.object() {
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

fn extend(object: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
}
