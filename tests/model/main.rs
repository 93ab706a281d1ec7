//! The queue against a reference that is too simple to be wrong: whatever both are declared with and
//! whatever happens to them, they are in the same state after every step.

mod operations;
mod reference;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::{BasicProperties, ChannelId, ShortString};
use bytes::BytesMut;
use leveret::broker::credit::{ChannelCredit, OutboxBound};
use leveret::broker::effect::{Delivery, DeliverySink, Effects, Page, Subscription, Wanted};
use leveret::broker::memory::MemoryGauge;
use leveret::broker::message::{Message, MessageExtras, MessageParts};
use leveret::broker::queue::{
    ConsumeRefused, ConsumerHandle, ConsumerOptions, DeathReason, Fetched, Get, Holder, Prefetch,
    Queue, QueueCounts, QueueOptions, Return, Window,
};
use leveret::broker::queue_cell::QueueId;
use leveret::broker::queue_settings::{
    DeadLetterTarget, GroupProperty, MessageGroup, QueueSettings,
};
use leveret::broker::time::Epoch;
use parking_lot::Mutex;
use proptest::prelude::*;

use self::operations::{Draft, Operation, Paging, Rules, Settlement, operations, rules};
use self::reference::{Consumer, Entry, EntryState, Received, Reference, Totals, waiting};
use self::store::MapStore;

/// Bytes that may wait for one consumer: a few messages.
const OUTBOX_MAX: usize = 400;

const CHANNELS: usize = 2;

/// Where the calendar stands at first, in milliseconds.
const EPOCH_MS: u64 = 1000;

/// A client's side of a consumer of the real queue.
#[derive(Debug, Default)]
struct Sink {
    received: Mutex<Vec<Delivery>>,
    cancelled: Mutex<u32>,
    tries: Mutex<u32>,
}

impl DeliverySink for Sink {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool {
        self.received.lock().append(deliveries);
        false
    }

    fn wake(&self) {}

    fn cancelled(&self, _subscription: Subscription) {
        *self.cancelled.lock() += 1;
    }

    fn taken_back(&self, _subscription: Subscription, _numbers: Vec<u64>) {
        panic!("nothing is held for too long");
    }

    fn try_again(&self) {
        *self.tries.lock() += 1;
    }

    fn timed_out(&self, _subscription: Subscription, _timeout: u64, _dropped: bool) {
        panic!("nothing is held for too long");
    }
}

struct Real {
    queue: Queue,
    origin: Instant,
    now: Instant,
    effects: Effects,
    consumers: Vec<RealConsumer>,
    channels: [Arc<ChannelCredit>; CHANNELS],
    store: Arc<MapStore>,
    paging: Option<Paging>,
    reading: Option<Reading>,
    /// Bytes of messages that were read back into memory.
    read: usize,
}

/// The store was asked, and has not answered.
struct Reading {
    wanted: Wanted,
    page: Option<Page>,
    /// Steps that it may last.
    patience: usize,
}

struct RealConsumer {
    handle: ConsumerHandle,
    channel: usize,
    sink: Arc<Sink>,
    bound: Arc<OutboxBound>,
}

impl Real {
    /// Lets time pass, and calls the queue whenever it asked for it on the way.
    fn pass(&mut self, milliseconds: u64) {
        let (origin, start) = (self.origin, self.now);
        let end = start + Duration::from_millis(milliseconds);
        while let Some(at) = self.effects.alarm {
            let due = origin + Duration::from_millis(at.0.saturating_sub(EPOCH_MS));
            if due > end {
                break;
            }
            self.effects.alarm = None;
            self.now = self.now.max(due);
            self.queue.handle_timeout(at, self.now, &mut self.effects);
        }
        self.now = end;
    }

    /// The store may have been asked. It answers at last when its time is up.
    fn ask(&mut self) {
        let Some(paging) = self.paging else { return };
        if let Some(wanted) = self.effects.wanted.take() {
            assert!(self.reading.is_none(), "one read at a time");
            let page = paging.early.then(|| self.store.page(wanted.clone()));
            self.reading = Some(Reading { wanted, page, patience: paging.patience });
        }
        if let Some(reading) = &mut self.reading {
            match reading.patience.checked_sub(1) {
                Some(patience) => reading.patience = patience,
                None => self.answer(),
            }
        }
    }

