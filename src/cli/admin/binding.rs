//! `leveret binding`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::AdminError;
use super::assignment::Arguments;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::{Column, field};

/// How bindings are listed, here and of one queue or exchange.
pub(super) const COLUMNS: [Column; 5] = [
    Column::new("source", "source"),
    Column::new("destination", "destination"),
    Column::new("to", "destination_type"),
    Column::new("routing key", "routing_key"),
    Column::new("arguments", "arguments"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum BindingCommand {
    /// Make sure that a binding is there
    Declare(Ends),
    /// Delete a binding
    Delete(Ends),
    /// List bindings
    List {
        /// In all vhosts
        #[arg(long)]
        all_vhosts: bool,
    },
}

/// A binding.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Ends {
    /// The exchange that messages come from
    source: String,

    /// The queue, or exchange, that they go to
    destination: String,

    /// What the destination is
    #[arg(long, value_enum, default_value_t = Destination::Queue)]
    to: Destination,

    /// The routing key, or pattern
    #[arg(long, short = 'k', value_name = "KEY", default_value = "", hide_default_value = true)]
    routing_key: String,

    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Destination {
    /// A queue
    Queue,
    /// An exchange
    Exchange,
}

impl Destination {
    /// As paths of the API have it.
    fn letter(self) -> &'static str {
        match self {
            Self::Queue => "q",
            Self::Exchange => "e",
        }
    }
}

impl Verb for BindingCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::Declare(ends) => {
                let path = ends.path(&session.vhost);
                let body = json!({
                    "routing_key": ends.routing_key,
                    "arguments": ends.arguments.into_object(),
                });
                Ok(session.client.post(&path, &body).map(drop)?)
            }
            Self::Delete(ends) => delete(ends, session),
            Self::List { all_vhosts } => session.list_of_vhost("bindings", all_vhosts, &COLUMNS),
        }
    }
}

impl Ends {
    /// All bindings between the two.
    fn path(&self, vhost: &str) -> ApiPath {
        let Self { source, destination, to, .. } = self;
        ApiPath::of(&["bindings", vhost, "e", source, to.letter(), destination])
    }
}

/// The API names a binding between the two ends by a key of its own making.
fn delete(ends: Ends, session: &mut Session<'_>) -> Result<(), AdminError> {
    let between = session.client.list(&ends.path(&session.vhost))?;
    let Ends { source, destination, to, routing_key, arguments } = ends;
    let arguments = Value::from(arguments.into_object());
    let found = between.iter().find(|binding| {
        field(binding, "routing_key") == routing_key.as_str()
            && field(binding, "arguments") == &arguments
    });
    let Some(key) = found.and_then(|binding| field(binding, "properties_key").as_str()) else {
        let reason = format!(
            "no binding from '{source}' to '{destination}' with routing key '{routing_key}' and \
             these arguments"
        );
        return Err(ApiError::NotFound { reason }.into());
    };
    let letter = to.letter();
    let path = ApiPath::of(&["bindings", &session.vhost, "e", &source, letter, &destination, key]);
    Ok(session.client.delete(&path)?)
}
