//! The index by example, and against a map that does all at once.

mod model;

use super::*;
use crate::broker::effect::Position;
use crate::broker::time::Timestamp;
use crate::store::key_value::{MemoryKeyValue, SledKeyValue};
use crate::store::place::{Location, Place};
use crate::store::test_folder::TestFolder;

const QUEUE: QueueId = QueueId(7);
const OTHER: QueueId = QueueId(8);

fn place(segment: u32, number: u32) -> Place {
    let location =
        Location { segment: SegmentId(segment), offset: number.wrapping_mul(150), length: 150 };
    Place {
        location,
        body_len: 100,
        expires: Timestamp::NEVER,
        due: None,
        returns: 0,
        delivered: false,
        transient: false,
    }
}

fn mark(segment: u32) -> CheckpointMark {
    CheckpointMark { segment: SegmentId(segment), offset: 0, sequence: 0 }
}

fn open(kv: &Arc<MemoryKeyValue>) -> Index {
    let kv: Arc<dyn KeyValue> = kv.clone();
    Index::open(kv).unwrap().0
}

fn fresh() -> (Arc<MemoryKeyValue>, Index) {
    let kv = Arc::new(MemoryKeyValue::default());
    let index = open(&kv);
    (kv, index)
}

fn enter(index: &Index, queue: QueueId, positions: std::ops::Range<u64>, segment: u32) {
    let mut changes = index.changes();
    for position in positions {
        let number = u32::try_from(position).unwrap();
        changes.entered(queue, Position(position), &place(segment, number));
    }
}

fn checkpoint(index: &Index, segment: u32) {
    assert!(index.freeze(mark(segment)));
    index.write_frozen().unwrap();
    assert_eq!(index.check().unwrap().problems, Vec::<String>::new());
}

/// The positions that are there and do not wait.
fn positions(index: &Index, queue: QueueId) -> Vec<u64> {
    let found = index.read(queue, Position(0), Position(u64::MAX), usize::MAX).unwrap();
    assert_eq!(found.next, Position(u64::MAX));
    found.entries.into_iter().map(|(position, _)| position.0).collect()
}

#[test]
fn what_entered_is_there_before_during_and_after_a_checkpoint() {
    let (kv, index) = fresh();
    enter(&index, QUEUE, 500..1500, 1);
    let expected: Vec<u64> = (500..1500).collect();
    assert_eq!(positions(&index, QUEUE), expected);
    assert!(index.freeze(mark(2)));
    assert!(!index.freeze(mark(2)), "one is unfinished");
    assert_eq!(positions(&index, QUEUE), expected);
    index.write_frozen().unwrap();
    assert_eq!(positions(&index, QUEUE), expected);
    let (index, found) = Index::open(Arc::new(kv.crash(0))).unwrap();
    assert_eq!(found, Some(mark(2)));
    assert_eq!(positions(&index, QUEUE), expected);
    let summary = Summary {
        count: 1000,
        bytes: 100_000,
        first: 500,
        next_position: 1500,
        scheduled: 0,
        transient: 0,
    };
    assert_eq!(index.finish_recovery(SegmentId(2)).unwrap(), [(QUEUE, summary)]);
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let (_, index) = fresh();
    enter(&index, QUEUE, 0..600, 1);
    checkpoint(&index, 1);
    enter(&index, QUEUE, 600..1400, 1);
    let mut from = Position(3);
    let mut found = Vec::new();
    while from < Position(1300) {
        let part = index.read(QUEUE, from, Position(1300), 100).unwrap();
        assert!(part.entries.len() <= 100);
        assert!(part.next > from);
        from = part.next;
        found.extend(part.entries.into_iter().map(|(position, _)| position.0));
    }
    assert_eq!(found, (3..1300).collect::<Vec<_>>());
    let none = index.read(QUEUE, Position(9), Position(9), 10).unwrap();
    assert_eq!((none.entries.len(), none.next), (0, Position(9)));
}

#[test]
fn what_came_and_went_between_two_checkpoints_never_reaches_the_map() {
    let (kv, index) = fresh();
    enter(&index, QUEUE, 0..5000, 1);
    index.changes().settled(QUEUE, Position(0), Position(4999));
    assert_eq!(index.live(SegmentId(1)), Live::default());
    checkpoint(&index, 2);
    let prefix = keys::kind(Kind::Present);
    assert_eq!(kv.range(&prefix, &after_prefix(&prefix)).count(), 0);
    let summary = index.summary(QUEUE).unwrap();
    assert_eq!((summary.count, summary.next_position), (0, 5000), "positions are not used again");
}