    /// The store answers.
    fn answer(&mut self) {
        let Some(Reading { wanted, page, .. }) = self.reading.take() else { return };
        let page = page.unwrap_or_else(|| self.store.page(wanted));
        self.read += page.entries.iter().map(|entry| entry.message.memory()).sum::<usize>();
        self.queue.paged_in(page, self.now, &mut self.effects);
        self.ask();
    }

    /// All dead letters arrive, if there is a store to read them from.
    fn move_dead_letters(&mut self, max: usize) -> Vec<(u64, DeathReason)> {
        let mut moved = Vec::new();
        loop {
            let letters = self.queue.take_dead_letters(max, self.now).letters;
            assert!(letters.iter().all(|letter| !letter.message.is_stub()), "{letters:?}");
            moved.extend(letters.iter().map(|letter| (letter.position.0, letter.reason)));
            self.queue.dead_letters_moved(&[], self.now, &mut self.effects);
            self.ask();
            if self.queue.counts().departing == 0 || self.paging.is_none() {
                return moved;
            }
            assert!(!letters.is_empty() || self.reading.is_some() || self.effects.dead_letters);
            self.answer();
        }
    }

    fn resume_channel(&mut self, channel: usize) {
        for consumer in self.consumers.iter().filter(|consumer| consumer.channel == channel) {
            self.queue.resume([consumer.handle], self.now, &mut self.effects);
        }
    }
}

fn message(draft: &Draft, is_mortal: bool) -> Message {
    let key = draft.group.map(|key| ShortString::new(format!("{key}").as_bytes()).expect("short"));
    let properties = BasicProperties { message_id: key, ..BasicProperties::default() };
    let mut bytes = BytesMut::new();
    properties.encode(&mut bytes);
    let properties_len = u32::try_from(bytes.len()).expect("few");
    bytes.resize(bytes.len() + usize::from(draft.len), 0);
    let time_to_live = draft.time_to_live.filter(|_| is_mortal);
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len,
        bytes: &bytes,
        segments: &[],
        persistent: draft.persistent,
        priority: draft.priority,
        extras: time_to_live
            .is_some()
            .then(|| Box::new(MessageExtras { time_to_live, ..MessageExtras::default() })),
    });
    message.enter(1);
    message
}

fn settings(rules: &Rules) -> QueueSettings {
    let target = DeadLetterTarget {
        exchange: ShortString::from_static("dlx"),
        routing_key: None,
        at_least_once: false,
    };
    QueueSettings {
        message_ttl: rules.time_to_live,
        max_length: rules.max_length,
        overflow: rules.overflow,
        dead_letter: rules.dead_letters.then_some(target),
        max_priority: rules.max_priority,
        delivery_limit: rules.delivery_limit,
        single_active_consumer: rules.single_active,
        group: rules.groups.then_some(MessageGroup::Property(GroupProperty::MessageId)),
        ..QueueSettings::plain()
    }
}

