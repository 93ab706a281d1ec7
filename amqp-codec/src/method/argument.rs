//! Reading and writing one argument of a method after the other.

use bytes::{BufMut, Bytes, BytesMut};

use crate::primitive::{self as p, Parsed};
use crate::{DecodeError, FieldTable, ShortString};

/// Reads arguments in order. Neighbouring bits share octets, the first in the lowest bit.
///
/// Spec: section 4.2.5.2.
pub(crate) struct ArgumentReader<'a> {
    rest: &'a [u8],
    /// The octet that bits are taken from.
    bits: u8,
    /// How many bits of it are taken; 0 also when there is no such octet.
    bits_taken: u8,
}

impl<'a> ArgumentReader<'a> {
    #[inline]
    pub(crate) fn new(args: &'a [u8]) -> Self {
        Self { rest: args, bits: 0, bits_taken: 0 }
    }

    #[inline]
    pub(crate) fn read<A: Argument>(&mut self) -> Result<A, DecodeError> {
        A::read(self)
    }

    #[inline]
    fn parse<T>(
        &mut self,
        parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<T, DecodeError> {
        let (rest, value) = parser(self.rest)?;
        self.rest = rest;
        self.bits_taken = 0;
        Ok(value)
    }

    #[inline]
    fn bit(&mut self) -> Result<bool, DecodeError> {
        if self.bits_taken == 0 {
            self.bits = self.parse(p::octet)?;
        }
        let bit = self.bits >> self.bits_taken & 1 == 1;
        self.bits_taken = (self.bits_taken + 1) % 8;
        Ok(bit)
    }

    /// Nothing may follow the last argument; RabbitMQ, too, treats that as a broken frame.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        p::at_end(self.rest)
    }
}

/// Writes arguments in order; the inverse of [`ArgumentReader`].
pub(crate) struct ArgumentWriter<'a> {
    out: &'a mut BytesMut,
    /// How many bits are in the last octet of `out`; 0 also when that octet holds no bits.
    bits_put: u8,
}

impl<'a> ArgumentWriter<'a> {
    #[inline]
    pub(crate) fn new(out: &'a mut BytesMut) -> Self {
        Self { out, bits_put: 0 }
    }

    #[inline]
    pub(crate) fn write<A: Argument>(&mut self, value: &A) {
        value.write(self);
    }

    #[inline]
    fn out(&mut self) -> &mut BytesMut {
        self.bits_put = 0;
        self.out
    }

    #[inline]
    fn bit(&mut self, bit: bool) {
        if self.bits_put == 0 {
            self.out.put_u8(0);
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits_put;
        }
        self.bits_put = (self.bits_put + 1) % 8;
    }
}

/// A type that a method can have as an argument.
pub(crate) trait Argument: Sized {
    fn read(reader: &mut ArgumentReader<'_>) -> Result<Self, DecodeError>;

    fn write(&self, writer: &mut ArgumentWriter<'_>);

    /// How to make one up.
    #[cfg(test)]
    fn strategy() -> proptest::strategy::BoxedStrategy<Self>;
}

/// One table for the arguments: type, how it is read, how it is written, how it is made up.
macro_rules! arguments {
    ($($type:ty: $parse:expr, $put:expr, $strategy:expr;)*) => {$(
        impl Argument for $type {
            #[inline]
            fn read(reader: &mut ArgumentReader<'_>) -> Result<Self, DecodeError> {
                $parse(reader)
            }

            #[inline]
            fn write(&self, writer: &mut ArgumentWriter<'_>) {
                $put(writer, self);
            }

            #[cfg(test)]
            fn strategy() -> proptest::strategy::BoxedStrategy<Self> {
                proptest::strategy::Strategy::boxed($strategy)
            }
        }
    )*};
}

type Reader<'r, 'a> = &'r mut ArgumentReader<'a>;
type Writer<'w, 'a> = &'w mut ArgumentWriter<'a>;

arguments! {
    bool:
        |r: Reader<'_, '_>| r.bit(),
        |w: Writer<'_, '_>, value: &bool| w.bit(*value),
        proptest::bool::ANY;
    u8:
        |r: Reader<'_, '_>| r.parse(p::octet),
        |w: Writer<'_, '_>, value: &u8| w.out().put_u8(*value),
        proptest::num::u8::ANY;
    u16:
        |r: Reader<'_, '_>| r.parse(p::short),
        |w: Writer<'_, '_>, value: &u16| w.out().put_u16(*value),
        proptest::num::u16::ANY;
    u32:
        |r: Reader<'_, '_>| r.parse(p::long),
        |w: Writer<'_, '_>, value: &u32| w.out().put_u32(*value),
        proptest::num::u32::ANY;
    u64:
        |r: Reader<'_, '_>| r.parse(p::longlong),
        |w: Writer<'_, '_>, value: &u64| w.out().put_u64(*value),
        proptest::num::u64::ANY;
    ShortString:
        |r: Reader<'_, '_>| r.parse(p::short_string).map(Self::from_wire),
        |w: Writer<'_, '_>, value: &ShortString| p::put_short_string(w.out(), value.as_bytes()),
        crate::strategy::short_string();
    Bytes:
        |r: Reader<'_, '_>| r.parse(p::long_string).map(Self::copy_from_slice),
        |w: Writer<'_, '_>, value: &Bytes| p::put_long_string(w.out(), value),
        crate::strategy::bytes();
    FieldTable:
        |r: Reader<'_, '_>| r.parse(p::long_string).and_then(Self::decode_entries),
        |w: Writer<'_, '_>, value: &FieldTable| value.encode(w.out()),
        crate::strategy::field_table();
}