#[test]
fn a_position_has_its_state_through_checkpoints() {
    let (_, index) = fresh();
    enter(&index, QUEUE, 0..10, 1);
    checkpoint(&index, 1);
    let at = Position(4);
    index.changes().delivered(QUEUE, at, at);
    assert!(index.place(QUEUE, at).unwrap().unwrap().delivered);
    checkpoint(&index, 1);
    index.changes().returned(QUEUE, at, 2, Some(Timestamp(99)));
    assert!(index.freeze(mark(1)));
    let expected = Place { returns: 2, due: Some(Timestamp(99)), ..place(1, 4) };
    assert_eq!(index.scheduled(QUEUE).unwrap(), [(at, expected)]);
    assert!(!positions(&index, QUEUE).contains(&4));
    index.write_frozen().unwrap();
    assert_eq!(index.scheduled(QUEUE).unwrap(), [(at, expected)]);
    assert_eq!(index.summary(QUEUE).unwrap().scheduled, 1);
    index.changes().delivered(QUEUE, at, at);
    let expected = Place { returns: 2, delivered: true, ..place(1, 4) };
    assert_eq!(index.place(QUEUE, at).unwrap(), Some(expected));
    assert!(positions(&index, QUEUE).contains(&4), "a scheduled block is looked at, too");
    checkpoint(&index, 1);
    assert_eq!(index.scheduled(QUEUE).unwrap(), []);
    assert_eq!(index.place(QUEUE, at).unwrap(), Some(expected));
}

#[test]
fn clearing_spares_what_waits_for_its_moment() {
    for checkpoints in [false, true] {
        let (_, index) = fresh();
        enter(&index, QUEUE, 0..3000, 1);
        index.changes().returned(QUEUE, Position(1000), 1, Some(Timestamp(5)));
        if checkpoints {
            checkpoint(&index, 1);
        }
        index.changes().cleared(QUEUE, Position(100), Position(2900));
        let expected: Vec<u64> = (0..100).chain(2900..3000).collect();
        assert_eq!(positions(&index, QUEUE), expected);
        assert_eq!(index.summary(QUEUE).unwrap().count, 201);
        checkpoint(&index, 1);
        assert_eq!(positions(&index, QUEUE), expected);
        assert_eq!(index.scheduled(QUEUE).unwrap().len(), 1);
        assert_eq!(index.live(SegmentId(1)).references, 201);
    }
}

#[test]
fn what_a_clearing_spared_is_spared_again_when_half_a_checkpoint_is_replayed() {
    let at = Position(0);
    let comes_back = |index: &Index| {
        index.changes().cleared(QUEUE, at, Position(2));
        index.changes().returned(QUEUE, at, 2, None);
    };
    let is_delivered = |index: &Index| {
        index.changes().cleared(QUEUE, at, Position(2));
        index.changes().delivered(QUEUE, at, at);
    };
    for replay in [&comes_back as &dyn Fn(&Index), &is_delivered] {
        let (kv, index) = fresh();
        enter(&index, QUEUE, 0..2, 1);
        index.changes().returned(QUEUE, at, 1, Some(Timestamp(9)));
        checkpoint(&index, 1);
        replay(&index);
        // Large enough that the queue's blocks are in a batch before the one with the mark.
        index.changes().put(b"key".to_vec(), vec![0; 200]);
        assert!(index.freeze(mark(2)));
        kv.fail_after(1);
        assert!(index.write_frozen().is_err());
        let (index, found) = Index::open(Arc::new(kv.crash(1))).unwrap();
        assert_eq!(found, Some(mark(1)));
        let before = index.place(QUEUE, at).unwrap().unwrap();
        assert_eq!(before.due, None, "the block is as it was later");
        replay(&index);
        assert_eq!(positions(&index, QUEUE), [0]);
        assert_eq!(index.place(QUEUE, at).unwrap(), Some(before));
    }
}

