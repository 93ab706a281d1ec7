//! A data directory: whose it is, of which version, and that nobody else has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::disk::make_private;
use super::error::StoreError;

/// The file that says what the directory is. It is locked as long as a broker runs.
const MARKER: &str = "leveret.store";

/// What stands in it, before the number of the format.
const TITLE: &str = "leveret data directory, format ";

/// The format that this version writes.
pub(super) const FORMAT: u32 = 1;

/// What a fresh volume has in it.
const FILE_SYSTEMS_OWN: &str = "lost+found";

/// An open data directory. Others are kept out until it is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    _lock: File,
}

impl Directory {
    /// Opens a directory, or makes one.
    ///
    /// # Errors
    /// It can't be written, another broker has it, it holds something else, or is of a later version.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        make(dir).map_err(|error| StoreError::io("create", dir, error))?;
        let path = dir.join(MARKER);
        check_ours(dir, &path)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|error| StoreError::io("open", &path, error))?;
        lock(dir, &path, &file)?;
        if read_format(dir, &path, &mut file)?.is_none() {
            write_format(dir, &mut file)
                .map_err(|error| StoreError::io("write to", &path, error))?;
        }
        Ok(Self { _lock: file })
    }

    /// Opens a directory that is there, and changes nothing in it.
    ///
    /// # Errors
    /// As [`Directory::open`], and it is not there.
    pub(super) fn open_existing(dir: &Path) -> Result<Self, StoreError> {
        fs::read_dir(dir).map_err(|error| StoreError::io("open", dir, error))?;
        let path = dir.join(MARKER);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = format!("there is no {MARKER} in it");
                return Err(StoreError::Foreign { path: dir.to_owned(), found });
            }
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        lock(dir, &path, &file)?;
        if read_format(dir, &path, &mut file)?.is_none() {
            let found = format!("{MARKER} is empty");
            return Err(StoreError::Foreign { path: dir.to_owned(), found });
        }
        Ok(Self { _lock: file })
    }
}

fn lock(dir: &Path, path: &Path, file: &File) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

/// Makes a directory that nobody else can look into: messages lie there.
fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    make_private(dir)?;
    // So that its name outlives a power loss, too. Not every system lets a directory be synced.
    if let Some(above) = dir.canonicalize()?.parent() {
        let _ = File::open(above).and_then(|above| above.sync_all());
    }
    Ok(())
}

/// A directory without the marker may hold nothing else.
fn check_ours(dir: &Path, marker: &Path) -> Result<(), StoreError> {
    if marker.exists() {
        return Ok(());
    }
    let failed = |error| StoreError::io("list", dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != FILE_SYSTEMS_OWN {
            let found = format!("it holds {}", name.to_string_lossy());
            return Err(StoreError::Foreign { path: dir.to_owned(), found });
        }
    }
    Ok(())
}

/// The format that the marker names; `None` if nobody wrote it yet.
fn read_format(dir: &Path, path: &Path, file: &mut File) -> Result<Option<u32>, StoreError> {
    let mut text = String::new();
    let read = file.take(1024).read_to_string(&mut text);
    match read {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(error) => return Err(StoreError::io("read", path, error)),
    }
    let format = text.strip_prefix(TITLE).and_then(|rest| rest.trim_end().parse().ok());
    let path = PathBuf::from(dir);
    match format {
        Some(FORMAT) => Ok(Some(FORMAT)),
        Some(found) if found > FORMAT => Err(StoreError::Newer { path, found, known: FORMAT }),
        _ => Err(StoreError::Foreign { path, found: format!("{MARKER} says something else") }),
    }
}

fn write_format(dir: &Path, file: &mut File) -> io::Result<()> {
    writeln!(file, "{TITLE}{FORMAT}")?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}
