//! What is to be written to the client: small frames gathered in one buffer, large bodies by
//! reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use amqp_codec::{
    ChannelId, FRAME_OVERHEAD, Method, body_frame_head, body_part_max, write_body,
    write_content_header,
};
use bytes::{Buf, Bytes, BytesMut};

/// Bodies below this size are copied into the buffer; a vectored write of its own costs more.
const COPY_MAX: usize = 16 * 1024;

/// The end of every frame.
const FRAME_END: &[u8] = &[amqp_codec::FRAME_END];

/// A content on its way out, borrowed from wherever it is kept.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingContent<'a> {
    /// Raw property flags and list.
    pub properties: &'a [u8],
    /// Bytes in the body.
    pub body_len: u64,
    /// A small body.
    pub inline_body: &'a [u8],
    /// A large body, in pieces.
    pub body_segments: &'a [Bytes],
}

/// Bytes that wait to be written, in order. Read through [`Buf`], so that one vectored write takes
/// as much as the socket does.
#[derive(Debug)]
pub struct Output {
    /// Complete chunks in front of `tail`.
    chunks: VecDeque<Bytes>,
    chunks_len: usize,
    tail: BytesMut,
    frame_max: u32,
    written: u64,
}

impl Output {
    /// Nothing to write; bodies are cut to frames of at most `frame_max` bytes.
    pub fn new(frame_max: u32) -> Self {
        let (chunks, tail) = (VecDeque::new(), BytesMut::new());
        Self { chunks, chunks_len: 0, tail, frame_max, written: 0 }
    }

    /// Sets the negotiated size of a frame; 0 is unlimited.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The buffer for whole small frames, for the codec's `write_…` functions.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Writes a method frame.
    pub fn method(&mut self, channel: ChannelId, method: impl Into<Method>) {
        method.into().encode(channel, &mut self.tail);
    }

    /// The longest property list that fits a header frame, in bytes.
    pub fn properties_max(&self) -> usize {
        const CLASS_WEIGHT_AND_BODY_SIZE: usize = 12;
        body_part_max(self.frame_max).saturating_sub(CLASS_WEIGHT_AND_BODY_SIZE)
    }

    /// Writes the header and body frames behind a method that carries content.
    pub fn content(&mut self, channel: ChannelId, content: OutgoingContent<'_>) {
        let OutgoingContent { properties, body_len, inline_body, body_segments } = content;
        write_content_header(&mut self.tail, channel, 60, body_len, properties);
        let piece_max = self.body_frame_max();
        for piece in inline_body.chunks(piece_max) {
            write_body(&mut self.tail, channel, piece);
        }
        for segment in body_segments {
            let mut rest = segment.clone();
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(piece_max));
                self.body_piece(channel, piece);
            }
        }
    }

    /// Drops the memory that a burst left behind. Called when there is nothing to write for now.
    pub fn shrink(&mut self) {
        const KEEP: usize = 4 * 1024;
        if self.tail.is_empty() && self.tail.capacity() > KEEP {
            self.tail = BytesMut::new();
            self.chunks = VecDeque::new();
        }
    }

    fn body_piece(&mut self, channel: ChannelId, piece: Bytes) {
        if piece.len() < COPY_MAX {
            write_body(&mut self.tail, channel, &piece);
            return;
        }
        let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        self.tail.extend_from_slice(&body_frame_head(channel, len));
        let before = self.tail.split().freeze();
        for chunk in [before, piece] {
            self.chunks_len += chunk.len();
            self.chunks.push_back(chunk);
        }
        self.tail.extend_from_slice(FRAME_END);
    }

    fn body_frame_max(&self) -> usize {
        match self.frame_max {
            0 => u32::MAX as usize - FRAME_OVERHEAD,
            max => max as usize - FRAME_OVERHEAD,
        }
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.chunks_len + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail[..], |chunk| &chunk[..])
    }

    fn advance(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(front) = self.chunks.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            self.chunks_len -= step;
            count -= step;
            if !front.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
        self.tail.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.chunks.iter().map(|chunk| &chunk[..]);
        let all = chunks.chain(std::iter::once(&self.tail[..])).filter(|chunk| !chunk.is_empty());
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(chunk);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests;
