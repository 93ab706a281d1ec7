//! A binding as JSON.

use amqp_codec::ShortString;
use serde_json::{Value, json};

use super::text;
use crate::broker::binding::{Binding, Destination};
use crate::broker::json::table;
use crate::http::properties_key::properties_key;

/// A binding that somebody made.
pub(in crate::http) fn binding(vhost: &ShortString, binding: &Binding) -> Value {
    let (kind, destination) = match &binding.destination {
        Destination::Queue(queue) => ("queue", &queue.name),
        Destination::Exchange(name) => ("exchange", name),
    };
    json!({
        "source": text(&binding.source),
        "vhost": text(vhost),
        "destination": text(destination),
        "destination_type": kind,
        "routing_key": text(&binding.routing_key),
        "arguments": table(&binding.arguments).json,
        "properties_key": properties_key(&binding.routing_key, &binding.arguments),
    })
}

/// The binding of a queue to the default exchange, which nobody made.
pub(in crate::http) fn default_binding(vhost: &ShortString, queue: &ShortString) -> Value {
    json!({
        "source": "",
        "vhost": text(vhost),
        "destination": text(queue),
        "destination_type": "queue",
        "routing_key": text(queue),
        "arguments": {},
        "properties_key": properties_key(queue, &amqp_codec::FieldTable::default()),
    })
}
