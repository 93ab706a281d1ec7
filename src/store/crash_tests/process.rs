//! A store without threads: the test does each part's work in turn, and moves the clock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::Confirmation;
use super::super::durable::tests::origin;
use super::super::durable::{Durability, DurableOptions, Parts, Recovered, Shared, recovered};
use super::super::error::StoreError;
use super::super::inbox::InboxRecord;
use super::super::index::Index;
use super::super::key_value::MemoryKeyValue;
use super::super::log::LogOptions;
use super::super::recovery;
use super::super::sim_disk::SimDisk;
use super::super::writer::CheckpointRule;
use super::content::{message, number_of};
use super::model::{Entries, Entry, MessageNumber, Model, Op};
use crate::broker::effect::{Part, Position, StoredEntry, Wanted, WantedRun};
use crate::broker::message::Message;
use crate::broker::persist::QueueRecord;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

thread_local! {
    static NOW: Cell<Instant> = Cell::new(origin());
}

/// Lets time go by.
pub(super) fn advance(by: Duration) {
    NOW.set(NOW.get() + by);
}

/// Segments are small, so that there are many, and checkpoints are frequent.
pub(super) fn options() -> DurableOptions {
    DurableOptions {
        durability: Durability::Fsync,
        disk_free_limit: 1,
        checkpoint: CheckpointRule { bytes: 2048, interval: Duration::from_secs(3) },
        log: LogOptions { segment_bytes: 1024, ahead_bytes: 4096, open_max: 2 },
        clock: || NOW.get(),
    }
}

/// What outlives a process.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) disk: SimDisk,
    pub(super) kv: Arc<MemoryKeyValue>,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self { disk: SimDisk::new(seed), kv: Arc::default() }
    }

    pub(super) fn start(
        &self,
        options: &DurableOptions,
    ) -> Result<(Process, Recovered), StoreError> {
        let disk = Arc::new(self.disk.clone());
        let opened = recovery::open(disk, Path::new("/data"), self.kv.clone(), options.log)?;
        let recovered = recovered(&opened)?;
        let index = Arc::clone(&opened.index);
        let shared = Arc::new(Shared::new(options));
        let mut parts = Parts::new(&shared, opened, options.checkpoint);
        parts.writer.pause = Duration::ZERO;
        Ok((Process { shared, index, parts, confirmed: Arc::default() }, recovered))
    }

    /// The process is gone; the next one finds this. `choice` selects what the index had flushed.
    pub(super) fn restart(&mut self, choice: u64) {
        self.disk.restart();
        self.kv = Arc::new(self.kv.crash(choice));
    }
}

/// A store at work.
pub(super) struct Process {
    pub(super) shared: Arc<Shared>,
    pub(super) index: Arc<Index>,
    pub(super) parts: Parts,
    /// The largest number that was confirmed.
    confirmed: Arc<AtomicUsize>,
}

struct Confirmed {
    number: usize,
    largest: Arc<AtomicUsize>,
}

impl Confirmation for Confirmed {
    fn durable(self: Box<Self>) {
        self.largest.fetch_max(self.number, Ordering::Relaxed);
    }
}

impl Process {
    /// Records a unit.
    pub(super) fn record(&self, ops: &[Op]) {
        let inbox = &self.shared.inbox;
        let _unit = inbox.unit();
        let messages = messages(ops);
        for op in ops {
            let (queue, record) = match *op {
                Op::Entered(queue, position, entry) => {
                    let message = messages[&entry.message].clone();
                    (queue, entered(position, entry, message))
                }
                Op::Delivered(queue, position) => (queue, QueueRecord::Delivered(position)),
                Op::Returned(queue, position, returns, due) => {
                    (queue, QueueRecord::Returned { position, returns, due })
                }
                Op::Settled(queue, position) => (queue, QueueRecord::Settled(position)),
                Op::Cleared(queue, from, to) => (queue, QueueRecord::Cleared(from, to)),
                Op::RemovedQueue(queue) => {
                    inbox.change(InboxRecord::RemoveQueue(queue));
                    continue;
                }
                Op::Put(key, value) => {
                    inbox.change(InboxRecord::Put(vec![key], value.to_be_bytes().to_vec()));
                    continue;
                }
                Op::Removed(key) => {
                    inbox.change(InboxRecord::Remove(vec![key]));
                    continue;
                }
            };
            inbox.record(queue, &mut vec![record]);
        }
    }

