//! The types of exchanges, by the names that `exchange.declare` gives them.

use amqp_codec::ShortString;

use crate::broker::error::BrokerError;

/// The routing rules that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// The routing key equals the binding key.
    Direct,
    /// Every binding.
    Fanout,
    /// The routing key matches a pattern of words.
    Topic,
    /// The message's headers match the binding's arguments.
    Headers,
    /// One binding, the same for equal keys, in proportion to the bindings' weights.
    ConsistentHash,
    /// One binding, by the key's hash modulo their number.
    ModulusHash,
    /// One binding at random.
    Random,
    /// One queue of this node at random.
    LocalRandom,
    /// Every binding; new bindings get the last messages.
    RecentHistory,
    /// As another type; the message's delay counts.
    DelayedMessage,
    /// Every binding, unless the message was seen before.
    MessageDeduplication,
}

impl ExchangeKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::RecentHistory,
        Self::DelayedMessage,
        Self::MessageDeduplication,
    ];

    /// The type that `exchange.declare` names.
    ///
    /// # Errors
    /// 503, for a name that is none of them.
    pub fn parse(name: &ShortString) -> Result<Self, BrokerError> {
        if name.is_empty() {
            return Err(BrokerError::EmptyExchangeType);
        }
        let known = Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name.as_bytes());
        known.ok_or_else(|| BrokerError::UnknownExchangeType(name.clone()))
    }

    /// Its name in `exchange.declare`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::RecentHistory => "x-recent-history",
            Self::DelayedMessage => "x-delayed-message",
            Self::MessageDeduplication => "x-message-deduplication",
        }
    }
}

/// As RabbitMQ's error texts show it: a name with a hyphen stands in quotes of its own.
impl std::fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            name if name.contains('-') => write!(f, "'{name}'"),
            name => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in ExchangeKind::ALL {
            assert_eq!(ExchangeKind::parse(&ShortString::from_static(kind.name())), Ok(kind));
        }
        let empty = ExchangeKind::parse(&ShortString::from_static(""));
        assert_eq!(empty, Err(BrokerError::EmptyExchangeType));
        let unknown = ShortString::from_static("x-nosuch");
        let error = BrokerError::UnknownExchangeType(unknown.clone());
        assert_eq!(ExchangeKind::parse(&unknown), Err(error));
    }
}
