//! Durability: what outlives the process, and when a publisher may be told so.

mod block;
mod error;
mod index;
mod key_value;
mod memory;
mod place;
#[cfg(test)]
mod test_folder;

use std::fmt;

pub use self::error::StoreError;
pub use self::index::{Changes, CheckpointMark, Index, IndexReport, Live, ReadBlock, Summary};
pub use self::key_value::{Batch, KeyValue, MemoryKeyValue, Pair, Pairs, SledKeyValue};
pub use self::memory::MemoryStore;
pub use self::place::{Location, Place, SegmentId};
use crate::broker::effect::Persist;

/// A store for durable queues' messages.
///
/// Queues record what happens to them through [`Persist`], under their own lock and so in their own
/// order; a publisher's confirms go through [`Store::when_durable`] afterwards and come back once all
/// that was recorded before is safe.
pub trait Store: Persist + fmt::Debug {
    /// Calls `confirmation` once everything recorded before this call is as safe as the store's
    /// durability level promises: at once or later, on this thread or another.
    fn when_durable(&self, confirmation: Box<dyn Confirmation>);
}

/// Somebody who waits for a batch of publishes to be safe.
pub trait Confirmation: Send {
    /// They are.
    fn durable(self: Box<Self>);
}
