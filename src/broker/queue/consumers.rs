//! The consumers of one queue, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::credit::{ChannelCredit, OutboxBound};
use super::super::effect::{Delivery, DeliverySink, Subscription};
use super::super::queue_settings::TimeoutAction;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::held::Holdings;

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
    /// `x-priority`: those with a lower one get what it has no credit for.
    pub priority: i64,
    /// `x-consumer-timeout`, in milliseconds, where it has one of its own; 0 is for ever.
    pub timeout: Option<u64>,
    /// `x-consumer-timeout-action`, where it has one of its own.
    pub timeout_action: Option<TimeoutAction>,
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
    /// Deliveries it has not settled.
    pub(super) held: Holdings,
    /// Deliveries of the dispatch that runs, handed over in one go at its end.
    pub(super) batch: Vec<Delivery>,
    /// Bytes of that which its bound does not know yet.
    uncounted: usize,
    serial: u32,
    in_turn: bool,
    /// Cancelled: it stays only for what it holds.
    cancelled: bool,
    /// Counts up with the consumers of the queue.
    arrival: u64,
    /// When its oldest delivery is to be looked at, as noted in [`ConsumerSet::deadlines`].
    deadline: Option<Timestamp>,
}

impl Consumer {
    /// It stays only for what it holds.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Counts a delivery that is about to be handed over; whether there may be one more. The bound, which the
    /// client's thread looks at as well, is told as soon as it is reached, and else once a dispatch.
    pub(super) fn count(&mut self, bytes: usize) -> bool {
        self.uncounted += bytes;
        self.options.outbox_bound.has_room_behind(self.uncounted) || self.count_rest()
    }

    /// Tells the bound of what it does not know; whether there may be more.
    pub(super) fn count_rest(&mut self) -> bool {
        self.options.outbox_bound.add(std::mem::take(&mut self.uncounted))
    }

    /// Whether its own limit and its outbox let it have one more. The channel's limit is asked when
    /// it comes to its turn.
    fn has_credit(&self) -> bool {
        if self.cancelled || self.options.outbox_bound.is_stalled() {
            return false;
        }
        match self.options.prefetch {
            Prefetch::Unlimited => true,
            Prefetch::Limited(limit) => self.held.len() < limit as usize,
        }
    }
}

/// All consumers of a queue.
///
/// Those that may receive stand in a ring and take turns; one that runs out of credit leaves it and
/// returns to its end. There is a ring for each consumer priority in use. Every operation costs O(1),
/// whatever the number of consumers, but removal from the ring.
#[derive(Debug, Default)]
pub(super) struct ConsumerSet {
    slots: Vec<Option<Consumer>>,
    free: Vec<u32>,
    /// The highest priority first.
    rings: Vec<Ring>,
    /// When the oldest deliveries of consumers are overdue, at the earliest.
    deadlines: BTreeSet<(Timestamp, u32)>,
    single_active: Option<SingleActive>,
    live: usize,
    arrivals: u64,
    next_serial: u32,
    exclusive: bool,
}

/// The consumers of one priority.
#[derive(Debug)]
struct Ring {
    priority: i64,
    members: usize,
    /// Slots and serials. Consumers that are gone may still stand here, but they are never more than
    /// the others.
    turns: VecDeque<(u32, u32)>,
    gone: usize,
}

/// One consumer gets everything; when it leaves, the one that has waited longest takes over.
#[derive(Debug, Default)]
struct SingleActive {
    active: Option<u32>,
    /// By priority, then by arrival.
    waiting: BTreeSet<(Reverse<i64>, u64, u32)>,
}