/// The queue and the reference, side by side.
struct Pair {
    real: Real,
    reference: Reference,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "an origin; the queue only passes it on")]
    fn new(rules: &Rules) -> Self {
        let now = Instant::now();
        let mut options = QueueOptions::new(true, settings(rules), Epoch::new(now, EPOCH_MS));
        let store = Arc::new(MapStore::default());
        if let Some(Paging { window, short, .. }) = rules.paging {
            options.window = Window { messages: window, bytes: 1 << 20 };
            options.memory = Arc::new(MemoryGauge::new(2));
            options.memory.add(2 * usize::from(short));
        }
        let mut queue = Queue::new(options, now);
        if rules.paging.is_some() {
            queue = queue.stored(QueueId(1), Arc::<MapStore>::clone(&store), true);
        }
        let real = Real {
            queue,
            origin: now,
            now,
            effects: Effects::default(),
            consumers: Vec::new(),
            channels: Default::default(),
            store,
            paging: rules.paging,
            reading: None,
            read: 0,
        };
        let rules = rules.clone();
        let reference = Reference { rules, now: EPOCH_MS, ..Reference::default() };
        Self { real, reference }
    }

    fn apply(&mut self, operation: &Operation) {
        let Self { real, reference } = self;
        match *operation {
            Operation::Enqueue(ref drafts) => {
                let is_mortal = reference.rules.is_mortal();
                let messages: Vec<_> = drafts.iter().map(|it| message(it, is_mortal)).collect();
                let bytes: Vec<_> = messages.iter().map(Message::memory).collect();
                reference.enqueue(drafts, &bytes);
                real.queue.enqueue(&messages, real.now, &mut real.effects);
                let refused = std::mem::take(&mut real.effects.refused);
                assert_eq!(refused, std::mem::take(&mut reference.refused));
            }
            Operation::Get { no_ack } => self.get(no_ack),
            Operation::MoveDeadLetters(max) => {
                // Of those that die together some may have to be read first.
                let max = if real.paging.is_some() { usize::MAX } else { max };
                let mut letters = real.move_dead_letters(max);
                let mut expected = reference.move_dead_letters(max);
                if real.paging.is_some() {
                    letters.sort_by_key(|(position, _)| *position);
                    expected.sort_by_key(|(position, _)| *position);
                }
                assert_eq!(letters, expected);
            }
            Operation::Pass(milliseconds) => {
                for _ in 0..milliseconds {
                    self.real.pass(1);
                    self.reference.pass(1);
                    self.keep_up();
                }
            }
            Operation::AddConsumer { .. } => self.add_consumer(operation),
            Operation::RemoveConsumer(pick) => {
                let Some(index) = pick.checked_rem(real.consumers.len()) else { return };
                let was_there = !reference.consumers[index].gone;
                reference.consumers[index].gone = true;
                reference.ring.retain(|&other| other != index);
                real.effects.unused = false;
                let handle = real.consumers[index].handle;
                real.queue.remove_consumer(handle, real.now, &mut real.effects);
                let last = reference.consumers.iter().all(|consumer| consumer.gone);
                assert_eq!(real.effects.unused, was_there && last);
                if reference.rules.single_active {
                    reference.activate();
                }
                reference.finish();
            }
            Operation::Read { consumer, count } => self.read(consumer, count),
            Operation::Settle { ref of, how } => self.settle(of, how),
            Operation::SetLimit { channel, limit } => {
                let rules = &reference.rules;
                if rules.paging.is_some_and(|it| it.short)
                    && (rules.groups || rules.max_priority.is_some())
                {
                    // Who is next in turn depends on when a message was at hand: not compared here.
                    return;
                }
                let refused = real.channels[channel].set_limit(limit);
                if refused {
                    real.resume_channel(channel);
                }
                reference.channels[channel].limit = limit.into();
                reference.return_channel(channel);
            }
            Operation::Purge => {
                let purged = real.queue.purge(&mut real.effects);
                assert_eq!(purged, reference.count(|state| state == EntryState::Ready));
                reference.end(|state| state == EntryState::Ready);
            }
            Operation::Delete => {
                let dropped = real.queue.delete(&mut real.effects);
                assert_eq!(dropped, reference.count(|state| state == EntryState::Ready));
                reference.end(|state| state != EntryState::Gone);
                reference.deleted = true;
                for consumer in &mut reference.consumers {
                    consumer.cancelled |= !consumer.gone;
                    consumer.gone = true;
                }
                reference.ring.clear();
                reference.dead.clear();
            }
        }
    }

    fn get(&mut self, no_ack: bool) {
        let Self { real, reference } = self;
        let sink = Arc::new(Sink::default());
        let mut tries = 0;
        let got = loop {
            let waits: Arc<dyn DeliverySink> = Arc::<Sink>::clone(&sink);
            match real.queue.get(no_ack, &waits, real.now, &mut real.effects) {
                Get::Message(fetched) => break Some(fetched),
                Get::Empty => break None,
                Get::Later => {
                    assert!(real.paging.is_some(), "all messages are in memory");
                    real.ask();
                    while *sink.tries.lock() == tries {
                        assert!(real.reading.is_some(), "it will be told to try again");
                        real.answer();
                    }
                    tries += 1;
                }
            }
        };
        let number = reference.fetched + 1;
        let expected = reference.deliver(None, no_ack, number);
        reference.fetched += u64::from(expected.is_some());
        let behind = reference.count(|state| state == EntryState::Ready);
        reference.finish();
        let got = got.map(|Fetched { entry, number, behind }| {
            (entry.position.0, entry.returns, entry.message.memory(), number, behind)
        });
        let expected =
            expected.map(|entry| (entry.position, entry.returns, entry.bytes, number, behind));
        assert_eq!(got, expected);
    }

    fn add_consumer(&mut self, operation: &Operation) {
        let Operation::AddConsumer { channel, prefetch, no_ack, exclusive, priority } = *operation
        else {
            return;
        };
        let Self { real, reference } = self;
        let sink = Arc::new(Sink::default());
        let bound = Arc::new(OutboxBound::new(OUTBOX_MAX));
        let index = real.consumers.len();
        let slot = u32::try_from(index).expect("few");
        let options = ConsumerOptions {
            subscription: Subscription { channel: ChannelId(1), slot },
            sink: Arc::<Sink>::clone(&sink),
            outbox_bound: Arc::clone(&bound),
            channel_credit: Arc::clone(&real.channels[channel]),
            no_ack,
            exclusive,
            prefetch: Prefetch::from(prefetch),
            priority,
            timeout: None,
            timeout_action: None,
        };
        let added = real.queue.add_consumer(options, real.now, &mut real.effects);
        let mut present = reference.consumers.iter().filter(|consumer| !consumer.gone).peekable();
        let refused = if reference.deleted {
            Some(ConsumeRefused::Deleted)
        } else {
            let shared = present.peek().is_some() || reference.rules.single_active;
            let in_use = (exclusive && shared) || present.any(|consumer| consumer.exclusive);
            in_use.then_some(ConsumeRefused::ExclusiveUse)
        };
        assert_eq!(added.err(), refused);
        let Ok(handle) = added else { return };
        real.consumers.push(RealConsumer { handle, channel, sink, bound });
        reference.consumers.push(Consumer {
            channel,
            prefetch: prefetch.into(),
            no_ack,
            exclusive,
            priority,
            gone: false,
            cancelled: false,
            outbox: Vec::new(),
            stalled: false,
            delivered: 0,
        });
        if reference.rules.single_active {
            reference.activate();
        } else {
            reference.return_to_ring(index);
        }
        reference.finish();
    }

    fn read(&mut self, pick: usize, count: usize) {
        let Some(index) = pick.checked_rem(self.real.consumers.len()) else { return };
        for _ in 0..count {
            let Self { real, reference } = self;
            let consumer = &real.consumers[index];
            let received = {
                let mut waiting = consumer.sink.received.lock();
                if waiting.is_empty() {
                    return;
                }
                waiting.remove(0)
            };
            if consumer.bound.remove(received.message.memory()) {
                real.queue.resume([consumer.handle], real.now, &mut real.effects);
            }
            let expected = &mut reference.consumers[index];
            expected.outbox.remove(0);
            if expected.stalled && waiting(&expected.outbox) <= OUTBOX_MAX / 2 {
                expected.stalled = false;
                reference.return_to_ring(index);
                reference.finish();
            }
            self.keep_up();
        }
    }

    /// Settles some of what is delivered, or gives it back, in whatever order.
    fn settle(&mut self, of: &[usize], how: Settlement) {
        for pick in of {
            let Self { real, reference } = self;
            let is_unacked = |entry: &&mut Entry| matches!(entry.state, EntryState::Unacked(_));
            let held = reference.count(|state| matches!(state, EntryState::Unacked(_)));
            let Some(nth) = pick.checked_rem(held) else { break };
            let mut unacked = reference.entries.iter_mut().filter(is_unacked);
            let entry = unacked.nth(nth).expect("there are as many");
            let EntryState::Unacked(consumer) = entry.state else { unreachable!() };
            let (number, position, bytes, group) =
                ([entry.number], entry.position, entry.bytes, entry.group);
            match how {
                Settlement::Acknowledge => {
                    entry.state = EntryState::Gone;
                    reference.freed += bytes;
                    reference.totals.acknowledged += 1;
                    reference.offer(group);
                }
                Settlement::Reject => reference.bury(position, DeathReason::Rejected),
                Settlement::Requeue => reference.come_back(position),
            }
            let channel = consumer.map(|index| reference.consumers[index].channel);
            let mut starved = false;
            if let (Some(index), Some(channel)) = (consumer, channel) {
                reference.channels[channel].used -= 1;
                starved = real.channels[channel].give_back(1);
                reference.return_to_ring(index);
            }
            let holder = consumer
                .map_or(Holder::Fetched, |index| Holder::Consumer(real.consumers[index].handle));
            let (queue, now, effects) = (&mut real.queue, real.now, &mut real.effects);
            match how {
                Settlement::Acknowledge => queue.acknowledge(holder, number, now, effects),
                Settlement::Reject => queue.reject(holder, number, now, effects),
                Settlement::Requeue => {
                    queue.requeue(holder, number, Return::Nacked, now, effects);
                }
            }
            reference.finish();
            if let Some(channel) = channel.filter(|_| starved) {
                self.keep_up();
                self.real.resume_channel(channel);
                self.reference.return_channel(channel);
            }
            self.keep_up();
        }
    }

    /// Lets the store answer, at the latest when something depends on it.
    fn keep_up(&mut self) {
        self.real.ask();
        // Who finds his channel's credit used up leaves the ring, once there is something to be had.
        let limited = self.reference.channels.iter().any(|channel| channel.limit != 0);
        while self.real.reading.is_some()
            && (limited || self.real_state() != self.reference_state())
        {
            self.real.answer();
        }
    }

    /// Where all messages are, and what became of them.
    fn reference_state(&self) -> (QueueCounts, Totals) {
        let reference = &self.reference;
        let counts = QueueCounts {
            ready: reference.count(|state| state == EntryState::Ready),
            unacked: reference.count(|state| matches!(state, EntryState::Unacked(_))),
            scheduled: 0,
            departing: reference.count(|state| state == EntryState::Departing),
            consumers: reference.consumers.iter().filter(|consumer| !consumer.gone).count(),
        };
        (counts, reference.totals)
    }

    fn real_state(&self) -> (QueueCounts, Totals) {
        let totals = self.real.queue.totals();
        let totals = Totals {
            accepted: totals.accepted,
            refused: totals.refused,
            delivered: totals.delivered,
            redelivered: totals.redelivered,
            acknowledged: totals.acknowledged,
            dead_lettered: totals.dead_lettered,
            dropped: totals.dropped.total(),
            purged: totals.purged,
        };
        (self.real.queue.counts(), totals)
    }

    fn compare(&self) {
        let Self { real, reference } = self;
        assert_eq!(self.real_state(), self.reference_state());
        if real.paging.is_none() {
            assert_eq!(real.effects.freed, reference.freed);
        } else {
            // What is not in memory has left it.
            let freed = real.effects.freed - real.effects.taken - real.read;
            assert!(freed >= reference.freed, "{freed} of {} bytes", reference.freed);
            let is_empty = reference.count(|state| state != EntryState::Gone) == 0;
            assert!(freed == reference.freed || !is_empty, "{freed} of {}", reference.freed);
            if is_empty && !reference.deleted {
                assert_eq!(real.store.len(), 0, "the store keeps what left");
            }
        }
        for (index, (consumer, expected)) in
            real.consumers.iter().zip(&reference.consumers).enumerate()
        {
            let received = consumer.sink.received.lock();
            let received: Received = received
                .iter()
                .map(|it| (it.position.0, it.message.memory(), it.redelivered))
                .collect();
            assert_eq!(received, expected.outbox, "consumer {index}");
            let cancelled = *consumer.sink.cancelled.lock();
            assert_eq!(cancelled, u32::from(expected.cancelled), "consumer {index}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Goal: whatever a queue is declared with and whatever happens to it, every message goes to the
    /// consumer whose turn it is, in order, flagged if it was delivered before, or dies when it must
    /// and not before; every one is counted, and its memory given back once.
    #[test]
    fn a_queue_does_what_the_reference_does(rules in rules(), operations in operations()) {
        let mut pair = Pair::new(&rules);
        for operation in &operations {
            pair.apply(operation);
            pair.keep_up();
            pair.compare();
        }
    }
}
