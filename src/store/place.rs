//! Where a message lies in the log, and what is known of its place in a queue.

use crate::broker::time::Timestamp;

/// A segment of the log: its files are numbered from 1, in the order they were begun, and no number is
/// used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

/// Where a message's record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The segment.
    pub segment: SegmentId,
    /// The record's first byte, counted from the start of the file.
    pub offset: u32,
    /// Bytes in the record, its head and checksum included.
    pub length: u32,
}

/// What the index keeps for each message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where the message lies. Several queues may share one record.
    pub location: Location,
    /// Bytes in the body.
    pub body_len: u64,
    /// From when on it is dead; [`Timestamp::NEVER`] for most.
    pub expires: Timestamp,
    /// It waits for this moment; `None` for what is ready, or delivered.
    pub due: Option<Timestamp>,
    /// Times it was delivered and came back.
    pub returns: u32,
    /// It was delivered since it last came back, if it ever did.
    pub delivered: bool,
    /// It is here only to spare memory, and does not outlive the process.
    pub transient: bool,
}
