//! A folder for a copy that is needed for a while.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// A folder of its own under the system's temporary one (`TMPDIR`), removed when dropped.
#[derive(Debug)]
pub(super) struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes an empty one, which nobody else can look into.
    pub(super) fn new() -> Result<Self, StoreError> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("leveret-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Self(path))
    }

    /// Copies a folder with all that is in it, if it is there, to one of that name in here.
    pub(super) fn copy_of(&self, folder: &Path, name: &str) -> Result<PathBuf, StoreError> {
        let copy = self.0.join(name);
        if folder.exists() {
            let copied = copy_folder(folder, &copy);
            copied.map_err(|error| StoreError::io("copy", folder, error))?;
        }
        Ok(copy)
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What is left behind costs some space and harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
