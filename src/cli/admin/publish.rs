//! `leveret publish`.

use std::fs;
use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::AdminError;
use super::assignment::Assignment;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::field;

/// The delivery mode of messages that outlive the broker.
const PERSISTENT: u8 = 2;

/// What properties a message can have. The API passes over others without a word.
const PROPERTIES: [&str; 14] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];

/// Publishes a message.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Publish {
    /// The payload [default: what is read from the file, or from standard input]
    payload: Option<String>,

    /// To this exchange; the default exchange's routing keys are names of queues [default: the default
    /// exchange]
    #[arg(long, short, value_name = "NAME", default_value = "", hide_default_value = true)]
    exchange: String,

    /// With this routing key
    #[arg(long, short = 'k', value_name = "KEY", default_value = "", hide_default_value = true)]
    routing_key: String,

    /// Publish this file's contents; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    file: Option<String>,

    /// Have it outlive the broker, in durable queues
    #[arg(long)]
    persistent: bool,

    /// A header such as x-retries=3; the value is JSON, or text if it is none; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<Assignment>,

    /// A property such as content_type=text/plain or priority=4; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<Assignment>,

    /// Fail, with exit code 65, if no queue takes it
    #[arg(long)]
    mandatory: bool,
}

impl Verb for Publish {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let unknown = |it: &&Assignment| !PROPERTIES.contains(&&*it.name);
        if let Some(unknown) = self.property.iter().find(unknown) {
            let (name, known) = (&unknown.name, PROPERTIES.join(", "));
            let problem = format!("messages have no property '{name}'; they have {known}");
            return Err(AdminError::Usage(problem));
        }
        let mut properties: Map<String, Value> =
            self.property.into_iter().map(|property| (property.name, property.value)).collect();
        if self.persistent {
            properties.insert("delivery_mode".to_owned(), PERSISTENT.into());
        }
        if !self.header.is_empty() {
            let headers = self.header.into_iter().map(|header| (header.name, header.value));
            properties.insert("headers".to_owned(), headers.collect::<Map<_, _>>().into());
        }
        let payload = match self.payload {
            Some(text) => text.into_bytes(),
            None => read(self.file.as_deref().unwrap_or("-"))?,
        };
        let (payload, encoding) = match String::from_utf8(payload) {
            Ok(text) => (text, "string"),
            Err(bytes) => (STANDARD.encode(bytes.as_bytes()), "base64"),
        };
        // The API's name for the one without a name.
        let exchange = if self.exchange.is_empty() { "amq.default" } else { &self.exchange };
        let path = ApiPath::of(&["exchanges", &session.vhost, exchange, "publish"]);
        let body = json!({
            "properties": properties,
            "routing_key": self.routing_key,
            "payload": payload,
            "payload_encoding": encoding,
        });
        let answer = session.client.post(&path, &body)?;
        if self.mandatory && field(&answer, "routed") == &Value::Bool(false) {
            return Err(AdminError::NotRouted);
        }
        Ok(())
    }
}

/// A file's contents, or standard input's for `-`.
pub(super) fn read(file: &str) -> Result<Vec<u8>, AdminError> {
    let read = if file == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let name = if file == "-" { "standard input" } else { file };
    read.map_err(|cause| AdminError::Input { file: name.to_owned(), cause })
}
