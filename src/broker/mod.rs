//! The domain: exchanges, bindings, queues, messages. No I/O, no async, no clock of its own.

pub mod binding;
pub mod credit;
pub mod deduplication;
pub mod effect;
pub mod error;
pub mod exchange;
pub mod memory;
pub mod message;
pub mod queue;
mod queue_arguments;
pub mod queue_cell;
pub mod replay;
pub mod routing;
pub mod topology;
pub mod value_bytes;
pub mod vhost;
