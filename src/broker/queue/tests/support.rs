//! A queue, its consumers and a clock that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amqp_codec::{BasicProperties, ChannelId, FieldValue, ShortString};
use bytes::BytesMut;
use parking_lot::Mutex;

use super::super::*;
use crate::broker::credit::{ChannelCredit, OutboxBound};
use crate::broker::effect::{Delivery, DeliverySink, Subscription};
use crate::broker::message::{MessageExtras, MessageParts};
use crate::broker::persist::QueueRecord;
use crate::broker::queue_settings::{
    DeadLetterTarget, GroupProperty, MessageGroup, QueueSettings, TimeoutAction,
};

/// The only clock reading in these tests: an origin to count from.
#[expect(clippy::disallowed_methods)]
fn origin() -> Instant {
    Instant::now()
}

/// Where the calendar stands when a test begins.
pub(super) const EPOCH_MS: u64 = 1_700_000_000_000;

/// The moment so many milliseconds after the test began.
pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp(EPOCH_MS + milliseconds)
}

/// A message to be; what matters is set.
#[derive(Clone)]
pub(super) struct Draft {
    body: String,
    transient: bool,
    priority: u8,
    extras: MessageExtras,
    properties: BasicProperties,
}

pub(super) fn draft(body: impl Into<String>) -> Draft {
    Draft {
        body: body.into(),
        transient: false,
        priority: 0,
        extras: MessageExtras::default(),
        properties: BasicProperties::default(),
    }
}

impl Draft {
    /// It ends with the process.
    pub(super) fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    pub(super) fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// `expiration`.
    pub(super) fn ttl(mut self, milliseconds: u64) -> Self {
        self.extras.time_to_live = Some(milliseconds);
        self
    }

    /// Not to be delivered before that many milliseconds after the test began.
    pub(super) fn due(mut self, milliseconds: u64) -> Self {
        self.extras.due = Some(at(milliseconds));
        self
    }

    /// `message-id`, by which [`grouped`] groups.
    pub(super) fn group(mut self, key: &str) -> Self {
        self.properties.message_id = Some(ShortString::new(key).unwrap());
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: FieldValue) -> Self {
        let headers = self.properties.headers.get_or_insert_default();
        headers.insert(ShortString::from_static(name), value);
        self
    }

    pub(super) fn message(&self) -> Message {
        let mut bytes = BytesMut::new();
        self.properties.encode(&mut bytes);
        let properties_len = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(self.body.as_bytes());
        let message = Message::new(MessageParts {
            exchange_len: 0,
            routing_key_len: 0,
            properties_len,
            bytes: &bytes,
            segments: &[],
            persistent: !self.transient,
            priority: self.priority,
            extras: Some(Box::new(self.extras.clone())),
        });
        message.enter(1);
        message
    }
}

pub(super) fn message(body: &str) -> Message {
    draft(body).message()
}

pub(super) fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.inline_body()).into_owned()
}

/// A delivery that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Logged {
    /// Grows with every delivery, whoever gets it.
    serial: u64,
    position: u64,
    number: u64,
}

impl Logged {
    fn new(position: Position, number: u64) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Self { serial, position: position.0, number }
    }

    fn last(log: &[Self], position: u64) -> Option<Self> {
        log.iter().rev().find(|it| it.position == position).copied()
    }
}

/// Remembers what it was given.
#[derive(Debug, Default)]
pub(super) struct Sink {
    deliveries: Mutex<Vec<Delivery>>,
    log: Mutex<Vec<Logged>>,
    pub(super) cancelled: Mutex<Vec<Subscription>>,
    pub(super) taken_back: Mutex<Vec<u64>>,
    pub(super) timed_out: Mutex<Vec<(u64, bool)>>,
    /// How often it was told to try again.
    pub(super) tries: Mutex<usize>,
}

impl DeliverySink for Sink {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool {
        self.log.lock().extend(deliveries.iter().map(|it| Logged::new(it.position, it.number)));
        self.deliveries.lock().append(deliveries);
        false
    }

    fn wake(&self) {}

    fn cancelled(&self, subscription: Subscription) {
        self.cancelled.lock().push(subscription);
    }

