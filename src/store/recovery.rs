//! From what lies on the disk to the broker's state.

use std::path::Path;
use std::sync::Arc;

use super::batch::new_place;
use super::disk::Disk;
use super::error::StoreError;
use super::index::{Changes, CheckpointMark, Index, Summary};
use super::key_value::KeyValue;
use super::log::{Log, LogFrame, LogMark, LogOptions, LogRecovery};
use super::place::Location;
use super::reader::PageReader;
use super::record::{MessageRecord, Record, RecordSpan};
use crate::broker::effect::Position;
use crate::broker::queue::Restored;
use crate::broker::queue_cell::QueueId;

/// A store that was brought up to date.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Arc<Index>,
    pub(super) log: Log,
    pub(super) pages: PageReader,
    /// What its queues hold.
    pub(super) queues: Vec<(QueueId, Summary)>,
    /// Bytes of log since the last checkpoint.
    pub(super) replayed: u64,
}

/// Brings the index up to date: what it was at the last checkpoint, and then the log since.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    kv: Arc<dyn KeyValue>,
    options: LogOptions,
) -> Result<Opened, StoreError> {
    let (index, mark) = Index::open(kv).map_err(|error| error.of_index(dir))?;
    let recovery = Log::open(disk, &dir.join("log"), options)?;
    let segments = recovery.segments();
    tracing::info!(
        segments = segments.len(),
        bytes = segments.iter().map(|segment| segment.bytes).sum::<u64>(),
        "recovering: reading the log since the last checkpoint"
    );
    let (mut frames, mut replayed) = (0_u64, 0_u64);
    let log = replay(recovery, mark, &mut |frame| {
        frames += 1;
        replayed += frame.payload.len() as u64;
        apply(frame, &index)
    })?;
    if let Some(cut) = log.cut() {
        tracing::warn!(
            "{}: {} bytes behind byte {} were never completed, and are cut off",
            cut.path.display(),
            cut.bytes,
            cut.offset
        );
    }
    let boot = super::SegmentId(log.mark().segment.0 + 1);
    let queues = index.finish_recovery(boot)?;
    let index = Arc::new(index);
    let pages = PageReader::new(Arc::clone(&index), log.reader());
    tracing::info!(frames, queues = queues.len(), "recovered");
    Ok(Opened { index, log, pages, queues, replayed })
}

/// Goes through the log since a checkpoint.
pub(super) fn replay(
    recovery: LogRecovery,
    mark: Option<CheckpointMark>,
    apply: &mut dyn FnMut(&LogFrame<'_>) -> Result<(), StoreError>,
) -> Result<Log, StoreError> {
    if mark.is_none()
        && let Some(missing) = recovery.first_missing()
    {
        return Err(StoreError::NoIndex { path: recovery.data_dir(), missing: missing.0 });
    }
    recovery.replay(mark.map(log_mark), apply)
}

impl Opened {
    /// What a queue is restored from.
    pub(super) fn restored(
        &self,
        queue: QueueId,
        summary: &Summary,
    ) -> Result<Restored, StoreError> {
        let scheduled =
            if summary.scheduled > 0 { self.pages.scheduled(queue)? } else { Vec::new() };
        let waiting: u64 = scheduled.iter().map(|(place, _)| place.body_len).sum();
        let ready = summary.count.saturating_sub(summary.scheduled);
        let scheduled = scheduled
            .into_iter()
            .filter_map(|(place, entry)| place.due.map(|due| (due, entry)))
            .collect();
        Ok(Restored {
            next_position: summary.next_position,
            first: Position(summary.first),
            ready: usize::try_from(ready).unwrap_or(usize::MAX),
            bytes: summary.bytes.saturating_sub(waiting),
            scheduled,
        })
    }
}

/// The log's mark as the index keeps it.
pub(super) fn index_mark(mark: LogMark) -> CheckpointMark {
    let LogMark { segment, offset, sequence } = mark;
    CheckpointMark { segment, offset: offset.into(), sequence }
}

fn log_mark(mark: CheckpointMark) -> LogMark {
    let CheckpointMark { segment, offset, sequence } = mark;
    LogMark { segment, offset: u32::try_from(offset).unwrap_or(u32::MAX), sequence }
}

/// Lets the records of a frame take effect once more.
pub(super) fn apply(frame: &LogFrame<'_>, index: &Index) -> Result<(), StoreError> {
    let mut changes = index.changes();
    let location = |span: RecordSpan| span.location(frame.segment, frame.offset);
    for record in frame.records() {
        apply_record(&record.map_err(|error| frame.corrupt(error))?, location, &mut changes);
    }
    Ok(())
}

/// Lets one record take effect; `location` says where the record of a message lies.
pub(super) fn apply_record(
    record: &Record<'_>,
    location: impl Fn(RecordSpan) -> Location,
    changes: &mut Changes<'_>,
) {
    match *record {
        Record::Message(message) => {
            let MessageRecord { span, body_len, transient, places } = message;
            for place in places {
                let known = new_place(&place, location(span), body_len, transient);
                changes.entered(place.queue, place.position, &known);
            }
        }
        Record::Moved(message) => {
            for place in message.places {
                changes.moved(place.queue, place.position, location(message.span));
            }
        }
        Record::Settled { queue, positions } => {
            for range in positions {
                changes.settled(queue, Position(*range.start()), Position(*range.end()));
            }
        }
        Record::Delivered { queue, positions } => {
            for range in positions {
                changes.delivered(queue, Position(*range.start()), Position(*range.end()));
            }
        }
        Record::Returned { queue, position, returns, due } => {
            changes.returned(queue, position, returns, due);
        }
        Record::Cleared { queue, from, to } => changes.cleared(queue, from, to),
        Record::RemovedQueue { queue } => changes.removed_queue(queue),
        Record::Put { key, value } => changes.put(key.to_vec(), value.to_vec()),
        Record::Removed { key } => changes.removed(key.to_vec()),
    }
}
