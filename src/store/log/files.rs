//! The segments of a log, shared by all that read them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::disk::{Access, Disk, DiskFile};
use super::super::error::StoreError;
use super::super::frame::FRAME_HEADER_LEN;
use super::super::place::SegmentId;
use super::super::record::{RecordError, Records};
use super::super::segment::{self, Frames, SEGMENT_HEADER_LEN, Segment, SegmentHeader, Step};
use super::LogMark;

/// A segment, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub id: SegmentId,
    /// Bytes in its file.
    pub bytes: u64,
}

/// A frame that was read from the log.
#[derive(Debug)]
pub struct LogFrame<'a> {
    /// The segment it lies in.
    pub segment: SegmentId,
    /// The first byte of its header, in the segment's file.
    pub offset: u32,
    /// Its number.
    pub sequence: u64,
    /// Its records.
    pub payload: &'a [u8],
    /// Where it ends.
    pub end: LogMark,
    pub(super) path: &'a Path,
}

impl<'a> LogFrame<'a> {
    /// Its records, in order.
    pub fn records(&self) -> Records<'a> {
        Records::new(self.payload)
    }

    /// What to say when one of them is none.
    pub fn corrupt(&self, error: RecordError) -> StoreError {
        let offset = u64::from(self.offset) + u64::from(error.offset);
        StoreError::Corrupt { path: self.path.to_owned(), offset, what: error.to_string() }
    }
}

/// What stands where no frame follows.
#[derive(Debug)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// Something else; `is_intact` if it is a good frame with a wrong number.
    Bad { offset: u64, what: String, is_intact: bool },
}

/// The next frame of a segment, or what stands there instead.
pub(super) fn next_frame<'f>(
    frames: &'f mut Frames<'_>,
    segment: &Segment<'f>,
) -> Result<Result<LogFrame<'f>, Tail>, StoreError> {
    let Segment { id, path, .. } = *segment;
    let step = frames.next().map_err(|error| segment.unreadable(error))?;
    let (offset, sequence, payload) = match step {
        Step::Frame { offset, sequence, payload } => (offset, sequence, payload),
        Step::End => return Ok(Err(Tail::Clean)),
        Step::Bad { offset, what, is_intact } => {
            return Ok(Err(Tail::Bad { offset, what, is_intact }));
        }
    };
    let end = offset + (FRAME_HEADER_LEN + payload.len()) as u64;
    let (Ok(offset), Ok(end)) = (u32::try_from(offset), u32::try_from(end)) else {
        let what = "a frame where no segment reaches".to_owned();
        return Ok(Err(Tail::Bad { offset, what, is_intact: true }));
    };
    let end = LogMark { segment: id, offset: end, sequence: sequence + 1 };
    Ok(Ok(LogFrame { segment: id, offset, sequence, payload, end, path }))
}

/// The segments of a log.
#[derive(Debug)]
pub struct LogFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Bytes in each that hold frames, and what comes before.
    segments: Mutex<BTreeMap<SegmentId, u64>>,
    /// Files that are open to be read. Locked before `segments`.
    handles: Mutex<Handles>,
}

/// The files that are open, and when each was used last.
#[derive(Debug)]
struct Handles {
    files: HashMap<SegmentId, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
    max: usize,
}

impl Handles {
    fn used(&mut self, segment: SegmentId) -> Option<Arc<dyn DiskFile>> {
        self.uses += 1;
        let (file, used) = self.files.get_mut(&segment)?;
        *used = self.uses;
        Some(Arc::clone(file))
    }

    fn insert(&mut self, segment: SegmentId, file: Arc<dyn DiskFile>) {
        if self.files.len() >= self.max {
            let oldest = self.files.iter().min_by_key(|(_, (_, used))| *used).map(|(&id, _)| id);
            oldest.map(|id| self.files.remove(&id));
        }
        self.files.insert(segment, (file, self.uses));
    }
}

