//! What new vhosts are limited to.

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
