//! The log: frames, one after the other, in segment files.
//!
//! A frame is what one commit wrote, and is there whole or not at all. [`Log::open`] looks at a
//! directory, [`LogRecovery::replay`] reads what was written since a mark and leaves a [`Log`] to go on
//! with. One thread appends and syncs; others read messages back, look at segments and remove them.
//!
//! What a crash may leave at the log's end, and only there, is cut off: frames that no sync covered.
//! All else that is not as it was written is damage, and is reported with file and offset.

mod check;
mod files;
mod reader;
mod recovery;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::check::{LogReport, SegmentReport};
pub use self::files::{LogFiles, LogFrame, SegmentInfo};
pub use self::reader::LogReader;
pub use self::recovery::{LogRecovery, TornTail};
use super::disk::{Disk, DiskFile};
use super::error::StoreError;
use super::frame::{self, FRAME_LEN_MAX};
use super::place::SegmentId;
use super::record::FrameBuilder;
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};

/// How a log is written.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Bytes after which a new segment is begun. A longer frame has a segment of its own.
    pub segment_bytes: u32,
    /// Bytes of zeros that are written behind a small frame, for those to come: where a file does not
    /// grow, a sync has its bytes to write and nothing else. 0 where nobody syncs.
    pub ahead_bytes: u32,
    /// Segments that are kept open to be read.
    pub open_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, ahead_bytes: 256 * 1024, open_max: 256 }
    }
}

/// Zeros are written page by page: what is written at once the system keeps as one piece, and looks at the
/// whole of it in each sync.
const PAGE: u32 = 4096;

static ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// Frames up to this share of what is written ahead are small. A sync of larger ones takes long for what
/// they hold, and writing their place twice would take longer.
const SMALL_SHARE: u32 = 16;

/// Zeros are written once so many frames in a row were small: where small ones come between large ones,
/// most of the zeros would be in the large ones' place. In tests they are written at once.
const FRAMES_BEFORE: u32 = if cfg!(test) { 1 } else { 16 };

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogMark {
    /// The segment that the frame before lies in.
    pub segment: SegmentId,
    /// Where that frame ends in the segment's file.
    pub offset: u32,
    /// The number of the next frame.
    pub sequence: u64,
}

/// Where a frame was appended: see [`RecordSpan::location`](super::record::RecordSpan::location).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The segment.
    pub segment: SegmentId,
    /// The first byte of the frame's header, in the segment's file.
    pub offset: u32,
}

/// The end of the log, for the one thread that writes.
#[derive(Debug)]
pub struct Log {
    files: Arc<LogFiles>,
    options: LogOptions,
    /// The segment that is written to.
    segment: SegmentId,
    marker: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Where its frames end.
    end: u32,
    /// Where the zeros behind them end: what is not longer than that does not make the file grow.
    ready: u32,
    /// How many of the last frames were small.
    small: u32,
    /// The number of the next frame.
    sequence: u64,
    /// All frames before this number are on the disk.
    synced: u64,
    /// A failed write may have left something behind `end`.
    torn: bool,
    /// A failed roll may have left a file with the next segment's name.
    half_begun: bool,
    /// What a failed sync covered may be lost, whatever later ones say.
    failed: bool,
    cut: Option<TornTail>,
}

