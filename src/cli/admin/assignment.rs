//! `NAME=VALUE` on the command line, and objects in JSON.

use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value};

/// `NAME=VALUE`. The value is JSON, or text if it is none: `x-max-length=10` is a number.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Assignment {
    pub(super) name: String,
    pub(super) value: Value,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok(Self { name: name.to_owned(), value })
    }
}

/// An object in JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl FromStr for JsonObject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| format!("it is no JSON object: {error}"))
    }
}

/// The arguments of something that is declared.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Arguments {
    /// An argument such as x-max-length=1000; the value is JSON, or text if it is none; may be repeated
    #[arg(long = "argument", short = 'a', value_name = "NAME=VALUE")]
    single: Vec<Assignment>,

    /// All arguments as one JSON object
    #[arg(long = "arguments", value_name = "JSON")]
    all: Option<JsonObject>,
}

impl Arguments {
    /// All of them; single ones win.
    pub(super) fn into_object(self) -> Map<String, Value> {
        let mut object = self.all.unwrap_or_default().0;
        object.extend(self.single.into_iter().map(|one| (one.name, one.value)));
        object
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_or_text() {
        for (text, name, value) in [
            ("x-max-length=10", "x-max-length", json!(10)),
            ("x-queue-type=quorum", "x-queue-type", json!("quorum")),
            ("a=\"10\"", "a", json!("10")),
            ("a=b=c", "a", json!("b=c")),
            ("a=", "a", json!("")),
        ] {
            assert_eq!(text.parse(), Ok(Assignment { name: name.to_owned(), value }), "{text}");
        }
        assert!("a".parse::<Assignment>().is_err());
        assert!("[1]".parse::<JsonObject>().is_err());
    }
}
