//! Lists as the Python tool prints them.

use std::io::{self, Write};

use serde_json::Value;

use super::{Admin, Problem};
use crate::cli::output::visible;

/// Columns that stand before the others, in this order.
const FIRST: [&str; 7] =
    ["vhost", "name", "type", "source", "destination", "destination_type", "routing_key"];

/// Names of columns, and rows of cells.
struct Grid {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Prints what the API answered. Without columns there is one for every field.
pub(super) fn print(
    admin: &mut Admin<'_>,
    answer: &Value,
    columns: &[String],
    json: &[&str],
) -> Result<(), Problem> {
    let format = admin.options.get("format").unwrap_or("table").to_owned();
    match format.as_str() {
        "raw_json" => return Ok(writeln!(admin.out, "{answer}")?),
        "pretty_json" => return Ok(writeln!(admin.out, "{answer:#}")?),
        "table" | "tsv" | "long" | "kvp" | "bash" => {}
        other => return Err(Problem::Usage(format!("Format {other} not recognised"))),
    }
    let depth = admin.options.get("depth").and_then(|depth| depth.parse().ok()).unwrap_or(1);
    let items = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let grid = Grid::of(items, columns, json, depth);
    if grid.rows.is_empty() {
        return admin.say("No items");
    }
    let (quiet, out) = (admin.options.quiet, &mut *admin.out);
    Ok(match format.as_str() {
        "tsv" => grid.tsv(out, !quiet),
        "long" => grid.long(out),
        "kvp" => grid.pairs(out),
        "bash" => grid.names(out),
        _ => grid.table(out),
    }?)
}

impl Grid {
    fn of(items: &[Value], columns: &[String], json: &[&str], depth: usize) -> Self {
        let depth = if columns.is_empty() { depth } else { usize::MAX };
        let rows: Vec<Vec<(String, String)>> = items
            .iter()
            .map(|item| {
                let mut cells = Vec::new();
                flatten(item, "", 1, depth, json, &mut cells);
                cells
            })
            .collect();
        let columns = if columns.is_empty() { all_columns(&rows) } else { columns.to_vec() };
        let cell = |row: &[(String, String)], column: &String| {
            let found = row.iter().find(|(name, _)| name == column);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let rows = rows
            .iter()
            .map(|row| columns.iter().map(|column| cell(row, column)).collect())
            .collect();
        Self { columns, rows }
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines: Vec<&Vec<String>> = std::iter::once(&self.columns).chain(&self.rows).collect();
        let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).filter_map(width).collect();
        let bars: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let bar = format!("+{}+", bars.join("+"));
        writeln!(out, "{bar}")?;
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                match number {
                    0 => write!(out, "| {cell:^width$} ")?,
                    _ => write!(out, "| {cell:<width$} ")?,
                }
            }
            writeln!(out, "|")?;
            if number == 0 {
                writeln!(out, "{bar}")?;
            }
        }
        writeln!(out, "{bar}")
    }

    fn tsv(&self, out: &mut dyn Write, titles: bool) -> io::Result<()> {
        if titles {
            writeln!(out, "{}", self.columns.join("\t"))?;
        }
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", row.join("\t")))
    }

    fn long(&self, out: &mut dyn Write) -> io::Result<()> {
        let separator = format!("\n{}\n", "-".repeat(80));
        let width = self.columns.iter().map(|column| column.chars().count()).max().unwrap_or(0);
        writeln!(out, "{separator}")?;
        for row in &self.rows {
            for (column, cell) in self.columns.iter().zip(row) {
                writeln!(out, "{column:>width$}: {cell}")?;
            }
            writeln!(out, "{separator}")?;
        }
        Ok(())
    }

    fn pairs(&self, out: &mut dyn Write) -> io::Result<()> {
        self.rows.iter().try_for_each(|row| {
            let pairs = self.columns.iter().zip(row);
            let pairs: Vec<String> =
                pairs.map(|(column, cell)| format!("{column}=\"{cell}\"")).collect();
            writeln!(out, "{}", pairs.join(" "))
        })
    }

    fn names(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(place) = self.columns.iter().position(|column| column == "name") else {
            return Ok(());
        };
        let names: Vec<&str> = self.rows.iter().map(|row| row[place].as_str()).collect();
        writeln!(out, "{}", names.join(" "))
    }
}

fn all_columns(rows: &[Vec<(String, String)>]) -> Vec<String> {
    let mut columns: Vec<String> =
        rows.iter().flatten().map(|(column, _)| column.clone()).collect();
    let order = |column: &String| {
        let first = FIRST.iter().position(|name| name == column);
        (first.unwrap_or(FIRST.len()), column.clone())
    };
    columns.sort_by_key(order);
    columns.dedup();
    columns
}

/// The fields of an object, those of objects within with a dot between the names.
fn flatten(
    item: &Value,
    before: &str,
    depth: usize,
    depth_max: usize,
    json: &[&str],
    cells: &mut Vec<(String, String)>,
) {
    for (name, value) in item.as_object().into_iter().flatten() {
        let column = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        match value {
            Value::Object(_) if json.contains(&name.as_str()) => {
                cells.push((column, python_json(value)));
            }
            Value::Object(_) => {
                if depth < depth_max {
                    flatten(value, &column, depth + 1, depth_max, json, cells);
                }
            }
            Value::Array(items) if items.iter().all(Value::is_string) => {
                let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                cells.push((column, visible(&texts.join(" "))));
            }
            other => cells.push((column, python_text(other))),
        }
    }
}

/// A value as Python's `str` writes it.
fn python_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => visible(text),
        Value::Number(number) => number.to_string(),
        other => python_json(other),
    }
}

/// JSON with spaces where Python has them.
fn python_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| {
                    format!("{}: {}", Value::from(name.as_str()), python_json(value))
                })
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(grid: &Grid, how: impl Fn(&Grid, &mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        how(grid, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// As the Python tool prints it.
    #[test]
    fn a_table_is_framed_and_its_titles_are_in_the_middle() {
        let items =
            [json!({"name": "a", "messages": 0}), json!({"name": "longer", "messages": 12})];
        let grid = Grid::of(&items, &["name".to_owned(), "messages".to_owned()], &[], 1);
        assert_eq!(
            printed(&grid, Grid::table),
            "+--------+----------+\n\
             |  name  | messages |\n\
             +--------+----------+\n\
             | a      | 0        |\n\
             | longer | 12       |\n\
             +--------+----------+\n"
        );
        assert_eq!(
            printed(&grid, Grid::pairs),
            "name=\"a\" messages=\"0\"\nname=\"longer\" messages=\"12\"\n"
        );
        assert_eq!(printed(&grid, Grid::names), "a longer\n");
        assert_eq!(printed(&grid, |grid, out| grid.tsv(out, false)), "a\t0\nlonger\t12\n");
    }

    #[test]
    fn without_columns_there_is_one_for_every_field() {
        let items = [json!({
            "priority": 0, "name": "p", "vhost": "/", "definition": {"max-length": 10},
            "deep": {"x": 1}, "tags": ["a", "b"], "on": true,
        })];
        let grid = Grid::of(&items, &[], &["definition"], 1);
        assert_eq!(grid.columns, ["vhost", "name", "definition", "on", "priority", "tags"]);
        assert_eq!(grid.rows, [["/", "p", "{\"max-length\": 10}", "True", "0", "a b"]]);
        let deep = Grid::of(&items, &["deep.x".to_owned()], &[], 1);
        assert_eq!(deep.rows, [["1"]]);
    }
}
