//! What leads from an exchange to a queue or to another exchange.

use std::sync::Arc;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use bytes::BytesMut;

use super::queue_cell::QueueCell;
use super::stored_key::StoredKey;

/// The number of a binding within its vhost, as matchers hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u32);

/// Where a binding leads.
#[derive(Debug, Clone)]
pub enum Destination {
    /// To a queue.
    Queue(Arc<QueueCell>),
    /// To another exchange of the same vhost.
    Exchange(ShortString),
}

/// One binding.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The exchange it leads from.
    pub source: ShortString,
    /// Where it leads.
    pub destination: Destination,
    /// The routing key, or pattern, it was made with.
    pub routing_key: ShortString,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// What makes a binding the same binding within its source: destination, routing key and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BindingKey {
    to_queue: bool,
    destination: ShortString,
    routing_key: ShortString,
    arguments: Vec<u8>,
}

impl BindingKey {
    /// The key of a binding with these parts.
    pub fn new(
        destination: &Destination,
        routing_key: &ShortString,
        arguments: &FieldTable,
    ) -> Self {
        let destination = match destination {
            Destination::Queue(queue) => (true, &queue.name),
            Destination::Exchange(name) => (false, name),
        };
        Self::of_names(destination, routing_key, arguments)
    }

    /// The same, where the destination is a name and whether it is a queue's.
    pub(super) fn of_names(
        (to_queue, destination): (bool, &ShortString),
        routing_key: &ShortString,
        arguments: &FieldTable,
    ) -> Self {
        let (destination, routing_key) = (destination.clone(), routing_key.clone());
        Self { to_queue, destination, routing_key, arguments: canonical(arguments) }
    }

    /// Puts it at the end of a key.
    pub(super) fn put(&self, key: StoredKey) -> Vec<u8> {
        let key = key.octet(if self.to_queue { b'q' } else { b'e' });
        key.name(&self.destination).name(&self.routing_key).rest(&self.arguments)
    }
}

/// Arguments as bytes that are equal exactly when the arguments are, in whatever order they came.
fn canonical(arguments: &FieldTable) -> Vec<u8> {
    if arguments.is_empty() {
        return Vec::new();
    }
    let mut fields: Vec<(&ShortString, &FieldValue)> =
        arguments.iter().map(|(name, value)| (name, value)).collect();
    fields.sort_by_key(|(name, _)| *name);
    let sorted: FieldTable =
        fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut bytes = BytesMut::new();
    sorted.encode(&mut bytes);
    bytes.to_vec()
}
