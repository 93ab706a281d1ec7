//! The messages of a queue that wait for a consumer, in order.

use std::collections::{BTreeMap, VecDeque};

use super::super::effect::Position;
use super::super::message::Message;

/// A message's place in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What stands there.
    pub message: Message,
    /// It was delivered before.
    pub redelivered: bool,
}

/// Ready messages: first in, first out, and what is requeued goes back to where it stood.
///
/// Whatever comes back was taken from the front, so it stands before everything that was never
/// delivered: the two kinds need no merging. Push and pop cost O(1) for messages that were never
/// delivered, O(log r) among the r that came back.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    fresh: VecDeque<Entry>,
    requeued: BTreeMap<Position, Entry>,
}

impl ReadyList {
    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.requeued.len()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.requeued.is_empty()
    }

    /// Appends a new message.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.fresh.back().is_none_or(|last| last.position < entry.position));
        self.fresh.push_back(entry);
    }

    /// Puts a message back where it stood.
    pub(super) fn requeue(&mut self, entry: Entry) {
        debug_assert!(self.fresh.front().is_none_or(|first| entry.position < first.position));
        self.requeued.insert(entry.position, entry);
    }

    /// Takes the oldest message.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        if self.requeued.is_empty() {
            let entry = self.fresh.pop_front();
            self.shrink();
            return entry;
        }
        self.requeued.pop_first().map(|(_, entry)| entry)
    }

    /// Takes everything, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let requeued = std::mem::take(&mut self.requeued);
        let fresh = std::mem::take(&mut self.fresh);
        requeued.into_values().chain(fresh)
    }

    /// Gives memory back after a deep backlog has drained. Halving at a quarter full keeps the cost
    /// per message constant.
    fn shrink(&mut self) {
        const KEEP: usize = 1024;
        let capacity = self.fresh.capacity();
        if capacity > KEEP && self.fresh.len() < capacity / 4 {
            self.fresh.shrink_to(capacity / 2);
        }
    }
}
