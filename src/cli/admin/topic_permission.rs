//! `leveret topic-permission`.

use clap::Subcommand;
use serde_json::json;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 5] = [
    Column::new("user", "user"),
    Column::new("vhost", "vhost"),
    Column::new("exchange", "exchange"),
    Column::new("write", "write"),
    Column::new("read", "read"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum TopicPermissionCommand {
    /// Say which routing keys of an exchange a user may use: patterns (regular expressions)
    Set {
        /// The user
        user: String,
        /// The exchange
        exchange: String,
        /// Routing keys to publish with
        #[arg(default_value = ".*")]
        write: String,
        /// Routing keys to bind with
        #[arg(default_value = ".*")]
        read: String,
    },
    /// Take a user's topic permissions in the vhost
    Clear {
        /// The user
        user: String,
        /// For this exchange only
        exchange: Option<String>,
    },
    /// List topic permissions in all vhosts
    List {
        /// Of this user
        #[arg(long, value_name = "NAME")]
        of: Option<String>,
    },
}

impl Verb for TopicPermissionCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::Set { user, exchange, write, read } => {
                let path = ApiPath::of(&["topic-permissions", &session.vhost, &user]);
                let body = json!({ "exchange": exchange, "write": write, "read": read });
                let put = session.client.put(&path, &body);
                Ok(put.map_err(|error| error.of_permissions(&path))?)
            }
            Self::Clear { user, exchange } => {
                let path = ["topic-permissions", &session.vhost, &user];
                let path = match &exchange {
                    Some(exchange) => ApiPath::of(&[&path[..], &[exchange]].concat()),
                    None => ApiPath::of(&path),
                };
                Ok(session.client.delete(&path)?)
            }
            Self::List { of: Some(user) } => {
                session.list(&ApiPath::of(&["users", &user, "topic-permissions"]), &COLUMNS)
            }
            Self::List { of: None } => session.list(&ApiPath::of(&["topic-permissions"]), &COLUMNS),
        }
    }
}
