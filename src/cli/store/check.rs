//! `leveret store check`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::queues::Stored;
use super::{Format, StoreCommandError};
use crate::broker::definition::QueueDefinition;
use crate::broker::json::name;
use crate::broker::queue_cell::QueueId;
use crate::store::offline::{QueueContents, StoreReport, check};

/// Checks a directory and says what is in it; whether all is well.
pub(super) fn run(
    dir: &Path,
    format: Format,
    out: &mut dyn Write,
) -> Result<bool, StoreCommandError> {
    let mut report = check(dir)?;
    let stored = Stored::read(&report.values);
    report.problems.extend(stored.problems.iter().cloned());
    match format {
        Format::Text => out.write_all(text(dir, &report, &stored).as_bytes())?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &json(&report, &stored))?;
            writeln!(out)?;
        }
    }
    Ok(report.problems.is_empty())
}

/// What there is to say of a queue: its vhost, name and type, if it is defined, and what it holds.
type Row<'a> = (Option<(Value, &'a QueueDefinition)>, QueueContents);

/// All queues that are defined, then those that hold something and are not.
fn rows<'a>(report: &StoreReport, stored: &'a Stored) -> Vec<Row<'a>> {
    let mut contents: BTreeMap<QueueId, QueueContents> =
        report.queues.iter().map(|contents| (contents.id, *contents)).collect();
    let mut rows = Vec::new();
    for (vhost, queue) in stored.queues() {
        let empty = QueueContents { id: queue.id, ..QueueContents::default() };
        let contents = contents.remove(&queue.id).unwrap_or(empty);
        rows.push((Some((name(vhost.as_bytes()), queue)), contents));
    }
    let holds = |contents: &QueueContents| {
        contents.ready + contents.scheduled + contents.unacknowledged > 0
    };
    rows.extend(contents.into_values().filter(holds).map(|contents| (None, contents)));
    rows
}

fn kind(queue: &QueueDefinition) -> String {
    let kind = queue.properties.arguments.get("x-queue-type");
    let kind = kind.and_then(|kind| kind.as_bytes());
    kind.map_or("classic".into(), |kind| String::from_utf8_lossy(kind).into_owned())
}

fn json(report: &StoreReport, stored: &Stored) -> Value {
    let live: BTreeMap<_, _> = report.live.iter().copied().collect();
    let segments = report.log.segments.iter().map(|segment| {
        let live = live.get(&segment.id).copied().unwrap_or_default();
        json!({
            "segment": segment.id.0, "bytes": segment.bytes, "frames": segment.frames,
            "live_bytes": live.bytes, "live_references": live.references,
        })
    });
    let queues = rows(report, stored).into_iter().map(|(defined, contents)| {
        let (vhost, queue) = defined.unzip();
        json!({
            "vhost": vhost,
            "name": queue.map(|queue| name(queue.name.as_bytes())),
            "id": contents.id.0,
            "type": queue.map(kind),
            "messages_ready": contents.ready,
            "messages_scheduled": contents.scheduled,
            "messages_unacknowledged": contents.unacknowledged,
            "message_bytes": contents.bytes,
            "next_position": contents.next_position,
        })
    });
    json!({
        "format": report.format,
        "checkpoint": report.mark.map(|mark| {
            json!({ "segment": mark.segment.0, "offset": mark.offset, "frame": mark.sequence })
        }),
        "log": {
            "bytes": report.log.bytes, "frames": report.log.frames, "records": report.log.records,
            "messages": report.log.messages,
        },
        "segments": segments.collect::<Vec<_>>(),
        "definitions": stored.counts(),
        "deduplication_keys": stored.seen,
        "queues": queues.collect::<Vec<_>>(),
        "torn": report.torn.as_ref().map(|torn| {
            json!({ "file": torn.path, "offset": torn.offset, "bytes": torn.bytes })
        }),
        "problems": report.problems,
    })
}

fn text(dir: &Path, report: &StoreReport, stored: &Stored) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "data directory  {} (format {})", dir.display(), report.format);
    let _ = match report.mark {
        Some(mark) => writeln!(
            text,
            "checkpoint      segment {}, byte {}, before frame {}",
            mark.segment.0, mark.offset, mark.sequence
        ),
        None => writeln!(text, "checkpoint      none"),
    };
    let counts = stored.counts().into_iter().map(|(kind, count)| format!("{kind} {count}"));
    let mut counts: Vec<String> = counts.collect();
    if stored.seen > 0 {
        counts.push(format!("deduplication key {}", stored.seen));
    }
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "definitions     {counts}");
    let log = &report.log;
    let _ = writeln!(
        text,
        "log             {} bytes, {} frames, {} records, {} of them messages",
        log.bytes, log.frames, log.records, log.messages
    );
    segment_table(&mut text, report);
    queue_table(&mut text, report, stored);
    if let Some(torn) = &report.torn {
        let _ = writeln!(
            text,
            "\n{}: {} bytes behind byte {} were never completed; a broker cuts them off as it starts",
            torn.path.display(),
            torn.bytes,
            torn.offset
        );
    }
    text.push('\n');
    for problem in &report.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    let _ = match report.problems.len() {
        0 => writeln!(text, "no problems"),
        1 => writeln!(text, "1 problem"),
        many => writeln!(text, "{many} problems"),
    };
    text
}

fn segment_table(text: &mut String, report: &StoreReport) {
    if report.log.segments.is_empty() {
        return;
    }
    let mut rows = vec![["segment", "bytes", "live bytes", "frames"].map(str::to_owned).to_vec()];
    let live: BTreeMap<_, _> = report.live.iter().copied().collect();
    for segment in &report.log.segments {
        let live = live.get(&segment.id).map(|live| live.bytes.to_string());
        rows.push(vec![
            segment.id.0.to_string(),
            segment.bytes.to_string(),
            live.unwrap_or_else(|| "?".to_owned()),
            segment.frames.to_string(),
        ]);
    }
    table(text, &rows, 0);
}

fn queue_table(text: &mut String, report: &StoreReport, stored: &Stored) {
    let queues = rows(report, stored);
    if queues.is_empty() {
        return;
    }
    let head =
        ["vhost", "queue", "type", "id", "ready", "scheduled", "unacked", "bytes", "next position"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (defined, contents) in queues {
        let mut row = match defined {
            Some((vhost, queue)) => {
                let name = name(queue.name.as_bytes());
                vec![word(&vhost), word(&name), kind(queue)]
            }
            None => vec!["-".to_owned(), "(not defined)".to_owned(), "-".to_owned()],
        };
        let QueueContents { id, ready, scheduled, unacknowledged, bytes, next_position } = contents;
        row.extend(
            [id.0, ready, scheduled, unacknowledged, bytes, next_position].map(|n| n.to_string()),
        );
        rows.push(row);
    }
    table(text, &rows, 3);
}

/// A name as it stands in a table: control characters would break it.
fn word(name: &Value) -> String {
    match name {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

/// Columns side by side; the first few are text, the others numbers.
fn table(text: &mut String, rows: &[Vec<String>], texts: usize) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    text.push('\n');
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < texts { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}
