//! Values as text.

use serde_json::Value;

/// A value as people write it: text without quotes, lists of such with commas, the rest as JSON.
pub(in crate::cli) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// The same text without characters that do something to a terminal. Names are chosen by clients.
pub(in crate::cli) fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_people_write_them() {
        for (value, text) in [
            (json!(null), ""),
            (json!("a b"), "a b"),
            (json!(7), "7"),
            (json!(true), "true"),
            (json!(["a", "b"]), "a, b"),
            (json!({}), ""),
            (json!({"max-length": 10}), r#"{"max-length":10}"#),
            (json!([{"a": 1}]), r#"[{"a":1}]"#),
        ] {
            assert_eq!(plain(&value), text);
        }
    }

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
