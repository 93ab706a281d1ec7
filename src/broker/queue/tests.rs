//! The queue on a clock of its own.

use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::broker::credit::{ChannelCredit, OutboxBound};
use crate::broker::effect::{Delivery, DeliverySink, Subscription};
use crate::broker::message::MessageParts;
use crate::broker::queue_settings::QueueSettings;
use amqp_codec::ChannelId;

/// The only clock reading in these tests: an origin to count from.
#[expect(clippy::disallowed_methods)]
fn origin() -> Instant {
    Instant::now()
}

fn message(body: &str) -> Message {
    let bytes = body.as_bytes();
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 0,
        bytes,
        segments: &[],
        persistent: true,
        priority: 0,
        extras: None,
    });
    message.enter(1);
    message
}

/// Remembers what it was given.
#[derive(Debug, Default)]
struct Sink {
    deliveries: Mutex<Vec<Delivery>>,
    /// The position and the number of every delivery.
    log: Mutex<Vec<(u64, u64)>>,
    cancelled: Mutex<Vec<Subscription>>,
    taken_back: Mutex<Vec<u64>>,
    timed_out: Mutex<Vec<(u64, bool)>>,
}

impl DeliverySink for Sink {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) {
        self.log.lock().extend(deliveries.iter().map(|it| (it.position.0, it.number)));
        self.deliveries.lock().append(deliveries);
    }

    fn cancelled(&self, subscription: Subscription) {
        self.cancelled.lock().push(subscription);
    }

    fn taken_back(&self, _subscription: Subscription, numbers: Vec<u64>) {
        self.taken_back.lock().extend(numbers);
    }

    fn timed_out(&self, _subscription: Subscription, timeout: u64, dropped: bool) {
        self.timed_out.lock().push((timeout, dropped));
    }
}

/// Where the calendar stands when a test begins.
const EPOCH_MS: u64 = 1_700_000_000_000;

fn options(auto_delete: bool, settings: QueueSettings) -> QueueOptions {
    let epoch = Epoch::new(origin(), EPOCH_MS);
    QueueOptions { auto_delete, settings: Arc::new(settings), epoch }
}

/// A queue with named consumers, and everything it does written down.
struct Setting {
    queue: Queue,
    now: Instant,
    out: Effects,
    consumers: Vec<(ConsumerHandle, Arc<Sink>)>,
    /// The position and the number of everything that was got.
    fetched: Vec<(u64, u64)>,
}

/// A consumer to be; what matters is set, the rest is without limits.
struct TestConsumer {
    sink: Arc<Sink>,
    bound: Arc<OutboxBound>,
    options: ConsumerOptions,
}

fn consumer() -> TestConsumer {
    let sink = Arc::new(Sink::default());
    let bound = Arc::new(OutboxBound::new(1 << 20));
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
    fn prefetch(mut self, count: u16) -> Self {
        self.options.prefetch = count.into();
        self
    }

    fn no_ack(mut self) -> Self {
        self.options.no_ack = true;
        self
    }

    fn exclusive(mut self) -> Self {
        self.options.exclusive = true;
        self
    }

    fn on_channel(mut self, credit: &Arc<ChannelCredit>) -> Self {
        self.options.channel_credit = Arc::clone(credit);
        self
    }

    fn outbox_max(mut self, bytes: usize) -> Self {
        self.bound = Arc::new(OutboxBound::new(bytes));
        self.options.outbox_bound = Arc::clone(&self.bound);
        self
    }

    /// Takes what arrived: bodies, `again` behind those that were delivered before.
    fn received(&self) -> Vec<String> {
        let deliveries = std::mem::take(&mut *self.sink.deliveries.lock());
        let shown = |it: &Delivery| {
            let body = String::from_utf8_lossy(it.message.inline_body()).into_owned();
            if it.is_redelivered() { body + " again" } else { body }
        };
        deliveries.iter().map(shown).collect()
    }
}

impl Setting {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// A queue with settings of its own.
    fn with(change: impl FnOnce(&mut QueueSettings)) -> Self {
        let mut settings = QueueSettings::plain();
        change(&mut settings);
        Self::of(options(false, settings), |queue| queue)
    }

