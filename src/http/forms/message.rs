//! A message as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::broker::json::properties;
use crate::broker::message::Message;

/// How the body of a message is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::http) struct MessageForm {
    /// In base64, whatever it is; else as text, where it is text.
    pub(in crate::http) is_base64: bool,
    /// This much of it.
    pub(in crate::http) truncate: Option<usize>,
}

impl MessageForm {
    /// A message that came back so many times.
    pub(in crate::http) fn of(self, message: &Message, returns: u32) -> Value {
        let (payload, encoding) = self.payload(message);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        json!({
            "payload_bytes": message.body_len(),
            "exchange": text(message.exchange()),
            "routing_key": text(message.routing_key()),
            "properties": shown_properties(message, returns),
            "payload": payload,
            "payload_encoding": encoding,
        })
    }

    fn payload(self, message: &Message) -> (String, &'static str) {
        let mut left = self.truncate.unwrap_or(usize::MAX);
        let mut payload = Vec::new();
        let segments = message.body_segments().iter().map(|segment| &segment[..]);
        for part in std::iter::once(message.inline_body()).chain(segments) {
            let shown = &part[..part.len().min(left)];
            payload.extend_from_slice(shown);
            left -= shown.len();
        }
        let payload = match self.is_base64 {
            false => String::from_utf8(payload).map_err(std::string::FromUtf8Error::into_bytes),
            true => Err(payload),
        };
        match payload {
            Ok(text) => (text, "string"),
            Err(octets) => (STANDARD.encode(octets), "base64"),
        }
    }
}

/// Its properties, and how often it came back, as receivers are told. None at all are an empty list: that
/// is how RabbitMQ writes an empty object here.
fn shown_properties(message: &Message, returns: u32) -> Value {
    // They were checked when the message came.
    let shown = properties(message.properties()).map(|shown| shown.json);
    let mut shown = shown.unwrap_or_else(|_| json!({}));
    if returns > 0 {
        if shown.get("headers").is_none() {
            shown["headers"] = json!({});
        }
        shown["headers"]["x-delivery-count"] = returns.into();
    }
    if shown.as_object().is_some_and(Map::is_empty) { json!([]) } else { shown }
}
