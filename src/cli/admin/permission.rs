//! `leveret permission`.

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
    Column::new("configure", "configure"),
    Column::new("write", "write"),
    Column::new("read", "read"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum PermissionCommand {
    /// Say what a user may do in the vhost: patterns (regular expressions) of names of queues and exchanges
    Set {
        /// The user
        user: String,
        /// What it may declare and delete
        #[arg(default_value = ".*")]
        configure: String,
        /// What it may publish to
        #[arg(default_value = ".*")]
        write: String,
        /// What it may consume
        #[arg(default_value = ".*")]
        read: String,
    },
    /// Take all permissions in the vhost from a user
    Clear {
        /// The user
        user: String,
    },
    /// List permissions in all vhosts
    List {
        /// Of this user
        #[arg(long, value_name = "NAME")]
        of: Option<String>,
    },
}

impl Verb for PermissionCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::Set { user, configure, write, read } => {
                let path = ApiPath::of(&["permissions", &session.vhost, &user]);
                let body = json!({ "configure": configure, "write": write, "read": read });
                let put = session.client.put(&path, &body);
                Ok(put.map_err(|error| error.of_permissions(&path))?)
            }
            Self::Clear { user } => {
                let path = ApiPath::of(&["permissions", &session.vhost, &user]);
                Ok(session.client.delete(&path)?)
            }
            Self::List { of: Some(user) } => {
                session.list(&ApiPath::of(&["users", &user, "permissions"]), &COLUMNS)
            }
            Self::List { of: None } => session.list(&ApiPath::of(&["permissions"]), &COLUMNS),
        }
    }
}