    fn of(options: QueueOptions, change: impl FnOnce(Queue) -> Queue) -> Self {
        let now = origin();
        let options = QueueOptions { epoch: Epoch::new(now, EPOCH_MS), ..options };
        let queue = change(Queue::new(options, now));
        Self { queue, now, out: Effects::default(), consumers: Vec::new(), fetched: Vec::new() }
    }

    fn auto_delete() -> Self {
        Self::of(options(true, QueueSettings::plain()), |queue| queue)
    }

    fn enqueue(&mut self, bodies: &[&str]) {
        let messages: Vec<Message> = bodies.iter().map(|body| message(body)).collect();
        self.queue.enqueue(&messages, self.now, &mut self.out);
    }

    fn add(&mut self, consumer: &TestConsumer) -> ConsumerHandle {
        let options = consumer.options.clone();
        let handle = self.queue.add_consumer(options, self.now, &mut self.out).unwrap();
        self.consumers.push((handle, Arc::clone(&consumer.sink)));
        handle
    }

    /// Who was delivered the message at a position last, and under which number.
    fn delivery(&self, position: u64) -> (Holder, u64) {
        let of = |log: &[(u64, u64)]| log.iter().rev().find(|it| it.0 == position).map(|it| it.1);
        let consumers = self.consumers.iter().rev();
        let found = consumers
            .filter_map(|(handle, sink)| Some((Holder::Consumer(*handle), of(&sink.log.lock())?)))
            .next();
        found.or_else(|| Some((Holder::Fetched, of(&self.fetched)?))).expect("it was delivered")
    }

    fn ack(&mut self, positions: &[u64]) {
        for (holder, number) in positions.iter().map(|&it| self.delivery(it)).collect::<Vec<_>>() {
            self.queue.acknowledge(holder, [number], self.now, &mut self.out);
        }
    }

    fn give_back(&mut self, positions: &[u64], why: Return) {
        for (holder, number) in positions.iter().map(|&it| self.delivery(it)).collect::<Vec<_>>() {
            self.queue.requeue(holder, [number], why, self.now, &mut self.out);
        }
    }

    fn requeue(&mut self, positions: &[u64]) {
        self.give_back(positions, Return::Nacked);
    }

    fn reject(&mut self, positions: &[u64]) {
        for (holder, number) in positions.iter().map(|&it| self.delivery(it)).collect::<Vec<_>>() {
            self.queue.reject(holder, [number], self.now, &mut self.out);
        }
    }

    fn get(&mut self, no_ack: bool) -> Option<(String, usize)> {
        let Fetched { entry, number, behind } = self.queue.get(no_ack, self.now, &mut self.out)?;
        self.fetched.push((entry.position.0, number));
        Some((String::from_utf8_lossy(entry.message.inline_body()).into_owned(), behind))
    }

    /// Lets time pass, and calls the queue whenever it asked for it on the way.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(at) = self.out.alarm.take() {
            let due = self.queue.epoch.instant(at).expect("within the test's life");
            if due > end {
                self.out.alarm = Some(at);
                break;
            }
            self.now = self.now.max(due);
            self.queue.handle_timeout(at, self.now, &mut self.out);
        }
        self.now = end;
    }

    fn counts(&self) -> (usize, usize) {
        let counts = self.queue.counts();
        (counts.ready, counts.unacked)
    }
}

#[test]
fn consumers_take_turns() {
    let mut it = Setting::new();
    let consumers = [consumer(), consumer(), consumer()];
    for consumer in &consumers {
        it.add(consumer);
    }
    it.enqueue(&["1", "2", "3", "4"]);
    it.enqueue(&["5"]);
    let received = consumers.each_ref().map(TestConsumer::received);
    assert_eq!(received, [vec!["1", "4"], vec!["2", "5"], vec!["3"]]);
}

#[test]
fn a_consumer_without_credit_is_passed_over_until_it_acknowledges() {
    let mut it = Setting::new();
    let (limited, greedy) = (consumer().prefetch(1), consumer());
    it.add(&limited);
    it.add(&greedy);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(
        (limited.received(), greedy.received()),
        (vec!["0".into()], vec!["1".into(), "2".into()])
    );
    it.ack(&[0]);
    it.enqueue(&["3", "4"]);
    assert_eq!((limited.received(), greedy.received()), (vec!["4".into()], vec!["3".into()]));
}

