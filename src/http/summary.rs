//! What a vhost comes to, its queues summed up.

use crate::broker::policy::QueueKind;
use crate::broker::queue::{QueueCounts, QueueReport, Totals};
use crate::broker::time::Timestamp;
use crate::broker::traffic::VHostTotals;
use crate::broker::vhost::VHost;
use crate::session::{Counted, Host};

/// What a vhost comes to, or several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) ready: u64,
    pub(super) unacked: u64,
    pub(super) ready_bytes: u64,
    pub(super) unacked_bytes: u64,
    pub(super) paged: u64,
    pub(super) paged_bytes: u64,
    pub(super) memory: u64,
    pub(super) consumers: u64,
    pub(super) queues: u64,
    pub(super) exchanges: u64,
    /// Of the queues that are there and of those that are gone.
    pub(super) classic: Totals,
    pub(super) quorum: Totals,
    pub(super) totals: VHostTotals,
}

impl Summary {
    /// What the broker comes to, with what was counted in vhosts that were deleted.
    ///
    /// Cost: a look at every queue.
    pub(super) fn of_broker(host: &Host) -> Self {
        let counted = host.counted();
        let mut all = Self::of_departed(&counted);
        counted.vhosts.iter().for_each(|vhost| all.add(&Self::of(vhost)));
        all
    }

    /// What was counted in vhosts that were deleted.
    pub(super) fn of_departed(counted: &Counted) -> Self {
        let mut all = Self::default();
        all.add_traffic(counted.gone);
        counted.departed.iter().for_each(|vhost| all.add(&Self::of(vhost)));
        all
    }

    /// Cost: a look at every queue.
    pub(super) fn of(vhost: &VHost) -> Self {
        let mut summary = Self::default();
        for queue in vhost.queues() {
            let report = queue.state.lock().report();
            summary.add_queue(queue.kind(), &report);
        }
        // After the queues: one that went meanwhile is counted twice rather than not at all.
        summary.add_traffic(vhost.traffic().read());
        summary.exchanges = vhost.exchange_count() as u64;
        summary
    }

    fn add_traffic(&mut self, totals: VHostTotals) {
        self.classic.add(&totals.gone_classic);
        self.quorum.add(&totals.gone_quorum);
        self.totals.add(&totals);
    }

    fn add_queue(&mut self, kind: QueueKind, report: &QueueReport) {
        self.ready += report.counts.ready as u64;
        self.unacked += report.counts.unacked as u64;
        self.ready_bytes += report.ready_bytes;
        self.unacked_bytes += report.unacked_bytes;
        self.paged += report.ready_paged as u64;
        self.paged_bytes += report.ready_paged_bytes;
        self.memory += report.memory;
        self.consumers += report.counts.consumers as u64;
        self.queues += 1;
        match kind {
            QueueKind::Quorum => self.quorum.add(&report.totals),
            _ => self.classic.add(&report.totals),
        }
    }

    /// Adds another vhost.
    pub(super) fn add(&mut self, more: &Self) {
        self.ready += more.ready;
        self.unacked += more.unacked;
        self.ready_bytes += more.ready_bytes;
        self.unacked_bytes += more.unacked_bytes;
        self.paged += more.paged;
        self.paged_bytes += more.paged_bytes;
        self.memory += more.memory;
        self.consumers += more.consumers;
        self.queues += more.queues;
        self.exchanges += more.exchanges;
        self.classic.add(&more.classic);
        self.quorum.add(&more.quorum);
        self.totals.add(&more.totals);
    }

    /// All queues as if they were one.
    pub(super) fn as_one_queue(&self) -> QueueReport {
        let as_count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        QueueReport {
            counts: QueueCounts {
                ready: as_count(self.ready),
                unacked: as_count(self.unacked),
                scheduled: 0,
                departing: 0,
                consumers: as_count(self.consumers),
            },
            totals: self.all_queues(),
            ready_bytes: self.ready_bytes,
            unacked_bytes: self.unacked_bytes,
            ready_paged: as_count(self.paged),
            ready_paged_bytes: self.paged_bytes,
            memory: self.memory,
            last_used: Timestamp(0),
            has_exclusive_consumer: false,
            is_single_active: false,
        }
    }

    /// What became of the messages of all queues.
    pub(super) fn all_queues(&self) -> Totals {
        let mut all = self.classic;
        all.add(&self.quorum);
        all
    }
}
