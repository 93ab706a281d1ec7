//! The domain: exchanges, bindings, queues, messages. No I/O, no async, no clock of its own.

pub mod binding;
pub mod credit;
pub mod effect;
pub mod effective;
pub mod error;
pub mod exchange;
pub mod memory;
pub mod message;
pub mod policy;
pub mod queue;
mod queue_arguments;
pub mod queue_cell;
pub mod routing;
pub mod topology;
pub mod vhost;
