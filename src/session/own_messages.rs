//! Messages that the broker itself publishes: copies of others, and what happened.

use std::slice;
use std::time::Instant;

use amqp_codec::{BasicProperties, FieldTable, ShortString};
use bytes::{Bytes, BytesMut};

use super::host::Host;
use crate::broker::effect::Effects;
use crate::broker::message::{Message, MessageParts};
use crate::broker::routing::{Publication, Router};
use crate::broker::vhost::VHost;

/// A message of the broker's own.
#[derive(Debug)]
pub(super) struct OwnMessage<'a> {
    /// An exchange; one that is internal will do, and one that is not there leads nowhere.
    pub(super) exchange: &'static str,
    pub(super) routing_key: ShortString,
    pub(super) headers: FieldTable,
    /// In seconds since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) persistent: bool,
    /// The body, in this order.
    pub(super) body: &'a [u8],
    pub(super) segments: &'a [Bytes],
}

impl Host {
    /// Publishes a message of the broker's own. Nobody is told if no queue gets it.
    pub(super) fn publish_own(&self, vhost: &VHost, own: OwnMessage<'_>, now: Instant) {
        let exchange = ShortString::truncated(own.exchange);
        let key = own.routing_key.as_bytes();
        let mut properties = BytesMut::new();
        BasicProperties {
            headers: Some(own.headers),
            delivery_mode: own.persistent.then_some(2),
            timestamp: own.timestamp,
            ..BasicProperties::default()
        }
        .encode(&mut properties);
        let publication =
            Publication { exchange: &exchange, routing_keys: &[key], properties: &properties, now };
        let route = vhost.route_as_broker(&mut Router::default(), &publication);
        if route.queues.is_empty() && !route.is_recorded() {
            return;
        }
        let message = Message::new(MessageParts {
            exchange_len: exchange.wire_len(),
            routing_key_len: own.routing_key.wire_len(),
            properties_len: u32::try_from(properties.len()).unwrap_or(u32::MAX),
            bytes: &[exchange.as_bytes(), key, &properties, own.body].concat(),
            segments: own.segments,
            persistent: own.persistent,
            priority: 0,
            extras: None,
        });
        if route.is_recorded() {
            route.record(&message, &message.routing_keys());
        }
        let _unit = (own.persistent && route.queues.len() > 1).then(|| self.store.unit());
        self.use_memory(message.memory());
        message.enter(u32::try_from(route.queues.len()).unwrap_or(u32::MAX));
        for queue in &route.queues {
            let mut effects = Effects::default();
            queue.state.lock().enqueue(slice::from_ref(&message), now, &mut effects);
            self.carry_out(queue, &mut effects, now);
        }
    }
}
