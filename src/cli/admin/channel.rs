//! `leveret channel`.

use clap::Subcommand;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 9] = [
    Column::new("name", "name"),
    Column::new("user", "user"),
    Column::new("vhost", "vhost"),
    Column::new("state", "state"),
    Column::new("consumers", "consumer_count"),
    Column::new("prefetch", "prefetch_count"),
    Column::new("unacked", "messages_unacknowledged"),
    Column::new("unconfirmed", "messages_unconfirmed"),
    Column::new("confirms", "confirm"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ChannelCommand {
    /// List channels
    List {
        /// In the vhost only
        #[arg(long)]
        vhost_only: bool,
    },
}

impl Verb for ChannelCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let Self::List { vhost_only } = self;
        let path = match vhost_only {
            true => ApiPath::of(&["vhosts", &session.vhost, "channels"]),
            false => ApiPath::of(&["channels"]),
        };
        session.list(&path, &COLUMNS)
    }
}
