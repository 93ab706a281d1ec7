//! A message's place in a queue.

use super::super::effect::{Delivery, Position, Subscription};
use super::super::message::Message;
use super::super::time::Timestamp;
use crate::sparse::Numbered;

/// A message's place in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What stands there.
    pub message: Message,
    /// From when on it is dead; [`Timestamp::NEVER`] for most.
    pub expires: Timestamp,
    /// Times it was delivered and came back.
    pub returns: u32,
    /// Its priority or its group, in queues that have these.
    pub(super) lane: u32,
    /// The index of expiries knows it.
    pub(super) indexed: bool,
    /// The store knows it.
    pub(super) stored: bool,
    /// An earlier process may have delivered it.
    pub(super) in_doubt: bool,
}

impl Entry {
    pub(super) fn new(position: Position, message: Message, expires: Timestamp) -> Self {
        let (indexed, stored, in_doubt) = (false, false, false);
        Self { position, message, expires, returns: 0, lane: 0, indexed, stored, in_doubt }
    }

    /// It goes to a consumer, which calls it by this number.
    pub(super) fn into_delivery(self, subscription: Subscription, number: u64) -> Delivery {
        let redelivered = self.is_redelivered();
        let Self { position, message, returns, .. } = self;
        Delivery { subscription, number, position, message, returns, redelivered }
    }

    /// It was delivered and came back.
    pub(super) fn came_back(&self) -> bool {
        self.returns > 0
    }

    /// It was delivered before, as far as anyone knows.
    pub fn is_redelivered(&self) -> bool {
        self.came_back() || self.in_doubt
    }
}

impl Numbered for Entry {
    fn number(&self) -> u64 {
        self.position.0
    }
}
