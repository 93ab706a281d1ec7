//! An ordered map on disk, as the index needs it.

mod memory;
mod sled;

use std::fmt;
use std::path::Path;

pub use self::memory::MemoryKeyValue;
pub use self::sled::SledKeyValue;
use super::error::StoreError;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Keys in their order, each with its value; what cannot be read ends it with an error.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>;

/// An ordered map from bytes to bytes that outlives the process.
///
/// What was applied and not flushed may be lost at a crash: whole batches, from the end.
pub trait KeyValue: Send + Sync + fmt::Debug {
    /// Where it lies, for messages.
    fn path(&self) -> &Path;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Makes all changes of a batch, or none.
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;

    /// The keys from `from` to before `to`, in their order.
    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_>;

    /// Returns once all that was applied before survives the loss of power.
    fn flush(&self) -> Result<(), StoreError>;
}

/// Changes that are made together.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// A value to put, or none to remove; a later change of the same key counts.
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Batch {
    /// Sets a key's value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.changes.push((key, Some(value)));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.changes.push((key, None));
    }

    /// Bytes in its keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The first key after all those that start with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing sorts after a prefix of 0xFF alone; no key of ours starts so.
    vec![u8::MAX; prefix.len() + 1]
}

#[cfg(test)]
mod tests;
