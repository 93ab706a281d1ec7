//! The queue against a reference that is too simple to be wrong: one list of entries, each with its
//! state, searched from the front every time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::{BasicProperties, ChannelId, ShortString};
use bytes::BytesMut;
use leveret::broker::credit::{ChannelCredit, OutboxBound};
use leveret::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use leveret::broker::message::{Message, MessageExtras, MessageParts};
use leveret::broker::queue::{
    ConsumeRefused, ConsumerHandle, ConsumerOptions, DeathReason, Fetched, Holder, Prefetch, Queue,
    QueueOptions, Return,
};
use leveret::broker::queue_settings::{
    DeadLetterTarget, GroupProperty, MessageGroup, Overflow, QueueSettings,
};
use leveret::broker::time::Epoch;
use parking_lot::Mutex;
use proptest::prelude::*;

/// Bytes that may wait for one consumer: a few messages.
const OUTBOX_MAX: usize = 400;

const CHANNELS: usize = 2;

/// Where the calendar stands at first, in milliseconds.
const EPOCH_MS: u64 = 1000;

/// What the queue is declared with.
#[derive(Debug, Clone, Default)]
struct Rules {
    time_to_live: Option<u64>,
    max_length: Option<u64>,
    overflow: Overflow,
    dead_letters: bool,
    max_priority: Option<u8>,
    delivery_limit: Option<u32>,
    single_active: bool,
    groups: bool,
}

