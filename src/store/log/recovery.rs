//! From a directory to a log that can be appended to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk::{Access, Disk, DiskFile};
use super::super::error::StoreError;
use super::super::place::SegmentId;
use super::super::segment::{self, Frames, SEGMENT_HEADER_LEN, Segment, SegmentHeader};
use super::files::{Tail, next_frame};
use super::{End, Log, LogFiles, LogFrame, LogMark, LogOptions, LogReader, SegmentInfo};

/// What is done with each frame.
type Apply<'a> = &'a mut dyn FnMut(&LogFrame<'_>) -> Result<(), StoreError>;

/// Bytes that are written again at once.
const COPIED_MAX: usize = 1024 * 1024;

/// What a crash left at the end of the log: frames that were promised to nobody, cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the frames end.
    pub offset: u64,
    /// Bytes behind that.
    pub bytes: u64,
}

/// A log that was opened, and whose frames are still to be read.
#[derive(Debug)]
pub struct LogRecovery {
    files: Arc<LogFiles>,
    options: LogOptions,
    headers: BTreeMap<SegmentId, SegmentHeader>,
    /// The last segment, if its creation did not come to its end.
    unfinished: Option<SegmentId>,
}

/// Reads the names of a log's segments, in order.
pub(super) fn segment_ids(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentId>, StoreError> {
    let names = disk.list(dir).map_err(|error| StoreError::io("list", dir, error))?;
    let mut ids = Vec::with_capacity(names.len());
    // A file that was removed while somebody read it may have such a name for a while (NFS).
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let Some(id) = segment::id_of(&name) else {
            let found = format!("{name} is no segment of a log");
            return Err(StoreError::Foreign { path: dir.to_owned(), found });
        };
        ids.push(id);
    }
    ids.sort_unstable();
    Ok(ids)
}

