//! The grammar's smallest pieces, as nom parsers over a slice that holds a whole frame, and the
//! writers that are their inverse.
//!
//! Spec: section 4.2.5, "AMQP Data Fields".

use bytes::{BufMut, BytesMut};
use nom::IResult;

use crate::DecodeError;

/// What a parser of this crate returns: the rest of the input and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, DecodeError>;

/// One table for the numbers: parser, type, octets. All are in network byte order.
///
/// They are nom parsers by their type, but not nom's own: those cost 10 ns for the arguments of a
/// publish where these cost 2 (`benches/codec.rs`).
macro_rules! numbers {
    ($($name:ident: $type:ty;)*) => {$(
        #[inline]
        pub(crate) fn $name(input: &[u8]) -> Parsed<'_, $type> {
            match input.split_first_chunk() {
                Some((octets, rest)) => Ok((rest, <$type>::from_be_bytes(*octets))),
                None => Err(nom::Err::Error(DecodeError::Truncated)),
            }
        }
    )*};
}

numbers! {
    octet: u8;
    short: u16;
    long: u32;
    longlong: u64;
    signed_octet: i8;
    signed_short: i16;
    signed_long: i32;
    signed_longlong: i64;
    float: f32;
    double: f64;
}

/// One octet of length, then that many octets.
#[inline]
pub(crate) fn short_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = octet(input)?;
    take(rest, len.into())
}

/// Four octets of length, then that many octets: long strings, and what tables and arrays hold.
#[inline]
pub(crate) fn long_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = long(input)?;
    take(rest, len as usize)
}

#[inline]
fn take(input: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    match input.split_at_checked(len) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => Err(nom::Err::Error(DecodeError::Truncated)),
    }
}

/// Checks that a parser used up its input.
#[inline]
pub(crate) fn at_end(rest: &[u8]) -> Result<(), DecodeError> {
    if rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes { count: rest.len() }) }
}

/// Writes a short string, cut at 255 octets. Names that passed through a
/// [`ShortString`](crate::ShortString) are never cut; the frame stays well-formed whatever comes.
#[inline]
pub(crate) fn put_short_string(out: &mut BytesMut, bytes: &[u8]) {
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
