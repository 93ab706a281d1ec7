//! Why an exchange or a binding of one of the types with arguments was refused, in the words of
//! RabbitMQ and its plugins.

use amqp_codec::ShortString;

use crate::broker::error::{BrokerError, Resource};

/// An argument of `exchange.declare` that the type can't take. All are 406.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgument {
    /// `hash-header` and `hash-property` at once.
    #[error("hash-header and hash-property are mutually exclusive")]
    HeaderAndProperty,
    /// A property that can't be hashed.
    #[error("Unsupported property: {0}")]
    UnsupportedProperty(ShortString),
    /// A type that the argument never has.
    #[error("invalid type '{type_name}' for arg '{arg}'")]
    WrongType {
        /// The argument.
        arg: &'static str,
        /// RabbitMQ's name of the AMQP type received.
        type_name: &'static str,
    },
    /// `x-recent-history-length` must be a positive integer; what it was, as Erlang shows it.
    #[error("Invalid argument {0}, 'x-recent-history-length' must be a positive integer")]
    HistoryLength(String),
    /// `x-delayed-type` is missing, unknown, or `x-delayed-message` itself.
    #[error("Invalid argument, 'x-delayed-type' must be an existing exchange type")]
    DelayedType,
    /// `x-cache-size` is missing or makes no sense.
    #[error("Missing or invalid argument, 'x-cache-size' must be an integer greater than 0")]
    CacheSize,
    /// `x-cache-ttl` makes no sense.
    #[error("Invalid argument, 'x-cache-ttl' must be an integer greater than 0")]
    CacheTtl,
    /// `x-cache-persistence` is neither of two words.
    #[error("Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'")]
    CachePersistence,
}

impl InvalidArgument {
    /// The refusal of this exchange. An argument of a type that it never has is refused in the same words
    /// everywhere.
    pub(in crate::broker) fn refusing(self, resource: Resource) -> BrokerError {
        match self {
            Self::WrongType { arg, type_name } => {
                BrokerError::InvalidArgType { type_name, arg, resource }
            }
            error => error.into(),
        }
    }
}

/// A binding that the type of its source can't take. All are 406.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBinding {
    /// A weight that is no number; what it was, as Erlang shows it.
    #[error("The binding key must be an integer: {0}")]
    WeightNotInteger(String),
    /// A weight below one.
    #[error("The binding key must be greater than 0")]
    WeightNotPositive,
    /// A local random exchange has no use for keys.
    #[error("Non empty binding '{0}' key not permitted")]
    KeyNotEmpty(ShortString),
    /// A local random exchange leads to queues only.
    #[error("Destination not found")]
    NotAQueue,
    /// A local random exchange leads to classic queues only.
    #[error("Queue type rabbit_{0}_queue not valid for this exchange type")]
    QueueType(&'static str),
}

/// A byte string as Erlang's `~p` shows it: as text if it is printable, otherwise as numbers.
pub(super) fn erlang_binary(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<<>>".to_owned();
    }
    let escaped = |byte: u8| match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        8 => Some("\\b"),
        b'\t' => Some("\\t"),
        b'\n' => Some("\\n"),
        11 => Some("\\v"),
        12 => Some("\\f"),
        b'\r' => Some("\\r"),
        27 => Some("\\e"),
        _ => None,
    };
    if bytes.iter().all(|byte| escaped(*byte).is_some() || matches!(byte, 32..=126 | 160..)) {
        let mut text = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match escaped(*byte) {
                Some(escape) => text.extend_from_slice(escape.as_bytes()),
                None => text.push(*byte),
            }
        }
        return format!("<<\"{}\">>", String::from_utf8_lossy(&text));
    }
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_are_shown_as_erlang_shows_them() {
        assert_eq!(erlang_binary(b""), "<<>>");
        assert_eq!(erlang_binary(b"abc"), "<<\"abc\">>");
        assert_eq!(erlang_binary(b"a\"b\\c\n"), "<<\"a\\\"b\\\\c\\n\">>");
        assert_eq!(erlang_binary(b"a\x01"), "<<97,1>>");
    }
}
