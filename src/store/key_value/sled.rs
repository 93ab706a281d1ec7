//! The ordered map in sled.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::disk::make_private_within;
use super::{Batch, KeyValue, Pairs, StoreError};

/// How often, and after how long each time, it is tried to open a database that was closed just now.
const LET_GO_TRIES: u32 = 400;
const LET_GO_PAUSE: Duration = Duration::from_millis(5);

/// An ordered map in a sled database.
///
/// sled's `flush` returns once the kernel has begun to write (`sync_file_range`): that survives a killed
/// process and not a lost machine. So a second descriptor of its file is synced after it. A page of more
/// than 128 KiB (up to 16 neighbouring values) lies in a file of its own, which sled doesn't sync either:
/// small values are the better ones.
///
/// sled does nothing any more once a write failed, as for want of room or files. Then it is closed, and opened
/// again by the next call: as after a crash, what was not flushed may be gone.
#[derive(Debug)]
pub struct SledKeyValue {
    /// Where it lies.
    db_path: PathBuf,
    /// Where it lies, or what it is a copy of: for messages.
    path: PathBuf,
    cache_bytes: u64,
    opened: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// It, if it works.
    working: Option<Arc<Opened>>,
    /// The one that failed last, as long as somebody uses it.
    failed: Weak<Opened>,
    /// The last batch was not flushed, and may be gone.
    lost: bool,
}

/// A database that works.
#[derive(Debug)]
struct Opened {
    db: sled::Db,
    /// sled's own file.
    file: File,
    /// The folder with that file and sled's snapshots, whose names must be safe, too.
    folder: File,
    /// The files of large pages that are safe.
    safe_pages: Mutex<BTreeSet<OsString>>,
}

impl Opened {
    fn open(db_path: &Path, path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        // sled would let others look into it.
        make_private_within(db_path).map_err(|source| StoreError::io("create", path, source))?;
        let db = open_when_let_go(db_path, cache_bytes).map_err(|error| failed(path, error))?;
        let open = |path: PathBuf| {
            File::open(&path).map_err(|source| StoreError::io("open", path, source))
        };
        let file = open(db_path.join("db"))?;
        let folder = open(db_path.to_owned())?;
        Ok(Self { db, file, folder, safe_pages: Mutex::default() })
    }

    /// Syncs what lies in files of its own, and was not synced before: sled writes each but once.
    fn sync_large_pages(&self, db_path: &Path) -> io::Result<()> {
        let folder = db_path.join("blobs");
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

    fn sync(&self, db_path: &Path) -> io::Result<()> {
        self.sync_large_pages(db_path)?;
        self.file.sync_data()?;
        self.folder.sync_all()
    }
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
        let opened = Opened::open(&db_path, &path, cache_bytes)?;
        let state = State { working: Some(Arc::new(opened)), ..State::default() };
        Ok(Self { db_path, path, cache_bytes, opened: Mutex::new(state) })
    }

    /// The database, opened again if it had to be closed.
    fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        let mut state = self.opened.lock();
        if let Some(opened) = &state.working {
            return Ok(Arc::clone(opened));
        }
        if state.failed.strong_count() > 0 {
            return Err(self.no_room("it is being closed"));
        }
        let opened = Opened::open(&self.db_path, &self.path, self.cache_bytes);
        let opened = Arc::new(opened.map_err(|error| match error {
            // What keeps it from being opened is likely to be what closed it.
            StoreError::Io { source, .. } => self.no_room(&source.to_string()),
            other => other,
        })?);
        state.working = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// What sled's error means. One that failed for want of room or files is of no use any more.
    fn failed(&self, opened: &Arc<Opened>, error: sled::Error) -> StoreError {
        let error = failed(&self.path, error);
        let mut state = self.opened.lock();
        let is_working = |working: &Arc<Opened>| Arc::ptr_eq(working, opened);
        if error.is_shortage() && state.working.as_ref().is_some_and(is_working) {
            state.failed = Arc::downgrade(opened);
            state.working = None;
            state.lost = true;
        }
        error
    }

    fn no_room(&self, what: &str) -> StoreError {
        let error = io::Error::new(io::ErrorKind::StorageFull, what);
        StoreError::io("use the index in", &self.path, error)
    }
}

impl KeyValue for SledKeyValue {
    fn path(&self) -> &Path {
        &self.path
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.opened()?;
        let value = opened.db.get(key).map_err(|error| self.failed(&opened, error))?;
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
        let opened = self.opened()?;
        self.opened.lock().lost = false;
        opened.db.apply_batch(changes).map_err(|error| self.failed(&opened, error))
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        let opened = match self.opened() {
            Ok(opened) => opened,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let pairs = opened.db.range(from..to);
        Box::new(pairs.map(move |pair| {
            let (key, value) = pair.map_err(|error| self.failed(&opened, error))?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let opened = self.opened()?;
        opened.db.flush().map_err(|error| self.failed(&opened, error))?;
        let synced = opened.sync(&self.db_path);
        synced.map_err(|error| StoreError::io("sync the index in", &self.path, error))?;
        if self.opened.lock().lost {
            return Err(self.no_room("somebody else found that there is none"));
        }
        Ok(())
    }
}

/// Opens sled. One that was closed in this process keeps its file locked until its threads have ended, a
/// moment later; other processes are kept out before.
fn open_when_let_go(path: &Path, cache_bytes: u64) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes)
        // The index flushes when a checkpoint is complete; a timer's flushes would be for nothing.
        .flush_every_ms(None);
    for _ in 0..LET_GO_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                thread::sleep(LET_GO_PAUSE);
            }
            result => return result,
        }
    }
    config.open()
}

/// What sled's error means for us: a refusal of the system stays one, so that a full disk is known.
fn failed(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => StoreError::io("use the index in", path, of_system(source)),
        other => StoreError::Index { path: path.to_path_buf(), what: other.to_string() },
    }
}

/// An error that sled has copied has the text of the first, `Os { code: 24, ..`, and its kind, which too
/// many open files have none of.
fn of_system(error: io::Error) -> io::Error {
    let text = error.to_string();
    let code =
        text.strip_prefix("Os { code: ").and_then(|rest| rest.split(',').next()?.parse().ok());
    code.map_or(error, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_known_in_a_copy_of_the_error() {
        for code in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            let first = sled::Error::Io(io::Error::from_raw_os_error(code.raw_os_error()));
            let copy = failed(Path::new("index"), first.clone());
            assert!(copy.is_out_of_files() && failed(Path::new("index"), first).is_out_of_files());
        }
        let other = sled::Error::Io(io::Error::other("it is wrong"));
        assert!(!failed(Path::new("index"), other).is_shortage());
    }
}
