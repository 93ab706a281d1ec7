//! Values as Erlang writes them, which RabbitMQ's tools show.

use serde_json::{Value, json};

/// An AMQP table: `[{"x-max-length",10}]`.
pub(super) fn table(value: &Value) -> String {
    let Value::Object(fields) = value else { return "[]".to_owned() };
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{{{},{}}}", quoted(name), term(value)))
        .collect();
    format!("[{}]", fields.join(","))
}

fn term(value: &Value) -> String {
    match value {
        Value::Null => "undefined".to_owned(),
        Value::String(text) => quoted(text),
        Value::Object(_) => table(value),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(term).collect::<Vec<_>>().join(","))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The same text without characters that do something to a terminal, as RabbitMQ shows them: in octal.
pub(super) fn visible(text: &str) -> String {
    let shown =
        |c: char| if c.is_control() { format!("\\{:03o}", c as u32) } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// An AMQP table as the tools print it in JSON: `[["x-max-length","long",10]]`.
pub(super) fn typed_table(value: &Value) -> Value {
    let Value::Object(fields) = value else { return json!([]) };
    let field = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => json!([name, "table", typed_table(value)]),
        Value::String(_) => json!([name, "longstr", value]),
        Value::Bool(_) => json!([name, "bool", value]),
        Value::Array(_) => json!([name, "array", value]),
        Value::Null => json!([name, "void", "undefined"]),
        Value::Number(number) if number.is_f64() => json!([name, "double", value]),
        Value::Number(_) => json!([name, "long", value]),
    };
    fields.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_erlang_does() {
        let value = json!({"a": "b\"c", "n": 1, "t": {"x": true}, "l": [1, "y"]});
        assert_eq!(table(&value), r#"[{"a","b\"c"},{"l",[1,"y"]},{"n",1},{"t",[{"x",true}]}]"#);
        assert_eq!(table(&json!({})), "[]");
        assert_eq!(table(&Value::Null), "[]");
        assert_eq!(visible("a\u{1b}b"), "a\\033b");
    }
}
