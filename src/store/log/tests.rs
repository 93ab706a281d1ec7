//! A log is read as it was written; what a crash leaves is told from damage.

mod ahead;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::disk::{Access, FsDisk};
use super::super::frame::FRAME_HEADER_LEN;
use super::super::place::Location;
use super::super::record::{BODY_COPIED_MAX, FrameBuilder, NewPlace};
use super::super::sim_disk::{Fault, SimDisk};
use super::*;
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;
use crate::store::record::tests::small_message;

fn dir() -> PathBuf {
    PathBuf::from("/data/log")
}

fn file(id: u32) -> PathBuf {
    dir().join(format!("{id:08}.log"))
}

/// Segments that few frames of the tests fit in.
const SMALL: LogOptions = LogOptions { segment_bytes: 300, ahead_bytes: 0, open_max: 2 };

/// A frame with one record: a key that says which frame it is.
fn frame(number: u64) -> FrameBuilder {
    let mut builder = FrameBuilder::new();
    builder.put(&number.to_le_bytes(), &[number as u8; 40]);
    builder
}

/// How long these frames are.
const LEN: usize = FRAME_HEADER_LEN + 1 + 9 + 41;

fn append(log: &mut Log, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        log.append(&mut frame(number)).unwrap();
    }
}

/// Opens a log and says which frames it has.
fn open_from(
    disk: &SimDisk,
    options: LogOptions,
    from: Option<LogMark>,
) -> Result<(Log, Vec<u64>), StoreError> {
    let mut numbers = Vec::new();
    let recovery = Log::open(Arc::new(disk.clone()), &dir(), options)?;
    let log = recovery.replay(from, &mut |frame| {
        numbers.push(frame.sequence);
        let key = &frame.payload[2..10];
        assert_eq!(key, frame.sequence.to_le_bytes(), "what was written under that number");
        assert!(frame.records().all(|record| record.is_ok()));
        Ok(())
    })?;
    Ok((log, numbers))
}

fn open(disk: &SimDisk) -> Result<(Log, Vec<u64>), StoreError> {
    open_from(disk, SMALL, None)
}

fn frames_of(disk: &SimDisk) -> Vec<u64> {
    open(disk).unwrap().1
}

/// A disk with this many frames, each synced before the next one; several segments for more than three.
fn disk_with(frames: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    for number in 1..=frames {
        append(&mut log, number..=number);
        log.sync().unwrap();
    }
    disk
}

fn change(disk: &SimDisk, id: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.contents(&file(id)).unwrap();
    change(&mut bytes);
    disk.set_contents(&file(id), bytes);
}

/// Where it is damaged, and how.
fn damage(disk: &SimDisk) -> (String, u64, String) {
    let names = disk.list(&dir()).unwrap();
    let before: Vec<_> = names.iter().map(|name| disk.contents(&dir().join(name))).collect();
    let error = open(disk).unwrap_err();
    let after: Vec<_> = names.iter().map(|name| disk.contents(&dir().join(name))).collect();
    assert_eq!(before, after, "nothing is changed");
    match error {
        StoreError::Corrupt { path, offset, what } => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), offset, what)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn frames_are_read_in_order_over_all_segments() {
    let disk = disk_with(10);
    let (log, frames) = open(&disk).unwrap();
    assert_eq!(frames, (1..=10).collect::<Vec<_>>());
    let segments: Vec<_> =
        log.segments().iter().map(|segment| (segment.id.0, segment.bytes)).collect();
    let full = (SEGMENT_HEADER_LEN + 3 * LEN) as u64;
    let last = (SEGMENT_HEADER_LEN + LEN) as u64;
    assert_eq!(segments, [(1, full), (2, full), (3, full), (4, last)]);
    assert_eq!(log.cut(), None);
    assert!(log.is_synced());
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let disk = disk_with(4);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 5..=8);
    log.sync().unwrap();
    assert_eq!(frames_of(&disk), (1..=8).collect::<Vec<_>>());
}

