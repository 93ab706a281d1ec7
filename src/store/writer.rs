//! The one thread that writes: what has gathered becomes a commit frame, and then it is safe.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::checkpointer::CheckpointRequest;
use super::durable::{Durability, Shared};
use super::error::StoreError;
use super::inbox::{Checkpointed, Expected, Fetch, Gathered, Survivor};
use super::index::{CheckpointMark, Index};
use super::log::{Appended, Log};
use super::record::FrameBuilder;
use super::recovery::index_mark;

/// How often the writer looks around though nobody needs it: at the free space, and whether a
/// checkpoint is due.
pub(super) const IDLE: Duration = Duration::from_millis(500);

/// Bytes that have to be free for a checkpoint: the index can't wait for room in the middle of one.
const CHECKPOINT_SPACE: u64 = 4 * 1024 * 1024;

/// Publishers wait for a checkpoint that runs when the next one is due so many times over: what changed
/// is in memory until then.
const BEHIND_MAX: u64 = 4;

/// How long the writer waits for those at most who are likely to come.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// The frame's buffer is given back where a frame was larger than this.
const FRAME_BYTES_KEPT: usize = 8 * 1024 * 1024;

/// When a checkpoint is due.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointRule {
    /// After so many bytes of log.
    pub bytes: u64,
    /// After so long, if anything changed.
    pub interval: Duration,
}

impl Default for CheckpointRule {
    /// What changed since the last one is in memory: 64 MiB of small messages are half a million of them, at
    /// some 32 bytes each. And a recovery has no more to read than two of these.
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, interval: Duration::from_secs(60) }
    }
}

/// Writes what gathers in the inbox.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) index: Arc<Index>,
    pub(super) log: Log,
    pub(super) frame: FrameBuilder,
    pub(super) fetches: Sender<Fetch>,
    pub(super) checkpoints: Sender<CheckpointRequest>,
    pub(super) rule: CheckpointRule,
    /// How long it waits where the system is short of something, before it tries again.
    pub(super) pause: Duration,
    pub(super) checkpointed_at: Instant,
    /// Bytes that were written since the last checkpoint began.
    pub(super) since_checkpoint: u64,
    /// One is at work.
    pub(super) is_checkpointing: bool,
    /// One was begun, and there was no room to finish it, or no file to be had: it is to be tried again.
    pub(super) unfinished: Option<CheckpointMark>,
    pub(super) looked_at_space: Instant,
    /// Bytes that were free on the disk then.
    pub(super) free: u64,
    /// The end of the log where its last frame was synced.
    pub(super) synced_at: Instant,
    /// How long the last sync took.
    pub(super) sync_took: Duration,
    /// Who is likely to come next.
    pub(super) expected: Expected,
}

