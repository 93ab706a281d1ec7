//! Values as text.

use serde_json::Value;

use crate::session::misleads;

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

/// A value as people read it in a table: with two decimals at most, and nothing in it that does something to a
/// terminal.
pub(in crate::cli) fn cell(value: &Value) -> String {
    let rounded = value.as_f64().filter(|_| value.is_f64()).map(|it| (it * 100.0).round() / 100.0);
    match rounded.filter(|it| it.is_finite() && (*it != 0.0 || value.as_f64() == Some(0.0))) {
        Some(number) => number.to_string(),
        None => visible(&plain(value)),
    }
}

/// The same text without characters that do something to a terminal. Names are chosen by clients.
pub(in crate::cli) fn visible(text: &str) -> String {
    let shown = |c: char| if misleads(c) { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// What is wrong, on one line: the broker has a title and an empty line before some of its reasons.
pub(in crate::cli) fn one_line(text: &str) -> String {
    visible(&text.trim_end().replace("\n\n", ": "))
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
    fn rates_are_rounded_and_the_rest_is_as_it_is() {
        for (value, text) in [
            (json!(0.213890384568499), "0.21"),
            (json!(0.0), "0"),
            (json!(0.001), "0.001"),
            (json!(1e307), "1e+307"),
            (json!(1234.5), "1234.5"),
            (json!(7), "7"),
            (json!("a\u{202e}b"), "a\\u{202e}b"),
        ] {
            assert_eq!(cell(&value), text);
        }
    }

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(one_line("Title\n\na\nb\n\n"), "Title: a\\nb");
    }
}