#[test]
fn replay_begins_at_a_mark() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let mut marks = vec![log.mark()];
    for number in 1..=9 {
        append(&mut log, number..=number);
        marks.push(log.mark());
    }
    log.sync().unwrap();
    for (before, mark) in (0..).zip(marks) {
        let (log, frames) = open_from(&disk, SMALL, Some(mark)).unwrap();
        assert_eq!(frames, (before + 1..=9).collect::<Vec<_>>());
        assert_eq!(log.mark().sequence, 10);
    }
}

#[test]
fn a_mark_that_the_log_does_not_reach_is_damage() {
    let disk = disk_with(7);
    let (mut log, _) = open(&disk).unwrap();
    let mark = log.mark();
    for wrong in [
        LogMark { offset: mark.offset + 1, ..mark },
        LogMark { sequence: mark.sequence + 1, offset: SEGMENT_HEADER_LEN as u32, ..mark },
        LogMark { segment: SegmentId(9), ..mark },
        LogMark { segment: SegmentId(2), offset: 4000, sequence: 5 },
    ] {
        let error = open_from(&disk, SMALL, Some(wrong)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{wrong:?}: {error}");
        assert_eq!(frames_of(&disk).len(), 7);
    }
    append(&mut log, 8..=8);
    let nothing = SimDisk::new(1);
    let error = open_from(&nothing, SMALL, Some(mark)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/data/log/00000003.log is damaged at byte 0: it is missing; restore it from a backup, or \
         move it away"
    );
}

#[test]
fn a_mark_at_the_end_of_a_removed_segment_is_that_at_the_start_of_the_next() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=3);
    let mark = log.mark();
    append(&mut log, 4..=8);
    log.sync().unwrap();
    log.remove(SegmentId(1)).unwrap();
    assert_eq!(open_from(&disk, SMALL, Some(mark)).unwrap().1, [4, 5, 6, 7, 8]);
    log.remove(SegmentId(2)).unwrap();
    assert!(open_from(&disk, SMALL, Some(mark)).is_err(), "frames 4 to 6 are missed");
    assert!(log.remove(SegmentId(3)).is_err(), "it is written to");
    assert!(open(&disk).is_err(), "the index of what was before is missing");
}

#[test]
fn gaps_before_the_mark_are_none_of_its_business() {
    let disk = disk_with(12);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 13..=13);
    log.sync().unwrap();
    let mark = log.mark();
    log.files().remove(&[SegmentId(2), SegmentId(4)]).unwrap();
    append(&mut log, 14..=15);
    log.sync().unwrap();
    let ids: Vec<_> = log.segments().iter().map(|segment| segment.id.0).collect();
    assert_eq!(ids, [1, 3, 5]);
    assert_eq!(open_from(&disk, SMALL, Some(mark)).unwrap().1, [14, 15]);
    assert!(open(&disk).is_err());
}

#[test]
fn a_frame_larger_than_a_segment_has_one_of_its_own() {
    let disk = disk_with(1);
    let (mut log, _) = open(&disk).unwrap();
    let mut large = FrameBuilder::new();
    large.put(&2_u64.to_le_bytes(), &[7; 5000]);
    assert_eq!(log.append(&mut large).unwrap().segment, SegmentId(2));
    append(&mut log, 3..=3);
    assert_eq!(log.mark().segment, SegmentId(3));
    log.sync().unwrap();
    assert_eq!(frames_of(&disk), [1, 2, 3]);
}

