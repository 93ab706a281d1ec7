//! Brings the index on disk up to date beside the writer, and lets segments go that are not needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::durable::Shared;
use super::error::StoreError;
use super::inbox::{Checkpointed, Survivor};
use super::index::{CheckpointMark, Index};
use super::log::{LogFiles, LogFrame, LogReader};
use super::place::{Location, SegmentId};
use super::record::{NewPlace, Record};
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;

/// A segment is given up when less than this share of it is needed.
const SPARSE: f64 = 0.3;

/// Bytes of messages that are written anew after one checkpoint: what the writer does in a moment.
const SURVIVORS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of segments that are searched for them after one checkpoint: the next one waits as long.
const SEARCHED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The writer froze the index at this mark.
#[derive(Debug)]
pub(super) struct CheckpointRequest {
    pub(super) mark: CheckpointMark,
}

/// Makes checkpoints as they are asked for.
pub(super) struct Checkpointer {
    pub(super) shared: Arc<Shared>,
    pub(super) index: Arc<Index>,
    pub(super) files: Arc<LogFiles>,
    pub(super) log: LogReader,
}

impl Checkpointer {
    /// Runs until nobody can ask any more.
    pub(super) fn run(&self, requests: &Receiver<CheckpointRequest>) {
        while let Ok(request) = requests.recv() {
            self.answer(&request);
        }
    }

    /// Makes a checkpoint, and has the writer know.
    pub(super) fn answer(&self, request: &CheckpointRequest) {
        let checkpointed = match self.checkpoint(request.mark) {
            Ok(survivors) => Checkpointed::Done(survivors),
            Err(error) => Checkpointed::Failed(request.mark, error),
        };
        self.shared.inbox.checkpointed(checkpointed);
    }

    /// Writes the index; then removes segments that nothing refers to, and says what is to be written
    /// anew so that others can be.
    fn checkpoint(&self, mark: CheckpointMark) -> Result<Vec<Survivor>, StoreError> {
        self.shared.write_frozen(&self.index)?;
        let all: Vec<(SegmentId, u64)> =
            self.files.segments().iter().map(|segment| (segment.id, segment.bytes)).collect();
        let dead = self.index.dead_segments(&all, mark);
        if !dead.is_empty() {
            self.files.remove(&dead)?;
        }
        let mut survivors = Vec::new();
        if self.shared.is_disk_low() {
            // They would take room first and give some back later.
            return Ok(survivors);
        }
        let (mut bytes, mut looked_through) = (0, 0);
        for segment in self.index.sparse_segments(&all, mark, SPARSE) {
            if bytes >= SURVIVORS_BYTES_MAX || looked_through >= SEARCHED_BYTES_MAX {
                break;
            }
            let size = all.iter().find(|(id, _)| *id == segment).map_or(0, |(_, size)| *size);
            looked_through += size;
            match self.survivors(segment, &mut survivors, &mut bytes) {
                // It keeps its space, and what is good in it can still be read.
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!("segment {} is not given up: {error}", segment.0);
                }
                result => result?,
            }
        }
        Ok(survivors)
    }

    /// The messages of a segment that are still needed.
    fn survivors(
        &self,
        segment: SegmentId,
        survivors: &mut Vec<Survivor>,
        bytes: &mut usize,
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        self.files.frames_of(segment, &mut |frame| self.find_survivors(frame, &mut found))?;
        let locations: Vec<_> = found.iter().map(|(location, _)| *location).collect();
        for (record, (_, places)) in self.log.read_many(&locations).into_iter().zip(found) {
            let record = record?;
            *bytes += record.len();
            survivors.push(Survivor { record, places });
        }
        Ok(())
    }

    /// The messages of a frame that are where a queue expects them, with the places that they still have.
    fn find_survivors(
        &self,
        frame: &LogFrame<'_>,
        found: &mut Vec<(Location, Vec<NewPlace>)>,
    ) -> Result<(), StoreError> {
        let mut messages = Vec::new();
        let mut wanted: BTreeMap<QueueId, Vec<Position>> = BTreeMap::new();
        for record in frame.records() {
            let record = record.map_err(|error| frame.corrupt(error))?;
            if let Record::Message(message) | Record::Moved(message) = record {
                for place in message.places {
                    wanted.entry(place.queue).or_default().push(place.position);
                }
                messages.push(message);
            }
        }
        // Queue by queue: each block of the index is looked at once.
        let mut known = HashMap::new();
        for (queue, positions) in wanted {
            let places = self.index.places(queue, positions)?.into_iter();
            known.extend(places.map(|(position, place)| ((queue, position), place.location)));
        }
        for message in messages {
            let location = message.span.location(frame.segment, frame.offset);
            let is_here =
                |place: &NewPlace| known.get(&(place.queue, place.position)) == Some(&location);
            let places: Vec<NewPlace> = message.places.filter(is_here).collect();
            if !places.is_empty() {
                found.push((location, places));
            }
        }
        Ok(())
    }
}
