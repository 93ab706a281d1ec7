//! From an exchange to queues: bindings, exchange-to-exchange bindings, alternate exchanges.

use std::collections::HashSet;
use std::sync::Arc;

use amqp_codec::ShortString;
use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::binding::Destination;
use super::queue_cell::QueueCell;
use super::topology::Topology;

/// The queues for a message, each once. Most messages go to one.
pub type QueueSet = SmallVec<[Arc<QueueCell>; 1]>;

/// What routing needs to know of a message that is being published.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The exchange it is published to; the empty name is the default exchange.
    pub exchange: &'a ShortString,
    /// The routing key of the publish first, then those that its headers add (`CC`, `BCC`).
    pub routing_keys: &'a [&'a [u8]],
    /// The raw properties: flags and list.
    pub properties: &'a [u8],
    /// When it is published.
    pub now: std::time::Instant,
}

/// Where a message goes, and how long that holds.
#[derive(Debug, Clone)]
pub struct Route {
    /// The queues, each once, in an order that is the same for every publisher.
    pub queues: QueueSet,
    /// The topology it was found in; see [`VHost::version`](super::vhost::VHost::version).
    pub version: u64,
    /// The exchange and the routing key decided alone, so it holds for the next message with both.
    pub by_key_alone: bool,
}

/// Walks the exchanges for a message. Kept by each channel for its buffers.
#[derive(Debug, Default)]
pub struct Router {
    /// Exchanges met so far, each once: this is what makes cycles end.
    visited: Vec<ShortString>,
    /// The same as a set, once there are too many of them to look through.
    seen: HashSet<ShortString, RandomState>,
}

/// Up to so many exchanges on a message's way, looking through them costs less than hashing.
const FEW: usize = 16;

impl Router {
    /// The queues that a message to `exchange` reaches, and whether headers played no part.
    ///
    /// As in RabbitMQ an alternate exchange takes over for each exchange that matched no binding at
    /// all, and an alternate that does not exist swallows the message.
    pub(super) fn walk(
        &mut self,
        topology: &Topology,
        exchange: &ShortString,
        routing_key: &[u8],
        properties: &[u8],
    ) -> (QueueSet, bool) {
        let mut queues = QueueSet::new();
        let mut by_key_alone = true;
        self.visited.clear();
        self.seen.clear();
        self.visited.push(exchange.clone());
        let mut next = 0;
        while next < self.visited.len() {
            let exchange = topology.find(&self.visited[next]);
            next += 1;
            let Some(exchange) = exchange else { continue };
            by_key_alone &= !exchange.reads_headers();
            let mut matched = false;
            exchange.matches(routing_key, properties, &mut |id| {
                matched = true;
                match topology.binding(id).map(|binding| &binding.destination) {
                    Some(Destination::Queue(queue)) => queues.push(Arc::clone(queue)),
                    Some(Destination::Exchange(name)) => self.visit(name),
                    None => debug_assert!(false, "a matcher holds only bindings that exist"),
                }
            });
            if !matched && let Some(alternate) = &exchange.alternate {
                self.visit(alternate);
            }
        }
        if queues.len() > 1 {
            queues.sort_unstable_by_key(|queue| queue.id);
            queues.dedup_by_key(|queue| queue.id);
        }
        (queues, by_key_alone)
    }

    fn visit(&mut self, exchange: &ShortString) {
        if self.visited.len() < FEW {
            if !self.visited.contains(exchange) {
                self.visited.push(exchange.clone());
            }
            return;
        }
        if self.seen.is_empty() {
            self.seen.extend(self.visited.iter().cloned());
        }
        if self.seen.insert(exchange.clone()) {
            self.visited.push(exchange.clone());
        }
    }
}
