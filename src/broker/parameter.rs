//! Runtime parameters: values that parts of a broker are configured by, while it runs.
//!
//! <https://www.rabbitmq.com/docs/parameters>

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A parameter of a vhost.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Whose it is: `vhost-limits`, `shovel`.
    pub component: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Parameter {
    /// The component of a vhost's limits, and the name of the only parameter it has.
    pub const VHOST_LIMITS: (&str, &str) = ("vhost-limits", "limits");

    /// Components of plugins. Their parameters are kept and not acted on.
    pub const OF_PLUGINS: [&str; 3] = ["shovel", "federation-upstream", "federation-upstream-set"];
}

/// A parameter of the whole broker.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Why a parameter is refused, in RabbitMQ's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Nobody is configured by such parameters.
    #[error("component {0} not found")]
    UnknownComponent(String),
    /// A limit that nobody knows.
    #[error("Unrecognised terms [{{<<\"{key}\">>,{value}}}] in {place}")]
    UnknownLimit {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
        /// Whose it was to be: `limits`, or `user-limits`.
        place: &'static str,
    },
    /// A limit that is no number.
    #[error("{key} should be a number, actually was {value}")]
    NotANumber {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// Something else is wrong with the value.
    #[error("{0}")]
    Invalid(String),
}

/// How much there may be in a vhost. Negative numbers are no limit, and are kept as they were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VHostLimits {
    /// Connections that are open to it at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queues: Option<i64>,
}

impl VHostLimits {
    /// The limit on connections, if there is one.
    pub fn connections(self) -> Option<u64> {
        self.max_connections.and_then(|limit| u64::try_from(limit).ok())
    }

    /// The limit on queues, if there is one.
    pub fn queues(self) -> Option<u64> {
        self.max_queues.and_then(|limit| u64::try_from(limit).ok())
    }

    /// Reads the value of the parameter `limits`.
    ///
    /// # Errors
    /// [`ParameterError`], for the first entry that is wrong.
    pub fn from_json(value: &Value) -> Result<Self, ParameterError> {
        let mut limits = Self::default();
        for (key, value) in limit_entries(value, "limits")? {
            match key {
                "max-connections" => limits.max_connections = Some(limit(key, value)?),
                "max-queues" => limits.max_queues = Some(limit(key, value)?),
                _ => return Err(unknown_limit(key, value, "limits")),
            }
        }
        Ok(limits)
    }

    /// The value of the parameter `limits`; `None` where there are none.
    pub fn to_json(self) -> Option<Value> {
        let value = serde_json::to_value(self).ok();
        value.filter(|value| value.as_object().is_some_and(|limits| !limits.is_empty()))
    }
}

/// The entries of an object of limits. An Erlang broker writes one without entries as `[]` at times.
///
/// # Errors
/// [`ParameterError::Invalid`], for what is no object.
pub fn limit_entries<'a>(
    value: &'a Value,
    place: &str,
) -> Result<impl Iterator<Item = (&'a str, &'a Value)>, ParameterError> {
    let entries = match value {
        Value::Object(entries) => Some(entries),
        Value::Array(none) if none.is_empty() => None,
        _ => return Err(ParameterError::Invalid(format!("{place} should be an object"))),
    };
    Ok(entries.into_iter().flatten().map(|(key, value)| (key.as_str(), value)))
}

/// The value of one limit.
///
/// # Errors
/// [`ParameterError::NotANumber`].
pub fn limit(key: &str, value: &Value) -> Result<i64, ParameterError> {
    let not_a_number =
        || ParameterError::NotANumber { key: key.to_owned(), value: erlang_term(value) };
    value.as_i64().ok_or_else(not_a_number)
}

/// Nobody knows this limit.
pub fn unknown_limit(key: &str, value: &Value, place: &'static str) -> ParameterError {
    ParameterError::UnknownLimit { key: key.to_owned(), value: erlang_term(value), place }
}

/// As RabbitMQ's texts show values.
fn erlang_term(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<<\"{text}\">>"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_come_back_as_they_were() {
        for json in [json!({"max-connections": -1, "max-queues": 1000}), json!({"max-queues": 0})] {
            assert_eq!(VHostLimits::from_json(&json).unwrap().to_json(), Some(json));
        }
        let limits = VHostLimits::from_json(&json!({"max-connections": -1, "max-queues": 7}));
        let limits = limits.unwrap();
        assert_eq!((limits.connections(), limits.queues()), (None, Some(7)));
        assert_eq!(VHostLimits::from_json(&json!([])).unwrap().to_json(), None);
    }

    #[test]
    fn what_is_no_limit_is_refused_in_rabbitmqs_words() {
        for (json, text) in [
            (json!({"max-foo": 5}), "Unrecognised terms [{<<\"max-foo\">>,5}] in limits"),
            (json!({"max-queues": "a"}), "max-queues should be a number, actually was <<\"a\">>"),
            (json!(5), "limits should be an object"),
        ] {
            assert_eq!(VHostLimits::from_json(&json).unwrap_err().to_string(), text);
        }
    }
}
