//! One file of the log: a header, then frames.
//!
//! ```text
//!  0  magic     8 bytes  "leveret" and 0x1a
//!  8  version   u32      of the format: 1
//! 12  segment   u32      the number that the file's name holds: `00000001.log`
//! 16  sequence  u64      of the first frame
//! 24  marker    u32      what the frames of this segment begin with
//! 28  checksum  u32      CRC-32C of the 28 bytes before
//! 32  frames
//! ```
//!
//! All numbers are little endian. A segment is begun only once the one before is on the disk whole, and
//! gets its first frame only once its header and its name are.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::DiskFile;
use super::encoding::{Input, Malformed};
use super::error::StoreError;
use super::frame::{self, FRAME_HEADER_LEN, FrameHeader};
use super::place::SegmentId;

/// The version of the log's format.
pub(super) const LOG_FORMAT: u32 = 1;

/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER_LEN: usize = 32;

const MAGIC: [u8; 8] = *b"leveret\x1a";
const CHECKSUM_AT: usize = 28;

/// Bytes that are read at once when a segment is walked through.
const WINDOW_LEN: usize = 1024 * 1024;

/// The name of a segment's file.
pub(super) fn file_name(id: SegmentId) -> String {
    format!("{:08}.log", id.0)
}

/// The segment that a file of this name holds.
pub(super) fn id_of(name: &str) -> Option<SegmentId> {
    let id = SegmentId(name.strip_suffix(".log")?.parse().ok()?);
    (id.0 > 0 && file_name(id) == name).then_some(id)
}

/// What stands before the first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: SegmentId,
    pub(super) first_sequence: u64,
    pub(super) marker: u32,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&LOG_FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[24..CHECKSUM_AT].copy_from_slice(&self.marker.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SEGMENT_HEADER_LEN]) -> Result<Self, Malformed> {
        let mut input = Input(&bytes[12..]);
        let header = Self {
            id: SegmentId(input.u32()?),
            first_sequence: input.u64()?,
            marker: input.u32()?,
        };
        if input.u32()? != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(Malformed("the header's checksum does not match"));
        }
        Ok(header)
    }
}

/// A segment's file, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) id: SegmentId,
    pub(super) path: &'a Path,
    pub(super) file: &'a dyn DiskFile,
    /// Bytes in the file that are looked at.
    pub(super) len: u64,
}

impl<'a> Segment<'a> {
    /// Reads the header; `None` if the file was left behind by a crash before it had one.
    pub(super) fn header(&self) -> Result<Option<SegmentHeader>, StoreError> {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        let there = usize::try_from(self.len).unwrap_or(usize::MAX).min(SEGMENT_HEADER_LEN);
        self.file.read_at(0, &mut bytes[..there]).map_err(|error| self.unreadable(error))?;
        if self.len <= SEGMENT_HEADER_LEN as u64 && is_unfinished(&bytes[..there]) {
            return Ok(None);
        }
        if !bytes.starts_with(&MAGIC) {
            let found = "it does not begin as a segment of the log does".to_owned();
            return Err(StoreError::Foreign { path: self.path.to_owned(), found });
        }
        let version = Input(&bytes[8..]).u32().unwrap_or_default();
        if version > LOG_FORMAT {
            let path = self.path.to_owned();
            return Err(StoreError::Newer { path, found: version, known: LOG_FORMAT });
        }
        let header = SegmentHeader::decode(&bytes)
            .map_err(|Malformed(what)| self.corrupt(CHECKSUM_AT as u64, what))?;
        if header.id != self.id {
            let what = format!("this is segment {} under another name", header.id.0);
            return Err(self.corrupt(12, what));
        }
        Ok(Some(header))
    }