impl LogRecovery {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
    ) -> Result<Self, StoreError> {
        disk.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
        let ids = segment_ids(&*disk, dir)?;
        let files = Arc::new(LogFiles::new(disk, dir, options.open_max));
        let mut recovery = Self { files, options, headers: BTreeMap::new(), unfinished: None };
        for (&id, next) in ids.iter().zip(ids.iter().skip(1).map(Some).chain([None])) {
            recovery.read_header(id, next.is_none())?;
        }
        Ok(recovery)
    }

    fn read_header(&mut self, id: SegmentId, is_last: bool) -> Result<(), StoreError> {
        let path = self.files.path(id);
        let file = self.files.open(id, Access::Read)?;
        let segment = opened(id, &path, &*file)?;
        let Some(header) = segment.header()? else {
            if !is_last {
                return Err(segment.corrupt(0, "its header is missing"));
            }
            self.unfinished = Some(id);
            return Ok(());
        };
        let before = self.headers.last_key_value().map(|(_, before)| before.first_sequence);
        if before.is_some_and(|before| header.first_sequence <= before) {
            return Err(segment.corrupt(16, "its frames come before those of an older segment"));
        }
        // As far as is known by now: the end of the last one is found later.
        self.files.grown(id, u32::try_from(segment.len).unwrap_or(u32::MAX));
        self.headers.insert(id, header);
        Ok(())
    }

    /// The segments, the oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.files.segments()
    }

    /// The first segment that is gone, though later ones are there.
    pub fn first_missing(&self) -> Option<SegmentId> {
        let numbered = (1..).map(SegmentId).zip(self.headers.keys());
        numbered.into_iter().find(|(expected, id)| expected != *id).map(|(expected, _)| expected)
    }

    /// The directory above the log's own.
    pub(in crate::store) fn data_dir(&self) -> PathBuf {
        let dir = self.files.dir();
        dir.parent().unwrap_or(dir).to_owned()
    }

    /// For those who read messages back, of the segments that are there now.
    pub(in crate::store) fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.files))
    }

    /// Applies all frames from a mark on, or from the log's first one, and cuts a torn tail off. What
    /// comes before the mark is not looked at.
    ///
    /// # Errors
    /// A segment can't be read; frames are damaged or missing; or what `apply` says. The files are as
    /// they were, then.
    pub fn replay(self, from: Option<LogMark>, apply: Apply<'_>) -> Result<Log, StoreError> {
        let start = self.start(from)?;
        let end = match start {
            Some(start) => self.walk(start, apply)?,
            None => self.begin()?,
        };
        Ok(Log::continuing(self.files, self.options, end))
    }

    /// Where to begin; `None` if there are no segments and none are missed.
    fn start(&self, from: Option<LogMark>) -> Result<Option<LogMark>, StoreError> {
        let missing = |id, what: &str| {
            let path = self.files.path(id);
            Err(StoreError::Corrupt { path, offset: 0, what: what.to_owned() })
        };
        let first = match from {
            None => self.headers.values().next(),
            // A mark at the end of a segment is that at the start of the next one.
            Some(mark) => self.headers.range(mark.segment..).next().map(|(_, header)| header),
        };
        let Some(header) = first else {
            return match (from, self.unfinished) {
                (None, None | Some(SegmentId(1))) => Ok(None),
                (None, Some(id)) => missing(id, "all segments before it are missing"),
                (Some(mark), _) => missing(mark.segment, "it is missing"),
            };
        };
        let begin = LogMark {
            segment: header.id,
            offset: SEGMENT_HEADER_LEN as u32,
            sequence: header.first_sequence,
        };
        match from {
            None if begin.sequence != 1 => missing(
                header.id,
                "segments before it are missing, or the index of what they hold is",
            ),
            None => Ok(Some(begin)),
            Some(mark) if mark.segment == header.id => Ok(Some(mark)),
            Some(mark) if mark.sequence == begin.sequence => Ok(Some(begin)),
            Some(mark) => missing(mark.segment, "it is missing"),
        }
    }

    /// Begins a log, in a directory that has none.
    fn begin(&self) -> Result<End, StoreError> {
        if let Some(parent) = self.files.dir().parent() {
            let synced = self.files.disk().sync_dir(parent);
            synced.map_err(|error| StoreError::io("keep the file names in", parent, error))?;
        }
        self.remove_unfinished()?;
        let (header, file) = self.files.begin(SegmentId(1), 1)?;
        Ok(End { header, file, end: SEGMENT_HEADER_LEN as u32, sequence: 1, cut: None })
    }

    fn walk(&self, start: LogMark, apply: Apply<'_>) -> Result<End, StoreError> {
        let mut at = start;
        let mut ids = self.headers.range(start.segment..).peekable();
        while let Some((&id, header)) = ids.next() {
            let is_last = ids.peek().is_none();
            let path = self.files.path(id);
            let file =
                self.files.open(id, if is_last { Access::ReadWrite } else { Access::Read })?;
            let segment = opened(id, &path, &*file)?;
            if id != at.segment {
                at = next_segment(&segment, header, at)?;
            }
            if segment.len < at.offset.into() {
                return Err(segment.corrupt(segment.len, "it ends before what the index knows of"));
            }
            let mut frames = segment.frames(header, at.offset.into(), at.sequence);
            let tail = replay_frames(&mut frames, &segment, &mut at, apply)?;
            // The segment before an unfinished one was synced whole.
            let may_be_torn = is_last && self.unfinished.is_none();
            let is_clean = matches!(tail, Tail::Clean);
            check_tail(&segment, &mut frames, tail, may_be_torn)?;
            if is_last {
                let torn = self.settle(&segment, at.offset, frames.first_unproven())?;
                let cut = torn.filter(|_| !is_clean);
                let (header, end, sequence) = (*header, at.offset, at.sequence);
                return Ok(End { header, file, end, sequence, cut });
            }
        }
        let path = self.files.path(start.segment);
        Err(StoreError::Corrupt { path, offset: 0, what: "it is missing".to_owned() })
    }

    /// Makes the last segment end where its frames do; what was cut off. What a killed process left in the
    /// system's memory is on the disk afterwards: the broker goes on from it.
    fn settle(
        &self,
        segment: &Segment<'_>,
        end: u32,
        unproven: Option<u64>,
    ) -> Result<Option<TornTail>, StoreError> {
        self.remove_unfinished()?;
        let offset = u64::from(end);
        let cut = (segment.len > offset).then(|| TornTail {
            path: segment.path.to_owned(),
            offset,
            bytes: segment.len - offset,
        });
        if cut.is_some() {
            let truncated = segment.file.truncate(offset);
            truncated.map_err(|error| StoreError::io("cut off the end of", segment.path, error))?;
        }
        write_again(segment, unproven.unwrap_or(offset)..offset)?;
        segment.file.sync().map_err(|error| StoreError::io("sync", segment.path, error))?;
        self.files.sync_dir()?;
        self.files.grown(segment.id, end);
        Ok(cut)
    }

    fn remove_unfinished(&self) -> Result<(), StoreError> {
        self.unfinished.map_or(Ok(()), |id| self.files.discard(&self.files.path(id)))
    }
}

