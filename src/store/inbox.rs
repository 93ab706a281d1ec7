//! What gathers for the writer while it is busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::index::CheckpointMark;
use super::unit::{Unit, Units};
use super::{Confirmation, Requester, StoreError};
use crate::broker::effect::Wanted;
use crate::broker::persist::QueueRecord;
use crate::broker::queue_cell::QueueId;

/// Publishers wait while more bytes than this have not been written.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Publishers go on at this many.
const BYTES_LOW: usize = BYTES_MAX / 2;

/// The writer does not wait for more than so many bytes, though nobody waits for it.
const BYTES_MANY: usize = 1024 * 1024;

/// How long it waits for more, where nobody waits for it: what is settled within this time never
/// reaches the disk.
const LINGER: Duration = Duration::from_millis(2);

/// What a record costs in memory, beside the message in it.
const RECORD_BYTES: usize = size_of::<InboxRecord>();

/// One thing to be written.
#[derive(Debug)]
pub(super) enum InboxRecord {
    Queue(QueueId, QueueRecord),
    RemoveQueue(QueueId),
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// Messages that a queue wants back.
pub(super) struct Fetch {
    pub(super) queue: QueueId,
    pub(super) wanted: Wanted,
    pub(super) requester: Box<dyn Requester>,
}

/// A message that lies in a segment which is to go, as it lies there.
#[derive(Debug)]
pub(super) struct Survivor {
    /// Its record.
    pub(super) record: bytes::Bytes,
    /// The places that it still has.
    pub(super) places: Vec<super::record::NewPlace>,
}

/// What the checkpointer has for the writer.
#[derive(Debug)]
pub(super) enum Checkpointed {
    /// A checkpoint is complete, and these messages are to be written anew.
    Done(Vec<Survivor>),
    /// The one up to this mark failed.
    Failed(CheckpointMark, StoreError),
}

/// What has gathered.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) records: Vec<InboxRecord>,
    /// Bytes of the records, messages included.
    pub(super) bytes: usize,
    /// Who waits for the records to be safe.
    pub(super) confirmations: Vec<Box<dyn Confirmation>>,
    pub(super) fetches: Vec<Fetch>,
    pub(super) checkpointed: Option<Checkpointed>,
    /// Nothing comes after this.
    pub(super) closed: bool,
}

impl Gathered {
    /// Whether somebody waits for the writer.
    fn is_urgent(&self) -> bool {
        self.closed
            || self.checkpointed.is_some()
            || !self.confirmations.is_empty()
            || !self.fetches.is_empty()
            || self.bytes >= BYTES_MANY
    }

    fn is_enough(&self, confirmations: usize) -> bool {
        self.confirmations.len() >= confirmations || self.closed || !self.fetches.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && !self.is_urgent()
    }
}

/// The writer's inbox. Its lock is a leaf: nothing else is locked while it is held.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    /// Shared by those who hold a unit of records together; whoever takes what has gathered waits until
    /// there are none.
    units: Units,
    /// Publishers are to wait.
    congested: AtomicBool,
}

/// What the writer waits for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// Nothing: it is at work.
    #[default]
    Awake,
    /// For anything at all.
    Idle,
    /// For somebody who waits for it.
    Lingering,
    /// For more of those who wait, up to so many.
    Gathering(usize),
}

/// Those who were told a moment ago are likely to come again, all at about the same time: the next sync is
/// to serve them all, not the first of them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Expected {
    /// How many are worth waiting for.
    pub(super) confirmations: usize,
    /// For how long: less than it takes to serve them in two syncs.
    pub(super) within: Duration,
}

#[derive(Default)]
struct State {
    gathered: Gathered,
    /// Bytes that the writer has taken and not written yet.
    in_hand: usize,
    /// Not everything that was taken is as safe as it is to be.
    unsafe_yet: bool,
    sleep: Sleep,
    /// Nothing is written any more.
    failed: bool,
}

