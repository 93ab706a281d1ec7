//! `leveret parameter`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 4] = [
    Column::new("component", "component"),
    Column::new("vhost", "vhost"),
    Column::new("name", "name"),
    Column::new("value", "value"),
];

const GLOBAL_COLUMNS: [Column; 2] = [Column::new("name", "name"), Column::new("value", "value")];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ParameterCommand {
    /// Set a parameter
    Set {
        /// Its name
        parameter: String,
        /// Its value: JSON, or text if it is none
        value: String,
        /// What it belongs to; without this it is a global parameter
        #[arg(long, value_name = "NAME")]
        component: Option<String>,
    },
    /// Delete a parameter
    Delete {
        /// Its name
        parameter: String,
        /// What it belongs to; without this it is a global parameter
        #[arg(long, value_name = "NAME")]
        component: Option<String>,
    },
    /// List parameters of all vhosts
    List {
        /// Global parameters instead
        #[arg(long)]
        global: bool,
    },
}

impl Verb for ParameterCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = |session: &Session<'_>, name: &str, component: Option<String>| match component {
            Some(component) => ApiPath::of(&["parameters", &component, &session.vhost, name]),
            None => ApiPath::of(&["global-parameters", name]),
        };
        match self {
            Self::Set { parameter, value, component } => {
                let value: Value =
                    serde_json::from_str(&value).unwrap_or_else(|_| Value::from(value.as_str()));
                let mut body = json!({ "name": parameter, "value": value });
                if let Some(component) = &component {
                    body["component"] = component.as_str().into();
                    body["vhost"] = session.vhost.as_str().into();
                }
                Ok(session.client.put(&path(session, &parameter, component), &body)?)
            }
            Self::Delete { parameter, component } => {
                Ok(session.client.delete(&path(session, &parameter, component))?)
            }
            Self::List { global: false } => session.list(&ApiPath::of(&["parameters"]), &COLUMNS),
            Self::List { global: true } => {
                session.list(&ApiPath::of(&["global-parameters"]), &GLOBAL_COLUMNS)
            }
        }
    }
}
