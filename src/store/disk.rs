//! The file calls that the log makes, behind traits so that a test can crash it at any of them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing in it is changed.
    Read,
    /// It is read and written.
    ReadWrite,
}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory, and those above it, unless they are there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names of what lies in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes an empty file, to be read and written. One that is there already is an error.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that is there.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file. Whoever has it open can go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns when the names in a directory outlive a power loss: files that were created, removed
    /// and renamed.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that can still be written to files in a directory.
    fn available_space(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. There is no position in it: every call says where, so threads can share it.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all of `bytes`. When it fails, some of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `into`, or fails with [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file off, or fills it up with zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Returns when everything written before outlives a power loss, together with the length. Not
    /// the file's name: see [`Disk::sync_dir`].
    fn sync(&self) -> io::Result<()>;
}

/// Makes a directory, and those above it, unless they are there: for its owner alone.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The same for one within the data directory, which may have been there before and be open to others: messages and
/// hashes of passwords lie in it. One that an earlier version left open is closed; another owner's stays as it is.
pub(super) fn make_private_within(dir: &Path) -> io::Result<()> {
    make_private(dir)?;
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    Ok(())
}

/// How to write a file that, if it is made, is for its owner alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// The system's files.
#[derive(Debug, Default, Clone, Copy)]
pub struct FsDisk;

impl Disk for FsDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        make_private_within(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| {
            let name = entry?.file_name();
            Ok(name.to_string_lossy().into_owned())
        });
        names.collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = private().read(true).create_new(true).open(path)?;
        Ok(Arc::new(FsFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let write = access == Access::ReadWrite;
        Ok(Arc::new(FsFile(OpenOptions::new().read(true).write(write).open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn available_space(&self, dir: &Path) -> io::Result<u64> {
        fs4::available_space(dir)
    }
}

/// A file of the system.
#[derive(Debug)]
struct FsFile(File);

impl DiskFile for FsFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
