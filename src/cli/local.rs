//! How commands on a broker's own machine find it, and are let in: a file that only its user can read.
//!
//! RabbitMQ's tools have Erlang's cookie for this. Here the broker writes where its management API is, and a
//! token that makes whoever sends it an administrator, into `leveret.token`: in the data directory, or where
//! there is none in the directory for run-time files.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::load_config::data_dir;
use crate::config::Secret;

/// The file's name.
const FILE: &str = "leveret.token";

/// The broker on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalBroker {
    /// Its management API.
    pub(super) url: String,
    /// What lets an administrator in.
    pub(super) token: Secret,
}

/// The file's contents.
#[derive(Serialize, Deserialize)]
struct Contents {
    url: String,
    token: String,
}

impl LocalBroker {
    /// The broker that left its file where this environment looks.
    pub(super) fn find(environment: &Environment) -> Option<Self> {
        let places = [data_dir(environment), run_dir(environment)];
        places.iter().find_map(|dir| {
            let text = fs::read(dir.join(FILE)).ok()?;
            let Contents { url, token } = serde_json::from_slice(&text).ok()?;
            Some(Self { url, token: Secret::new(token) })
        })
    }

    /// Whether this is the broker that is meant: none was named, or this one.
    pub(super) fn is_at(&self, url: Option<&str>) -> bool {
        url.is_none_or(|url| url.trim_end_matches('/') == self.url)
    }
}

/// Where files of this run lie: they are gone after the next start of the machine.
fn run_dir(environment: &Environment) -> PathBuf {
    let run =
        environment.get("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/run"), PathBuf::from);
    run.join("leveret")
}