#[test]
fn a_frame_without_records_is_not_written() {
    let disk = disk_with(1);
    let (mut log, _) = open(&disk).unwrap();
    let mark = log.mark();
    log.append(&mut FrameBuilder::new()).unwrap();
    assert_eq!(log.mark(), mark);
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_tore() {
    for tail in [&[][..], &[0; 700], b"garbage that was here before", &[0xff; 64]] {
        for left in 0..LEN {
            let disk = disk_with(2);
            let end = (SEGMENT_HEADER_LEN + LEN) as u64;
            change(&disk, 1, |bytes| {
                bytes.truncate(end as usize + left);
                bytes.extend_from_slice(tail);
            });
            let (mut log, frames) = open(&disk).unwrap();
            assert_eq!(frames, [1], "{left} bytes left");
            let torn = (left + tail.len()) as u64;
            let cut = TornTail { path: file(1), offset: end, bytes: torn };
            // Zeros are no frame that tore: they are where the next one would be.
            let is_torn = left > 0 || tail.iter().any(|byte| *byte != 0);
            assert_eq!(log.cut(), is_torn.then_some(&cut));
            append(&mut log, 2..=3);
            log.sync().unwrap();
            assert_eq!(frames_of(&disk), [1, 2, 3]);
        }
    }
}

#[test]
fn any_flipped_bit_is_damage_or_in_the_last_frame() {
    let last = (SEGMENT_HEADER_LEN + 2 * LEN) * 8;
    for bit in 0..last + LEN * 8 {
        let disk = disk_with(3);
        change(&disk, 1, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match open(&disk) {
            Ok((_, frames)) => assert_eq!((frames, bit >= last), (vec![1, 2], true), "bit {bit}"),
            Err(error) => assert!(bit < last, "bit {bit}: {error}"),
        }
    }
}

#[test]
fn a_bad_frame_in_a_segment_that_others_follow_is_damage() {
    let disk = disk_with(4);
    let last = SEGMENT_HEADER_LEN + 2 * LEN;
    change(&disk, 1, |bytes| bytes[last + 30] ^= 1);
    let what = "a frame's checksum does not match".to_owned();
    assert_eq!(damage(&disk), ("00000001.log".into(), last as u64, what));
    let report = Log::check(&disk, &dir()).unwrap();
    assert_eq!((report.frames, report.problems.len(), report.torn), (3, 1, None));

    change(&disk, 1, |bytes| bytes.truncate(last + 10));
    assert_eq!(damage(&disk).2, "a frame that ends early");
    change(&disk, 1, |bytes| bytes.truncate(last));
    let what = "it begins with frame 4, not 3".to_owned();
    assert_eq!(damage(&disk), ("00000002.log".into(), 16, what));
    assert_eq!(Log::check(&disk, &dir()).unwrap().problems.len(), 1);
}

#[test]
fn a_bad_frame_is_damage_if_a_later_one_was_written_after_it_was_synced() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=1);
    log.sync().unwrap();
    append(&mut log, 2..=3);
    log.sync().unwrap();
    let at = |frame: usize| SEGMENT_HEADER_LEN + (frame - 1) * LEN;
    let intact = disk.contents(&file(1)).unwrap();

    // Frame 3 was written when 2 was not synced: a power loss may have kept only 3.
    change(&disk, 1, |bytes| bytes[at(2) + 30] ^= 1);
    assert_eq!(open(&disk).unwrap().1, [1]);
    disk.set_contents(&file(1), intact);
    change(&disk, 1, |bytes| bytes[at(1) + 30] ^= 1);
    let (path, offset, what) = damage(&disk);
    assert_eq!((path.as_str(), offset), ("00000001.log", at(1) as u64));
    let later = format!("and the frame at {} was written after it was synced", at(2));
    assert!(what.ends_with(&later), "{what}");
}

#[test]
fn what_looks_like_a_frame_in_a_torn_message_proves_nothing() {
    let disk = disk_with(1);
    let other = disk_with(3);
    let frames = other.contents(&file(1)).unwrap();
    change(&disk, 1, |bytes| {
        bytes.extend_from_slice(b"torn");
        bytes.extend_from_slice(&frames);
    });
    assert_eq!(frames_of(&disk), [1]);
}

#[test]
fn missing_and_misnamed_segments_are_damage() {
    let disk = disk_with(10);
    disk.remove(&file(2)).unwrap();
    assert_eq!(damage(&disk), ("00000003.log".into(), 0, "segment 2 is missing before it".into()));
    let disk = disk_with(10);
    disk.rename(&file(4), &file(3)).unwrap();
    assert_eq!(damage(&disk).2, "this is segment 4 under another name");
    let disk = disk_with(10);
    disk.remove(&file(1)).unwrap();
    assert_eq!(damage(&disk).0, "00000002.log");
    let disk = disk_with(10);
    disk.set_contents(&file(2), Vec::new());
    assert_eq!(damage(&disk), ("00000002.log".into(), 0, "its header is missing".into()));
}

