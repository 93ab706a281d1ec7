//! A look at a whole log that changes nothing.

use std::path::Path;

use super::super::disk::{Access, Disk};
use super::super::error::StoreError;
use super::super::place::SegmentId;
use super::super::record::Record;
use super::super::segment::{self, Frames, SEGMENT_HEADER_LEN, Segment, SegmentHeader};
use super::LogMark;
use super::files::{LogFrame, Tail, next_frame};
use super::recovery::{TornTail, check_tail, segment_ids};

/// What [`Log::check`](super::Log::check) found.
#[derive(Debug, Default)]
pub struct LogReport {
    /// Segments, the oldest first.
    pub segments: Vec<SegmentReport>,
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
    /// Where its last good frame ends; `None` if the end of its last segment can't be told.
    pub end: Option<LogMark>,
    /// All that is wrong.
    pub problems: Vec<StoreError>,
    /// Good frames behind a torn one are gone through, too.
    salvages: bool,
}

/// What is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub id: SegmentId,
    /// Bytes in its file.
    pub bytes: u64,
    /// Good frames.
    pub frames: u64,
}

/// What is done with each good frame.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&LogFrame<'_>);

/// Goes through a whole log, over what is damaged too.
pub(super) fn check(
    disk: &dyn Disk,
    dir: &Path,
    salvages: bool,
    visit: Visit<'_>,
) -> Result<LogReport, StoreError> {
    let ids = segment_ids(disk, dir)?;
    let mut report = LogReport { salvages, ..LogReport::default() };
    // The segment before, and the number that its next frame would have.
    let mut before: Option<(SegmentId, u64)> = None;
    for (number, &id) in (1..).zip(&ids) {
        report.segments.push(SegmentReport { id, bytes: 0, frames: 0 });
        match report.segment(disk, dir, id, number == ids.len(), before, visit) {
            Ok(next) => before = next.map(|sequence| (id, sequence)),
            Err(problem) => {
                report.problems.push(problem);
                (before, report.end) = (None, None);
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
        visit: Visit<'_>,
    ) -> Result<Option<u64>, StoreError> {
        let path = segment::path(dir, id);
        let opened = disk.open(&path, Access::Read);
        let file = opened.map_err(|error| StoreError::io("open", &path, error))?;
        let len = file.len().map_err(|error| StoreError::io("read", &path, error))?;
        self.bytes += len;
        if let Some(part) = self.segments.last_mut() {
            part.bytes = len;
        }
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
        let offset = SEGMENT_HEADER_LEN as u32;
        self.end = Some(LogMark { segment: id, offset, sequence: header.first_sequence });
        self.frames(&segment, &header, is_last, visit)
    }

    /// Goes through a segment, over what is damaged too.
    fn frames(
        &mut self,
        segment: &Segment<'_>,
        header: &SegmentHeader,
        is_last: bool,
        visit: Visit<'_>,
    ) -> Result<Option<u64>, StoreError> {
        let mut frames = segment.all_frames(header);
        loop {
            let tail = match next_frame(&mut frames, segment)? {
                Ok(frame) => {
                    self.frame(&frame);
                    visit(&frame);
                    continue;
                }
                Err(tail) => tail,
            };
            let Tail::Bad { offset, .. } = tail else { return Ok(Some(frames.sequence())) };
            let problem = check_tail(segment, &mut frames, tail, is_last).err();
            let Some(later) = self.bad(segment, &mut frames, offset, problem)? else {
                return Ok(None);
            };
            frames.skip_to(later).map_err(|error| segment.unreadable(error))?;
        }
    }

    /// Notes what stands where a frame should; where to go on behind it.
    fn bad(
        &mut self,
        segment: &Segment<'_>,
        frames: &mut Frames<'_>,
        offset: u64,
        problem: Option<StoreError>,
    ) -> Result<Option<u64>, StoreError> {
        let goes_on = problem.is_some() || self.salvages;
        let later = if goes_on { frames.find_later(|_| true) } else { Ok(None) };
        let later = later.map_err(|error| segment.unreadable(error))?;
        match (problem, later) {
            (None, None) => {
                let bytes = segment.len - offset;
                self.torn = Some(TornTail { path: segment.path.to_owned(), offset, bytes });
            }
            (None, Some(later)) => {
                let what = format!("a frame is bad, and the one at {later} is not");
                self.problems.push(segment.corrupt(offset, what));
            }
            (Some(problem), _) => {
                self.problems.push(problem);
                if later.is_none() {
                    // What follows is no crash's, and a log does not go on behind it.
                    self.end = None;
                }
            }
        }
        Ok(later)
    }

    fn frame(&mut self, frame: &LogFrame<'_>) {
        self.frames += 1;
        self.end = Some(frame.end);
        if let Some(part) = self.segments.last_mut() {
            part.frames += 1;
        }
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
