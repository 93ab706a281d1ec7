//! Limits that a queue asks about under its lock while a client gives back from outside: shared
//! counters, without a lock of their own.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The bytes that wait in a client's outbox for one consumer, against a bound.
///
/// A consumer at its bound gets nothing more until the client has taken in half of it: a slow reader
/// costs its own turn in the queue and never the process's memory.
#[derive(Debug)]
pub struct OutboxBound {
    bytes: AtomicUsize,
    max: usize,
    stalled: AtomicBool,
}

impl OutboxBound {
    /// A bound of `max` bytes. One delivery always fits, however large.
    pub fn new(max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max, stalled: AtomicBool::new(false) }
    }

    /// Counts a delivery that is about to be handed over; `false` if it is the last for now.
    /// Called by the queue before it hands the delivery to the sink.
    pub fn add(&self, bytes: usize) -> bool {
        let waiting = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if waiting < self.max {
            return true;
        }
        // Set before the delivery is handed over, so whoever takes it out sees it.
        self.stalled.store(true, Ordering::SeqCst);
        false
    }

    /// Whether it would not be reached by so many bytes more. Nothing but the queue adds to them.
    pub fn has_room_behind(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + bytes < self.max
    }

    /// Whether the bound was reached and the queue has not yet been told to go on.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
    }

    /// Counts a delivery that left the outbox; `true` if the queue has to be told that its consumer
    /// may go on ([`Queue::resume`](super::queue::Queue::resume)).
    pub fn remove(&self, bytes: usize) -> bool {
        let waiting = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        waiting <= self.max / 2
            && self.stalled.load(Ordering::SeqCst)
            && self.stalled.swap(false, Ordering::SeqCst)
    }
}

/// How many deliveries a channel may hold unacknowledged over all its consumers: `basic.qos` with
/// `global` set. 0 is no limit.
#[derive(Debug, Default)]
pub struct ChannelCredit {
    limit: AtomicU32,
    used: AtomicU32,
    starved: AtomicBool,
}

impl ChannelCredit {
    /// The limit; 0 is none.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::SeqCst)
    }

    /// Whether there is a limit at all.
    pub fn is_limited(&self) -> bool {
        self.limit.load(Ordering::SeqCst) != 0
    }

    /// Takes the credit for one delivery, if there is any. Called by the queue.
    pub fn take(&self) -> bool {
        if self.try_take() {
            return true;
        }
        // Credit may be given back between the failure and the note; with the note made first, one
        // of the two sides always sees the other.
        self.starved.store(true, Ordering::SeqCst);
        self.try_take()
    }

    fn try_take(&self) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        let take = |used: u32| (limit == 0 || used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    /// Gives back the credit of settled deliveries; `true` if some consumer of the channel was
    /// refused before and is to be resumed.
    pub fn give_back(&self, deliveries: u32) -> bool {
        self.used.fetch_sub(deliveries, Ordering::SeqCst);
        self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst)
    }

    /// Sets the limit; `true` as in [`ChannelCredit::give_back`].
    pub fn set_limit(&self, limit: u16) -> bool {
        self.limit.store(u32::from(limit), Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_at_its_bound_goes_on_when_half_of_it_is_read() {
        let bound = OutboxBound::new(100);
        assert!(bound.add(60));
        assert!(!bound.add(60), "the bound is reached");
        assert!(!bound.remove(60), "60 bytes are more than half");
        assert!(bound.remove(60));
        assert!(!bound.remove(0), "it is told once");
    }

    #[test]
    fn channel_credit_tells_when_a_refused_consumer_may_go_on() {
        let credit = ChannelCredit::default();
        assert!(credit.take(), "no limit yet");
        assert!(!credit.set_limit(2));
        assert!(credit.take());
        assert!(!credit.take());
        assert!(credit.give_back(1));
        assert!(credit.take());
        assert!(!credit.give_back(2), "nobody was refused since");
    }
}
