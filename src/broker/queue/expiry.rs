//! Which ready messages expire when.

use std::collections::BTreeSet;

use super::super::effect::Position;
use super::super::time::Timestamp;
use super::entry::Entry;

/// The messages that expire before one that stands ahead of them.
///
/// Where all messages live equally long nothing is here: the first to expire is the first of the
/// queue. Only what is out of that order costs O(log n).
#[derive(Debug, Default)]
pub(super) struct ExpiryIndex(BTreeSet<(Timestamp, Position, u32)>);

impl ExpiryIndex {
    /// Adds a message that expires at all.
    pub(super) fn add(&mut self, entry: &mut Entry) {
        if entry.expires != Timestamp::NEVER {
            entry.indexed = true;
            self.0.insert((entry.expires, entry.position, entry.lane));
        }
    }

    /// Forgets a message that leaves.
    pub(super) fn forget(&mut self, entry: &mut Entry) {
        if std::mem::take(&mut entry.indexed) {
            self.0.remove(&(entry.expires, entry.position, entry.lane));
        }
    }

    /// The first to expire: when, where it stands, and in which lane.
    pub(super) fn first(&self) -> Option<(Timestamp, Position, u32)> {
        self.0.first().copied()
    }
}