impl ConsumerSet {
    /// No consumers; of those to come one at a time gets everything, if `single_active`.
    pub(super) fn new(single_active: bool) -> Self {
        Self { single_active: single_active.then(SingleActive::default), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether one consumer has the queue for itself.
    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Whether one consumer at a time gets everything.
    pub(super) fn is_single_active(&self) -> bool {
        self.single_active.is_some()
    }

    pub(super) fn add(&mut self, options: ConsumerOptions) -> ConsumerHandle {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        self.exclusive = options.exclusive;
        let priority = options.priority;
        let consumer = Consumer {
            options,
            held: Holdings::default(),
            batch: Vec::new(),
            uncounted: 0,
            serial,
            in_turn: false,
            cancelled: false,
            arrival: self.arrivals,
            deadline: None,
        };
        self.arrivals += 1;
        let arrival = consumer.arrival;
        let index = self.free.pop().unwrap_or_else(|| {
            if self.slots.is_empty() {
                // Most queues have one consumer: no room for three more.
                self.slots.reserve_exact(1);
            }
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 consumers fit in memory")
        });
        self.slots[index as usize] = Some(consumer);
        self.live += 1;
        self.ring(priority).members += 1;
        if let Some(single) = &mut self.single_active {
            single.waiting.insert((Reverse(priority), arrival, index));
            self.activate_next();
        } else {
            self.return_to_ring(index);
        }
        ConsumerHandle { index, serial }
    }

    /// Takes a consumer off its turn for good. It stays, unseen, for what it holds. `false` if it was
    /// gone already.
    pub(super) fn cancel(&mut self, handle: ConsumerHandle) -> bool {
        let index = handle.index;
        let Some(consumer) = self.get(handle).filter(|consumer| !consumer.cancelled) else {
            return false;
        };
        consumer.cancelled = true;
        let (in_turn, priority) = (consumer.in_turn, consumer.options.priority);
        let arrival = consumer.arrival;
        consumer.in_turn = false;
        self.live -= 1;
        self.exclusive = false;
        self.leave_ring(priority, in_turn);
        if let Some(single) = &mut self.single_active {
            single.waiting.remove(&(Reverse(priority), arrival, index));
            if single.active == Some(index) {
                single.active = None;
                self.activate_next();
            }
        }
        self.forget_if_done(handle);
        true
    }

    /// Lets go of a cancelled consumer that holds nothing any more.
    pub(super) fn forget_if_done(&mut self, handle: ConsumerHandle) {
        let done = |consumer: &mut Consumer| consumer.cancelled && consumer.held.is_empty();
        if !self.get(handle).is_some_and(done) {
            return;
        }
        if let Some(consumer) = self.slots[handle.index as usize].take() {
            if let Some(deadline) = consumer.deadline {
                self.deadlines.remove(&(deadline, handle.index));
            }
            self.free.push(handle.index);
        }
    }

    /// Takes all consumers out, in no particular order, those included that were cancelled.
    pub(super) fn drain(&mut self) -> Vec<Consumer> {
        let set = std::mem::take(self);
        self.next_serial = set.next_serial;
        set.slots.into_iter().flatten().collect()
    }

    /// What all of them hold.
    pub(super) fn held(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten().flat_map(|consumer| consumer.held.iter())
    }

    /// Bytes in the bodies of what all of them hold.
    pub(super) fn held_bytes(&self) -> u64 {
        self.slots.iter().flatten().map(|consumer| consumer.held.bytes()).sum()
    }

    /// Whether a consumer gets messages when it is its turn: where one at a time does, only that one.
    pub(super) fn is_active(&self, handle: ConsumerHandle) -> bool {
        self.single_active.as_ref().is_none_or(|single| single.active == Some(handle.index))
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

    /// Takes the consumer whose turn it is out of its ring: one with credit of its own and of its
    /// channel, of the highest priority there is. Those without channel credit leave the ring until
    /// they are restored.
    pub(super) fn take_turn(&mut self) -> Option<(ConsumerHandle, &mut Consumer)> {
        for ring in &mut self.rings {
            while let Some((index, serial)) = ring.turns.pop_front() {
                let consumer = self.slots[index as usize].as_mut();
                let Some(consumer) = consumer.filter(|it| it.serial == serial && it.in_turn) else {
                    ring.gone -= 1;
                    continue;
                };
                consumer.in_turn = false;
                // An automatic acknowledgement leaves nothing that the channel's limit could count.
                if consumer.options.no_ack || consumer.options.channel_credit.take() {
                    let handle = ConsumerHandle { index, serial: consumer.serial };
                    return self.slots[index as usize].as_mut().map(|consumer| (handle, consumer));
                }
            }
        }
        None
    }

    /// Whether somebody could take a message, as far as is known without asking for his channel's credit.
    pub(super) fn is_anybody_in_turn(&self) -> bool {
        self.rings.iter().any(|ring| ring.turns.len() > ring.gone)
    }

    /// Notes when a consumer's oldest delivery is to be looked at, unless that is noted.
    pub(super) fn watch(&mut self, handle: ConsumerHandle, at: Timestamp) {
        if let Some(consumer) = self.get(handle)
            && consumer.deadline.is_none()
        {
            consumer.deadline = Some(at);
            self.deadlines.insert((at, handle.index));
        }
    }

    /// When the first consumer is to be looked at.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The first consumer that is to be looked at by `now`; it is no longer watched.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<ConsumerHandle> {
        let &(at, index) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&(at, index));
        let consumer = self.slots[index as usize].as_mut()?;
        consumer.deadline = None;
        Some(ConsumerHandle { index, serial: consumer.serial })
    }

    /// Stops watching all consumers; those that hold something, for watching them anew.
    pub(super) fn unwatch(&mut self) -> Vec<ConsumerHandle> {
        self.deadlines.clear();
        let mut holders = Vec::new();
        for (index, slot) in (0..).zip(&mut self.slots) {
            if let Some(consumer) = slot {
                consumer.deadline = None;
                if !consumer.held.is_empty() {
                    holders.push(ConsumerHandle { index, serial: consumer.serial });
                }
            }
        }
        holders
    }

    fn return_to_ring(&mut self, index: u32) {
        let passive = |single: &SingleActive| single.active != Some(index);
        if self.single_active.as_ref().is_some_and(passive) {
            return;
        }
        if let Some(consumer) = self.slots[index as usize].as_mut()
            && !consumer.in_turn
            && consumer.has_credit()
        {
            consumer.in_turn = true;
            let (priority, serial) = (consumer.options.priority, consumer.serial);
            self.ring(priority).turns.push_back((index, serial));
        }
    }

    /// Makes the consumer active that is next, if none is.
    fn activate_next(&mut self) {
        if let Some(single) = &mut self.single_active
            && single.active.is_none()
            && let Some((.., next)) = single.waiting.pop_first()
        {
            single.active = Some(next);
            self.return_to_ring(next);
        }
    }

    /// The ring of a priority. Mostly there is one.
    fn ring(&mut self, priority: i64) -> &mut Ring {
        let place = self.rings.binary_search_by_key(&Reverse(priority), |it| Reverse(it.priority));
        let index = place.unwrap_or_else(|index| {
            let turns = VecDeque::new();
            self.rings.insert(index, Ring { priority, members: 0, turns, gone: 0 });
            index
        });
        &mut self.rings[index]
    }

    /// A consumer that leaves is only counted; those that are gone are swept out once they are more
    /// than half, so a thousand that leave at once cost a thousand steps.
    fn leave_ring(&mut self, priority: i64, in_turn: bool) {
        let slots = &self.slots;
        let place = self.rings.binary_search_by_key(&Reverse(priority), |it| Reverse(it.priority));
        let Ok(ring) = place else { return };
        let Ring { members, turns, gone, .. } = &mut self.rings[ring];
        *members -= 1;
        if *members == 0 {
            self.rings.remove(ring);
            return;
        }
        *gone += usize::from(in_turn);
        if *gone * 2 > turns.len() {
            turns.retain(|&(index, serial)| {
                let consumer = slots[index as usize].as_ref();
                consumer.is_some_and(|it| it.serial == serial && it.in_turn)
            });
            *gone = 0;
        }
    }
}
