//! `leveret get`: messages from a queue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::{Column, field};

const COLUMNS: [Column; 6] = [
    Column::new("exchange", "exchange"),
    Column::new("routing key", "routing_key"),
    Column::new("redelivered", "redelivered"),
    Column::new("left", "message_count"),
    Column::new("bytes", "payload_bytes"),
    Column::new("payload", "payload"),
];

/// Takes messages from a queue, or looks at them.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Get {
    /// The queue
    queue: String,

    /// So many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u32,

    /// What becomes of them: they go back to the queue, they are gone, or they are dead letters
    #[arg(long, short, value_enum, default_value_t = Answer::Requeue)]
    answer: Answer,

    /// Print payloads as they are, each with a line feed behind it, and nothing else
    #[arg(long)]
    payload_only: bool,

    /// Get so many bytes of each payload [default: all]
    #[arg(long, value_name = "BYTES")]
    truncate: Option<u64>,
}

/// What becomes of a message that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// It goes back to its place
    Requeue,
    /// It is gone
    Ack,
    /// It goes to the dead-letter exchange, if there is one
    Reject,
}

impl Answer {
    fn ackmode(self) -> &'static str {
        match self {
            Self::Requeue => "ack_requeue_true",
            Self::Ack => "ack_requeue_false",
            Self::Reject => "reject_requeue_false",
        }
    }
}

impl Verb for Get {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = ApiPath::of(&["queues", &session.vhost, &self.queue, "get"]);
        let mut body = json!({
            "count": self.count,
            "ackmode": self.answer.ackmode(),
            "encoding": "auto",
        });
        if let Some(bytes) = self.truncate {
            body["truncate"] = bytes.into();
        }
        let answer = session.client.post(&path, &body)?;
        let Value::Array(messages) = answer else {
            let url = session.client.url().to_owned();
            return Err(ApiError::Foreign { url, problem: format!("{path} is not a list") }.into());
        };
        if !self.payload_only {
            return session.print(&messages, &COLUMNS);
        }
        for message in &messages {
            session.out.write_all(&payload(message))?;
            session.out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// A message's payload: what is no text comes in base64.
fn payload(message: &Value) -> Vec<u8> {
    let text = field(message, "payload").as_str().unwrap_or_default();
    let is_text = field(message, "payload_encoding") != "base64";
    let bytes = if is_text { None } else { STANDARD.decode(text).ok() };
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_comes_in_base64() {
        let message = json!({"payload": "/wA=", "payload_encoding": "base64"});
        assert_eq!(payload(&message), [0xff, 0]);
        let message = json!({"payload": "/wA=", "payload_encoding": "string"});
        assert_eq!(payload(&message), b"/wA=");
    }
}
