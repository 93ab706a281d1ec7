//! Where a channel's deliveries come from: its consumers, and the queues it gets from.

use std::sync::Arc;

use amqp_codec::{FieldTable, ShortString};

use super::stats::ChannelStats;
use crate::broker::credit::OutboxBound;
use crate::broker::queue::{ConsumerHandle, Holder};
use crate::broker::queue_cell::QueueCell;

/// One source of deliveries.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) queue: Arc<QueueCell>,
    /// `None` for `basic.get`.
    pub(super) consumer: Option<SourceConsumer>,
    /// Deliveries from here that the client has not settled.
    pub(super) unacked: u32,
    /// Cancelled: it stays only for what is not settled.
    pub(super) retired: bool,
    /// Deliveries of the consumer, ever.
    pub(super) delivered: u64,
    /// Those among them that were not the message's first.
    pub(super) redelivered: u64,
    /// Messages from here that were acknowledged.
    pub(super) acknowledged: u64,
}

impl Source {
    /// What its queue calls the consumer; `None` for `basic.get`, and until the queue took it in.
    pub(super) fn handle(&self) -> Option<ConsumerHandle> {
        self.consumer.as_ref()?.handle
    }

    /// What a channel counts of it.
    pub(super) fn stats(&self) -> ChannelStats {
        let needs_no_answer = self.consumer.as_ref().is_some_and(|consumer| consumer.no_ack);
        let (delivered, delivered_automatically) =
            if needs_no_answer { (0, self.delivered) } else { (self.delivered, 0) };
        ChannelStats {
            delivered,
            delivered_automatically,
            redelivered: self.redelivered,
            acknowledged: self.acknowledged,
            ..ChannelStats::default()
        }
    }

    /// Who holds its deliveries, as its queue sees it.
    pub(super) fn holder(&self) -> Holder {
        self.handle().map_or(Holder::Fetched, Holder::Consumer)
    }
}

/// The consumer behind a source.
#[derive(Debug)]
pub(super) struct SourceConsumer {
    pub(super) tag: ShortString,
    pub(super) no_ack: bool,
    pub(super) request: ConsumerRequest,
    pub(super) bound: Arc<OutboxBound>,
    /// Set once the queue has taken it in.
    pub(super) handle: Option<ConsumerHandle>,
}

/// What a consumer asked for, as an administrator is shown it.
#[derive(Debug)]
pub(super) struct ConsumerRequest {
    pub(super) exclusive: bool,
    pub(super) prefetch: u16,
    pub(super) arguments: FieldTable,
}

/// The sources of a channel, by slot.
///
/// A slot is used again once its source is retired and all of its deliveries are settled, so a client
/// that subscribes and cancels all day uses no more slots than it holds at a time.
#[derive(Debug, Default)]
pub(super) struct Sources {
    slots: Vec<Option<Source>>,
    free: Vec<u32>,
    /// What those did that are gone.
    gone: ChannelStats,
}

impl Sources {
    pub(super) fn add(&mut self, queue: Arc<QueueCell>, consumer: Option<SourceConsumer>) -> u32 {
        // What is fetched with `basic.get` needs a source only as long as it is not settled.
        let retired = consumer.is_none();
        let source = Source {
            queue,
            consumer,
            unacked: 0,
            retired,
            delivered: 0,
            redelivered: 0,
            acknowledged: 0,
        };
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(source);
            return slot;
        }
        if self.slots.is_empty() {
            // Most channels consume once, from one queue: no room for three more.
            self.slots.reserve_exact(1);
        }
        self.slots.push(Some(source));
        u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 sources fit in memory")
    }

    /// The source for `basic.get` from a queue.
    pub(super) fn for_get(&mut self, queue: &Arc<QueueCell>) -> u32 {
        let same = |source: &Source| source.consumer.is_none() && source.queue.id == queue.id;
        let found = self.slots.iter().position(|slot| slot.as_ref().is_some_and(same));
        match found.and_then(|slot| u32::try_from(slot).ok()) {
            Some(slot) => slot,
            None => self.add(Arc::clone(queue), None),
        }
    }

    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Source> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// What all of them did, those included that are gone.
    pub(super) fn stats(&self) -> ChannelStats {
        self.all().fold(self.gone, |sum, source| sum + source.stats())
    }

    /// Notes that deliveries from a slot were settled.
    pub(super) fn settled(&mut self, slot: u32, count: u32) {
        if let Some(source) = self.get(slot) {
            source.unacked -= count;
        }
        self.release(slot);
    }

    /// Notes that nothing more comes from a slot.
    pub(super) fn retire(&mut self, slot: u32) {
        if let Some(source) = self.get(slot) {
            source.retired = true;
        }
        self.release(slot);
    }

    /// All sources that still deliver, with their slots.
    pub(super) fn active(&self) -> impl Iterator<Item = &Source> {
        self.slots.iter().flatten().filter(|source| !source.retired)
    }

    /// All sources, those included that are cancelled and not settled.
    pub(super) fn all(&self) -> impl Iterator<Item = &Source> {
        self.slots.iter().flatten()
    }

    fn release(&mut self, slot: u32) {
        if self.get(slot).is_some_and(|source| source.retired && source.unacked == 0) {
            if let Some(source) = self.slots[slot as usize].take() {
                self.gone = self.gone + source.stats();
            }
            self.free.push(slot);
        }
    }
}
