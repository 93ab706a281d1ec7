//! Messages in the order of their positions.

use std::collections::BTreeMap;

use super::super::effect::Position;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use crate::sparse::SparseDeque;

/// First in, first out; what comes back goes to where it stood.
///
/// Push and pop cost O(1) for messages that were never delivered, O(log r) among the r that came
/// back.
#[derive(Debug, Default)]
pub(super) struct Lane {
    fresh: SparseDeque<Entry>,
    returned: BTreeMap<Position, Entry>,
    /// The latest expiry among `fresh`: whoever expires before it is out of order.
    latest: Option<Timestamp>,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// Appends a new message. Where it expires in turn, and `in_turn` says that turns count, the
    /// index need not know it.
    pub(super) fn push(&mut self, mut entry: Entry, in_turn: bool, index: &mut ExpiryIndex) {
        if self.fresh.is_empty() {
            self.latest = None;
        }
        if !in_turn || self.latest.is_some_and(|latest| entry.expires < latest) {
            index.add(&mut entry);
        }
        self.latest = self.latest.max(Some(entry.expires));
        self.fresh.push_back(entry);
    }

    /// Puts a message back where it stood.
    pub(super) fn put_back(&mut self, mut entry: Entry, index: &mut ExpiryIndex) {
        index.add(&mut entry);
        self.returned.insert(entry.position, entry);
    }

    /// Takes the message that is next.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let Some((&returned, _)) = self.returned.first_key_value() else {
            return self.fresh.pop_front();
        };
        match self.fresh.front() {
            Some(fresh) if fresh.position < returned => self.fresh.pop_front(),
            _ => self.returned.pop_first().map(|(_, entry)| entry),
        }
    }

    /// Takes a message from wherever it stands.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        self.fresh.take(position.0).or_else(|| self.returned.remove(&position))
    }

    /// The first of those that expire in turn: when, and where it stands.
    pub(super) fn first_in_turn(&self) -> Option<(Timestamp, Position)> {
        let first = self.fresh.front()?;
        let in_turn = !first.indexed && first.expires != Timestamp::NEVER;
        in_turn.then_some((first.expires, first.position))
    }

    /// Takes the first of those that expire in turn.
    pub(super) fn pop_in_turn(&mut self) -> Option<Entry> {
        self.fresh.pop_front()
    }

    /// Where its messages stand, in no particular order.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.returned.keys().copied().chain(self.fresh.iter().map(|entry| entry.position))
    }

    /// Takes everything, in order.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = std::mem::take(&mut self.returned).into_values().collect();
        entries.extend(self.fresh.drain());
        entries.sort_by_key(|entry| entry.position);
        entries
    }
}
