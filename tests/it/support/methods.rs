//! Methods with only what matters in them; the rest by struct update.

use super::{BasicProperties, FieldTable, FieldValue, ShortString, basic, exchange, queue};

pub(crate) fn short(text: impl AsRef<str>) -> ShortString {
    ShortString::new(text.as_ref()).expect("at most 255 octets")
}

pub(crate) fn table<'a>(entries: impl IntoIterator<Item = (&'a str, FieldValue)>) -> FieldTable {
    entries.into_iter().map(|(name, value)| (short(name), value)).collect()
}

/// No properties but these headers.
pub(crate) fn with_headers<'a>(
    entries: impl IntoIterator<Item = (&'a str, FieldValue)>,
) -> BasicProperties {
    BasicProperties { headers: Some(table(entries)), ..BasicProperties::default() }
}

/// An array of texts, as `CC` and `routing-keys` are.
pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> FieldValue {
    FieldValue::Array(texts.into_iter().map(FieldValue::from).collect())
}

/// A transient queue; RabbitMQ's clients call that `durable=False`.
pub(crate) fn declare_queue(name: impl AsRef<str>) -> queue::Declare {
    queue::Declare { queue: short(name), ..queue::Declare::default() }
}

pub(crate) fn declare_queue_with<'a>(
    name: impl AsRef<str>,
    arguments: impl IntoIterator<Item = (&'a str, FieldValue)>,
) -> queue::Declare {
    queue::Declare { arguments: table(arguments), ..declare_queue(name) }
}

pub(crate) fn check_queue(name: impl AsRef<str>) -> queue::Declare {
    queue::Declare { passive: true, ..declare_queue(name) }
}

pub(crate) fn declare_ok(name: impl AsRef<str>, ready: u32, consumers: u32) -> queue::DeclareOk {
    queue::DeclareOk { queue: short(name), message_count: ready, consumer_count: consumers }
}

pub(crate) fn delete_queue(name: impl AsRef<str>) -> queue::Delete {
    queue::Delete { queue: short(name), ..queue::Delete::default() }
}

pub(crate) fn purge_queue(name: impl AsRef<str>) -> queue::Purge {
    queue::Purge { queue: short(name), no_wait: false }
}

pub(crate) fn bind_queue(
    queue: impl AsRef<str>,
    exchange: impl AsRef<str>,
    key: impl AsRef<str>,
) -> queue::Bind {
    queue::Bind {
        queue: short(queue),
        exchange: short(exchange),
        routing_key: short(key),
        ..queue::Bind::default()
    }
}

pub(crate) fn unbind_queue(
    queue: impl AsRef<str>,
    exchange: impl AsRef<str>,
    key: impl AsRef<str>,
) -> queue::Unbind {
    queue::Unbind {
        queue: short(queue),
        exchange: short(exchange),
        routing_key: short(key),
        arguments: FieldTable::new(),
    }
}

pub(crate) fn declare_exchange(name: impl AsRef<str>, kind: &str) -> exchange::Declare {
    exchange::Declare { exchange: short(name), kind: short(kind), ..exchange::Declare::default() }
}

pub(crate) fn check_exchange(name: impl AsRef<str>) -> exchange::Declare {
    exchange::Declare { passive: true, ..declare_exchange(name, "direct") }
}

pub(crate) fn delete_exchange(name: impl AsRef<str>) -> exchange::Delete {
    exchange::Delete { exchange: short(name), ..exchange::Delete::default() }
}

/// Messages go from `source` to `destination`.
pub(crate) fn bind_exchange(
    destination: impl AsRef<str>,
    source: impl AsRef<str>,
    key: impl AsRef<str>,
) -> exchange::Bind {
    exchange::Bind {
        destination: short(destination),
        source: short(source),
        routing_key: short(key),
        ..exchange::Bind::default()
    }
}

pub(crate) fn unbind_exchange(
    destination: impl AsRef<str>,
    source: impl AsRef<str>,
    key: impl AsRef<str>,
) -> exchange::Unbind {
    exchange::Unbind {
        destination: short(destination),
        source: short(source),
        routing_key: short(key),
        ..exchange::Unbind::default()
    }
}

pub(crate) fn to_exchange(exchange: impl AsRef<str>, key: impl AsRef<str>) -> basic::Publish {
    basic::Publish {
        exchange: short(exchange),
        routing_key: short(key),
        ..basic::Publish::default()
    }
}

/// Through the default exchange.
pub(crate) fn to_queue(queue: impl AsRef<str>) -> basic::Publish {
    to_exchange("", queue)
}

pub(crate) fn mandatory(publish: basic::Publish) -> basic::Publish {
    basic::Publish { mandatory: true, ..publish }
}

pub(crate) fn consume(queue: impl AsRef<str>, tag: impl AsRef<str>) -> basic::Consume {
    basic::Consume { queue: short(queue), consumer_tag: short(tag), ..basic::Consume::default() }
}

pub(crate) fn consume_with<'a>(
    queue: impl AsRef<str>,
    tag: impl AsRef<str>,
    arguments: impl IntoIterator<Item = (&'a str, FieldValue)>,
) -> basic::Consume {
    basic::Consume { arguments: table(arguments), ..consume(queue, tag) }
}

/// Without acknowledgement.
pub(crate) fn consume_freely(queue: impl AsRef<str>, tag: impl AsRef<str>) -> basic::Consume {
    basic::Consume { no_ack: true, ..consume(queue, tag) }
}

pub(crate) fn cancel(tag: impl AsRef<str>) -> basic::Cancel {
    basic::Cancel { consumer_tag: short(tag), no_wait: false }
}

/// Without acknowledgement.
pub(crate) fn get(queue: impl AsRef<str>) -> basic::Get {
    basic::Get { queue: short(queue), no_ack: true }
}

/// To be acknowledged.
pub(crate) fn get_to_ack(queue: impl AsRef<str>) -> basic::Get {
    basic::Get { queue: short(queue), no_ack: false }
}

pub(crate) fn prefetch(prefetch_count: u16) -> basic::Qos {
    basic::Qos { prefetch_size: 0, prefetch_count, global: false }
}

pub(crate) fn channel_prefetch(prefetch_count: u16) -> basic::Qos {
    basic::Qos { prefetch_size: 0, prefetch_count, global: true }
}

pub(crate) fn ack(delivery_tag: u64) -> basic::Ack {
    basic::Ack { delivery_tag, multiple: false }
}

pub(crate) fn ack_multiple(delivery_tag: u64) -> basic::Ack {
    basic::Ack { delivery_tag, multiple: true }
}

pub(crate) fn reject(delivery_tag: u64) -> basic::Reject {
    basic::Reject { delivery_tag, requeue: false }
}

pub(crate) fn requeue(delivery_tag: u64) -> basic::Reject {
    basic::Reject { delivery_tag, requeue: true }
}

pub(crate) fn nack(delivery_tag: u64, multiple: bool, requeue: bool) -> basic::Nack {
    basic::Nack { delivery_tag, multiple, requeue }
}
