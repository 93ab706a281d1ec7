//! The queue against a reference that is too simple to be wrong: one list of entries, each with its
//! state, searched from the front every time.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ChannelId;
use leveret::broker::credit::{ChannelCredit, OutboxBound};
use leveret::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use leveret::broker::message::{Message, MessageParts};
use leveret::broker::queue::{
    ConsumeRefused, ConsumerHandle, ConsumerOptions, Fetched, Holder, Prefetch, Queue,
    QueueOptions, Return,
};
use leveret::broker::queue_settings::QueueSettings;
use leveret::broker::time::Epoch;
use parking_lot::Mutex;
use proptest::prelude::*;

/// Bytes that may wait for one consumer: a few messages.
const OUTBOX_MAX: usize = 400;

const CHANNELS: usize = 2;

#[derive(Debug, Clone)]
enum Operation {
    Enqueue(Vec<u8>),
    Get {
        no_ack: bool,
    },
    AddConsumer {
        channel: usize,
        prefetch: u16,
        no_ack: bool,
        exclusive: bool,
    },
    RemoveConsumer(usize),
    /// Takes deliveries out of a consumer's outbox.
    Read {
        consumer: usize,
        count: usize,
    },
    Settle {
        of: Vec<usize>,
        requeue: bool,
    },
    SetLimit {
        channel: usize,
        limit: u16,
    },
    Purge,
    Delete,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => prop::collection::vec(0_u8..100, 1..4).prop_map(Operation::Enqueue),
        2 => any::<bool>().prop_map(|no_ack| Operation::Get { no_ack }),
        3 => (0..CHANNELS, 0_u16..4, prop::bool::weighted(0.2), prop::bool::weighted(0.1)).prop_map(
            |(channel, prefetch, no_ack, exclusive)| Operation::AddConsumer {
                channel,
                prefetch,
                no_ack,
                exclusive,
            }
        ),
        1 => any::<usize>().prop_map(Operation::RemoveConsumer),
        4 => (any::<usize>(), 1_usize..6)
            .prop_map(|(consumer, count)| Operation::Read { consumer, count }),
        6 => (prop::collection::vec(any::<usize>(), 1..4), prop::bool::weighted(0.4))
            .prop_map(|(of, requeue)| Operation::Settle { of, requeue }),
        1 => (0..CHANNELS, 0_u16..5)
            .prop_map(|(channel, limit)| Operation::SetLimit { channel, limit }),
        1 => Just(Operation::Purge),
    ];
    let last = prop_oneof![3 => Just(None), 1 => Just(Some(Operation::Delete))];
    (prop::collection::vec(operation, 0..80), last, 0_usize..4).prop_map(
        |(mut operations, last, after)| {
            // A deleted queue takes the operations behind its deletion, and does nothing.
            let at = operations.len().saturating_sub(after);
            operations.splice(at..at, last);
            operations
        },
    )
}

/// What a consumer received: position, size, redelivered.
type Received = Vec<(u64, usize, bool)>;

#[derive(Debug, Default)]
struct Reference {
    entries: Vec<Entry>,
    next_position: u64,
    consumers: Vec<Consumer>,
    /// Whose turn it is, next first.
    ring: Vec<usize>,
    channels: [Channel; CHANNELS],
    /// Deliveries of `basic.get`.
    fetched: u64,
    deleted: bool,
    freed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    position: u64,
    bytes: usize,
    redelivered: bool,
    state: EntryState,
    /// The number of its last delivery.
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum EntryState {
    Ready,
    Unacked(Option<usize>),
    Gone,
}

#[derive(Debug, Clone)]
struct Consumer {
    channel: usize,
    prefetch: usize,
    no_ack: bool,
    exclusive: bool,
    gone: bool,
    cancelled: bool,
    outbox: Received,
    stalled: bool,
    delivered: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Channel {
    limit: usize,
    used: usize,
}

impl Reference {
    fn enqueue(&mut self, bytes: usize) {
        if self.deleted {
            self.freed += bytes;
            return;
        }
        let position = self.next_position;
        self.next_position += 1;
        let state = EntryState::Ready;
        self.entries.push(Entry { position, bytes, redelivered: false, state, number: 0 });
    }

    fn count(&self, state: impl Fn(EntryState) -> bool) -> usize {
        self.entries.iter().filter(|entry| state(entry.state)).count()
    }

    fn first_ready(&mut self) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.state == EntryState::Ready)
    }

