//! `leveret consumer`.

use clap::Subcommand;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 7] = [
    Column::new("queue", "queue.name"),
    Column::new("tag", "consumer_tag"),
    Column::new("channel", "channel_details.name"),
    Column::new("acks", "ack_required"),
    Column::new("prefetch", "prefetch_count"),
    Column::new("active", "active"),
    Column::new("exclusive", "exclusive"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ConsumerCommand {
    /// List consumers
    List {
        /// In all vhosts
        #[arg(long)]
        all_vhosts: bool,
    },
}

impl Verb for ConsumerCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let Self::List { all_vhosts } = self;
        if !all_vhosts {
            return session.list_of_vhost("consumers", false, &COLUMNS);
        }
        let columns = [&[Column::new("vhost", "queue.vhost")], &COLUMNS[..]].concat();
        session.list(&ApiPath::of(&["consumers"]), &columns)
    }
}
