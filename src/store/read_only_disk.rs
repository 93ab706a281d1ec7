//! The system's files, without a way to change them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile, FsDisk};

/// A disk that can only be read. What is to be written, cut off or removed stays as it is, and nobody
/// is told: so a recovery runs as it would, and leaves no trace.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ReadOnlyDisk;

impl Disk for ReadOnlyDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    /// A directory that is not there is as good as an empty one: it would have been made.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        match FsDisk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result,
        }
    }

    fn create(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(None)))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(Some(FsDisk.open(path, Access::Read)?))))
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn available_space(&self, dir: &Path) -> io::Result<u64> {
        FsDisk.available_space(dir)
    }
}

/// A file that can only be read; one that would have been made is empty.
#[derive(Debug)]
struct ReadOnlyFile(Option<Arc<dyn DiskFile>>);

impl DiskFile for ReadOnlyFile {
    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match &self.0 {
            Some(file) => file.read_at(offset, into),
            None if into.is_empty() => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.0.as_ref().map_or(Ok(0), |file| file.len())
    }

    fn truncate(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
