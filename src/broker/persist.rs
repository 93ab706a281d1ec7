//! What durable state is told to whoever writes it down.

use std::fmt;

use super::effect::Position;
use super::message::Message;
use super::queue_cell::QueueId;
use super::time::Timestamp;

/// One thing that happened in a queue, and that must outlive the process.
///
/// A position has at most one message in its life, so its state is what the last record says of it.
#[derive(Debug, Clone)]
pub enum QueueRecord {
    /// A message took its place.
    Entered {
        /// Where it stands.
        position: Position,
        /// The message.
        message: Message,
        /// From when on it is dead.
        expires: Timestamp,
        /// It waits for this moment.
        due: Option<Timestamp>,
    },
    /// A message that does not outlive the process leaves memory.
    PagedOut {
        /// Where it stands.
        position: Position,
        /// The message.
        message: Message,
        /// From when on it is dead.
        expires: Timestamp,
        /// It waits for this moment.
        due: Option<Timestamp>,
    },
    /// Somebody has it now, and has not settled it.
    Delivered(Position),
    /// It came back.
    Returned {
        /// Where it stands.
        position: Position,
        /// Times it came back so far.
        returns: u32,
        /// It waits for this moment before it is delivered again.
        due: Option<Timestamp>,
    },
    /// It left for good.
    Settled(Position),
    /// All that waited for no time, from the first position to before the second one, left for good.
    Cleared(Position, Position),
}

/// Where the broker records what must outlive the process.
///
/// Called under the locks that order what is recorded: a queue's, that of a vhost's topology, or that of
/// an exchange's deduplication window. So the records of one queue are in its own order. An implementation takes a leaf lock at most, and does no
/// I/O.
pub trait Persist: Send + Sync + fmt::Debug {
    /// Takes what happened in a queue, in order, leaving `records` empty.
    fn record(&self, queue: QueueId, records: &mut Vec<QueueRecord>);

    /// A durable queue is gone, with all that was recorded of it.
    fn remove_queue(&self, queue: QueueId);

    /// Remembers a value under a key: a definition, or what is to be known as a duplicate.
    fn put(&self, key: Vec<u8>, value: Vec<u8>);

    /// Forgets a key.
    fn remove(&self, key: Vec<u8>);

    /// Whether messages may be left to it and asked for again
    /// ([`Wanted`](super::effect::Wanted)): then deep queues need not lie in memory.
    fn keeps_messages(&self) -> bool;
}
