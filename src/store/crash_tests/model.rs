//! What queues hold, as the store was told.

use std::collections::BTreeMap;

use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// Which message: its content follows from the number.
pub(super) type MessageNumber = u64;

/// A message in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) message: MessageNumber,
    pub(super) expires: Timestamp,
    pub(super) due: Option<Timestamp>,
    pub(super) returns: u32,
    pub(super) delivered: bool,
    pub(super) transient: bool,
}

/// One thing that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// A message enters a queue, or leaves memory if it is transient.
    Entered(QueueId, Position, Entry),
    Delivered(QueueId, Position),
    Returned(QueueId, Position, u32, Option<Timestamp>),
    Settled(QueueId, Position),
    Cleared(QueueId, Position, Position),
    RemovedQueue(QueueId),
    Put(u8, u64),
    Removed(u8),
}

/// What is recorded together.
pub(super) type UnitOfOps = Vec<Op>;

/// The entries of one queue.
pub(super) type Entries = BTreeMap<Position, Entry>;

/// All that a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// A queue that holds nothing is not here.
    pub(super) queues: BTreeMap<QueueId, Entries>,
    pub(super) keys: BTreeMap<u8, u64>,
}

impl Model {
    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Entered(queue, position, entry) => {
                let before = self.queues.entry(queue).or_default().insert(position, entry);
                assert!(before.is_none(), "{position:?} of {queue:?} is taken twice");
            }
            Op::Delivered(queue, position) => {
                let entry = self.entry(queue, position);
                assert!(entry.due.is_none() && !entry.delivered, "{op:?} of {entry:?}");
                entry.delivered = true;
            }
            Op::Returned(queue, position, returns, due) => {
                let entry = self.entry(queue, position);
                assert!(entry.due.is_some() || entry.delivered, "{op:?} of {entry:?}");
                (entry.returns, entry.due, entry.delivered) = (returns, due, false);
            }
            Op::Settled(queue, position) => {
                self.entry(queue, position);
                self.entries(queue).remove(&position);
            }
            Op::Cleared(queue, from, to) => {
                let is_cleared = |position: &Position, entry: &Entry| {
                    (from..to).contains(position) && entry.due.is_none()
                };
                self.entries(queue).retain(|position, entry| !is_cleared(position, entry));
            }
            Op::RemovedQueue(queue) => {
                self.queues.remove(&queue);
            }
            Op::Put(key, value) => {
                self.keys.insert(key, value);
            }
            Op::Removed(key) => {
                self.keys.remove(&key);
            }
        }
        self.queues.retain(|_, entries| !entries.is_empty());
    }

    fn entries(&mut self, queue: QueueId) -> &mut Entries {
        self.queues.entry(queue).or_default()
    }

    fn entry(&mut self, queue: QueueId, position: Position) -> &mut Entry {
        let found = self.entries(queue).get_mut(&position);
        found.unwrap_or_else(|| panic!("{position:?} of {queue:?} is not there"))
    }

    /// The process ends: what was here only to spare memory is gone.
    pub(super) fn without_transient(&self) -> Self {
        let mut left = self.clone();
        for entries in left.queues.values_mut() {
            entries.retain(|_, entry| !entry.transient);
        }
        left.queues.retain(|_, entries| !entries.is_empty());
        left
    }

    /// All that it holds.
    pub(super) fn places(&self) -> impl Iterator<Item = (QueueId, Position, &Entry)> {
        self.queues.iter().flat_map(|(&queue, entries)| {
            entries.iter().map(move |(&position, entry)| (queue, position, entry))
        })
    }

    /// How another one differs from it, for whoever has to find out why.
    pub(super) fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        let place = |model: &Self, queue: QueueId, position: Position| {
            model.queues.get(&queue).and_then(|entries| entries.get(&position)).copied()
        };
        for (queue, position, _) in self.places().chain(other.places()) {
            let (this, that) = (place(self, queue, position), place(other, queue, position));
            let line = format!("{queue:?} {position:?}: {this:?}, not {that:?}");
            if this != that && !lines.contains(&line) {
                lines.push(line);
            }
        }
        if self.keys != other.keys {
            lines.push(format!("keys {:?}, not {:?}", self.keys, other.keys));
        }
        lines.join("\n")
    }
}
