//! A data directory without a broker: what is in it, whether all of it is sound, and a new index for one
//! that lost its own.

mod check;
mod rebuild;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::directory::Directory;
use super::durable::{INDEX_CACHE_BYTES, INDEX_DIR};
use super::error::StoreError;
use super::index::{CheckpointMark, Index, Live, Summary};
use super::key_value::{Pair, SledKeyValue};
use super::log::{Log, LogOptions, LogReader, TornTail};
use super::place::{Location, Place, SegmentId};
use super::read_only_disk::ReadOnlyDisk;
use super::recovery;
use super::scratch::ScratchFolder;
use crate::broker::effect::Position;
use crate::broker::message::Message;
use crate::broker::queue_cell::QueueId;

pub use self::check::{QueueContents, StoreReport, check};
pub use self::rebuild::{RebuildError, RebuildForm, Rebuilt, rebuild};
pub use super::log::{LogReport, SegmentReport};

/// Bytes of records that are read at a time.
const READ_BYTES: u64 = 16 * 1024 * 1024;

/// What is in a data directory, as a broker would find it: the index of the last checkpoint, and the log
/// since. Nothing in it is changed, and no broker runs on it meanwhile.
#[derive(Debug)]
pub struct OfflineStore {
    // Dropped before the folder that the index lies in.
    index: Index,
    reader: LogReader,
    queues: Vec<(QueueId, Summary)>,
    mark: Option<CheckpointMark>,
    cut: Option<TornTail>,
    damage: Option<StoreError>,
    _scratch: ScratchFolder,
    _directory: Arc<Directory>,
}

/// A message of a queue.
#[derive(Debug)]
pub struct OfflineMessage {
    /// Where it stands.
    pub position: Position,
    /// What is known of it there.
    pub place: Place,
    /// The message, if it can be read.
    pub message: Result<Message, StoreError>,
}

impl OfflineStore {
    /// Opens a directory.
    ///
    /// The index is copied into the system's temporary folder and opened there, because sled writes to
    /// what it opens.
    ///
    /// # Errors
    /// It is not there, it is something else, or in use; its index can't be opened. Damage of the log is
    /// no error: see [`OfflineStore::damage`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_in(Arc::new(Directory::open_existing(dir)?), dir)
    }

    fn open_in(directory: Arc<Directory>, dir: &Path) -> Result<Self, StoreError> {
        let scratch = ScratchFolder::new()?;
        let original = dir.join(INDEX_DIR);
        let copy = scratch.copy_of(&original, INDEX_DIR)?;
        let kv = SledKeyValue::open_copy(copy, original, INDEX_CACHE_BYTES);
        let opened = kv.and_then(|kv| Index::open(Arc::new(kv)));
        let (index, mark) = opened.map_err(|error| error.of_index(dir))?;
        let log = Log::open(Arc::new(ReadOnlyDisk), &dir.join("log"), LogOptions::default())?;
        let (reader, segments) = (log.reader(), log.segments());
        let replayed = recovery::replay(log, mark, &mut |frame| recovery::apply(frame, &index));
        let (cut, damage) = match replayed {
            Ok(log) => (log.cut().cloned(), None),
            Err(error @ StoreError::NoIndex { .. }) => return Err(error),
            Err(error) => (None, Some(error)),
        };
        // The next process would begin a segment of its own at the earliest behind these.
        let boot = segments.last().map_or(1, |segment| segment.id.0.saturating_add(1));
        let queues = index.finish_recovery(SegmentId(boot))?;
        // Into the copy: so memory is bounded, and the counts are exact.
        if index.freeze(mark.unwrap_or(NO_MARK)) {
            index.write_frozen()?;
        }
        Ok(Self {
            index,
            reader,
            queues,
            mark,
            cut,
            damage,
            _scratch: scratch,
            _directory: directory,
        })
    }

    /// Why not all of the log could be read: what is known is as of there.
    pub fn damage(&self) -> Option<&StoreError> {
        self.damage.as_ref()
    }

    /// The log's end that a broker would cut off.
    pub fn cut(&self) -> Option<&TornTail> {
        self.cut.as_ref()
    }

    /// Where the last checkpoint ended.
    pub fn mark(&self) -> Option<CheckpointMark> {
        self.mark
    }

    /// All keys and values, as they were put.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn values(&self) -> Result<Vec<Pair>, StoreError> {
        self.index.scan(&[])
    }

    /// The queues that hold something, or did.
    pub fn queues(&self) -> &[(QueueId, Summary)] {
        &self.queues
    }

    /// What refers to a segment.
    pub fn live(&self, segment: SegmentId) -> Live {
        self.index.live(segment)
    }

    /// Goes through a queue in the order of its positions, those that wait for their moment among them,
    /// until `visit` says no. However much it holds, little of it is in memory.
    ///
    /// # Errors
    /// The index can't be read, or what `visit` says. A message that can't be read is told to `visit`.
    pub fn each_message<E: From<StoreError>>(
        &self,
        queue: QueueId,
        visit: &mut dyn FnMut(OfflineMessage) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut from = Position(0);
        while let Some(block) = self.index.stored_block(queue, from)? {
            let mut rest = &block.entries[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(within_bytes(rest));
                rest = later;
                let locations: Vec<Location> =
                    now.iter().map(|(_, place)| place.location).collect();
                let messages = self.reader.read_messages(&locations);
                for (message, (position, place)) in messages.into_iter().zip(now) {
                    visit(OfflineMessage { position: *position, place: *place, message })?;
                }
            }
            if block.next <= from {
                break;
            }
            from = block.next;
        }
        Ok(())
    }
}

/// Where a log begins that was never folded into an index.
const NO_MARK: CheckpointMark = CheckpointMark { segment: SegmentId(1), offset: 0, sequence: 1 };

/// How many of the first are read at once: one at least.
fn within_bytes(entries: &[(Position, Place)]) -> usize {
    let mut bytes = 0_u64;
    let fits = entries.iter().take_while(|(_, place)| {
        bytes += u64::from(place.location.length);
        bytes <= READ_BYTES
    });
    fits.count().max(1)
}
