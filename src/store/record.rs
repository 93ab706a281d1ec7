//! What a frame of the log tells: messages that entered queues, and what became of them.
//!
//! Each record begins with a byte that says what it is. Numbers are varints unless a size is given;
//! numbers of a fixed size are little endian.
//!
//! ```text
//! message, moved   kind u8 | length u32 | flags u8 | priority u8 | exchange length u8
//!                  | routing key length u8 | properties length | body length
//!                  | number of places | places | extras | exchange | routing key | properties | body
//!                  | CRC-32C u32
//!   length         of the record, from its kind to its checksum
//!   flags          1 transient, 2 persistent, 4 extras, 8 places that expire, 16 places that wait
//!   place          queue | position | [expires + 1, 0 for never] | [0, or 1 and due]
//!   extras         flags u8: 1 time to live, 2 due | [time to live] | [due]
//!                  | number of copies | copies | number of blind copies | blind copies
//!   copy           length | routing key
//!   CRC-32C        of everything before it
//! settled          kind u8 | queue | number of ranges | ranges
//! delivered        kind u8 | queue | number of ranges | ranges
//!   range          first position, less the position after the range before | positions - 1
//! returned         kind u8 | queue | position | returns | 0, or 1 and due
//! cleared          kind u8 | queue | from | to
//! removed queue    kind u8 | queue
//! put              kind u8 | length | key | length | value
//! removed          kind u8 | length | key
//! ```
//!
//! A message's record is read without the frame around it, so it has a checksum of its own. The other
//! records are covered by that of their frame.

mod builder;
mod message;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::ops::RangeInclusive;

pub use self::builder::FrameBuilder;
pub use self::message::{BODY_COPIED_MAX, MessageRecord, Places, decode_message};
use super::encoding::{Input, Malformed};
use super::frame::FRAME_HEADER_LEN;
use super::place::{Location, SegmentId};
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// The byte that a record begins with.
mod kind {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const MOVED: u8 = 2;
    pub(super) const SETTLED: u8 = 3;
    pub(super) const DELIVERED: u8 = 4;
    pub(super) const RETURNED: u8 = 5;
    pub(super) const CLEARED: u8 = 6;
    pub(super) const REMOVED_QUEUE: u8 = 7;
    pub(super) const PUT: u8 = 8;
    pub(super) const REMOVED: u8 = 9;
}

/// A place that a message takes in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPlace {
    /// The queue.
    pub queue: QueueId,
    /// Where it stands there.
    pub position: Position,
    /// From when on it is dead; [`Timestamp::NEVER`] for most.
    pub expires: Timestamp,
    /// It waits for this moment.
    pub due: Option<Timestamp>,
}

/// Where a message's record lies in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSpan {
    /// The record's first byte, counted from the first byte of the frame's header.
    pub offset: u32,
    /// Bytes in the record, checksum included.
    pub length: u32,
}

impl RecordSpan {
    /// Where the record lies in the log, for a frame that begins at `frame_offset` of a segment's file.
    pub fn location(self, segment: SegmentId, frame_offset: u32) -> Location {
        // A frame that was appended ends within 32 bits: see `FRAME_LEN_MAX`.
        let offset = frame_offset.saturating_add(self.offset);
        Location { segment, offset, length: self.length }
    }
}

