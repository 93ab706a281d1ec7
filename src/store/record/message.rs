//! The record of a message: read within its frame, or alone, years later.

use amqp_codec::ShortString;
use bytes::Bytes;

use super::super::encoding::{Input, Malformed, put_bytes, put_varint};
use super::{NewPlace, RecordError, RecordSpan, kind, optional_timestamp};
use crate::broker::effect::Position;
use crate::broker::message::{Message, MessageExtras, MessageParts};
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// A body of at most this many bytes is copied when it is read back; a larger one stays a part of what
/// was read. (Otherwise a small body would keep all in memory that was read along with it.)
pub const BODY_COPIED_MAX: u64 = 16 * 1024;

const CHECKSUM_LEN: usize = 4;

mod flag {
    pub(super) const TRANSIENT: u8 = 1;
    pub(super) const PERSISTENT: u8 = 2;
    pub(super) const EXTRAS: u8 = 4;
    pub(super) const EXPIRE: u8 = 8;
    pub(super) const WAIT: u8 = 16;
    pub(super) const ALL: u8 = 31;
}

mod extras_flag {
    pub(super) const TIME_TO_LIVE: u8 = 1;
    pub(super) const DUE: u8 = 2;
}

/// What a frame tells of a message, without the message itself.
#[derive(Debug, Clone, Copy)]
pub struct MessageRecord<'a> {
    /// Where the record lies in its frame.
    pub span: RecordSpan,
    /// Bytes in the body.
    pub body_len: u64,
    /// It is here only to spare memory, and does not outlive the process.
    pub transient: bool,
    /// The places that it takes.
    pub places: Places<'a>,
}

/// The places of a message, in order.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Places that were read once already.
    rest: Input<'a>,
    flags: u8,
}

impl Places<'_> {
    #[cfg(test)]
    pub(super) fn none() -> Places<'static> {
        Places { rest: Input(&[]), flags: 0 }
    }

    fn place(input: &mut Input<'_>, flags: u8) -> Result<NewPlace, Malformed> {
        let queue = QueueId(input.varint()?);
        let position = Position(input.varint()?);
        let expires = if flags & flag::EXPIRE == 0 {
            Timestamp::NEVER
        } else {
            Timestamp(input.varint()?.wrapping_sub(1))
        };
        let due = if flags & flag::WAIT == 0 { None } else { optional_timestamp(input)? };
        Ok(NewPlace { queue, position, expires, due })
    }
}

impl Iterator for Places<'_> {
    type Item = NewPlace;

    fn next(&mut self) -> Option<NewPlace> {
        if self.rest.is_empty() {
            return None;
        }
        Self::place(&mut self.rest, self.flags).ok()
    }
}

/// A message's record, taken apart.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    record: &'a [u8],
    flags: u8,
    priority: u8,
    exchange_len: u8,
    routing_key_len: u8,
    properties_len: u32,
    body_len: u64,
    places: Places<'a>,
    /// Extras, then the exchange and what follows.
    rest: Input<'a>,
}

impl<'a> Parts<'a> {
    /// Takes a record off the input, without a look at its checksum.
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let mut head = *input;
        head.byte()?;
        let length = head.u32()? as usize;
        let record = input.bytes(length)?;
        let content =
            length.checked_sub(CHECKSUM_LEN).ok_or(Malformed("shorter than its checksum"))?;
        let mut rest = Input(&record[..content]);
        rest.bytes(1 + size_of::<u32>())?;
        let flags = rest.byte()?;
        if flags & !flag::ALL != 0 {
            return Err(Malformed("a message with unknown flags"));
        }
        let mut parts = Self {
            record,
            flags,
            priority: rest.byte()?,
            exchange_len: rest.byte()?,
            routing_key_len: rest.byte()?,
            properties_len: u32::try_from(rest.varint()?)
                .map_err(|_| Malformed("properties that are too long"))?,
            body_len: rest.varint()?,
            places: Places { rest: Input(&[]), flags },
            rest,
        };
        parts.places.rest = read_places(&mut rest, flags)?;
        parts.rest = rest;
        Ok(parts)
    }

    fn verify(&self) -> Result<(), Malformed> {
        let (content, mut checksum) = split_checksum(self.record);
        if checksum.u32()? == crc32c::crc32c(content) {
            Ok(())
        } else {
            Err(Malformed("a message's checksum does not match"))
        }
    }

    /// What is kept of a message in one piece, without the body.
    fn names_len(&self) -> usize {
        let names = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
        names + self.properties_len as usize
    }
}

