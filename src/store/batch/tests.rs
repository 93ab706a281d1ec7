//! What of a batch is written, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::crash_tests::message;
use super::super::frame::FRAME_HEADER_LEN;
use super::super::key_value::MemoryKeyValue;
use super::super::place::SegmentId;
use super::super::record::{Record, Records};
use super::*;
use crate::broker::queue_cell::QueueId;

const NEVER: Timestamp = Timestamp::NEVER;
const LATER: Option<Timestamp> = Some(Timestamp(5000));

fn entered(position: u64, due: Option<Timestamp>) -> QueueRecord {
    entered_of(message(position, 1), position, due)
}

fn entered_of(message: Message, position: u64, due: Option<Timestamp>) -> QueueRecord {
    QueueRecord::Entered { position: Position(position), message, expires: NEVER, due }
}

fn paged_out(position: u64) -> QueueRecord {
    QueueRecord::PagedOut {
        position: Position(position),
        message: message(9, 1),
        expires: NEVER,
        due: None,
    }
}

fn delivered(position: u64) -> QueueRecord {
    QueueRecord::Delivered(Position(position))
}

fn returned(position: u64, returns: u32, due: Option<Timestamp>) -> QueueRecord {
    QueueRecord::Returned { position: Position(position), returns, due }
}

fn settled(position: u64) -> QueueRecord {
    QueueRecord::Settled(Position(position))
}

fn cleared(from: u64, to: u64) -> QueueRecord {
    QueueRecord::Cleared(Position(from), Position(to))
}

/// Records of queue 1.
fn queue_1(records: Vec<QueueRecord>) -> Vec<InboxRecord> {
    records.into_iter().map(|record| InboxRecord::Queue(QueueId(1), record)).collect()
}

/// An index, and the same as a recovery would make it.
struct World {
    index: Index,
    replayed: Index,
    offset: u32,
}

impl World {
    fn new() -> Self {
        let (index, _) = Index::open(Arc::new(MemoryKeyValue::default())).unwrap();
        let (replayed, _) = Index::open(Arc::new(MemoryKeyValue::default())).unwrap();
        Self { index, replayed, offset: 0 }
    }

    fn with(records: Vec<QueueRecord>) -> Self {
        let mut world = Self::new();
        world.commit(records);
        world
    }

    /// Commits records of queue 1; the records that were written.
    fn commit(&mut self, records: Vec<QueueRecord>) -> Vec<String> {
        self.commit_all(queue_1(records), Vec::new())
    }

    fn commit_all(&mut self, records: Vec<InboxRecord>, survivors: Vec<Survivor>) -> Vec<String> {
        let mut frame = FrameBuilder::new();
        let mut batch = Batch::new(records, survivors);
        let is_empty = batch.is_empty();
        let spans = batch.encode(&mut frame);
        let at = Appended { segment: SegmentId(1), offset: self.offset };
        self.offset += 10_000;
        batch.apply(&spans, at, &self.index);
        assert_eq!(is_empty, frame.is_empty());
        let payload = frame.frame_mut()[FRAME_HEADER_LEN..].to_vec();
        let records: Vec<Record<'_>> = Records::new(&payload).map(Result::unwrap).collect();
        for record in &records {
            super::super::recovery::apply_record(
                record,
                |span| span.location(at.segment, at.offset),
                &mut self.replayed.changes(),
            );
        }
        records.iter().map(shown).collect()
    }

    /// What queue 1 holds: position, returns, whether it is delivered, what it waits for.
    fn holds(&self) -> Vec<(u64, u32, bool, Option<Timestamp>)> {
        let places = places(&self.index, QueueId(1));
        assert_eq!(places, places_of(&self.replayed, QueueId(1)), "a recovery says otherwise");
        let shown = |(position, place): (&u64, &Place)| {
            (*position, place.returns, place.delivered, place.due)
        };
        places.iter().map(shown).collect()
    }
}

fn places(index: &Index, queue: QueueId) -> BTreeMap<u64, Place> {
    places_of(index, queue)
}

fn places_of(index: &Index, queue: QueueId) -> BTreeMap<u64, Place> {
    let present = index.read(queue, Position(0), Position(u64::MAX), usize::MAX).unwrap();
    let scheduled = index.scheduled(queue).unwrap();
    let all = present.entries.into_iter().chain(scheduled);
    all.map(|(position, place)| (position.0, place)).collect()
}

