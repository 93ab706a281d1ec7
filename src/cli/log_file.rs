//! The file that the log is in: put aside when it is large or old, and begun anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::config::{LogConfig, LogRotation};

/// The file that the log is in. Lines go to the system one by one, whole.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_size: u64,
    rotation: LogRotation,
    keep: usize,
    /// Tells the time since 1970.
    clock: fn() -> Duration,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// When it is put aside at the latest, since 1970.
    until: Option<Duration>,
}

impl LogFile {
    /// Opens the file, and goes on behind what is in it.
    pub(super) fn open(path: &Path, log: &LogConfig, clock: fn() -> Duration) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let (file, size) = append_to(path)?;
        // An earlier process may have missed the time of what it left.
        let since = match size {
            0 => clock(),
            _ => written_at(&file)?.min(clock()),
        };
        let until = log.file_rotation.next(since);
        Ok(Self {
            path: path.to_owned(),
            max_size: log.file_max_size,
            rotation: log.file_rotation,
            keep: log.file_keep,
            clock,
            open: Mutex::new(Open { file, size, until }),
        })
    }

    /// Opens the file anew: who moved the old one away can have it.
    pub(super) fn reopen(&self) -> io::Result<()> {
        // Whoever puts the file aside meanwhile waits.
        let mut open = self.open.lock();
        let (file, size) = append_to(&self.path)?;
        (open.file, open.size) = (file, size);
        Ok(())
    }

    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock();
        // Without a size and a time there is nothing to ask.
        let is_old = open.until.is_some_and(|until| (self.clock)() >= until);
        let length = line.len() as u64;
        let is_large = self.max_size > 0 && open.size > 0 && open.size + length > self.max_size;
        if is_old || is_large {
            // A line counts more than how large its file is.
            if let Ok((file, size)) = self.put_aside().and_then(|()| append_to(&self.path)) {
                *open = Open { file, size, until: self.rotation.next((self.clock)()) };
            }
        }
        open.size += length;
        open.file.write_all(line)
    }

    /// `log` becomes `log.0`, `log.0` becomes `log.1`, and what is one too many goes. Somebody may have taken some of
    /// them away. Without a `log` the others stay where they are: it was put aside, and could not be begun anew.
    fn put_aside(&self) -> io::Result<()> {
        if !fs::exists(&self.path)? {
            return Ok(());
        }
        let Some(oldest) = self.keep.checked_sub(1) else {
            return unless_gone(fs::remove_file(&self.path));
        };
        for number in (0..oldest).rev() {
            unless_gone(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        unless_gone(fs::rename(&self.path, self.numbered(0)))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// When a file was written last, since 1970.
fn written_at(file: &File) -> io::Result<Duration> {
    let time = file.metadata()?.modified()?;
    Ok(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("leveret-log-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn open(&self, log: &LogConfig) -> LogFile {
            LogFile::open(&self.0.join("in/log"), log, || NOW.get()).unwrap()
        }

        /// The file, and what was put aside.
        fn texts(&self) -> Vec<String> {
            let name = |number: usize| match number {
                0 => "in/log".to_owned(),
                number => format!("in/log.{}", number - 1),
            };
            (0..).map_while(|number| fs::read_to_string(self.0.join(name(number))).ok()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write(mut log: &LogFile, line: &str) {
        log.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn a_large_file_is_put_aside_and_so_many_are_kept() {
        let folder = Folder::new("size");
        let rules = LogConfig { file_max_size: 10, file_keep: 2, ..LogConfig::default() };
        let log = folder.open(&rules);
        for line in ["one\n", "two\n", "three\n", "a line that is too long\n", "five\n"] {
            write(&log, line);
        }
        assert_eq!(folder.texts(), ["five\n", "a line that is too long\n", "three\n"]);
        // Another process goes on where the one before stopped.
        let log = folder.open(&rules);
        write(&log, "six\n");
        assert_eq!(folder.texts()[0], "five\nsix\n");
        let log = folder.open(&LogConfig { file_keep: 0, ..rules.clone() });
        write(&log, "seven\n");
        assert_eq!(folder.texts()[..2], ["seven\n", "a line that is too long\n"]);
        // Nothing is lost where the file is taken away, nor where it can't be put aside.
        fs::remove_file(folder.0.join("in/log")).unwrap();
        write(&log, "eight is here\n");
        assert_eq!(folder.texts()[0], "eight is here\n");
        let log = folder.open(&LogConfig { file_keep: 1, ..rules });
        fs::remove_file(folder.0.join("in/log.0")).unwrap();
        fs::create_dir(folder.0.join("in/log.0")).unwrap();
        write(&log, "nine\n");
        assert_eq!(folder.texts()[0], "eight is here\nnine\n");
    }

    #[test]
    fn what_was_put_aside_stays_while_no_file_can_be_begun() {
        let folder = Folder::new("gone");
        let rules = LogConfig { file_max_size: 4, file_keep: 3, ..LogConfig::default() };
        let log = folder.open(&rules);
        for line in ["one\n", "two\n"] {
            write(&log, line);
        }
        let gone = folder.0.join("gone");
        fs::rename(folder.0.join("in"), &gone).unwrap();
        // Neither is there a place for a file.
        for line in ["3\n", "4\n", "5\n"] {
            write(&log, line);
        }
        fs::rename(gone, folder.0.join("in")).unwrap();
        assert_eq!(folder.texts(), ["two\n3\n4\n5\n", "one\n"]);
        write(&log, "six\n");
        assert_eq!(folder.texts(), ["six\n", "two\n3\n4\n5\n", "one\n"]);
    }

    #[test]
    fn what_an_earlier_process_left_is_put_aside_if_its_time_has_come() {
        let folder = Folder::new("restart");
        let rules = LogConfig { file_rotation: LogRotation::Hourly(0), ..LogConfig::default() };
        write(&folder.open(&rules), "one\n");
        let left = File::options().append(true).open(folder.0.join("in/log")).unwrap();
        left.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(3599)).unwrap();
        NOW.set(Duration::from_secs(3601));
        write(&folder.open(&rules), "two\n");
        assert_eq!(folder.texts(), ["two\n", "one\n"]);
    }

    #[test]
    fn an_old_file_is_put_aside_at_its_time_and_a_moved_one_is_left_alone() {
        let folder = Folder::new("time");
        let rules = LogConfig { file_rotation: LogRotation::Hourly(0), ..LogConfig::default() };
        let log = folder.open(&rules);
        write(&log, "one\n");
        NOW.set(Duration::from_secs(3599));
        write(&log, "two\n");
        NOW.set(Duration::from_secs(3600));
        write(&log, "three\n");
        assert_eq!(folder.texts(), ["three\n", "one\ntwo\n"]);
        fs::rename(folder.0.join("in/log"), folder.0.join("in/moved")).unwrap();
        log.reopen().unwrap();
        write(&log, "four\n");
        assert_eq!(folder.texts()[0], "four\n");
    }
}