impl Writer {
    /// Writes until the store is closed; the error that ended it.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
        loop {
            let gathered = self.shared.inbox.take(IDLE, self.expected);
            let closed = gathered.closed;
            self.step(gathered)?;
            if closed {
                return self.close();
            }
        }
    }

    /// Writes what has gathered, makes it safe, and tells those who wait.
    pub(super) fn step(&mut self, gathered: Gathered) -> Result<(), StoreError> {
        let Gathered { records, bytes, confirmations, fetches, checkpointed, .. } = gathered;
        self.count_space(bytes as u64);
        let survivors = self.take_up(checkpointed)?;
        let batch = Batch::new(records, survivors);
        if !batch.is_empty() {
            self.write(batch)?;
        }
        for fetch in fetches {
            // The reader is gone only when all is over.
            let _ = self.fetches.send(fetch);
        }
        let safe = self.make_safe(!confirmations.is_empty())?;
        if self.shared.inbox.written(safe) {
            self.shared.relieve();
        }
        if !confirmations.is_empty() {
            let within = (self.sync_took / 2).min(GATHER_MAX);
            self.expected =
                Expected { confirmations: confirmations.len() - confirmations.len() / 8, within };
        }
        for confirmation in confirmations {
            confirmation.durable();
        }
        self.look_around()
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        self.frame.clear();
        let spans = batch.encode(&mut self.frame);
        let at = self.append()?;
        batch.apply(&spans, at, &self.index);
        self.since_checkpoint += self.frame.len() as u64;
        if self.frame.len() > FRAME_BYTES_KEPT {
            self.frame = FrameBuilder::new();
        }
        Ok(())
    }

    /// Appends the frame, and waits where the system has no room or no more files: nobody is told of it
    /// before it is written, so nothing is lost.
    fn append(&mut self) -> Result<Appended, StoreError> {
        loop {
            match self.log.append(&mut self.frame) {
                Err(error) if error.is_shortage() => {
                    self.shared.set_disk_low(true, &error.to_string());
                    if self.shared.inbox.sleep(self.pause) {
                        // Those who were closed first may have left what was missing.
                        return self.log.append(&mut self.frame);
                    }
                }
                result => return result,
            }
        }
    }

    /// Syncs, if somebody waits for it or nobody did for long; whether all that was written is as safe as
    /// it is to be.
    fn make_safe(&mut self, awaited: bool) -> Result<bool, StoreError> {
        if self.shared.durability == Durability::Os || self.log.is_synced() {
            return Ok(true);
        }
        let now = self.shared.now();
        if awaited || now.duration_since(self.synced_at) >= IDLE {
            self.sync()?;
        }
        Ok(self.log.is_synced())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let start = self.shared.now();
        self.log.sync()?;
        self.synced_at = self.shared.now();
        self.sync_took = self.synced_at.duration_since(start);
        Ok(())
    }

    /// What is to be done now and then.
    fn look_around(&mut self) -> Result<(), StoreError> {
        let now = self.shared.now();
        if now.duration_since(self.looked_at_space) >= IDLE {
            self.looked_at_space = now;
            self.look_at_space();
        }
        let elapsed_since_last = now.duration_since(self.checkpointed_at);
        // Where there is little room, what consumers settle is to give some back soon.
        let interval = if self.shared.is_disk_low() { IDLE } else { self.rule.interval };
        let elapsed = elapsed_since_last >= interval;
        let due = self.since_checkpoint >= self.rule.bytes || elapsed && self.since_checkpoint > 0;
        let is_under_way = self.is_checkpointing || self.unfinished.is_some();
        self.shared
            .set_behind(is_under_way && self.since_checkpoint >= self.rule.bytes * BEHIND_MAX);
        if self.is_checkpointing {
            return Ok(());
        }
        if self.unfinished.is_some() {
            if elapsed_since_last >= IDLE {
                self.go_on_with_checkpoint(now);
            }
            return Ok(());
        }
        if due { self.begin_checkpoint() } else { Ok(()) }
    }

    /// So many bytes more are about to be written: the alarm is to rise before there is no room, not half a
    /// second after.
    fn count_space(&mut self, bytes: u64) {
        self.free = self.free.saturating_sub(bytes);
        if self.free < self.shared.disk_free_limit() && !self.shared.is_disk_low() {
            self.look_at_space();
        }
    }

    fn look_at_space(&mut self) {
        match self.log.files().available_space() {
            Ok(free) => {
                let limit = self.shared.disk_free_limit();
                let text = format!("{free} bytes are free, disk_free_limit is {limit}");
                // A checkpoint that found no room, or no file, knows better than the system.
                self.shared.set_disk_low(free < limit || self.unfinished.is_some(), &text);
                self.free = free;
            }
            // A write will tell.
            Err(error) => tracing::debug!("{error}"),
        }
    }

    fn begin_checkpoint(&mut self) -> Result<(), StoreError> {
        self.look_at_space();
        if self.free < CHECKPOINT_SPACE {
            return Ok(());
        }
        let mark = self.freeze()?;
        self.ask_for_checkpoint(mark);
        Ok(())
    }

    fn ask_for_checkpoint(&mut self, mark: CheckpointMark) {
        self.is_checkpointing = true;
        let _ = self.checkpoints.send(CheckpointRequest { mark });
    }

    /// Tries once more what failed for want of room or files, if there may be some now. What was frozen then is
    /// folded in from the start; nothing of it is lost.
    fn go_on_with_checkpoint(&mut self, now: Instant) {
        self.checkpointed_at = now;
        self.look_at_space();
        if self.free >= CHECKPOINT_SPACE
            && let Some(mark) = self.unfinished.take()
        {
            self.ask_for_checkpoint(mark);
        }
    }

    fn freeze(&mut self) -> Result<CheckpointMark, StoreError> {
        self.sync()?;
        let mark = index_mark(self.log.mark());
        self.index.freeze(mark);
        self.since_checkpoint = 0;
        self.checkpointed_at = self.shared.now();
        Ok(mark)
    }

    /// A checkpoint is complete: what is to be written anew because of it.
    fn take_up(&mut self, checkpointed: Option<Checkpointed>) -> Result<Vec<Survivor>, StoreError> {
        match checkpointed {
            None => Ok(Vec::new()),
            Some(Checkpointed::Failed(mark, error)) if error.is_shortage() => {
                self.is_checkpointing = false;
                self.unfinished = Some(mark);
                self.checkpointed_at = self.shared.now();
                self.shared.set_disk_low(true, &error.to_string());
                Ok(Vec::new())
            }
            Some(Checkpointed::Failed(_, error)) => Err(error),
            Some(Checkpointed::Done(survivors)) => {
                self.is_checkpointing = false;
                if self.shared.is_disk_low() {
                    self.look_at_space();
                }
                if !survivors.is_empty() {
                    // The next one lets their segments go.
                    self.since_checkpoint += 1;
                }
                Ok(survivors)
            }
        }
    }

    /// Leaves everything in the index, so that the next start has nothing to read.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.shared.durability == Durability::Fsync {
            self.sync()?;
        }
        self.shared.write_frozen(&self.index)?;
        self.log.trim()?;
        self.freeze()?;
        self.shared.write_frozen(&self.index)
    }
}
