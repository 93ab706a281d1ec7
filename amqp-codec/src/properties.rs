//! The properties of a message, owned and borrowed.
//!
//! On the wire they are a word of flags, highest bit first in the order of the fields below, then
//! the values of those that are present. The lowest bit says that another word of flags follows.
//! AMQP 0-9-1 has 14 properties and so needs one word; flags beyond those 14 are taken to be
//! properties of a later protocol, whose values come last and are passed over.

use bytes::{BufMut, BytesMut};

use crate::primitive::{self as p, Parsed};
use crate::{DecodeError, FieldTable, RawTable, ShortString};

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const KIND: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
/// The flag that no property has.
const UNKNOWN: u16 = 1 << 1;
/// Another word of flags follows.
const CONTINUED: u16 = 1;

/// The properties of a message.
///
/// Spec: amqp0-9-1.xml, class basic, fields; section 4.2.6.1 for the encoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BasicProperties {
    /// The MIME type of the body.
    pub content_type: Option<ShortString>,
    /// The MIME encoding of the body.
    pub content_encoding: Option<ShortString>,
    /// Application headers, which headers exchanges route by.
    pub headers: Option<FieldTable>,
    /// 1 for transient, 2 for persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 9 in the spec, 0 to 255 in RabbitMQ's priority queues.
    pub priority: Option<u8>,
    /// Which request a reply belongs to.
    pub correlation_id: Option<ShortString>,
    /// Where to send a reply.
    pub reply_to: Option<ShortString>,
    /// The time to live, in milliseconds, as decimal digits.
    pub expiration: Option<ShortString>,
    /// The application's name for the message.
    pub message_id: Option<ShortString>,
    /// When the application says it was sent, in seconds since 1970-01-01 00:00 UTC.
    pub timestamp: Option<u64>,
    /// The property `type`: the application's name for the kind of message.
    pub kind: Option<ShortString>,
    /// The user who published. A broker may insist that it is true.
    pub user_id: Option<ShortString>,
    /// The application that published.
    pub app_id: Option<ShortString>,
    /// Reserved; AMQP 0-8 used it inside a cluster.
    pub cluster_id: Option<ShortString>,
}

impl BasicProperties {
    /// Reads flags and property list, which must take up the whole input.
    ///
    /// # Errors
    /// As [`PropertiesRef::parse`] and [`FieldTable::decode_entries`].
    pub fn decode(input: &[u8]) -> Result<Self, DecodeError> {
        PropertiesRef::parse(input)?.to_owned()
    }

    /// Flags and property list in bytes of their own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        self.encode(&mut bytes);
        bytes.into()
    }

    /// Writes flags and property list.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.flags());
        put_string(out, self.content_type.as_ref());
        put_string(out, self.content_encoding.as_ref());
        if let Some(headers) = &self.headers {
            headers.encode(out);
        }
        put_octet(out, self.delivery_mode);
        put_octet(out, self.priority);
        put_string(out, self.correlation_id.as_ref());
        put_string(out, self.reply_to.as_ref());
        put_string(out, self.expiration.as_ref());
        put_string(out, self.message_id.as_ref());
        if let Some(seconds) = self.timestamp {
            out.put_u64(seconds);
        }
        put_string(out, self.kind.as_ref());
        put_string(out, self.user_id.as_ref());
        put_string(out, self.app_id.as_ref());
        put_string(out, self.cluster_id.as_ref());
    }

    fn flags(&self) -> u16 {
        let flag = |present: bool, flag: u16| if present { flag } else { 0 };
        flag(self.content_type.is_some(), CONTENT_TYPE)
            | flag(self.content_encoding.is_some(), CONTENT_ENCODING)
            | flag(self.headers.is_some(), HEADERS)
            | flag(self.delivery_mode.is_some(), DELIVERY_MODE)
            | flag(self.priority.is_some(), PRIORITY)
            | flag(self.correlation_id.is_some(), CORRELATION_ID)
            | flag(self.reply_to.is_some(), REPLY_TO)
            | flag(self.expiration.is_some(), EXPIRATION)
            | flag(self.message_id.is_some(), MESSAGE_ID)
            | flag(self.timestamp.is_some(), TIMESTAMP)
            | flag(self.kind.is_some(), KIND)
            | flag(self.user_id.is_some(), USER_ID)
            | flag(self.app_id.is_some(), APP_ID)
            | flag(self.cluster_id.is_some(), CLUSTER_ID)
    }
}

