//! Questions to the index.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::ops::Bound;

use super::super::block::{BLOCK_POSITIONS, Entry};
use super::super::error::StoreError;
use super::super::key_value::{Pair, Pairs, after_prefix};
use super::super::place::Place;
use super::bits::split;
use super::delta::{Delta, QueueDelta};
use super::keys::{self, Kind};
use super::live::Summary;
use super::{Index, State, damaged};
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;

/// A part of what a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBlock {
    /// Messages that do not wait for their moment, in their order.
    pub entries: Vec<(Position, Place)>,
    /// Where to go on: the end of what was asked for, if there is no more.
    pub next: Position,
}

impl State {
    /// What is to be laid over the map, in this order.
    fn deltas(&self) -> impl Iterator<Item = &Delta> {
        self.frozen.iter().map(|frozen| &frozen.delta).chain([&self.dirty])
    }

    fn queue_deltas(&self, queue: QueueId) -> impl Iterator<Item = &QueueDelta> {
        self.deltas().filter_map(move |delta| delta.queues.get(&queue))
    }
}

impl Index {
    /// Up to `max` messages of a queue that do not wait for their moment, from `from` to before `to`.
    pub fn read(
        &self,
        queue: QueueId,
        from: Position,
        to: Position,
        max: usize,
    ) -> Result<ReadBlock, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut found = ReadBlock { entries: Vec::new(), next: to };
        let mut walk = Walk::new(self, queue, from, to);
        let mut at = from;
        while at < to && found.entries.len() < max {
            let Some((number, entries)) = walk.next_block(split(at.0).0)? else { return Ok(found) };
            let start = number.saturating_mul(BLOCK_POSITIONS);
            let entries = entries.into_iter().filter(|(_, place)| place.due.is_none());
            let entries = entries.map(|(number, place)| (start + u64::from(number), place));
            for (position, place) in entries.filter(|(position, _)| (at.0..to.0).contains(position))
            {
                if found.entries.len() == max {
                    found.next = Position(position);
                    return Ok(found);
                }
                found.entries.push((Position(position), place));
            }
            let Some(next) = start.checked_add(BLOCK_POSITIONS) else { return Ok(found) };
            at = Position(next);
        }
        found.next = at.min(to);
        Ok(found)
    }

    /// All messages of a queue that wait for their moment, in the order of their positions.
    pub fn scheduled(&self, queue: QueueId) -> Result<Vec<(Position, Place)>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut numbers: BTreeSet<u64> = {
            let state = self.state.lock();
            state.queue_deltas(queue).flat_map(QueueDelta::scheduling_blocks).collect()
        };
        let prefix = keys::blocks(Kind::Scheduled, queue);
        for pair in self.kv.range(&prefix, &after_prefix(&prefix)) {
            numbers.extend(keys::parse_block(&pair?.0).map(|(_, number)| number));
        }
        let mut found = Vec::new();
        for number in numbers {
            let mut entries = self.load(queue, number)?;
            self.overlay(queue, number, &mut entries);
            let entries = entries.into_iter().filter(|(_, place)| place.due.is_some());
            found.extend(entries.map(|(at, place)| (position(number, at), place)));
        }
        Ok(found)
    }

    /// What is known of some messages, in the order of their positions; nothing of those that are not
    /// there. Each block is looked at once.
    pub fn places(
        &self,
        queue: QueueId,
        mut positions: Vec<Position>,
    ) -> Result<Vec<(Position, Place)>, StoreError> {
        positions.sort_unstable();
        let _no_checkpoint = self.fold.read();
        let mut found = Vec::with_capacity(positions.len());
        let block_of = |position: &Position| split(position.0).0;
        for neighbours in positions.chunk_by(|one, next| block_of(one) == block_of(next)) {
            let number = neighbours.first().map(block_of).unwrap_or_default();
            let mut entries = self.load(queue, number)?;
            self.overlay(queue, number, &mut entries);
            found.extend(neighbours.iter().filter_map(|position| {
                let at = split(position.0).1;
                let index = entries.binary_search_by_key(&at, |(number, _)| *number).ok()?;
                Some((*position, entries[index].1))
            }));
        }
        Ok(found)
    }

    /// What is known of one message; nothing if it is not there.
    pub fn place(&self, queue: QueueId, position: Position) -> Result<Option<Place>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let (number, at) = split(position.0);
        let mut entries = self.load(queue, number)?;
        self.overlay(queue, number, &mut entries);
        let found = entries.binary_search_by_key(&at, |(number, _)| *number);
        Ok(found.ok().map(|found| entries[found].1))
    }

    /// What a queue holds, counted. It costs a look at each block that changed since the last checkpoint.
    ///
    /// It is exact unless somebody changes the queue meanwhile.
    pub fn summary(&self, queue: QueueId) -> Result<Summary, StoreError> {
        let mut summary = self.counts(queue)?;
        let end = Position(summary.next_position);
        let first = self.read(queue, Position(0), end, 1)?;
        summary.first = first.entries.first().map_or(end, |(position, _)| *position).0;
        Ok(summary)
    }

    fn counts(&self, queue: QueueId) -> Result<Summary, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut summary = self.stored_summary(queue)?;
        for number in self.all_touched_blocks(queue)? {
            let mut entries = self.load(queue, number)?;
            entries.iter().for_each(|(_, place)| summary.subtract(place));
            self.overlay(queue, number, &mut entries);
            entries.iter().for_each(|(_, place)| summary.add(place));
        }
        for delta in self.state.lock().queue_deltas(queue) {
            let before = if delta.removed { 0 } else { summary.next_position };
            summary.next_position = before.max(delta.next_position);
        }
        Ok(summary)
    }

    fn all_touched_blocks(&self, queue: QueueId) -> Result<BTreeSet<u64>, StoreError> {
        let (mut touched, sweeps) = {
            let state = self.state.lock();
            let touched: BTreeSet<u64> =
                state.queue_deltas(queue).flat_map(QueueDelta::blocks).collect();
            let sweeps: Vec<_> = state.queue_deltas(queue).flat_map(QueueDelta::sweeps).collect();
            (touched, sweeps)
        };
        self.stored_blocks(queue, sweeps, &mut touched)?;
        Ok(touched)
    }

    /// The queues that the index knows of, with messages or without.
    pub fn queues(&self) -> Result<Vec<QueueId>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut queues = BTreeSet::new();
        for pair in self.kv.range(&keys::SUMMARIES, &after_prefix(&keys::SUMMARIES)) {
            let queue = keys::parse_summary(&pair?.0);
            queues.insert(queue.ok_or_else(|| damaged(&*self.kv, "key of a summary"))?);
        }
        for delta in self.state.lock().deltas() {
            for (id, queue) in &delta.queues {
                if queue.removed {
                    queues.remove(id);
                }
                if queue.next_position > 0 {
                    queues.insert(*id);
                }
            }
        }
        Ok(queues.into_iter().collect())
    }

    /// The value of one of the broker's keys.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _no_checkpoint = self.fold.read();
        {
            let state = self.state.lock();
            let changed = state.deltas().filter_map(|delta| delta.keys.get(key)).last();
            if let Some(value) = changed {
                return Ok(value.clone());
            }
        }
        self.kv.get(&keys::broker(key))
    }

    /// The broker's keys that start with `prefix`, in their order.
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut found = BTreeMap::new();
        let stored = keys::broker(prefix);
        for pair in self.kv.range(&stored, &after_prefix(&stored)) {
            let (mut key, value) = pair?;
            key.remove(0);
            found.insert(key, value);
        }
        for delta in self.state.lock().deltas() {
            let from = Bound::Included(prefix);
            let changed = delta.keys.range::<[u8], _>((from, Bound::Unbounded));
            for (key, value) in changed.take_while(|(key, _)| key.starts_with(prefix)) {
                match value {
                    Some(value) => found.insert(key.clone(), value.clone()),
                    None => found.remove(key),
                };
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The broker's keys that start with `prefix`, as of the last checkpoint.
    pub fn stored_keys(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let stored = keys::broker(prefix);
        let pairs = self.kv.range(&stored, &after_prefix(&stored));
        let unprefixed = |pair: Result<Pair, StoreError>| {
            let (mut key, value) = pair?;
            key.remove(0);
            Ok((key, value))
        };
        pairs.map(unprefixed).collect()
    }

    /// All that a queue held at the last checkpoint in the first block with something at `from` or later,
    /// whether it waits or not, in the order of the positions.
    pub fn stored_block(
        &self,
        queue: QueueId,
        from: Position,
    ) -> Result<Option<ReadBlock>, StoreError> {
        let _no_checkpoint = self.fold.read();
        let mut first: Option<u64> = None;
        for kind in [Kind::Present, Kind::Scheduled] {
            let from = keys::block(kind, queue, split(from.0).0);
            let to = after_prefix(&keys::blocks(kind, queue));
            if let Some(pair) = self.kv.range(&from, &to).next() {
                let found = keys::parse_block(&pair?.0).map(|(_, found)| found);
                first = first.into_iter().chain(found).min();
            }
        }
        let Some(number) = first else { return Ok(None) };
        let entries = self.load(queue, number)?.into_iter();
        let entries = entries.map(|(at, place)| (position(number, at), place)).collect();
        let next = position(number.saturating_add(1), 0);
        Ok(Some(ReadBlock { entries, next }))
    }

    /// Lays what changed over what the map holds of a block.
    fn overlay(&self, queue: QueueId, number: u64, entries: &mut Vec<Entry>) {
        for delta in self.state.lock().queue_deltas(queue) {
            delta.apply(number, entries);
        }
    }
}

/// Where a block's entry stands in its queue.
pub(super) fn position(block: u64, number: u16) -> Position {
    Position(block.saturating_mul(BLOCK_POSITIONS).saturating_add(number.into()))
}

/// The blocks of a queue, in their order: those in the map, and those that changed.
struct Walk<'a> {
    index: &'a Index,
    queue: QueueId,
    last: u64,
    stored: Peekable<Pairs<'a>>,
}

