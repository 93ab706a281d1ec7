//! `leveret vhost`, and the limits of vhosts and users.

use clap::Subcommand;
use serde_json::{Value, json};

use super::AdminError;
use super::assignment::Assignment;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::{Column, field};

const COLUMNS: [Column; 7] = [
    Column::new("name", "name"),
    Column::new("description", "description"),
    Column::new("tags", "tags"),
    Column::new("default queue type", "metadata.default_queue_type"),
    Column::new("messages", "messages"),
    Column::new("ready", "messages_ready"),
    Column::new("unacked", "messages_unacknowledged"),
];

const LIMIT_COLUMNS: [Column; 2] = [Column::new("limit", "limit"), Column::new("value", "value")];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum VHostCommand {
    /// Make sure that a vhost is there
    #[command(alias = "declare")]
    Add {
        /// Its name
        vhost: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A tag; may be repeated
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// The type of queues that are declared without one
        #[arg(long, value_name = "TYPE")]
        default_queue_type: Option<String>,
        /// Publish all that is published and delivered to amq.rabbitmq.trace, too
        #[arg(long)]
        tracing: bool,
    },
    /// Delete a vhost and all that is in it
    Delete {
        /// Its name
        vhost: String,
    },
    /// List vhosts
    List,
    /// Show a vhost's limits, or set some
    Limits {
        /// Its name
        vhost: String,
        /// max-connections=N or max-queues=N; none for no limit
        limits: Vec<Assignment>,
    },
}

impl Verb for VHostCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::Add { vhost, description, tags, default_queue_type, tracing } => {
                let mut body = json!({ "tracing": tracing });
                let tags = (!tags.is_empty()).then(|| tags.join(","));
                for (name, value) in [
                    ("description", description),
                    ("tags", tags),
                    ("default_queue_type", default_queue_type),
                ] {
                    if let Some(value) = value {
                        body[name] = value.into();
                    }
                }
                Ok(session.client.put(&ApiPath::of(&["vhosts", &vhost]), &body)?)
            }
            Self::Delete { vhost } => {
                Ok(session.client.delete(&ApiPath::of(&["vhosts", &vhost]))?)
            }
            Self::List => session.list(&ApiPath::of(&["vhosts"]), &COLUMNS),
            Self::Limits { vhost, limits } => {
                Limits { collection: "vhost-limits", name: &vhost }.run(limits, session)
            }
        }
    }
}

/// The limits of a vhost or a user.
pub(super) struct Limits<'a> {
    /// The API's collection of them.
    pub(super) collection: &'static str,
    /// Whose they are.
    pub(super) name: &'a str,
}

impl Limits<'_> {
    /// Sets what is assigned; without any assignment, prints what there is.
    pub(super) fn run(
        self,
        limits: Vec<Assignment>,
        session: &mut Session<'_>,
    ) -> Result<(), AdminError> {
        let Self { collection, name } = self;
        if limits.is_empty() {
            let answer = session.client.list(&ApiPath::of(&[collection, name]))?;
            let values = answer.iter().filter_map(|one| field(one, "value").as_object()).flatten();
            let rows: Vec<Value> =
                values.map(|(limit, value)| json!({ "limit": limit, "value": value })).collect();
            return session.print(&rows, &LIMIT_COLUMNS);
        }
        for Assignment { name: limit, value } in limits {
            let path = ApiPath::of(&[collection, name, &limit]);
            if value == "none" {
                session.client.delete(&path)?;
            } else {
                session.client.put(&path, &json!({ "value": value }))?;
            }
        }
        Ok(())
    }
}