fn put_string(out: &mut BytesMut, value: Option<&ShortString>) {
    if let Some(value) = value {
        p::put_short_string(out, value.as_bytes());
    }
}

fn put_octet(out: &mut BytesMut, value: Option<u8>) {
    if let Some(value) = value {
        out.put_u8(value);
    }
}

/// The properties of a message, where they were read. For what they mean see [`BasicProperties`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PropertiesRef<'a> {
    /// The MIME type of the body.
    pub content_type: Option<&'a [u8]>,
    /// The MIME encoding of the body.
    pub content_encoding: Option<&'a [u8]>,
    /// The entries of the headers table, without the four octets of its length;
    /// [`PropertiesRef::headers`] decodes them.
    pub headers: Option<&'a [u8]>,
    /// 1 for transient, 2 for persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 9 in the spec, 0 to 255 in RabbitMQ's priority queues.
    pub priority: Option<u8>,
    /// Which request a reply belongs to.
    pub correlation_id: Option<&'a [u8]>,
    /// Where to send a reply.
    pub reply_to: Option<&'a [u8]>,
    /// The time to live, in milliseconds, as decimal digits.
    pub expiration: Option<&'a [u8]>,
    /// The application's name for the message.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub timestamp: Option<u64>,
    /// The property `type`.
    pub kind: Option<&'a [u8]>,
    /// The user who published.
    pub user_id: Option<&'a [u8]>,
    /// The application that published.
    pub app_id: Option<&'a [u8]>,
    /// Reserved.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> PropertiesRef<'a> {
    /// Reads flags and property list without allocating. The inside of the headers table is not
    /// looked at.
    ///
    /// # Errors
    /// If a value runs past the end, or octets are left over that no flag accounts for.
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Self, DecodeError> {
        // Most messages have no property, or the delivery mode alone.
        match *input {
            [0, 0] => return Ok(Self::default()),
            [0x10, 0, mode] => return Ok(Self { delivery_mode: Some(mode), ..Self::default() }),
            _ => {}
        }
        Self::parse_list(input)
    }

    fn parse_list(input: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut list, unknown) = PropertyList::open(input)?;
        let properties = Self {
            content_type: list.take(CONTENT_TYPE, p::short_string)?,
            content_encoding: list.take(CONTENT_ENCODING, p::short_string)?,
            headers: list.take(HEADERS, p::long_string)?,
            delivery_mode: list.take(DELIVERY_MODE, p::octet)?,
            priority: list.take(PRIORITY, p::octet)?,
            correlation_id: list.take(CORRELATION_ID, p::short_string)?,
            reply_to: list.take(REPLY_TO, p::short_string)?,
            expiration: list.take(EXPIRATION, p::short_string)?,
            message_id: list.take(MESSAGE_ID, p::short_string)?,
            timestamp: list.take(TIMESTAMP, p::longlong)?,
            kind: list.take(KIND, p::short_string)?,
            user_id: list.take(USER_ID, p::short_string)?,
            app_id: list.take(APP_ID, p::short_string)?,
            cluster_id: list.take(CLUSTER_ID, p::short_string)?,
        };
        if !unknown {
            p::at_end(list.rest)?;
        }
        Ok(properties)
    }

    /// Decodes the headers. This is where they allocate.
    ///
    /// # Errors
    /// As [`FieldTable::decode_entries`].
    pub fn headers(&self) -> Result<Option<FieldTable>, DecodeError> {
        self.headers.map(FieldTable::decode_entries).transpose()
    }

    /// Checks that the headers are well-formed, and keeps nothing of them.
    ///
    /// # Errors
    /// As [`PropertiesRef::headers`].
    pub fn validate_headers(&self) -> Result<(), DecodeError> {
        self.headers.map_or(Ok(()), |headers| RawTable(headers).validate())
    }

    /// Copies everything.
    ///
    /// # Errors
    /// As [`PropertiesRef::headers`].
    pub fn to_owned(&self) -> Result<BasicProperties, DecodeError> {
        let own = |value: Option<&[u8]>| value.map(ShortString::from_wire);
        Ok(BasicProperties {
            content_type: own(self.content_type),
            content_encoding: own(self.content_encoding),
            headers: self.headers()?,
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: own(self.correlation_id),
            reply_to: own(self.reply_to),
            expiration: own(self.expiration),
            message_id: own(self.message_id),
            timestamp: self.timestamp,
            kind: own(self.kind),
            user_id: own(self.user_id),
            app_id: own(self.app_id),
            cluster_id: own(self.cluster_id),
        })
    }
}

