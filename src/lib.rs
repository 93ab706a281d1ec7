//! leveret: a message broker that speaks AMQP 0-9-1 and RabbitMQ's extensions.
//!
//! The modules stand in layers: each imports only from those above it in this list.

pub mod config;

pub mod sparse;

pub mod name;

pub mod pattern;

pub mod protocol;

pub mod broker;

pub mod auth;

pub mod store;

pub mod tls;

pub mod session;

pub mod net;

pub mod http;

mod embed;

pub mod perf;

pub mod cli;

pub use amqp_codec::{FieldTable, FieldValue};

pub use self::broker::effect::Position;
pub use self::broker::policy::{ApplyTo, EffectiveDefinition, Policy, PolicyError};
pub use self::broker::queue::{QueueCounts, ScheduledMessage, Totals};
pub use self::embed::{Broker, BrokerBuilder, StartError};

/// The README's Rust snippets, so that they go on compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