impl LogFiles {
    /// `open_max` files are kept open, and one at least.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, open_max: usize) -> Self {
        let handles = Handles { files: HashMap::new(), uses: 0, max: open_max.max(1) };
        let (segments, handles) = (Mutex::default(), Mutex::new(handles));
        Self { disk, dir: dir.to_owned(), segments, handles }
    }

    /// The segments, the oldest first. The last one is written to.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.segments.lock();
        segments.iter().map(|(&id, &bytes)| SegmentInfo { id, bytes }).collect()
    }

    /// Removes segments; those that are gone already are none of its business. Whoever reads one at
    /// that moment can go on.
    ///
    /// # Errors
    /// The system refused, or one of them is the last, which is written to. Those before it are gone.
    pub fn remove(&self, segments: &[SegmentId]) -> Result<(), StoreError> {
        for &id in segments {
            let path = self.path(id);
            let last = self.segments.lock().keys().next_back().copied();
            if last == Some(id) {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "it is written to");
                return Err(StoreError::io("remove", path, error));
            }
            self.discard(&path)?;
            self.segments.lock().remove(&id);
            // An open file takes up its space.
            self.handles.lock().files.remove(&id);
        }
        self.sync_dir()
    }

    /// Goes through the frames of one segment, as far as it was written when this was called.
    ///
    /// # Errors
    /// The segment can't be read, or is damaged; or what `apply` says.
    pub fn frames_of(
        &self,
        id: SegmentId,
        apply: &mut dyn FnMut(&LogFrame<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.path(id);
        let Some(len) = self.segments.lock().get(&id).copied() else {
            return Err(StoreError::io("read", path, io::ErrorKind::NotFound.into()));
        };
        let file = self.open(id, Access::Read)?;
        let segment = Segment { id, path: &path, file: &*file, len };
        let Some(header) = segment.header()? else {
            return Err(segment.corrupt(0, "its header is missing"));
        };
        let mut frames = segment.all_frames(&header);
        loop {
            let at = frames.offset();
            match next_frame(&mut frames, &segment)? {
                Ok(frame) => apply(&frame)?,
                Err(Tail::Clean) if at == len => return Ok(()),
                // There may be zeros behind the last frame that was written, not in place of one.
                Err(Tail::Clean) => {
                    return Err(segment.corrupt(at, "there are zeros in place of a frame"));
                }
                Err(Tail::Bad { offset, what, .. }) => return Err(segment.corrupt(offset, what)),
            }
        }
    }

    /// Bytes that can still be written.
    pub fn available_space(&self) -> Result<u64, StoreError> {
        let space = self.disk.available_space(&self.dir);
        space.map_err(|error| StoreError::io("ask for the free space in", &self.dir, error))
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, id: SegmentId) -> PathBuf {
        segment::path(&self.dir, id)
    }

    pub(super) fn open(
        &self,
        id: SegmentId,
        access: Access,
    ) -> Result<Arc<dyn DiskFile>, StoreError> {
        let path = self.path(id);
        let file = self.disk.open(&path, access);
        file.map_err(|error| StoreError::io("open", path, error))
    }

    /// A segment's file, open to be read; it stays open for the next time.
    pub(super) fn handle(&self, id: SegmentId) -> Result<Arc<dyn DiskFile>, StoreError> {
        if let Some(file) = self.handles.lock().used(id) {
            return Ok(file);
        }
        let file = self.open(id, Access::Read)?;
        let mut handles = self.handles.lock();
        // It may have been removed meanwhile.
        if self.segments.lock().contains_key(&id) {
            handles.insert(id, Arc::clone(&file));
        }
        Ok(file)
    }

    /// A segment has frames up to there.
    pub(super) fn grown(&self, id: SegmentId, end: u32) {
        self.segments.lock().insert(id, end.into());
    }

    /// Makes a segment's file: when this returns, it outlives a power loss.
    pub(super) fn begin(
        &self,
        id: SegmentId,
        first_sequence: u64,
    ) -> Result<(SegmentHeader, Arc<dyn DiskFile>), StoreError> {
        let header = SegmentHeader { id, first_sequence, marker: rand::random() };
        let path = self.path(id);
        let made = self.disk.create(&path);
        let file = made.map_err(|error| StoreError::io("create", &path, error))?;
        let write = file.write_at(0, &header.encode());
        write.map_err(|error| StoreError::io("write to", &path, error))?;
        file.sync().map_err(|error| StoreError::io("begin", &path, error))?;
        self.sync_dir()?;
        self.grown(id, SEGMENT_HEADER_LEN as u32);
        Ok((header, file))
    }

    pub(super) fn sync_dir(&self) -> Result<(), StoreError> {
        let synced = self.disk.sync_dir(&self.dir);
        synced.map_err(|error| StoreError::io("keep the file names in", &self.dir, error))
    }

    /// Removes a file if it is there.
    pub(super) fn discard(&self, path: &Path) -> Result<(), StoreError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", path, error))
            }
            _ => Ok(()),
        }
    }
}
