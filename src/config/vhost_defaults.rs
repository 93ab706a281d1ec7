//! What new vhosts begin with: limits, users and operator policies.

use std::collections::BTreeMap;

use super::Secret;

/// What a vhost is limited to from its first moment, where its name matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultVHostLimits {
    /// A regular expression that the name has to match somewhere.
    pub pattern: String,
    /// Connections that are open to it at a time; negative: no limit.
    pub max_connections: Option<i64>,
    /// Queues; negative: no limit.
    pub max_queues: Option<i64>,
}

/// A user for whom new vhosts are open from their first moment, where their names match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultVHostUser {
    /// A regular expression that the vhost's name has to match somewhere.
    pub vhost_pattern: String,
    /// The password of a user who was not there before; none: that user can't log in with one.
    pub password: Option<Secret>,
    /// The tags of a user who was not there before.
    pub tags: Vec<String>,
    /// What the user may configure in the vhost, as a regular expression.
    pub configure: String,
    /// What the user may write to.
    pub write: String,
    /// What the user may read from.
    pub read: String,
}

impl Default for DefaultVHostUser {
    fn default() -> Self {
        let all = || ".*".to_owned();
        let (configure, write, read) = (all(), all(), all());
        let (vhost_pattern, password, tags) = (String::new(), None, Vec::new());
        Self { vhost_pattern, password, tags, configure, write, read }
    }
}

/// An operator policy that new vhosts have from their first moment, where their names match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultOperatorPolicy {
    /// A regular expression that the vhost's name has to match somewhere.
    pub vhost_pattern: String,
    /// A regular expression that queues' names have to match somewhere.
    pub queue_pattern: String,
    /// What the policy is for, in RabbitMQ's words; empty: everything.
    pub apply_to: String,
    /// What it limits, by the names that policies have for it.
    pub definition: BTreeMap<String, i64>,
}