    fn end(&mut self, ended: impl Fn(EntryState) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| ended(entry.state)) {
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
        }
    }

    /// A consumer takes its place at the end of the ring, if it may and does not stand there.
    fn return_to_ring(&mut self, index: usize) {
        let consumer = &self.consumers[index];
        let owed = self.count(|state| state == EntryState::Unacked(Some(index)));
        let may = consumer.no_ack || consumer.prefetch == 0 || owed < consumer.prefetch;
        if may && !consumer.gone && !consumer.stalled && !self.ring.contains(&index) {
            self.ring.push(index);
        }
    }

    fn return_channel(&mut self, channel: usize) {
        for index in 0..self.consumers.len() {
            if self.consumers[index].channel == channel {
                self.return_to_ring(index);
                self.dispatch();
            }
        }
    }

    fn dispatch(&mut self) {
        while self.first_ready().is_some() && !self.ring.is_empty() {
            let index = self.ring.remove(0);
            let Consumer { channel, no_ack, .. } = self.consumers[index];
            let Channel { limit, used } = &mut self.channels[channel];
            if !no_ack {
                if *limit != 0 && *used >= *limit {
                    continue;
                }
                *used += 1;
            }
            self.consumers[index].delivered += 1;
            let number = self.consumers[index].delivered;
            let entry = self.first_ready().expect("looked at before");
            entry.number = number;
            entry.state = if no_ack { EntryState::Gone } else { EntryState::Unacked(Some(index)) };
            let Entry { position, bytes, redelivered, .. } = *entry;
            self.freed += if no_ack { bytes } else { 0 };
            let consumer = &mut self.consumers[index];
            consumer.outbox.push((position, bytes, redelivered));
            consumer.stalled |= waiting(&consumer.outbox) >= OUTBOX_MAX;
            self.return_to_ring(index);
        }
    }
}

fn waiting(outbox: &Received) -> usize {
    outbox.iter().map(|(_, bytes, _)| bytes).sum()
}

/// A client's side of a consumer of the real queue.
#[derive(Debug, Default)]
struct Sink {
    received: Mutex<Vec<Delivery>>,
    cancelled: Mutex<u32>,
}

impl DeliverySink for Sink {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) {
        self.received.lock().append(deliveries);
    }

    fn cancelled(&self, _subscription: Subscription) {
        *self.cancelled.lock() += 1;
    }

    fn taken_back(&self, _subscription: Subscription, _numbers: Vec<u64>) {
        panic!("nothing is held for too long");
    }

    fn timed_out(&self, _subscription: Subscription, _timeout: u64, _dropped: bool) {
        panic!("nothing is held for too long");
    }
}

struct Real {
    queue: Queue,
    now: Instant,
    effects: Effects,
    consumers: Vec<RealConsumer>,
    channels: [Arc<ChannelCredit>; CHANNELS],
}

struct RealConsumer {
    handle: ConsumerHandle,
    channel: usize,
    sink: Arc<Sink>,
    bound: Arc<OutboxBound>,
}

impl Real {
    fn resume_channel(&mut self, channel: usize) {
        for consumer in self.consumers.iter().filter(|consumer| consumer.channel == channel) {
            self.queue.resume([consumer.handle], self.now, &mut self.effects);
        }
    }
}

fn message(body: usize) -> Message {
    let bytes = vec![0; 2 + body];
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 2,
        bytes: &bytes,
        segments: &[],
        persistent: false,
        priority: 0,
        extras: None,
    });
    message.enter(1);
    message
}

