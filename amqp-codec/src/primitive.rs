//! The grammar's smallest pieces, as nom parsers over a slice that holds a whole frame, and the
//! writers that are their inverse.
//!
//! Spec: section 4.2.5, "AMQP Data Fields".

use bytes::{BufMut, BytesMut};
use nom::IResult;
use nom::bytes::complete::take;

pub(crate) use nom::number::complete::{
    be_f32 as float, be_f64 as double, be_i8 as signed_octet, be_i16 as signed_short,
    be_i32 as signed_long, be_i64 as signed_longlong, be_u8 as octet, be_u16 as short,
    be_u32 as long, be_u64 as longlong,
};

use crate::DecodeError;

/// What a parser of this crate returns: the rest of the input and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, DecodeError>;

/// One octet of length, then that many octets.
#[inline]
pub(crate) fn short_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = octet(input)?;
    take(len)(rest)
}

/// Four octets of length, then that many octets: long strings, and what tables and arrays hold.
#[inline]
pub(crate) fn long_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = long(input)?;
    take(len)(rest)
}

/// Checks that a parser used up its input.
#[inline]
pub(crate) fn at_end(rest: &[u8]) -> Result<(), DecodeError> {
    if rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes { count: rest.len() }) }
}

/// Writes a short string, cut at 255 octets: callers hand over names that passed through a
/// [`ShortString`](crate::ShortString), so the cut is a guard and not a feature.
#[inline]
pub(crate) fn put_short_string(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= 255, "a short string of {} octets", bytes.len());
    let bytes = &bytes[..bytes.len().min(255)];
    out.put_u8(bytes.len() as u8);
    out.put_slice(bytes);
}

/// Writes a long string.
#[inline]
pub(crate) fn put_long_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(wire_len(bytes.len()));
    out.put_slice(bytes);
}

/// Writes a four-octet length, then whatever `content` writes, then corrects the length.
#[inline]
pub(crate) fn put_with_length(out: &mut BytesMut, content: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    content(out);
    let len = wire_len(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// A length as the wire has it.
#[inline]
pub(crate) fn wire_len(len: usize) -> u32 {
    u32::try_from(len).expect("no caller builds a frame of 4 GiB: frame-max itself is 32 bits")
}
