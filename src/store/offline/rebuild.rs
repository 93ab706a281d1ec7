//! A new index for a data directory that lost its own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::batch::new_place;
use super::super::directory::Directory;
use super::super::disk::FsDisk;
use super::super::durable::{INDEX_CACHE_BYTES, INDEX_DIR};
use super::super::error::StoreError;
use super::super::index::{CheckpointMark, Index, Summary};
use super::super::key_value::{Pair, SledKeyValue};
use super::super::log::{Log, LogFrame, LogMark, LogOptions, LogReport};
use super::super::place::SegmentId;
use super::super::read_only_disk::ReadOnlyDisk;
use super::super::record::{MessageRecord, Record, RecordSpan};
use super::super::recovery::{apply_record, index_mark};
use super::super::snapshot::{self, ReadSnapshot};
use super::OfflineStore;
use crate::broker::queue_cell::QueueId;

/// Where a new index lies until it is complete.
const UNFINISHED_DIR: &str = "index.rebuilding";

/// Bytes of log after which what is known is folded into the new index.
const FOLD_BYTES: usize = 256 * 1024 * 1024;

/// What a rebuild has to know of the broker's keys.
#[derive(Debug, Clone, Copy)]
pub struct RebuildForm {
    /// What the keys that are in the snapshot start with.
    pub prefixes: &'static [&'static [u8]],
    /// The queues that are defined by keys and values.
    pub queues: fn(&[Pair]) -> Vec<QueueId>,
    /// Keys and values that define a queue of which only the number is known.
    pub adopt: fn(QueueId) -> Vec<Pair>,
}

/// What became of a data directory.
#[derive(Debug)]
pub struct Rebuilt {
    /// Where the old index is now, if there was one.
    pub moved_to: Option<PathBuf>,
    /// Keys and values that the snapshot had; or why there are none.
    pub snapshot: Result<u64, String>,
    /// What is in the log; its `problems` were stepped over.
    pub log: LogReport,
    /// Queues, and messages in them.
    pub queues: u64,
    /// See [`Rebuilt::queues`].
    pub messages: u64,
    /// Queues without a definition, and how many messages they had: they were dropped, because the
    /// snapshot would have had a definition of them.
    pub dropped: Vec<(QueueId, u64)>,
    /// Queues without a definition that have a new one, because there was no snapshot; and how many
    /// messages they have.
    pub adopted: Vec<(QueueId, u64)>,
}

/// Why there is nothing to rebuild, or it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The index is there, and agrees with the log.
    #[error(
        "the index of {path} is sound: nothing to rebuild. With --force it is rebuilt all the same, and \
         messages that left their queues may be back", path = .0.display()
    )]
    Sound(PathBuf),
    /// What is in the way.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Moves a damaged index aside and makes a new one: from all of the log that there is, and the snapshot
/// of the broker's keys. The old index stays as it was until the new one is complete.
///
/// # Errors
/// The directory can't be opened, its log has a segment or an end that can't be made out, or its index
/// is sound and this is not to be done by `force`.
pub fn rebuild(dir: &Path, form: &RebuildForm, force: bool) -> Result<Rebuilt, RebuildError> {
    let directory = Arc::new(Directory::open_existing(dir)?);
    if !force && is_sound(&directory, dir) {
        return Err(RebuildError::Sound(dir.to_owned()));
    }
    // A broker does not start on a log with a segment that is none.
    Log::open(Arc::new(ReadOnlyDisk), &dir.join("log"), LogOptions::default())?;
    let work = dir.join(UNFINISHED_DIR);
    discard(&work).map_err(|error| StoreError::io("remove", &work, error))?;
    let snapshot = snapshot::read(dir);
    let told = match &snapshot {
        Ok(Some(snapshot)) => Ok(snapshot.pairs.len() as u64),
        Ok(None) => Err("there is none".to_owned()),
        Err(error) => Err(error.clone()),
    };
    let index = Index::open(Arc::new(SledKeyValue::open(&work, INDEX_CACHE_BYTES)?))?.0;
    let mut rebuild = Rebuild::new(index, form, snapshot.as_ref().ok().and_then(Option::as_ref));
    let mut rebuilt = rebuild.run(dir)?;
    rebuilt.snapshot = told;
    // Closes the new index.
    drop(rebuild);
    rebuilt.moved_to = put_in_place(dir, &work)?;
    Ok(rebuilt)
}

/// Whether a broker would start with the index that is there, and find what it should.
fn is_sound(directory: &Arc<Directory>, dir: &Path) -> bool {
    let Ok(store) = OfflineStore::open_in(Arc::clone(directory), dir) else { return false };
    let checked = store.index.check();
    // One without a mark is as good as none.
    store.mark().is_some()
        && store.damage().is_none()
        && checked.is_ok_and(|report| report.problems.is_empty())
}

/// A rebuild at work.
struct Rebuild<'a> {
    index: Index,
    form: &'a RebuildForm,
    snapshot: Option<&'a ReadSnapshot>,
    /// Bytes of log since the last fold.
    bytes: usize,
    /// What went wrong with the index, while the log was read.
    failure: Option<StoreError>,
}

impl<'a> Rebuild<'a> {
    fn new(index: Index, form: &'a RebuildForm, snapshot: Option<&'a ReadSnapshot>) -> Self {
        Self { index, form, snapshot, bytes: 0, failure: None }
    }

