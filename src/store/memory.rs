//! The store that keeps nothing: durability level `none`.

use super::{Confirmation, Store};
use crate::broker::effect::{Persist, Position};
use crate::broker::message::Message;
use crate::broker::queue_cell::QueueId;

/// Everything lives in the queues, in memory, and ends with the process: recording costs nothing and
/// a confirm means that the message is in its queues.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryStore;

impl Persist for MemoryStore {
    fn enqueued(&self, _queue: QueueId, _position: Position, _message: &Message) {}

    fn settled(&self, _queue: QueueId, _position: Position) {}
}

impl Store for MemoryStore {
    fn when_durable(&self, confirmation: Box<dyn Confirmation>) {
        confirmation.durable();
    }
}
