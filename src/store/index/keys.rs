//! The index's keys and small values. The first byte of a key tells its kind.

use super::super::encoding::{Input, put_varint};
use super::super::place::SegmentId;
use super::live::{Live, Summary};
use super::{CheckpointMark, FORMAT};
use crate::broker::queue_cell::QueueId;

/// Which format the rest has.
pub(super) const FORMAT_KEY: &[u8] = &[0x00, b'f'];

/// Up to where the log is folded in.
pub(super) const MARK_KEY: &[u8] = &[0x00, b'm'];

const SUMMARY: u8 = 0x03;
const SEGMENT: u8 = 0x04;
const BROKER: u8 = 0x10;

/// Which of a block's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Those that are ready or delivered.
    Present = 0x01,
    /// Those that wait for their moment: found without looking at the others.
    Scheduled = 0x02,
}

pub(super) fn block(kind: Kind, queue: QueueId, block: u64) -> Vec<u8> {
    let mut key = blocks(kind, queue);
    key.extend(block.to_be_bytes());
    key
}

/// What all blocks of a queue start with.
pub(super) fn blocks(kind: Kind, queue: QueueId) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.push(kind as u8);
    key.extend(queue.0.to_be_bytes());
    key
}

/// What all blocks of a kind start with.
pub(super) fn kind(kind: Kind) -> [u8; 1] {
    [kind as u8]
}

/// The queue and the number of a block.
pub(super) fn parse_block(key: &[u8]) -> Option<(QueueId, u64)> {
    let (queue, number) = key.get(1..)?.split_first_chunk()?;
    let number = number.try_into().ok()?;
    Some((QueueId(u64::from_be_bytes(*queue)), u64::from_be_bytes(number)))
}

pub(super) fn summary(queue: QueueId) -> Vec<u8> {
    [&SUMMARIES[..], &queue.0.to_be_bytes()].concat()
}

/// What the summaries' keys start with.
pub(super) const SUMMARIES: [u8; 1] = [SUMMARY];

pub(super) fn parse_summary(key: &[u8]) -> Option<QueueId> {
    Some(QueueId(u64::from_be_bytes(key.get(1..)?.try_into().ok()?)))
}

pub(super) fn segment(segment: SegmentId) -> Vec<u8> {
    [&SEGMENTS[..], &segment.0.to_be_bytes()].concat()
}

/// What the segments' keys start with.
pub(super) const SEGMENTS: [u8; 1] = [SEGMENT];

pub(super) fn parse_segment(key: &[u8]) -> Option<SegmentId> {
    Some(SegmentId(u32::from_be_bytes(key.get(1..)?.try_into().ok()?)))
}

pub(super) fn broker(key: &[u8]) -> Vec<u8> {
    [&[BROKER], key].concat()
}

pub(super) fn format_value() -> Vec<u8> {
    numbers(&[FORMAT.into()])
}

pub(super) fn parse_format(value: &[u8]) -> Option<u32> {
    let [format] = parse_numbers(value)?;
    u32::try_from(format).ok()
}

pub(super) fn mark_value(mark: CheckpointMark) -> Vec<u8> {
    numbers(&[mark.segment.0.into(), mark.offset, mark.sequence])
}

pub(super) fn parse_mark(value: &[u8]) -> Option<CheckpointMark> {
    let [segment, offset, sequence] = parse_numbers(value)?;
    let segment = SegmentId(u32::try_from(segment).ok()?);
    Some(CheckpointMark { segment, offset, sequence })
}

/// The first position is not in it: it is found in the first block.
pub(super) fn summary_value(summary: &Summary) -> Vec<u8> {
    let Summary { count, bytes, first: _, next_position, scheduled, transient } = *summary;
    numbers(&[count, bytes, next_position, scheduled, transient])
}

pub(super) fn parse_summary_value(value: &[u8]) -> Option<Summary> {
    let [count, bytes, next_position, scheduled, transient] = parse_numbers(value)?;
    Some(Summary { count, bytes, first: next_position, next_position, scheduled, transient })
}

pub(super) fn live_value(live: Live) -> Vec<u8> {
    numbers(&[live.references, live.bytes])
}

pub(super) fn parse_live(value: &[u8]) -> Option<Live> {
    let [references, bytes] = parse_numbers(value)?;
    Some(Live { references, bytes })
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut value = Vec::new();
    for number in numbers {
        put_varint(&mut value, *number);
    }
    value
}

fn parse_numbers<const N: usize>(value: &[u8]) -> Option<[u64; N]> {
    let mut input = Input(value);
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = input.varint().ok()?;
    }
    input.0.is_empty().then_some(numbers)
}
