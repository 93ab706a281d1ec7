//! Files that only their owner is to read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file, in the place of one that is there. A new one is for its owner alone: definitions have
/// hashes of passwords.
///
/// # Errors
/// As the system says.
pub(super) fn write_private(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