impl Log {
    /// Looks at what lies in the log's own directory, which is made unless it is there. Nothing in it
    /// is changed until [`LogRecovery::replay`].
    ///
    /// # Errors
    /// It can't be read, or it is not a log that this version knows.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
    ) -> Result<LogRecovery, StoreError> {
        LogRecovery::open(disk, dir, options)
    }

    /// Reads a whole log and says all that is wrong with it, without changing anything.
    ///
    /// # Errors
    /// The directory can't be read. What is wrong with its files is in the report.
    pub fn check(disk: &dyn Disk, dir: &Path) -> Result<LogReport, StoreError> {
        check::check(disk, dir, false, &mut |_| {})
    }

    /// The same, with something done with each good frame on the way, in their order: whatever can be
    /// read is, behind a frame that a crash may have torn, too.
    ///
    /// # Errors
    /// As [`Log::check`].
    pub fn salvage(
        disk: &dyn Disk,
        dir: &Path,
        visit: &mut dyn FnMut(&LogFrame<'_>),
    ) -> Result<LogReport, StoreError> {
        check::check(disk, dir, true, visit)
    }

    /// Appends a frame, in a new segment if the last one is full. A frame without records is not
    /// written. It is on the disk once [`Log::sync`] has returned.
    ///
    /// # Errors
    /// The log is as it was before the call, and the frame may be appended again: when the disk was full
    /// there may be room then. After a failed sync every call fails.
    pub fn append(&mut self, builder: &mut FrameBuilder) -> Result<Appended, StoreError> {
        self.ensure_sound()?;
        let length = builder.len();
        if length > FRAME_LEN_MAX {
            let error = io::Error::new(io::ErrorKind::FileTooLarge, "a frame has 2 GiB at most");
            return Err(self.failure("write to", error));
        }
        if builder.is_empty() {
            return Ok(Appended { segment: self.segment, offset: self.end });
        }
        self.remove_torn()?;
        self.remove_half_begun()?;
        let holds_frames = self.end as usize > SEGMENT_HEADER_LEN;
        if holds_frames && self.end as usize + length > self.options.segment_bytes as usize {
            self.roll()?;
        }
        let unsynced = u32::try_from(self.sequence - self.synced).unwrap_or(u32::MAX);
        frame::seal(builder.frame_mut(), self.marker, self.sequence, unsynced);
        if let Err(error) = self.file.write_at(self.end.into(), builder.frame_mut()) {
            self.torn = true;
            // Gives the space back at once. If not, the next append tries again.
            let _ = self.remove_torn();
            return Err(self.failure("write to", error));
        }
        let appended = Appended { segment: self.segment, offset: self.end };
        // `FRAME_LEN_MAX` and the options see to it that this has 32 bits.
        self.end += length as u32;
        self.sequence += 1;
        self.files.grown(self.segment, self.end);
        self.make_ready(length as u32);
        Ok(appended)
    }

    /// Sees to it that frames like this one, which was just written, find their place in the file.
    fn make_ready(&mut self, length: u32) {
        let is_small = length <= self.options.ahead_bytes / SMALL_SHARE;
        self.small = if is_small { self.small.saturating_add(1) } else { 0 };
        if self.end <= self.ready {
            return;
        }
        self.ready = self.end;
        let room = self.options.segment_bytes.saturating_sub(self.end);
        let ahead = self.options.ahead_bytes.min(room);
        if ahead == 0 || self.small < FRAMES_BEFORE {
            return;
        }
        match self.write_zeros(self.end + ahead) {
            Ok(()) => self.ready = self.end + ahead,
            // The frame does without them: they take no room where there is none, and a sync will tell
            // what else is wrong. Those that stay say nothing.
            Err(_) => drop(self.file.truncate(self.end.into())),
        }
    }

    fn write_zeros(&self, to: u32) -> io::Result<()> {
        let mut at = self.end;
        while at < to {
            let end = to.min((at / PAGE + 1) * PAGE);
            self.file.write_at(at.into(), &ZEROS[..(end - at) as usize])?;
            at = end;
        }
        Ok(())
    }

    /// Gives back what was made ready, where no frame will come.
    ///
    /// # Errors
    /// The file is as good as it was.
    pub fn trim(&mut self) -> Result<(), StoreError> {
        if self.ready > self.end {
            let cut = self.file.truncate(self.end.into());
            cut.map_err(|error| self.failure("cut off the end of", error))?;
            self.ready = self.end;
        }
        Ok(())
    }

    /// Returns when all that was appended is on the disk.
    ///
    /// # Errors
    /// It may be lost. What the system dropped after a failed sync it does not write with a later one,
    /// so that nothing can be appended any more: the process should end and recover.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.ensure_sound()?;
        if self.synced == self.sequence {
            return Ok(());
        }
        if let Err(error) = self.file.sync() {
            self.failed = true;
            return Err(self.failure("sync", error));
        }
        self.synced = self.sequence;
        Ok(())
    }

    /// The end of what was appended.
    pub fn mark(&self) -> LogMark {
        LogMark { segment: self.segment, offset: self.end, sequence: self.sequence }
    }

    /// Whether all that was appended is on the disk.
    pub fn is_synced(&self) -> bool {
        self.synced == self.sequence
    }

    /// What recovery cut off, if anything: worth a warning.
    pub fn cut(&self) -> Option<&TornTail> {
        self.cut.as_ref()
    }

    /// For those who read messages back.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.files))
    }

    /// The segments, for those who look after them on other threads.
    pub fn files(&self) -> &Arc<LogFiles> {
        &self.files
    }

    /// The segments, the oldest first. The last one is written to.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.files.segments()
    }

    /// Removes a segment: see [`LogFiles::remove`].
    pub fn remove(&self, segment: SegmentId) -> Result<(), StoreError> {
        self.files.remove(&[segment])
    }

    /// Goes through the frames of one segment: see [`LogFiles::frames_of`].
    pub fn frames_of(
        &self,
        segment: SegmentId,
        apply: &mut dyn FnMut(&LogFrame<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.files.frames_of(segment, apply)
    }

    /// Begins the next segment. What is synced here is not needed for what was appended to be safe
    /// later, but for recovery: only the last segment may have a torn tail.
    fn roll(&mut self) -> Result<(), StoreError> {
        self.trim()?;
        self.sync()?;
        let id = self.segment.0.checked_add(1).map(SegmentId).ok_or_else(|| {
            self.failure("begin the next segment after", io::ErrorKind::FileTooLarge.into())
        })?;
        let path = self.files.path(id);
        self.half_begun = true;
        let (header, file) = self.files.begin(id, self.sequence)?;
        self.half_begun = false;
        (self.segment, self.marker, self.path, self.file) = (id, header.marker, path, file);
        (self.end, self.ready) = (SEGMENT_HEADER_LEN as u32, SEGMENT_HEADER_LEN as u32);
        Ok(())
    }

    fn remove_torn(&mut self) -> Result<(), StoreError> {
        if self.torn {
            let cut = self.file.truncate(self.end.into());
            cut.map_err(|error| self.failure("cut off the end of", error))?;
            (self.torn, self.ready) = (false, self.end);
        }
        Ok(())
    }

    /// Such a file may have a header, which says what the next frame is: none is to go elsewhere while
    /// a crash may leave it there.
    fn remove_half_begun(&mut self) -> Result<(), StoreError> {
        if self.half_begun {
            self.files.discard(&self.files.path(SegmentId(self.segment.0.saturating_add(1))))?;
            self.files.sync_dir()?;
            self.half_begun = false;
        }
        Ok(())
    }

    fn ensure_sound(&self) -> Result<(), StoreError> {
        if self.failed {
            return Err(self.failure("sync", io::Error::other("an earlier sync failed")));
        }
        Ok(())
    }

    fn failure(&self, action: &'static str, error: io::Error) -> StoreError {
        StoreError::io(action, &self.path, error)
    }
}

/// A log whose last segment ends where this says.
struct End {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    end: u32,
    sequence: u64,
    cut: Option<TornTail>,
}

impl Log {
    fn continuing(files: Arc<LogFiles>, options: LogOptions, end: End) -> Self {
        let path = files.path(end.header.id);
        let options = LogOptions {
            // Twice this is the most that a segment may have.
            segment_bytes: options.segment_bytes.min(FRAME_LEN_MAX as u32),
            ..options
        };
        Self {
            files,
            options,
            segment: end.header.id,
            marker: end.header.marker,
            path,
            file: end.file,
            end: end.end,
            ready: end.end,
            small: 0,
            sequence: end.sequence,
            synced: end.sequence,
            torn: false,
            half_begun: false,
            failed: false,
            cut: end.cut,
        }
    }
}
