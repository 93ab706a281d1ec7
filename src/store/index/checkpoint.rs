//! Folds what changed into the map on disk.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use super::super::block::{self, BLOCK_POSITIONS, Entry};
use super::super::error::StoreError;
use super::super::key_value::{Batch, after_prefix};
use super::super::place::SegmentId;
use super::delta::{Delta, QueueDelta};
use super::keys::{self, Kind, MARK_KEY};
use super::live::{LiveCounts, Summary};
use super::{CheckpointMark, Frozen, Index, read_live};
use crate::broker::queue_cell::QueueId;

/// A batch is applied once it is this large: readers wait meanwhile. Small ones in tests let a crash
/// find any part of a checkpoint.
const BATCH_BYTES: usize = if cfg!(test) { 100 } else { 1 << 20 };

impl Index {
    /// Begins a checkpoint: what changed so far is what it folds in. Says no while one is unfinished.
    ///
    /// `mark` is where the first frame starts that is not in the index yet. All before it must be safe on
    /// disk: the index may outlive a crash that the end of the log does not.
    pub fn freeze(&self, mark: CheckpointMark) -> bool {
        let mut state = self.state.lock();
        if state.frozen.is_some() {
            return false;
        }
        let delta = std::mem::take(&mut state.dirty);
        state.frozen = Some(Arc::new(Frozen { delta, mark }));
        true
    }

    /// Whether the checkpoint that was begun changes keys of the broker that start with one of these.
    pub fn changes_keys(&self, prefixes: &[&[u8]]) -> bool {
        let Some(frozen) = self.state.lock().frozen.clone() else { return false };
        prefixes.iter().any(|prefix| {
            let from = (Bound::Included(*prefix), Bound::Unbounded);
            let first = frozen.delta.keys.range::<[u8], _>(from).next();
            first.is_some_and(|(key, _)| key.starts_with(prefix))
        })
    }

    /// Whether a checkpoint was begun and is not finished.
    pub fn is_frozen(&self) -> bool {
        self.state.lock().frozen.is_some()
    }

    /// Finishes the checkpoint that [`freeze`](Self::freeze) began, if any. When it returns, replaying
    /// starts at its mark, also after a loss of power.
    ///
    /// If it fails, nothing is lost, and it may be called again.
    pub fn write_frozen(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.checkpoint.lock();
        let Some(frozen) = self.state.lock().frozen.clone() else { return Ok(()) };
        let mut fold = Fold::new(self)?;
        fold.delta(&frozen.delta)?;
        fold.batch.put(MARK_KEY.to_vec(), keys::mark_value(frozen.mark));
        fold.apply()?;
        let live = fold.live;
        let _no_readers = self.fold.write();
        let mut state = self.state.lock();
        state.live = live;
        state.mark = Some(frozen.mark);
        // The last reference is this function's: the changes are freed after the locks.
        state.frozen = None;
        drop(state);
        Ok(())
    }
}

/// A checkpoint at work.
///
/// Summaries and counts go into the same batches as the blocks they follow from, so they agree whatever
/// batch is the last before a crash. Doing it again from the start changes nothing that was done.
struct Fold<'a> {
    index: &'a Index,
    batch: Batch,
    /// As of the blocks applied and in the batch.
    live: LiveCounts,
    /// Those whose count is not as the map has it.
    counted: BTreeSet<SegmentId>,
}

impl<'a> Fold<'a> {
    fn new(index: &'a Index) -> Result<Self, StoreError> {
        let live = read_live(&*index.kv)?;
        Ok(Self { index, batch: Batch::default(), live, counted: BTreeSet::new() })
    }

    fn delta(&mut self, delta: &Delta) -> Result<(), StoreError> {
        let mut queues: Vec<_> = delta.queues.iter().collect();
        queues.sort_unstable_by_key(|(id, _)| **id);
        for (id, queue) in queues {
            self.queue(*id, queue)?;
        }
        for (key, value) in &delta.keys {
            match value {
                Some(value) => self.batch.put(keys::broker(key), value.clone()),
                None => self.batch.remove(keys::broker(key)),
            }
            self.apply_if_large()?;
        }
        Ok(())
    }

