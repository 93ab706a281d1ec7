//! Tables and properties as JSON, the way RabbitMQ's management shows them.
//!
//! JSON has fewer types than AMQP and no octets that are not text. So each form tells whether it is
//! exact: whether RabbitMQ's way back ([`FieldValue`](amqp_codec::FieldValue)s from JSON: text, 64-bit
//! integers, doubles, booleans, arrays, tables) gives the same again. Where it is not, whoever needs all
//! of it puts the AMQP encoding beside it.

mod field;
mod properties;
mod table;

pub use self::field::{NotATable, from_json};
pub use self::properties::properties;
pub use self::table::{name, table, table_bytes};

use serde_json::Value;

/// Something as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The JSON.
    pub json: Value,
    /// Nothing was lost on the way.
    pub is_exact: bool,
}
