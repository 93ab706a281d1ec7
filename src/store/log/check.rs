//! A look at a whole log that changes nothing.

use std::path::Path;

use super::super::disk::{Access, Disk};
use super::super::error::StoreError;
use super::super::place::SegmentId;
use super::super::record::Record;
use super::super::segment::{self, Segment, SegmentHeader};
use super::files::{LogFrame, Tail, next_frame};
use super::recovery::{TornTail, check_tail, segment_ids};

/// What [`Log::check`](super::Log::check) found.
#[derive(Debug, Default)]
pub struct LogReport {
    /// Segments.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Good frames.
    pub frames: u64,
    /// Records in these.
    pub records: u64,
    /// Records of messages among them.
    pub messages: u64,
    /// What a crash left, and recovery would cut off: no damage.
    pub torn: Option<TornTail>,
    /// A segment that a crash kept from being begun: no damage either.
    pub unfinished: Option<SegmentId>,
    /// All that is wrong.
    pub problems: Vec<StoreError>,
}

pub(super) fn check(disk: &dyn Disk, dir: &Path) -> Result<LogReport, StoreError> {
    let ids = segment_ids(disk, dir)?;
    let mut report = LogReport { segments: ids.len() as u64, ..LogReport::default() };
    // The segment before, and the number that its next frame would have.
    let mut before: Option<(SegmentId, u64)> = None;
    for (number, &id) in (1..).zip(&ids) {
        match report.segment(disk, dir, id, number == ids.len(), before) {
            Ok(next) => before = next.map(|sequence| (id, sequence)),
            Err(problem) => {
                report.problems.push(problem);
                before = None;
            }
        }
    }
    Ok(report)
}

impl LogReport {
    /// Looks at one segment; the number that its next frame would have, if its end is good.
    fn segment(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        id: SegmentId,
        is_last: bool,
        before: Option<(SegmentId, u64)>,
    ) -> Result<Option<u64>, StoreError> {
        let path = segment::path(dir, id);
        let opened = disk.open(&path, Access::Read);
        let file = opened.map_err(|error| StoreError::io("open", &path, error))?;
        let len = file.len().map_err(|error| StoreError::io("read", &path, error))?;
        self.bytes += len;
        let segment = Segment { id, path: &path, file: &*file, len };
        let Some(header) = segment.header()? else {
            if !is_last {
                return Err(segment.corrupt(0, "its header is missing"));
            }
            self.unfinished = Some(id);
            return Ok(None);
        };
        // Between segments that do not follow each other there were others, whose messages are gone.
        if let Some((before, sequence)) = before
            && before.0 + 1 == id.0
            && header.first_sequence != sequence
        {
            let what = format!("it begins with frame {}, not {sequence}", header.first_sequence);
            self.problems.push(segment.corrupt(16, what));
        }
        self.frames(&segment, &header, is_last)
    }

    /// Goes through a segment, over what is damaged too.
    fn frames(
        &mut self,
        segment: &Segment<'_>,
        header: &SegmentHeader,
        is_last: bool,
    ) -> Result<Option<u64>, StoreError> {
        let mut frames = segment.all_frames(header);
        loop {
            let tail = match next_frame(&mut frames, segment)? {
                Ok(frame) => {
                    self.frame(&frame);
                    continue;
                }
                Err(tail) => tail,
            };
            let Tail::Bad { offset, .. } = tail else { return Ok(Some(frames.sequence())) };
            if let Err(problem) = check_tail(segment, &mut frames, tail, is_last) {
                self.problems.push(problem);
            } else {
                let bytes = segment.len - offset;
                self.torn = Some(TornTail { path: segment.path.to_owned(), offset, bytes });
                return Ok(None);
            }
            let later = frames.find_later(|_| true);
            let Some(later) = later.map_err(|error| segment.unreadable(error))? else {
                return Ok(None);
            };
            frames.skip_to(later).map_err(|error| segment.unreadable(error))?;
        }
    }

    fn frame(&mut self, frame: &LogFrame<'_>) {
        self.frames += 1;
        for record in frame.records() {
            match record {
                Ok(record) => {
                    self.records += 1;
                    let is_message = matches!(record, Record::Message(_) | Record::Moved(_));
                    self.messages += u64::from(is_message);
                }
                Err(error) => self.problems.push(frame.corrupt(error)),
            }
        }
    }
}