#[test]
fn messages_wait_while_nobody_has_credit() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2"]);
    let limited = consumer().prefetch(2);
    it.add(&limited);
    assert_eq!(limited.received(), ["0", "1"]);
    assert_eq!(it.counts(), (1, 2));
    it.ack(&[1]);
    assert_eq!(limited.received(), ["2"]);
}

#[test]
fn without_acknowledgements_no_limit_holds_and_memory_is_free_at_once() {
    let mut it = Setting::new();
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(1);
    let fast = consumer().no_ack().prefetch(1).on_channel(&credit);
    it.add(&fast);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(fast.received(), ["0", "1", "2"]);
    assert_eq!((it.counts(), it.out.freed), ((0, 0), 3 * message("0").memory()));
}

#[test]
fn requeued_messages_return_to_their_place_and_are_flagged() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2", "3"]);
    for expected in ["0", "1", "2"] {
        assert_eq!(it.get(false).map(|(body, _)| body).as_deref(), Some(expected));
    }
    it.requeue(&[2, 0]);
    it.enqueue(&["4"]);
    let reader = consumer();
    it.add(&reader);
    assert_eq!(reader.received(), ["0 again", "2 again", "3", "4"]);
    assert_eq!(it.counts(), (0, 5));
}

#[test]
fn get_tells_how_many_wait_behind_and_passes_by_all_limits() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1"]);
    assert_eq!(it.get(false), Some(("0".to_owned(), 1)));
    assert_eq!(it.get(true), Some(("1".to_owned(), 0)));
    assert_eq!(it.get(true), None);
    assert_eq!(it.counts(), (0, 1));
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let mut it = Setting::new();
    let alone = it.add(&consumer().exclusive());
    let other = consumer();
    let refused = it.queue.add_consumer(other.options.clone(), it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
    it.queue.remove_consumer(alone, it.now, &mut it.out);
    it.add(&other);
    let late = consumer().exclusive();
    let refused = it.queue.add_consumer(late.options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
}

#[test]
fn an_auto_delete_queue_is_unused_when_its_last_consumer_leaves() {
    let mut it = Setting::auto_delete();
    let [first, second] = [it.add(&consumer()), it.add(&consumer())];
    it.queue.remove_consumer(first, it.now, &mut it.out);
    assert!(!it.out.unused);
    it.queue.remove_consumer(second, it.now, &mut it.out);
    assert!(it.out.unused);
}

#[test]
fn a_handle_that_is_out_of_date_does_nothing() {
    let mut it = Setting::auto_delete();
    let old = it.add(&consumer());
    it.queue.remove_consumer(old, it.now, &mut it.out);
    it.out.unused = false;
    let reader = consumer();
    it.add(&reader);
    it.queue.remove_consumer(old, it.now, &mut it.out);
    it.queue.resume([old], it.now, &mut it.out);
    it.enqueue(&["0"]);
    assert_eq!((reader.received(), it.out.unused), (vec!["0".to_owned()], false));
}

#[test]
fn what_a_consumer_holds_outlives_it() {
    let mut it = Setting::new();
    let gone = consumer();
    let handle = it.add(&gone);
    it.enqueue(&["0", "1"]);
    it.queue.remove_consumer(handle, it.now, &mut it.out);
    it.ack(&[0]);
    it.requeue(&[1]);
    assert_eq!((it.counts(), it.get(true)), ((1, 0), Some(("1".to_owned(), 0))));
}

#[test]
fn consumers_of_a_channel_share_its_limit_and_go_on_when_resumed() {
    let mut it = Setting::new();
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(2);
    let [a, b] = [consumer().on_channel(&credit), consumer().on_channel(&credit)];
    let handles = [it.add(&a), it.add(&b)];
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!((a.received(), b.received()), (vec!["0".to_owned()], vec!["1".to_owned()]));
    assert!(credit.give_back(1), "somebody was refused");
    it.ack(&[0]);
    for handle in handles {
        it.queue.resume([handle], it.now, &mut it.out);
    }
    assert_eq!((a.received(), it.counts()), (vec!["2".to_owned()], (1, 2)));
}

#[test]
fn a_stalled_consumer_leaves_its_turn_to_others_until_it_has_read() {
    let mut it = Setting::new();
    let size = message("0").memory();
    let (slow, fast) = (consumer().outbox_max(2 * size), consumer());
    let slow_handle = it.add(&slow);
    it.add(&fast);
    it.enqueue(&["0", "1", "2", "3", "4", "5"]);
    assert_eq!(fast.received(), ["1", "3", "4", "5"]);
    it.ack(&[0]);
    it.enqueue(&["6"]);
    assert_eq!(fast.received(), ["6"], "an acknowledgement does not read its outbox");
    assert_eq!(slow.received(), ["0", "2"]);
    assert!(slow.bound.remove(size), "it is half empty");
    it.queue.resume([slow_handle], it.now, &mut it.out);
    it.enqueue(&["7", "8"]);
    assert_eq!((slow.received(), fast.received()), (vec!["8".to_owned()], vec!["7".to_owned()]));
}

#[test]
fn one_message_fits_any_outbox() {
    let mut it = Setting::new();
    let tiny = consumer().outbox_max(1);
    let handle = it.add(&tiny);
    it.enqueue(&["0", "1"]);
    assert_eq!(tiny.received(), ["0"]);
    assert!(tiny.bound.remove(message("0").memory()));
    it.queue.resume([handle], it.now, &mut it.out);
    assert_eq!(tiny.received(), ["1"]);
}

#[test]
fn purging_leaves_what_is_delivered() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2"]);
    it.get(false);
    assert_eq!(it.queue.purge(&mut it.out), 2);
    assert_eq!((it.counts(), it.out.freed), ((0, 1), 2 * message("0").memory()));
}