/// Writes bytes to where they are. The process before may have ended because a sync failed: then the
/// system has in memory what it will never write, and says so to nobody who asks later.
fn write_again(segment: &Segment<'_>, range: Range<u64>) -> Result<(), StoreError> {
    let Range { mut start, end } = range;
    if start <= SEGMENT_HEADER_LEN as u64 {
        // No frame proves that the header is on the disk.
        start = 0;
    }
    let mut bytes = Vec::new();
    while start < end {
        bytes.resize(usize::try_from(end - start).unwrap_or(usize::MAX).min(COPIED_MAX), 0);
        segment.file.read_at(start, &mut bytes).map_err(|error| segment.unreadable(error))?;
        let written = segment.file.write_at(start, &bytes);
        written.map_err(|error| StoreError::io("write to", segment.path, error))?;
        start += bytes.len() as u64;
    }
    Ok(())
}

fn opened<'a>(
    id: SegmentId,
    path: &'a Path,
    file: &'a dyn DiskFile,
) -> Result<Segment<'a>, StoreError> {
    let len = file.len().map_err(|error| StoreError::io("read", path, error))?;
    Ok(Segment { id, path, file, len })
}

/// The start of a segment, which goes on where the one before ended.
fn next_segment(
    segment: &Segment<'_>,
    header: &SegmentHeader,
    before: LogMark,
) -> Result<LogMark, StoreError> {
    if segment.id.0 - 1 != before.segment.0 {
        let what = format!("segment {} is missing before it", segment.id.0 - 1);
        return Err(segment.corrupt(0, what));
    }
    if header.first_sequence != before.sequence {
        let what =
            format!("it begins with frame {}, not {}", header.first_sequence, before.sequence);
        return Err(segment.corrupt(16, what));
    }
    let offset = SEGMENT_HEADER_LEN as u32;
    Ok(LogMark { segment: segment.id, offset, sequence: before.sequence })
}

/// Applies frames as far as they go.
fn replay_frames(
    frames: &mut Frames<'_>,
    segment: &Segment<'_>,
    at: &mut LogMark,
    apply: Apply<'_>,
) -> Result<Tail, StoreError> {
    loop {
        match next_frame(frames, segment)? {
            Ok(frame) => {
                *at = frame.end;
                apply(&frame)?;
            }
            Err(tail) => return Ok(tail),
        }
    }
}

/// Whether what stands behind the last good frame is something that a crash may leave.
pub(super) fn check_tail(
    segment: &Segment<'_>,
    frames: &mut Frames<'_>,
    tail: Tail,
    may_be_torn: bool,
) -> Result<(), StoreError> {
    let Tail::Bad { offset, what, is_intact } = tail else { return Ok(()) };
    if is_intact || !may_be_torn {
        return Err(segment.corrupt(offset, what));
    }
    let sequence = frames.sequence();
    let proof = frames.find_later(|header| header.proves(sequence));
    match proof.map_err(|error| segment.unreadable(error))? {
        None => Ok(()),
        Some(later) => {
            let what = format!("{what}, and the frame at {later} was written after it was synced");
            Err(segment.corrupt(offset, what))
        }
    }
}
