//! Tables from JSON, in RabbitMQ's way.

use amqp_codec::{DecodeError, FieldTable, FieldValue, ShortString};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

/// Why JSON is no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATable {
    /// A key is longer than AMQP allows.
    #[error("a key is longer than 255 bytes: '{0}'")]
    KeyTooLong(String),
    /// A number is larger than AMQP's integers.
    #[error("a number is out of range: {0}")]
    NumberOutOfRange(String),
    /// It is nested deeper, or has more values, than a client's may be: it could not be read again.
    #[error(transparent)]
    TooLarge(#[from] DecodeError),
}

/// A table with the entries of an object: texts, 64-bit integers, doubles, booleans, arrays, tables.
///
/// # Errors
/// [`NotATable`], for the first entry that AMQP has no place for.
pub fn from_json(object: &Map<String, Value>) -> Result<FieldTable, NotATable> {
    let table = entries(object)?;
    let mut bytes = BytesMut::new();
    table.encode(&mut bytes);
    let (_, encoded) = bytes.split_at(size_of::<u32>());
    FieldTable::decode_entries(encoded)?;
    Ok(table)
}

fn entries(object: &Map<String, Value>) -> Result<FieldTable, NotATable> {
    let entries = object.iter().map(|(key, value)| {
        let name = ShortString::new(key).map_err(|_| NotATable::KeyTooLong(key.clone()))?;
        Ok((name, field(value)?))
    });
    entries.collect()
}

fn field(value: &Value) -> Result<FieldValue, NotATable> {
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::String(text) => FieldValue::LongString(Bytes::copy_from_slice(text.as_bytes())),
        Value::Array(values) => {
            FieldValue::Array(values.iter().map(field).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => FieldValue::Table(entries(object)?),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => FieldValue::I64(integer),
            (None, Some(float)) if number.is_f64() => FieldValue::F64(float),
            _ => return Err(NotATable::NumberOutOfRange(number.to_string())),
        },
    })
}

#[cfg(test)]
mod tests {
    use amqp_codec::NESTING_MAX;
    use serde_json::json;

    use super::*;
    use crate::broker::json::table;

    #[test]
    fn what_json_has_comes_back_exactly() {
        let json = json!({
            "text": "t", "integer": -7, "large": i64::MAX, "float": 2.5, "whole": 2.0, "truth": true,
            "nothing": null, "list": ["a", 1, []], "table": { "deep": {} }
        });
        let read = from_json(json.as_object().unwrap()).unwrap();
        let shown = table(&read);
        assert!(shown.is_exact);
        assert_eq!(shown.json, json);
    }

    #[test]
    fn what_amqp_lacks_is_refused() {
        let of = |json: Value| from_json(json.as_object().unwrap());
        let key = "k".repeat(256);
        assert_eq!(of(json!({ key.as_str(): 1 })), Err(NotATable::KeyTooLong(key)));
        let number = "18446744073709551615".to_owned();
        let nested = of(json!({ "a": [u64::MAX] }));
        assert_eq!(nested, Err(NotATable::NumberOutOfRange(number)));
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }));
        let of = |json: Value| from_json(json.as_object().unwrap());
        assert!(of(nested(NESTING_MAX)).is_ok());
        let refused = of(nested(NESTING_MAX + 2)).unwrap_err().to_string();
        assert_eq!(refused, "tables and arrays nested deeper than 64 levels");
    }
}
