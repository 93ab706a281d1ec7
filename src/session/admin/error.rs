//! Why an administrator is refused.

use crate::auth::{InvalidHash, InvalidPermission, UnknownUser};
use crate::broker::error::BrokerError;
use crate::broker::parameter::ParameterError;
use crate::broker::policy::PolicyError;

/// Why an administrator is refused, in RabbitMQ's words where it has them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no such user.
    #[error(transparent)]
    UnknownUser(#[from] UnknownUser),
    /// There is no such vhost.
    #[error("Virtual host '{0}' does not exist")]
    UnknownVHost(String),
    /// A name is longer than AMQP allows.
    #[error("'{0}' is longer than 255 bytes")]
    NameTooLong(String),
    /// A name is missing.
    #[error("the name is empty")]
    EmptyName,
    /// A pattern is no regular expression.
    #[error(transparent)]
    InvalidPermission(#[from] InvalidPermission),
    /// A hash is none.
    #[error(transparent)]
    InvalidHash(#[from] InvalidHash),
    /// A parameter is refused.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// An exchange, queue or binding is refused.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// No more vhosts.
    #[error("cannot create vhost '{name}': vhost limit of {limit} is reached")]
    VHostLimit {
        /// The vhost that would be too many.
        name: String,
        /// How many there may be.
        limit: usize,
    },
    /// A vhost is not to be deleted.
    #[error("Cannot delete virtual host '{0}' because it is protected from deletion")]
    ProtectedVHost(String),
}
