//! The way back: a table from JSON, as RabbitMQ's management reads one.

use amqp_codec::{FieldTable, FieldValue, ShortString, TooLong};
use bytes::Bytes;
use serde_json::{Map, Value};

/// A table from an object.
///
/// # Errors
/// [`TooLong`], for a name that is too long for AMQP.
pub fn table_from(object: &Map<String, Value>) -> Result<FieldTable, TooLong> {
    object.iter().map(|(name, value)| Ok((ShortString::new(name)?, value_from(value)?))).collect()
}

/// A value: a text, a 64-bit integer, a double, a truth, nothing, a list or a table.
///
/// # Errors
/// As [`table_from`].
pub fn value_from(value: &Value) -> Result<FieldValue, TooLong> {
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::String(text) => FieldValue::LongString(Bytes::copy_from_slice(text.as_bytes())),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => FieldValue::I64(integer),
            None => FieldValue::F64(number.as_f64().unwrap_or(f64::INFINITY)),
        },
        Value::Array(values) => {
            FieldValue::Array(values.iter().map(value_from).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => FieldValue::Table(table_from(object)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table;
    use super::*;

    #[test]
    fn what_is_shown_exactly_comes_back() {
        let shown = json!({
            "text": "t", "integer": -7, "float": 2.5, "truth": true, "list": ["a", 1],
            "table": { "deep": null }
        });
        let Value::Object(object) = &shown else { unreachable!("it is written above") };
        assert_eq!(table(&table_from(object).unwrap()).json, shown);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let name = "n".repeat(256);
        let Value::Object(object) = json!({ name: 1 }) else { unreachable!("it is written here") };
        assert!(table_from(&object).is_err());
    }
}
