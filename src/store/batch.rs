//! What one commit writes: the records that gathered, less those that need not be written.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::inbox::{InboxRecord, Survivor};
use super::index::{Changes, Index};
use super::log::Appended;
use super::place::{Location, Place};
use super::record::{FrameBuilder, NewPlace, RecordSpan};
use crate::broker::effect::Position;
use crate::broker::message::Message;
use crate::broker::persist::QueueRecord;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// Records of one commit.
///
/// There is one part, as a rule. What follows in a queue that was cleared is another: what is cleared
/// depends on what waits for its time at that moment.
#[derive(Debug, Default)]
pub(super) struct Batch {
    survivors: Vec<Survivor>,
    parts: Vec<Part>,
}

/// Records in the order in which they apply: messages, what came back, what was delivered, what was
/// settled and cleared, queues that are gone, and keys.
///
/// A message that entered several queues is here once. One that entered and left is not here at all.
#[derive(Debug, Default)]
struct Part {
    messages: Vec<BatchMessage>,
    queues: HashMap<QueueId, QueueChanges, FxBuildHasher>,
    /// Those that were cleared.
    cleared: Vec<QueueId>,
    removed: Vec<QueueId>,
    keys: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Which of a part's messages is in several queues, by its address and whether it is transient.
type Shared = HashMap<(usize, bool), usize, FxBuildHasher>;

#[derive(Debug)]
struct BatchMessage {
    message: Message,
    transient: bool,
    places: SmallVec<[NewPlace; 1]>,
}

/// What became of messages in one queue. Each has the number of its record, which tells what came
/// last.
#[derive(Debug, Default)]
struct QueueChanges {
    entered: Vec<Entered>,
    delivered: Vec<(u64, usize)>,
    returned: Vec<(u64, usize, u32, Option<Timestamp>)>,
    settled: Vec<u64>,
    cleared: Vec<(Position, Position)>,
}

/// A message that entered in this batch.
#[derive(Debug, Clone, Copy)]
struct Entered {
    position: u64,
    /// Which one of the batch it is.
    message: usize,
    /// Which of that one's places this is.
    place: usize,
}

/// The queue of places that need not be written.
const NOWHERE: QueueId = QueueId(u64::MAX);

impl QueueChanges {
    fn is_empty(&self) -> bool {
        self.delivered.is_empty()
            && self.returned.is_empty()
            && self.settled.is_empty()
            && self.cleared.is_empty()
    }

    /// Leaves out what came and went, and of what changed several times all but the last.
    fn settle(&mut self, messages: &mut [BatchMessage]) {
        let Self { entered, delivered, returned, settled, cleared } = self;
        settled.sort_unstable();
        last_of_each(delivered, |&(position, number)| (position, number));
        last_of_each(returned, |&(position, number, ..)| (position, number));
        delivered.retain(|&(position, number)| {
            let came_back = returned.binary_search_by_key(&position, |it| it.0);
            let is_last = came_back.is_ok_and(|at| returned[at].1 > number);
            !is_last && settled.binary_search(&position).is_err()
        });
        returned.retain(|(position, ..)| settled.binary_search(position).is_err());
        if settled.is_empty() && cleared.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        for &Entered { position, message, place } in entered.iter() {
            let place = &mut messages[message].places[place];
            let in_range = |(from, to): &(Position, Position)| (from.0..to.0).contains(&position);
            // One that came back may wait since, or wait no more.
            let came_back = || returned.binary_search_by_key(&position, |it| it.0).is_ok();
            let is_cleared = place.due.is_none() && cleared.iter().any(in_range) && !came_back();
            if is_cleared || settled.binary_search(&position).is_ok() {
                place.queue = NOWHERE;
                gone.push(position);
            }
        }
        gone.sort_unstable();
        settled.retain(|position| gone.binary_search(position).is_err());
    }
}

impl Batch {
    /// Sorts out what has gathered.
    pub(super) fn new(records: Vec<InboxRecord>, survivors: Vec<Survivor>) -> Self {
        let mut parts = Vec::new();
        let mut part = Part::default();
        let mut shared = Shared::default();
        for (number, record) in records.into_iter().enumerate() {
            if part.is_complete_before(&record) {
                parts.push(std::mem::take(&mut part).settled());
                shared.clear();
            }
            match record {
                InboxRecord::Queue(queue, record) => {
                    part.add(queue, record, number, &mut shared);
                }
                InboxRecord::RemoveQueue(queue) => {
                    part.queues.insert(queue, QueueChanges::default());
                    part.removed.push(queue);
                }
                InboxRecord::Put(key, value) => part.keys.push((key, Some(value))),
                InboxRecord::Remove(key) => part.keys.push((key, None)),
            }
        }
        parts.push(part.settled());
        parts.retain(|part| !part.is_empty());
        Self { survivors, parts }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.survivors.is_empty() && self.parts.is_empty()
    }

