//! The domain: exchanges, bindings, queues, messages. No I/O, no async, no clock of its own.

pub mod binding;
pub mod credit;
pub mod dead_letter;
pub mod deduplication;
pub mod definition;
pub mod effect;
pub mod effective;
pub mod error;
pub mod exchange;
pub mod json;
pub mod memory;
pub mod message;
mod message_header;
pub mod persist;
pub mod policy;
pub mod queue;
mod queue_arguments;
pub mod queue_cell;
pub mod queue_settings;
pub mod replay;
pub mod routing;
mod stored_key;
pub mod time;
pub mod topology;
pub mod traffic;
pub mod value_bytes;
pub mod vhost;