fn shown(record: &Record<'_>) -> String {
    let ranges = |positions: super::super::record::Ranges<'_>| {
        let ranges = positions.map(|range| format!("{}-{}", range.start(), range.end()));
        ranges.collect::<Vec<_>>().join(",")
    };
    match record {
        Record::Message(message) | Record::Moved(message) => {
            let places =
                message.places.map(|place| format!("{}:{}", place.queue.0, place.position.0));
            let kind = if matches!(record, Record::Moved(_)) { "moved" } else { "message" };
            let kind = if message.transient { "transient" } else { kind };
            format!("{kind} {}", places.collect::<Vec<_>>().join(" "))
        }
        Record::Settled { positions, .. } => format!("settled {}", ranges(*positions)),
        Record::Delivered { positions, .. } => format!("delivered {}", ranges(*positions)),
        Record::Returned { position, returns, .. } => format!("returned {} {returns}", position.0),
        Record::Cleared { from, to, .. } => format!("cleared {}..{}", from.0, to.0),
        Record::RemovedQueue { queue } => format!("removed queue {}", queue.0),
        Record::Put { key, value } => format!("put {key:?} {value:?}"),
        Record::Removed { key } => format!("removed {key:?}"),
    }
}

#[test]
fn what_came_and_went_is_not_written() {
    let mut world = World::new();
    let came_and_went = vec![entered(0, None), delivered(0), returned(0, 1, None), settled(0)];
    assert_eq!(world.commit(came_and_went), [""; 0]);
    let mixed =
        vec![entered(1, None), entered(2, LATER), delivered(1), settled(1), entered(3, None)];
    assert_eq!(world.commit(mixed), ["message 1:2", "message 1:3"]);
    assert_eq!(world.holds(), [(2, 0, false, LATER), (3, 0, false, None)]);
}

#[test]
fn a_fan_out_writes_one_body() {
    let mut world = World::new();
    let shared = message(1, 3);
    let to = |queue, position| {
        InboxRecord::Queue(QueueId(queue), entered_of(shared.clone(), position, None))
    };
    let gone = InboxRecord::Queue(QueueId(2), settled(5));
    let written = world.commit_all(vec![to(1, 0), to(2, 5), to(3, 7), gone], Vec::new());
    assert_eq!(written, ["message 1:0 3:7"], "one queue has it no more");
    let [one, three] = [1, 3].map(|queue| places(&world.index, QueueId(queue)));
    assert_eq!(one[&0].location, three[&7].location);
}

#[test]
fn a_message_that_is_transient_in_one_queue_is_written_for_each_kind() {
    let shared = message(1, 2);
    let paged_out = QueueRecord::PagedOut {
        position: Position(3),
        message: shared.clone(),
        expires: NEVER,
        due: None,
    };
    let records = vec![
        InboxRecord::Queue(QueueId(1), entered_of(shared, 0, None)),
        InboxRecord::Queue(QueueId(2), paged_out),
    ];
    assert_eq!(World::new().commit_all(records, Vec::new()), ["message 1:0", "transient 2:3"]);
}

#[test]
fn of_deliveries_and_returns_the_last_counts() {
    let enter = || vec![entered(0, None), entered(1, None), entered(2, None)];
    let mut world = World::with(enter());
    let records = vec![
        delivered(0),
        delivered(1),
        delivered(2),
        returned(0, 1, LATER),
        returned(1, 1, None),
        returned(0, 1, None),
        delivered(0),
    ];
    let written = world.commit(records);
    assert_eq!(written, ["returned 0 1", "returned 1 1", "delivered 0-0,2-2"]);
    let expected = [(0, 1, true, None), (1, 1, false, None), (2, 0, true, None)];
    assert_eq!(world.holds(), expected);
}

#[test]
fn what_is_cleared_is_gone_but_for_what_waits() {
    let mut world = World::with(vec![entered(0, None), entered(1, LATER), entered(2, None)]);
    let written = world.commit(vec![entered(3, None), entered(4, LATER), cleared(0, 5)]);
    assert_eq!(written, ["message 1:4", "cleared 0..5"]);
    assert_eq!(world.holds(), [(1, 0, false, LATER), (4, 0, false, LATER)]);
}

