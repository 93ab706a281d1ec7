//! The store that outlives the process: the log, and the index in front of it.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use parking_lot::Mutex;

use super::checkpointer::{CheckpointRequest, Checkpointer};
use super::directory::Directory;
use super::disk::{Disk, FsDisk};
use super::error::StoreError;
use super::inbox::{Expected, Fetch, Inbox, InboxRecord};
use super::index::{Index, Summary};
use super::key_value::{KeyValue, SledKeyValue};
use super::log::LogOptions;
use super::reader::{self, PageReader};
use super::record::FrameBuilder;
use super::recovery::{self, Opened};
use super::snapshot::{Snapshot, SnapshotForm};
use super::writer::{CheckpointRule, IDLE, Writer};
use super::{Confirmation, Requester, Store, Unit};
use crate::broker::effect::{Page, Wanted};
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::queue::Restored;
use crate::broker::queue_cell::QueueId;

/// Where the index lies, in the data directory.
pub(super) const INDEX_DIR: &str = "index";

/// Bytes of the index that are kept in memory.
pub(super) const INDEX_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What a confirm means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk: it outlives a loss of power.
    Fsync,
    /// The system has it: it outlives the process.
    Os,
}

/// How a store is run.
#[derive(Debug, Clone, Copy)]
pub struct DurableOptions {
    /// What a confirm means.
    pub durability: Durability,
    /// Publishers wait while fewer bytes than this are free.
    pub disk_free_limit: u64,
    /// When a checkpoint is due.
    pub checkpoint: CheckpointRule,
    /// How the log is written.
    pub log: LogOptions,
    /// What time it is.
    pub clock: fn() -> Instant,
}

/// Called when something happened that others have to know.
type Callback<T> = Box<dyn Fn(T) + Send + Sync>;

/// What the threads of a store share.
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    pub(super) durability: Durability,
    disk_free_limit: AtomicU64,
    snapshot: OnceLock<Snapshot>,
    clock: fn() -> Instant,
    disk_low: AtomicBool,
    /// The index is so far behind the log that publishers wait for it.
    behind: AtomicBool,
    pub(super) on_relief: OnceLock<Callback<()>>,
    pub(super) on_disk_alarm: OnceLock<Callback<bool>>,
    on_failure: OnceLock<Callback<Arc<StoreError>>>,
    failure: OnceLock<Arc<StoreError>>,
}

