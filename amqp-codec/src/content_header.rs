//! The payload of a content header frame.

use bytes::{BufMut, BytesMut};

use crate::primitive as p;
use crate::{BasicProperties, DecodeError};

/// The header of a content: how long its body is, and its properties.
///
/// Spec: section 4.2.6.1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContentHeader {
    /// The class of the method that announced the content: 60, basic.
    pub class_id: u16,
    /// The octets of all body frames together.
    pub body_size: u64,
    /// The properties.
    pub properties: BasicProperties,
}

impl ContentHeader {
    /// Reads the payload of a header frame.
    ///
    /// The properties are read as those of class basic whatever the class id says, since no other
    /// class has content; whether the class id is the one due is for the caller to say.
    ///
    /// # Errors
    /// As [`RawContentHeader::parse`] and [`BasicProperties::decode`].
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let RawContentHeader { class_id, body_size, properties } =
            RawContentHeader::parse(payload)?;
        Ok(Self { class_id, body_size, properties: BasicProperties::decode(properties)? })
    }

    /// Writes the payload of a header frame.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.class_id);
        out.put_u16(0);
        out.put_u64(self.body_size);
        self.properties.encode(out);
    }
}

/// The header of a content, with the properties left as they came, so that they can go out again
/// unchanged, those that we do not know included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawContentHeader<'a> {
    /// The class of the method that announced the content: 60, basic.
    pub class_id: u16,
    /// The octets of all body frames together.
    pub body_size: u64,
    /// Property flags and property list, for [`PropertiesRef::parse`](crate::PropertiesRef::parse).
    pub properties: &'a [u8],
}

impl<'a> RawContentHeader<'a> {
    /// Reads the payload of a header frame. The properties are not looked at.
    ///
    /// # Errors
    /// If it is too short, or the unused weight field is not zero.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (rest, class_id) = p::short(payload)?;
        let (rest, weight) = p::short(rest)?;
        let (properties, body_size) = p::longlong(rest)?;
        if weight != 0 {
            return Err(DecodeError::NonZeroWeight { weight });
        }
        Ok(Self { class_id, body_size, properties })
    }
}
