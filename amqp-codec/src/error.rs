//! Why bytes could not be decoded.

use nom::error::{ErrorKind, ParseError};

use crate::ReplyCode;

/// Why bytes from the peer are not AMQP 0-9-1.
///
/// "Not enough bytes yet" is never one of these: the entry points that read a stream answer
/// `Ok(None)` for that. Every variant maps to the reply code of the `connection.close` it
/// deserves ([`DecodeError::reply_code`]); its text is fit to be the reply text, and is RabbitMQ's
/// where RabbitMQ has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A frame head announces more payload than was negotiated. All sizes are payload octets.
    #[error("type {kind}, all octets = <<>>: {{frame_too_large,{size},{max}}}")]
    FrameTooLarge {
        /// The frame's type octet.
        kind: u8,
        /// The payload size that the head announces.
        size: u32,
        /// The largest payload that fits the negotiated frame-max.
        max: u32,
    },
    /// The first octet of a frame is none of the four frame types.
    #[error("type {kind}, all octets = <<>>: unknown_frame")]
    UnknownFrameKind {
        /// The frame's type octet.
        kind: u8,
    },
    /// A heartbeat frame announces a payload; it must be empty.
    #[error("type 8, heartbeat with {size} octets of payload: unknown_frame")]
    HeartbeatNotEmpty {
        /// The payload size that the head announces.
        size: u32,
    },
    /// The octet after the payload is not the frame-end octet `0xCE`: the stream is out of step.
    #[error("type {kind}: {{invalid_frame_end_marker,{found}}}")]
    MissingFrameEnd {
        /// The frame's type octet.
        kind: u8,
        /// The octet found in place of the frame end.
        found: u8,
    },
    /// A field runs past the end of the frame, or of the table, array or string that holds it.
    #[error("a field runs past the end of what holds it")]
    Truncated,
    /// Octets are left over after the last field.
    #[error("{count} octets left over after the last field")]
    TrailingBytes {
        /// How many octets are left over.
        count: usize,
    },
    /// No such method in AMQP 0-9-1 or RabbitMQ's extensions.
    #[error("unknown method {class_id}.{method_id}")]
    UnknownMethod {
        /// The class id sent.
        class_id: u16,
        /// The method id sent.
        method_id: u16,
    },
    /// A field table or array holds a value of a type that RabbitMQ's dialect does not have.
    #[error("unknown field type {0} in a table or array")]
    UnknownFieldType(u8),
    /// Tables and arrays are nested deeper than [`NESTING_MAX`](crate::NESTING_MAX).
    #[error("tables and arrays nested deeper than {} levels", crate::NESTING_MAX)]
    TooDeep,
    /// A table holds more values than [`TABLE_VALUES_MAX`](crate::TABLE_VALUES_MAX).
    #[error("more than {} values in a table", crate::TABLE_VALUES_MAX)]
    TooManyValues,
    /// The weight field of a content header is not zero.
    #[error("content header with weight {weight}")]
    NonZeroWeight {
        /// The weight sent.
        weight: u16,
    },
    /// Bytes that fit no rule of the grammar in any other way.
    #[error("malformed frame")]
    Malformed,
}

impl DecodeError {
    /// The reply code for the `connection.close` that answers this error. All are connection
    /// errors: after any of them the two sides no longer agree on what the bytes mean.
    ///
    /// RabbitMQ drops the socket on an unknown method; here it is a clean close with 540.
    #[must_use]
    pub fn reply_code(&self) -> ReplyCode {
        match self {
            Self::FrameTooLarge { .. }
            | Self::UnknownFrameKind { .. }
            | Self::HeartbeatNotEmpty { .. }
            | Self::MissingFrameEnd { .. } => ReplyCode::FrameError,
            Self::UnknownMethod { .. } => ReplyCode::NotImplemented,
            Self::Truncated
            | Self::TrailingBytes { .. }
            | Self::UnknownFieldType(_)
            | Self::TooDeep
            | Self::TooManyValues
            | Self::NonZeroWeight { .. }
            | Self::Malformed => ReplyCode::SyntaxError,
        }
    }
}

impl<I> ParseError<I> for DecodeError {
    fn from_error_kind(_input: I, kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Eof => Self::Truncated,
            _ => Self::Malformed,
        }
    }

    fn append(_input: I, _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

impl From<nom::Err<Self>> for DecodeError {
    fn from(error: nom::Err<Self>) -> Self {
        match error {
            // Inside a frame nothing more is to come, so too few bytes is final.
            nom::Err::Incomplete(_) => Self::Truncated,
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_rabbitmqs() {
        let error = DecodeError::FrameTooLarge { kind: 3, size: 8193, max: 8184 };
        assert_eq!(error.to_string(), "type 3, all octets = <<>>: {frame_too_large,8193,8184}");
        let error = DecodeError::UnknownFrameKind { kind: 5 };
        assert_eq!(error.to_string(), "type 5, all octets = <<>>: unknown_frame");
    }

    #[test]
    fn every_error_closes_the_connection() {
        use crate::Severity;
        for error in [
            DecodeError::FrameTooLarge { kind: 1, size: 2, max: 1 },
            DecodeError::UnknownMethod { class_id: 1, method_id: 1 },
            DecodeError::Truncated,
            DecodeError::TooDeep,
        ] {
            assert_eq!(error.reply_code().severity(), Severity::Connection);
        }
    }
}