impl<'a> Walk<'a> {
    /// From the block of `from` to that of the position before `to`.
    fn new(index: &'a Index, queue: QueueId, from: Position, to: Position) -> Self {
        let last = split(to.0.saturating_sub(1)).0;
        let start = keys::block(Kind::Present, queue, split(from.0).0);
        let end = after_prefix(&keys::block(Kind::Present, queue, last));
        Self { index, queue, last, stored: index.kv.range(&start, &end).peekable() }
    }

    /// The first block from `from` on that may hold something, as it is now.
    fn next_block(&mut self, from: u64) -> Result<Option<(u64, Vec<Entry>)>, StoreError> {
        let stored = match self.stored.peek() {
            Some(Ok((key, _))) => keys::parse_block(key).map(|(_, number)| number),
            Some(Err(_)) => return self.stored.next().transpose().map(|_| None),
            None => None,
        };
        let changed = {
            let state = self.index.state.lock();
            state.queue_deltas(self.queue).filter_map(|delta| delta.next_block(from)).min()
        };
        let changed = changed.filter(|number| *number <= self.last);
        let Some(number) = stored.into_iter().chain(changed).min() else { return Ok(None) };
        let mut entries = if changed == Some(number) {
            // Some that wait for their moment may do so no more.
            self.index.load(self.queue, number)?
        } else {
            Vec::new()
        };
        if stored == Some(number)
            && let Some(pair) = self.stored.next()
            && changed != Some(number)
        {
            entries = self.index.decode(self.queue, number, &pair?.1)?;
        }
        self.index.overlay(self.queue, number, &mut entries);
        Ok(Some((number, entries)))
    }
}