    fn taken_back(&self, _subscription: Subscription, numbers: Vec<u64>) {
        self.taken_back.lock().extend(numbers);
    }

    fn timed_out(&self, _subscription: Subscription, timeout: u64, dropped: bool) {
        self.timed_out.lock().push((timeout, dropped));
    }

    fn try_again(&self) {
        *self.tries.lock() += 1;
    }
}

/// What a durable queue wrote down.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Vec<(u64, &'static str)>>);

impl Record {
    pub(super) fn take(&self) -> Vec<(u64, &'static str)> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Persist for Record {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        let written = |record: QueueRecord| match record {
            QueueRecord::Entered { position, .. } => (position.0, "entered"),
            QueueRecord::PagedOut { position, .. } => (position.0, "paged out"),
            QueueRecord::Delivered(position) => (position.0, "delivered"),
            QueueRecord::Returned { position, due: None, .. } => (position.0, "returned"),
            QueueRecord::Returned { position, .. } => (position.0, "returned for later"),
            QueueRecord::Settled(position) => (position.0, "settled"),
            QueueRecord::Cleared(from, _) => (from.0, "cleared"),
        };
        self.0.lock().extend(records.drain(..).map(written));
    }

    fn remove_queue(&self, _queue: QueueId) {
        self.0.lock().push((u64::MAX, "removed"));
    }

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        true
    }
}

/// A consumer to be; what matters is set, the rest is without limits.
pub(super) struct TestConsumer {
    pub(super) sink: Arc<Sink>,
    pub(super) bound: Arc<OutboxBound>,
    pub(super) options: ConsumerOptions,
}

pub(super) fn consumer() -> TestConsumer {
    let sink = Arc::new(Sink::default());
    let bound = Arc::new(OutboxBound::new(usize::MAX / 2));
    let options = ConsumerOptions {
        subscription: Subscription { channel: ChannelId(1), slot: 0 },
        sink: Arc::<Sink>::clone(&sink),
        outbox_bound: Arc::clone(&bound),
        channel_credit: Arc::default(),
        no_ack: false,
        exclusive: false,
        prefetch: Prefetch::Unlimited,
        priority: 0,
        timeout: None,
        timeout_action: None,
    };
    TestConsumer { sink, bound, options }
}

impl TestConsumer {
    pub(super) fn prefetch(mut self, count: u16) -> Self {
        self.options.prefetch = count.into();
        self
    }

    pub(super) fn no_ack(mut self) -> Self {
        self.options.no_ack = true;
        self
    }

    pub(super) fn exclusive(mut self) -> Self {
        self.options.exclusive = true;
        self
    }

    pub(super) fn priority(mut self, priority: i64) -> Self {
        self.options.priority = priority;
        self
    }

    pub(super) fn timeout(mut self, milliseconds: u64) -> Self {
        self.options.timeout = Some(milliseconds);
        self
    }

    pub(super) fn timeout_action(mut self, action: TimeoutAction) -> Self {
        self.options.timeout_action = Some(action);
        self
    }

    pub(super) fn on_channel(mut self, credit: &Arc<ChannelCredit>) -> Self {
        self.options.channel_credit = Arc::clone(credit);
        self
    }

    pub(super) fn outbox_max(mut self, bytes: usize) -> Self {
        self.bound = Arc::new(OutboxBound::new(bytes));
        self.options.outbox_bound = Arc::clone(&self.bound);
        self
    }

    /// Takes what arrived: bodies, `again` behind those that were delivered before.
    pub(super) fn received(&self) -> Vec<String> {
        let deliveries = std::mem::take(&mut *self.sink.deliveries.lock());
        let shown = |it: &Delivery| {
            let body = body(&it.message);
            if it.redelivered { body + " again" } else { body }
        };
        deliveries.iter().map(shown).collect()
    }
}

pub(super) fn options(auto_delete: bool, settings: QueueSettings) -> QueueOptions {
    let epoch = Epoch::new(origin(), EPOCH_MS);
    QueueOptions::new(auto_delete, settings, epoch)
}