    /// Writes it as one frame; where the messages lie in it, for [`Batch::apply`].
    pub(super) fn encode(&mut self, frame: &mut FrameBuilder) -> Vec<RecordSpan> {
        let messages: usize = self.parts.iter().map(|part| part.messages.len()).sum();
        let mut spans = Vec::with_capacity(messages + self.survivors.len());
        self.survivors.retain(|Survivor { record, places }| match frame.moved(record, places) {
            Ok(span) => {
                spans.push(span);
                true
            }
            Err(error) => {
                tracing::error!("a message stays where it lies, for it is damaged: {error}");
                false
            }
        });
        for part in &self.parts {
            part.encode(frame, &mut spans);
        }
        spans
    }

    /// Tells the index what was written, and where.
    pub(super) fn apply(self, spans: &[RecordSpan], at: Appended, index: &Index) {
        let mut locations = spans.iter().map(|span| span.location(at.segment, at.offset));
        let mut changes = index.changes();
        for (survivor, location) in self.survivors.iter().zip(locations.by_ref()) {
            for place in &survivor.places {
                changes.moved(place.queue, place.position, location);
            }
        }
        for part in self.parts {
            part.apply(&mut locations, &mut changes);
        }
    }
}

impl Part {
    /// Whether this has to be told after all that is here.
    fn is_complete_before(&self, record: &InboxRecord) -> bool {
        !self.cleared.is_empty()
            && match record {
                InboxRecord::Queue(_, QueueRecord::Cleared(..)) => false,
                InboxRecord::Queue(queue, _) => self.cleared.contains(queue),
                _ => false,
            }
    }

    fn add(&mut self, queue: QueueId, record: QueueRecord, number: usize, shared: &mut Shared) {
        match record {
            QueueRecord::Entered { position, message, expires, due } => {
                let place = NewPlace { queue, position, expires, due };
                self.enter(message, false, place, shared);
            }
            QueueRecord::PagedOut { position, message, expires, due } => {
                let place = NewPlace { queue, position, expires, due };
                self.enter(message, true, place, shared);
            }
            QueueRecord::Delivered(position) => {
                self.changes(queue).delivered.push((position.0, number));
            }
            QueueRecord::Returned { position, returns, due } => {
                self.changes(queue).returned.push((position.0, number, returns, due));
            }
            QueueRecord::Settled(position) => self.changes(queue).settled.push(position.0),
            QueueRecord::Cleared(from, to) => {
                self.changes(queue).cleared.push((from, to));
                self.cleared.push(queue);
            }
        }
    }

    fn changes(&mut self, queue: QueueId) -> &mut QueueChanges {
        self.queues.entry(queue).or_default()
    }

    fn enter(&mut self, message: Message, transient: bool, place: NewPlace, shared: &mut Shared) {
        let next = self.messages.len();
        let index = if message.is_shared() {
            *shared.entry((message.address(), transient)).or_insert(next)
        } else {
            next
        };
        if index == next {
            self.messages.push(BatchMessage { message, transient, places: SmallVec::new() });
        }
        let places = &mut self.messages[index].places;
        let (position, at) = (place.position.0, places.len());
        let queue = place.queue;
        places.push(place);
        self.changes(queue).entered.push(Entered { position, message: index, place: at });
    }

