//! Policies as parameters: the JSON that administrators write and see.

use serde_json::{Map, Value, json};

use super::{ApplyTo, Policy, PolicyError};
use crate::broker::json::{from_json, table};

impl Policy {
    /// Reads `{"pattern": ..., "definition": {...}, "priority": 0, "apply-to": "all"}`, of which the last two
    /// may be left out.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn from_parameter(name: &str, value: &Value) -> Result<Self, PolicyError> {
        let fields = value.as_object().ok_or_else(|| invalid("a policy should be an object"))?;
        let pattern = text(fields, "pattern")?.ok_or_else(|| missing("pattern"))?;
        let definition = fields.get("definition").ok_or_else(|| missing("definition"))?;
        let definition = match definition {
            Value::Object(entries) => {
                from_json(entries).map_err(|error| invalid(&error.to_string()))?
            }
            _ => return Err(invalid("definition should be an object")),
        };
        let apply_to = text(fields, "apply-to")?.map_or(Ok(ApplyTo::All), ApplyTo::parse)?;
        let priority = match fields.get("priority") {
            None | Some(Value::Null) => 0,
            Some(priority) => integer(priority).ok_or_else(|| {
                invalid(&format!("priority should be a number, actually was {priority}"))
            })?,
        };
        let policy = Self::from_table(name, pattern, definition)?;
        Ok(policy.with_apply_to(apply_to).with_priority(priority))
    }

    /// The same the other way.
    pub fn to_parameter(&self) -> Value {
        json!({
            "pattern": self.pattern.as_str(),
            "definition": table(&self.definition).json,
            "priority": self.priority,
            "apply-to": self.apply_to.name(),
        })
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, PolicyError> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(&format!("{key} should be text"))),
    }
}

/// Some files have the priority as a text.
fn integer(value: &Value) -> Option<i32> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64().and_then(|number| i32::try_from(number).ok()),
    }
}

fn missing(key: &str) -> PolicyError {
    invalid(&format!("Key \"{key}\" not found"))
}

fn invalid(text: &str) -> PolicyError {
    PolicyError::InvalidValue(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_as_it_was() {
        let json = json!({
            "pattern": "^tmp\\.",
            "definition": { "max-length": 1000, "overflow": "reject-publish" },
            "priority": 5,
            "apply-to": "queues",
        });
        let policy = Policy::from_parameter("short", &json).unwrap();
        assert_eq!((policy.name(), policy.priority()), ("short", 5));
        assert_eq!(policy.to_parameter(), json);
        let least = json!({ "pattern": "", "definition": { "max-length": 1 }, "priority": "7" });
        let policy = Policy::from_parameter("least", &least).unwrap();
        assert_eq!((policy.priority(), policy.apply_to()), (7, ApplyTo::All));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (json, error) in [
            (json!([]), "a policy should be an object"),
            (json!({ "pattern": "" }), "Key \"definition\" not found"),
            (json!({ "definition": {} }), "Key \"pattern\" not found"),
            (json!({ "pattern": 5 }), "pattern should be text"),
            (json!({ "pattern": "", "definition": {} }), "no policy provided"),
            (json!({ "pattern": "", "definition": "{}" }), "definition should be an object"),
            (
                json!({ "pattern": "", "definition": { "expires": 1 }, "priority": "high" }),
                "priority should be a number, actually was \"high\"",
            ),
        ] {
            assert_eq!(Policy::from_parameter("p", &json).unwrap_err().to_string(), error);
        }
    }
}