#[test]
fn a_last_segment_without_a_header_is_begun_anew() {
    for left in 0..SEGMENT_HEADER_LEN {
        let disk = disk_with(4);
        change(&disk, 2, |bytes| {
            bytes.truncate(left);
            // The length may be on the disk before the bytes.
            bytes.resize(if left % 2 == 0 { left } else { SEGMENT_HEADER_LEN }, 0);
        });
        assert_eq!(Log::check(&disk, &dir()).unwrap().unfinished, Some(SegmentId(2)));
        let (mut log, frames) = open(&disk).unwrap();
        assert_eq!(frames, [1, 2, 3], "{left} bytes left");
        append(&mut log, 4..=5);
        log.sync().unwrap();
        assert_eq!(frames_of(&disk), [1, 2, 3, 4, 5]);
    }
    let disk = SimDisk::new(1);
    disk.set_contents(&file(1), vec![0; SEGMENT_HEADER_LEN]);
    assert!(frames_of(&disk).is_empty());
    let disk = disk_with(4);
    change(&disk, 2, |bytes| bytes[..SEGMENT_HEADER_LEN].fill(0));
    assert!(open(&disk).is_err(), "there are frames behind it");
    let disk = disk_with(4);
    change(&disk, 2, |bytes| bytes.truncate(3));
    change(&disk, 1, |bytes| bytes[SEGMENT_HEADER_LEN + 2 * LEN] ^= 1);
    assert_eq!(damage(&disk).0, "00000001.log", "a segment is whole before the next is begun");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let disk = disk_with(1);
    disk.set_contents(&dir().join("notes.txt"), b"hello".to_vec());
    let text = open(&disk).unwrap_err().to_string();
    assert!(text.contains("not a leveret data directory: notes.txt"), "{text}");
    for foreign in [&b"hello"[..], &[9; 100]] {
        let disk = SimDisk::new(1);
        disk.set_contents(&file(1), foreign.to_vec());
        assert!(matches!(open(&disk), Err(StoreError::Foreign { .. })));
        assert_eq!(disk.contents(&file(1)).unwrap(), foreign);
    }
    let disk = disk_with(1);
    change(&disk, 1, |bytes| bytes[8] = 2);
    assert!(matches!(open(&disk), Err(StoreError::Newer { found: 2, known: 1, .. })));
}

#[test]
fn a_failed_append_is_tried_again() {
    // With every call full in turn, over a roll to the next segment.
    for (call, calls) in (1..12).flat_map(|call| [(call, 1), (call, 2), (call, 5)]) {
        let disk = disk_with(2);
        let (mut log, _) = open(&disk).unwrap();
        disk.plan_full(disk.calls() + call..disk.calls() + call + calls);
        for number in 3..=6 {
            for _ in 0..10 {
                let sequence = log.mark().sequence;
                let Err(error) = log.append(&mut frame(number)) else { break };
                assert!(error.is_disk_full(), "{error}");
                assert_eq!(log.mark().sequence, sequence);
            }
        }
        log.sync().unwrap();
        assert_eq!(frames_of(&disk), [1, 2, 3, 4, 5, 6], "{calls} from {call}");
    }
}

#[test]
fn a_call_that_fails_loses_nothing() {
    for call in 1..14 {
        let disk = disk_with(2);
        let (mut log, _) = open(&disk).unwrap();
        disk.plan(disk.calls() + call, Fault::Error(io::ErrorKind::Other));
        let mut number = 3;
        let mut failures = 0;
        while number <= 6 && failures < 3 {
            match log.append(&mut frame(number)) {
                Ok(_) => number += 1,
                Err(_) => failures += 1,
            }
        }
        // Either a call failed once, or a sync of what was appended did, for good.
        let is_whole = log.sync().is_ok();
        assert!(failures == 0 || is_whole == (failures == 1), "call {call}");
        disk.restart();
        assert_eq!(frames_of(&disk), (1..number).collect::<Vec<_>>(), "call {call}");
    }
}

