//! Which messages each durable queue holds, where they lie in the log, and the broker's definitions.
//!
//! On disk it is as of the last checkpoint: packed blocks of neighbouring positions in an ordered map
//! ([`KeyValue`]), with a summary for each queue and counts for each segment that change in the same
//! batches as the blocks do. What changed since is in memory, as changes to be laid over the blocks: the
//! `dirty` ones, and while a checkpoint runs the `frozen` ones that it folds in.

mod bits;
mod block_delta;
mod changes;
mod check;
mod checkpoint;
mod delta;
mod keys;
mod live;
mod read;
mod recovery;
mod segments;
mod slots;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use self::keys::{FORMAT_KEY, Kind, MARK_KEY};
use super::block::{self, Entry};
use super::error::StoreError;
use super::key_value::{Batch, KeyValue, after_prefix};
use super::place::SegmentId;
use crate::broker::queue_cell::QueueId;

pub use self::changes::Changes;
pub use self::check::IndexReport;
use self::delta::Delta;
use self::live::LiveCounts;
pub use self::live::{Live, Summary};
pub use self::read::ReadBlock;

/// The only format there is yet.
const FORMAT: u32 = 1;

/// Up to where the log is in the index: replaying starts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointMark {
    /// The segment with the first frame that is not in the index.
    pub segment: SegmentId,
    /// Where that frame starts, or will start.
    pub offset: u64,
    /// Its number.
    pub sequence: u64,
}

/// The index of all durable queues, and of what was paged out of the others.
///
/// One thread makes changes ([`changes`](Self::changes)), another runs checkpoints
/// ([`freeze`](Self::freeze), [`write_frozen`](Self::write_frozen)), any may read.
#[derive(Debug)]
pub struct Index {
    kv: Arc<dyn KeyValue>,
    /// Never held while the disk is asked.
    state: Mutex<State>,
    /// Held by a reader from its first look to its last, and by a checkpoint while a batch comes into
    /// effect: a reader does not lay changes over a block that has later ones. Taken before `state`.
    fold: RwLock<()>,
    /// Held by a checkpoint, so that there is one.
    checkpoint: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Since the last [`Index::freeze`].
    dirty: Delta,
    /// What the checkpoint that runs, or failed, folds in.
    frozen: Option<Arc<Frozen>>,
    /// What referred to the segments at the last checkpoint.
    live: LiveCounts,
    /// Where the last checkpoint ended.
    mark: Option<CheckpointMark>,
}

#[derive(Debug)]
struct Frozen {
    delta: Delta,
    mark: CheckpointMark,
}

impl Index {
    /// Opens the index, and says from where on the log is to be replayed: from its start without a mark.
    ///
    /// Then the log's frames since go through [`changes`](Self::changes), and
    /// [`finish_recovery`](Self::finish_recovery) ends it.
    pub fn open(kv: Arc<dyn KeyValue>) -> Result<(Self, Option<CheckpointMark>), StoreError> {
        check_format(&*kv)?;
        let mark = match kv.get(MARK_KEY)? {
            Some(value) => Some(keys::parse_mark(&value).ok_or_else(|| damaged(&*kv, "mark"))?),
            None => None,
        };
        let live = read_live(&*kv)?;
        // A process that was killed may have left more than is safe on disk; segments are unlinked by it.
        kv.flush()?;
        let state = Mutex::new(State { live, mark, ..State::default() });
        let index = Self { kv, state, fold: RwLock::default(), checkpoint: Mutex::default() };
        Ok((index, mark))
    }

    /// Lets records of the log take effect. A frame's records go through one such guard.
    pub fn changes(&self) -> Changes<'_> {
        Changes { state: self.state.lock() }
    }

    /// Where the last checkpoint ended.
    pub fn mark(&self) -> Option<CheckpointMark> {
        self.state.lock().mark
    }

    /// What the map holds of a block, both kinds together.
    fn load(&self, queue: QueueId, number: u64) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.load_kind(Kind::Present, queue, number)?;
        let scheduled = self.load_kind(Kind::Scheduled, queue, number)?;
        if !scheduled.is_empty() {
            entries.extend(scheduled);
            entries.sort_unstable_by_key(|(number, _)| *number);
        }
        Ok(entries)
    }

    fn load_kind(&self, kind: Kind, queue: QueueId, number: u64) -> Result<Vec<Entry>, StoreError> {
        let value = self.kv.get(&keys::block(kind, queue, number))?;
        value.map_or(Ok(Vec::new()), |value| self.decode(queue, number, &value))
    }

    fn decode(&self, queue: QueueId, number: u64, value: &[u8]) -> Result<Vec<Entry>, StoreError> {
        block::decode(value).map_err(|error| {
            let QueueId(queue) = queue;
            damaged(&*self.kv, &format!("block {number} of queue {queue} ({error})"))
        })
    }

    fn stored_summary(&self, queue: QueueId) -> Result<Summary, StoreError> {
        let Some(value) = self.kv.get(&keys::summary(queue))? else {
            return Ok(Summary::default());
        };
        keys::parse_summary_value(&value).ok_or_else(|| damaged(&*self.kv, "summary of a queue"))
    }
}

fn check_format(kv: &dyn KeyValue) -> Result<(), StoreError> {
    let Some(value) = kv.get(FORMAT_KEY)? else {
        if kv.range(&[], &[u8::MAX]).next().is_some() {
            let found = "its index holds something, and not its format".to_owned();
            return Err(StoreError::Foreign { path: kv.path().to_path_buf(), found });
        }
        let mut batch = Batch::default();
        batch.put(FORMAT_KEY.to_vec(), keys::format_value());
        return kv.apply(batch);
    };
    let found = keys::parse_format(&value).ok_or_else(|| damaged(kv, "format"))?;
    if found > FORMAT {
        let path = kv.path().to_path_buf();
        return Err(StoreError::Newer { path, found, known: FORMAT });
    }
    Ok(())
}

fn read_live(kv: &dyn KeyValue) -> Result<LiveCounts, StoreError> {
    let mut live = LiveCounts::default();
    for pair in kv.range(&keys::SEGMENTS, &after_prefix(&keys::SEGMENTS)) {
        let (key, value) = pair?;
        let parsed = keys::parse_segment(&key).zip(keys::parse_live(&value));
        let (segment, count) = parsed.ok_or_else(|| damaged(kv, "count of a segment"))?;
        live.set(segment, count);
    }
    Ok(live)
}

fn damaged(kv: &dyn KeyValue, what: &str) -> StoreError {
    StoreError::Index { path: kv.path().to_path_buf(), what: format!("it holds a damaged {what}") }
}

#[cfg(test)]
mod tests;
