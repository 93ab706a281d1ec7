//! Messages that are not due yet.

use std::collections::{BTreeMap, HashMap};

use rustc_hash::FxBuildHasher;

use super::super::effect::Position;
use super::super::message::Message;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::stubs::{self, Recall};
use super::window::Window;

/// Messages of a queue that wait for their time: published with a delay, or rejected and to be tried
/// again later. Every operation costs O(log n).
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeMap<(Timestamp, Position), Entry>,
    times: HashMap<Position, Timestamp, FxBuildHasher>,
    /// Those that only their places are here of.
    stubs: usize,
    /// Bytes in the bodies of the others.
    bytes: u64,
}

impl Schedule {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Lets a message wait until `due`.
    pub(super) fn add(&mut self, due: Timestamp, entry: Entry) {
        self.times.insert(entry.position, due);
        if entry.message.is_stub() {
            self.stubs += 1;
        } else {
            self.bytes += entry.message.body_len();
        }
        self.by_time.insert((due, entry.position), entry);
    }

    fn left(&mut self, entry: Option<Entry>) -> Option<Entry> {
        let entry = entry?;
        self.times.remove(&entry.position);
        if entry.message.is_stub() {
            self.stubs -= 1;
        } else {
            self.bytes -= entry.message.body_len();
        }
        Some(entry)
    }

    /// When there is something to do for the first message: nothing at `now`, if that is due and has to
    /// be read.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let (&(due, _), entry) = self.by_time.first_key_value()?;
        (due > now || !entry.message.is_stub()).then_some(due)
    }

    /// Takes the first message if it is due, and in memory.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        if self.next_due(now)? > now {
            return None;
        }
        let first = self.by_time.pop_first().map(|(_, entry)| entry);
        self.left(first)
    }

    /// Takes a message before its time.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        let due = *self.times.get(&position)?;
        let entry = self.by_time.remove(&(due, position));
        self.left(entry)
    }

    /// The same, if only its place is here.
    pub(super) fn take_stub(&mut self, position: Position) -> Option<Entry> {
        let due = *self.times.get(&position)?;
        self.by_time.get(&(due, position)).filter(|entry| entry.message.is_stub())?;
        self.take(position)
    }

    /// Whether those of which more than the place is in memory fill the window.
    pub(super) fn fills(&self, window: Window) -> bool {
        window.is_filled_by(self.by_time.len() - self.stubs, self.bytes)
    }

    /// Asks for the messages of the first places, if the next is due.
    pub(super) fn recall(&self, now: Timestamp, recall: &mut Recall) {
        if self.stubs == 0 {
            return;
        }
        let due = self.by_time.range(..=(now, Position(u64::MAX))).map(|(_, entry)| entry);
        let mut due = due.peekable();
        if due.peek().is_some_and(|entry| entry.message.is_stub()) {
            recall.ask(due);
        }
    }

    /// Puts a message into its place; given back is the stub that stood there, or the message.
    pub(super) fn fill(
        &mut self,
        position: Position,
        message: Message,
    ) -> Result<Message, Message> {
        let due = self.times.get(&position).copied().unwrap_or(Timestamp::NEVER);
        let stub = stubs::fill(self.by_time.get_mut(&(due, position)), message)?;
        self.stubs -= 1;
        self.bytes += stub.body_len();
        Ok(stub)
    }

    /// How many messages it has only the places of.
    #[cfg(test)]
    pub(super) fn stubs(&self) -> usize {
        self.stubs
    }

    /// Takes everything.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.times.clear();
        (self.stubs, self.bytes) = (0, 0);
        std::mem::take(&mut self.by_time).into_values()
    }

    /// All messages with their times, the first to come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &Entry)> {
        self.by_time.iter().map(|((due, _), entry)| (*due, entry))
    }
}
