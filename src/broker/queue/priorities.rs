//! Ready messages by priority: the highest first, within one in order.

use super::super::effect::Position;
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::lane::Lane;

/// A lane for each priority, and which of them hold anything. Every operation finds its lane in O(1),
/// whatever the number of priorities.
#[derive(Debug)]
pub(super) struct PriorityLanes {
    /// Made as they are needed, up to the highest one in use.
    lanes: Vec<Lane>,
    max: u8,
    /// A bit for each lane that is not empty.
    occupied: [u64; 4],
}

impl PriorityLanes {
    /// Priorities from 0 to `max`.
    pub(super) fn new(max: u8) -> Self {
        Self { lanes: Vec::new(), max, occupied: [0; 4] }
    }

    /// Appends a new message behind those of its priority, which it was assigned to.
    pub(super) fn push(&mut self, entry: Entry, index: &mut ExpiryIndex) {
        self.put(entry, |lane, entry| lane.push(entry, false, index));
    }

    /// Gives a message its lane; a priority above the highest counts as that one.
    pub(super) fn assign(&self, entry: &mut Entry) {
        entry.lane = u32::from(entry.message.priority().min(self.max));
    }

    /// Puts a message back where it stood.
    pub(super) fn put_back(&mut self, entry: Entry, index: &mut ExpiryIndex) {
        self.put(entry, |lane, entry| lane.put_back(entry, index));
    }

    fn put(&mut self, entry: Entry, put: impl FnOnce(&mut Lane, Entry)) {
        let lane = u8::try_from(entry.lane).unwrap_or(self.max);
        put(self.lane(lane), entry);
    }

    /// Takes the first message of the highest priority.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let highest = self.highest()?;
        self.with(highest, Lane::pop)
    }

    /// Takes a message from wherever it stands.
    pub(super) fn take(&mut self, position: Position, lane: u32) -> Option<Entry> {
        let lane = usize::try_from(lane).ok()?;
        self.with(lane, |lane| lane.remove(position))
    }

    /// A message, wherever it stands.
    pub(super) fn get_mut(&mut self, position: Position, lane: u32) -> Option<&mut Entry> {
        self.lanes.get_mut(usize::try_from(lane).ok()?)?.get_mut(position)
    }

    /// All messages, the next one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().rev().flat_map(Lane::iter)
    }

    /// The messages from a position on, the next one first.
    pub(super) fn at_hand(&self, from: Position) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().rev().flat_map(move |lane| lane.at_hand(from))
    }

    /// The message that is next.
    pub(super) fn next(&self) -> Option<&Entry> {
        self.lanes[self.highest()?].iter().next()
    }

    /// Takes everything, the highest priority first.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.occupied = [0; 4];
        self.lanes.iter_mut().rev().flat_map(Lane::drain).collect()
    }

    /// The lane of a priority, which is about to hold something.
    fn lane(&mut self, priority: u8) -> &mut Lane {
        let index = usize::from(priority);
        if index >= self.lanes.len() {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        self.occupied[index / 64] |= 1 << (index % 64);
        &mut self.lanes[index]
    }

    fn with(
        &mut self,
        index: usize,
        take: impl FnOnce(&mut Lane) -> Option<Entry>,
    ) -> Option<Entry> {
        let lane = self.lanes.get_mut(index)?;
        let entry = take(lane);
        if lane.is_empty() {
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        entry
    }

    fn highest(&self) -> Option<usize> {
        let word = self.occupied.iter().rposition(|&word| word != 0)?;
        Some(word * 64 + 63 - self.occupied[word].leading_zeros() as usize)
    }
}
