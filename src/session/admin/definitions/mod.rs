//! Definitions: all that is configured of a broker, or of one vhost, in one JSON document of RabbitMQ's form.
//!
//! <https://www.rabbitmq.com/docs/definitions>

mod check;
mod document;
mod export;
mod import;
mod skipped;
#[cfg(test)]
mod tests;

pub use self::document::{Definitions, InvalidDefinitions};
pub use self::import::{ImportError, Imported};
