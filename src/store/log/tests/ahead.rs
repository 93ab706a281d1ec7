//! Zeros behind frames, for those to come.

use super::*;

/// Segments that few frames fit in, with room for frames to come behind each.
const AHEAD: LogOptions = LogOptions { segment_bytes: 300, ahead_bytes: 4096, open_max: 2 };

#[test]
fn frames_to_come_find_their_place_in_the_file() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open_from(&disk, AHEAD, None).unwrap();
    append(&mut log, 1..=1);
    let bytes = disk.contents(&file(1)).unwrap();
    assert_eq!(bytes.len(), 300, "up to the end of the segment");
    assert!(bytes[SEGMENT_HEADER_LEN + LEN..].iter().all(|byte| *byte == 0));
    append(&mut log, 2..=3);
    assert_eq!(disk.used(), 300);
    assert_eq!(log.segments()[0].bytes as usize, SEGMENT_HEADER_LEN + 3 * LEN);
    append(&mut log, 4..=4);
    let full = disk.contents(&file(1)).unwrap();
    assert_eq!(full.len(), SEGMENT_HEADER_LEN + 3 * LEN, "no frame would fit behind");
    log.sync().unwrap();
    log.trim().unwrap();
    assert_eq!(disk.contents(&file(2)).unwrap().len(), SEGMENT_HEADER_LEN + LEN);
}

#[test]
fn zeros_behind_the_last_frame_are_none_of_a_crash_and_no_damage() {
    for frames in [0, 1, 2, 3, 5] {
        let disk = SimDisk::new(1);
        let (mut log, _) = open_from(&disk, AHEAD, None).unwrap();
        append(&mut log, 1..=frames);
        log.sync().unwrap();
        disk.kill();
        disk.restart();
        let report = Log::check(&disk, &dir()).unwrap();
        assert!(report.problems.is_empty() && report.torn.is_none());
        assert_eq!((report.frames, report.end.unwrap()), (frames, log.mark()));
        let (log, found) = open_from(&disk, AHEAD, None).unwrap();
        assert_eq!((found, log.cut()), ((1..=frames).collect(), None));
        let bytes: u64 = log.segments().iter().map(|segment| segment.bytes).sum();
        assert_eq!(disk.used(), bytes, "the file ends where its frames do");
    }
}

#[test]
fn a_frame_that_is_torn_in_the_room_made_for_it_is_cut_off() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open_from(&disk, AHEAD, None).unwrap();
    append(&mut log, 1..=2);
    disk.kill();
    disk.restart();
    let (second, whole) = (SEGMENT_HEADER_LEN + LEN, disk.contents(&file(1)).unwrap());
    for lost in [0..4, 0..LEN - 1, 30..LEN, LEN - 1..LEN] {
        disk.set_contents(&file(1), whole.clone());
        change(&disk, 1, |bytes| bytes[second..][lost].fill(0));
        let report = Log::check(&disk, &dir()).unwrap();
        assert!(report.problems.is_empty());
        assert_eq!(report.torn.unwrap().offset, second as u64);
        let copy = SimDisk::new(1);
        copy.set_contents(&file(1), disk.contents(&file(1)).unwrap());
        let (log, found) = open_from(&copy, AHEAD, None).unwrap();
        assert_eq!((found, log.cut().unwrap().bytes), (vec![1], 300 - second as u64));
        assert_eq!(copy.used(), second as u64);
    }
    change(&disk, 1, |bytes| bytes[second..].fill(0));
    assert_eq!(open_from(&disk, AHEAD, None).unwrap().1, [1]);
}

#[test]
fn zeros_in_place_of_a_frame_that_was_synced_are_damage() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open_from(&disk, AHEAD, None).unwrap();
    for number in 1..=5 {
        append(&mut log, number..=number);
        log.sync().unwrap();
    }
    let whole = disk.contents(&file(1)).unwrap();
    change(&disk, 1, |bytes| bytes[SEGMENT_HEADER_LEN + 2 * LEN..].fill(0));
    let mut found = 0;
    let read = log.frames_of(SegmentId(1), &mut |_| {
        found += 1;
        Ok(())
    });
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    assert_eq!(found, 2);
    disk.set_contents(&file(1), whole);
    disk.kill();
    disk.restart();
    let of_a_full_segment = disk.contents(&file(1)).unwrap();
    change(&disk, 1, |bytes| bytes[SEGMENT_HEADER_LEN + 2 * LEN..].fill(0));
    assert_eq!(damage(&disk).0, "00000002.log", "it does not go on where the one before ends");
    disk.set_contents(&file(1), of_a_full_segment);
    change(&disk, 2, |bytes| bytes[SEGMENT_HEADER_LEN..][..LEN].fill(0));
    let (name, offset, _) = damage(&disk);
    assert_eq!((name.as_str(), offset), ("00000002.log", SEGMENT_HEADER_LEN as u64));
}

#[test]
fn a_frame_is_written_where_there_is_no_room_for_those_to_come() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open_from(&disk, AHEAD, None).unwrap();
    let full = (SEGMENT_HEADER_LEN + 2 * LEN) as u64;
    disk.set_capacity(Some(full));
    append(&mut log, 1..=2);
    assert_eq!(disk.used(), full);
    assert!(log.append(&mut frame(3)).unwrap_err().is_disk_full());
    disk.set_capacity(None);
    append(&mut log, 3..=3);
    log.sync().unwrap();
    disk.lose_power();
    disk.restart();
    assert_eq!(open_from(&disk, AHEAD, None).unwrap().1, [1, 2, 3]);
}
