//! How far a client has come, for whoever decides when it is the turn of others.

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Requests that it made.
    pub requests: u64,
    /// Deliveries to consumers that its publishes led to at once.
    pub deliveries: u64,
    /// Consumers that had a part in the last batch of them.
    pub receivers: u64,
}
