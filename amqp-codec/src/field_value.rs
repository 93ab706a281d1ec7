//! One value of a field table or array.

use bytes::{BufMut, Bytes, BytesMut};

use crate::field_table::{Budget, put_entries};
use crate::primitive::{self as p, Parsed};
use crate::{DecodeError, FieldTable};

/// A value in a field table or array, in RabbitMQ's dialect.
///
/// The type on the wire is kept, because it shows: `inequivalent arg` errors name it, and what a
/// client sends must come back as it was.
///
/// Spec: section 4.2.5.5 as corrected by <https://www.rabbitmq.com/amqp-0-9-1-errata#section_3>.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// `t`, one octet. Anything but zero is true.
    Bool(bool),
    /// `b`, a signed octet.
    I8(i8),
    /// `B`, an unsigned octet.
    U8(u8),
    /// `s`, a signed 16-bit integer (a short string in the spec, but in no implementation).
    I16(i16),
    /// `u`, an unsigned 16-bit integer.
    U16(u16),
    /// `I`, a signed 32-bit integer.
    I32(i32),
    /// `i`, an unsigned 32-bit integer.
    U32(u32),
    /// `l`, a signed 64-bit integer. `L` is read as the same.
    I64(i64),
    /// `f`, a 32-bit float.
    F32(f32),
    /// `d`, a 64-bit float.
    F64(f64),
    /// `D`, the number `value / 10^scale`.
    Decimal {
        /// The number of decimal digits after the point.
        scale: u8,
        /// All digits, without the point.
        value: i32,
    },
    /// `S`, text or any octets.
    LongString(Bytes),
    /// `x`, octets.
    ByteArray(Bytes),
    /// `A`, values of any types.
    Array(Vec<FieldValue>),
    /// `T`, seconds since 1970-01-01 00:00 UTC.
    Timestamp(u64),
    /// `F`, a nested table.
    Table(FieldTable),
    /// `V`, no value.
    Void,
}

impl FieldValue {
    /// RabbitMQ's name of the type, as its error texts use it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::ByteArray(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }

    /// The integer, whatever its width. A timestamp is none.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// The octets of a long string or byte array.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::LongString(bytes) | Self::ByteArray(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a long string or byte array, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The truth value of a bool.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The nested table.
    #[must_use]
    pub fn as_table(&self) -> Option<&FieldTable> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The values of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The type octet on the wire.
    fn tag(&self) -> u8 {
        match self {
            Self::Bool(_) => b't',
            Self::I8(_) => b'b',
            Self::U8(_) => b'B',
            Self::I16(_) => b's',
            Self::U16(_) => b'u',
            Self::I32(_) => b'I',
            Self::U32(_) => b'i',
            Self::I64(_) => b'l',
            Self::F32(_) => b'f',
            Self::F64(_) => b'd',
            Self::Decimal { .. } => b'D',
            Self::LongString(_) => b'S',
            Self::ByteArray(_) => b'x',
            Self::Array(_) => b'A',
            Self::Timestamp(_) => b'T',
            Self::Table(_) => b'F',
            Self::Void => b'V',
        }
    }

    /// Writes the type octet and the value.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.tag());
        match self {
            Self::Bool(value) => out.put_u8((*value).into()),
            Self::I8(value) => out.put_i8(*value),
            Self::U8(value) => out.put_u8(*value),
            Self::I16(value) => out.put_i16(*value),
            Self::U16(value) => out.put_u16(*value),
            Self::I32(value) => out.put_i32(*value),
            Self::U32(value) => out.put_u32(*value),
            Self::I64(value) => out.put_i64(*value),
            Self::F32(value) => out.put_f32(*value),
            Self::F64(value) => out.put_f64(*value),
            Self::Decimal { scale, value } => {
                out.put_u8(*scale);
                out.put_i32(*value);
            }
            Self::LongString(bytes) | Self::ByteArray(bytes) => p::put_long_string(out, bytes),
            Self::Array(values) => p::put_with_length(out, |out| {
                for value in values {
                    value.encode(out);
                }
            }),
            Self::Timestamp(seconds) => out.put_u64(*seconds),
            Self::Table(table) => p::put_with_length(out, |out| put_entries(table, out)),
            Self::Void => {}
        }
    }

    /// Reads a type octet and the value. `budget` is what of the limits is left.
    pub(crate) fn parse<'a>(input: &'a [u8], budget: &mut Budget) -> Parsed<'a, Self> {
        let (input, tag) = p::octet(input)?;
        budget.take_value()?;
        match tag {
            b'S' => map(p::long_string(input), |bytes| Self::LongString(copy(bytes))),
            b'x' => map(p::long_string(input), |bytes| Self::ByteArray(copy(bytes))),
            b'F' => {
                let (rest, entries) = p::long_string(input)?;
                let table = budget.nested(|budget| FieldTable::parse_entries(entries, budget))?;
                Ok((rest, Self::Table(table)))
            }
            b'A' => {
                let (rest, values) = p::long_string(input)?;
                let array = budget.nested(|budget| parse_array(values, budget))?;
                Ok((rest, Self::Array(array)))
            }
            b't' => map(p::octet(input), |octet| Self::Bool(octet != 0)),
            b'V' => Ok((input, Self::Void)),
            b'T' => map(p::longlong(input), Self::Timestamp),
            b'D' => {
                let (input, scale) = p::octet(input)?;
                map(p::signed_long(input), |value| Self::Decimal { scale, value })
            }
            _ => parse_number(tag, input),
        }
    }
}

/// Reads an integer or float of the type that `tag` names.
fn parse_number(tag: u8, input: &[u8]) -> Parsed<'_, FieldValue> {
    match tag {
        b'I' => map(p::signed_long(input), FieldValue::I32),
        b'l' | b'L' => map(p::signed_longlong(input), FieldValue::I64),
        b'b' => map(p::signed_octet(input), FieldValue::I8),
        b'B' => map(p::octet(input), FieldValue::U8),
        b's' => map(p::signed_short(input), FieldValue::I16),
        b'u' => map(p::short(input), FieldValue::U16),
        b'i' => map(p::long(input), FieldValue::U32),
        b'f' => map(p::float(input), FieldValue::F32),
        b'd' => map(p::double(input), FieldValue::F64),
        _ => Err(nom::Err::Failure(DecodeError::UnknownFieldType(tag))),
    }
}

/// Reads values until the input is used up.
fn parse_array(mut input: &[u8], budget: &mut Budget) -> Result<Vec<FieldValue>, DecodeError> {
    let mut values = Vec::new();
    while !input.is_empty() {
        let (rest, value) = FieldValue::parse(input, budget)?;
        values.push(value);
        input = rest;
    }
    Ok(values)
}

#[inline]
fn map<'a, T>(
    parsed: Parsed<'a, T>,
    into_value: impl FnOnce(T) -> FieldValue,
) -> Parsed<'a, FieldValue> {
    parsed.map(|(rest, value)| (rest, into_value(value)))
}

#[inline]
fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

macro_rules! from {
    ($($type:ty => $variant:ident,)*) => {$(
        impl From<$type> for FieldValue {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}

from! {
    bool => Bool,
    i8 => I8,
    u8 => U8,
    i16 => I16,
    u16 => U16,
    i32 => I32,
    u32 => U32,
    i64 => I64,
    f32 => F32,
    f64 => F64,
    Bytes => LongString,
    FieldTable => Table,
    Vec<FieldValue> => Array,
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::LongString(copy(text.as_bytes()))
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::LongString(text.into())
    }
}
