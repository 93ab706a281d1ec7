//! A queue as an administrator sees it.

use super::super::message::MESSAGE_OVERHEAD;
use super::super::time::Timestamp;
use super::{ConsumerHandle, Queue, QueueCounts, Totals};

/// A queue as an administrator sees it, exact at the moment of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueReport {
    /// How many messages and consumers it has.
    pub counts: QueueCounts,
    /// What became of messages.
    pub totals: Totals,
    /// Bytes in the bodies of messages that wait for a consumer.
    pub ready_bytes: u64,
    /// Bytes in the bodies of messages that are delivered and not settled.
    pub unacked_bytes: u64,
    /// Messages that wait for a consumer in the store alone.
    pub ready_paged: usize,
    /// Bytes in their bodies, about: messages are taken to be of one size.
    pub ready_paged_bytes: u64,
    /// Bytes of memory that the rest accounts for, about.
    pub memory: u64,
    /// When it was last declared, got from or consumed from.
    pub last_used: Timestamp,
    /// A consumer has it for itself.
    pub has_exclusive_consumer: bool,
    /// One consumer at a time gets everything.
    pub is_single_active: bool,
}

impl Queue {
    /// What an administrator is shown. Cost: a step for each consumer, none for messages.
    pub fn report(&self) -> QueueReport {
        let counts = self.counts();
        let ready_bytes = self.ready.bytes();
        let unacked_bytes = self.consumers.held_bytes() + self.fetched.bytes();
        let ready_paged = (self.ready.paged() + self.ready.stubs()).min(counts.ready);
        let in_memory = counts.ready - ready_paged;
        let ready_paged_bytes = share(ready_bytes, ready_paged, counts.ready);
        let bytes_in_memory = ready_bytes - ready_paged_bytes + unacked_bytes;
        let messages_in_memory = (in_memory + counts.unacked) as u64;
        QueueReport {
            counts,
            totals: self.totals,
            ready_bytes,
            unacked_bytes,
            ready_paged,
            ready_paged_bytes,
            memory: bytes_in_memory + messages_in_memory * MESSAGE_OVERHEAD as u64,
            last_used: self.last_used,
            has_exclusive_consumer: self.consumers.is_exclusive(),
            is_single_active: self.consumers.is_single_active(),
        }
    }

    /// Whether a consumer is one that gets messages when it is its turn: of those of a queue with a
    /// single active consumer all but one only wait.
    pub fn is_active(&self, handle: ConsumerHandle) -> bool {
        self.consumers.is_active(handle)
    }
}

/// `part` of `whole` equal parts of a number of bytes.
fn share(bytes: u64, part: usize, whole: usize) -> u64 {
    let (bytes, part, whole) = (u128::from(bytes), part as u128, whole.max(1) as u128);
    u64::try_from(bytes * part / whole).unwrap_or(u64::MAX)
}
