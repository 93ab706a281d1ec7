//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why a store can't be opened, or can't go on. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried: "open", "write to", "sync".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another broker has it.
    #[error(
        "{path} is in use by another broker; stop that one, or choose another directory with \
         --data-dir", path = path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error(
        "{path} is not a leveret data directory: {found}; choose an empty directory with --data-dir",
        path = path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What gave it away.
        found: String,
    },
    /// It was written by a later version.
    #[error(
        "{path} was written by a newer leveret (format {found}, this one knows {known}); start that \
         one, or choose another directory with --data-dir", path = path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// Bytes that nobody wrote so.
    #[error("{path} is damaged at byte {offset}: {what}; restore it from a backup, or move it away", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// There is no index, and not all of the log is there.
    #[error(
        "{path} has no index, and without one the log from segment {missing} on would be needed: restore \
         the directory from a backup, or run 'leveret store rebuild {path}', which makes an index of \
         what there is", path = path.display()
    )]
    NoIndex {
        /// The data directory.
        path: PathBuf,
        /// The first segment that is gone.
        missing: u32,
    },
    /// There is an index, and it can't be opened.
    #[error(
        "the index of {path} is damaged: {what}; restore the directory from a backup, or run \
         'leveret store rebuild {path}', which makes a new one", path = path.display()
    )]
    DamagedIndex {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The index could not be read or written.
    #[error("the index in {path} failed: {what}", path = path.display())]
    Index {
        /// Its directory.
        path: PathBuf,
        /// What it said.
        what: String,
    },
}

impl StoreError {
    /// An error of the system, about a file.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// What an error of the index means when it is opened, in this data directory.
    pub(super) fn of_index(self, dir: &Path) -> Self {
        match self {
            Self::Index { what, .. } => Self::DamagedIndex { path: dir.to_owned(), what },
            other => other,
        }
    }

    /// Whether a file was not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether there was no room left on the disk.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }

    /// Whether no more files could be opened: clients, or other processes, have too many.
    pub fn is_out_of_files(&self) -> bool {
        let of_files = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source
            .raw_os_error()
            .is_some_and(|code| of_files.contains(&code)))
    }

    /// Whether the system was short of something, room or files: what is to be tried again later.
    pub fn is_shortage(&self) -> bool {
        self.is_disk_full() || self.is_out_of_files()
    }
}
