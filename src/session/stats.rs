//! What is counted of a channel, of a connection, and of all of them.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::routing::Route;
use crate::broker::traffic::{ExchangeTraffic, PublishTotals, VHostTraffic};

/// What a channel did so far. Plain numbers of the task that owns the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelStats {
    /// Messages published.
    pub published: u64,
    /// Confirms sent.
    pub confirmed: u64,
    /// Messages that no queue was found for and that were given back.
    pub returned: u64,
    /// Messages that no queue was found for and that were dropped.
    pub dropped: u64,
    /// Deliveries to consumers that are to be answered.
    pub delivered: u64,
    /// Deliveries to consumers that need no answer.
    pub delivered_automatically: u64,
    /// Messages got with `basic.get`, to be answered.
    pub fetched: u64,
    /// Messages got with `basic.get` that need no answer.
    pub fetched_automatically: u64,
    /// Times that `basic.get` found nothing.
    pub empty_gets: u64,
    /// Those among the deliveries and gets that were not the message's first.
    pub redelivered: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
}

impl Add for ChannelStats {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            published: self.published + more.published,
            confirmed: self.confirmed + more.confirmed,
            returned: self.returned + more.returned,
            dropped: self.dropped + more.dropped,
            delivered: self.delivered + more.delivered,
            delivered_automatically: self.delivered_automatically + more.delivered_automatically,
            fetched: self.fetched + more.fetched,
            fetched_automatically: self.fetched_automatically + more.fetched_automatically,
            empty_gets: self.empty_gets + more.empty_gets,
            redelivered: self.redelivered + more.redelivered,
            acknowledged: self.acknowledged + more.acknowledged,
        }
    }
}

/// Who came and went, since the broker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Churn {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Those among them that are gone.
    pub connections_closed: u64,
    /// Channels that were opened.
    pub channels_opened: u64,
    /// Those among them that are gone.
    pub channels_closed: u64,
    /// Channels that published anything.
    pub publishers_seen: u64,
    /// Those among them that are gone.
    pub publishers_gone: u64,
}

/// Logins, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Logins {
    /// Those that were let in.
    pub succeeded: u64,
    /// Those that were not.
    pub failed: u64,
}

/// The counters behind [`Churn`].
#[derive(Debug, Default)]
pub(super) struct ChurnCounters {
    pub(super) connections_opened: Counter,
    pub(super) connections_closed: Counter,
    pub(super) channels_opened: Counter,
    pub(super) channels_closed: Counter,
    pub(super) publishers_seen: Counter,
    pub(super) publishers_gone: Counter,
    pub(super) logins_succeeded: Counter,
    pub(super) logins_failed: Counter,
}

impl ChurnCounters {
    pub(super) fn logins(&self) -> Logins {
        Logins { succeeded: self.logins_succeeded.read(), failed: self.logins_failed.read() }
    }

    pub(super) fn read(&self) -> Churn {
        // What went is read first: it never seems to be more than what came.
        let (connections_closed, channels_closed, publishers_gone) = (
            self.connections_closed.read(),
            self.channels_closed.read(),
            self.publishers_gone.read(),
        );
        Churn {
            connections_opened: self.connections_opened.read(),
            connections_closed,
            channels_opened: self.channels_opened.read(),
            channels_closed,
            publishers_seen: self.publishers_seen.read(),
            publishers_gone,
        }
    }
}

/// Counts what is rare enough to be counted by everybody in one place.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::SeqCst);
    }

    /// Counts what happens once in a while, where it does.
    pub(super) fn add_once(&self, does: bool) {
        if does {
            self.add(1);
        }
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the publishes of a connection add to the counters of exchanges and its vhost, gathered: these
/// are shared, and are added to once a batch.
#[derive(Debug, Default)]
pub(super) struct Tally {
    exchange: Option<Arc<ExchangeTraffic>>,
    published_in: u64,
    published_out: u64,
    publishes: PublishTotals,
}

impl Tally {
    /// A message was published along a route.
    pub(super) fn published(&mut self, route: &Route, for_confirm: bool) {
        let same = match (&self.exchange, &route.traffic) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        if !same {
            self.flush_exchange();
            self.exchange.clone_from(&route.traffic);
        }
        self.published_in += 1;
        self.published_out += route.queues.len() as u64;
        self.publishes.published += 1;
        self.publishes.published_for_confirm += u64::from(for_confirm);
        self.publishes.routed += u64::from(!route.queues.is_empty());
    }

    /// A reply was published, which goes to whoever asked, past exchanges and queues.
    pub(super) fn replied(&mut self, for_confirm: bool) {
        self.publishes.published += 1;
        self.publishes.published_for_confirm += u64::from(for_confirm);
        self.publishes.routed += 1;
    }

    /// A message went back to its publisher, or nowhere.
    pub(super) fn unroutable(&mut self, mandatory: bool) {
        self.publishes.returned += u64::from(mandatory);
        self.publishes.dropped += u64::from(!mandatory);
    }

    /// Publishes were confirmed.
    pub(super) fn confirmed(&mut self, count: u64) {
        self.publishes.confirmed += count;
    }

    /// Adds what was gathered to where it is shown.
    pub(super) fn flush(&mut self, vhost: &VHostTraffic) {
        self.flush_exchange();
        if self.publishes != PublishTotals::default() {
            vhost.published(&std::mem::take(&mut self.publishes));
        }
    }

    fn flush_exchange(&mut self) {
        let (came, went) =
            (std::mem::take(&mut self.published_in), std::mem::take(&mut self.published_out));
        if let Some(exchange) = self.exchange.as_ref().filter(|_| came > 0) {
            exchange.count(came, went);
        }
    }
}
