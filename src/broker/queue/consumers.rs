//! The consumers of one queue, and whose turn it is.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::credit::{ChannelCredit, OutboxBound};
use super::super::effect::{Delivery, DeliverySink, Subscription};

/// How many deliveries a consumer may hold unacknowledged; 0 in `basic.qos` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// As many as there are.
    Unlimited,
    /// At most this many.
    Limited(u32),
}

impl From<u16> for Prefetch {
    fn from(count: u16) -> Self {
        if count == 0 { Self::Unlimited } else { Self::Limited(u32::from(count)) }
    }
}

/// What a client asks for with `basic.consume`, apart from the queue's name.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Where its deliveries belong on the client's side.
    pub subscription: Subscription,
    /// The way there.
    pub sink: Arc<dyn DeliverySink>,
    /// Bounds the bytes that wait on the way.
    pub outbox_bound: Arc<OutboxBound>,
    /// The limit that it shares with the other consumers of its channel.
    pub channel_credit: Arc<ChannelCredit>,
    /// Deliveries count as acknowledged once sent.
    pub no_ack: bool,
    /// No other consumer may share the queue.
    pub exclusive: bool,
    /// Its own limit on unacknowledged deliveries.
    pub prefetch: Prefetch,
}

/// Names a consumer of a queue. Stays valid, and harmless, after the consumer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerHandle {
    index: u32,
    serial: u32,
}

/// One consumer, as its queue sees it.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) options: ConsumerOptions,
    /// Deliveries it holds unacknowledged.
    pub(super) unacked: u32,
    /// Deliveries of the dispatch that runs, handed over in one go at its end.
    pub(super) batch: Vec<Delivery>,
    serial: u32,
    in_turn: bool,
}

impl Consumer {
    /// Whether its own limit and its outbox let it have one more. The channel's limit is asked when
    /// it comes to its turn.
    fn has_credit(&self) -> bool {
        if self.options.outbox_bound.is_stalled() {
            return false;
        }
        match self.options.prefetch {
            Prefetch::Unlimited => true,
            Prefetch::Limited(limit) => self.unacked < limit,
        }
    }
}

/// All consumers of a queue.
///
/// Those that may receive stand in a ring and take turns; one that runs out of credit leaves it and
/// returns to its end. Every operation costs O(1), whatever the number of consumers, but removal
/// from the ring.
#[derive(Debug, Default)]
pub(super) struct ConsumerSet {
    slots: Vec<Option<Consumer>>,
    free: Vec<u32>,
    ring: VecDeque<u32>,
    next_serial: u32,
    exclusive: bool,
}

impl ConsumerSet {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one consumer has the queue for itself.
    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    pub(super) fn add(&mut self, options: ConsumerOptions) -> ConsumerHandle {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        self.exclusive = options.exclusive;
        let consumer = Consumer { options, unacked: 0, batch: Vec::new(), serial, in_turn: false };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 consumers fit in memory")
        });
        self.slots[index as usize] = Some(consumer);
        self.return_to_ring(index);
        ConsumerHandle { index, serial }
    }

    pub(super) fn remove(&mut self, handle: ConsumerHandle) -> Option<Consumer> {
        self.get(handle)?;
        let consumer = self.slots[handle.index as usize].take()?;
        self.free.push(handle.index);
        if consumer.in_turn {
            self.ring.retain(|&index| index != handle.index);
        }
        self.exclusive = false;
        Some(consumer)
    }

    /// Takes all consumers out, in no particular order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Consumer> + use<> {
        let set = std::mem::take(self);
        self.next_serial = set.next_serial;
        set.slots.into_iter().flatten()
    }

    pub(super) fn get(&mut self, handle: ConsumerHandle) -> Option<&mut Consumer> {
        let consumer = self.slots.get_mut(handle.index as usize)?.as_mut()?;
        (consumer.serial == handle.serial).then_some(consumer)
    }

    /// Lets a consumer back into the ring if its own limit and its outbox allow; a no-op where it stands there.
    pub(super) fn restore(&mut self, handle: ConsumerHandle) {
        if self.get(handle).is_some() {
            self.return_to_ring(handle.index);
        }
    }

    /// Takes the consumer whose turn it is out of the ring: one with credit of its own and of its
    /// channel. Those without channel credit leave the ring until they are restored.
    pub(super) fn take_turn(&mut self) -> Option<(ConsumerHandle, &mut Consumer)> {
        loop {
            let index = self.ring.pop_front()?;
            let Some(consumer) = self.slots[index as usize].as_mut() else { continue };
            consumer.in_turn = false;
            // An automatic acknowledgement leaves nothing that the channel's limit could count.
            if consumer.options.no_ack || consumer.options.channel_credit.take() {
                let handle = ConsumerHandle { index, serial: consumer.serial };
                return self.slots[index as usize].as_mut().map(|consumer| (handle, consumer));
            }
        }
    }

    fn return_to_ring(&mut self, index: u32) {
        if let Some(consumer) = self.slots[index as usize].as_mut()
            && !consumer.in_turn
            && consumer.has_credit()
        {
            consumer.in_turn = true;
            self.ring.push_back(index);
        }
    }
}
