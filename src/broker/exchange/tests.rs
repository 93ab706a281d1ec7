//! What the tests of several exchange types need.

use std::time::Instant;

use amqp_codec::{BasicProperties, FieldTable, FieldValue, ShortString};
use bytes::BytesMut;

use crate::broker::message::{Message, MessageParts};

#[expect(clippy::disallowed_methods)]
pub(super) fn origin() -> Instant {
    Instant::now()
}

pub(super) fn arguments(args: &[(&'static str, FieldValue)]) -> FieldTable {
    args.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect()
}

/// Raw properties with these headers.
pub(in crate::broker) fn properties(headers: &[(&'static str, FieldValue)]) -> Vec<u8> {
    let mut raw = BytesMut::new();
    let headers = (!headers.is_empty()).then(|| arguments(headers));
    BasicProperties { headers, ..BasicProperties::default() }.encode(&mut raw);
    raw.to_vec()
}

pub(super) fn message(routing_key: &str, properties: &[u8], body: &str) -> Message {
    let bytes = [routing_key.as_bytes(), properties, body.as_bytes()].concat();
    Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: u8::try_from(routing_key.len()).unwrap(),
        properties_len: u32::try_from(properties.len()).unwrap(),
        bytes: &bytes,
        segments: &[],
        persistent: false,
        priority: 0,
        extras: None,
    })
}
