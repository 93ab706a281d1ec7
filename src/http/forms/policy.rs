//! A policy as JSON.

use amqp_codec::ShortString;
use serde_json::{Value, json};

use super::text;
use crate::broker::json::table;
use crate::broker::policy::Policy;

/// A policy, or an operator policy.
pub(in crate::http) fn policy(vhost: &ShortString, policy: &Policy) -> Value {
    json!({
        "vhost": text(vhost),
        "name": policy.name(),
        "pattern": policy.pattern().as_str(),
        "apply-to": policy.apply_to().name(),
        "definition": table(policy.definition()).json,
        "priority": policy.priority(),
    })
}
