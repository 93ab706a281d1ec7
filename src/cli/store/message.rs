//! A message as a line of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::broker::json::{name, properties};
use crate::broker::message::Message;
use crate::broker::time::Timestamp;
use crate::store::Place;

/// A message, with RabbitMQ's names of what its HTTP API has, too.
#[derive(Debug, Serialize)]
pub(super) struct MessageLine {
    kind: &'static str,
    /// No vhost and no name: nobody defined the queue.
    vhost: Option<Value>,
    queue: Option<Value>,
    queue_id: u64,
    position: u64,
    /// ready, scheduled or unacknowledged.
    state: &'static str,
    exchange: Value,
    routing_key: Value,
    redelivered: bool,
    /// Times it was delivered and came back.
    delivery_count: u32,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<u64>,
    /// Where copies went without the receivers' knowledge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blind_copies: Vec<Value>,
    properties: Value,
    /// Flags and list as AMQP encodes them, in base64, where JSON lacks something.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties_amqp: Option<String>,
    payload_bytes: u64,
    payload_encoding: &'static str,
    payload: String,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) vhost: Option<&'a Value>,
    pub(super) queue: Option<&'a Value>,
    pub(super) queue_id: u64,
    pub(super) position: u64,
    pub(super) place: Place,
}

impl MessageLine {
    pub(super) fn new(standing: Standing<'_>, message: &Message) -> Self {
        let Standing { vhost, queue, queue_id, position, place } = standing;
        let raw = message.properties();
        // What is no property list was refused when it came.
        let shown = properties(raw).ok();
        let is_exact = shown.as_ref().is_some_and(|shown| shown.is_exact);
        let (payload_encoding, payload) = payload(message);
        Self {
            kind: "message",
            vhost: vhost.cloned(),
            queue: queue.cloned(),
            queue_id,
            position,
            state: match place.due {
                Some(_) => "scheduled",
                None if place.delivered => "unacknowledged",
                None => "ready",
            },
            exchange: name(message.exchange()),
            routing_key: name(message.routing_key()),
            redelivered: place.delivered || place.returns > 0,
            delivery_count: place.returns,
            expires_at: Some(place.expires)
                .filter(|expires| *expires != Timestamp::NEVER)
                .map(|expires| expires.0),
            deliver_at: place.due.map(|due| due.0),
            blind_copies: message
                .extras()
                .blind_copies
                .iter()
                .map(|key| name(key.as_bytes()))
                .collect(),
            properties: shown.map_or(Value::Null, |shown| shown.json),
            properties_amqp: (!is_exact).then(|| STANDARD.encode(raw)),
            payload_bytes: message.body_len(),
            payload_encoding,
            payload,
        }
    }
}

/// Text as it is, anything else in base64, and which of the two it is.
fn payload(message: &Message) -> (&'static str, String) {
    let mut body = message.inline_body().to_vec();
    for segment in message.body_segments() {
        body.extend_from_slice(segment);
    }
    match String::from_utf8(body) {
        Ok(text) => ("string", text),
        Err(octets) => ("base64", STANDARD.encode(octets.as_bytes())),
    }
}
