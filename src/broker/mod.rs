//! The domain: exchanges, queues, messages. No I/O, no async, no clock of its own.

pub mod exchange;
