//! The JSON that requests bring.

use amqp_codec::{FieldTable, ShortString};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::broker::json::from_json;

/// A JSON object.
#[derive(Debug, Default)]
pub(super) struct Body(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        Self::read(&bytes)
    }
}

/// Why a body was not read to its end.
pub(super) fn unread(rejection: BytesRejection) -> Problem {
    let text = rejection.body_text();
    match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        status => Problem::of(status, "bad_request", text),
    }
}

impl Body {
    /// Reads it; nothing at all is an empty one.
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            _ => Err(Problem::bad_request("not_json")),
        }
    }

    /// All that it says.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// # Errors
    /// 400, where one of these is not in it.
    pub(super) fn must_have(&self, keys: &[&str]) -> Result<(), Problem> {
        let missing = keys.iter().filter(|key| !self.0.contains_key(**key));
        let missing: Vec<String> = missing.map(|key| format!("{{key_missing,{key}}}")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_request(format!("[{}]", missing.join(","))))
    }

    /// What it says of a key; `null` is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Its `value`, which must be there.
    pub(super) fn value(&self) -> Result<Value, Problem> {
        self.must_have(&["value"])?;
        Ok(self.get("value").cloned().unwrap_or_default())
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

    /// A name or a routing key; the empty one where it says nothing.
    pub(super) fn short_text(&self, key: &str) -> Result<ShortString, Problem> {
        let text = self.text(key)?.unwrap_or_default();
        ShortString::new(text)
            .map_err(|_| Problem::bad_request(format!("{key} is longer than 255 bytes")))
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
