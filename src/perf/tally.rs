//! What a thread counts, and what the threads of a run know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::clock::Nanos;
use super::latency::Latency;

/// Numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Publishes written.
    pub(super) sent: u64,
    /// Publishes that the broker confirmed.
    pub(super) confirmed: u64,
    /// Publishes that the broker refused.
    pub(super) nacked: u64,
    /// Mandatory publishes that came back.
    pub(super) returned: u64,
    /// Deliveries.
    pub(super) received: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.confirmed += other.confirmed;
        self.nacked += other.nacked;
        self.returned += other.returned;
        self.received += other.received;
    }

    /// What was added to an earlier state.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            confirmed: self.confirmed - before.confirmed,
            nacked: self.nacked - before.nacked,
            returned: self.returned - before.returned,
            received: self.received - before.received,
        }
    }
}

/// What was counted and measured since it was last taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) confirm_latency: Latency,
    pub(super) latency: Latency,
    /// The most publishes of one publisher that waited for confirms.
    pub(super) unconfirmed_max: usize,
    /// When the last publish was written; 0 for none.
    pub(super) last_sent: Nanos,
    /// When the last delivery came; 0 for none.
    pub(super) last_received: Nanos,
    /// When the last confirm came; 0 for none.
    pub(super) last_confirmed: Nanos,
    /// Why the broker reads no publishes, while it does not.
    pub(super) blocked: Option<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.confirm_latency.add(&other.confirm_latency);
        self.latency.add(&other.latency);
        self.unconfirmed_max = self.unconfirmed_max.max(other.unconfirmed_max);
        self.last_sent = self.last_sent.max(other.last_sent);
        self.last_received = self.last_received.max(other.last_received);
        self.last_confirmed = self.last_confirmed.max(other.last_confirmed);
        self.blocked.clone_from(&other.blocked);
    }

    /// Takes what was counted, into a tally that is clear. What the broker blocks for stays known.
    pub(super) fn take_into(&mut self, clear: &mut Self) {
        clear.blocked.clone_from(&self.blocked);
        std::mem::swap(self, clear);
    }

    /// Starts again from nothing.
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        self.confirm_latency.clear();
        self.latency.clear();
    }
}

/// What all threads of a phase need to know to see its end.
#[derive(Debug)]
pub(super) struct Goal {
    /// Publishers that have not finished.
    publishers_left: AtomicUsize,
    /// Publishes that the broker keeps, as far as is known.
    accepted: AtomicU64,
    received: AtomicU64,
    /// Deliveries that are waited for, where that does not follow from what is published.
    wanted: Option<u64>,
    /// Deliveries that each publish leads to.
    copies: u64,
    reached: AtomicBool,
    winding_down: AtomicBool,
}

impl Goal {
    pub(super) fn new(publishers: usize, wanted: Option<u64>, copies: u64) -> Self {
        let goal = Self {
            publishers_left: AtomicUsize::new(publishers),
            accepted: AtomicU64::new(0),
            received: AtomicU64::new(0),
            wanted,
            copies,
            reached: AtomicBool::new(false),
            winding_down: AtomicBool::new(false),
        };
        goal.check();
        goal
    }

    /// Takes in what a thread counted since its last call.
    pub(super) fn advance(&self, delta: &Counts, publishers_finished: usize) {
        // Refusals come after what they refuse, so this never goes below zero for long.
        let refused = delta.nacked + delta.returned;
        self.accepted.fetch_add(delta.sent.wrapping_sub(refused), Ordering::Relaxed);
        self.received.fetch_add(delta.received, Ordering::Relaxed);
        self.publishers_left.fetch_sub(publishers_finished, Ordering::Relaxed);
        self.check();
    }

    fn check(&self) {
        let done = self.publishers_left.load(Ordering::Relaxed) == 0
            && self.received.load(Ordering::Relaxed) >= self.wanted();
        if done {
            self.stop();
        }
    }

    /// How many deliveries there are to be, as far as is known by now.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted.unwrap_or_else(|| self.accepted.load(Ordering::Relaxed) * self.copies)
    }

    pub(super) fn stop(&self) {
        self.reached.store(true, Ordering::Release);
    }

    /// Has publishers stop, and consumers go on until they have everything.
    pub(super) fn wind_down(&self) {
        self.winding_down.store(true, Ordering::Release);
    }

    pub(super) fn is_winding_down(&self) -> bool {
        self.winding_down.load(Ordering::Acquire)
    }

    pub(super) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_waited_for() {
        let goal = Goal::new(1, None, 2);
        goal.advance(&Counts { sent: 3, ..Counts::default() }, 0);
        goal.advance(&Counts { received: 4, ..Counts::default() }, 0);
        assert!(!goal.is_reached());
        goal.advance(&Counts { nacked: 1, ..Counts::default() }, 1);
        assert!(goal.is_reached());
    }

    #[test]
    fn with_nothing_to_do_it_is_reached() {
        assert!(Goal::new(0, Some(0), 1).is_reached());
        assert!(!Goal::new(0, Some(1), 1).is_reached());
    }
}
