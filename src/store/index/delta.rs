//! What changed since a checkpoint.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rustc_hash::FxHashMap;

use super::super::block::{BLOCK_POSITIONS, Entry};
use super::super::place::Place;
use super::bits::{Bits, split};
use super::block_delta::{BlockDelta, Sweep};
use super::live::LiveCounts;
use crate::broker::queue_cell::QueueId;

/// So many blocks that something entered last are ready to have it leave. In tests few are, so that all that
/// happens to blocks happens to packed ones, too.
const LOOSE_BLOCKS: u64 = if cfg!(test) { 1 } else { 16 };

/// Everything that changed since a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) queues: FxHashMap<QueueId, QueueDelta>,
    /// The broker's keys: values put, or none for what was removed.
    pub(super) keys: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What the places in here refer to.
    pub(super) live: LiveCounts,
}

/// What changed in one queue.
#[derive(Debug, Default)]
pub(super) struct QueueDelta {
    /// What was known of it before is void.
    pub(super) removed: bool,
    /// No position from here on was used, as far as these changes tell.
    pub(super) next_position: u64,
    blocks: BTreeMap<u64, Box<BlockDelta>>,
    /// What happened to whole blocks that are not in `blocks`: one that is had it done to it.
    sweeps: Vec<(RangeInclusive<u64>, Sweep)>,
}

impl QueueDelta {
    pub(super) fn entered(&mut self, position: u64, place: &Place, live: &mut LiveCounts) {
        self.next_position = self.next_position.max(position.saturating_add(1));
        let (block, number) = split(position);
        let known = self.blocks.len();
        self.block_mut(block).entered(number, place, live);
        if self.blocks.len() > known {
            self.pack_before(block);
        }
    }

    /// A block is begun: what entered some blocks before, and is still there, is likely to stay.
    fn pack_before(&mut self, block: u64) {
        let before = block.checked_sub(LOOSE_BLOCKS);
        if let Some(delta) = before.and_then(|before| self.blocks.get_mut(&before)) {
            delta.pack();
        }
    }

    /// The changes of a block, begun if there were none.
    pub(super) fn block_mut(&mut self, block: u64) -> &mut BlockDelta {
        let sweeps = &self.sweeps;
        self.blocks.entry(block).or_insert_with(|| {
            Box::new(sweep_of(sweeps, block).map(BlockDelta::swept).unwrap_or_default())
        })
    }

    pub(super) fn settled_one(&mut self, position: u64, live: &mut LiveCounts) {
        let (block, number) = split(position);
        self.block_mut(block).settled_one(number, live);
    }

    /// Removes a range of positions, or what does not wait for its moment among them.
    pub(super) fn swept(&mut self, first: u64, last: u64, sweep: Sweep, live: &mut LiveCounts) {
        if first > last {
            return;
        }
        let ((first_block, from), (last_block, to)) = (split(first), split(last));
        if first_block == last_block {
            return sweep_block(self.block_mut(first_block), Bits::range(from, to), sweep, live);
        }
        let mut whole = first_block..=last_block;
        if from > 0 {
            let rest = Bits::range(from, end_of_block());
            sweep_block(self.block_mut(first_block), rest, sweep, live);
            whole = first_block + 1..=*whole.end();
        }
        if to < end_of_block() {
            sweep_block(self.block_mut(last_block), Bits::range(0, to), sweep, live);
            whole = *whole.start()..=last_block - 1;
        }
        if !whole.is_empty() {
            self.sweep_blocks(whole, sweep, live);
        }
    }

    fn sweep_blocks(&mut self, blocks: RangeInclusive<u64>, sweep: Sweep, live: &mut LiveCounts) {
        for (_, block) in self.blocks.range_mut(blocks.clone()) {
            sweep_block(block, Bits::FULL, sweep, live);
        }
        // A queue that is emptied again and again goes on where it stopped.
        if let Some((last, same)) = self.sweeps.last_mut()
            && *same == sweep
            && *last.start() <= *blocks.start()
            && *blocks.start() <= last.end().saturating_add(1)
        {
            *last = *last.start()..=*last.end().max(blocks.end());
            return;
        }
        self.sweeps.push((blocks, sweep));
    }

    /// A message that entered before any of the changes that are known lies here: unless it left since.
    pub(super) fn found(&mut self, position: u64, place: &Place, live: &mut LiveCounts) {
        self.next_position = self.next_position.max(position.saturating_add(1));
        let (block, number) = split(position);
        self.block_mut(block).found(number, place, live);
    }

    /// Everything that ever was in the queue is void.
    pub(super) fn remove(&mut self, live: &mut LiveCounts) {
        for block in self.blocks.values_mut() {
            block.settled(Bits::FULL, live);
        }
        let everything = (0..=u64::MAX / BLOCK_POSITIONS, Sweep::Gone);
        *self = Self { removed: true, sweeps: vec![everything], ..Self::default() };
    }

    /// Marks a range of positions as delivered.
    pub(super) fn delivered(&mut self, first: u64, last: u64) {
        let ((first_block, from), (last_block, to)) = (split(first), split(last));
        for block in first_block..=last_block {
            let from = if block == first_block { from } else { 0 };
            let to = if block == last_block { to } else { end_of_block() };
            if from <= to {
                self.block_mut(block).delivered(Bits::range(from, to));
            }
        }
    }

    /// Lays the changes over what a block held.
    pub(super) fn apply(&self, block: u64, entries: &mut Vec<Entry>) {
        if let Some(delta) = self.blocks.get(&block) {
            delta.apply(entries);
        } else if let Some(sweep) = sweep_of(&self.sweeps, block) {
            sweep.apply(entries);
        }
    }

    /// The first block from `block` on with changes of its own.
    pub(super) fn next_block(&self, block: u64) -> Option<u64> {
        self.blocks.range(block..).next().map(|(number, _)| *number)
    }

    /// The blocks with changes of their own.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u64> {
        self.blocks.keys().copied()
    }

    /// Those that make an entry wait for its moment.
    pub(super) fn scheduling_blocks(&self) -> impl Iterator<Item = u64> {
        self.blocks.iter().filter(|(_, block)| block.schedules()).map(|(number, _)| *number)
    }

    /// The blocks that something happened to as a whole.
    pub(super) fn sweeps(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.sweeps.iter().map(|(blocks, _)| blocks.clone())
    }
}

fn end_of_block() -> u16 {
    split(u64::MAX).1
}

fn sweep_block(block: &mut BlockDelta, numbers: Bits, sweep: Sweep, live: &mut LiveCounts) {
    match sweep {
        Sweep::Gone => block.settled(numbers, live),
        Sweep::Cleared => block.cleared(numbers, live),
    }
}

/// What happened to a block as a whole. What is gone is not there to be cleared, before or after.
fn sweep_of(sweeps: &[(RangeInclusive<u64>, Sweep)], block: u64) -> Option<Sweep> {
    let found = sweeps.iter().filter(|(blocks, _)| blocks.contains(&block));
    found.map(|(_, sweep)| *sweep).max_by_key(|sweep| *sweep == Sweep::Gone)
}