/// A message to be published.
#[derive(Debug, Clone)]
struct Draft {
    len: u8,
    time_to_live: Option<u64>,
    priority: u8,
    group: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Settlement {
    Acknowledge,
    Reject,
    Requeue,
}

#[derive(Debug, Clone)]
enum Operation {
    Enqueue(Vec<Draft>),
    Get {
        no_ack: bool,
    },
    AddConsumer {
        channel: usize,
        prefetch: u16,
        no_ack: bool,
        exclusive: bool,
        priority: i64,
    },
    RemoveConsumer(usize),
    /// Takes deliveries out of a consumer's outbox.
    Read {
        consumer: usize,
        count: usize,
    },
    Settle {
        of: Vec<usize>,
        how: Settlement,
    },
    SetLimit {
        channel: usize,
        limit: u16,
    },
    /// Some of the dead letters arrive.
    MoveDeadLetters(usize),
    /// So many milliseconds.
    Pass(u64),
    Purge,
    Delete,
}

fn rules() -> impl Strategy<Value = Rules> {
    let overflow = prop_oneof![
        2 => Just(Overflow::DropHead),
        1 => Just(Overflow::RejectPublish),
        1 => Just(Overflow::RejectPublishDeadLetter),
    ];
    let some = prop::option::weighted::<std::ops::Range<u64>>;
    (
        (some(0.4, 0..8), some(0.4, 0..5), overflow, any::<bool>()),
        (prop::option::weighted(0.3, 1_u8..6), prop::option::weighted(0.4, 0_u32..3)),
        (prop::bool::weighted(0.3), prop::bool::weighted(0.3)),
    )
        .prop_map(|(limits, (max_priority, delivery_limit), (single_active, groups))| {
            let (time_to_live, max_length, overflow, dead_letters) = limits;
            // Where messages leave groups from the middle, whose turn is next depends on when the
            // queue tidies up: not a matter of one list.
            let refuses = overflow != Overflow::DropHead;
            Rules {
                time_to_live: time_to_live.filter(|_| !groups),
                max_length: max_length.filter(|_| !groups || refuses),
                overflow,
                dead_letters,
                max_priority: max_priority.filter(|_| !groups),
                delivery_limit,
                single_active,
                groups,
            }
        })
}

fn draft() -> impl Strategy<Value = Draft> {
    (
        0_u8..100,
        prop::option::weighted(0.3, 0_u64..8),
        0_u8..8,
        prop::option::weighted(0.8, 0_u8..3),
    )
        .prop_map(|(len, time_to_live, priority, group)| Draft {
            len,
            time_to_live,
            priority,
            group,
        })
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let settlement = prop_oneof![
        3 => Just(Settlement::Acknowledge),
        3 => Just(Settlement::Requeue),
        1 => Just(Settlement::Reject),
    ];
    let operation = prop_oneof![
        8 => prop::collection::vec(draft(), 1..4).prop_map(Operation::Enqueue),
        2 => any::<bool>().prop_map(|no_ack| Operation::Get { no_ack }),
        3 => (
            (0..CHANNELS, 0_u16..4),
            (prop::bool::weighted(0.2), prop::bool::weighted(0.1)),
            -1_i64..2,
        )
            .prop_map(|((channel, prefetch), (no_ack, exclusive), priority)| {
                Operation::AddConsumer { channel, prefetch, no_ack, exclusive, priority }
            }),
        1 => any::<usize>().prop_map(Operation::RemoveConsumer),
        4 => (any::<usize>(), 1_usize..6)
            .prop_map(|(consumer, count)| Operation::Read { consumer, count }),
        6 => (prop::collection::vec(any::<usize>(), 1..4), settlement)
            .prop_map(|(of, how)| Operation::Settle { of, how }),
        3 => (0_u64..6).prop_map(Operation::Pass),
        2 => (0_usize..4).prop_map(Operation::MoveDeadLetters),
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

/// What became of messages, in the order of [`Pair::compare`].
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Totals {
    accepted: u64,
    refused: u64,
    delivered: u64,
    redelivered: u64,
    acknowledged: u64,
    dead_lettered: u64,
    dropped: u64,
    purged: u64,
}

#[derive(Debug, Default)]
struct Reference {
    rules: Rules,
    now: u64,
    entries: Vec<Entry>,
    consumers: Vec<Consumer>,
    /// Whose turn it is, next first.
    ring: Vec<usize>,
    /// The one that gets everything, if only one does.
    active: Option<usize>,
    /// Groups that may deliver, next first.
    groups: Vec<u64>,
    channels: [Channel; CHANNELS],
    /// Deliveries of `basic.get`.
    fetched: u64,
    /// Places in the batch of what was not taken in.
    refused: Vec<usize>,
    /// Dead letters in the order they died.
    dead: Vec<(u64, DeathReason)>,
    deleted: bool,
    freed: usize,
    totals: Totals,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    position: u64,
    bytes: usize,
    priority: u8,
    group: u64,
    expires: Option<u64>,
    returns: u32,
    state: EntryState,
    /// The number of its last delivery.
    number: u64,
    /// It was taken in, not refused.
    accepted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum EntryState {
    Ready,
    Unacked(Option<usize>),
    Departing,
    Gone,
}

#[derive(Debug, Clone)]
struct Consumer {
    channel: usize,
    prefetch: usize,
    no_ack: bool,
    exclusive: bool,
    priority: i64,
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
    fn enqueue(&mut self, drafts: &[Draft], bytes: &[usize]) {
        for (place, (draft, &bytes)) in drafts.iter().zip(bytes).enumerate() {
            if self.deleted {
                self.freed += bytes;
                continue;
            }
            let refuses = self.rules.overflow != Overflow::DropHead;
            if refuses && self.is_full() {
                self.dispatch();
            }
            let refused = refuses && self.is_full();
            let to_dead_letters =
                self.rules.overflow == Overflow::RejectPublishDeadLetter && self.rules.dead_letters;
            if refused {
                self.totals.refused += 1;
                self.refused.push(place);
                if !to_dead_letters {
                    self.freed += bytes;
                    continue;
                }
            }
            self.append(draft, bytes, !refused);
        }
        self.finish();
    }

    fn append(&mut self, draft: &Draft, bytes: usize, accepted: bool) {
        let position = self.entries.len() as u64;
        let ttl = [draft.time_to_live.filter(|_| !self.rules.groups), self.rules.time_to_live];
        let group = draft.group.map_or(1000 + position, u64::from);
        self.entries.push(Entry {
            position,
            bytes,
            priority: self.rules.max_priority.map_or(0, |max| draft.priority.min(max)),
            group,
            expires: ttl.into_iter().flatten().min().map(|ttl| self.now + ttl),
            returns: 0,
            state: EntryState::Ready,
            number: 0,
            accepted,
        });
        if accepted {
            self.totals.accepted += 1;
            self.offer(group);
        } else {
            self.bury(position, DeathReason::MaxLength);
        }
    }

    fn is_full(&self) -> bool {
        let ready = self.count(|state| state == EntryState::Ready) as u64;
        self.rules.max_length.is_some_and(|max| ready + 1 > max)
    }

    fn count(&self, state: impl Fn(EntryState) -> bool) -> usize {
        self.entries.iter().filter(|entry| state(entry.state)).count()
    }

    /// A group may deliver if it has something and nothing of it is out.
    fn offer(&mut self, group: u64) {
        let has = |wanted: fn(EntryState) -> bool| {
            self.entries.iter().any(|entry| entry.group == group && wanted(entry.state))
        };
        let busy = has(|state| matches!(state, EntryState::Unacked(_)));
        if has(|state| state == EntryState::Ready) && !busy && !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    /// The message that is next.
    fn first_ready(&mut self) -> Option<&mut Entry> {
        let group = self.groups.first().copied();
        let by_groups = self.rules.groups;
        let may = |entry: &&mut Entry| {
            entry.state == EntryState::Ready && (!by_groups || Some(entry.group) == group)
        };
        self.entries
            .iter_mut()
            .filter(may)
            .max_by_key(|entry| (entry.priority, std::cmp::Reverse(entry.position)))
    }

    /// The next message is delivered: to a consumer or by `basic.get`, to be acknowledged or not.
    fn deliver(&mut self, to: Option<usize>, no_ack: bool, number: u64) -> Option<Entry> {
        let entry = self.first_ready()?;
        entry.number = number;
        entry.state = if no_ack { EntryState::Gone } else { EntryState::Unacked(to) };
        let entry = *entry;
        self.groups.retain(|&group| group != entry.group);
        self.totals.delivered += 1;
        self.totals.redelivered += u64::from(entry.returns > 0);
        if no_ack {
            self.freed += entry.bytes;
            self.totals.acknowledged += 1;
            self.offer(entry.group);
        }
        Some(entry)
    }

    fn end(&mut self, ended: impl Fn(EntryState) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| ended(entry.state)) {
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.purged += u64::from(entry.accepted);
        }
        self.groups.clear();
    }

    fn bury(&mut self, position: u64, reason: DeathReason) {
        let entry = &mut self.entries[usize::try_from(position).expect("few")];
        let group = entry.group;
        if self.rules.dead_letters {
            entry.state = EntryState::Departing;
            self.dead.push((position, reason));
        } else {
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.dropped += 1;
        }
        self.offer(group);
    }

    fn come_back(&mut self, position: u64) {
        let entry = &mut self.entries[usize::try_from(position).expect("few")];
        entry.returns += 1;
        entry.state = EntryState::Ready;
        let (group, returns) = (entry.group, entry.returns);
        if self.rules.delivery_limit.is_some_and(|limit| returns > limit) {
            self.bury(position, DeathReason::DeliveryLimit);
        } else {
            self.offer(group);
        }
    }

    fn move_dead_letters(&mut self, max: usize) -> Vec<(u64, DeathReason)> {
        let moved: Vec<_> = self.dead.drain(..max.min(self.dead.len())).collect();
        for (position, _) in &moved {
            let entry = &mut self.entries[usize::try_from(*position).expect("few")];
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.dead_lettered += u64::from(entry.accepted);
        }
        moved
    }

    /// Drops what was dead at a moment.
    fn expire(&mut self, by: u64) {
        let dead = |entry: &&Entry| {
            entry.state == EntryState::Ready && entry.expires.is_some_and(|expires| expires <= by)
        };
        let mut dead: Vec<Entry> = self.entries.iter().filter(dead).copied().collect();
        dead.sort_by_key(|entry| (entry.expires, entry.position));
        dead.iter().for_each(|entry| self.bury(entry.position, DeathReason::Expired));
    }

    /// What every operation ends with.
    fn finish(&mut self) {
        self.expire(self.now - 1);
        self.dispatch();
        let drops = self.rules.overflow == Overflow::DropHead;
        while let Some(max) = self.rules.max_length.filter(|_| drops)
            && self.count(|state| state == EntryState::Ready) as u64 > max
        {
            let position = self.first_ready().expect("too many").position;
            self.bury(position, DeathReason::MaxLength);
        }
        self.expire(self.now);
    }

    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1;
            self.finish();
        }
    }

    /// A consumer takes its place at the end of the ring, if it may and does not stand there.
    fn return_to_ring(&mut self, index: usize) {
        let consumer = &self.consumers[index];
        let owed = self.count(|state| state == EntryState::Unacked(Some(index)));
        let may = consumer.no_ack || consumer.prefetch == 0 || owed < consumer.prefetch;
        let its_turn = !self.rules.single_active || self.active == Some(index);
        if may && its_turn && !consumer.gone && !consumer.stalled && !self.ring.contains(&index) {
            self.ring.push(index);
        }
    }

    /// Where one consumer at a time gets everything, it is the one with the highest priority that
    /// waited longest.
    fn activate(&mut self) {
        if self.active.is_some_and(|active| !self.consumers[active].gone) {
            return;
        }
        let present = (0..self.consumers.len()).filter(|&index| !self.consumers[index].gone);
        let best = |&index: &usize| (self.consumers[index].priority, std::cmp::Reverse(index));
        self.active = present.max_by_key(best);
        if let Some(active) = self.active {
            self.return_to_ring(active);
        }
    }

    fn return_channel(&mut self, channel: usize) {
        for index in 0..self.consumers.len() {
            if self.consumers[index].channel == channel {
                self.return_to_ring(index);
                self.finish();
            }
        }
    }

    /// The first in the ring among those with the highest priority leaves it.
    fn take_turn(&mut self) -> usize {
        let highest = self.ring.iter().map(|&index| self.consumers[index].priority).max();
        let first = |&index: &usize| Some(self.consumers[index].priority) == highest;
        let place = self.ring.iter().position(first).expect("the ring is not empty");
        self.ring.remove(place)
    }

    fn dispatch(&mut self) {
        while self.first_ready().is_some() && !self.ring.is_empty() {
            let index = self.take_turn();
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
            let entry = self.deliver(Some(index), no_ack, number).expect("looked at before");
            let Entry { position, bytes, returns, .. } = entry;
            let consumer = &mut self.consumers[index];
            consumer.outbox.push((position, bytes, returns > 0));
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
    origin: Instant,
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

    fn resume_channel(&mut self, channel: usize) {
        for consumer in self.consumers.iter().filter(|consumer| consumer.channel == channel) {
            self.queue.resume(consumer.handle, self.now, &mut self.effects);
        }
    }
}

fn message(draft: &Draft, groups: bool) -> Message {
    let key = draft.group.map(|key| ShortString::new(format!("{key}").as_bytes()).expect("short"));
    let properties = BasicProperties { message_id: key, ..BasicProperties::default() };
    let mut bytes = BytesMut::new();
    properties.encode(&mut bytes);
    let properties_len = u32::try_from(bytes.len()).expect("few");
    bytes.resize(bytes.len() + usize::from(draft.len), 0);
    let time_to_live = draft.time_to_live.filter(|_| !groups);
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len,
        bytes: &bytes,
        segments: &[],
        persistent: false,
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
        let options = QueueOptions {
            auto_delete: true,
            settings: Arc::new(settings(rules)),
            epoch: Epoch::new(now, EPOCH_MS),
        };
        let real = Real {
            queue: Queue::new(options, now),
            origin: now,
            now,
            effects: Effects::default(),
            consumers: Vec::new(),
            channels: Default::default(),
        };
        let rules = rules.clone();
        let reference = Reference { rules, now: EPOCH_MS, ..Reference::default() };
        Self { real, reference }
    }

    fn apply(&mut self, operation: &Operation) {
        let Self { real, reference } = self;
        match *operation {
            Operation::Enqueue(ref drafts) => {
                let groups = reference.rules.groups;
                let messages: Vec<_> = drafts.iter().map(|it| message(it, groups)).collect();
                let bytes: Vec<_> = messages.iter().map(Message::memory).collect();
                reference.enqueue(drafts, &bytes);
                real.queue.enqueue(&messages, real.now, &mut real.effects);
                let refused = std::mem::take(&mut real.effects.refused);
                assert_eq!(refused, std::mem::take(&mut reference.refused));
            }
            Operation::Get { no_ack } => self.get(no_ack),
            Operation::MoveDeadLetters(max) => {
                let letters = real.queue.take_dead_letters(max, real.now).letters;
                let letters: Vec<_> =
                    letters.iter().map(|letter| (letter.position.0, letter.reason)).collect();
                real.queue.dead_letters_moved(&[], real.now, &mut real.effects);
                assert_eq!(letters, reference.move_dead_letters(max));
            }
            Operation::Pass(milliseconds) => {
                real.pass(milliseconds);
                reference.pass(milliseconds);
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
        let got = real.queue.get(no_ack, real.now, &mut real.effects);
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
                real.queue.resume(consumer.handle, real.now, &mut real.effects);
            }
            let expected = &mut reference.consumers[index];
            expected.outbox.remove(0);
            if expected.stalled && waiting(&expected.outbox) <= OUTBOX_MAX / 2 {
                expected.stalled = false;
                reference.return_to_ring(index);
                reference.finish();
            }
        }
    }

    /// Settles some of what is delivered, or gives it back, in whatever order.
    fn settle(&mut self, of: &[usize], how: Settlement) {
        let Self { real, reference } = self;
        for pick in of {
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
        let departing = reference.count(|state| state == EntryState::Departing);
        assert_eq!(counts.departing, departing);
        let consumers = reference.consumers.iter().filter(|consumer| !consumer.gone).count();
        assert_eq!(counts.consumers, consumers);
        let totals = real.queue.totals();
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
        assert_eq!(totals, reference.totals);
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

    /// Goal: whatever a queue is declared with and whatever happens to it, every message goes to the
    /// consumer whose turn it is, in order, flagged if it was delivered before, or dies when it must
    /// and not before; every one is counted, and its memory given back once.
    #[test]
    fn a_queue_does_what_the_reference_does(rules in rules(), operations in operations()) {
        let mut pair = Pair::new(&rules);
        for operation in &operations {
            pair.apply(operation);
            pair.compare();
        }
    }
}