#[test]
fn a_deleted_queue_tells_its_consumers_and_keeps_nothing() {
    let mut it = Setting::new();
    let reader = consumer().prefetch(1);
    it.add(&reader);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(it.queue.delete(&mut it.out), 2);
    assert_eq!(*reader.sink.cancelled.lock(), [reader.options.subscription]);
    it.enqueue(&["3"]);
    assert_eq!(it.out.freed, 4 * message("0").memory());
    it.ack(&[0]);
    it.requeue(&[0]);
    assert_eq!(it.out.freed, 4 * message("0").memory(), "nothing is given back twice");
    assert_eq!((it.counts(), it.get(true), it.queue.purge(&mut it.out)), ((0, 0), None, 0));
    let refused = it.queue.add_consumer(consumer().options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::Deleted));
}

#[test]
fn a_message_in_several_queues_gives_its_memory_back_once() {
    let shared = message("0");
    shared.enter(3);
    let mut freed = Vec::new();
    let mut queues = [Setting::new(), Setting::new(), Setting::new()];
    for it in &mut queues {
        it.queue.enqueue([&shared], it.now, &mut it.out);
    }
    let [a, b, c] = &mut queues;
    a.get(true);
    freed.push(a.out.freed);
    b.queue.purge(&mut b.out);
    freed.push(b.out.freed);
    c.queue.delete(&mut c.out);
    freed.push(c.out.freed);
    assert_eq!(freed, [0, 0, shared.memory()]);
}

/// What a durable queue wrote down.
#[derive(Debug, Default)]
struct Record(Mutex<Vec<(u64, &'static str)>>);

impl Persist for Record {
    fn enqueued(&self, _queue: QueueId, position: Position, _message: &Message) {
        self.0.lock().push((position.0, "enqueued"));
    }

    fn settled(&self, _queue: QueueId, position: Position) {
        self.0.lock().push((position.0, "settled"));
    }
}

#[test]
fn a_durable_queue_records_what_comes_and_goes_but_no_delivery() {
    let record = Arc::new(Record::default());
    let store = Arc::<Record>::clone(&record);
    let options = options(false, QueueSettings::plain());
    let mut it = Setting::of(options, |queue| queue.durable(QueueId(7), store));
    it.enqueue(&["0", "1", "2"]);
    it.get(false);
    it.requeue(&[0]);
    it.get(false);
    it.ack(&[0]);
    it.get(true);
    it.queue.purge(&mut it.out);
    assert_eq!(
        *record.0.lock(),
        [
            (0, "enqueued"),
            (1, "enqueued"),
            (2, "enqueued"),
            (0, "settled"),
            (1, "settled"),
            (2, "settled"),
        ]
    );
}
