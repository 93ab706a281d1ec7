//! The places of up to 512 neighbouring positions, packed.
//!
//! ```text
//! version: u8 = 1 | count: varint | count × entry
//! entry:   flags: u8 | what the flags name, in the order below
//!   0x01 gap       varint  positions left out since the entry before
//!   0x02 segment   zigzag  relative to the entry before; then the offset as a varint
//!   0x04 offset    zigzag  relative to the end of the record before
//!   0x08 length    zigzag  relative to the entry before
//!   0x10 overhead  zigzag  the record's length without the body, relative to the entry before
//!   0x20 expires   zigzag  relative to the last that does; NEVER without it
//!   0x40 due       zigzag  relative to the last that had one; none without it
//!   0x80 returns   varint  × 4, + 2 if delivered, + 1 if transient
//! ```
//!
//! What a queue usually holds (messages of one size, appended one after the other) takes a byte each.

use super::encoding::{Input, Malformed, put_varint};
use super::place::{Location, Place, SegmentId};
use crate::broker::time::Timestamp;

/// Positions in a block.
pub(super) const BLOCK_POSITIONS: u64 = 512;

const VERSION: u8 = 1;

const GAP: u8 = 0x01;
const SEGMENT: u8 = 0x02;
const OFFSET: u8 = 0x04;
const LENGTH: u8 = 0x08;
const OVERHEAD: u8 = 0x10;
const EXPIRES: u8 = 0x20;
const DUE: u8 = 0x40;
const RETURNS: u8 = 0x80;

/// A place with its position, counted from the block's first.
pub(super) type Entry = (u16, Place);

/// What both sides know of the entries before.
struct Context {
    next_position: u64,
    segment: u32,
    end: u32,
    length: u32,
    overhead: u64,
    expires: u64,
    due: u64,
}

impl Context {
    fn new() -> Self {
        Self { next_position: 0, segment: 0, end: 0, length: 0, overhead: 0, expires: 0, due: 0 }
    }

    fn advance(&mut self, position: u64, place: &Place) {
        self.next_position = position + 1;
        self.segment = place.location.segment.0;
        self.end = place.location.offset.wrapping_add(place.location.length);
        self.length = place.location.length;
        self.overhead = u64::from(place.location.length).wrapping_sub(place.body_len);
        if place.expires != Timestamp::NEVER {
            self.expires = place.expires.0;
        }
        if let Some(due) = place.due {
            self.due = due.0;
        }
    }
}

/// Packs entries, which are in the order of their positions.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + entries.len() * 3);
    out.push(VERSION);
    put_varint(&mut out, entries.len() as u64);
    let mut context = Context::new();
    for (position, place) in entries {
        encode_entry(&mut out, &context, u64::from(*position), place);
        context.advance(u64::from(*position), place);
    }
    out
}

fn encode_entry(out: &mut Vec<u8>, context: &Context, position: u64, place: &Place) {
    let flags_at = out.len();
    out.push(0);
    let mut flags = 0;
    let mut put = |out: &mut Vec<u8>, flag: u8, number: u64| {
        if number != 0 {
            flags |= flag;
            put_varint(out, number);
        }
    };
    let location = place.location;
    put(out, GAP, position - context.next_position);
    let segment = difference(location.segment.0.into(), context.segment.into());
    put(out, SEGMENT, segment);
    if segment == 0 {
        put(out, OFFSET, difference(location.offset.into(), context.end.into()));
    } else {
        put_varint(out, location.offset.into());
    }
    put(out, LENGTH, difference(location.length.into(), context.length.into()));
    let overhead = u64::from(location.length).wrapping_sub(place.body_len);
    put(out, OVERHEAD, difference(overhead, context.overhead));
    if place.expires != Timestamp::NEVER {
        // A flag of its own tells a difference of nothing from no moment at all.
        flags |= EXPIRES;
        put_varint(out, difference(place.expires.0, context.expires));
    }
    if let Some(due) = place.due {
        flags |= DUE;
        put_varint(out, difference(due.0, context.due));
    }
    let rare = rare(place);
    if rare != 0 {
        flags |= RETURNS;
        put_varint(out, rare);
    }
    out[flags_at] = flags;
}

fn rare(place: &Place) -> u64 {
    u64::from(place.returns) << 2 | u64::from(place.delivered) << 1 | u64::from(place.transient)
}

/// Unpacks a block.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return Err(Malformed("a version that nobody wrote"));
    }
    let count = input.varint()?;
    if count > BLOCK_POSITIONS {
        return Err(Malformed("more entries than positions"));
    }
    let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let mut context = Context::new();
    for _ in 0..count {
        let (position, place) = decode_entry(&mut input, &context)?;
        context.advance(position.into(), &place);
        entries.push((position, place));
    }
    if input.is_empty() { Ok(entries) } else { Err(Malformed("bytes after its last entry")) }
}

fn decode_entry(input: &mut Input<'_>, context: &Context) -> Result<Entry, Malformed> {
    let flags = input.byte()?;
    let gap = varint_if(input, flags, GAP)?;
    let position = context.next_position.checked_add(gap).filter(|at| *at < BLOCK_POSITIONS);
    let position = position.ok_or(Malformed("a position outside of it"))?;
    let segment = small(apply(varint_if(input, flags, SEGMENT)?, context.segment.into()))?;
    let offset = if flags & SEGMENT == 0 {
        apply(varint_if(input, flags, OFFSET)?, context.end.into())
    } else {
        input.varint()?
    };
    let offset = small(offset)?;
    let length = small(apply(varint_if(input, flags, LENGTH)?, context.length.into()))?;
    let overhead = apply(varint_if(input, flags, OVERHEAD)?, context.overhead);
    let expires = moment_if(input, flags, EXPIRES, context.expires)?;
    let due = moment_if(input, flags, DUE, context.due)?;
    let rare = varint_if(input, flags, RETURNS)?;
    let place = Place {
        location: Location { segment: SegmentId(segment), offset, length },
        body_len: u64::from(length).wrapping_sub(overhead),
        expires: expires.unwrap_or(Timestamp::NEVER),
        due,
        returns: small(rare >> 2)?,
        delivered: rare & 2 != 0,
        transient: rare & 1 != 0,
    };
    let position = u16::try_from(position).map_err(|_| Malformed("a position outside of it"))?;
    Ok((position, place))
}

fn small(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).map_err(|_| Malformed("a number that is too large"))
}

/// How far `to` is from `from`, so that small steps in either direction are small numbers.
fn difference(to: u64, from: u64) -> u64 {
    let step = to.wrapping_sub(from).cast_signed();
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

/// The number at that distance from `from`.
fn apply(difference: u64, from: u64) -> u64 {
    let step = (difference >> 1).cast_signed() ^ -(difference & 1).cast_signed();
    from.wrapping_add(step.cast_unsigned())
}

fn varint_if(input: &mut Input<'_>, flags: u8, flag: u8) -> Result<u64, Malformed> {
    if flags & flag == 0 { Ok(0) } else { input.varint() }
}

fn moment_if(
    input: &mut Input<'_>,
    flags: u8,
    flag: u8,
    from: u64,
) -> Result<Option<Timestamp>, Malformed> {
    if flags & flag == 0 {
        return Ok(None);
    }
    Ok(Some(Timestamp(apply(input.varint()?, from))))
}

#[cfg(test)]
mod tests;
