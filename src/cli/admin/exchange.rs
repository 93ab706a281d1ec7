//! `leveret exchange`.

use clap::Subcommand;
use serde_json::json;

use super::assignment::Arguments;
use super::noun::Verb;
use super::session::Session;
use super::{AdminError, binding};
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 7] = [
    Column::new("name", "name"),
    Column::new("type", "type"),
    Column::new("durable", "durable"),
    Column::new("auto-delete", "auto_delete"),
    Column::new("internal", "internal"),
    Column::new("policy", "policy"),
    Column::new("arguments", "arguments"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ExchangeCommand {
    /// Make sure that an exchange is there
    Declare {
        /// Its name
        exchange: String,
        /// direct, fanout, topic, headers, or a type of RabbitMQ's plugins
        #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "direct")]
        kind: String,
        /// Have it outlive the broker; so it is without this, too
        #[arg(long, conflicts_with = "transient")]
        durable: bool,
        /// Have it end with the broker
        #[arg(long)]
        transient: bool,
        /// Delete it with its last binding
        #[arg(long)]
        auto_delete: bool,
        /// Let only exchanges publish to it
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// Delete an exchange
    Delete {
        /// Its name
        exchange: String,
        /// Only if it has no bindings
        #[arg(long)]
        if_unused: bool,
    },
    /// List exchanges
    List {
        /// In all vhosts
        #[arg(long)]
        all_vhosts: bool,
    },
    /// Show one exchange
    Show {
        /// Its name
        exchange: String,
    },
    /// List where an exchange's messages go
    Bindings {
        /// Its name
        exchange: String,
        /// List where its messages come from instead
        #[arg(long)]
        incoming: bool,
    },
}

impl Verb for ExchangeCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path =
            |session: &Session<'_>, name: &str| ApiPath::of(&["exchanges", &session.vhost, name]);
        match self {
            Self::Declare {
                exchange,
                kind,
                durable: _,
                transient,
                auto_delete,
                internal,
                arguments,
            } => {
                let body = json!({
                    "type": kind,
                    "durable": !transient,
                    "auto_delete": auto_delete,
                    "internal": internal,
                    "arguments": arguments.into_object(),
                });
                Ok(session.client.put(&path(session, &exchange), &body)?)
            }
            Self::Delete { exchange, if_unused } => {
                let path = path(session, &exchange);
                let path = if if_unused { path.with("if-unused", "true") } else { path };
                Ok(session.client.delete(&path)?)
            }
            Self::List { all_vhosts } => session.list_of_vhost("exchanges", all_vhosts, &COLUMNS),
            Self::Show { exchange } => session.show(&path(session, &exchange), &COLUMNS),
            Self::Bindings { exchange, incoming } => {
                let end = if incoming { "destination" } else { "source" };
                let path = ApiPath::of(&["exchanges", &session.vhost, &exchange, "bindings", end]);
                session.list(&path, &binding::COLUMNS)
            }
        }
    }
}