#[test]
fn what_stops_waiting_after_a_clear_stays() {
    let mut world = World::with(vec![entered(0, None), entered(1, LATER), entered(2, LATER)]);
    world.commit(vec![cleared(0, 3), returned(1, 1, None), delivered(1)]);
    assert_eq!(world.holds(), [(1, 1, true, None), (2, 0, false, LATER)]);
    world.commit(vec![returned(2, 1, None), cleared(2, 3)]);
    assert_eq!(world.holds(), [(1, 1, true, None)]);
}

#[test]
fn what_waits_since_it_came_back_is_not_cleared() {
    let mut world = World::new();
    world.commit(vec![entered(0, None), delivered(0), returned(0, 1, LATER), cleared(0, 1)]);
    assert_eq!(world.holds(), [(0, 1, false, LATER)]);
    world.commit(vec![returned(0, 1, None), cleared(0, 1)]);
    assert_eq!(world.holds(), []);
}

#[test]
fn what_leaves_memory_after_a_clear_stays() {
    let mut world = World::with(vec![entered(0, None), entered(2, None)]);
    let written = world.commit(vec![cleared(0, 3), paged_out(1), cleared(3, 9), entered(3, None)]);
    assert_eq!(written, ["cleared 0..3", "transient 1:1", "cleared 3..9", "message 1:3"]);
    assert_eq!(world.holds(), [(1, 0, false, None), (3, 0, false, None)]);
}

#[test]
fn nothing_of_a_removed_queue_is_written() {
    let mut world = World::with(vec![entered(0, None)]);
    let mut records =
        queue_1(vec![entered(1, None), delivered(0), cleared(1, 2), entered(2, None)]);
    records.push(InboxRecord::Queue(QueueId(2), entered(0, None)));
    records.push(InboxRecord::RemoveQueue(QueueId(1)));
    let written = world.commit_all(records, Vec::new());
    assert_eq!(written.last().map(String::as_str), Some("removed queue 1"));
    assert!(written.contains(&"message 2:0".to_owned()), "{written:?}");
    assert!(!written.iter().any(|record| record.starts_with("message 1:2")), "{written:?}");
    assert_eq!(world.holds(), []);
}

#[test]
fn keys_are_written_in_their_order() {
    let mut world = World::new();
    let put = |value| InboxRecord::Put(vec![1], vec![value]);
    let records = vec![put(1), InboxRecord::Remove(vec![1]), put(2)];
    let written = world.commit_all(records, Vec::new());
    assert_eq!(written, ["put [1] [1]", "removed [1]", "put [1] [2]"]);
    assert_eq!(world.index.get(&[1]).unwrap(), Some(vec![2]));
}

/// The record of a message, as it lies in the log.
fn record_of(number: u64, places: &[NewPlace]) -> bytes::Bytes {
    let mut frame = FrameBuilder::new();
    let span = frame.message(&message(number, 1), places, false);
    let (from, to) = (span.offset as usize, (span.offset + span.length) as usize);
    frame.frame_mut()[from..to].to_vec().into()
}

#[test]
fn survivors_lie_elsewhere_and_one_that_is_damaged_harms_no_other() {
    let mut world = World::with(vec![entered(0, None), entered(1, None), entered(2, None)]);
    let before = places(&world.index, QueueId(1));
    let survivor = |position| {
        let queue = QueueId(1);
        let place = NewPlace { queue, position: Position(position), expires: NEVER, due: None };
        Survivor { record: record_of(position, &[place]), places: vec![place] }
    };
    let mut damaged = survivor(0);
    damaged.record = damaged.record.slice(..damaged.record.len() - 1);
    let records = queue_1(vec![settled(2), delivered(1)]);
    let written = world.commit_all(records, vec![damaged, survivor(1), survivor(2)]);
    assert_eq!(written, ["moved 1:1", "moved 1:2", "delivered 1-1", "settled 2-2"]);
    let after = places(&world.index, QueueId(1));
    assert_eq!(world.holds(), [(0, 0, false, None), (1, 0, true, None)]);
    assert_eq!(after[&0].location, before[&0].location);
    assert!(after[&1].location.offset > 10_000);
}
