//! `leveret connection`.

use clap::{ArgGroup, Subcommand};
use serde_json::Value;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::{Column, field};

const COLUMNS: [Column; 8] = [
    Column::new("name", "name"),
    Column::new("user", "user"),
    Column::new("vhost", "vhost"),
    Column::new("state", "state"),
    Column::new("channels", "channels"),
    Column::new("tls", "ssl"),
    Column::new("client", "client_properties.product"),
    Column::new("called", "client_properties.connection_name"),
];

const DETAILS: [Column; 14] = [
    Column::new("name", "name"),
    Column::new("called", "client_properties.connection_name"),
    Column::new("user", "user"),
    Column::new("vhost", "vhost"),
    Column::new("state", "state"),
    Column::new("channels", "channels"),
    Column::new("protocol", "protocol"),
    Column::new("tls", "ssl"),
    Column::new("client", "client_properties.product"),
    Column::new("client version", "client_properties.version"),
    Column::new("heartbeat (s)", "timeout"),
    Column::new("frame max", "frame_max"),
    Column::new("bytes received", "recv_oct"),
    Column::new("bytes sent", "send_oct"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ConnectionCommand {
    /// List connections
    List {
        /// To the vhost only
        #[arg(long)]
        vhost_only: bool,
    },
    /// Show one connection
    Show {
        /// Its name, as the list has it
        connection: String,
    },
    /// Close connections; clients see CONNECTION_FORCED (320)
    #[command(group = ArgGroup::new("which").required(true))]
    Close {
        /// The one with this name
        #[arg(group = "which")]
        connection: Option<String>,
        /// Those of this user
        #[arg(long, value_name = "NAME", group = "which")]
        of: Option<String>,
        /// All to the vhost
        #[arg(long, group = "which")]
        all_of_vhost: bool,
        /// Every one
        #[arg(long, group = "which")]
        all: bool,
        /// What clients are told
        #[arg(long, value_name = "TEXT", default_value = "closed by an administrator")]
        reason: String,
    },
}

impl Verb for ConnectionCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::List { vhost_only: false } => {
                session.list(&ApiPath::of(&["connections"]), &COLUMNS)
            }
            Self::List { vhost_only: true } => {
                let path = ApiPath::of(&["vhosts", &session.vhost, "connections"]);
                session.list(&path, &COLUMNS)
            }
            Self::Show { connection } => {
                session.show(&ApiPath::of(&["connections", &connection]), &DETAILS)
            }
            Self::Close { connection: Some(connection), reason, .. } => {
                let path = ApiPath::of(&["connections", &connection]);
                Ok(session.client.delete_because(&path, &reason)?)
            }
            Self::Close { connection: None, of, all_of_vhost, all: _, reason } => {
                let path = match (&of, all_of_vhost) {
                    (Some(user), _) => ApiPath::of(&["connections", "username", user]),
                    (None, true) => ApiPath::of(&["vhosts", &session.vhost, "connections"]),
                    (None, false) => ApiPath::of(&["connections"]),
                };
                let connections = session.client.list(&path)?;
                connections.iter().try_for_each(|one| close(one, &reason, session))
            }
        }
    }
}

/// Closes a connection of a list. That it is gone by then is fine.
fn close(connection: &Value, reason: &str, session: &Session<'_>) -> Result<(), AdminError> {
    let name = field(connection, "name").as_str().unwrap_or_default();
    match session.client.delete_because(&ApiPath::of(&["connections", name]), reason) {
        Err(ApiError::NotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
