//! Durability: what outlives the process, and when a publisher may be told so.

mod batch;
mod block;
mod checkpointer;
#[cfg(test)]
mod crash_tests;
mod directory;
pub mod disk;
mod durable;
mod encoding;
mod error;
pub mod frame;
mod inbox;
mod index;
mod key_value;
pub mod log;
mod memory;
pub mod offline;
mod place;
mod read_only_disk;
mod reader;
pub mod record;
mod recovery;
mod scratch;
mod segment;
pub mod sim_disk;
mod snapshot;
#[cfg(test)]
mod test_folder;
mod unit;
mod writer;

use std::fmt;

pub use self::durable::{Durability, DurableOptions, DurableStore, Recovered};
pub use self::error::StoreError;
pub use self::index::{Changes, CheckpointMark, Index, IndexReport, Live, ReadBlock, Summary};
pub use self::key_value::{Batch, KeyValue, MemoryKeyValue, Pair, Pairs, SledKeyValue};
pub use self::memory::MemoryStore;
pub use self::place::{Location, Place, SegmentId};
pub use self::snapshot::SnapshotForm;
pub use self::unit::Unit;
pub use self::writer::CheckpointRule;

use crate::broker::effect::{Page, Wanted};
use crate::broker::persist::Persist;
use crate::broker::queue_cell::QueueId;

/// A store for durable queues' messages.
///
/// Queues record what happens to them through [`Persist`], under their own lock and so in their own
/// order; a publisher's confirms go through [`Store::when_durable`] afterwards and come back once all
/// that was recorded before is safe.
pub trait Store: Persist + fmt::Debug {
    /// Until the guard is dropped, what is recorded becomes durable all together or not at all, together
    /// with what others record meanwhile. To be held for as long as it takes to enqueue a batch.
    ///
    /// Taken before any lock of the broker, and not by those who hold one already.
    fn unit(&self) -> Unit<'_>;

    /// The same for somebody who may hold one already.
    fn nested_unit(&self) -> Unit<'_>;

    /// Reads messages back that a queue left to the store; `requester` is told once they are there, on
    /// another thread.
    fn fetch(&self, queue: QueueId, wanted: Wanted, requester: Box<dyn Requester>);

    /// Whether publishers are to wait until more is written.
    fn is_congested(&self) -> bool;

    /// Whether publishers are to wait until there is room on the disk.
    fn is_disk_low(&self) -> bool;

    /// Free bytes on the disk below which publishers are to wait from now on. One that writes nothing has no use for
    /// it.
    fn set_disk_free_limit(&self, _bytes: u64) {}

    /// Calls `confirmation` once everything recorded before this call is as safe as the store's
    /// durability level promises: at once or later, on this thread or another.
    fn when_durable(&self, confirmation: Box<dyn Confirmation>);
}

/// Somebody who wants messages back.
pub trait Requester: Send {
    /// Here they are. Called once, without any lock held.
    fn arrived(self: Box<Self>, page: Page);
}

/// Somebody who waits for a batch of publishes to be safe.
pub trait Confirmation: Send {
    /// They are.
    fn durable(self: Box<Self>);
}
