//! What a socket brought, looked at where it was read.

use std::io::{self, Read};

use amqp_codec::{FRAME_HEAD_SIZE, FrameKind, RawFrame, peek_frame_head, split_frame};

use super::PerfError;

/// Read at once, if the socket has it; larger than any frame that is asked for.
const SIZE_MAX: usize = 256 * 1024;

/// What a connection starts with. One with nothing to read keeps to it.
const SIZE_MIN: usize = 16 * 1024;

/// From here on, what is left of a body is not even read but has the system throw it away.
const DISCARD_MIN: usize = 4 * 1024;

/// The read buffer of a connection.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// What is still to come of a body that nobody wants to see.
    skip: usize,
    /// How much of a body frame is shown at most.
    shown: usize,
}

/// What a connection brings.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A frame that is no body.
    Frame(RawFrame<'a>),
    /// A body frame: its length, and as much of its start as is to be shown. The rest is not waited for.
    Body { len: usize, start: &'a [u8] },
}

impl Input {
    /// Shows so much of every body frame, if it has so much.
    pub(super) fn new(shown: usize) -> Self {
        Self { buffer: vec![0; SIZE_MIN].into_boxed_slice(), start: 0, end: 0, skip: 0, shown }
    }

    /// Shows so much of every body frame from now on.
    pub(super) fn show(&mut self, shown: usize) {
        self.shown = shown;
    }

    /// Reads what there is. `Ok(0)` is the end.
    pub(super) fn fill(&mut self, mut socket: impl Read) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.grow();
        }
        let len = socket.read(&mut self.buffer[self.end..])?;
        self.end += len;
        if self.end == self.buffer.len() && self.start == 0 {
            // The socket had more than there was room for.
            self.grow();
        }
        self.skip_some();
        Ok(len)
    }

    fn grow(&mut self) {
        let len = self.buffer.len() * 4;
        if len <= SIZE_MAX {
            let mut larger = vec![0; len].into_boxed_slice();
            larger[..self.end].copy_from_slice(&self.buffer[..self.end]);
            self.buffer = larger;
        }
    }

    /// Room for what may be thrown away unread, if that is much: `discarded` says how much it was.
    pub(super) fn discardable(&mut self) -> Option<&mut [u8]> {
        let there = self.start < self.end;
        let len = self.skip.min(self.buffer.len());
        (!there && len >= DISCARD_MIN).then(|| &mut self.buffer[..len])
    }

    /// Notes that so much was thrown away.
    pub(super) fn discarded(&mut self, len: usize) {
        self.skip -= len.min(self.skip);
    }

    /// The next piece, if it is there.
    #[inline]
    pub(super) fn next(&mut self, frame_max: u32) -> Result<Option<Piece<'_>>, PerfError> {
        let Self { start, end, .. } = *self;
        let rest = &self.buffer[start..end];
        let Some(head) = peek_frame_head(rest, frame_max)? else { return Ok(None) };
        if head.kind == FrameKind::Body {
            let len = head.payload_len as usize;
            let shown = FRAME_HEAD_SIZE..FRAME_HEAD_SIZE + len.min(self.shown);
            if rest.len() < shown.end {
                return Ok(None);
            }
            self.skip = head.frame_len();
            self.skip_some();
            return Ok(Some(Piece::Body { len, start: &self.buffer[start..][shown] }));
        }
        if head.frame_len() > SIZE_MAX {
            let (expected, got) = ("a frame", format!("one of {} bytes", head.frame_len()));
            return Err(PerfError::Unexpected { expected, got });
        }
        let Some((frame, len)) = split_frame(&self.buffer[start..end], frame_max)? else {
            return Ok(None);
        };
        self.start += len;
        Ok(Some(Piece::Frame(frame)))
    }

    fn skip_some(&mut self) {
        let there = self.skip.min(self.end - self.start);
        self.start += there;
        self.skip -= there;
    }
}

#[cfg(test)]
mod tests {
    use amqp_codec::{ChannelId, write_body, write_heartbeat};
    use bytes::BytesMut;

    use super::*;

    /// Whatever the socket's cuts, the same pieces come out.
    #[test]
    fn bodies_are_passed_over_without_being_whole() {
        let mut wire = BytesMut::new();
        write_heartbeat(&mut wire);
        write_body(&mut wire, ChannelId(1), &[7; 300_000]);
        write_body(&mut wire, ChannelId(1), b"short");
        write_heartbeat(&mut wire);
        for cut in [1, 9, 4096, 1 << 20] {
            let mut input = Input::new(12);
            let mut pieces = Vec::new();
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let now = rest.len().min(cut);
                let taken = input.fill(&rest[..now]).unwrap();
                rest = &rest[taken..];
                while let Some(piece) = input.next(0).unwrap() {
                    pieces.push(match piece {
                        Piece::Frame(frame) => format!("{:?}", frame.kind),
                        Piece::Body { len, start } => format!("{len} {}", start.len()),
                    });
                }
            }
            assert_eq!(pieces, ["Heartbeat", "300000 12", "5 5", "Heartbeat"], "cut at {cut}");
        }
    }
}
