//! A queue: an ordered log of messages, and the discipline by which they leave it.
//!
//! Plain state, no lock and no clock: the caller wraps each queue in one mutex, passes the time in,
//! and carries out the [`Effects`] afterwards. Deliveries alone go out while the lock is held, into
//! the consumer's [`DeliverySink`](super::effect::DeliverySink), because their order is the queue's.

mod consumers;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxBuildHasher;

use self::consumers::ConsumerSet;
pub use self::consumers::{ConsumerHandle, ConsumerOptions, Prefetch};
pub use self::ready::Entry;
use self::ready::ReadyList;
use super::effect::{Delivery, Effects, Persist, Position};
use super::message::Message;
use super::queue_cell::QueueId;

/// A queue's messages and consumers.
///
/// Every message is in exactly one of: ready, unacknowledged, gone.
#[derive(Debug, Default)]
pub struct Queue {
    ready: ReadyList,
    unacked: HashMap<Position, Unacked, FxBuildHasher>,
    consumers: ConsumerSet,
    next_position: u64,
    auto_delete: bool,
    deleted: bool,
    journal: Option<Journal>,
    /// Consumers that got something in the dispatch that runs; kept to reuse its memory.
    touched: Vec<ConsumerHandle>,
}

/// A durable queue's line to the store.
#[derive(Debug)]
struct Journal {
    queue: QueueId,
    store: Arc<dyn Persist>,
}

impl Journal {
    fn enqueued(journal: Option<&Self>, entry: &Entry) {
        if let Some(journal) = journal
            && entry.message.is_persistent()
        {
            journal.store.enqueued(journal.queue, entry.position, &entry.message);
        }
    }

    /// A message left for good: tells the store, and how many bytes of memory are free now.
    fn settled(journal: Option<&Self>, entry: &Entry) -> usize {
        if let Some(journal) = journal
            && entry.message.is_persistent()
        {
            journal.store.settled(journal.queue, entry.position);
        }
        entry.message.release()
    }
}

/// A delivered message whose acknowledgement is still owed.
#[derive(Debug)]
struct Unacked {
    entry: Entry,
    /// Who holds it; `None` for `basic.get`.
    consumer: Option<ConsumerHandle>,
}

/// Why a consumer can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// One of them asks to be alone: 403 `in exclusive use`.
    ExclusiveUse,
    /// The queue was deleted meanwhile.
    Deleted,
}

/// Counts of a queue, exact at the moment of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that wait.
    pub ready: usize,
    /// Messages delivered and not yet settled.
    pub unacked: usize,
    /// Consumers.
    pub consumers: usize,
}

impl Queue {
    /// An empty queue. One with `auto_delete` asks to be deleted when its last consumer leaves.
    pub fn new(auto_delete: bool) -> Self {
        Self { auto_delete, ..Self::default() }
    }

    /// Records what happens to persistent messages from now on, under the number of the queue.
    #[must_use]
    pub fn durable(mut self, queue: QueueId, store: Arc<dyn Persist>) -> Self {
        self.journal = Some(Journal { queue, store });
        self
    }

