//! `leveret policy`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::AdminError;
use super::assignment::{Assignment, JsonObject};
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 5] = [
    Column::new("name", "name"),
    Column::new("pattern", "pattern"),
    Column::new("apply to", "apply-to"),
    Column::new("priority", "priority"),
    Column::new("definition", "definition"),
];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Set a policy, in the place of the one with its name
    Set {
        /// Its name
        policy: String,
        /// A regular expression that finds the names of queues and exchanges
        pattern: String,
        /// What is in force for them, such as max-length=1000, or all of it as one JSON object
        #[arg(value_name = "NAME=VALUE", required = true)]
        definition: Vec<String>,
        /// Of several policies the one with the highest number is in force
        #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
        priority: i64,
        /// all, queues, exchanges, classic_queues, quorum_queues or streams
        #[arg(long, value_name = "WHAT", default_value = "all")]
        apply_to: String,
        #[command(flatten)]
        kind: Kind,
    },
    /// Delete a policy
    Delete {
        /// Its name
        policy: String,
        #[command(flatten)]
        kind: Kind,
    },
    /// List policies
    List {
        /// In all vhosts
        #[arg(long)]
        all_vhosts: bool,
        #[command(flatten)]
        kind: Kind,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct Kind {
    /// An operator policy: limits that neither arguments nor other policies can exceed
    #[arg(long)]
    operator: bool,
}

impl Kind {
    /// The API's name for all of this kind.
    fn collection(self) -> &'static str {
        if self.operator { "operator-policies" } else { "policies" }
    }
}

impl Verb for PolicyCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        match self {
            Self::Set { policy, pattern, definition, priority, apply_to, kind } => {
                let path = ApiPath::of(&[kind.collection(), &session.vhost, &policy]);
                let body = json!({
                    "pattern": pattern,
                    "definition": object(&definition)?,
                    "priority": priority,
                    "apply-to": apply_to,
                });
                Ok(session.client.put(&path, &body)?)
            }
            Self::Delete { policy, kind } => {
                let path = ApiPath::of(&[kind.collection(), &session.vhost, &policy]);
                Ok(session.client.delete(&path)?)
            }
            Self::List { all_vhosts, kind } => {
                session.list_of_vhost(kind.collection(), all_vhosts, &COLUMNS)
            }
        }
    }
}

/// A definition: assignments and JSON objects, one after another.
fn object(definition: &[String]) -> Result<Map<String, Value>, AdminError> {
    let mut object = Map::new();
    for part in definition {
        if part.starts_with('{') {
            let all: JsonObject = part.parse().map_err(AdminError::Usage)?;
            object.extend(all.0);
        } else {
            let Assignment { name, value } = part.parse().map_err(|problem| {
                AdminError::Usage(format!("'{part}' is no part of a definition: {problem}"))
            })?;
            object.insert(name, value);
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_json_or_assignments() {
        let object = |parts: &[&str]| {
            object(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
        };
        let expected = json!({"max-length": 10, "overflow": "reject-publish"});
        let assigned = object(&["max-length=10", "overflow=reject-publish"]).unwrap();
        assert_eq!(Value::from(assigned), expected);
        assert_eq!(Value::from(object(&[&expected.to_string()]).unwrap()), expected);
        let refusal = object(&["max-length"]).unwrap_err().to_string();
        assert_eq!(refusal, "'max-length' is no part of a definition: it must be NAME=VALUE");
    }
}