    /// Asks to be told when all that was recorded is safe; it is known by this number.
    pub(super) fn confirm(&self, number: usize) {
        let largest = Arc::clone(&self.confirmed);
        self.shared.inbox.when_safe(Box::new(Confirmed { number, largest }));
    }

    pub(super) fn confirmed(&self) -> usize {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// What the writer does with what has gathered.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let gathered = self.shared.inbox.take_now();
        self.parts.writer.step(gathered)
    }

    /// Makes the checkpoint that the writer asked for; whether it did.
    pub(super) fn checkpoint(&self) -> bool {
        let request = self.parts.requests.try_recv();
        request.iter().for_each(|request| self.parts.checkpointer.answer(request));
        request.is_ok()
    }

    /// Has a checkpoint made of all that was recorded, if anything was.
    pub(super) fn checkpoint_now(&mut self) {
        self.commit().expect("nothing fails");
        advance(options().checkpoint.interval);
        self.commit().expect("nothing fails");
        self.checkpoint();
    }

    /// Ends it as it should end.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.shared.inbox.close();
        self.parts.writer.run()
    }

    /// Counts how often publishers that had to wait may go on.
    pub(super) fn count_reliefs(&self) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let told = move |()| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let is_first = self.shared.on_relief.set(Box::new(told)).is_ok();
        assert!(is_first, "they are counted once");
        count
    }

    /// Bytes in the log, and the segments they are in.
    pub(super) fn log_len(&self) -> (u64, usize) {
        let segments = self.parts.writer.log.segments();
        (segments.iter().map(|segment| segment.bytes).sum(), segments.len())
    }

    /// What a queue holds, read back a few messages at a time.
    pub(super) fn entries(&self, queue: QueueId) -> Result<Entries, StoreError> {
        let mut found = Entries::new();
        let mut wanted = WantedRun {
            from: Position(0),
            to: Position(u64::MAX),
            messages_max: 16,
            bytes_max: 4000,
        };
        while wanted.from < wanted.to {
            let page = self.parts.pages.page(queue, &Wanted::Run(wanted))?;
            let Part::Run { next, .. } = page.part else { panic!("a run was asked for") };
            assert!(next > wanted.from, "a page leads on");
            let positions = page.entries.iter().map(|entry| entry.position);
            assert!(positions.is_sorted() && page.entries.len() <= wanted.messages_max);
            found.extend(page.entries.iter().map(|stored| known(None, stored)));
            wanted.from = next;
        }
        let scheduled = self.parts.pages.scheduled(queue)?;
        found.extend(scheduled.iter().map(|(place, stored)| known(place.due, stored)));
        Ok(found)
    }

    /// All that is in these queues, and under the keys.
    pub(super) fn contents(&self, queues: &[QueueId]) -> Result<Model, StoreError> {
        let mut model = Model::default();
        for &queue in queues {
            let entries = self.entries(queue)?;
            if !entries.is_empty() {
                model.queues.insert(queue, entries);
            }
        }
        for (key, value) in self.index.scan(&[])? {
            let value = value.try_into().map(u64::from_be_bytes).expect("eight bytes");
            model.keys.insert(key[0], value);
        }
        Ok(model)
    }
}

fn known(due: Option<Timestamp>, stored: &StoredEntry) -> (Position, Entry) {
    let &StoredEntry { position, expires, returns, delivered, transient, .. } = stored;
    let message = number_of(&stored.message);
    (position, Entry { message, expires, due, returns, delivered, transient })
}

fn entered(position: Position, entry: Entry, message: Message) -> QueueRecord {
    let Entry { expires, due, .. } = entry;
    if entry.transient {
        QueueRecord::PagedOut { position, message, expires, due: None }
    } else {
        QueueRecord::Entered { position, message, expires, due }
    }
}

/// The messages of a unit: one that enters several queues is the same for all.
fn messages(ops: &[Op]) -> BTreeMap<MessageNumber, Message> {
    let mut places = BTreeMap::new();
    for op in ops {
        if let Op::Entered(_, _, entry) = op {
            *places.entry(entry.message).or_insert(0) += 1;
        }
    }
    places.into_iter().map(|(number, places)| (number, message(number, places))).collect()
}