/// Where dead letters go, who may lose them.
pub(super) fn dead_letter_exchange() -> Option<DeadLetterTarget> {
    let exchange = ShortString::from_static("dlx");
    Some(DeadLetterTarget { exchange, routing_key: None, at_least_once: false })
}

/// Groups by [`Draft::group`].
pub(super) fn grouped(settings: &mut QueueSettings) {
    settings.group = Some(MessageGroup::Property(GroupProperty::MessageId));
}

/// A queue with consumers, and everything it does written down.
pub(super) struct Setting {
    pub(super) queue: Queue,
    pub(super) now: Instant,
    pub(super) out: Effects,
    consumers: Vec<(ConsumerHandle, Arc<Sink>)>,
    /// Everything that was got.
    fetched: Vec<Logged>,
}

impl Setting {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A queue with settings of its own.
    pub(super) fn with(change: impl FnOnce(&mut QueueSettings)) -> Self {
        let mut settings = QueueSettings::plain();
        change(&mut settings);
        Self::of(options(false, settings), |queue| queue)
    }

    pub(super) fn of(options: QueueOptions, change: impl FnOnce(Queue) -> Queue) -> Self {
        let now = origin();
        let options = QueueOptions { epoch: Epoch::new(now, EPOCH_MS), ..options };
        let queue = change(Queue::new(options, now));
        Self { queue, now, out: Effects::default(), consumers: Vec::new(), fetched: Vec::new() }
    }

    pub(super) fn auto_delete() -> Self {
        Self::of(options(true, QueueSettings::plain()), |queue| queue)
    }

    /// A queue that writes down what comes and goes.
    pub(super) fn durable(change: impl FnOnce(&mut QueueSettings)) -> (Self, Arc<Record>) {
        let record = Arc::new(Record::default());
        let store = Arc::<Record>::clone(&record);
        let mut settings = QueueSettings::plain();
        change(&mut settings);
        let it = Self::of(options(false, settings), |queue| queue.stored(QueueId(7), store, true));
        (it, record)
    }

    pub(super) fn enqueue(&mut self, bodies: &[&str]) {
        let messages: Vec<Message> = bodies.iter().map(|body| message(body)).collect();
        self.queue.enqueue(&messages, self.now, &mut self.out);
    }

    pub(super) fn send(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let messages: Vec<Message> = drafts.into_iter().map(|draft| draft.message()).collect();
        self.queue.enqueue(&messages, self.now, &mut self.out);
    }