    /// How many messages and consumers it has.
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            ready: self.ready.len(),
            unacked: self.unacked.len(),
            consumers: self.consumers.len(),
        }
    }

    /// Appends messages in order and hands out what consumers have credit for. A deleted queue
    /// lets them fall: they came before its deletion as far as anyone can tell.
    pub fn enqueue<'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a Message>,
        now: Instant,
        out: &mut Effects,
    ) {
        for message in messages {
            if self.deleted {
                out.freed += message.release();
                continue;
            }
            let position = Position(self.next_position);
            self.next_position += 1;
            let entry = Entry { position, message: message.clone(), redelivered: false };
            Journal::enqueued(self.journal.as_ref(), &entry);
            self.ready.push(entry);
        }
        self.dispatch(now, out);
    }

    /// Takes the oldest message for `basic.get`, and the number of those that still wait behind it.
    /// With `no_ack` it is settled at once.
    pub fn get(
        &mut self,
        no_ack: bool,
        _now: Instant,
        out: &mut Effects,
    ) -> Option<(Entry, usize)> {
        let entry = self.ready.pop()?;
        if no_ack {
            out.freed += Journal::settled(self.journal.as_ref(), &entry);
        } else {
            self.unacked.insert(entry.position, Unacked { entry: entry.clone(), consumer: None });
        }
        Some((entry, self.ready.len()))
    }

    /// Settles deliveries for good: acknowledged, or rejected without requeueing. Positions that are
    /// not outstanding are passed over (the queue was deleted and declared anew, say).
    pub fn settle(
        &mut self,
        positions: impl IntoIterator<Item = Position>,
        now: Instant,
        out: &mut Effects,
    ) {
        for position in positions {
            if let Some(unacked) = self.take_unacked(position) {
                out.freed += Journal::settled(self.journal.as_ref(), &unacked.entry);
            }
        }
        self.dispatch(now, out);
    }

    /// Puts deliveries back where they stood, marked as redelivered.
    pub fn requeue(
        &mut self,
        positions: impl IntoIterator<Item = Position>,
        now: Instant,
        out: &mut Effects,
    ) {
        for position in positions {
            if let Some(unacked) = self.take_unacked(position) {
                self.ready.requeue(Entry { redelivered: true, ..unacked.entry });
            }
        }
        self.dispatch(now, out);
    }

    /// Adds a consumer, which gets its first deliveries before this returns.
    ///
    /// # Errors
    /// [`ConsumeRefused`], and nothing has changed.
    pub fn add_consumer(
        &mut self,
        options: ConsumerOptions,
        now: Instant,
        out: &mut Effects,
    ) -> Result<ConsumerHandle, ConsumeRefused> {
        if self.deleted {
            return Err(ConsumeRefused::Deleted);
        }
        if self.consumers.is_exclusive() || (options.exclusive && !self.consumers.is_empty()) {
            return Err(ConsumeRefused::ExclusiveUse);
        }
        let handle = self.consumers.add(options);
        self.dispatch(now, out);
        Ok(handle)
    }

    /// Removes a consumer. What it holds unacknowledged stays with its channel. A no-op for one that
    /// is gone.
    pub fn remove_consumer(&mut self, handle: ConsumerHandle, out: &mut Effects) {
        let removed = self.consumers.remove(handle).is_some();
        out.unused |= removed && self.auto_delete && self.consumers.is_empty();
    }

    /// Lets a consumer take turns again after its outbox or its channel held it back.
    pub fn resume(&mut self, handle: ConsumerHandle, now: Instant, out: &mut Effects) {
        self.consumers.restore(handle);
        self.dispatch(now, out);
    }

    /// Drops all ready messages; how many there were.
    pub fn purge(&mut self, out: &mut Effects) -> usize {
        let count = self.ready.len();
        let journal = self.journal.as_ref();
        let freed = self.ready.drain().map(|entry| Journal::settled(journal, &entry));
        out.freed += freed.sum::<usize>();
        count
    }

    /// Ends the queue: drops its messages, tells its consumers, and turns every later call into a
    /// no-op. How many ready messages went with it.
    pub fn delete(&mut self, out: &mut Effects) -> usize {
        self.deleted = true;
        let count = self.purge(out);
        let journal = self.journal.as_ref();
        let unacked = self.unacked.drain();
        let freed = unacked.map(|(_, unacked)| Journal::settled(journal, &unacked.entry));
        out.freed += freed.sum::<usize>();
        for consumer in self.consumers.drain() {
            consumer.options.sink.cancelled(consumer.options.subscription);
        }
        count
    }

    /// Whether [`Queue::delete`] was called.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn take_unacked(&mut self, position: Position) -> Option<Unacked> {
        let unacked = self.unacked.remove(&position)?;
        if let Some(handle) = unacked.consumer
            && let Some(consumer) = self.consumers.get(handle)
        {
            consumer.unacked -= 1;
            self.consumers.restore(handle);
        }
        Some(unacked)
    }

    /// Pairs ready messages with consumers in turn. Each consumer's share is handed over in one go:
    /// its sink is locked once a dispatch, not once a message.
    fn dispatch(&mut self, _now: Instant, out: &mut Effects) {
        while !self.ready.is_empty() {
            let Some((handle, consumer)) = self.consumers.take_turn() else { break };
            let Some(entry) = self.ready.pop() else { break };
            if consumer.batch.is_empty() {
                self.touched.push(handle);
            }
            let has_room = consumer.options.outbox_bound.add(entry.message.memory());
            if consumer.options.no_ack {
                out.freed += Journal::settled(self.journal.as_ref(), &entry);
            } else {
                consumer.unacked += 1;
                let unacked = Unacked { entry: entry.clone(), consumer: Some(handle) };
                self.unacked.insert(entry.position, unacked);
            }
            let Entry { position, message, redelivered } = entry;
            let subscription = consumer.options.subscription;
            consumer.batch.push(Delivery { subscription, position, message, redelivered });
            if has_room {
                self.consumers.restore(handle);
            }
        }
        for handle in self.touched.drain(..) {
            if let Some(consumer) = self.consumers.get(handle) {
                consumer.options.sink.deliver(&mut consumer.batch);
            }
        }
    }
}
