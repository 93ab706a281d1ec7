//! What a policy is for.

use amqp_codec::{FieldTable, FieldValue};
use serde::{Deserialize, Serialize};

use super::error::PolicyError;

/// The types of queues that a policy tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// `x-queue-type: classic`, or none.
    Classic,
    /// `x-queue-type: quorum`.
    Quorum,
    /// `x-queue-type: stream`.
    Stream,
}

impl QueueKind {
    /// As `x-queue-type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// Reads such a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Classic, Self::Quorum, Self::Stream].into_iter().find(|kind| kind.name() == name)
    }

    /// The type that a queue's arguments ask for.
    pub fn of(arguments: &FieldTable) -> Self {
        match arguments.get("x-queue-type").and_then(FieldValue::as_str) {
            Some("quorum") => Self::Quorum,
            Some("stream") => Self::Stream,
            _ => Self::Classic,
        }
    }
}

/// What a policy is for: its `apply-to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of every type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

impl ApplyTo {
    /// Whether it is for queues of this type.
    pub fn covers_queue(self, kind: QueueKind) -> bool {
        match self {
            Self::All | Self::Queues => true,
            Self::Exchanges => false,
            Self::ClassicQueues => kind == QueueKind::Classic,
            Self::QuorumQueues => kind == QueueKind::Quorum,
            Self::Streams => kind == QueueKind::Stream,
        }
    }

    /// Whether it is for exchanges.
    pub fn covers_exchanges(self) -> bool {
        matches!(self, Self::All | Self::Exchanges)
    }

    /// What is named so in RabbitMQ's interfaces.
    ///
    /// # Errors
    /// [`PolicyError::UnknownApplyTo`].
    pub fn parse(name: &str) -> Result<Self, PolicyError> {
        let all = [
            Self::All,
            Self::Exchanges,
            Self::Queues,
            Self::ClassicQueues,
            Self::QuorumQueues,
            Self::Streams,
        ];
        let found = all.into_iter().find(|apply_to| apply_to.name() == name);
        found.ok_or_else(|| PolicyError::UnknownApplyTo(name.to_owned()))
    }

    /// Its name in RabbitMQ's interfaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }
}

impl std::fmt::Display for ApplyTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
