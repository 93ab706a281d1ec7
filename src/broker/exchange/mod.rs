//! Routing matchers: which bindings of an exchange does a message match?
//!
//! One matcher per exchange type, one file each. A matcher knows binding keys (or arguments) and
//! opaque targets; what a target stands for (a binding, a queue, another exchange) is its owner's
//! business, and so is visiting a queue once that is bound twice: a matcher reports a target once
//! for every *binding* that matches.
//!
//! `matches` takes `&self` and no lock, so any number of readers may route through one matcher.
//!
//! Semantics: <https://www.rabbitmq.com/tutorials/amqp-concepts#exchanges>.

pub mod consistent_hash;
mod declared;
mod delayed_message;
pub mod direct;
pub mod fanout;
mod hash_on;
pub mod headers;
mod invalid;
mod kind;
mod local_random;
mod matcher;
mod message_deduplication;
pub mod modulus_hash;
pub mod random;
mod recent_history;
mod stable_hash;
mod target_set;
pub mod topic;

pub use consistent_hash::ConsistentHashMatcher;
pub use declared::{Exchange, ExchangeProperties};
pub use direct::DirectMatcher;
pub use fanout::FanoutMatcher;
pub use headers::{HeadersMatcher, InvalidXMatch, XMatch};
pub use invalid::{InvalidArgument, InvalidBinding};
pub use kind::ExchangeKind;
pub use message_deduplication::DeduplicationMatcher;
pub use modulus_hash::ModulusHashMatcher;
pub use random::RandomMatcher;
pub use recent_history::{History, HistoryMemory, Recorded};
pub use topic::TopicMatcher;

use std::hash::Hash;

/// What a binding leads to: a small id that the owner of a matcher can turn back into a binding.
pub trait Target: Copy + Eq + Hash {}

impl<T: Copy + Eq + Hash> Target for T {}

/// What an exchange made of a message, beside the bindings it matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The bindings it matched are where it goes.
    Matched,
    /// It was seen before: it goes nowhere, and nobody takes over.
    Duplicate,
}

#[cfg(test)]
pub(super) mod tests;
