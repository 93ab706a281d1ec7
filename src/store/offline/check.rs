//! Whether a data directory is sound, and what is in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::directory::{Directory, FORMAT};
use super::super::error::StoreError;
use super::super::index::{CheckpointMark, Live};
use super::super::key_value::Pair;
use super::super::log::{Log, LogReport, TornTail};
use super::super::place::SegmentId;
use super::super::read_only_disk::ReadOnlyDisk;
use super::{OfflineMessage, OfflineStore};
use crate::broker::queue_cell::QueueId;

/// So many unreadable messages of a queue are named one by one.
const NAMED_MAX: usize = 100;

/// What a check found.
#[derive(Debug)]
pub struct StoreReport {
    /// The directory's format.
    pub format: u32,
    /// Where the last checkpoint ended, if there was one and the index can be opened.
    pub mark: Option<CheckpointMark>,
    /// What the log holds.
    pub log: LogReport,
    /// What refers to each segment of the log.
    pub live: Vec<(SegmentId, Live)>,
    /// What queues hold.
    pub queues: Vec<QueueContents>,
    /// The broker's keys and values.
    pub values: Vec<Pair>,
    /// What a broker would cut off as it starts: it was promised to nobody.
    pub torn: Option<TornTail>,
    /// All that is wrong, each as a sentence.
    pub problems: Vec<String>,
}

/// What a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueContents {
    /// The queue's number.
    pub id: QueueId,
    /// Messages that can be delivered.
    pub ready: u64,
    /// Messages that wait for their moment.
    pub scheduled: u64,
    /// Messages that were with consumers: they are ready after a start.
    pub unacknowledged: u64,
    /// Bytes in the bodies of all.
    pub bytes: u64,
    /// No position from here on was ever used.
    pub next_position: u64,
}

/// Reads all of a data directory, and changes nothing.
///
/// # Errors
/// It is not there, it is something else, or in use. All that is wrong inside is in the report.
pub fn check(dir: &Path) -> Result<StoreReport, StoreError> {
    let directory = Arc::new(Directory::open_existing(dir)?);
    let mut log = Log::check(&ReadOnlyDisk, &dir.join("log"))?;
    let problems = log.problems.drain(..).map(|problem| problem.to_string()).collect();
    let mut report = StoreReport {
        format: FORMAT,
        mark: None,
        torn: log.torn.take(),
        log,
        live: Vec::new(),
        queues: Vec::new(),
        values: Vec::new(),
        problems,
    };
    match OfflineStore::open_in(directory, dir) {
        Ok(store) => {
            if let Err(error) = report.contents(&store) {
                report.problems.push(error.to_string());
            }
        }
        Err(error) => report.problems.push(error.to_string()),
    }
    let mut told = BTreeSet::new();
    report.problems.retain(|problem| told.insert(problem.clone()));
    Ok(report)
}

impl StoreReport {
    fn contents(&mut self, store: &OfflineStore) -> Result<(), StoreError> {
        self.mark = store.mark();
        self.problems.extend(store.damage().map(ToString::to_string));
        self.check_tail();
        let index = store.index.check()?;
        self.problems.extend(index.problems.iter().map(|what| format!("the index: {what}")));
        self.values = store.values()?;
        let segments = self.log.segments.iter();
        self.live = segments.map(|segment| (segment.id, store.live(segment.id))).collect();
        for (queue, summary) in store.queues() {
            let mut contents = self.queue(store, *queue)?;
            contents.next_position = summary.next_position;
            self.queues.push(contents);
        }
        Ok(())
    }

    /// What the index has was on the disk: what is bad before its mark was not left so by a crash.
    fn check_tail(&mut self) {
        let Some(mark) = self.mark else { return };
        let last = self.log.segments.last().map(|segment| segment.id);
        let is_known = |torn: &mut TornTail| {
            last < Some(mark.segment) || last == Some(mark.segment) && torn.offset < mark.offset
        };
        if let Some(TornTail { path, offset, .. }) = self.torn.take_if(is_known) {
            let what = "a frame is bad that was good at the last checkpoint".to_owned();
            self.problems.push(StoreError::Corrupt { path, offset, what }.to_string());
        }
    }

    fn queue(&mut self, store: &OfflineStore, id: QueueId) -> Result<QueueContents, StoreError> {
        let mut contents = QueueContents { id, ..QueueContents::default() };
        let mut unreadable = 0;
        store.each_message(id, &mut |entry: OfflineMessage| {
            contents.count(&entry);
            if let Err(error) = entry.message {
                unreadable += 1;
                if unreadable <= NAMED_MAX {
                    let (position, QueueId(queue)) = (entry.position.0, id);
                    let problem = format!("message {position} of queue {queue}: {error}");
                    self.problems.push(problem);
                }
            }
            Ok::<(), StoreError>(())
        })?;
        if unreadable > NAMED_MAX {
            let more = unreadable - NAMED_MAX;
            self.problems.push(format!("{more} more messages of queue {} can't be read", id.0));
        }
        Ok(contents)
    }
}

impl QueueContents {
    fn count(&mut self, entry: &OfflineMessage) {
        let place = &entry.place;
        match place.due {
            Some(_) => self.scheduled += 1,
            None if place.delivered => self.unacknowledged += 1,
            None => self.ready += 1,
        }
        self.bytes = self.bytes.saturating_add(place.body_len);
    }
}
