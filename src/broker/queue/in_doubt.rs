//! Which messages may have been delivered though it was not written down.
//!
//! Deliveries are written down in passing ([`QueueRecord::Delivered`]), not before they go out: a crash
//! may forget the last of them. So what is written down first is that the queue is in use. After a crash
//! everything is in doubt that was in a queue in use, and is flagged as redelivered: it may have been
//! delivered, which is what the flag means. A queue that nobody used, or whose users went in peace, keeps
//! what it knows of each message.
//!
//! [`QueueRecord::Delivered`]: super::super::persist::QueueRecord::Delivered

use std::sync::Arc;

use super::super::effect::Position;
use super::super::persist::Persist;
use super::super::queue_cell::QueueId;
use super::super::stored_key::{Kind, StoredKey};

/// Every message there will ever be.
const ALL: Position = Position(u64::MAX);

/// A queue's use, and what an earlier one leaves in doubt.
#[derive(Debug, Default)]
pub(super) struct InDoubt {
    line: Option<Line>,
    /// Messages before this position may have been delivered in an earlier process.
    until: Position,
    state: State,
    /// Announcements so far.
    announced: u64,
}

#[derive(Debug)]
struct Line {
    key: Vec<u8>,
    store: Arc<dyn Persist>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody gets messages.
    #[default]
    Unused,
    /// Somebody is about to, once that is safe.
    Announced,
    /// It will be known after a crash.
    InUse,
}

/// Names an announcement: see [`Queue::announce_use`](super::Queue::announce_use).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement(u64);

impl InDoubt {
    /// Writes down when the queue is in use.
    pub(super) fn keep(&mut self, queue: QueueId, store: Arc<dyn Persist>) {
        self.line = Some(Line { key: key(queue), store });
    }

    /// Whether this message may have been delivered by an earlier process.
    pub(super) fn contains(&self, position: Position) -> bool {
        position < self.until
    }

    /// Writes down that messages are about to be delivered; `None` if that is known already.
    pub(super) fn announce(&mut self) -> Option<Announcement> {
        self.line.as_ref()?;
        if self.state == State::Unused {
            self.state = State::Announced;
            self.announced += 1;
            self.write(ALL);
        }
        (self.state == State::Announced).then_some(Announcement(self.announced))
    }

    /// What was announced will be known after a crash.
    pub(super) fn is_safe(&mut self, announcement: Announcement) {
        if self.state == State::Announced && announcement.0 == self.announced {
            self.state = State::InUse;
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.state == State::InUse
    }

    /// Nobody has anything any more, and all that happened is recorded.
    pub(super) fn end_use(&mut self) {
        if self.state != State::Unused {
            self.state = State::Unused;
            self.write(self.until);
        }
    }

    /// Takes up what was written down by an earlier process.
    pub(super) fn restore(&mut self, until: Position) {
        self.until = until;
    }

    /// No message of an earlier process stands at this position or behind it.
    pub(super) fn restored(&mut self, end: Position) {
        if self.until > end {
            self.until = end;
            self.write(end);
        }
    }

    /// A message that is in doubt moves to this place.
    pub(super) fn moved_to(&mut self, position: Position) {
        let end = Position(position.0.saturating_add(1));
        if self.until < end {
            self.until = end;
            if self.state == State::Unused {
                self.write(end);
            }
        }
    }

    /// The queue is gone.
    pub(super) fn close(&mut self) {
        if self.state != State::Unused || self.until > Position(0) {
            self.write(Position(0));
        }
        self.line = None;
    }

    fn write(&self, until: Position) {
        let Some(Line { key, store }) = &self.line else { return };
        if until > Position(0) {
            store.put(key.clone(), encode(until));
        } else {
            store.remove(key.clone());
        }
    }
}

/// What it is written down under.
pub(super) fn key(queue: QueueId) -> Vec<u8> {
    StoredKey::new(Kind::InDoubt).number(queue.0).end()
}

fn encode(until: Position) -> Vec<u8> {
    until.0.to_be_bytes().to_vec()
}

/// Reads the value of a key; `None` for what is none.
pub(in crate::broker) fn decode(value: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(value.try_into().ok()?)))
}