/// The flags, and what is left of the values.
struct PropertyList<'a> {
    flags: u16,
    rest: &'a [u8],
}

impl<'a> PropertyList<'a> {
    /// Reads the words of flags. Also says whether a flag is set that we do not know.
    fn open(input: &'a [u8]) -> Result<(Self, bool), DecodeError> {
        let (mut rest, flags) = p::short(input)?;
        let mut unknown = flags & UNKNOWN != 0;
        let mut last = flags;
        while last & CONTINUED != 0 {
            (rest, last) = p::short(rest)?;
            unknown |= last & !CONTINUED != 0;
        }
        Ok((Self { flags, rest }, unknown))
    }

    /// Reads the next value if its flag is set.
    #[inline]
    fn take<T>(
        &mut self,
        flag: u16,
        parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<Option<T>, DecodeError> {
        if self.flags & flag == 0 {
            return Ok(None);
        }
        let (rest, value) = parser(self.rest)?;
        self.rest = rest;
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strategy;

    fn encoded(properties: &BasicProperties) -> BytesMut {
        let mut out = BytesMut::new();
        properties.encode(&mut out);
        out
    }

    #[test]
    fn the_two_shortcuts_agree_with_the_list() {
        for bytes in [[0, 0].as_slice(), &[0x10, 0, 2]] {
            assert_eq!(PropertiesRef::parse(bytes), PropertiesRef::parse_list(bytes));
        }
    }

    #[test]
    fn properties_of_a_later_protocol_are_passed_over() {
        let mode = PropertiesRef { delivery_mode: Some(2), ..PropertiesRef::default() };
        // The 15th flag; then a second word with a flag; values of theirs come last.
        assert_eq!(PropertiesRef::parse(&[0x10, 0x02, 2, b'?']), Ok(mode));
        assert_eq!(PropertiesRef::parse(&[0x10, 0x01, 0x80, 0, 2, b'?', b'?']), Ok(mode));
        // Words that follow without a flag account for no values.
        assert_eq!(PropertiesRef::parse(&[0x10, 0x01, 0, 1, 0, 0, 2]), Ok(mode));
        assert_eq!(
            PropertiesRef::parse(&[0x10, 0x01, 0, 0, 2, b'?']),
            Err(DecodeError::TrailingBytes { count: 1 })
        );
    }

    #[test]
    fn flags_without_end_are_an_error() {
        assert_eq!(PropertiesRef::parse(&[0xff; 1001]), Err(DecodeError::Truncated));
        assert_eq!(PropertiesRef::parse(&[0]), Err(DecodeError::Truncated));
    }

    /// Headers are left alone until asked for, and then checked.
    #[test]
    fn broken_headers_are_found_when_decoded() {
        let bytes = [0x20, 0, 0, 0, 0, 2, 0, b'?'];
        let properties = PropertiesRef::parse(&bytes).unwrap();
        assert_eq!(properties.headers(), Err(DecodeError::UnknownFieldType(b'?')));
        assert_eq!(BasicProperties::decode(&bytes), Err(DecodeError::UnknownFieldType(b'?')));
    }

    proptest! {
        #[test]
        fn come_back_as_they_were(properties in strategy::properties()) {
            prop_assert_eq!(BasicProperties::decode(&encoded(&properties)), Ok(properties));
        }

        #[test]
        fn every_cut_is_an_error(properties in strategy::properties()) {
            let bytes = encoded(&properties);
            for len in 0..bytes.len() {
                prop_assert_eq!(PropertiesRef::parse(&bytes[..len]), Err(DecodeError::Truncated));
            }
        }
    }
}
