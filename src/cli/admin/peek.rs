//! `leveret queue peek`, `scheduled` and `cancel-scheduled`: messages in their places.

use clap::Args;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const WAITING: [Column; 7] = [
    Column::new("position", "position"),
    Column::new("exchange", "exchange"),
    Column::new("routing key", "routing_key"),
    Column::new("redelivered", "redelivered"),
    Column::new("expires", "expires_at"),
    Column::new("bytes", "payload_bytes"),
    Column::new("payload", "payload"),
];

const SCHEDULED: [Column; 6] = [
    Column::new("position", "position"),
    Column::new("due", "due_at"),
    Column::new("exchange", "exchange"),
    Column::new("routing key", "routing_key"),
    Column::new("bytes", "payload_bytes"),
    Column::new("payload", "payload"),
];

/// Looks at messages that wait for a consumer.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Peek {
    /// The queue
    queue: String,

    /// At so many, 1000 at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u32,

    /// Begin at this position: the last that was shown, and one more
    #[arg(long, value_name = "POSITION", visible_alias = "offset", default_value_t = 0)]
    from: u64,

    /// Get so many bytes of each payload [default: all]
    #[arg(long, value_name = "BYTES")]
    truncate: Option<u64>,
}

impl Verb for Peek {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = of_queue(session, &self.queue, &["messages"]);
        let path = path.with("count", &self.count.to_string());
        let path = path.with("from", &self.from.to_string());
        session.list(&truncated(path, self.truncate), &WAITING)
    }
}

/// Lists messages that wait for their time.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Scheduled {
    /// The queue
    queue: String,

    /// The first so many, 1000 at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    count: u32,

    /// Get so many bytes of each payload [default: all]
    #[arg(long, value_name = "BYTES")]
    truncate: Option<u64>,
}

impl Verb for Scheduled {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = of_queue(session, &self.queue, &["scheduled"]);
        let path = path.with("count", &self.count.to_string());
        session.list(&truncated(path, self.truncate), &SCHEDULED)
    }
}

/// Removes a message that waits for its time.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct CancelScheduled {
    /// The queue
    queue: String,

    /// The message's position, as `leveret queue scheduled` shows it
    position: u64,
}

impl Verb for CancelScheduled {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let position = self.position.to_string();
        Ok(session.client.delete(&of_queue(session, &self.queue, &["scheduled", &position]))?)
    }
}

/// What RabbitMQ's API has not, of a queue.
fn of_queue(session: &Session<'_>, queue: &str, rest: &[&str]) -> ApiPath {
    ApiPath::of(&[&["leveret", "queues", &session.vhost, queue], rest].concat())
}

fn truncated(path: ApiPath, bytes: Option<u64>) -> ApiPath {
    match bytes {
        Some(bytes) => path.with("truncate", &bytes.to_string()),
        None => path,
    }
}