#[test]
fn readers_see_whole_frames_while_checkpoints_run() {
    let (_, index) = fresh();
    enter(&index, QUEUE, 0..1, 1);
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for position in 0..500_u32 {
                let at = Position(position.into());
                let mut changes = index.changes();
                changes.entered(QUEUE, Position(at.0 + 1), &place(1, position));
                changes.settled(QUEUE, at, at);
                drop(changes);
                index.freeze(mark(1));
                index.write_frozen().unwrap();
            }
            done.store(true, relaxed);
        });
        while !done.load(relaxed) {
            // The next enters as one leaves, all in the same block.
            assert_eq!(positions(&index, QUEUE).len(), 1);
            assert!(index.live(SegmentId(1)).references > 0);
        }
    });
}

#[test]
fn a_removed_queue_leaves_nothing() {
    let (kv, index) = fresh();
    enter(&index, QUEUE, 0..2000, 1);
    enter(&index, OTHER, 0..10, 1);
    checkpoint(&index, 2);
    index.changes().removed_queue(QUEUE);
    assert_eq!(index.queues().unwrap(), [OTHER]);
    assert_eq!(positions(&index, QUEUE), Vec::<u64>::new());
    assert_eq!(index.summary(QUEUE).unwrap(), Summary::default());
    checkpoint(&index, 2);
    assert_eq!(index.queues().unwrap(), [OTHER]);
    assert_eq!(index.live(SegmentId(1)).references, 10);
    let prefix = keys::blocks(Kind::Present, QUEUE);
    assert_eq!(kv.range(&prefix, &after_prefix(&prefix)).count(), 0);
}

#[test]
fn a_segment_may_go_once_the_checkpoint_is_through() {
    let (_, index) = fresh();
    let all = [(SegmentId(1), 1_500), (SegmentId(2), 15_000), (SegmentId(3), 1_500)];
    enter(&index, QUEUE, 0..10, 1);
    enter(&index, QUEUE, 10..20, 2);
    checkpoint(&index, 3);
    index.changes().settled(QUEUE, Position(0), Position(9));
    assert_eq!(index.dead_segments(&all, mark(3)), [], "the map still has it");
    assert!(index.freeze(mark(3)));
    assert_eq!(index.dead_segments(&all, mark(3)), []);
    index.write_frozen().unwrap();
    assert_eq!(
        index.dead_segments(&all, mark(3)),
        [SegmentId(1)],
        "the third is not before the mark"
    );
    assert_eq!(index.sparse_segments(&all, mark(3), 0.5), [SegmentId(2)]);
    assert_eq!(index.sparse_segments(&all, mark(3), 0.05), []);
}

#[test]
fn what_moved_keeps_what_is_known_of_it() {
    let (_, index) = fresh();
    enter(&index, QUEUE, 0..2, 1);
    index.changes().returned(QUEUE, Position(1), 3, None);
    checkpoint(&index, 2);
    let elsewhere = Location { segment: SegmentId(5), offset: 77, length: 160 };
    for position in 0..3 {
        index.changes().moved(QUEUE, Position(position), elsewhere);
    }
    assert_eq!(index.live(SegmentId(5)).references, 3, "never less than there may be");
    checkpoint(&index, 2);
    let expected = Place { location: elsewhere, returns: 3, ..place(1, 1) };
    assert_eq!(index.place(QUEUE, Position(1)).unwrap(), Some(expected));
    assert_eq!(index.place(QUEUE, Position(2)).unwrap(), None, "it was not there");
    assert_eq!(index.live(SegmentId(5)), Live { references: 2, bytes: 320 });
    assert_eq!(index.live(SegmentId(1)), Live::default());
}

#[test]
fn what_was_paged_out_ends_with_its_process() {
    let (_, index) = fresh();
    enter(&index, QUEUE, 0..1000, 1);
    for (position, segment) in [(1000, 1), (1001, 2)] {
        let place = Place { transient: true, ..place(segment, 0) };
        index.changes().entered(QUEUE, Position(position), &place);
    }
    checkpoint(&index, 2);
    let found = index.finish_recovery(SegmentId(2)).unwrap();
    assert_eq!((found[0].1.count, found[0].1.transient), (1001, 1));
    assert_eq!(index.place(QUEUE, Position(1000)).unwrap(), None);
    assert!(index.place(QUEUE, Position(1001)).unwrap().is_some(), "this process wrote it");
}

