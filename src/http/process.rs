//! What the system says of the process and its disk.

use std::fs;
use std::path::Path;

/// What the process uses, and may use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Bytes of resident memory.
    pub(super) memory: u64,
    /// Open file descriptors.
    pub(super) descriptors: u64,
    /// How many there may be.
    pub(super) descriptors_max: u64,
    /// Free bytes where durable state lies, or else in the working directory.
    pub(super) disk_free: u64,
    /// Threads.
    pub(super) threads: u64,
}

impl Usage {
    /// Asks the system. What it does not tell is 0.
    pub(super) fn now(data_dir: Option<&Path>) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            memory: number(&status, "VmRSS:") * 1024,
            threads: number(&status, "Threads:"),
            descriptors: descriptors(),
            descriptors_max: rustix::process::getrlimit(rustix::process::Resource::Nofile)
                .current
                .unwrap_or(u64::MAX),
            disk_free: disk_free(data_dir.unwrap_or(Path::new("."))),
        }
    }
}

/// The number in a line of `/proc/self/status`.
fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

fn disk_free(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |disk| disk.f_bavail * disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_behind_its_name() {
        let status = "Name:\tleveret\nVmRSS:\t   1234 kB\nThreads:\t7\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "Threads:")), (1234, 7));
        assert_eq!(number(status, "VmSwap:"), 0);
    }
}
