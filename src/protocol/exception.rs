//! Why a channel or a connection is closed by the broker, and which of the two.

use amqp_codec::{ChannelId, DecodeError, Method, ReplyCode, Severity, ShortString};

/// Stands for the end of a text that was cut.
const CUT: &str = "...";

/// A protocol exception: what `channel.close` or `connection.close` will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Its severity decides who is closed: the channel (soft) or the connection (hard).
    pub code: ReplyCode,
    /// The explanation, without the code's name in front.
    pub text: String,
    /// Class id of the method that failed; 0 if none did.
    pub class_id: u16,
    /// Method id of the method that failed; 0 if none did.
    pub method_id: u16,
}

impl Exception {
    /// An exception that no method is to blame for, yet.
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), class_id: 0, method_id: 0 }
    }

    /// A 406: what was asked for goes against how things are.
    pub fn precondition_failed(text: impl Into<String>) -> Self {
        Self::new(ReplyCode::PreconditionFailed, text)
    }

    /// Blames a method, unless one is blamed already.
    #[must_use]
    pub fn blame(mut self, (class_id, method_id): (u16, u16)) -> Self {
        if self.class_id == 0 {
            (self.class_id, self.method_id) = (class_id, method_id);
        }
        self
    }

    /// Who is closed when it happens on `channel`.
    pub fn scope(&self, channel: ChannelId) -> Scope {
        if channel == ChannelId::CONNECTION || self.code.severity() == Severity::Connection {
            Scope::Connection
        } else {
            Scope::Channel(channel)
        }
    }

    /// The reply text: `NOT_FOUND - no queue 'q' in vhost '/'`. What a short string does not hold is
    /// cut, with dots in its place. Without an explanation the name stands alone.
    pub fn reply_text(&self) -> ShortString {
        if self.text.is_empty() {
            return ShortString::truncated(self.code.name());
        }
        let text = format!("{} - {}", self.code.name(), self.text);
        if text.len() <= ShortString::LEN_MAX {
            return ShortString::truncated(text);
        }
        let end = text.floor_char_boundary(ShortString::LEN_MAX - CUT.len());
        ShortString::truncated(format!("{}{CUT}", &text[..end]))
    }
}

/// Who an exception closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One channel; the connection goes on.
    Channel(ChannelId),
    /// The whole connection.
    Connection,
}

impl From<DecodeError> for Exception {
    fn from(error: DecodeError) -> Self {
        Self::new(error.reply_code(), error.to_string())
    }
}

/// The ids by which `method` is blamed.
pub fn ids(method: &Method) -> (u16, u16) {
    (method.class_id(), method.method_id())
}

/// Bytes in the notation of RabbitMQ's error texts: `<<"text">>` or `<<0,60>>`. Stops after what a
/// reply text can hold.
#[derive(Debug, Clone, Copy)]
pub struct ErlangBinary<'a>(pub &'a [u8]);

impl std::fmt::Display for ErlangBinary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.0[..self.0.len().min(256)];
        if !shown.is_empty() && shown.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return write!(f, "<<\"{}\">>", String::from_utf8_lossy(shown));
        }
        f.write_str("<<")?;
        for (index, byte) in shown.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{byte}")?;
        }
        f.write_str(">>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_and_the_place_decide_who_is_closed() {
        let scope = |code, channel| Exception::new(code, "").scope(ChannelId(channel));
        assert_eq!(scope(ReplyCode::NotFound, 3), Scope::Channel(ChannelId(3)));
        assert_eq!(scope(ReplyCode::NotFound, 0), Scope::Connection);
        assert_eq!(scope(ReplyCode::FrameError, 3), Scope::Connection);
    }

    #[test]
    fn the_first_method_that_is_blamed_stays_to_blame() {
        let exception = Exception::new(ReplyCode::NotFound, "").blame((60, 40)).blame((50, 10));
        assert_eq!((exception.class_id, exception.method_id), (60, 40));
    }

    #[test]
    fn reply_texts_begin_with_the_code_and_fit_a_short_string() {
        let text = |text: &str| Exception::new(ReplyCode::NotFound, text).reply_text();
        assert_eq!(text("no queue").to_str(), Some("NOT_FOUND - no queue"));
        assert_eq!(text("").to_str(), Some("NOT_FOUND"));
        assert_eq!(text(&"x".repeat(300)).len(), 255);
    }

    #[test]
    fn bytes_are_shown_as_erlang_does() {
        let shown = |bytes: &[u8]| ErlangBinary(bytes).to_string();
        assert_eq!(shown(b"abc"), "<<\"abc\">>");
        assert_eq!(shown(&[0, 60]), "<<0,60>>");
        assert_eq!(shown(b""), "<<>>");
    }
}