#[test]
fn the_brokers_keys() {
    let (_, index) = fresh();
    let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    for (key, value) in ["q/a", "q/b", "q/c", "r/a"].into_iter().zip(["1", "2", "3", "4"]) {
        index.changes().put(key.into(), value.into());
    }
    checkpoint(&index, 1);
    index.changes().removed(b"q/b".to_vec());
    assert!(index.freeze(mark(1)));
    index.changes().put(b"q/c".to_vec(), b"5".to_vec());
    index.changes().put(b"q/d".to_vec(), b"6".to_vec());
    let expected = [pair("q/a", "1"), pair("q/c", "5"), pair("q/d", "6")];
    assert_eq!(index.scan(b"q/").unwrap(), expected);
    assert_eq!(index.get(b"q/b").unwrap(), None);
    assert_eq!(index.get(b"q/c").unwrap(), Some(b"5".to_vec()));
    index.write_frozen().unwrap();
    checkpoint(&index, 1);
    assert_eq!(index.scan(b"q/").unwrap(), expected);
    assert_eq!(index.scan(b"").unwrap().len(), 4);
}

#[test]
fn a_checkpoint_that_failed_is_tried_again() {
    let (kv, index) = fresh();
    enter(&index, QUEUE, 0..1000, 1);
    checkpoint(&index, 2);
    index.changes().settled(QUEUE, Position(0), Position(499));
    assert!(index.freeze(mark(3)));
    for calls in [0, 1] {
        kv.fail_after(calls);
        assert!(index.write_frozen().is_err());
        assert!(index.is_frozen());
        assert_eq!(index.mark(), Some(mark(2)));
        assert_eq!(positions(&index, QUEUE), (500..1000).collect::<Vec<_>>());
    }
    index.write_frozen().unwrap();
    assert_eq!(index.mark(), Some(mark(3)));
    assert_eq!(index.check().unwrap().entries, 500);
}

#[test]
fn other_formats_and_damage_are_told() {
    let (kv, index) = fresh();
    enter(&index, QUEUE, 0..10, 1);
    checkpoint(&index, 2);
    let put = |key: Vec<u8>, value: &[u8]| {
        let mut batch = Batch::default();
        batch.put(key, value.to_vec());
        kv.apply(batch).unwrap();
    };
    put(keys::block(Kind::Present, QUEUE, 0), &[1, 1, 0xFF]);
    let report = index.check().unwrap();
    assert_eq!(report.problems.len(), 3, "the block, the summary and the segment: {report:?}");
    assert!(index.read(QUEUE, Position(0), Position(9), 9).is_err());
    put(FORMAT_KEY.to_vec(), &[2]);
    let error = Index::open(kv.clone()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    let mut batch = Batch::default();
    batch.remove(FORMAT_KEY.to_vec());
    kv.apply(batch).unwrap();
    assert!(matches!(Index::open(kv), Err(StoreError::Foreign { .. })));
}

#[test]
fn sled_holds_it_as_well() {
    let folder = TestFolder::new("index");
    let open = || {
        let kv = Arc::new(SledKeyValue::open(folder.path(), 16 << 20).unwrap());
        Index::open(kv).unwrap()
    };
    let (index, found) = open();
    assert_eq!(found, None);
    enter(&index, QUEUE, 0..20_000, 1);
    checkpoint(&index, 2);
    index.changes().settled(QUEUE, Position(0), Position(9_999));
    checkpoint(&index, 3);
    drop(index);
    let (index, found) = open();
    assert_eq!(found, Some(mark(3)));
    let (_, summary) = index.finish_recovery(SegmentId(3)).unwrap()[0];
    assert_eq!((summary.count, summary.first, summary.next_position), (10_000, 10_000, 20_000));
    assert_eq!(positions(&index, QUEUE).len(), 10_000);
    assert_eq!(index.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn what_is_found_keeps_what_happened_to_it_and_stays_away_if_it_left() {
    let (_kv, index) = fresh();
    let mut changes = index.changes();
    changes.settled(QUEUE, Position(1), Position(1));
    changes.delivered(QUEUE, Position(2), Position(2));
    changes.returned(QUEUE, Position(3), 4, None);
    for position in 1..=4_u32 {
        changes.found(QUEUE, Position(position.into()), &place(1, position));
    }
    drop(changes);
    let known = |position| index.place(QUEUE, Position(position)).unwrap();
    assert_eq!(known(1), None);
    assert!(known(2).unwrap().delivered);
    assert_eq!(known(3).unwrap().returns, 4);
    assert_eq!(known(4), Some(place(1, 4)));
    assert_eq!(index.live(SegmentId(1)).references, 3);
}
