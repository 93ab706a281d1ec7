//! The store that outlives the process: the log, and the index in front of it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::Mutex;

use super::checkpointer::Checkpointer;
use super::directory::Directory;
use super::disk::{Disk, FsDisk};
use super::error::StoreError;
use super::inbox::{Fetch, Inbox, InboxRecord};
use super::index::Summary;
use super::key_value::{KeyValue, SledKeyValue};
use super::log::LogOptions;
use super::reader::{self, PageReader};
use super::record::FrameBuilder;
use super::recovery::{self, Opened};
use super::writer::{CheckpointRule, Writer};
use super::{Confirmation, Requester, Store, Unit};
use crate::broker::effect::{Page, Wanted};
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::queue::Restored;
use crate::broker::queue_cell::QueueId;

/// Bytes of the index that are kept in memory.
const INDEX_CACHE_BYTES: u64 = 16 * 1024 * 1024;

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
    pub(super) disk_free_limit: u64,
    pub(super) closed: AtomicBool,
    clock: fn() -> Instant,
    disk_low: AtomicBool,
    on_relief: OnceLock<Callback<()>>,
    on_failure: OnceLock<Callback<Arc<StoreError>>>,
    failure: OnceLock<Arc<StoreError>>,
}

impl Shared {
    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Publishers that had to wait may go on.
    pub(super) fn relieve(&self) {
        if let Some(on_relief) = self.on_relief.get() {
            on_relief(());
        }
    }

    /// Has publishers wait for room on the disk, or go on.
    pub(super) fn set_disk_low(&self, low: bool, why: &str) {
        if self.disk_low.swap(low, Ordering::AcqRel) == low {
            return;
        }
        if low {
            tracing::warn!("disk alarm: publishers are blocked until there is room: {why}");
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
        let index = SledKeyValue::open(dir.join("index"), INDEX_CACHE_BYTES)?;
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
        let shared = Arc::new(Shared {
            inbox: Inbox::default(),
            durability: options.durability,
            disk_free_limit: options.disk_free_limit,
            closed: AtomicBool::new(false),
            clock: options.clock,
            disk_low: AtomicBool::new(false),
            on_relief: OnceLock::new(),
            on_failure: OnceLock::new(),
            failure: OnceLock::new(),
        });
        let pages = opened.pages.clone();
        let threads = start(&shared, opened, options.checkpoint)?;
        let threads = Mutex::new(threads);
        Ok((Self { shared, pages, threads, _directory: None }, recovered))
    }

    /// `told` is called when publishers that had to wait may go on.
    pub fn on_relief(&self, told: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.on_relief.set(Box::new(move |()| told()));
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

    /// What a confirm means.
    pub fn durability(&self) -> Durability {
        self.shared.durability
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
            // One that panicked has said so.
            let _ = thread.join();
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

fn recovered(opened: &Opened) -> Result<Recovered, StoreError> {
    let values = opened.index.scan(&[])?;
    let restored = |(queue, summary): &(QueueId, Summary)| {
        opened.restored(*queue, summary).map(|restored| (*queue, restored))
    };
    let queues = opened.queues.iter().map(restored).collect::<Result<Vec<_>, StoreError>>()?;
    let first_free = opened.queues.iter().map(|(queue, _)| queue.0 + 1).max().unwrap_or(0);
    Ok(Recovered { values, queues, first_free: QueueId(first_free) })
}

fn start(
    shared: &Arc<Shared>,
    opened: Opened,
    rule: CheckpointRule,
) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let Opened { index, log, pages, .. } = opened;
    let (fetches, fetches_of_reader) = channel::<Fetch>();
    let (checkpoints, requests) = channel();
    let checkpointer = Checkpointer {
        shared: Arc::clone(shared),
        index: Arc::clone(&index),
        files: Arc::clone(log.files()),
        log: log.reader(),
    };
    let now = shared.now();
    let mut writer = Writer {
        shared: Arc::clone(shared),
        index,
        log,
        frame: FrameBuilder::new(),
        fetches,
        checkpoints,
        rule,
        checkpointed_at: now,
        since_checkpoint: 0,
        is_checkpointing: false,
        looked_at_space: now,
        synced_at: now,
    };
    let of_reader = Arc::clone(shared);
    let of_writer = Arc::clone(shared);
    Ok(vec![
        spawn("leveret-writer", move || {
            if let Err(error) = writer.run() {
                of_writer.fail(error);
            }
        })?,
        spawn("leveret-reader", move || {
            reader::run(&pages, &fetches_of_reader, &|error| of_reader.fail(error));
        })?,
        spawn("leveret-checkpoint", move || checkpointer.run(&requests))?,
    ])
}

fn spawn(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
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
        self.shared.inbox.is_congested()
    }

    fn is_disk_low(&self) -> bool {
        self.shared.disk_low.load(Ordering::Acquire)
    }
}
