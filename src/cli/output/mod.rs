//! How commands print lists: a table for people, JSON or CSV for machines.

mod csv;
mod screen;
mod table;
mod text;

use std::borrow::Cow;
use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

pub(super) use screen::{Screen, Waited};
pub(super) use text::{cell, one_line, plain, visible};

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns
    Table,
    /// What the broker answered, whole
    Json,
    /// Comma-separated values (RFC 4180), with a line of titles
    Csv,
}

/// One column of a list: what stands above it, and where its values are in each object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: Cow<'static, str>,
    /// Names of fields with dots between them, as in the API's own `columns` parameter.
    pub(super) path: Cow<'static, str>,
}

impl Column {
    pub(super) const fn new(title: &'static str, path: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), path: Cow::Borrowed(path) }
    }

    /// A column that somebody asked for by its path.
    pub(super) fn named(path: &str) -> Self {
        Self { title: Cow::Owned(path.to_owned()), path: Cow::Owned(path.to_owned()) }
    }

    /// The value in an object; `Null` if there is none.
    pub(super) fn value<'a>(&self, object: &'a Value) -> &'a Value {
        field(object, &self.path)
    }
}

/// The field at a path such as `queue_totals.messages`; `Null` if there is none.
pub(super) fn field<'a>(object: &'a Value, path: &str) -> &'a Value {
    const NONE: &Value = &Value::Null;
    path.split('.').fold(object, |value, name| value.get(name).unwrap_or(NONE))
}

/// Prints a list. JSON has all that the objects hold; the others have the columns.
pub(super) fn print_list(
    out: &mut dyn Write,
    format: Format,
    columns: &[Column],
    objects: &[Value],
) -> io::Result<()> {
    match format {
        Format::Table => table::print(out, columns, objects),
        Format::Csv => csv::print(out, columns, objects),
        Format::Json => print_json(out, &Value::from(objects)),
    }
}

/// Prints one object: a line for each column, its title before it.
pub(super) fn print_object(
    out: &mut dyn Write,
    format: Format,
    columns: &[Column],
    object: &Value,
) -> io::Result<()> {
    match format {
        Format::Csv => csv::print(out, columns, std::slice::from_ref(object)),
        Format::Json => print_json(out, object),
        Format::Table => {
            let width = columns.iter().map(|column| column.title.chars().count()).max();
            let width = width.unwrap_or(0) + 2;
            for column in columns {
                let value = cell(column.value(object));
                writeln!(out, "{:<width$}{value}", column.title)?;
            }
            Ok(())
        }
    }
}

fn print_json(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}
