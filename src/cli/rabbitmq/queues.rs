//! Single queues: `purge_queue`, `delete_queue`, and what `rabbitmq-queues` adds.

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use crate::cli::EXIT_USAGE;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

pub(super) fn purge(call: &mut Call<'_>) -> Result<(), Failure> {
    let (queue, vhost) = (call.word(0), call.vhost.clone());
    call.banner(&format!("Purging queue '{queue}' in vhost '{vhost}' ..."))?;
    match call.api.delete(&ApiPath::of(&["queues", &vhost, &queue, "contents"])) {
        Err(ApiError::NotFound { .. }) => Err(Failure::unavailable("not_found")),
        other => Ok(other?),
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let (queue, vhost) = (call.word(0), call.vhost.clone());
    let if_empty = call.has("if-empty") || call.has("e");
    let if_unused = call.has("if-unused") || call.has("u");
    let conditions = [(if_empty, "if queue is empty "), (if_unused, "if queue is unused ")];
    let conditions: Vec<&str> =
        conditions.iter().filter(|(on, _)| *on).map(|(_, text)| *text).collect();
    let conditions = conditions.join("and ");
    call.banner(&format!("Deleting queue '{queue}' on vhost '{vhost}' {conditions}..."))?;
    let path = ApiPath::of(&["queues", &vhost, &queue]);
    let ready = match call.api.get(&path) {
        Err(ApiError::NotFound { .. }) => return Err(Failure::new(EXIT_USAGE, "Queue not found")),
        other => field(&other?, "messages_ready").as_u64().unwrap_or(0),
    };
    let path = if if_empty { path.with("if-empty", "true") } else { path };
    let path = if if_unused { path.with("if-unused", "true") } else { path };
    call.api.delete(&path)?;
    call.result(&format!("Queue was successfully deleted with {ready} ready messages"))
}

/// A message is looked at and put back: those before it, too.
pub(super) fn peek(call: &mut Call<'_>) -> Result<(), Failure> {
    let (queue, vhost, node) = (call.word(0), call.vhost.clone(), call.node.clone());
    let position: usize = call
        .word(1)
        .parse()
        .ok()
        .filter(|position| *position > 0)
        .ok_or_else(|| Failure::data("the position must be a number from 1"))?;
    call.banner(&format!(
        "Peeking at quorum queue {queue} at position {position} on node {node} ..."
    ))?;
    let path = ApiPath::of(&["queues", &vhost, &queue, "get"]);
    let body = json!({ "count": position, "ackmode": "ack_requeue_true", "encoding": "auto" });
    let messages = match call.api.post(&path, &body) {
        Err(ApiError::NotFound { .. }) => {
            let problem = format!("Target queue was not found in virtual host '{vhost}'");
            return Err(Failure::unavailable(&problem));
        }
        other => other?,
    };
    let Some(message) = messages.get(position - 1) else {
        return Err(Failure::unavailable(&format!(
            "Message at position {position} was not found in queue '{queue}'"
        )));
    };
    for name in ["exchange", "routing_key", "redelivered", "properties", "payload_bytes", "payload"]
    {
        let value = match field(message, name) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        call.line(&format!("{name}\t{value}"))?;
    }
    Ok(())
}

pub(super) fn quorum_status(call: &mut Call<'_>) -> Result<(), Failure> {
    let (queue, vhost, node) = (call.word(0), call.vhost.clone(), call.node.clone());
    call.banner(&format!("Status of quorum queue {queue} on node {node} ..."))?;
    let queue = match call.api.get(&ApiPath::of(&["queues", &vhost, &queue])) {
        Err(ApiError::NotFound { .. }) => return Err(Failure::unavailable("not_found")),
        other => other?,
    };
    if field(&queue, "type") != "quorum" {
        return Err(Failure::unavailable("Cannot get quorum status of a classic queue"));
    }
    call.line("Node Name\tRaft State\tMembership")?;
    call.line(&format!("{node}\tleader\tvoter"))
}

/// There is one node: its queues are where they belong.
pub(super) fn rebalance(call: &mut Call<'_>) -> Result<(), Failure> {
    let kind = call.word(0);
    let kind = if kind == "all" { "all queues".to_owned() } else { format!("{kind} queues") };
    call.banner(&format!("Re-balancing leaders of {kind}..."))
}
