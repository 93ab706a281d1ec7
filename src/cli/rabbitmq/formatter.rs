//! How RabbitMQ's tools print lists: with tabs, as JSON, as CSV.

use std::io::{self, Write};

use serde_json::Value;

use super::erlang;
use crate::cli::output::field;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formatter {
    /// With tabs, and a line of titles if it is wanted.
    Table { titles: bool },
    /// In a frame.
    Pretty,
    /// A list of objects, one a line.
    Json,
    /// With commas, text in quotes.
    Csv,
}

/// What a value is, in RabbitMQ: JSON does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, a number, true or false.
    Plain,
    /// An AMQP table.
    Table,
    /// A list of atoms: `[a, b]`.
    Atoms,
    /// A value that is printed as JSON everywhere.
    Json,
}

/// A column: its title, where its value is in the API's object, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: Kind,
}

impl Column {
    /// One that the API has by the same name.
    pub(super) const fn plain(title: &'static str) -> Self {
        Self { title, path: title, kind: Kind::Plain }
    }

    /// One that the API has elsewhere.
    pub(super) const fn at(title: &'static str, path: &'static str) -> Self {
        Self { title, path, kind: Kind::Plain }
    }

    /// One that is no plain value.
    pub(super) const fn of(title: &'static str, kind: Kind) -> Self {
        Self { title, path: title, kind }
    }

    fn text(&self, row: &Value) -> String {
        let value = field(row, self.path);
        match (self.kind, value) {
            (Kind::Json, Value::Null) | (Kind::Plain, Value::Null) => String::new(),
            (Kind::Json, value) => value.to_string(),
            (Kind::Table, value) => erlang::table(value),
            (Kind::Atoms, value) => format!("[{}]", atoms(value).join(", ")),
            (Kind::Plain, Value::String(text)) => erlang::visible(text),
            (Kind::Plain, value) => value.to_string(),
        }
    }

    fn json(&self, row: &Value) -> Value {
        let value = field(row, self.path);
        match self.kind {
            Kind::Plain if value.is_null() => Value::from(""),
            Kind::Plain => value.clone(),
            Kind::Table => erlang::typed_table(value),
            Kind::Atoms => atoms(value).into(),
            Kind::Json => value.to_string().into(),
        }
    }
}

/// Tags are a list, or text with commas.
fn atoms(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => text
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

impl Formatter {
    /// RabbitMQ's names of them.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "table" => Some(Self::Table { titles: true }),
            "pretty_table" => Some(Self::Pretty),
            "json" | "json_stream" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            // Erlang's terms are for Erlang; what reads them can read these lines.
            "erlang" | "string" | "report" => Some(Self::Table { titles: false }),
            _ => None,
        }
    }

    /// Prints rows; a list without any has no titles.
    pub(super) fn print(
        self,
        out: &mut dyn Write,
        columns: &[Column],
        rows: &[Value],
    ) -> io::Result<()> {
        match self {
            Self::Table { titles } => tabs(out, columns, rows, titles),
            Self::Csv => csv(out, columns, rows),
            Self::Pretty => pretty(out, columns, rows),
            Self::Json => json(out, columns, rows),
        }
    }
}

fn tabs(out: &mut dyn Write, columns: &[Column], rows: &[Value], titles: bool) -> io::Result<()> {
    if titles && !rows.is_empty() {
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        writeln!(out, "{}", titles.join("\t"))?;
    }
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|column| column.text(row)).collect();
        writeln!(out, "{}", cells.join("\t"))?;
    }
    Ok(())
}

fn csv(out: &mut dyn Write, columns: &[Column], rows: &[Value]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let titles: Vec<String> = columns.iter().map(|column| quoted(column.title)).collect();
    writeln!(out, "{}", titles.join(","))?;
    for row in rows {
        let cell = |column: &Column| {
            let is_bare = matches!(field(row, column.path), Value::Number(_) | Value::Bool(_));
            let text = column.text(row);
            if is_bare { text } else { quoted(&text) }
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// One object a line, its fields in the order of the columns.
fn json(out: &mut dyn Write, columns: &[Column], rows: &[Value]) -> io::Result<()> {
    writeln!(out, "[")?;
    for (number, row) in rows.iter().enumerate() {
        let separator = if number > 0 { "," } else { "" };
        let fields: Vec<String> = columns
            .iter()
            .map(|column| format!("\"{}\":{}", column.title, column.json(row)))
            .collect();
        writeln!(out, "{separator}{{{}}}", fields.join(","))?;
    }
    writeln!(out, "]")
}

fn pretty(out: &mut dyn Write, columns: &[Column], rows: &[Value]) -> io::Result<()> {
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let rows = rows.iter().map(|row| columns.iter().map(|column| column.text(row)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).filter_map(width).collect();
    let bar = |left: &str, middle: &str, right: &str| {
        let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", parts.join(middle))
    };
    writeln!(out, "{}", bar("┌", "┬", "┐"))?;
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            writeln!(out, "{}", bar("├", "┼", "┤"))?;
        }
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        writeln!(out, "│{}│", cells.join("│"))?;
    }
    writeln!(out, "{}", bar("└", "┴", "┘"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::plain("name"),
        Column::at("count", "messages"),
        Column::of("arguments", Kind::Table),
        Column::of("tags", Kind::Atoms),
    ];

    fn printed(formatter: Formatter, rows: &[Value]) -> String {
        let mut out = Vec::new();
        formatter.print(&mut out, &COLUMNS, rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// As RabbitMQ 3.10 prints them.
    #[test]
    fn rows_are_printed_as_rabbitmq_does() {
        let rows = [json!({
            "name": "q1", "messages": 1, "tags": ["a", "b"],
            "arguments": {"x-dead-letter-exchange": "dlx", "x-max-length": 10},
        })];
        let line = "q1\t1\t[{\"x-dead-letter-exchange\",\"dlx\"},{\"x-max-length\",10}]\t[a, b]\n";
        assert_eq!(printed(Formatter::Table { titles: false }, &rows), line);
        let titled = format!("name\tcount\targuments\ttags\n{line}");
        assert_eq!(printed(Formatter::Table { titles: true }, &rows), titled);
        assert_eq!(
            printed(Formatter::Json, &[rows[0].clone(), json!({"name": "q2"})]),
            "[\n{\"name\":\"q1\",\"count\":1,\"arguments\":[[\"x-dead-letter-exchange\",\
             \"longstr\",\"dlx\"],[\"x-max-length\",\"long\",10]],\"tags\":[\"a\",\"b\"]}\n\
             ,{\"name\":\"q2\",\"count\":\"\",\"arguments\":[],\"tags\":[]}\n]\n"
        );
        assert_eq!(
            printed(Formatter::Csv, &[json!({"name": "a\"b", "messages": 2})]),
            "\"name\",\"count\",\"arguments\",\"tags\"\n\"a\"\"b\",2,\"[]\",\"[]\"\n"
        );
    }

    #[test]
    fn a_list_without_rows_has_no_titles() {
        assert_eq!(printed(Formatter::Table { titles: true }, &[]), "");
        assert_eq!(printed(Formatter::Csv, &[]), "");
        assert_eq!(printed(Formatter::Json, &[]), "[\n]\n");
    }
}