    fn run(&mut self, dir: &Path) -> Result<Rebuilt, StoreError> {
        for (key, value) in self.snapshot.iter().flat_map(|snapshot| &snapshot.pairs) {
            self.index.changes().put(key.clone(), value.clone());
        }
        let log_dir = dir.join("log");
        let mut log = Log::salvage(&FsDisk, &log_dir, &mut |frame| {
            if self.failure.is_none() {
                self.failure = self.frame(frame).err();
            }
        });
        if matches!(&log, Err(error) if error.is_not_found()) {
            log = Ok(LogReport::default());
        }
        let mut log = log?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let end = end_of(&mut log, &log_dir)?;
        self.finish(log, end)
    }

    fn frame(&mut self, frame: &LogFrame<'_>) -> Result<(), StoreError> {
        // The report names the first record that is none; what comes behind it is lost.
        for record in frame.records().map_while(Result::ok) {
            self.record(frame, &record)?;
        }
        self.bytes += frame.payload.len();
        if self.bytes >= FOLD_BYTES {
            self.fold(index_mark(frame.end))?;
        }
        Ok(())
    }

    fn record(&mut self, frame: &LogFrame<'_>, record: &Record<'_>) -> Result<(), StoreError> {
        match record {
            Record::Moved(message) => self.moved(frame, message),
            Record::Put { key, .. } | Record::Removed { key } if self.knows_better(frame, key) => {
                Ok(())
            }
            _ => {
                let location = |span: RecordSpan| span.location(frame.segment, frame.offset);
                apply_record(record, location, &mut self.index.changes());
                Ok(())
            }
        }
    }

    /// Whether the snapshot is later than what this frame says of a key.
    fn knows_better(&self, frame: &LogFrame<'_>, key: &[u8]) -> bool {
        self.snapshot.is_some_and(|snapshot| frame.sequence < snapshot.mark.sequence)
            && self.form.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// The segment that a message was moved from is gone, and with it how it entered.
    fn moved(
        &mut self,
        frame: &LogFrame<'_>,
        message: &MessageRecord<'_>,
    ) -> Result<(), StoreError> {
        let location = message.span.location(frame.segment, frame.offset);
        for place in message.places {
            let (queue, position) = (place.queue, place.position);
            if self.index.place(queue, position)?.is_some() {
                self.index.changes().moved(queue, position, location);
            } else {
                let found = new_place(&place, location, message.body_len, message.transient);
                self.index.changes().found(queue, position, &found);
            }
        }
        Ok(())
    }

    fn fold(&mut self, mark: CheckpointMark) -> Result<(), StoreError> {
        self.bytes = 0;
        self.index.freeze(mark);
        self.index.write_frozen()
    }

    fn finish(&mut self, log: LogReport, end: LogMark) -> Result<Rebuilt, StoreError> {
        let boot = SegmentId(end.segment.0.saturating_add(1));
        let mut queues = self.index.finish_recovery(boot)?;
        let mut keys = self.index.scan(&[])?;
        let (mut dropped, mut adopted) = (Vec::new(), Vec::new());
        let orphans = orphans(&queues, &(self.form.queues)(&keys));
        if self.snapshot.is_some() {
            for (queue, messages) in orphans {
                self.index.changes().removed_queue(queue);
                queues.retain(|(known, _)| *known != queue);
                if messages > 0 {
                    dropped.push((queue, messages));
                }
            }
        } else {
            adopted = orphans.into_iter().filter(|(_, messages)| *messages > 0).collect();
            keys = adopted.iter().flat_map(|(queue, _)| (self.form.adopt)(*queue)).collect();
            for (key, value) in keys {
                self.index.changes().put(key, value);
            }
        }
        self.fold(index_mark(end))?;
        let messages = queues.iter().map(|(_, summary)| summary.count).sum();
        let queues = queues.len() as u64;
        let snapshot = Ok(0);
        Ok(Rebuilt { moved_to: None, snapshot, log, queues, messages, dropped, adopted })
    }
}

/// The queues that nobody defined, and how many messages they have.
fn orphans(queues: &[(QueueId, Summary)], defined: &[QueueId]) -> Vec<(QueueId, u64)> {
    let defined: BTreeSet<QueueId> = defined.iter().copied().collect();
    let orphans = queues.iter().filter(|(queue, _)| !defined.contains(queue));
    orphans.map(|(queue, summary)| (*queue, summary.count)).collect()
}

/// Where the log goes on: a log without a frame is begun.
fn end_of(log: &mut LogReport, dir: &Path) -> Result<LogMark, StoreError> {
    match log.end {
        Some(end) => Ok(end),
        None => match log.problems.pop() {
            Some(problem) => Err(problem),
            None => {
                let begun = Log::open(Arc::new(FsDisk), dir, LogOptions::default())?;
                Ok(begun.replay(None, &mut |_| Ok(()))?.mark())
            }
        },
    }
}

/// Moves the old index aside, and the new one to where it was.
fn put_in_place(dir: &Path, work: &Path) -> Result<Option<PathBuf>, StoreError> {
    let index = dir.join(INDEX_DIR);
    let failed = |error| StoreError::io("move aside", &index, error);
    let mut moved_to = None;
    if index.exists() {
        let aside = (1_u32..).map(|number| dir.join(format!("{INDEX_DIR}.damaged-{number}")));
        if let Some(aside) = aside.into_iter().find(|aside| !aside.exists()) {
            fs::rename(&index, &aside).map_err(failed)?;
            moved_to = Some(aside);
        }
    }
    fs::rename(work, &index).map_err(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(moved_to)
}

fn discard(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
