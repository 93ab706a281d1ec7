//! What the log's records do to the index.

use parking_lot::MutexGuard;

use super::super::place::{Location, Place};
use super::State;
use super::bits::split;
use super::block_delta::Sweep;
use super::delta::QueueDelta;
use super::live::LiveCounts;
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// Takes the records of a frame, in their order. No reader and no checkpoint sees a part of them.
///
/// Nothing is read for it: what a record does to an entry that a block on disk holds is noted, and done
/// at the next checkpoint. So it is quick, and cannot fail.
#[derive(Debug)]
pub struct Changes<'a> {
    pub(super) state: MutexGuard<'a, State>,
}

impl Changes<'_> {
    /// A message took its place in a queue.
    pub fn entered(&mut self, queue: QueueId, position: Position, place: &Place) {
        let (queue, live) = self.queue(queue);
        queue.entered(position.0, place, live);
    }

    /// A message lies elsewhere, if it is still there.
    pub fn moved(&mut self, queue: QueueId, position: Position, location: Location) {
        let (queue, live) = self.queue(queue);
        let (block, number) = split(position.0);
        queue.block_mut(block).moved(number, location, live);
    }

    /// A message is there, though it is not known when it entered. It isn't if it left since.
    pub fn found(&mut self, queue: QueueId, position: Position, place: &Place) {
        let (queue, live) = self.queue(queue);
        queue.found(position.0, place, live);
    }

    /// The messages from `first` to `last`, both included, left for good.
    pub fn settled(&mut self, queue: QueueId, first: Position, last: Position) {
        let (queue, live) = self.queue(queue);
        if first == last {
            queue.settled_one(first.0, live);
        } else {
            queue.swept(first.0, last.0, Sweep::Gone, live);
        }
    }

    /// The messages from `first` to `last`, both included, are with consumers.
    pub fn delivered(&mut self, queue: QueueId, first: Position, last: Position) {
        self.queue(queue).0.delivered(first.0, last.0);
    }

    /// A message came back, and may wait before it is ready again.
    pub fn returned(
        &mut self,
        queue: QueueId,
        position: Position,
        returns: u32,
        due: Option<Timestamp>,
    ) {
        let (block, number) = split(position.0);
        self.queue(queue).0.block_mut(block).returned(number, returns, due);
    }

    /// The messages from `from` to before `to` that do not wait for their moment left for good.
    pub fn cleared(&mut self, queue: QueueId, from: Position, to: Position) {
        if let Some(last) = to.0.checked_sub(1) {
            let (queue, live) = self.queue(queue);
            queue.swept(from.0, last, Sweep::Cleared, live);
        }
    }

    /// A queue is gone, with all that was in it.
    pub fn removed_queue(&mut self, queue: QueueId) {
        let (queue, live) = self.queue(queue);
        queue.remove(live);
    }

    /// Remembers a value under one of the broker's keys.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.state.dirty.keys.insert(key, Some(value));
    }

    /// Forgets one of the broker's keys.
    pub fn removed(&mut self, key: Vec<u8>) {
        self.state.dirty.keys.insert(key, None);
    }

    fn queue(&mut self, queue: QueueId) -> (&mut QueueDelta, &mut LiveCounts) {
        let dirty = &mut self.state.dirty;
        (dirty.queues.entry(queue).or_default(), &mut dirty.live)
    }
}