    fn queue(&mut self, id: QueueId, queue: &QueueDelta) -> Result<(), StoreError> {
        let mut summary = self.index.stored_summary(id)?;
        let stored_until = summary.next_position;
        // A batch in the middle has it already: it is never less than what the blocks hold.
        summary.next_position = stored_until.max(queue.next_position);
        for number in self.index.touched_blocks(id, queue)? {
            let stored = number.saturating_mul(BLOCK_POSITIONS) < stored_until;
            let before = if stored { self.index.load(id, number)? } else { Vec::new() };
            let mut after = before.clone();
            queue.apply(number, &mut after);
            if before != after {
                self.count(&mut summary, &before, &after);
                self.block(Kind::Present, id, number, &before, &after);
                self.block(Kind::Scheduled, id, number, &before, &after);
            }
            if self.batch.bytes() >= BATCH_BYTES {
                self.batch.put(keys::summary(id), keys::summary_value(&summary));
                self.apply()?;
            }
        }
        if queue.removed {
            summary.next_position = queue.next_position;
        }
        if summary.count == 0 && summary.next_position == 0 {
            self.batch.remove(keys::summary(id));
        } else {
            self.batch.put(keys::summary(id), keys::summary_value(&summary));
        }
        self.apply_if_large()
    }

    fn count(&mut self, summary: &mut Summary, before: &[Entry], after: &[Entry]) {
        for (_, place) in before {
            summary.subtract(place);
            self.live.subtract(place.location);
        }
        for (_, place) in after {
            summary.add(place);
            self.live.add(place.location);
        }
        let segment = |(_, place): &Entry| place.location.segment;
        self.counted.extend(before.iter().chain(after).map(segment));
    }

    /// Writes what a block holds of a kind.
    fn block(&mut self, kind: Kind, id: QueueId, number: u64, before: &[Entry], after: &[Entry]) {
        let is_kind = |(_, place): &&Entry| place.due.is_some() == (kind == Kind::Scheduled);
        let had = before.iter().filter(is_kind);
        if had.clone().eq(after.iter().filter(is_kind)) {
            return;
        }
        let has: Vec<Entry> = after.iter().filter(is_kind).copied().collect();
        let key = keys::block(kind, id, number);
        if has.is_empty() {
            self.batch.remove(key);
        } else {
            self.batch.put(key, block::encode(&has));
        }
    }

    fn apply_if_large(&mut self) -> Result<(), StoreError> {
        if self.batch.bytes() >= BATCH_BYTES { self.apply() } else { Ok(()) }
    }

    /// Lets the batch come into effect, with the counts of the segments.
    fn apply(&mut self) -> Result<(), StoreError> {
        for segment in std::mem::take(&mut self.counted) {
            let live = self.live.get(segment);
            if live.references == 0 {
                self.batch.remove(keys::segment(segment));
            } else {
                self.batch.put(keys::segment(segment), keys::live_value(live));
            }
        }
        {
            let _no_readers = self.index.fold.write();
            self.index.kv.apply(std::mem::take(&mut self.batch))?;
        }
        // What the map moves about meanwhile is to be safe before it is written over.
        self.index.kv.flush()
    }
}

impl Index {
    /// The blocks that a queue's changes concern: those with changes of their own, and those in the map
    /// that something happened to as a whole.
    fn touched_blocks(&self, id: QueueId, queue: &QueueDelta) -> Result<BTreeSet<u64>, StoreError> {
        let mut touched = queue.blocks().collect();
        self.stored_blocks(id, queue.sweeps(), &mut touched)?;
        Ok(touched)
    }

    /// Adds the blocks that the map holds in these ranges to `found`.
    pub(super) fn stored_blocks(
        &self,
        id: QueueId,
        ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
        found: &mut BTreeSet<u64>,
    ) -> Result<(), StoreError> {
        for blocks in ranges {
            for kind in [Kind::Present, Kind::Scheduled] {
                let from = keys::block(kind, id, *blocks.start());
                let to = after_prefix(&keys::block(kind, id, *blocks.end()));
                for pair in self.kv.range(&from, &to) {
                    found.extend(keys::parse_block(&pair?.0).map(|(_, number)| number));
                }
            }
        }
        Ok(())
    }
}
