//! The JSON that requests bring.

use amqp_codec::FieldTable;
use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::broker::json::from_json;

/// A JSON object.
#[derive(Debug, Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads it; nothing at all is an empty one.
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Problem> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            _ => Err(Problem::bad_request("not_json")),
        }
    }

    /// Reads it where these must be in it.
    pub(super) fn with(bytes: &Bytes, keys: &[&str]) -> Result<Self, Problem> {
        let body = Self::read(bytes)?;
        let missing: Vec<String> = keys
            .iter()
            .filter(|key| !body.0.contains_key(**key))
            .map(|key| format!("{{key_missing,{key}}}"))
            .collect();
        if missing.is_empty() {
            return Ok(body);
        }
        Err(Problem::bad_request(format!("[{}]", missing.join(","))))
    }

    /// What it says of a key; `null` is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A truth, or a text that says so; `false` where it says nothing.
    pub(super) fn truth(&self, key: &str) -> Result<bool, Problem> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" || text == "undefined" => Ok(false),
            Some(other) => Err(Problem::bad_request(json!(["not_boolean", other]))),
        }
    }

    /// A text; a number is one, too.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(Problem::bad_request(json!(["not_string", other]))),
        }
    }

    /// A whole number, or a text of one.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Problem> {
        let not_integer = || Problem::bad_request(json!(["not_int", key]));
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| not_integer()),
            Some(value) => value.as_i64().map(Some).ok_or_else(not_integer),
        }
    }

    /// A table of arguments; none where it says nothing. An empty list is none as well: that is how some
    /// clients write an empty table.
    pub(super) fn table(&self, key: &str) -> Result<FieldTable, Problem> {
        match self.get(key) {
            None => Ok(FieldTable::default()),
            Some(Value::Object(object)) => {
                from_json(object).map_err(|error| Problem::bad_request(error.to_string()))
            }
            Some(Value::Array(items)) if items.is_empty() => Ok(FieldTable::default()),
            Some(Value::String(text)) if text.is_empty() => Ok(FieldTable::default()),
            Some(other) => Err(Problem::bad_request(json!([format!("{key}_not_object"), other]))),
        }
    }
}