    /// The positions in the batch of what was refused since the last look.
    pub(super) fn refused(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.out.refused)
    }

    pub(super) fn add(&mut self, consumer: &TestConsumer) -> ConsumerHandle {
        let options = consumer.options.clone();
        let handle = self.queue.add_consumer(options, self.now, &mut self.out).unwrap();
        self.consumers.push((handle, Arc::clone(&consumer.sink)));
        handle
    }

    /// The handle of the consumer that was added first, second, ...
    pub(super) fn handle(&self, nth: usize) -> ConsumerHandle {
        self.consumers[nth].0
    }

    pub(super) fn remove(&mut self, handle: ConsumerHandle) {
        self.queue.remove_consumer(handle, self.now, &mut self.out);
    }

    pub(super) fn abandon(&mut self, handle: ConsumerHandle) {
        self.queue.abandon(&[handle], self.now, &mut self.out);
    }

    /// Who was delivered the message at a position last, and under which number.
    pub(super) fn delivery(&self, position: u64) -> (Holder, u64) {
        let by_consumers = self.consumers.iter().filter_map(|(handle, sink)| {
            Some((Logged::last(&sink.log.lock(), position)?, Holder::Consumer(*handle)))
        });
        let by_get = Logged::last(&self.fetched, position).map(|it| (it, Holder::Fetched));
        let last = by_consumers.chain(by_get).max_by_key(|(logged, _)| *logged);
        let (logged, holder) = last.expect("it was delivered");
        (holder, logged.number)
    }

    fn deliveries(&self, positions: &[u64]) -> Vec<(Holder, u64)> {
        positions.iter().map(|&position| self.delivery(position)).collect()
    }

    pub(super) fn ack(&mut self, positions: &[u64]) {
        for (holder, number) in self.deliveries(positions) {
            self.queue.acknowledge(holder, [number], self.now, &mut self.out);
        }
    }

    pub(super) fn give_back(&mut self, positions: &[u64], why: Return) {
        for (holder, number) in self.deliveries(positions) {
            self.queue.requeue(holder, [number], why, self.now, &mut self.out);
        }
    }

    pub(super) fn requeue(&mut self, positions: &[u64]) {
        self.give_back(positions, Return::Nacked);
    }

    pub(super) fn reject(&mut self, positions: &[u64]) {
        for (holder, number) in self.deliveries(positions) {
            self.queue.reject(holder, [number], self.now, &mut self.out);
        }
    }

    /// `basic.get`.
    pub(super) fn fetch(&mut self, no_ack: bool) -> Option<Fetched> {
        match self.try_get(no_ack, &Arc::default()) {
            Get::Message(fetched) => Some(fetched),
            Get::Empty => None,
            Get::Later => panic!("all messages are in memory"),
        }
    }

    /// `basic.get`, which may have to wait for the store.
    pub(super) fn try_get(&mut self, no_ack: bool, sink: &Arc<Sink>) -> Get {
        let sink: Arc<dyn DeliverySink> = Arc::<Sink>::clone(sink);
        let got = self.queue.get(no_ack, &sink, self.now, &mut self.out);
        if let Get::Message(Fetched { entry, number, .. }) = &got {
            self.fetched.push(Logged::new(entry.position, *number));
        }
        got
    }

    pub(super) fn get(&mut self, no_ack: bool) -> Option<(String, usize)> {
        let Fetched { entry, behind, .. } = self.fetch(no_ack)?;
        Some((body(&entry.message), behind))
    }

    /// The bodies of all that waits, in the order in which `basic.get` gets them.
    pub(super) fn take_all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.get(true).map(|(body, _)| body)).collect()
    }

    /// Puts other settings in force.
    pub(super) fn reconfigure(&mut self, change: impl FnOnce(&mut QueueSettings)) {
        let mut settings = QueueSettings::clone(self.queue.settings());
        change(&mut settings);
        self.queue.reconfigure(Arc::new(settings), self.now, &mut self.out);
    }

    /// Takes the dead letters, and says that they arrived.
    pub(super) fn bury(&mut self) -> Vec<(String, DeathReason)> {
        let letters = self.letters(usize::MAX);
        self.queue.dead_letters_moved(&[], self.now, &mut self.out);
        letters
    }

    /// Takes dead letters, and leaves them on their way.
    pub(super) fn letters(&mut self, max: usize) -> Vec<(String, DeathReason)> {
        self.out.dead_letters = false;
        let letters = self.queue.take_dead_letters(max, self.now).letters;
        letters.iter().map(|letter| (body(&letter.message), letter.reason)).collect()
    }

    /// Takes the moment the queue asked for, in milliseconds since the test began; 0 is at once.
    pub(super) fn alarm(&self) -> Option<u64> {
        self.out.alarm.map(|at| at.0.saturating_sub(EPOCH_MS))
    }

    /// Calls the queue once, at the moment it asked for, if that is not after `end`.
    pub(super) fn fire(&mut self, end: Instant) -> bool {
        let Some(at) = self.out.alarm else { return false };
        let due = self.queue.epoch.instant(at).expect("within the test's life");
        if due > end {
            return false;
        }
        self.out.alarm = None;
        self.now = self.now.max(due);
        self.queue.handle_timeout(at, self.now, &mut self.out);
        true
    }

    /// Lets time pass, and calls the queue whenever it asked for it on the way. An expired queue is
    /// left alone.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while !self.out.expired && self.fire(end) {}
        self.now = end;
    }

    /// Lets time pass while nobody calls the queue: its timer is late.
    pub(super) fn pass_unnoticed(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// Ready and unacknowledged messages.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counts = self.queue.counts();
        (counts.ready, counts.unacked)
    }

    /// Messages that were given up for a reason without a dead-letter exchange.
    pub(super) fn dropped(&self, reason: DeathReason) -> u64 {
        self.queue.totals().dropped.count(reason)
    }
}