impl Inbox {
    pub(super) fn unit(&self) -> Unit<'_> {
        self.units.begin()
    }

    pub(super) fn nested_unit(&self) -> Unit<'_> {
        self.units.begin_nested()
    }

    /// Takes what happened in a queue, in order.
    pub(super) fn record(&self, queue: QueueId, records: &mut Vec<QueueRecord>) {
        let messages: usize = records.iter().map(message_bytes).sum();
        let bytes = records.len() * RECORD_BYTES + messages;
        let records = records.drain(..).map(|record| InboxRecord::Queue(queue, record));
        self.add(bytes, |gathered| gathered.records.extend(records));
    }

    /// Takes a change that is not of a queue's messages.
    pub(super) fn change(&self, record: InboxRecord) {
        let bytes = match &record {
            InboxRecord::Put(key, value) => key.len() + value.len(),
            InboxRecord::Remove(key) => key.len(),
            InboxRecord::Queue(..) | InboxRecord::RemoveQueue(_) => 0,
        };
        self.add(bytes + RECORD_BYTES, |gathered| gathered.records.push(record));
    }

    pub(super) fn fetch(&self, fetch: Fetch) {
        self.add(0, |gathered| gathered.fetches.push(fetch));
    }

    pub(super) fn checkpointed(&self, checkpointed: Checkpointed) {
        self.add(0, |gathered| gathered.checkpointed = Some(checkpointed));
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.add(0, |gathered| gathered.closed = true);
        self.arrived.notify_all();
    }

    /// Whether nothing comes any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().gathered.closed
    }

    /// Has somebody told when all that was taken so far is safe; at once if it is.
    pub(super) fn when_safe(&self, confirmation: Box<dyn Confirmation>) {
        let mut state = self.state.lock();
        if state.failed {
            // It never will be, and says so to nobody: the process is about to end.
            return;
        }
        if state.unsafe_yet || !state.gathered.records.is_empty() {
            state.gathered.confirmations.push(confirmation);
            self.wake(&mut state);
        } else {
            drop(state);
            confirmation.durable();
        }
    }

    fn add(&self, bytes: usize, add: impl FnOnce(&mut Gathered)) {
        let mut state = self.state.lock();
        if state.failed {
            return;
        }
        add(&mut state.gathered);
        state.gathered.bytes += bytes;
        if state.gathered.bytes + state.in_hand > BYTES_MAX {
            self.congested.store(true, Ordering::Release);
        }
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State) {
        let is_awaited = match state.sleep {
            Sleep::Awake => false,
            Sleep::Idle => true,
            Sleep::Lingering => state.gathered.is_urgent(),
            Sleep::Gathering(enough) => state.gathered.is_enough(enough),
        };
        if is_awaited {
            state.sleep = Sleep::Awake;
            self.arrived.notify_one();
        }
    }

    /// Takes all that has gathered, and waits for something where there is nothing, `max` at most.
    pub(super) fn take(&self, max: Duration, expected: Expected) -> Gathered {
        self.wait(max, expected);
        self.take_now()
    }

    /// Takes all that has gathered. No unit of records is torn apart.
    pub(super) fn take_now(&self) -> Gathered {
        self.units.between(|| {
            let mut state = self.state.lock();
            let gathered = std::mem::take(&mut state.gathered);
            state.gathered.closed = gathered.closed;
            state.in_hand = gathered.bytes;
            state.unsafe_yet |= !gathered.records.is_empty();
            gathered
        })
    }

    /// Waits for a while; whether the store is being closed.
    pub(super) fn sleep(&self, max: Duration) -> bool {
        let mut state = self.state.lock();
        let is_open = |state: &mut State| !state.gathered.closed && !state.failed;
        self.arrived.wait_while_for(&mut state, is_open, max);
        !is_open(&mut state)
    }

    fn wait(&self, max: Duration, expected: Expected) {
        let mut state = self.state.lock();
        if state.gathered.is_empty() {
            state.sleep = Sleep::Idle;
            self.arrived.wait_for(&mut state, max);
        }
        if !state.gathered.is_urgent() && !state.gathered.records.is_empty() {
            state.sleep = Sleep::Lingering;
            let until = |state: &mut State| !state.gathered.is_urgent();
            self.arrived.wait_while_for(&mut state, until, LINGER);
        }
        let enough = expected.confirmations;
        if !state.gathered.confirmations.is_empty() && !state.gathered.is_enough(enough) {
            state.sleep = Sleep::Gathering(enough);
            let until = |state: &mut State| !state.gathered.is_enough(enough);
            self.arrived.wait_while_for(&mut state, until, expected.within);
        }
        state.sleep = Sleep::Awake;
    }

    /// All that was taken is written, and with `safe` it is as safe as it is to be. Whether publishers
    /// that had to wait may go on.
    pub(super) fn written(&self, safe: bool) -> bool {
        let mut state = self.state.lock();
        state.in_hand = 0;
        if safe {
            state.unsafe_yet = false;
        }
        state.gathered.bytes <= BYTES_LOW && self.congested.swap(false, Ordering::AcqRel)
    }

    /// Whether publishers are to wait until more is written.
    pub(super) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Acquire)
    }

    /// Nothing is taken any more. Who waits is never told.
    pub(super) fn fail(&self) {
        let mut state = self.state.lock();
        state.failed = true;
        state.gathered = Gathered { closed: true, ..Gathered::default() };
    }
}

fn message_bytes(record: &QueueRecord) -> usize {
    match record {
        QueueRecord::Entered { message, .. } | QueueRecord::PagedOut { message, .. } => {
            message.memory()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
