//! The ordered map in sled.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Batch, KeyValue, Pairs, StoreError};

/// An ordered map in a sled database.
///
/// sled's `flush` returns once the kernel has begun to write (`sync_file_range`): that survives a killed
/// process and not a lost machine. So a second descriptor of its file is synced after it.
#[derive(Debug)]
pub struct SledKeyValue {
    db: sled::Db,
    path: PathBuf,
    /// sled's own file.
    file: File,
    /// The folder with that file and sled's snapshots, whose names must be safe, too.
    folder: File,
}

impl SledKeyValue {
    /// Opens the database in a folder, or makes one. `cache_bytes` bounds what sled keeps of it in memory.
    pub fn open(path: impl Into<PathBuf>, cache_bytes: u64) -> Result<Self, StoreError> {
        let path = path.into();
        let db = sled::Config::new()
            .path(&path)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            // The index flushes when a checkpoint is complete; a timer's flushes would be for nothing.
            .flush_every_ms(None)
            .open()
            .map_err(|error| failed(&path, error))?;
        let open = |path: PathBuf| {
            File::open(&path).map_err(|source| StoreError::io("open", path, source))
        };
        let file = open(path.join("db"))?;
        let folder = open(path.clone())?;
        Ok(Self { db, path, file, folder })
    }

    fn failed(&self, error: sled::Error) -> StoreError {
        failed(&self.path, error)
    }
}

impl KeyValue for SledKeyValue {
    fn path(&self) -> &Path {
        &self.path
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch.changes {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        self.db.apply_batch(changes).map_err(|error| self.failed(error))
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        let pairs = self.db.range(from..to);
        Box::new(pairs.map(|pair| {
            let (key, value) = pair.map_err(|error| self.failed(error))?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| self.failed(error))?;
        let synced = |error: io::Error| StoreError::io("sync", self.path.join("db"), error);
        self.file.sync_data().map_err(synced)?;
        self.folder.sync_all().map_err(synced)
    }
}

/// What sled's error means for us: a refusal of the system stays one, so that a full disk is known.
fn failed(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => StoreError::io("use the index in", path, source),
        other => StoreError::Index { path: path.to_path_buf(), what: other.to_string() },
    }
}
