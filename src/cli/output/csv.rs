//! Comma-separated values, as RFC 4180 has them; lines end as on Unix.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use super::{Column, plain};

/// Prints a line of titles, and a line for each object.
pub(super) fn print(out: &mut dyn Write, columns: &[Column], objects: &[Value]) -> io::Result<()> {
    line(out, columns.iter().map(|column| column.title.to_string()))?;
    for object in objects {
        line(out, columns.iter().map(|column| plain(column.value(object))))?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, fields: impl Iterator<Item = String>) -> io::Result<()> {
    for (number, field) in fields.enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(quoted(&field).as_bytes())?;
    }
    out.write_all(b"\n")
}

fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_end_a_field_is_quoted() {
        let columns = [Column::new("name", "name"), Column::new("arguments", "arguments")];
        let objects = [json!({"name": "a,\"b\"", "arguments": {"x": 1}}), json!({"name": "c"})];
        let mut out = Vec::new();
        print(&mut out, &columns, &objects).unwrap();
        let expected = "name,arguments\n\"a,\"\"b\"\"\",\"{\"\"x\"\":1}\"\nc,\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
