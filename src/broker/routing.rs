//! From an exchange to queues: bindings, exchange-to-exchange bindings, alternate exchanges.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::binding::Destination;
use super::deduplication::DeduplicationWindow;
use super::exchange::{Exchange, History, Verdict};
use super::message::Message;
use super::message_header::header;
use super::queue_cell::QueueCell;
use super::topology::Topology;
use super::traffic::ExchangeTraffic;
use super::value_bytes::value_bytes;

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
    pub now: Instant,
}

/// Where a message goes, and how long that holds.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// The queues, each once, in an order that is the same for every publisher.
    pub queues: QueueSet,
    /// The topology it was found in; see [`VHost::version`](super::vhost::VHost::version).
    pub version: u64,
    /// The exchange and the routing key decided alone, so it holds for the next message with both.
    pub by_key_alone: bool,
    /// The windows of the deduplication exchanges that have noted the message.
    pub noted_in: Vec<Arc<Mutex<DeduplicationWindow>>>,
    /// A deduplication exchange knew the message already: that no queue gets it is as it should be.
    pub duplicate: bool,
    /// Some of the queues are durable: a persistent message is stored.
    pub durable: bool,
    /// The recent-history exchanges on the way; see [`Route::record`].
    pub histories: Vec<Arc<History>>,
    /// Of the exchange that it begins with; none where that does not exist.
    pub traffic: Option<Arc<ExchangeTraffic>>,
}

impl Route {
    /// Whether finding it again would give another one: a deduplication exchange has noted the message.
    pub fn is_once(&self) -> bool {
        !self.noted_in.is_empty()
    }

    /// A queue refused the message, and its publisher is told so: when it comes again it is no
    /// duplicate.
    pub fn forget(&self, message: &Message) {
        self.each_window(message, |window, key| {
            window.remove(key);
        });
    }

    /// The queues have recorded the message: that it was seen may be stored, too. To be called within
    /// the unit of records that the message was recorded in, so that neither is there without the
    /// other, and before its publisher asks when it is safe.
    pub fn write_down(&self, message: &Message) {
        self.each_window(message, DeduplicationWindow::write_down);
    }

    fn each_window(&self, message: &Message, act: impl Fn(&mut DeduplicationWindow, &[u8])) {
        if self.noted_in.is_empty() {
            return;
        }
        if let Some(key) = header(message.properties(), "x-deduplication-header") {
            let key = value_bytes(&key);
            self.noted_in.iter().for_each(|window| act(&mut window.lock(), &key));
        }
    }

    /// Whether a mandatory message is to be returned. A duplicate is not: its publisher is told
    /// what it was told of the first one.
    pub fn is_unroutable(&self) -> bool {
        self.queues.is_empty() && !self.duplicate
    }

    /// Whether the message must be stored although no queue takes it.
    pub fn is_recorded(&self) -> bool {
        !self.histories.is_empty()
    }

    /// Shows the message to the recent-history exchanges it passed. For every message that takes
    /// this route, whether or not any queue does; `routing_keys` as in [`Publication`].
    pub fn record(&self, message: &Message, routing_keys: &[&[u8]]) {
        for history in &self.histories {
            history.record(message, routing_keys);
        }
    }
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

/// From so many matches on, queues that several keys reach are not left to pile up.
const MANY: usize = 1024;

impl Router {
    /// The route of a message, found in the `version` of the topology.
    ///
    /// As in RabbitMQ an alternate exchange takes over for each exchange where no routing key
    /// matched any binding, and an alternate that does not exist swallows the message.
    pub(super) fn walk(
        &mut self,
        topology: &Topology,
        publication: &Publication<'_>,
        version: u64,
    ) -> Route {
        let several_keys = publication.routing_keys.len() > 1;
        let mut route = Route { version, by_key_alone: !several_keys, ..Route::default() };
        self.visited.clear();
        self.seen.clear();
        self.visited.push(publication.exchange.clone());
        route.traffic = topology.find(publication.exchange).map(|it| Arc::clone(it.traffic()));
        let mut next = 0;
        let mut settled = 0;
        while next < self.visited.len() {
            let exchange = topology.find(&self.visited[next]);
            next += 1;
            let Some(exchange) = exchange else { continue };
            route.passes(exchange);
            let mut matched = false;
            let queues = &mut route.queues;
            let verdict = exchange.matches(publication, &mut |id| {
                matched = true;
                match topology.binding(id).map(|binding| &binding.destination) {
                    Some(Destination::Queue(queue)) => {
                        queues.push(Arc::clone(queue));
                        if several_keys && queues.len() >= 2 * settled + MANY {
                            settled = each_once(queues);
                        }
                    }
                    Some(Destination::Exchange(name)) => self.visit(name),
                    None => debug_assert!(false, "a matcher holds only bindings that exist"),
                }
            });
            match verdict {
                Verdict::Duplicate => route.duplicate = true,
                Verdict::Matched if matched => {
                    route.noted_in.extend(exchange.deduplication_window().cloned());
                }
                Verdict::Matched => exchange.alternate.iter().for_each(|name| self.visit(name)),
            }
        }
        each_once(&mut route.queues);
        route.durable = has_durable(&route.queues);
        route
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

impl Route {
    /// Notes what an exchange on the way means for the whole route.
    fn passes(&mut self, exchange: &Exchange) {
        self.by_key_alone &= exchange.is_decided_by_key();
        self.histories.extend(exchange.history().cloned());
    }
}

/// Whether a persistent message in these queues is stored.
pub(super) fn has_durable(queues: &QueueSet) -> bool {
    queues.iter().any(|queue| queue.properties.durable)
}

/// Leaves every queue once; how many there are.
pub(super) fn each_once(queues: &mut QueueSet) -> usize {
    if queues.len() > 1 {
        queues.sort_unstable_by_key(|queue| queue.id);
        queues.dedup_by_key(|queue| queue.id);
    }
    queues.len()
}
