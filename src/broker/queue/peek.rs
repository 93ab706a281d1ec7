//! Looking at messages without taking them.

use super::super::effect::Position;
use super::super::message::Message;
use super::super::time::Timestamp;
use super::Queue;
use super::entry::Entry;

/// A message that waits for a consumer, as an administrator sees it.
#[derive(Debug, Clone)]
pub struct Peeked {
    /// Where it stands.
    pub position: Position,
    /// The message: a stub ([`Message::is_stub`]) where memory is short and the store has the rest.
    pub message: Message,
    /// Times it was delivered and came back.
    pub returns: u32,
    /// It was delivered before, as far as anyone knows.
    pub redelivered: bool,
    /// From when on it is dead; [`Timestamp::NEVER`] for most.
    pub expires: Timestamp,
}

impl From<&Entry> for Peeked {
    fn from(entry: &Entry) -> Self {
        Self {
            position: entry.position,
            message: entry.message.clone(),
            returns: entry.returns,
            redelivered: entry.is_redelivered(),
            expires: entry.expires,
        }
    }
}

impl Queue {
    /// The message that is next, where it is at hand.
    pub fn head(&self) -> Option<Message> {
        let first = self.ready.at_hand(Position(0), 1).next()?;
        (!first.message.is_stub()).then(|| first.message.clone())
    }

    /// Messages that wait for a consumer, in the order in which they will be delivered, from this position on:
    /// `max` of them at most, and only as far as `bytes_max` bytes of bodies. Nothing changes.
    ///
    /// Only what is at hand is seen: it ends before what the store alone has. Of a queue of groups the first
    /// `max` are looked at whose turn it may be.
    pub fn peek(
        &self,
        from: Position,
        (max, bytes_max): (usize, u64),
        now: Timestamp,
    ) -> Vec<Peeked> {
        let mut bytes = 0_u64;
        let alive = self.ready.at_hand(from, max).filter(|entry| entry.expires > now);
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += entry.message.body_len();
            is_first || bytes <= bytes_max
        };
        alive.take_while(fits).take(max).map(Peeked::from).collect()
    }
}
