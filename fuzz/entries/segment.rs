//! A segment of the log with arbitrary bytes in it: what is recovered can be gone on with.
//!
//! The tests run this on random input, the fuzzer on its own.

use std::path::Path;
use std::sync::Arc;

use leveret::store::StoreError;
use leveret::store::log::{Log, LogFrame, LogOptions};
use leveret::store::record::{FrameBuilder, Record};
use leveret::store::sim_disk::SimDisk;

const DIR: &str = "/log";
const SEGMENT: &str = "/log/00000001.log";

/// Recovers a log whose only segment is made of the input: its first byte says how.
pub(crate) fn recover(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let disk = SimDisk::new(0);
    let segment = match how % 4 {
        0 => bytes.to_vec(),
        1 => [written(), bytes.to_vec()].concat(),
        2 => cut_off(bytes),
        _ => changed(bytes),
    };
    let original = segment.clone();
    disk.set_contents(Path::new(SEGMENT), segment);
    // It must not panic; what it says depends on chance.
    let _ = Log::check(&disk, Path::new(DIR)).expect("the directory can be read");
    let Ok((mut log, frames)) = open(&disk) else {
        assert_eq!(disk.contents(Path::new(SEGMENT)), Some(original), "nothing is changed");
        return;
    };
    log.append(&mut frame(99)).expect("a disk with room");
    log.sync().expect("a disk that works");
    let (_, again) = open(&disk).expect("it was recovered");
    assert_eq!(again, frames + 1);
}

fn open(disk: &SimDisk) -> Result<(Log, u64), StoreError> {
    let mut frames = 0;
    let apply = &mut |frame: &LogFrame<'_>| {
        frames += 1;
        look_at_records(frame);
        Ok(())
    };
    let disk = Arc::new(disk.clone());
    let log = Log::open(disk, Path::new(DIR), LogOptions::default())?.replay(None, apply)?;
    Ok((log, frames))
}

fn look_at_records(frame: &LogFrame<'_>) {
    for record in frame.records() {
        match record {
            Ok(Record::Settled { positions, .. } | Record::Delivered { positions, .. }) => {
                positions.for_each(drop);
            }
            Ok(Record::Message(message) | Record::Moved(message)) => message.places.for_each(drop),
            _ => {}
        }
    }
}

fn frame(number: u8) -> FrameBuilder {
    let mut builder = FrameBuilder::new();
    builder.put(&[number], b"value");
    builder
}

/// A segment with three frames.
fn written() -> Vec<u8> {
    let disk = SimDisk::new(0);
    let (mut log, _) = open(&disk).expect("an empty directory");
    for number in 0..3 {
        log.append(&mut frame(number)).expect("a disk with room");
        log.sync().expect("a disk that works");
    }
    disk.contents(Path::new(SEGMENT)).expect("it was begun")
}

/// The same up to a byte, and then the input.
fn cut_off(bytes: &[u8]) -> Vec<u8> {
    let Some((&at, bytes)) = bytes.split_first() else { return Vec::new() };
    let mut segment = written();
    segment.truncate(at.into());
    segment.extend_from_slice(bytes);
    segment
}

/// The same with bytes exchanged: the input is pairs of where and what.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut segment = written();
    for pair in bytes.chunks_exact(2) {
        let at = usize::from(pair[0]) % segment.len();
        segment[at] ^= pair[1];
    }
    segment
}
