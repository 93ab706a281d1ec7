//! `leveret health`: what a container platform runs again and again.

use clap::Args;
use serde_json::{Value, json};

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::Column;

/// What is checked unless something is named.
const CHECKS: [&str; 2] = ["local-alarms", "virtual-hosts"];

const COLUMNS: [Column; 3] = [
    Column::new("check", "check"),
    Column::new("status", "status"),
    Column::new("reason", "reason"),
];

/// Checks that the broker is well.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Health {
    /// Checks of the API, such as alarms, port-listener/5672 or protocol-listener/amqp
    /// [default: local-alarms virtual-hosts]
    checks: Vec<String>,
}

impl Verb for Health {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let checks = match self.checks.is_empty() {
            true => CHECKS.map(str::to_owned).to_vec(),
            false => self.checks,
        };
        let results = checks.iter().map(|check| result(check, session));
        let results = results.collect::<Result<Vec<Value>, ApiError>>()?;
        session.print(&results, &COLUMNS)?;
        let failed = results.iter().filter(|result| result["status"] != "ok");
        let failed: Vec<&str> = failed.filter_map(|result| result["check"].as_str()).collect();
        if failed.is_empty() { Ok(()) } else { Err(AdminError::Unwell(failed.join(", "))) }
    }
}

/// How a check ended. That it failed is a result, too.
fn result(check: &str, session: &Session<'_>) -> Result<Value, ApiError> {
    let segments: Vec<&str> = ["health", "checks"].into_iter().chain(check.split('/')).collect();
    match session.client.get(&ApiPath::of(&segments)) {
        Ok(_) => Ok(json!({ "check": check, "status": "ok" })),
        Err(ApiError::Unavailable { reason }) => {
            Ok(json!({ "check": check, "status": "failed", "reason": reason }))
        }
        Err(error) => Err(error),
    }
}