    /// Leaves out what came and went, and of what changed several times all but the last.
    fn settled(mut self) -> Self {
        let Self { messages, queues, removed, .. } = &mut self;
        for changes in queues.values_mut() {
            changes.settle(messages);
        }
        if !removed.is_empty() {
            let is_removed = |place: &NewPlace| removed.contains(&place.queue);
            let places = messages.iter_mut().flat_map(|message| message.places.iter_mut());
            places.filter(|place| is_removed(place)).for_each(|place| place.queue = NOWHERE);
        }
        for message in messages.iter_mut() {
            message.places.retain(|place| place.queue != NOWHERE);
        }
        messages.retain(|message| !message.places.is_empty());
        queues.retain(|_, changes| !changes.is_empty());
        self
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.queues.is_empty()
            && self.removed.is_empty()
            && self.keys.is_empty()
    }

    fn encode(&self, frame: &mut FrameBuilder, spans: &mut Vec<RecordSpan>) {
        for BatchMessage { message, transient, places } in &self.messages {
            spans.push(frame.message(message, places, *transient));
        }
        for (&queue, changes) in &self.queues {
            changes.encode(queue, frame);
        }
        self.removed.iter().for_each(|&queue| frame.removed_queue(queue));
        for (key, value) in &self.keys {
            match value {
                Some(value) => frame.put(key, value),
                None => frame.removed(key),
            }
        }
    }

    fn apply(self, locations: &mut impl Iterator<Item = Location>, changes: &mut Changes<'_>) {
        for (BatchMessage { message, transient, places }, location) in
            self.messages.iter().zip(locations)
        {
            for place in places {
                let known = new_place(place, location, message.body_len(), *transient);
                changes.entered(place.queue, place.position, &known);
            }
        }
        for (queue, of_queue) in self.queues {
            of_queue.apply(queue, changes);
        }
        for queue in self.removed {
            changes.removed_queue(queue);
        }
        for (key, value) in self.keys {
            match value {
                Some(value) => changes.put(key, value),
                None => changes.removed(key),
            }
        }
    }
}

impl QueueChanges {
    fn encode(&self, queue: QueueId, frame: &mut FrameBuilder) {
        for &(position, _, returns, due) in &self.returned {
            frame.returned(queue, Position(position), returns, due);
        }
        let delivered = ranges(self.delivered.iter().map(|it| it.0));
        if !delivered.is_empty() {
            frame.delivered(queue, &delivered);
        }
        let settled = ranges(self.settled.iter().copied());
        if !settled.is_empty() {
            frame.settled(queue, &settled);
        }
        for &(from, to) in &self.cleared {
            frame.cleared(queue, from, to);
        }
    }

    fn apply(self, queue: QueueId, changes: &mut Changes<'_>) {
        for (position, _, returns, due) in self.returned {
            changes.returned(queue, Position(position), returns, due);
        }
        for range in ranges(self.delivered.iter().map(|it| it.0)) {
            changes.delivered(queue, Position(*range.start()), Position(*range.end()));
        }
        for range in ranges(self.settled.iter().copied()) {
            changes.settled(queue, Position(*range.start()), Position(*range.end()));
        }
        for (from, to) in self.cleared {
            changes.cleared(queue, from, to);
        }
    }
}

/// What the index is to know of a message that has just entered a queue.
pub(super) fn new_place(
    new: &NewPlace,
    location: Location,
    body_len: u64,
    transient: bool,
) -> Place {
    let &NewPlace { expires, due, .. } = new;
    Place { location, body_len, expires, due, returns: 0, delivered: false, transient }
}

/// Sorts by position, and leaves of each the one with the highest number.
fn last_of_each<T>(records: &mut Vec<T>, key: impl Fn(&T) -> (u64, usize)) {
    records.sort_unstable_by_key(|record| {
        let (position, number) = key(record);
        (position, std::cmp::Reverse(number))
    });
    records.dedup_by_key(|record| key(record).0);
}

/// Positions in their order, as few ranges.
fn ranges(positions: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for position in positions {
        match ranges.last_mut() {
            Some(last) if position <= last.end() + 1 => *last = *last.start()..=position,
            _ => ranges.push(position..=position),
        }
    }
    ranges
}

#[cfg(test)]
mod tests;
