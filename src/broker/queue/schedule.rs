//! Messages that are not due yet.

use std::collections::{BTreeMap, HashMap};

use rustc_hash::FxBuildHasher;

use super::super::effect::Position;
use super::super::time::Timestamp;
use super::entry::Entry;

/// Messages of a queue that wait for their time: published with a delay, or rejected and to be tried
/// again later. Every operation costs O(log n).
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeMap<(Timestamp, Position), Entry>,
    times: HashMap<Position, Timestamp, FxBuildHasher>,
}

impl Schedule {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Lets a message wait until `due`.
    pub(super) fn add(&mut self, due: Timestamp, entry: Entry) {
        self.times.insert(entry.position, due);
        self.by_time.insert((due, entry.position), entry);
    }

    /// When the first message is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.by_time.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the first message if it is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        if self.next_due()? > now {
            return None;
        }
        let (_, entry) = self.by_time.pop_first()?;
        self.times.remove(&entry.position);
        Some(entry)
    }

    /// Takes a message before its time.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        let due = self.times.remove(&position)?;
        self.by_time.remove(&(due, position))
    }

    /// Takes everything.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.times.clear();
        std::mem::take(&mut self.by_time).into_values()
    }

    /// All messages with their times, the first to come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &Entry)> {
        self.by_time.iter().map(|((due, _), entry)| (*due, entry))
    }
}
