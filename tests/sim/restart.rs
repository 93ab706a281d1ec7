//! What would be there if the process ended now: queues made anew from what the store knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use amqp_codec::ChannelId;
use leveret::broker::credit::OutboxBound;
use leveret::broker::effect::{
    Delivery, DeliverySink, Effects, Position, StoredEntry, Subscription,
};
use leveret::broker::persist::{Persist, QueueRecord};
use leveret::broker::queue::{ConsumerOptions, Prefetch, Queue, QueueOptions, Window};
use leveret::broker::queue_cell::{QueueCell, QueueId};
use leveret::broker::queue_settings::QueueSettings;
use leveret::broker::time::Timestamp;
use parking_lot::Mutex;

use crate::channel::short;
use crate::shelf::Shelf;
use crate::world::{Shared, World};

/// What is known of one queue, and of no other.
#[derive(Debug)]
struct OneShelf(Mutex<Shelf>);

impl Persist for OneShelf {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        let mut shelf = self.0.lock();
        records.drain(..).for_each(|record| shelf.keep(&record));
    }

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        true
    }
}

/// Takes everything.
#[derive(Debug, Default)]
struct Taker(Mutex<Vec<(Position, bool)>>);

impl DeliverySink for Taker {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool {
        let taken = deliveries.drain(..).map(|it| (it.position, it.redelivered));
        self.0.lock().extend(taken);
        false
    }

    fn wake(&self) {}

    fn cancelled(&self, _subscription: Subscription) {}

    fn taken_back(&self, _subscription: Subscription, _numbers: Vec<u64>) {}

    fn timed_out(&self, _subscription: Subscription, _timeout: u64, _dropped: bool) {}

    fn try_again(&self) {}
}

impl World {
    /// Whatever is in durable queues and outlives the process would be there again, in order, flagged if
    /// somebody had it.
    pub(crate) fn check_restart(&mut self) {
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        for queue in vhost.queues() {
            if let Some(shelf) = self.shared.store.after_crash(queue.id) {
                restart(&queue, shelf, &mut self.shared);
            }
        }
    }
}

fn restart(queue: &QueueCell, shelf: Shelf, shared: &mut Shared) {
    let (ready, restored) = shelf.restored();
    let known = |it: &StoredEntry| (it.position, it.delivered || it.returns > 0);
    let expected: BTreeMap<Position, bool> = ready.iter().map(known).collect();
    let waiting: Vec<(Timestamp, Position)> =
        restored.scheduled.iter().map(|(due, it)| (*due, it.position)).collect();
    shared.ledger.stats.restored += (expected.len() + waiting.len()) as u64;
    shared.ledger.stats.restored_again += expected.values().filter(|again| **again).count() as u64;

    // Nothing is too much or comes back too often meanwhile.
    let before = Arc::clone(queue.state.lock().settings());
    let (group, max_priority) = (before.group.clone(), before.max_priority);
    let settings = QueueSettings { group, max_priority, ..QueueSettings::plain() };
    let is_fifo = settings.group.is_none() && max_priority.is_none();
    let mut options = QueueOptions::new(false, settings, shared.epoch());
    options.window = Window { messages: shared.pick(&[1, 3, 20]), bytes: 1 << 20 };
    let store = Arc::new(OneShelf(Mutex::new(shelf)));
    let (now, mut out) = (shared.now, Effects::default());
    let persist = Arc::<OneShelf>::clone(&store);
    let mut anew = Queue::new(options, now).stored(queue.id, persist, true);
    let at_once = anew.is_restored_at_once();
    anew.restore(restored, now, &mut out);
    anew.restore_ready(if at_once { ready } else { Vec::new() }, now, &mut out);
    let counts = anew.counts();
    let name = &queue.name;
    assert_eq!((counts.ready, counts.scheduled), (expected.len(), waiting.len()), "{name}");

    let mut scheduled: Vec<(Timestamp, Position)> =
        anew.scheduled(usize::MAX).iter().map(|it| (it.due, it.position)).collect();
    scheduled.sort_by_key(|(_, position)| *position);
    assert_eq!(scheduled, waiting, "{name}: what waits for its time");
    for (_, position) in waiting {
        assert!(anew.cancel_scheduled(position, now, &mut out), "{name}: {position:?} waits");
    }
    let taken = take_all(&mut anew, &store, shared, &mut out);
    let in_order = taken.is_sorted_by_key(|(position, _)| *position);
    assert!(in_order || !is_fifo, "{name} is out of order: {taken:?}");
    let count = taken.len();
    let taken: BTreeMap<Position, bool> = taken.into_iter().collect();
    assert_eq!((taken.len(), taken), (count, expected), "{name} after a restart");
    assert_eq!(anew.counts().ready, 0, "{name} is empty");
    assert_eq!(store.0.lock().len(), 0, "the store knows that {name} is empty");
}

fn take_all(
    queue: &mut Queue,
    store: &OneShelf,
    shared: &Shared,
    out: &mut Effects,
) -> Vec<(Position, bool)> {
    let sink = Arc::new(Taker::default());
    let options = ConsumerOptions {
        subscription: Subscription { channel: ChannelId(1), slot: 0 },
        sink: Arc::<Taker>::clone(&sink),
        outbox_bound: Arc::new(OutboxBound::new(usize::MAX / 2)),
        channel_credit: Arc::default(),
        no_ack: true,
        exclusive: false,
        prefetch: Prefetch::Unlimited,
        priority: 0,
        timeout: None,
        timeout_action: None,
    };
    queue.add_consumer(options, shared.now, out).expect("it is nobody else's");
    while let Some(wanted) = out.wanted.take() {
        let page = store.0.lock().page(&wanted);
        queue.paged_in(page, shared.now, out);
    }
    std::mem::take(&mut *sink.0.lock())
}
