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

mod declared;
pub mod direct;
pub mod fanout;
pub mod headers;
mod target_set;
pub mod topic;

pub use declared::{Exchange, ExchangeKind, ExchangeProperties};
pub use direct::DirectMatcher;
pub use fanout::FanoutMatcher;
pub use headers::{HeadersMatcher, InvalidXMatch, XMatch};
pub use topic::TopicMatcher;

use std::hash::Hash;

/// What a binding leads to: a small id that the owner of a matcher can turn back into a binding.
pub trait Target: Copy + Eq + Hash {}

impl<T: Copy + Eq + Hash> Target for T {}
