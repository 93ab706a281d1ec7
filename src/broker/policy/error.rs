//! Why a policy is refused: RabbitMQ's texts, which tools show to whoever sets one.

/// Why a policy is refused.
///
/// The text is what RabbitMQ's tools print below `Validation failed`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A definition that sets nothing.
    #[error("no policy provided")]
    NoDefinition,
    /// Keys that nothing here knows, or that an operator policy can't set: with their values, as a list.
    #[error("{0} are not recognised policy settings")]
    UnknownKeys(String),
    /// The same key twice.
    #[error("[<<\"{0}\">>] duplicate keys not allowed")]
    DuplicateKey(String),
    /// A value of the wrong type or out of its range: the whole text, which differs from key to key.
    #[error("{0}")]
    InvalidValue(String),
    /// Settings for mirrors without a mode.
    #[error(
        "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"
    )]
    NoHaMode,
    /// More than one way to name upstreams.
    #[error(
        "cannot specify federation-upstream, federation-upstream-set or \
         federation-upstream-pattern together"
    )]
    SeveralUpstreams,
    /// A pattern that is no regular expression, or too large a one: why.
    #[error("pattern should be regular expression but is invalid: {0}")]
    InvalidPattern(String),
    /// An `apply-to` that is none.
    #[error(
        "apply-to '{0}' unrecognised; should be one of: 'queues', 'classic_queues', \
         'quorum_queues', 'streams', 'exchanges', or 'all'"
    )]
    UnknownApplyTo(String),
    /// Policies belong to a vhost, and there is none of this name.
    #[error("Virtual host '{0}' does not exist")]
    VHostNotFound(String),
}
