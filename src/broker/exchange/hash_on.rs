//! What a consistent-hash exchange places a message by.

use amqp_codec::{FieldTable, FieldValue, PropertiesRef, ShortString};

use super::invalid::InvalidArgument;
use super::stable_hash::stable_hash;
use crate::broker::message_header::header;
use crate::broker::value_bytes::value_bytes;

/// The part of a message that decides where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HashOn {
    /// The routing key.
    RoutingKey,
    /// A header; argument `hash-header`.
    Header(Box<[u8]>),
    /// A property; argument `hash-property`.
    Property(HashedProperty),
}

/// The properties that can be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashedProperty {
    CorrelationId,
    MessageId,
    Timestamp,
}

impl HashOn {
    /// Reads the arguments of a declaration.
    ///
    /// # Errors
    /// [`InvalidArgument`] if both are there, one is no string, or the property is none of the three.
    pub(super) fn of(arguments: &FieldTable) -> Result<Self, InvalidArgument> {
        let header = text(arguments, "hash-header")?;
        let property = text(arguments, "hash-property")?;
        match (header, property) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(header), None) => Ok(Self::Header(header.into())),
            (None, Some(b"correlation_id")) => Ok(Self::Property(HashedProperty::CorrelationId)),
            (None, Some(b"message_id")) => Ok(Self::Property(HashedProperty::MessageId)),
            (None, Some(b"timestamp")) => Ok(Self::Property(HashedProperty::Timestamp)),
            (None, Some(other)) => {
                Err(InvalidArgument::UnsupportedProperty(ShortString::truncated(other)))
            }
            (Some(_), Some(_)) => Err(InvalidArgument::HeaderAndProperty),
        }
    }

    /// The hash of a message. All messages that lack the header or property have the same one.
    pub(super) fn hash(&self, routing_keys: &[&[u8]], properties: &[u8]) -> u64 {
        match self {
            Self::RoutingKey => stable_hash(routing_keys.first().copied().unwrap_or_default()),
            Self::Header(name) => match header(properties, name) {
                Some(value) => stable_hash(&value_bytes(&value)),
                None => stable_hash(b""),
            },
            Self::Property(property) => property.hash(properties),
        }
    }
}

impl HashedProperty {
    fn hash(self, properties: &[u8]) -> u64 {
        let properties = PropertiesRef::parse(properties).unwrap_or_default();
        match self {
            Self::CorrelationId => stable_hash(properties.correlation_id.unwrap_or_default()),
            Self::MessageId => stable_hash(properties.message_id.unwrap_or_default()),
            Self::Timestamp => match properties.timestamp {
                Some(seconds) => stable_hash(&seconds.to_be_bytes()),
                None => stable_hash(b""),
            },
        }
    }
}

fn text<'a>(
    arguments: &'a FieldTable,
    arg: &'static str,
) -> Result<Option<&'a [u8]>, InvalidArgument> {
    match arguments.get(arg) {
        None => Ok(None),
        Some(FieldValue::LongString(text)) => Ok(Some(text)),
        Some(other) => Err(InvalidArgument::WrongType { arg, type_name: other.type_name() }),
    }
}

#[cfg(test)]
mod tests {
    use amqp_codec::BasicProperties;
    use bytes::BytesMut;

    use super::super::tests::{arguments, properties};
    use super::*;

    fn on(args: &[(&'static str, FieldValue)]) -> Result<HashOn, String> {
        HashOn::of(&arguments(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_refused_in_the_plugins_words() {
        assert_eq!(on(&[]), Ok(HashOn::RoutingKey));
        assert_eq!(on(&[("hash-header", "".into())]), Ok(HashOn::Header(Box::default())));
        assert_eq!(
            on(&[("hash-header", "h".into()), ("hash-property", "message_id".into())]),
            Err("hash-header and hash-property are mutually exclusive".to_owned())
        );
        assert_eq!(
            on(&[("hash-property", "app_id".into())]),
            Err("Unsupported property: app_id".to_owned())
        );
        assert_eq!(
            on(&[("hash-header", 1_i32.into())]),
            Err("invalid type 'signedint' for arg 'hash-header'".to_owned())
        );
    }

    #[test]
    fn only_what_is_asked_for_decides() {
        let one = properties(&[("tenant", "a".into()), ("n", 1_i32.into())]);
        let other = properties(&[("tenant", "a".into()), ("n", 2_i64.into())]);
        let tenant = on(&[("hash-header", "tenant".into())]).unwrap();
        assert_eq!(tenant.hash(&[b"x"], &one), tenant.hash(&[b"y"], &other));
        let number = on(&[("hash-header", "n".into())]).unwrap();
        assert_ne!(number.hash(&[b"x"], &one), number.hash(&[b"x"], &other));
        assert_eq!(number.hash(&[b"x"], &[0, 0]), number.hash(&[b"y"], &[0, 0]), "missing");
        assert_ne!(HashOn::RoutingKey.hash(&[b"x"], &one), HashOn::RoutingKey.hash(&[b"y"], &one));
    }

    #[test]
    fn properties_are_hashed_by_value() {
        let raw = |properties: BasicProperties| {
            let mut out = BytesMut::new();
            properties.encode(&mut out);
            out
        };
        let with = |id: &'static str| BasicProperties {
            message_id: Some(ShortString::from_static(id)),
            correlation_id: Some(ShortString::from_static("c")),
            timestamp: Some(id.len() as u64),
            ..BasicProperties::default()
        };
        let (a, b, long) = (raw(with("a")), raw(with("b")), raw(with("long")));
        for (property, a_and_b_differ) in
            [("message_id", true), ("correlation_id", false), ("timestamp", false)]
        {
            let on = on(&[("hash-property", property.into())]).unwrap();
            assert_eq!(on.hash(&[], &a) != on.hash(&[], &b), a_and_b_differ, "{property}");
            let a_and_long_differ = property != "correlation_id";
            assert_eq!(on.hash(&[], &a) != on.hash(&[], &long), a_and_long_differ, "{property}");
        }
    }
}
