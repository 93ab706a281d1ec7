//! The frames of the hot path, written from borrowed parts.
//!
//! Each call reserves once and allocates nothing beyond `out`. Short strings are cut at 255
//! octets.

use bytes::{BufMut, BytesMut};

use crate::frame::{FRAME_END, FRAME_OVERHEAD, FrameKind, head_bytes};
use crate::method::basic;
use crate::primitive::wire_len;
use crate::{ChannelId, FRAME_HEAD_SIZE};

/// The head of a method frame with the ids of its method.
#[inline]
fn method_head(channel: ChannelId, method_id: u16, arguments: usize) -> [u8; 11] {
    let mut head = [0; 11];
    let payload_len = wire_len(arguments + 4);
    head[..7].copy_from_slice(&head_bytes(FrameKind::Method, channel, payload_len));
    head[7..9].copy_from_slice(&basic::CLASS_ID.to_be_bytes());
    head[9..].copy_from_slice(&method_id.to_be_bytes());
    head
}

/// Appends a `basic.deliver` frame.
#[inline]
pub fn write_deliver(
    out: &mut BytesMut,
    channel: ChannelId,
    consumer_tag: &[u8],
    delivery_tag: u64,
    redelivered: bool,
    exchange: &[u8],
    routing_key: &[u8],
) {
    let [consumer_tag, exchange, routing_key] = [consumer_tag, exchange, routing_key].map(cut);
    let arguments = consumer_tag.len() + exchange.len() + routing_key.len() + 3 + 9;
    let mut frame = Room::take(out, arguments + 4 + FRAME_OVERHEAD);
    frame.put(&method_head(channel, basic::Deliver::METHOD_ID, arguments));
    frame.put(&[consumer_tag.len() as u8]);
    frame.put(consumer_tag);
    frame.put(&delivery_tag.to_be_bytes());
    frame.put(&[redelivered.into(), exchange.len() as u8]);
    frame.put(exchange);
    frame.put(&[routing_key.len() as u8]);
    frame.put(routing_key);
    frame.put(&[FRAME_END]);
}

/// Appends a content header frame. `raw_properties` are flags and property list, as in
/// [`RawContentHeader`](crate::RawContentHeader); two zero octets stand for no properties.
#[inline]
pub fn write_content_header(
    out: &mut BytesMut,
    channel: ChannelId,
    class_id: u16,
    body_size: u64,
    raw_properties: &[u8],
) {
    let payload_len = 12 + raw_properties.len();
    let mut frame = Room::take(out, payload_len + FRAME_OVERHEAD);
    frame.put(&head_bytes(FrameKind::Header, channel, wire_len(payload_len)));
    let [k0, k1] = class_id.to_be_bytes();
    frame.put(&[k0, k1, 0, 0]);
    frame.put(&body_size.to_be_bytes());
    frame.put(raw_properties);
    frame.put(&[FRAME_END]);
}

/// Appends one body frame. It is for the caller to split a body that does not fit one; an empty
/// body has no frame at all.
#[inline]
pub fn write_body(out: &mut BytesMut, channel: ChannelId, payload: &[u8]) {
    out.reserve(payload.len() + FRAME_OVERHEAD);
    out.put_slice(&body_frame_head(channel, wire_len(payload.len())));
    out.put_slice(payload);
    out.put_u8(FRAME_END);
}

/// Appends all that follows a method with content: the header frame, and the body in as many
/// frames as it takes, none if it is empty.
///
/// `frame_max` is the negotiated size of a whole frame in octets, 0 for no limit. The properties
/// must fit one frame; it is for the caller to see to that.
#[inline]
pub fn write_content(
    out: &mut BytesMut,
    channel: ChannelId,
    class_id: u16,
    raw_properties: &[u8],
    body: &[u8],
    frame_max: u32,
) {
    write_content_header(out, channel, class_id, body.len() as u64, raw_properties);
    for part in body.chunks(body_part_max(frame_max)) {
        write_body(out, channel, part);
    }
}

/// The most octets of a body that one frame carries. `frame_max` is as in [`write_content`].
#[must_use]
#[inline]
pub fn body_part_max(frame_max: u32) -> usize {
    let limit = if frame_max == 0 { u32::MAX } else { frame_max };
    (limit as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

/// The head of a body frame with `len` octets of payload, for a vectored write: it goes before the
/// payload, and [`FRAME_END`](crate::FRAME_END) after it.
#[must_use]
#[inline]
pub fn body_frame_head(channel: ChannelId, len: u32) -> [u8; FRAME_HEAD_SIZE] {
    head_bytes(FrameKind::Body, channel, len)
}

/// Appends a `basic.ack` frame.
#[inline]
pub fn write_ack(out: &mut BytesMut, channel: ChannelId, delivery_tag: u64, multiple: bool) {
    put_settlement(out, channel, basic::Ack::METHOD_ID, delivery_tag, multiple.into());
}

/// Appends a `basic.nack` frame.
#[inline]
pub fn write_nack(
    out: &mut BytesMut,
    channel: ChannelId,
    delivery_tag: u64,
    multiple: bool,
    requeue: bool,
) {
    let bits = u8::from(multiple) | u8::from(requeue) << 1;
    put_settlement(out, channel, basic::Nack::METHOD_ID, delivery_tag, bits);
}

#[inline]
fn put_settlement(
    out: &mut BytesMut,
    channel: ChannelId,
    method_id: u16,
    delivery_tag: u64,
    bits: u8,
) {
    let mut frame = [0; 21];
    frame[..11].copy_from_slice(&method_head(channel, method_id, 9));
    frame[11..19].copy_from_slice(&delivery_tag.to_be_bytes());
    frame[19] = bits;
    frame[20] = FRAME_END;
    out.put_slice(&frame);
}

/// Appends a heartbeat frame.
#[inline]
pub fn write_heartbeat(out: &mut BytesMut) {
    let [k, c0, c1, s0, s1, s2, s3] = head_bytes(FrameKind::Heartbeat, ChannelId::CONNECTION, 0);
    out.put_slice(&[k, c0, c1, s0, s1, s2, s3, FRAME_END]);
}

#[inline]
fn cut(name: &[u8]) -> &[u8] {
    &name[..name.len().min(255)]
}

/// The part of a buffer that a frame of known size is being put into. Sizing the buffer once and
/// filling a slice is quicker than asking it for room with every field.
struct Room<'a>(&'a mut [u8]);

impl<'a> Room<'a> {
    /// Makes room for `len` octets.
    #[inline]
    fn take(out: &'a mut BytesMut, len: usize) -> Self {
        let start = out.len();
        out.resize(start + len, 0);
        Self(&mut out[start..])
    }

    /// Fills the next octets. All of them together must be what was asked for.
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let (room, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        room.copy_from_slice(bytes);
        self.0 = rest;
    }
}
