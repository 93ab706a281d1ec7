//! The reply codes of AMQP 0-9-1 and whom each one concerns.

use std::fmt;

/// Whom an error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// A soft error: `channel.close`, the connection lives on.
    Channel,
    /// A hard error: `connection.close`.
    Connection,
}

/// One table for the codes: variant, number, name on the wire, severity.
macro_rules! reply_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal $severity:ident,)*) => {
        /// Why a channel or connection is closed, or a message returned.
        ///
        /// Spec: amqp0-9-1.xml, the constants with a `class` attribute, and RabbitMQ's 312.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ReplyCode {
            $($(#[$doc])* $variant = $code,)*
        }

        impl ReplyCode {
            /// Every code, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code with this number, if the protocol has one.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name that starts a reply text, such as `NOT_FOUND` in
            /// `NOT_FOUND - no queue 'q' in vhost '/'`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whom the error ends, by the spec's `class` attribute. [`ReplyCode::Success`] is no
            /// error; it counts as a channel's.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

reply_codes! {
    /// A clean close.
    Success = 200 "REPLY_SUCCESS" Channel,
    /// The body is larger than the server takes.
    ContentTooLarge = 311 "CONTENT_TOO_LARGE" Channel,
    /// A mandatory message reached no queue (RabbitMQ's, in `basic.return`).
    NoRoute = 312 "NO_ROUTE" Channel,
    /// An immediate message found no consumer.
    NoConsumers = 313 "NO_CONSUMERS" Channel,
    /// An operator closed the connection.
    ConnectionForced = 320 "CONNECTION_FORCED" Connection,
    /// The client asked for an unknown vhost.
    InvalidPath = 402 "INVALID_PATH" Connection,
    /// No permission.
    AccessRefused = 403 "ACCESS_REFUSED" Channel,
    /// No such entity.
    NotFound = 404 "NOT_FOUND" Channel,
    /// Another client holds the entity exclusively.
    ResourceLocked = 405 "RESOURCE_LOCKED" Channel,
    /// The request contradicts what is there.
    PreconditionFailed = 406 "PRECONDITION_FAILED" Channel,
    /// A frame that could not be decoded.
    FrameError = 501 "FRAME_ERROR" Connection,
    /// A frame with illegal values in its fields.
    SyntaxError = 502 "SYNTAX_ERROR" Connection,
    /// Methods in an order that the protocol forbids.
    CommandInvalid = 503 "COMMAND_INVALID" Connection,
    /// Work on a channel that is not open, or opened twice.
    ChannelError = 504 "CHANNEL_ERROR" Connection,
    /// A frame that was not due.
    UnexpectedFrame = 505 "UNEXPECTED_FRAME" Connection,
    /// The server lacks the resources.
    ResourceError = 506 "RESOURCE_ERROR" Connection,
    /// Forbidden by the server's settings.
    NotAllowed = 530 "NOT_ALLOWED" Connection,
    /// Not supported by this server.
    NotImplemented = 540 "NOT_IMPLEMENTED" Connection,
    /// The server failed.
    InternalError = 541 "INTERNAL_ERROR" Connection,
}

impl ReplyCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_code_agree() {
        for &code in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_code(code.code()), Some(code));
        }
        assert_eq!(ReplyCode::from_code(201), None);
        assert_eq!(ReplyCode::NotFound.to_string(), "NOT_FOUND");
    }

    #[test]
    fn soft_errors_are_the_specs() {
        let soft: Vec<u16> = ReplyCode::ALL
            .iter()
            .filter(|code| code.severity() == Severity::Channel)
            .map(|code| code.code())
            .collect();
        assert_eq!(soft, [200, 311, 312, 313, 403, 404, 405, 406]);
    }
}
