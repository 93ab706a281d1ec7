//! Frames: finding them in a read buffer, decoding and encoding them whole.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::primitive::wire_len;
use crate::{ChannelId, ContentHeader, DecodeError, Method, encode};

/// The octets before a frame's payload: type, channel, size.
pub const FRAME_HEAD_SIZE: usize = 7;

/// The octets of a frame that are not payload: the head and the frame end.
pub const FRAME_OVERHEAD: usize = 8;

/// The smallest frame-max, in octets, that a peer may ask for; what is in force until tune-ok.
///
/// Spec: amqp0-9-1.xml, constant `frame-min-size`.
pub const FRAME_MIN_SIZE: u32 = 4096;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;

/// The four types of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A method and its arguments.
    Method = 1,
    /// The size and properties of a content.
    Header = 2,
    /// A part of a content's body.
    Body = 3,
    /// A sign of life.
    Heartbeat = 8,
}

impl FrameKind {
    /// The type octet on the wire.
    #[must_use]
    #[inline]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The type with this octet.
    #[must_use]
    #[inline]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Method),
            2 => Some(Self::Header),
            3 => Some(Self::Body),
            8 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// The first seven octets of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// What the payload is.
    pub kind: FrameKind,
    /// Whose frame it is.
    pub channel: ChannelId,
    /// The octets of payload that follow the head.
    pub payload_len: u32,
}

impl FrameHead {
    /// The octets of the whole frame: head, payload and frame end.
    #[must_use]
    #[inline]
    pub fn frame_len(&self) -> usize {
        self.payload_len as usize + FRAME_OVERHEAD
    }
}

/// A frame with its payload left where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// Whose frame it is.
    pub channel: ChannelId,
    /// What is between the head and the frame end.
    pub payload: &'a [u8],
}

/// A frame with everything in it decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A method.
    Method(ChannelId, Method),
    /// The header of a content; boxed, since 14 properties make it larger than all else.
    Header(ChannelId, Box<ContentHeader>),
    /// A part of a body: after [`decode_frame`], a slice of the read buffer.
    Body(ChannelId, Bytes),
    /// A heartbeat. The channel should be 0, and it is for the caller to say so.
    Heartbeat(ChannelId),
}

/// Looks at the head of the frame that `input` starts with. `Ok(None)` means that more octets are
/// needed. It lets a reader take the payload of a large body as an owned slice.
///
/// `frame_max` is the negotiated size of a whole frame in octets, 0 for no limit (but that of the
/// 32-bit size field). As in RabbitMQ, a payload of up to `frame_max` octets passes, 8 more than
/// are right: a few clients forget the [`FRAME_OVERHEAD`].
///
/// # Errors
/// An unknown frame type (seen by the first octet), a frame too large, or a heartbeat with a
/// payload: all 501.
#[inline]
pub fn peek_frame_head(input: &[u8], frame_max: u32) -> Result<Option<FrameHead>, DecodeError> {
    let Some(&kind) = input.first() else { return Ok(None) };
    let kind = FrameKind::from_code(kind).ok_or(DecodeError::UnknownFrameKind { kind })?;
    let Some(&[_, c0, c1, s0, s1, s2, s3]) = input.first_chunk::<FRAME_HEAD_SIZE>() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if frame_max != 0 && size > frame_max {
        let max = frame_max.saturating_sub(FRAME_OVERHEAD as u32);
        return Err(DecodeError::FrameTooLarge { kind: kind.code(), size, max });
    }
    if kind == FrameKind::Heartbeat && size != 0 {
        return Err(DecodeError::HeartbeatNotEmpty { size });
    }
    let channel = ChannelId(u16::from_be_bytes([c0, c1]));
    Ok(Some(FrameHead { kind, channel, payload_len: size }))
}

/// Finds the frame that `input` starts with, and how many octets it takes up. `Ok(None)` means
/// that more octets are needed.
///
/// The head is checked before the rest is waited for. `frame_max` is as in [`peek_frame_head`].
///
/// # Errors
/// As [`peek_frame_head`], and if the frame-end octet is missing (501).
#[inline]
pub fn split_frame(
    input: &[u8],
    frame_max: u32,
) -> Result<Option<(RawFrame<'_>, usize)>, DecodeError> {
    let Some(head) = peek_frame_head(input, frame_max)? else { return Ok(None) };
    let len = head.frame_len();
    let Some(frame) = input.get(FRAME_HEAD_SIZE..len) else { return Ok(None) };
    let Some((&end, payload)) = frame.split_last() else { return Ok(None) };
    if end != FRAME_END {
        return Err(DecodeError::MissingFrameEnd { kind: head.kind.code(), found: end });
    }
    Ok(Some((RawFrame { kind: head.kind, channel: head.channel, payload }, len)))
}

/// Takes the next frame out of a read buffer and decodes it. `Ok(None)` means that more octets
/// are needed.
///
/// A body is a slice of the buffer's memory and keeps it alive; nothing is copied. After an error
/// the buffer is as it was, and the stream has no further use: close it with the error's
/// [`reply_code`](DecodeError::reply_code).
///
/// # Errors
/// As [`split_frame`], [`Method::decode`] and [`ContentHeader::decode`].
pub fn decode_frame(buffer: &mut BytesMut, frame_max: u32) -> Result<Option<Frame>, DecodeError> {
    let Some((raw, len)) = split_frame(buffer, frame_max)? else { return Ok(None) };
    let channel = raw.channel;
    let frame = match raw.kind {
        FrameKind::Method => Frame::Method(channel, Method::decode(raw.payload)?),
        FrameKind::Header => Frame::Header(channel, Box::new(ContentHeader::decode(raw.payload)?)),
        FrameKind::Heartbeat => Frame::Heartbeat(channel),
        FrameKind::Body => {
            let mut body = buffer.split_to(len).freeze();
            body.advance(FRAME_HEAD_SIZE);
            body.truncate(len - FRAME_OVERHEAD);
            return Ok(Some(Frame::Body(channel, body)));
        }
    };
    buffer.advance(len);
    Ok(Some(frame))
}

/// Appends a whole frame. It is for the caller to keep it within the negotiated frame-max.
pub fn encode_frame(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Method(channel, method) => method.encode(*channel, out),
        Frame::Header(channel, header) => {
            put_frame(out, FrameKind::Header, *channel, |out| header.encode(out));
        }
        Frame::Body(channel, body) => encode::write_body(out, *channel, body),
        Frame::Heartbeat(channel) => put_frame(out, FrameKind::Heartbeat, *channel, |_| {}),
    }
}

/// The seven octets before a payload.
#[inline]
pub(crate) fn head_bytes(
    kind: FrameKind,
    channel: ChannelId,
    payload_len: u32,
) -> [u8; FRAME_HEAD_SIZE] {
    let [c0, c1] = channel.0.to_be_bytes();
    let [s0, s1, s2, s3] = payload_len.to_be_bytes();
    [kind.code(), c0, c1, s0, s1, s2, s3]
}

/// Writes a frame around a payload whose size is not known in advance.
#[inline]
pub(crate) fn put_frame(
    out: &mut BytesMut,
    kind: FrameKind,
    channel: ChannelId,
    payload: impl FnOnce(&mut BytesMut),
) {
    let start = out.len();
    out.put_slice(&head_bytes(kind, channel, 0));
    payload(out);
    let len = wire_len(out.len() - start - FRAME_HEAD_SIZE);
    out[start + 3..start + FRAME_HEAD_SIZE].copy_from_slice(&len.to_be_bytes());
    out.put_u8(FRAME_END);
}
