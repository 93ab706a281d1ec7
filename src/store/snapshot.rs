//! What is left of the broker's keys when the index is lost: a readable file beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::disk::private;
use super::error::StoreError;
use super::index::{CheckpointMark, Index};
use super::key_value::Pair;
use super::place::SegmentId;

/// The file, in the data directory.
pub(super) const SNAPSHOT_FILE: &str = "definitions.json";

/// The field with what a rebuild needs: keys and values, octet by octet.
const RAW_FIELD: &str = "leveret";

const FORMAT: u32 = 1;

/// What of the broker's keys is in the snapshot, and how people are to read it.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotForm {
    /// What the keys start with.
    pub prefixes: &'static [&'static [u8]],
    /// The same keys and values, for people.
    pub readable: fn(&[Pair]) -> Map<String, Value>,
}

/// Keeps the snapshot as of the last checkpoint in which it changed.
#[derive(Debug)]
pub(super) struct Snapshot {
    dir: PathBuf,
    form: SnapshotForm,
    /// The file may be older than the last checkpoint: so after a start, too.
    due: Mutex<bool>,
}

/// A snapshot that was read.
#[derive(Debug)]
pub(super) struct ReadSnapshot {
    /// What the log says up to there is in it.
    pub(super) mark: CheckpointMark,
    pub(super) pairs: Vec<Pair>,
}

#[derive(Serialize, Deserialize)]
struct Raw {
    format: u32,
    segment: u32,
    offset: u64,
    sequence: u64,
    keys: Vec<(String, String)>,
}

impl Snapshot {
    pub(super) fn new(dir: &Path, form: SnapshotForm) -> Self {
        Self { dir: dir.to_owned(), form, due: Mutex::new(true) }
    }

    /// Completes a checkpoint, and writes the snapshot if that changed it: before anything that it lacks
    /// leaves the log. A snapshot that can't be written is no reason to stop: the next checkpoint tries
    /// again.
    pub(super) fn checkpoint(&self, index: &Index) -> Result<(), StoreError> {
        let mut due = self.due.lock();
        *due |= index.changes_keys(self.form.prefixes);
        index.write_frozen()?;
        let Some(mark) = index.mark().filter(|_| *due) else { return Ok(()) };
        let mut pairs = Vec::new();
        for prefix in self.form.prefixes {
            pairs.extend(index.stored_keys(prefix)?);
        }
        match write_aside(&self.dir, &encode(mark, &pairs, self.form.readable)) {
            Ok(()) => *due = false,
            Err(error) => {
                let path = self.dir.join(SNAPSHOT_FILE);
                tracing::warn!("{} is out of date: {error}", path.display());
            }
        }
        Ok(())
    }
}

fn encode(
    mark: CheckpointMark,
    pairs: &[Pair],
    readable: fn(&[Pair]) -> Map<String, Value>,
) -> Vec<u8> {
    let base64 = |(key, value): &Pair| (STANDARD.encode(key), STANDARD.encode(value));
    let CheckpointMark { segment: SegmentId(segment), offset, sequence } = mark;
    let keys = pairs.iter().map(base64).collect();
    let raw = Raw { format: FORMAT, segment, offset, sequence, keys };
    let mut document = readable(pairs);
    document.insert(RAW_FIELD.to_owned(), serde_json::json!(raw));
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Whoever sees the file sees all of it, after a power loss, too.
fn write_aside(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let (path, aside) = (dir.join(SNAPSHOT_FILE), dir.join(format!("{SNAPSHOT_FILE}.tmp")));
    // What an ended process left would keep its mode.
    let _ = fs::remove_file(&aside);
    let mut file = private().create_new(true).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    File::open(dir)?.sync_all()
}

/// Reads the snapshot in a data directory; `None` if there is none.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(dir: &Path) -> Result<Option<ReadSnapshot>, String> {
    let bytes = match fs::read(dir.join(SNAPSHOT_FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut document: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let raw = document.remove(RAW_FIELD).ok_or("it lacks the field \"leveret\"")?;
    let raw: Raw = serde_json::from_value(raw).map_err(|error| error.to_string())?;
    if raw.format != FORMAT {
        return Err(format!("it has format {}, this version knows {FORMAT}", raw.format));
    }
    let Raw { segment, offset, sequence, .. } = raw;
    let mark = CheckpointMark { segment: SegmentId(segment), offset, sequence };
    let octets = |text: &String| STANDARD.decode(text).map_err(|error| error.to_string());
    let pairs = raw.keys.iter().map(|(key, value)| Ok((octets(key)?, octets(value)?)));
    Ok(Some(ReadSnapshot { mark, pairs: pairs.collect::<Result<_, String>>()? }))
}
