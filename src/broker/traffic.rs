//! What went through an exchange and a vhost: counters that many clients add to, a batch at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::policy::QueueKind;
use super::queue::Totals;

/// What was published to an exchange by clients.
#[derive(Debug, Default)]
pub struct ExchangeTraffic {
    published_in: AtomicU64,
    published_out: AtomicU64,
}

impl ExchangeTraffic {
    /// Messages came in, and went to queues, each counted as often as it did.
    pub fn count(&self, published_in: u64, published_out: u64) {
        self.published_in.fetch_add(published_in, Ordering::Relaxed);
        self.published_out.fetch_add(published_out, Ordering::Relaxed);
    }

    /// Messages that came in, and how often these went to queues.
    pub fn read(&self) -> (u64, u64) {
        (self.published_in.load(Ordering::Relaxed), self.published_out.load(Ordering::Relaxed))
    }
}

/// What publishers did, and what became of it before it reached any queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishTotals {
    /// Messages received.
    pub published: u64,
    /// Those among them that are to be confirmed.
    pub published_for_confirm: u64,
    /// Those among them that some queue was found for.
    pub routed: u64,
    /// Confirms sent.
    pub confirmed: u64,
    /// Messages that no queue was found for and that were given back.
    pub returned: u64,
    /// Messages that no queue was found for and that were dropped.
    pub dropped: u64,
}

impl PublishTotals {
    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        self.published += more.published;
        self.published_for_confirm += more.published_for_confirm;
        self.routed += more.routed;
        self.confirmed += more.confirmed;
        self.returned += more.returned;
        self.dropped += more.dropped;
    }
}

/// What comes, and what came and went, in a vhost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VHostTotals {
    /// What publishers did.
    pub publishes: PublishTotals,
    /// Declarations of queues, of those that were there as well.
    pub queues_declared: u64,
    /// Queues that were made.
    pub queues_created: u64,
    /// Queues that were deleted.
    pub queues_deleted: u64,
    /// What became of the messages of classic queues that are gone.
    pub gone_classic: Totals,
    /// The same of quorum queues.
    pub gone_quorum: Totals,
}

impl VHostTotals {
    /// Adds those of another vhost.
    pub fn add(&mut self, more: &Self) {
        self.publishes.add(&more.publishes);
        self.queues_declared += more.queues_declared;
        self.queues_created += more.queues_created;
        self.queues_deleted += more.queues_deleted;
        self.gone_classic.add(&more.gone_classic);
        self.gone_quorum.add(&more.gone_quorum);
    }
}

/// The counters of a vhost. Their lock is a leaf: clients take it once a batch, for a few additions.
#[derive(Debug, Default)]
pub struct VHostTraffic(Mutex<VHostTotals>);

impl VHostTraffic {
    /// What was counted so far.
    pub fn read(&self) -> VHostTotals {
        *self.0.lock()
    }

    /// A batch of publishes, or of confirms.
    pub fn published(&self, publishes: &PublishTotals) {
        self.0.lock().publishes.add(publishes);
    }

    pub(super) fn queue_declared(&self, is_new: bool) {
        let mut totals = self.0.lock();
        totals.queues_declared += 1;
        totals.queues_created += u64::from(is_new);
    }

    pub(super) fn queue_deleted(&self, kind: QueueKind, its: &Totals) {
        let mut totals = self.0.lock();
        totals.queues_deleted += 1;
        match kind {
            QueueKind::Quorum => totals.gone_quorum.add(its),
            _ => totals.gone_classic.add(its),
        }
    }
}
