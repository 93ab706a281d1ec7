//! Values as RabbitMQ's refusals show them: as Erlang terms.

use std::fmt::Write;

use amqp_codec::{FieldTable, FieldValue};

/// A value, written as Erlang writes it, but on one line.
pub(super) fn term(value: &FieldValue) -> String {
    let mut out = String::new();
    put(&mut out, value);
    out
}

/// A table as a list of pairs: `[{<<"key">>,1}]`.
pub(super) fn pairs(table: &FieldTable) -> String {
    let mut out = String::from("[");
    for (index, (name, value)) in table.iter().enumerate() {
        out.push_str(if index == 0 { "{" } else { ",{" });
        put_binary(&mut out, name.as_bytes());
        out.push(',');
        put(&mut out, value);
        out.push('}');
    }
    out.push(']');
    out
}

fn put(out: &mut String, value: &FieldValue) {
    // Writing to a string does not fail.
    let _ = match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => {
            put_binary(out, bytes);
            Ok(())
        }
        FieldValue::Bool(value) => write!(out, "{value}"),
        FieldValue::F32(value) => write!(out, "{value:?}"),
        FieldValue::F64(value) => write!(out, "{value:?}"),
        FieldValue::Timestamp(seconds) => write!(out, "{seconds}"),
        FieldValue::Decimal { scale, value } => write!(out, "{{{scale},{value}}}"),
        FieldValue::Void => write!(out, "null"),
        FieldValue::Array(values) => put_list(out, values),
        FieldValue::Table(table) => put_map(out, table),
        integer => write!(out, "{}", integer.as_integer().unwrap_or_default()),
    };
}

fn put_list(out: &mut String, values: &[FieldValue]) -> std::fmt::Result {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        put(out, value);
    }
    out.write_char(']')
}

fn put_map(out: &mut String, table: &FieldTable) -> std::fmt::Result {
    out.push_str("#{");
    for (index, (name, value)) in table.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        put_binary(out, name.as_bytes());
        out.push_str(" => ");
        put(out, value);
    }
    out.write_char('}')
}

/// Text as text, and octets that are none as numbers.
fn put_binary(out: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok("") => out.push_str("<<>>"),
        Ok(text) if !text.contains('\0') => {
            let _ = write!(
                out,
                "<<\"{}\">>",
                text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
            );
        }
        _ => {
            let octets: Vec<String> = bytes.iter().map(ToString::to_string).collect();
            let _ = write!(out, "<<{}>>", octets.join(","));
        }
    }
}