impl Shared {
    pub(super) fn new(options: &DurableOptions) -> Self {
        Self {
            inbox: Inbox::default(),
            durability: options.durability,
            disk_free_limit: AtomicU64::new(options.disk_free_limit),
            clock: options.clock,
            disk_low: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            snapshot: OnceLock::new(),
            on_relief: OnceLock::new(),
            on_disk_alarm: OnceLock::new(),
            on_failure: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Completes a checkpoint, if one was begun, and the snapshot with it.
    pub(super) fn write_frozen(&self, index: &Index) -> Result<(), StoreError> {
        match self.snapshot.get() {
            Some(snapshot) => snapshot.checkpoint(index),
            None => index.write_frozen(),
        }
    }

    /// Publishers that had to wait may go on.
    pub(super) fn relieve(&self) {
        if let Some(on_relief) = self.on_relief.get() {
            on_relief(());
        }
    }

    /// Has publishers wait for a checkpoint, or go on.
    pub(super) fn set_behind(&self, behind: bool) {
        if self.behind.swap(behind, Ordering::AcqRel) && !behind {
            self.relieve();
        }
    }

    /// Whether publishers wait for room on the disk.
    pub(super) fn disk_free_limit(&self) -> u64 {
        self.disk_free_limit.load(Ordering::Relaxed)
    }

    pub(super) fn is_disk_low(&self) -> bool {
        self.disk_low.load(Ordering::Acquire)
    }

    /// Has publishers wait for room on the disk, or go on.
    pub(super) fn set_disk_low(&self, low: bool, why: &str) {
        if self.disk_low.swap(low, Ordering::AcqRel) == low {
            return;
        }
        if let Some(on_disk_alarm) = self.on_disk_alarm.get() {
            on_disk_alarm(low);
        }
        if low {
            tracing::warn!(
                "disk alarm: publishers are blocked until the store can write again: {why}"
            );
        } else {
            tracing::info!("disk alarm cleared: publishers go on: {why}");
            self.relieve();
        }
    }

    /// Nothing can be promised any more.
    pub(super) fn fail(&self, error: StoreError) {
        let error = Arc::new(error);
        self.inbox.fail();
        if self.failure.set(Arc::clone(&error)).is_err() {
            return;
        }
        tracing::error!("the store failed, and nothing is confirmed any more: {error}");
        if let Some(on_failure) = self.on_failure.get() {
            on_failure(error);
        }
    }
}

/// The durable store. Dropping it writes what has gathered; [`DurableStore::close`] tells when that is
/// done.
pub struct DurableStore {
    shared: Arc<Shared>,
    pages: PageReader,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Keeps other brokers out as long as it is open.
    _directory: Option<Directory>,
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Keys and values, as they were put.
    pub values: Vec<(Vec<u8>, Vec<u8>)>,
    /// What queues hold, by their numbers.
    pub queues: Vec<(QueueId, Restored)>,
    /// No queue ever had this number or a larger one.
    pub first_free: QueueId,
}

impl DurableStore {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError`], each with what to do about it.
    pub fn open(dir: &Path, options: DurableOptions) -> Result<(Self, Recovered), StoreError> {
        let directory = Directory::open(dir)?;
        let index = SledKeyValue::open(dir.join(INDEX_DIR), INDEX_CACHE_BYTES);
        let index = index.map_err(|error| error.of_index(dir))?;
        let (mut store, recovered) =
            Self::open_on(Arc::new(FsDisk), dir, Arc::new(index), options)?;
        store._directory = Some(directory);
        Ok((store, recovered))
    }

    /// Opens a store on a disk and an index that a test can crash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        index: Arc<dyn KeyValue>,
        options: DurableOptions,
    ) -> Result<(Self, Recovered), StoreError> {
        let opened = recovery::open(disk, dir, index, options.log)?;
        let recovered = recovered(&opened)?;
        let shared = Arc::new(Shared::new(&options));
        let pages = opened.pages.clone();
        let threads = start(Parts::new(&shared, opened, options.checkpoint))?;
        let threads = Mutex::new(threads);
        Ok((Self { shared, pages, threads, _directory: None }, recovered))
    }

    /// Keeps a readable snapshot of the broker's keys in the data directory from now on, as of the last
    /// checkpoint: what a lost index is rebuilt from.
    pub fn keep_snapshot(&self, dir: &Path, form: SnapshotForm) {
        let _ = self.shared.snapshot.set(Snapshot::new(dir, form));
    }

    /// `told` is called when publishers that had to wait may go on.
    pub fn on_relief(&self, told: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.on_relief.set(Box::new(move |()| told()));
    }

    /// `told` is called when publishers have to wait for room on the disk, and when there is some again.
    pub fn on_disk_alarm(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.shared.on_disk_alarm.set(Box::new(told));
    }

    /// `told` is called when the store can't go on: the process should end, and what is not confirmed
    /// stays so.
    pub fn on_failure(&self, told: impl Fn(Arc<StoreError>) + Send + Sync + 'static) {
        let _ = self.shared.on_failure.set(Box::new(told));
        if let (Some(failure), Some(told)) =
            (self.shared.failure.get(), self.shared.on_failure.get())
        {
            told(Arc::clone(failure));
        }
    }

    /// Reads messages at once, for a queue that is restored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(&self, queue: QueueId, wanted: &Wanted) -> Result<Page, StoreError> {
        self.pages.page(queue, wanted)
    }

    /// Writes what has gathered, and brings the index up to date. What is recorded later is lost.
    ///
    /// # Errors
    /// Why it failed, now or before.
    pub fn close(&self) -> Result<(), Arc<StoreError>> {
        self.shared.inbox.close();
        for thread in self.threads.lock().drain(..) {
            // One of them may hold the last reference.
            if thread.thread().id() != thread::current().id() {
                // One that panicked has said so.
                let _ = thread.join();
            }
        }
        self.shared.failure.get().map_or(Ok(()), |failure| Err(Arc::clone(failure)))
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl fmt::Debug for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStore").field("durability", &self.shared.durability).finish()
    }
}

pub(super) fn recovered(opened: &Opened) -> Result<Recovered, StoreError> {
    let values = opened.index.scan(&[])?;
    let restored = |(queue, summary): &(QueueId, Summary)| {
        opened.restored(*queue, summary).map(|restored| (*queue, restored))
    };
    let queues = opened.queues.iter().map(restored).collect::<Result<Vec<_>, StoreError>>()?;
    let first_free = opened.queues.iter().map(|(queue, _)| queue.0 + 1).max().unwrap_or(0);
    Ok(Recovered { values, queues, first_free: QueueId(first_free) })
}

/// What the threads of a store do, each its part. A test does it all in turn.
pub(super) struct Parts {
    pub(super) writer: Writer,
    pub(super) pages: PageReader,
    pub(super) fetches: Receiver<Fetch>,
    pub(super) checkpointer: Checkpointer,
    pub(super) requests: Receiver<CheckpointRequest>,
}

impl Parts {
    pub(super) fn new(shared: &Arc<Shared>, opened: Opened, rule: CheckpointRule) -> Self {
        let Opened { index, log, pages, replayed, .. } = opened;
        let (to_reader, fetches) = channel();
        let (to_checkpointer, requests) = channel();
        let checkpointer = Checkpointer {
            shared: Arc::clone(shared),
            index: Arc::clone(&index),
            files: Arc::clone(log.files()),
            log: log.reader(),
        };
        let now = shared.now();
        let writer = Writer {
            shared: Arc::clone(shared),
            index,
            log,
            frame: FrameBuilder::new(),
            fetches: to_reader,
            checkpoints: to_checkpointer,
            rule,
            pause: IDLE,
            checkpointed_at: now,
            since_checkpoint: replayed,
            is_checkpointing: false,
            unfinished: None,
            looked_at_space: now,
            free: u64::MAX,
            synced_at: now,
            sync_took: Duration::ZERO,
            expected: Expected::default(),
        };
        Self { writer, pages, fetches, checkpointer, requests }
    }
}

fn start(parts: Parts) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let Parts { mut writer, pages, fetches, checkpointer, requests } = parts;
    let shared = &Arc::clone(&writer.shared);
    let of_reader = Arc::clone(shared);
    Ok(vec![
        spawn(shared, "leveret-writer", move || writer.run())?,
        spawn(shared, "leveret-reader", move || reader::run(&of_reader, &pages, &fetches))?,
        spawn(shared, "leveret-checkpoint", move || {
            checkpointer.run(&requests);
            Ok(())
        })?,
    ])
}

/// Starts a thread. If it fails, or panics, so does the store: one that lacks a thread would keep its
/// promises waiting for ever.
fn spawn(
    shared: &Arc<Shared>,
    name: &'static str,
    run: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(run));
        let panicked = |_| Err(StoreError::io("go on in", name, io::Error::other("it panicked")));
        if let Err(error) = outcome.unwrap_or_else(panicked) {
            shared.fail(error);
        }
    });
    thread.map_err(|error| StoreError::io("start the thread", name, error))
}

impl Persist for DurableStore {
    fn record(&self, queue: QueueId, records: &mut Vec<QueueRecord>) {
        self.shared.inbox.record(queue, records);
    }

    fn remove_queue(&self, queue: QueueId) {
        self.shared.inbox.change(InboxRecord::RemoveQueue(queue));
    }

    fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        self.shared.inbox.change(InboxRecord::Put(key, value));
    }

    fn remove(&self, key: Vec<u8>) {
        self.shared.inbox.change(InboxRecord::Remove(key));
    }

    fn keeps_messages(&self) -> bool {
        true
    }
}

impl Store for DurableStore {
    fn unit(&self) -> Unit<'_> {
        self.shared.inbox.unit()
    }

    fn nested_unit(&self) -> Unit<'_> {
        self.shared.inbox.nested_unit()
    }

    fn fetch(&self, queue: QueueId, wanted: Wanted, requester: Box<dyn Requester>) {
        self.shared.inbox.fetch(Fetch { queue, wanted, requester });
    }

    fn when_durable(&self, confirmation: Box<dyn Confirmation>) {
        self.shared.inbox.when_safe(confirmation);
    }

    fn is_congested(&self) -> bool {
        self.shared.inbox.is_congested() || self.shared.behind.load(Ordering::Acquire)
    }

    fn is_disk_low(&self) -> bool {
        self.shared.is_disk_low()
    }

    /// The writer looks at it with the next look at the disk, twice a second.
    fn set_disk_free_limit(&self, bytes: u64) {
        self.shared.disk_free_limit.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(super) mod tests;
