//! `leveret queue`.

use clap::Subcommand;
use serde_json::json;

use super::assignment::Arguments;
use super::get::Get;
use super::noun::Verb;
use super::peek::{CancelScheduled, Peek, Scheduled};
use super::purge::Purge;
use super::session::Session;
use super::{AdminError, binding};
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 9] = [
    Column::new("name", "name"),
    Column::new("type", "type"),
    Column::new("durable", "durable"),
    Column::new("state", "state"),
    Column::new("messages", "messages"),
    Column::new("ready", "messages_ready"),
    Column::new("unacked", "messages_unacknowledged"),
    Column::new("consumers", "consumers"),
    Column::new("policy", "policy"),
];

const DETAILS: [Column; 15] = [
    Column::new("name", "name"),
    Column::new("vhost", "vhost"),
    Column::new("type", "type"),
    Column::new("durable", "durable"),
    Column::new("auto-delete", "auto_delete"),
    Column::new("exclusive", "exclusive"),
    Column::new("state", "state"),
    Column::new("messages", "messages"),
    Column::new("ready", "messages_ready"),
    Column::new("unacked", "messages_unacknowledged"),
    Column::new("bytes", "message_bytes"),
    Column::new("consumers", "consumers"),
    Column::new("policy", "policy"),
    Column::new("operator policy", "operator_policy"),
    Column::new("arguments", "arguments"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum QueueCommand {
    /// Make sure that a queue is there
    Declare {
        /// Its name
        queue: String,
        /// classic or quorum [default: the vhost's default]
        #[arg(long = "type", short = 't', value_name = "TYPE")]
        kind: Option<String>,
        /// Have it outlive the broker; so it is without this, too
        #[arg(long, conflicts_with = "transient")]
        durable: bool,
        /// Have it end with the broker
        #[arg(long)]
        transient: bool,
        /// Delete it with its last consumer
        #[arg(long)]
        auto_delete: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// Delete a queue and its messages
    Delete {
        /// Its name
        queue: String,
        /// Only if it has no consumers
        #[arg(long)]
        if_unused: bool,
        /// Only if it has no messages
        #[arg(long)]
        if_empty: bool,
    },
    /// List queues
    List {
        /// In all vhosts
        #[arg(long)]
        all_vhosts: bool,
    },
    /// Show one queue
    Show {
        /// Its name
        queue: String,
    },
    /// List where a queue's messages come from
    Bindings {
        /// Its name
        queue: String,
    },
    /// Remove all ready messages
    Purge(Purge),
    /// Take messages, or look at them
    Get(Get),
    /// Look at ready messages, and leave them as they are
    Peek(Peek),
    /// List messages that wait for their time
    Scheduled(Scheduled),
    /// Remove a message that waits for its time
    CancelScheduled(CancelScheduled),
}

impl Verb for QueueCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path =
            |session: &Session<'_>, name: &str| ApiPath::of(&["queues", &session.vhost, name]);
        match self {
            Self::Declare { queue, kind, durable: _, transient, auto_delete, arguments } => {
                let mut arguments = arguments.into_object();
                if let Some(kind) = kind {
                    arguments.insert("x-queue-type".to_owned(), kind.into());
                }
                let body = json!({
                    "durable": !transient,
                    "auto_delete": auto_delete,
                    "arguments": arguments,
                });
                Ok(session.client.put(&path(session, &queue), &body)?)
            }
            Self::Delete { queue, if_unused, if_empty } => {
                let mut path = path(session, &queue);
                for (wanted, name) in [(if_unused, "if-unused"), (if_empty, "if-empty")] {
                    path = if wanted { path.with(name, "true") } else { path };
                }
                Ok(session.client.delete(&path)?)
            }
            Self::List { all_vhosts } => session.list_of_vhost("queues", all_vhosts, &COLUMNS),
            Self::Show { queue } => session.show(&path(session, &queue), &DETAILS),
            Self::Bindings { queue } => {
                let path = ApiPath::of(&["queues", &session.vhost, &queue, "bindings"]);
                session.list(&path, &binding::COLUMNS)
            }
            Self::Purge(purge) => purge.run(session),
            Self::Get(get) => get.run(session),
            Self::Peek(peek) => peek.run(session),
            Self::Scheduled(scheduled) => scheduled.run(session),
            Self::CancelScheduled(cancel) => cancel.run(session),
        }
    }
}
