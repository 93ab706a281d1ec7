//! A frame while it is being filled.

use std::fmt;
use std::ops::RangeInclusive;

use super::super::encoding::{put_bytes, put_varint};
use super::super::frame::FRAME_HEADER_LEN;
use super::{NewPlace, RecordError, RecordSpan, kind, message};
use crate::broker::effect::Position;
use crate::broker::message::Message;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// Memory that an empty builder keeps for the next frame.
const KEPT_CAPACITY: usize = 4 * 1024 * 1024;

/// A frame of records that is to be appended to the log: one buffer, used again and again.
pub struct FrameBuilder {
    /// Room for the header, then the records.
    buffer: Vec<u8>,
}

impl FrameBuilder {
    /// One without records.
    pub fn new() -> Self {
        Self { buffer: vec![0; FRAME_HEADER_LEN] }
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == FRAME_HEADER_LEN
    }

    /// Bytes in the frame, header included.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets the records.
    pub fn clear(&mut self) {
        self.buffer.truncate(FRAME_HEADER_LEN);
        self.buffer.shrink_to(KEPT_CAPACITY);
    }

    /// A message entered queues.
    pub fn message(
        &mut self,
        message: &Message,
        places: &[NewPlace],
        transient: bool,
    ) -> RecordSpan {
        let start = self.buffer.len();
        message::put(&mut self.buffer, message, places, transient);
        self.span_from(start)
    }

    /// A message of which the log has a record (read with [`LogReader::read_many`]) lies here from now
    /// on, for these places.
    ///
    /// # Errors
    /// The record is damaged: nothing is added.
    ///
    /// [`LogReader::read_many`]: super::super::log::LogReader::read_many
    pub fn moved(&mut self, record: &[u8], places: &[NewPlace]) -> Result<RecordSpan, RecordError> {
        let start = self.buffer.len();
        message::put_moved(&mut self.buffer, record, places)?;
        Ok(self.span_from(start))
    }

    /// Messages left a queue for good. The ranges are shortest in ascending order.
    pub fn settled(&mut self, queue: QueueId, positions: &[RangeInclusive<u64>]) {
        self.ranges(kind::SETTLED, queue, positions);
    }

    /// Messages are with consumers.
    pub fn delivered(&mut self, queue: QueueId, positions: &[RangeInclusive<u64>]) {
        self.ranges(kind::DELIVERED, queue, positions);
    }

    /// A message came back, for the `returns`th time, and waits until `due`.
    pub fn returned(
        &mut self,
        queue: QueueId,
        position: Position,
        returns: u32,
        due: Option<Timestamp>,
    ) {
        self.numbers(kind::RETURNED, &[queue.0, position.0, returns.into()]);
        message::put_optional_timestamp(&mut self.buffer, due);
    }

    /// All that waited for no time, from the first position to before the second, left a queue.
    pub fn cleared(&mut self, queue: QueueId, from: Position, to: Position) {
        self.numbers(kind::CLEARED, &[queue.0, from.0, to.0]);
    }

    /// A queue is gone.
    pub fn removed_queue(&mut self, queue: QueueId) {
        self.numbers(kind::REMOVED_QUEUE, &[queue.0]);
    }

    /// A key of the broker's has this value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.buffer.push(kind::PUT);
        put_bytes(&mut self.buffer, key);
        put_bytes(&mut self.buffer, value);
    }

    /// A key of the broker's is gone.
    pub fn removed(&mut self, key: &[u8]) {
        self.buffer.push(kind::REMOVED);
        put_bytes(&mut self.buffer, key);
    }

    /// The whole frame; the log fills the header in.
    pub(in super::super) fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn numbers(&mut self, kind: u8, numbers: &[u64]) {
        self.buffer.push(kind);
        for &number in numbers {
            put_varint(&mut self.buffer, number);
        }
    }

    fn ranges(&mut self, kind: u8, queue: QueueId, positions: &[RangeInclusive<u64>]) {
        let positions = positions.iter().filter(|range| !range.is_empty());
        self.numbers(kind, &[queue.0, positions.clone().count() as u64]);
        let mut after = 0_u64;
        for range in positions {
            let (first, last) = (*range.start(), *range.end());
            put_varint(&mut self.buffer, first.wrapping_sub(after));
            put_varint(&mut self.buffer, last - first);
            after = last.wrapping_add(1);
        }
    }

    fn span_from(&self, start: usize) -> RecordSpan {
        // A frame with more than 32 bits of bytes is refused when it is appended.
        let narrow = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        RecordSpan { offset: narrow(start), length: narrow(self.buffer.len() - start) }
    }
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FrameBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuilder").field("len", &self.len()).finish_non_exhaustive()
    }
}
