//! Why the broker refused a request: RabbitMQ's reply codes and texts, to the letter, because
//! clients compare them.

use amqp_codec::{FieldValue, ReplyCode, ShortString};

use super::policy::QueueKind;

/// A vhost's exchange or queue, as error texts name it: `queue 'q' in vhost '/'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Exchange or queue.
    pub kind: ResourceKind,
    /// Its name.
    pub name: ShortString,
    /// Where it lives.
    pub vhost: ShortString,
}

/// The kinds of named things in a vhost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}

impl std::fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exchange => "exchange",
            Self::Queue => "queue",
        })
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

/// Why the broker refused a request. Every variant maps to one AMQP reply code.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// There is no such exchange or queue.
    #[error("no {0}")]
    NotFound(Resource),
    /// There is no such vhost, or no longer.
    #[error("vhost {0} not found")]
    VHostNotFound(ShortString),
    /// No more queues in this vhost.
    #[error("cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached")]
    QueueLimit {
        /// The queue that would be too many.
        name: ShortString,
        /// The vhost.
        vhost: ShortString,
        /// How many it may have.
        limit: u64,
    },
    /// No more queues in any vhost.
    #[error("cannot declare queue '{name}': queue limit in cluster ({limit}) is reached")]
    ClusterQueueLimit {
        /// The queue that would be too many.
        name: ShortString,
        /// How many there may be.
        limit: usize,
    },
    /// No more exchanges in any vhost.
    #[error("cannot declare {exchange}: exchange limit of {limit} is reached")]
    ExchangeLimit {
        /// The exchange that would be too many.
        exchange: Resource,
        /// How many there may be.
        limit: usize,
    },
    /// A name of the broker's own.
    #[error("{kind} name '{name}' contains reserved prefix 'amq.*'")]
    ReservedName {
        /// What was to be declared.
        kind: ResourceKind,
        /// As what.
        name: ShortString,
    },
    /// The default exchange can't be declared, deleted or bound.
    #[error("operation not permitted on the default exchange")]
    DefaultExchange,
    /// The predeclared exchanges stay.
    #[error("deletion of system {0} not allowed")]
    SystemExchange(Resource),
    /// Only other exchanges may feed an internal one.
    #[error("cannot publish to internal {0}")]
    InternalExchange(Resource),
    /// A consumer has it for itself, or wants to.
    #[error("{0} in exclusive use")]
    ExclusiveUse(Resource),
    /// It belongs to another connection.
    #[error(
        "cannot obtain exclusive access to locked {0}. It could be originally declared on another \
         connection or the exclusive property value does not match that of the original declaration."
    )]
    Locked(Resource),
    /// It exists with another property.
    #[error(
        "inequivalent arg '{arg}' for {resource}: received {received} but current is {current}"
    )]
    Inequivalent {
        /// What exists.
        resource: Resource,
        /// The property or argument that differs.
        arg: String,
        /// What the declaration says.
        received: String,
        /// What is there.
        current: String,
    },
    /// `if-unused`, and it is used.
    #[error("{0} in use")]
    InUse(Resource),
    /// `if-empty`, and it is not.
    #[error("{0} not empty")]
    NotEmpty(Resource),
    /// No exchange type of that name.
    #[error("unknown exchange type '{0}'")]
    UnknownExchangeType(ShortString),
    /// No exchange type at all.
    #[error("invalid exchange type ''")]
    EmptyExchangeType,
    /// An argument of the wrong type, where a name is expected.
    #[error("invalid type '{type_name}' for arg '{arg}' in {resource}")]
    InvalidArgType {
        /// RabbitMQ's name of the AMQP type received.
        type_name: &'static str,
        /// The argument.
        arg: &'static str,
        /// What was to be declared.
        resource: Resource,
    },
    /// An argument out of its range or of the wrong type.
    #[error("invalid arg '{arg}' for {resource}: {reason}")]
    InvalidArg {
        /// The argument.
        arg: &'static str,
        /// What was to be declared.
        resource: Resource,
        /// RabbitMQ's words for what is wrong.
        reason: String,
    },
    /// An argument that queues of this type don't have.
    #[error("invalid arg '{arg}' for {resource} of queue type {}", module_name(*kind))]
    ArgOfOtherType {
        /// The argument.
        arg: &'static str,
        /// What was to be declared.
        resource: Resource,
        /// Its type.
        kind: QueueKind,
    },
    /// A property that queues of this type can't have.
    #[error("invalid property '{property}' for {resource}")]
    InvalidProperty {
        /// RabbitMQ's name of the property.
        property: &'static str,
        /// What was to be declared.
        resource: Resource,
    },
    /// One consumer has a quorum queue to itself.
    #[error(
        "cannot obtain access to locked {0}. basic.get operations are not supported by quorum queues \
         with single active consumer"
    )]
    GetFromSingleActive(Resource),
    /// The broker makes up names for classic queues only.
    #[error("Cannot declare a server-named queue for type {}", module_name(*.0))]
    ServerNamed(QueueKind),
    /// Binding arguments that a headers exchange can't take.
    #[error(transparent)]
    Headers(#[from] super::exchange::InvalidXMatch),
    /// Arguments that an exchange of this type can't take.
    #[error(transparent)]
    InvalidExchange(#[from] super::exchange::InvalidArgument),
    /// A binding that an exchange of this type can't take.
    #[error(transparent)]
    InvalidBinding(#[from] super::exchange::InvalidBinding),
}

impl BrokerError {
    /// The AMQP reply code; its severity says whether the channel or the connection closes.
    pub fn reply_code(&self) -> ReplyCode {
        match self {
            Self::NotFound(_) => ReplyCode::NotFound,
            Self::VHostNotFound(_) => ReplyCode::NotAllowed,
            Self::ReservedName { .. }
            | Self::DefaultExchange
            | Self::SystemExchange(_)
            | Self::InternalExchange(_)
            | Self::ExclusiveUse(_) => ReplyCode::AccessRefused,
            Self::Locked(_) | Self::GetFromSingleActive(_) => ReplyCode::ResourceLocked,
            Self::Inequivalent { .. }
            | Self::InUse(_)
            | Self::NotEmpty(_)
            | Self::QueueLimit { .. }
            | Self::ClusterQueueLimit { .. }
            | Self::ExchangeLimit { .. }
            | Self::InvalidArgType { .. }
            | Self::InvalidArg { .. }
            | Self::ArgOfOtherType { .. }
            | Self::InvalidProperty { .. }
            | Self::ServerNamed(_)
            | Self::Headers(_)
            | Self::InvalidExchange(_)
            | Self::InvalidBinding(_) => ReplyCode::PreconditionFailed,
            Self::UnknownExchangeType(_) | Self::EmptyExchangeType => ReplyCode::CommandInvalid,
        }
    }
}

/// What RabbitMQ's texts call a queue type.
fn module_name(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Classic => "rabbit_classic_queue",
        QueueKind::Quorum => "rabbit_quorum_queue",
        QueueKind::Stream => "rabbit_stream_queue",
    }
}

/// Compares one property of a declaration with what exists.
///
/// # Errors
/// [`BrokerError::Inequivalent`] where they differ.
pub(super) fn assert_equal<T: PartialEq + std::fmt::Display>(
    resource: &Resource,
    arg: &str,
    received: &T,
    current: &T,
) -> Result<(), BrokerError> {
    if received == current {
        return Ok(());
    }
    Err(BrokerError::Inequivalent {
        resource: resource.clone(),
        arg: arg.to_owned(),
        received: format!("'{received}'"),
        current: format!("'{current}'"),
    })
}

/// Compares one argument of a declaration with what exists; integers of different widths are equal.
///
/// # Errors
/// [`BrokerError::Inequivalent`] where they differ.
pub(super) fn assert_equal_arg(
    resource: &Resource,
    arg: &str,
    received: Option<&FieldValue>,
    current: Option<&FieldValue>,
) -> Result<(), BrokerError> {
    let described = |value: Option<&FieldValue>| match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", show(value), value.type_name()),
    };
    let (received, current) = match (received, current) {
        (None, None) => return Ok(()),
        (Some(a), Some(b)) if equal_values(a, b) => return Ok(()),
        (Some(a), Some(b)) => (format!("'{}'", show(a)), format!("'{}'", show(b))),
        (a, b) => (described(a), described(b)),
    };
    Err(BrokerError::Inequivalent {
        resource: resource.clone(),
        arg: arg.to_owned(),
        received,
        current,
    })
}

fn equal_values(a: &FieldValue, b: &FieldValue) -> bool {
    match (a.as_integer(), b.as_integer()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A value as error texts show it.
fn show(value: &FieldValue) -> String {
    match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        FieldValue::Bool(value) => value.to_string(),
        other => other.as_integer().map_or_else(|| format!("{other:?}"), |value| value.to_string()),
    }
}