/// Steps over a message's places, which shows that they can be read.
fn read_places<'a>(input: &mut Input<'a>, flags: u8) -> Result<Input<'a>, Malformed> {
    let count = input.varint()?;
    let start = *input;
    for _ in 0..count {
        Places::place(input, flags)?;
    }
    Ok(Input(&start.0[..start.0.len() - input.0.len()]))
}

fn split_checksum(record: &[u8]) -> (&[u8], Input<'_>) {
    let (content, checksum) = record.split_at(record.len().saturating_sub(CHECKSUM_LEN));
    (content, Input(checksum))
}

/// Takes a message's record off a frame's payload, whose own checksum was right.
pub(super) fn read<'a>(input: &mut Input<'a>, offset: u32) -> Result<MessageRecord<'a>, Malformed> {
    let parts = Parts::read(input)?;
    let length = u32::try_from(parts.record.len()).unwrap_or(u32::MAX);
    Ok(MessageRecord {
        span: RecordSpan { offset, length },
        body_len: parts.body_len,
        transient: parts.flags & flag::TRANSIENT != 0,
        places: parts.places,
    })
}

/// The message of a record that was read by itself.
pub fn decode_message(record: &Bytes) -> Result<Message, RecordError> {
    decode(record).map_err(|Malformed(what)| RecordError { offset: 0, what })
}

fn decode(record: &Bytes) -> Result<Message, Malformed> {
    let parts = alone(record)?;
    let mut rest = parts.rest;
    let extras =
        if parts.flags & flag::EXTRAS == 0 { None } else { Some(Box::new(extras(&mut rest)?)) };
    let bytes = rest.0;
    let body_start = parts.names_len();
    if bytes.len().checked_sub(body_start).map(|body| body as u64) != Some(parts.body_len) {
        return Err(Malformed("a message's lengths do not add up"));
    }
    let body;
    let (bytes, segments) = if parts.body_len <= BODY_COPIED_MAX {
        (bytes, &[][..])
    } else {
        body = [record.slice_ref(&bytes[body_start..])];
        (&bytes[..body_start], &body[..])
    };
    Ok(Message::new(MessageParts {
        exchange_len: parts.exchange_len,
        routing_key_len: parts.routing_key_len,
        properties_len: parts.properties_len,
        bytes,
        segments,
        persistent: parts.flags & flag::PERSISTENT != 0,
        priority: parts.priority,
        extras,
    }))
}

/// A record that is all of the input, with the right checksum.
fn alone(record: &[u8]) -> Result<Parts<'_>, Malformed> {
    let mut input = Input(record);
    if !matches!(record.first(), Some(&(kind::MESSAGE | kind::MOVED))) {
        return Err(Malformed("this is no message"));
    }
    let parts = Parts::read(&mut input)?;
    if !input.is_empty() {
        return Err(Malformed("there is more than one message"));
    }
    parts.verify()?;
    Ok(parts)
}

fn extras(input: &mut Input<'_>) -> Result<MessageExtras, Malformed> {
    let flags = input.byte()?;
    let mut optional = |flag| if flags & flag == 0 { Ok(None) } else { input.varint().map(Some) };
    Ok(MessageExtras {
        time_to_live: optional(extras_flag::TIME_TO_LIVE)?,
        due: optional(extras_flag::DUE)?.map(Timestamp),
        copies: routing_keys(input)?,
        blind_copies: routing_keys(input)?,
    })
}

fn routing_keys(input: &mut Input<'_>) -> Result<Vec<ShortString>, Malformed> {
    let mut keys = Vec::new();
    for _ in 0..input.varint()? {
        let key = ShortString::new(input.sized_bytes()?);
        keys.push(key.map_err(|_| Malformed("a routing key that is too long"))?);
    }
    Ok(keys)
}