/// One record of a frame. What it holds lies in the frame's payload.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A message entered queues.
    Message(MessageRecord<'a>),
    /// A message that was in the log before lies here from now on, for the places that it still has.
    /// What else is known of them stays.
    Moved(MessageRecord<'a>),
    /// They left the queue for good.
    Settled {
        /// The queue.
        queue: QueueId,
        /// Where they stood.
        positions: Ranges<'a>,
    },
    /// They are with consumers.
    Delivered {
        /// The queue.
        queue: QueueId,
        /// Where they stand.
        positions: Ranges<'a>,
    },
    /// One came back.
    Returned {
        /// The queue.
        queue: QueueId,
        /// Where it stands.
        position: Position,
        /// Times it came back so far.
        returns: u32,
        /// It waits for this moment before it is delivered again.
        due: Option<Timestamp>,
    },
    /// All that waits for no time left the queue.
    Cleared {
        /// The queue.
        queue: QueueId,
        /// The first position.
        from: Position,
        /// The position after the last.
        to: Position,
    },
    /// A queue is gone, with all that is in it.
    RemovedQueue {
        /// The queue.
        queue: QueueId,
    },
    /// A key of the broker's has this value from now on.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// A key of the broker's is gone.
    Removed {
        /// The key.
        key: &'a [u8],
    },
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordError {
    /// Where the record begins, counted like [`RecordSpan::offset`]; 0 for a record by itself.
    pub offset: u32,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a record: {}", self.what)
    }
}

impl std::error::Error for RecordError {}

/// The records of a frame, in order. The first one that is none is the last.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: Input<'a>,
    total: usize,
}

impl<'a> Records<'a> {
    /// Those in a frame's payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: Input(payload), total: payload.len() }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = FRAME_HEADER_LEN + (self.total - self.rest.0.len());
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let record = record(&mut self.rest, offset);
        Some(record.map_err(|Malformed(what)| {
            self.rest = Input(&[]);
            RecordError { offset, what }
        }))
    }
}

fn record<'a>(input: &mut Input<'a>, offset: u32) -> Result<Record<'a>, Malformed> {
    let start = *input;
    let kind = input.byte()?;
    if let kind::MESSAGE | kind::MOVED = kind {
        *input = start;
        let message = message::read(input, offset)?;
        let moved = kind == kind::MOVED;
        return Ok(if moved { Record::Moved(message) } else { Record::Message(message) });
    }
    match kind {
        kind::PUT => {
            return Ok(Record::Put { key: input.sized_bytes()?, value: input.sized_bytes()? });
        }
        kind::REMOVED => return Ok(Record::Removed { key: input.sized_bytes()? }),
        _ => {}
    }
    let queue = QueueId(input.varint()?);
    Ok(match kind {
        kind::SETTLED => Record::Settled { queue, positions: Ranges::read(input)? },
        kind::DELIVERED => Record::Delivered { queue, positions: Ranges::read(input)? },
        kind::RETURNED => Record::Returned {
            queue,
            position: Position(input.varint()?),
            returns: u32::try_from(input.varint()?)
                .map_err(|_| Malformed("it came back too often"))?,
            due: optional_timestamp(input)?,
        },
        kind::CLEARED => Record::Cleared {
            queue,
            from: Position(input.varint()?),
            to: Position(input.varint()?),
        },
        kind::REMOVED_QUEUE => Record::RemovedQueue { queue },
        _ => return Err(Malformed("of an unknown kind")),
    })
}

fn optional_timestamp(input: &mut Input<'_>) -> Result<Option<Timestamp>, Malformed> {
    match input.byte()? {
        0 => Ok(None),
        1 => Ok(Some(Timestamp(input.varint()?))),
        _ => Err(Malformed("a time that neither is nor isn't")),
    }
}

/// Positions of a queue, as ranges.
#[derive(Debug, Clone, Copy)]
pub struct Ranges<'a> {
    /// Ranges that were read once already.
    rest: Input<'a>,
    after: u64,
}

impl<'a> Ranges<'a> {
    /// Steps over them, which shows that they can be read.
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let count = input.varint()?;
        let start = *input;
        let mut after = 0;
        for _ in 0..count {
            after = Self::range(input, after)?.end().wrapping_add(1);
        }
        let length = start.0.len() - input.0.len();
        Ok(Self { rest: Input(&start.0[..length]), after: 0 })
    }

    fn range(input: &mut Input<'_>, after: u64) -> Result<RangeInclusive<u64>, Malformed> {
        let first = after.wrapping_add(input.varint()?);
        let more = input.varint()?;
        let last = first.checked_add(more).ok_or(Malformed("a range without an end"))?;
        Ok(first..=last)
    }
}

impl Iterator for Ranges<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let range = Self::range(&mut self.rest, self.after).ok()?;
        self.after = range.end().wrapping_add(1);
        Some(range)
    }
}