#[test]
fn after_a_roll_that_failed_a_smaller_frame_may_go_where_it_fits() {
    for (call, seed) in (1..10).flat_map(|call| (0..20).map(move |seed| (call, seed))) {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk).unwrap();
        append(&mut log, 1..=3);
        log.sync().unwrap();
        disk.plan(disk.calls() + call, Fault::Error(io::ErrorKind::Other));
        let mut next = 4 + u64::from(log.append(&mut frame(4)).is_ok());
        while next < 5 {
            let mut small = FrameBuilder::new();
            small.removed(&next.to_le_bytes());
            next += u64::from(log.append(&mut small).is_ok());
        }
        if log.sync().is_ok() {
            disk.lose_power();
            disk.restart();
            assert_eq!(frames_of(&disk), [1, 2, 3, 4], "call {call}, seed {seed}");
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_appended() {
    let disk = disk_with(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 2..=2);
    disk.plan(disk.calls() + 1, Fault::Error(io::ErrorKind::Other));
    assert!(log.sync().is_err());
    assert!(log.sync().is_err());
    assert!(log.append(&mut frame(3)).is_err());
    disk.lose_power();
    disk.restart();
    assert_eq!(frames_of(&disk), [1], "a later sync would have lied");
}

#[test]
fn what_a_failed_sync_left_in_memory_is_written_by_the_next_process() {
    for synced in 0..5 {
        let disk = disk_with(synced);
        let (mut log, _) = open(&disk).unwrap();
        append(&mut log, synced + 1..=synced + 2);
        disk.plan(disk.calls() + 1, Fault::Error(io::ErrorKind::Other));
        log.sync().unwrap_err();
        disk.kill();
        disk.restart();
        let read = frames_of(&disk);
        assert_eq!(read, (1..=synced + 2).collect::<Vec<_>>(), "the system has them");
        disk.lose_power();
        disk.restart();
        assert_eq!(frames_of(&disk), read, "a process has gone on from them");
    }
}

#[test]
fn an_error_of_apply_ends_the_replay_and_changes_nothing() {
    let disk = disk_with(3);
    change(&disk, 1, |bytes| bytes.extend_from_slice(b"torn"));
    let before = disk.contents(&file(1));
    let recovery = Log::open(Arc::new(disk.clone()), &dir(), SMALL).unwrap();
    assert!(
        recovery
            .replay(None, &mut |_| Err(StoreError::io("apply", "x", io::ErrorKind::Other.into())))
            .is_err()
    );
    assert_eq!(disk.contents(&file(1)), before);
}

#[test]
fn a_check_changes_nothing_and_finds_everything() {
    let disk = disk_with(10);
    let report = Log::check(&disk, &dir()).unwrap();
    assert_eq!(
        (report.segments.len(), report.frames, report.records, report.messages),
        (4, 10, 10, 0)
    );
    assert!(report.problems.is_empty());
    change(&disk, 1, |bytes| bytes[SEGMENT_HEADER_LEN + 30] ^= 1);
    change(&disk, 2, |bytes| bytes[SEGMENT_HEADER_LEN + LEN + 30] ^= 1);
    change(&disk, 3, |bytes| bytes[20] ^= 1);
    change(&disk, 4, |bytes| bytes.truncate(SEGMENT_HEADER_LEN + LEN - 1));
    let before: Vec<_> = (1..=4).map(|id| disk.contents(&file(id))).collect();
    let report = Log::check(&disk, &dir()).unwrap();
    assert_eq!((report.frames, report.problems.len()), (4, 3));
    assert_eq!(report.torn.unwrap().path, file(4));
    assert_eq!((1..=4).map(|id| disk.contents(&file(id))).collect::<Vec<_>>(), before);
    assert!(Log::check(&SimDisk::new(1), &dir()).unwrap().problems.is_empty());
}

/// A log with messages of these sizes, some to a frame.
fn messages(disk: Arc<dyn Disk>, dir: &Path, sizes: &[usize]) -> (Log, Vec<Location>) {
    let recovery =
        Log::open(disk, dir, LogOptions { segment_bytes: 100_000, ahead_bytes: 0, open_max: 2 })
            .unwrap();
    let mut log = recovery.replay(None, &mut |_| Ok(())).unwrap();
    let mut builder = FrameBuilder::new();
    let mut locations = Vec::new();
    for (frame, sizes) in sizes.chunks(3).enumerate() {
        let place = NewPlace {
            queue: QueueId(1),
            position: Position(frame as u64),
            expires: Timestamp::NEVER,
            due: None,
        };
        let message = |&size: &usize| small_message(&vec![size as u8; size]);
        let spans: Vec<_> =
            sizes.iter().map(|size| builder.message(&message(size), &[place], false)).collect();
        let Appended { segment, offset } = log.append(&mut builder).unwrap();
        locations.extend(spans.iter().map(|span| span.location(segment, offset)));
        builder.clear();
    }
    (log, locations)
}

const LARGE: usize = BODY_COPIED_MAX as usize + 5;
const SIZES: [usize; 12] = [10, 0, 300, LARGE, 77, 60_000, 5, 9_000, 16_000, 120_000, 1, 2];

#[test]
fn messages_are_read_back_in_the_order_asked_for() {
    let (log, locations) = messages(Arc::new(SimDisk::new(1)), &dir(), &SIZES);
    let reader = log.reader();
    for order in [vec![0, 1, 2], (0..12).rev().collect(), vec![11, 0, 5, 5, 3], vec![]] {
        let wanted: Vec<_> = order.iter().map(|&index| locations[index]).collect();
        let found = reader.read_messages(&wanted);
        assert_eq!(found.len(), order.len());
        for (&index, message) in order.iter().zip(found) {
            assert_eq!(message.unwrap().body_len(), SIZES[index] as u64, "{index} of {order:?}");
        }
    }
}

#[test]
fn records_are_found_again_where_the_frames_say() {
    let (log, locations) = messages(Arc::new(SimDisk::new(1)), &dir(), &SIZES);
    let mut found = Vec::new();
    for segment in log.segments() {
        let apply = &mut |frame: &LogFrame<'_>| {
            for record in frame.records() {
                let super::super::record::Record::Message(message) = record.unwrap() else {
                    panic!("only messages");
                };
                found.push(message.span.location(frame.segment, frame.offset));
            }
            Ok(())
        };
        log.frames_of(segment.id, apply).unwrap();
    }
    assert_eq!(found, locations);
    assert!(log.frames_of(SegmentId(99), &mut |_| Ok(())).is_err());
}

#[test]
fn a_bad_location_spoils_no_other() {
    let disk = SimDisk::new(1);
    let (log, mut locations) = messages(Arc::new(disk.clone()), &dir(), &SIZES[..3]);
    change(&disk, 1, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let end = log.mark().offset;
    locations.push(Location { segment: SegmentId(1), offset: end, length: 1 });
    locations.push(Location { segment: SegmentId(1), offset: 40, length: u32::MAX });
    locations.push(Location { segment: SegmentId(7), offset: 40, length: 10 });
    let found = log.reader().read_messages(&locations);
    let good: Vec<_> = found.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, true, false, false, false, false]);
    let text = found[2].as_ref().unwrap_err().to_string();
    assert!(text.contains("a message's checksum does not match"), "{text}");
}

