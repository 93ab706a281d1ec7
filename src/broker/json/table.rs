//! A table's JSON, and that of a name.

use amqp_codec::{FieldTable, FieldValue, ShortString};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde_json::{Map, Number, Value, json};

use super::Shown;

/// A table as an object. Of entries with the same name the last one is shown.
pub fn table(table: &FieldTable) -> Shown {
    let mut is_exact = true;
    let json = object(table, &mut is_exact);
    Shown { json, is_exact }
}

/// A table's AMQP encoding in base64: all that [`table`] may have lost.
pub fn table_bytes(table: &FieldTable) -> String {
    let mut bytes = BytesMut::new();
    table.encode(&mut bytes);
    STANDARD.encode(bytes)
}

/// A name as text, or as `{"base64": ...}` if it is none.
pub fn name(octets: &[u8]) -> Value {
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(octets) }),
    }
}

/// What a text of the properties, or of a table, is shown as.
pub(super) fn text(octets: &[u8], is_exact: &mut bool) -> Value {
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => {
            *is_exact = false;
            // RabbitMQ's words.
            format!("Not UTF-8, base64 is: {}", STANDARD.encode(octets)).into()
        }
    }
}

fn object(table: &FieldTable, is_exact: &mut bool) -> Value {
    let mut object = Map::new();
    for (name, field) in table {
        let shown = value(field, is_exact);
        let name = match name.to_str() {
            Some(name) => name.to_owned(),
            None => lossy(name, is_exact),
        };
        if object.insert(name, shown).is_some() {
            *is_exact = false;
        }
    }
    object.into()
}

fn lossy(name: &ShortString, is_exact: &mut bool) -> String {
    *is_exact = false;
    name.to_str_lossy().into_owned()
}

fn value(field: &FieldValue, is_exact: &mut bool) -> Value {
    match field {
        FieldValue::LongString(octets) => text(octets, is_exact),
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::I64(value) => (*value).into(),
        FieldValue::Void => Value::Null,
        FieldValue::F64(value) => float(*value, is_exact),
        FieldValue::Table(table) => object(table, is_exact),
        FieldValue::Array(values) => {
            values.iter().map(|field| value(field, is_exact)).collect::<Vec<_>>().into()
        }
        other => {
            // Its type does not come back.
            *is_exact = false;
            match other {
                FieldValue::ByteArray(octets) => text(octets, is_exact),
                FieldValue::Timestamp(seconds) => (*seconds).into(),
                FieldValue::F32(value) => float(f64::from(*value), is_exact),
                FieldValue::Decimal { scale, value } => {
                    float(f64::from(*value) / 10_f64.powi(i32::from(*scale)), is_exact)
                }
                integer => integer.as_integer().into(),
            }
        }
    }
}

/// JSON has no infinities. A whole number would come back as an integer, but is written with its point.
fn float(value: f64, is_exact: &mut bool) -> Value {
    Number::from_f64(value).map_or_else(
        || {
            *is_exact = false;
            value.to_string().into()
        },
        Value::Number,
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(entries: &[(&'static str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::new();
        for (name, value) in entries {
            table.push(ShortString::from_static(name), value.clone());
        }
        table
    }

    #[test]
    fn what_comes_back_the_same_is_exact() {
        let nested = of(&[("deep", FieldValue::Void)]);
        let shown = table(&of(&[
            ("text", "t".into()),
            ("integer", FieldValue::I64(-7)),
            ("float", FieldValue::F64(2.0)),
            ("truth", FieldValue::Bool(true)),
            ("list", FieldValue::Array(vec!["a".into(), FieldValue::I64(1)])),
            ("table", nested.into()),
        ]));
        assert!(shown.is_exact);
        let expected = json!({
            "text": "t", "integer": -7, "float": 2.0, "truth": true, "list": ["a", 1],
            "table": { "deep": null }
        });
        assert_eq!(shown.json, expected);
    }

    #[test]
    fn what_does_not_is_shown_and_not_exact() {
        for (value, expected) in [
            (FieldValue::I32(7), json!(7)),
            (FieldValue::U8(7), json!(7)),
            (FieldValue::Timestamp(u64::MAX), json!(u64::MAX)),
            (FieldValue::Decimal { scale: 2, value: 150 }, json!(1.5)),
            (FieldValue::F64(f64::INFINITY), json!("inf")),
            (FieldValue::LongString(Bytes::from_static(b"\xFF")), {
                json!("Not UTF-8, base64 is: /w==")
            }),
            (FieldValue::Array(vec![FieldValue::I16(1)]), json!([1])),
        ] {
            let shown = table(&of(&[("key", value)]));
            assert_eq!(shown, Shown { json: json!({ "key": expected }), is_exact: false });
        }
        let twice = table(&of(&[("key", "a".into()), ("key", "b".into())]));
        assert_eq!(twice, Shown { json: json!({ "key": "b" }), is_exact: false });
    }

    #[test]
    fn a_name_that_is_no_text_is_base64() {
        assert_eq!(name(b"orders"), json!("orders"));
        assert_eq!(name(b"\xFF"), json!({ "base64": "/w==" }));
    }
}