    /// The frames from an offset on, where the one of this number is expected.
    pub(super) fn frames(&self, header: &SegmentHeader, offset: u64, sequence: u64) -> Frames<'a> {
        Frames {
            marker: header.marker,
            offset,
            sequence,
            unproven: VecDeque::new(),
            window: Window { file: self.file, len: self.len, start: 0, bytes: Vec::new() },
        }
    }

    /// All frames.
    pub(super) fn all_frames(&self, header: &SegmentHeader) -> Frames<'a> {
        self.frames(header, SEGMENT_HEADER_LEN as u64, header.first_sequence)
    }

    pub(super) fn corrupt(&self, offset: u64, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.to_owned(), offset, what: what.into() }
    }

    pub(super) fn unreadable(&self, error: io::Error) -> StoreError {
        StoreError::io("read", self.path, error)
    }
}

/// Whether these are all bytes of a file whose creation did not come to its end: it has no frames, and of
/// its header some bytes at most, with zeros in the place of the others.
fn is_unfinished(bytes: &[u8]) -> bool {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let begun = written.min(MAGIC.len());
    let is_whole = <&[u8; SEGMENT_HEADER_LEN]>::try_from(bytes).is_ok_and(|header| {
        let version = Input(&header[8..]).u32().unwrap_or_default();
        version > LOG_FORMAT || SegmentHeader::decode(header).is_ok()
    });
    bytes[..begun] == MAGIC[..begun] && !is_whole
}

/// The path of a segment's file.
pub(super) fn path(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join(file_name(id))
}

/// What stands at a place in a segment.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A frame: where it begins, its number, what it holds.
    Frame { offset: u64, sequence: u64, payload: &'a [u8] },
    /// Nothing any more, or zeros for frames to come.
    End,
    /// No frame, or a good one that is not the next one.
    Bad { offset: u64, what: String, is_intact: bool },
}

/// Goes through the frames of a segment.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    marker: u32,
    /// Where the next one is expected.
    offset: u64,
    /// Its number.
    sequence: u64,
    /// The last frames, of which no later one says that they were on the disk: numbers and offsets.
    unproven: VecDeque<(u64, u64)>,
    window: Window<'a>,
}

impl Frames<'_> {
    /// The number of the next frame.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where the next frame is expected.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the first frame begins that may not be on the disk, though it can be read; `None` if nothing
    /// was read.
    pub(super) fn first_unproven(&self) -> Option<u64> {
        self.unproven.front().map(|(_, offset)| *offset)
    }

    /// The next frame. One that is bad is found again by the next call.
    pub(super) fn next(&mut self) -> io::Result<Step<'_>> {
        let offset = self.offset;
        if offset == self.window.len {
            return Ok(Step::End);
        }
        if self.window.is_zero_from(offset)? {
            return Ok(Step::End);
        }
        let bad = |what: &str| Ok(Step::Bad { offset, what: what.to_owned(), is_intact: false });
        let Some(header) = self.window.get(offset, FRAME_HEADER_LEN)?.and_then(FrameHeader::read)
        else {
            return bad("a frame that ends early");
        };
        if header.marker != self.marker {
            return bad("no frame begins here");
        }
        let Some(frame) = self.window.frame(offset, &header)? else {
            return bad("a frame that ends early");
        };
        if !frame::is_intact(frame) {
            return bad("a frame's checksum does not match");
        }
        if header.sequence != self.sequence {
            let what = format!("frame {} where {} should be", header.sequence, self.sequence);
            return Ok(Step::Bad { offset, what, is_intact: true });
        }
        while self.unproven.front().is_some_and(|(sequence, _)| header.proves(*sequence)) {
            self.unproven.pop_front();
        }
        self.unproven.push_back((header.sequence, offset));
        self.offset += header.frame_len();
        self.sequence += 1;
        Ok(Step::Frame {
            offset,
            sequence: header.sequence,
            payload: &self.window.loaded(offset, header.frame_len())[FRAME_HEADER_LEN..],
        })
    }

    /// Behind a bad frame: where the next good one is that `accept`s its header, if any.
    pub(super) fn find_later(
        &mut self,
        accept: impl Fn(&FrameHeader) -> bool,
    ) -> io::Result<Option<u64>> {
        let mut offset = self.offset + 1;
        while let Some(found) = self.find_marker(offset)? {
            offset = found + 1;
            let Some(header) =
                self.window.get(found, FRAME_HEADER_LEN)?.and_then(FrameHeader::read)
            else {
                break;
            };
            if header.sequence <= self.sequence {
                continue;
            }
            let Some(frame) = self.window.frame(found, &header)? else { continue };
            if frame::is_intact(frame) {
                if accept(&header) {
                    return Ok(Some(found));
                }
                offset = found + header.frame_len();
            }
        }
        Ok(None)
    }

    /// Goes on at a frame that [`Self::find_later`] found.
    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let header = self.window.get(offset, FRAME_HEADER_LEN)?.and_then(FrameHeader::read);
        self.offset = offset;
        self.sequence = header.map_or(self.sequence, |header| header.sequence);
        Ok(())
    }

    /// Where the marker stands next.
    fn find_marker(&mut self, from: u64) -> io::Result<Option<u64>> {
        let marker = self.marker.to_le_bytes();
        let mut from = from;
        loop {
            let rest = self.window.len.saturating_sub(from);
            if rest < marker.len() as u64 {
                return Ok(None);
            }
            let count = usize::try_from(rest).unwrap_or(usize::MAX).min(WINDOW_LEN / 4);
            let Some(bytes) = self.window.get(from, count)? else { return Ok(None) };
            if let Some(at) = find(bytes, marker) {
                return Ok(Some(from + at as u64));
            }
            // The marker may begin in the last three bytes.
            from += (count - marker.len() + 1) as u64;
        }
    }
}