/// Appends a message's record.
pub(super) fn put(out: &mut Vec<u8>, message: &Message, places: &[NewPlace], transient: bool) {
    let start = out.len();
    let extras = message.extras();
    let has_extras = *extras != MessageExtras::default();
    let flags = flags_of(places)
        | if transient { flag::TRANSIENT } else { 0 }
        | if message.is_persistent() { flag::PERSISTENT } else { 0 }
        | if has_extras { flag::EXTRAS } else { 0 };
    let (exchange, routing_key) = (message.exchange(), message.routing_key());
    out.extend_from_slice(&[kind::MESSAGE, 0, 0, 0, 0, flags, message.priority()]);
    // Both were of one byte when the message was made.
    out.extend_from_slice(&[exchange.len() as u8, routing_key.len() as u8]);
    put_varint(out, message.properties().len() as u64);
    put_varint(out, message.body_len());
    put_places(out, places, flags);
    if has_extras {
        put_extras(out, extras);
    }
    out.extend_from_slice(exchange);
    out.extend_from_slice(routing_key);
    out.extend_from_slice(message.properties());
    out.extend_from_slice(message.inline_body());
    for segment in message.body_segments() {
        out.extend_from_slice(segment);
    }
    finish(out, start);
}

/// Appends the record of a message that has a record already, for the places that it still has.
pub(super) fn put_moved(
    out: &mut Vec<u8>,
    record: &[u8],
    places: &[NewPlace],
) -> Result<(), RecordError> {
    let parts = alone(record).map_err(|Malformed(what)| RecordError { offset: 0, what })?;
    let start = out.len();
    let flags = parts.flags & !(flag::EXPIRE | flag::WAIT) | flags_of(places);
    out.extend_from_slice(&[kind::MOVED, 0, 0, 0, 0, flags, parts.priority]);
    out.extend_from_slice(&[parts.exchange_len, parts.routing_key_len]);
    put_varint(out, parts.properties_len.into());
    put_varint(out, parts.body_len);
    put_places(out, places, flags);
    out.extend_from_slice(parts.rest.0);
    finish(out, start);
    Ok(())
}

/// Writes down the length of the record that began at `start`, and its checksum.
fn finish(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start + CHECKSUM_LEN;
    // A longer one makes its frame too long, and such a frame is not appended.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

fn flags_of(places: &[NewPlace]) -> u8 {
    let expire = places.iter().any(|place| place.expires != Timestamp::NEVER);
    let wait = places.iter().any(|place| place.due.is_some());
    (if expire { flag::EXPIRE } else { 0 }) | if wait { flag::WAIT } else { 0 }
}

fn put_places(out: &mut Vec<u8>, places: &[NewPlace], flags: u8) {
    put_varint(out, places.len() as u64);
    for place in places {
        put_varint(out, place.queue.0);
        put_varint(out, place.position.0);
        if flags & flag::EXPIRE != 0 {
            put_varint(out, place.expires.0.wrapping_add(1));
        }
        if flags & flag::WAIT != 0 {
            put_optional_timestamp(out, place.due);
        }
    }
}

pub(super) fn put_optional_timestamp(out: &mut Vec<u8>, timestamp: Option<Timestamp>) {
    match timestamp {
        None => out.push(0),
        Some(Timestamp(milliseconds)) => {
            out.push(1);
            put_varint(out, milliseconds);
        }
    }
}

fn put_extras(out: &mut Vec<u8>, extras: &MessageExtras) {
    let MessageExtras { time_to_live, due, copies, blind_copies } = extras;
    let flags = if time_to_live.is_some() { extras_flag::TIME_TO_LIVE } else { 0 }
        | if due.is_some() { extras_flag::DUE } else { 0 };
    out.push(flags);
    for number in [*time_to_live, due.map(|due| due.0)].into_iter().flatten() {
        put_varint(out, number);
    }
    for keys in [copies, blind_copies] {
        put_varint(out, keys.len() as u64);
        for key in keys {
            put_bytes(out, key.as_bytes());
        }
    }
}
