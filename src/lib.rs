//! leveret: a message broker that speaks AMQP 0-9-1.

pub mod broker;
pub mod cli;
pub mod config;