fn find(bytes: &[u8], marker: [u8; 4]) -> Option<usize> {
    bytes.windows(marker.len()).position(|window| window == marker)
}

/// The part of a file that is in memory.
#[derive(Debug)]
struct Window<'a> {
    file: &'a dyn DiskFile,
    /// Bytes in the file.
    len: u64,
    /// Where `bytes` lie.
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// These bytes of the file; `None` if it ends before.
    fn get(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        // The file really is that long: a made-up length reserves no memory.
        if offset.checked_add(count as u64).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        let is_loaded =
            offset >= self.start && offset + count as u64 <= self.start + self.bytes.len() as u64;
        if !is_loaded {
            let rest = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
            self.bytes.resize(rest.min(WINDOW_LEN.max(count)), 0);
            self.bytes.shrink_to(4 * WINDOW_LEN);
            self.start = offset;
            if let Err(error) = self.file.read_at(offset, &mut self.bytes) {
                self.bytes.clear();
                return Err(error);
            }
        }
        Ok(Some(self.loaded(offset, count as u64)))
    }

    /// Whether there are zeros up to the end of the file.
    fn is_zero_from(&mut self, from: u64) -> io::Result<bool> {
        // The first bytes tell, unless it is so.
        let (mut from, mut count) = (from, FRAME_HEADER_LEN);
        while from < self.len {
            let rest = usize::try_from(self.len - from).unwrap_or(usize::MAX);
            let Some(bytes) = self.get(from, rest.min(count))? else { return Ok(false) };
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            from += bytes.len() as u64;
            count = WINDOW_LEN / 4;
        }
        Ok(true)
    }

    /// The whole frame with this header.
    fn frame(&mut self, offset: u64, header: &FrameHeader) -> io::Result<Option<&[u8]>> {
        self.get(offset, FRAME_HEADER_LEN + header.length as usize)
    }

    /// Bytes that were loaded by the last [`Window::get`].
    fn loaded(&self, offset: u64, count: u64) -> &[u8] {
        let from = (offset - self.start) as usize;
        &self.bytes[from..from + count as usize]
    }
}
