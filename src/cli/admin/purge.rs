//! `leveret purge`.

use clap::Args;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;

/// Removes all ready messages of a queue.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Purge {
    /// The queue
    queue: String,
}

impl Verb for Purge {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = ApiPath::of(&["queues", &session.vhost, &self.queue, "contents"]);
        Ok(session.client.delete(&path)?)
    }
}
