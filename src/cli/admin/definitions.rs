//! `leveret definitions`.

use clap::Subcommand;
use serde_json::Value;

use super::AdminError;
use super::noun::Verb;
use super::publish::read;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::private_file::write_private;

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum DefinitionsCommand {
    /// Write users, vhosts, permissions, policies, queues, exchanges and bindings as JSON
    Export {
        /// To this file [default: standard output]
        file: Option<String>,
        /// Of the vhost only
        #[arg(long)]
        vhost_only: bool,
    },
    /// Add what a file defines; nothing is deleted
    Import {
        /// The file, as RabbitMQ or leveret exported it; - for standard input
        file: String,
        /// Into the vhost only
        #[arg(long)]
        vhost_only: bool,
    },
}

impl Verb for DefinitionsCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = |session: &Session<'_>, vhost_only| match vhost_only {
            true => ApiPath::of(&["definitions", &session.vhost]),
            false => ApiPath::of(&["definitions"]),
        };
        match self {
            Self::Export { file, vhost_only } => {
                let definitions = session.client.get(&path(session, vhost_only))?;
                let text = format!("{definitions:#}\n");
                match file.filter(|file| file != "-") {
                    Some(file) => write_private(&file, &text)
                        .map_err(|cause| AdminError::File { file, cause }),
                    None => Ok(session.out.write_all(text.as_bytes())?),
                }
            }
            Self::Import { file, vhost_only } => {
                let bytes = read(&file)?;
                let definitions: Value = serde_json::from_slice(&bytes)
                    .map_err(|cause| AdminError::NotJson { file, cause })?;
                Ok(session.client.post(&path(session, vhost_only), &definitions).map(drop)?)
            }
        }
    }
}
