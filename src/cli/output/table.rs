//! Tables for people: aligned, numbers to the right.

use std::io::{self, Write};

use serde_json::Value;

use super::{Column, cell};

/// Between two columns.
const GAP: &str = "  ";

/// Prints a line of titles, and a line for each object.
pub(super) fn print(out: &mut dyn Write, columns: &[Column], objects: &[Value]) -> io::Result<()> {
    let cells: Vec<Vec<String>> = objects
        .iter()
        .map(|object| columns.iter().map(|column| cell(column.value(object))).collect())
        .collect();
    let shapes: Vec<Shape> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| Shape::of(column, &cells, place, objects))
        .collect();
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_string()).collect();
    line(out, &shapes, &titles)?;
    cells.iter().try_for_each(|cells| line(out, &shapes, cells))
}

/// How wide a column is, and where its cells stand in it.
struct Shape {
    width: usize,
    is_number: bool,
}

impl Shape {
    fn of(column: &Column, cells: &[Vec<String>], place: usize, objects: &[Value]) -> Self {
        let widths = cells.iter().map(|row| row[place].chars().count());
        let width = widths.max().unwrap_or(0).max(column.title.chars().count());
        let mut values = objects.iter().map(|object| column.value(object));
        let is_number = values.clone().any(Value::is_number)
            && values.all(|value| value.is_number() || value.is_null());
        Self { width, is_number }
    }
}

fn line(out: &mut dyn Write, shapes: &[Shape], cells: &[String]) -> io::Result<()> {
    let mut line = String::new();
    for (number, (Shape { width, is_number }, cell)) in shapes.iter().zip(cells).enumerate() {
        if number > 0 {
            line.push_str(GAP);
        }
        let width = *width;
        if *is_number {
            line.push_str(&format!("{cell:>width$}"));
        } else {
            line.push_str(&format!("{cell:<width$}"));
        }
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_text_to_the_left() {
        let columns = [Column::new("name", "name"), Column::new("n", "totals.n")];
        let objects = [json!({"name": "a"}), json!({"name": "long", "totals": {"n": 100}})];
        let mut out = Vec::new();
        print(&mut out, &columns, &objects).unwrap();
        let expected = "name    n\na\nlong  100\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