#[test]
fn segments_can_be_removed_under_a_reader() {
    let disk = SimDisk::new(1);
    let (log, locations) = messages(Arc::new(disk.clone()), &dir(), &[60_000; 12]);
    let reader = log.reader();
    assert!(reader.read_messages(&locations[..1])[0].is_ok());
    log.remove(SegmentId(1)).unwrap();
    log.remove(SegmentId(1)).unwrap();
    let found = reader.clone().read_messages(&locations);
    let last = locations[11].segment;
    for (location, message) in locations.iter().zip(found) {
        assert_eq!(message.is_ok(), location.segment > SegmentId(1), "{location:?} of {last:?}");
    }
}

#[test]
fn a_log_on_the_systems_disk() {
    let root = std::env::temp_dir().join(format!("leveret-log-{}", std::process::id()));
    let dir = root.join("log");
    let (mut log, locations) = messages(Arc::new(FsDisk), &dir, &SIZES);
    log.sync().unwrap();
    assert!(log.reader().read_messages(&locations).iter().all(Result::is_ok));
    assert!(log.files().available_space().unwrap() > 0);
    let last = log.mark().segment;
    drop(log);
    let path = dir.join(format!("{:08}.log", last.0));
    let file = FsDisk.open(&path, Access::ReadWrite).unwrap();
    file.truncate(file.len().unwrap() - 1).unwrap();
    assert!(FsDisk.create(&path).is_err(), "it is there");
    assert!(Log::check(&FsDisk, &dir).unwrap().torn.is_some());
    let recovery = Log::open(Arc::new(FsDisk), &dir, SMALL).unwrap();
    let mut frames = 0;
    let log = recovery
        .replay(None, &mut |_| {
            frames += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(frames, 3);
    assert!(log.cut().is_some());
    log.remove(SegmentId(1)).unwrap();
    std::fs::remove_dir_all(&root).unwrap();
}

/// Appends, and syncs when told so, until the disk fails; the frames that were appended, and how many
/// of them were synced.
fn run(disk: &SimDisk, steps: &[bool]) -> (u64, u64) {
    let (mut appended, mut synced) = (0, 0);
    let Ok((mut log, frames)) = open(disk) else { return (0, 0) };
    appended += frames.len() as u64;
    for &sync in steps {
        // What is written by a call that fails may be there, too.
        appended += 1;
        if log.append(&mut frame(appended)).is_err() {
            break;
        }
        if sync {
            if log.sync().is_err() {
                break;
            }
            synced = appended;
        }
    }
    (appended, synced)
}

fn assert_survives(crash: Fault, call: u64, seed: u64, steps: &[bool]) {
    let disk = SimDisk::new(seed);
    disk.plan(call, crash);
    let (appended, synced) = run(&disk, steps);
    disk.restart();
    // The next one is hit during its recovery as well.
    disk.plan(disk.calls() + 1 + seed % 20, crash);
    let _ = open(&disk);
    disk.restart();
    let frames = match open(&disk) {
        Ok((_, frames)) => frames,
        Err(error) => panic!("{crash:?} at {call}, seed {seed}: {error}"),
    };
    let count = frames.len() as u64;
    assert_eq!(frames, (1..=count).collect::<Vec<_>>(), "{crash:?} at {call}, seed {seed}");
    assert!(
        (synced..=appended).contains(&count),
        "{count} of {synced} to {appended}: {crash:?} at {call}, seed {seed}"
    );
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_synced() {
    let steps: Vec<bool> = (0..12).map(|step| step % 3 == 2).collect();
    let calm = SimDisk::new(0);
    run(&calm, &steps);
    for call in 1..=calm.calls() {
        for seed in 0..30 {
            assert_survives(Fault::PowerLoss, call, seed, &steps);
        }
        assert_survives(Fault::Kill, call, 0, &steps);
    }
}

proptest! {
    #[test]
    fn a_crash_loses_nothing_that_was_synced(
        steps in proptest::collection::vec(any::<bool>(), 0..20),
        call in 1..120_u64,
        seed: u64,
    ) {
        assert_survives(Fault::PowerLoss, call, seed, &steps);
        assert_survives(Fault::Kill, call, seed, &steps);
    }
}

#[test]
fn no_two_segments_begin_their_frames_alike() {
    let disk = disk_with(30);
    let marker = |id| disk.contents(&file(id)).unwrap()[24..28].to_vec();
    let markers: BTreeSet<_> = (1..=10).map(marker).collect();
    assert!(markers.len() > 8);
}