/// The queue and the reference, side by side.
struct Pair {
    real: Real,
    reference: Reference,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "an origin; the queue only passes it on")]
    fn new() -> Self {
        let now = Instant::now();
        let options = QueueOptions {
            auto_delete: true,
            settings: Arc::new(QueueSettings::plain()),
            epoch: Epoch::new(now, 0),
        };
        let real = Real {
            queue: Queue::new(options, now),
            now,
            effects: Effects::default(),
            consumers: Vec::new(),
            channels: Default::default(),
        };
        Self { real, reference: Reference::default() }
    }

    fn apply(&mut self, operation: &Operation) {
        let Self { real, reference } = self;
        match *operation {
            Operation::Enqueue(ref bodies) => {
                let messages: Vec<Message> =
                    bodies.iter().map(|&len| message(len.into())).collect();
                messages.iter().for_each(|message| reference.enqueue(message.memory()));
                real.queue.enqueue(&messages, real.now, &mut real.effects);
                reference.dispatch();
            }
            Operation::Get { no_ack } => {
                let got = real.queue.get(no_ack, real.now, &mut real.effects);
                let state = if no_ack { EntryState::Gone } else { EntryState::Unacked(None) };
                reference.fetched += u64::from(reference.first_ready().is_some());
                let number = reference.fetched;
                let expected = reference.first_ready().map(|entry| {
                    entry.state = state;
                    entry.number = number;
                    (entry.position, entry.redelivered, entry.bytes)
                });
                let behind = reference.count(|state| state == EntryState::Ready);
                if let (true, Some((_, _, bytes))) = (no_ack, expected) {
                    reference.freed += bytes;
                }
                let got = got.map(|Fetched { entry, number, behind }| {
                    let bytes = entry.message.memory();
                    assert_eq!(number, reference.fetched);
                    ((entry.position.0, entry.is_redelivered(), bytes), behind)
                });
                assert_eq!(got, expected.map(|entry| (entry, behind)));
            }
            Operation::AddConsumer { channel, prefetch, no_ack, exclusive } => {
                self.add_consumer(channel, prefetch, no_ack, exclusive);
            }
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
            }
            Operation::Read { consumer, count } => self.read(consumer, count),
            Operation::Settle { ref of, requeue } => self.settle(of, requeue),
            Operation::SetLimit { channel, limit } => {
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
            }
        }
    }

    fn add_consumer(&mut self, channel: usize, prefetch: u16, no_ack: bool, exclusive: bool) {
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
            priority: 0,
            timeout: None,
            timeout_action: None,
        };
        let added = real.queue.add_consumer(options, real.now, &mut real.effects);
        let mut present = reference.consumers.iter().filter(|consumer| !consumer.gone).peekable();
        let refused = if reference.deleted {
            Some(ConsumeRefused::Deleted)
        } else {
            let in_use = (exclusive && present.peek().is_some())
                || present.any(|consumer| consumer.exclusive);
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
            gone: false,
            cancelled: false,
            outbox: Vec::new(),
            stalled: false,
            delivered: 0,
        });
        reference.return_to_ring(index);
        reference.dispatch();
    }

    fn read(&mut self, pick: usize, count: usize) {
        let Self { real, reference } = self;
        let Some(index) = pick.checked_rem(real.consumers.len()) else { return };
        for _ in 0..count {
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
                reference.dispatch();
            }
        }
    }

    /// Settles some of what is delivered, or requeues it, in whatever order.
    fn settle(&mut self, of: &[usize], requeue: bool) {
        let Self { real, reference } = self;
        for pick in of {
            let is_unacked = |entry: &&mut Entry| matches!(entry.state, EntryState::Unacked(_));
            let held = reference.count(|state| matches!(state, EntryState::Unacked(_)));
            let Some(nth) = pick.checked_rem(held) else { break };
            let mut unacked = reference.entries.iter_mut().filter(is_unacked);
            let entry = unacked.nth(nth).expect("there are as many");
            let EntryState::Unacked(consumer) = entry.state else { unreachable!() };
            let number = [entry.number];
            entry.state = if requeue { EntryState::Ready } else { EntryState::Gone };
            entry.redelivered |= requeue;
            reference.freed += if requeue { 0 } else { entry.bytes };
            let channel = consumer.map(|index| reference.consumers[index].channel);
            let mut starved = false;
            if let (Some(index), Some(channel)) = (consumer, channel) {
                reference.channels[channel].used -= 1;
                starved = real.channels[channel].give_back(1);
                reference.return_to_ring(index);
            }
            let holder = consumer
                .map_or(Holder::Fetched, |index| Holder::Consumer(real.consumers[index].handle));
            if requeue {
                let why = Return::Nacked;
                real.queue.requeue(holder, number, why, real.now, &mut real.effects);
            } else {
                real.queue.acknowledge(holder, number, real.now, &mut real.effects);
            }
            reference.dispatch();
            if let Some(channel) = channel.filter(|_| starved) {
                real.resume_channel(channel);
                reference.return_channel(channel);
            }
        }
    }

    fn compare(&self) {
        let Self { real, reference } = self;
        let counts = real.queue.counts();
        assert_eq!(counts.ready, reference.count(|state| state == EntryState::Ready));
        let unacked = reference.count(|state| matches!(state, EntryState::Unacked(_)));
        assert_eq!(counts.unacked, unacked);
        let consumers = reference.consumers.iter().filter(|consumer| !consumer.gone).count();
        assert_eq!(counts.consumers, consumers);
        assert_eq!(real.effects.freed, reference.freed);
        for (index, (consumer, expected)) in
            real.consumers.iter().zip(&reference.consumers).enumerate()
        {
            let received = consumer.sink.received.lock();
            let received: Received = received
                .iter()
                .map(|it| (it.position.0, it.message.memory(), it.is_redelivered()))
                .collect();
            assert_eq!(received, expected.outbox, "consumer {index}");
            let cancelled = *consumer.sink.cancelled.lock();
            assert_eq!(cancelled, u32::from(expected.cancelled), "consumer {index}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Goal: whatever happens to a queue, every message goes to the consumer whose turn it is, in
    /// order, flagged if it was delivered before, and its memory is given back once.
    #[test]
    fn a_queue_does_what_the_reference_does(operations in operations()) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation);
            pair.compare();
        }
    }
}
