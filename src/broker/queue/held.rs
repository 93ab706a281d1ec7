//! Deliveries that somebody holds and has not settled.

use super::super::time::Timestamp;
use super::entry::Entry;
use crate::sparse::{Numbered, SparseDeque};

/// The deliveries of one holder, numbered in the order they were made.
///
/// The number names a delivery, not a message: once a message has come back, the number it was
/// delivered under is nobody's, so a late answer to it does nothing.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    deliveries: SparseDeque<Held>,
    /// In their bodies.
    bytes: u64,
    last: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    entry: Entry,
    since: Timestamp,
}

impl Numbered for Held {
    fn number(&self) -> u64 {
        self.number
    }
}

impl Holdings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Bytes in the bodies of their messages.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Whether there ever was one.
    pub(super) fn is_used(&self) -> bool {
        self.last > 0
    }

    /// Numbers a delivery that is made now.
    pub(super) fn add(&mut self, entry: Entry, now: Timestamp) -> u64 {
        let number = self.pass();
        self.bytes += entry.message.body_len();
        self.deliveries.push_back(Held { number, entry, since: now });
        number
    }

    /// The number of a delivery that needs no answer.
    pub(super) fn pass(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes the delivery of this number.
    pub(super) fn take(&mut self, number: u64) -> Option<Entry> {
        let held = self.deliveries.take(number)?;
        self.bytes -= held.entry.message.body_len();
        Some(held.entry)
    }

    /// Takes a delivery that was made at `before` or earlier, the oldest first.
    pub(super) fn take_older(&mut self, before: Timestamp) -> Option<(u64, Entry)> {
        if self.oldest()? > before {
            return None;
        }
        let held = self.deliveries.pop_front()?;
        self.bytes -= held.entry.message.body_len();
        Some((held.number, held.entry))
    }

    /// When the oldest delivery was made.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.deliveries.front().map(|held| held.since)
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.deliveries.iter().map(|held| &held.entry)
    }

    /// Takes everything, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, Entry)> + use<> {
        self.bytes = 0;
        self.deliveries.drain().map(|held| (held.number, held.entry))
    }
}
