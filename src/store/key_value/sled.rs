//! The ordered map in sled.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::{Batch, KeyValue, Pairs, StoreError};

/// An ordered map in a sled database.
///
/// sled's `flush` returns once the kernel has begun to write (`sync_file_range`): that survives a killed
/// process and not a lost machine. So a second descriptor of its file is synced after it. A page of more
/// than 128 KiB (up to 16 neighbouring values) lies in a file of its own, which sled doesn't sync either:
/// small values are the better ones.
#[derive(Debug)]
pub struct SledKeyValue {
    db: sled::Db,
    /// Where it lies.
    db_path: PathBuf,
    /// Where it lies, or what it is a copy of: for messages.
    path: PathBuf,
    /// sled's own file.
    file: File,
    /// The folder with that file and sled's snapshots, whose names must be safe, too.
    folder: File,
    /// The files of large pages that are safe.
    safe_pages: Mutex<BTreeSet<OsString>>,
}

impl SledKeyValue {
    /// Opens the database in a folder, or makes one. `cache_bytes` bounds what sled keeps of it in memory.
    pub fn open(path: impl Into<PathBuf>, cache_bytes: u64) -> Result<Self, StoreError> {
        let path = path.into();
        Self::open_as(path.clone(), path, cache_bytes)
    }

    /// Opens a copy of the database in `original`, which messages name. sled has no way to open one
    /// without writing: it goes on from where it was.
    pub(in crate::store) fn open_copy(
        copy: PathBuf,
        original: PathBuf,
        cache_bytes: u64,
    ) -> Result<Self, StoreError> {
        Self::open_as(copy, original, cache_bytes)
    }

    fn open_as(db_path: PathBuf, path: PathBuf, cache_bytes: u64) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(&db_path)
            .cache_capacity(cache_bytes)
            // The index flushes when a checkpoint is complete; a timer's flushes would be for nothing.
            .flush_every_ms(None)
            .open()
            .map_err(|error| failed(&path, error))?;
        let open = |path: PathBuf| {
            File::open(&path).map_err(|source| StoreError::io("open", path, source))
        };
        let file = open(db_path.join("db"))?;
        let folder = open(db_path.clone())?;
        Ok(Self { db, db_path, path, file, folder, safe_pages: Mutex::default() })
    }

    /// Syncs what lies in files of its own, and was not synced before: sled writes each but once.
    fn sync_large_pages(&self) -> io::Result<()> {
        let folder = self.db_path.join("blobs");
        let mut there = BTreeSet::new();
        let mut safe_pages = self.safe_pages.lock();
        for page in folder.read_dir()? {
            let page = page?;
            if !safe_pages.contains(&page.file_name()) {
                match File::open(page.path()) {
                    Ok(file) => file.sync_all()?,
                    // It was removed meanwhile, with what it held.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            there.insert(page.file_name());
        }
        if !there.is_subset(&safe_pages) {
            File::open(folder)?.sync_all()?;
        }
        *safe_pages = there;
        Ok(())
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
        let synced = |error: io::Error| StoreError::io("sync the index in", &self.path, error);
        self.sync_large_pages().map_err(synced)?;
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
