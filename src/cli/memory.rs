//! How much memory there is for this process.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory this process may use: the machine's, or less if its control groups say so. None
/// if that cannot be found out (there is no `/proc`).
pub(super) fn available() -> Option<u64> {
    available_under(Path::new("/"))
}

fn available_under(root: &Path) -> Option<u64> {
    let machine = machine_memory(&fs::read_to_string(root.join("proc/meminfo")).ok()?)?;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| {
        // "max", or no file, is no limit.
        fs::read_to_string(root.join(file)).ok()?.trim().parse().ok()
    });
    Some(limits.fold(machine, u64::min))
}

/// The first line of `/proc/meminfo`, `MemTotal:  24576000 kB`.
fn machine_memory(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Files that may hold a limit, for the groups listed in `/proc/self/cgroup` and all above them:
/// `0::/a/b` in version 2, `4:memory:/a/b` in version 1. In a container the listed path is often
/// one of the host that cannot be seen; then only the top has a file.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (top, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            "memory" => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = Path::new(top).join(group.trim_start_matches('/'));
        files
            .extend(group.ancestors().take_while(|dir| dir.starts_with(top)).map(|d| d.join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_its_memory_in_kib() {
        let meminfo = "MemTotal:       24576000 kB\nMemFree:        1 kB\n";
        assert_eq!(machine_memory(meminfo), Some(24_576_000 * 1024));
        assert_eq!(machine_memory("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn a_limit_may_be_set_on_any_group_up_to_the_top() {
        let names = |groups| limit_files(groups).iter().map(|f| f.display().to_string()).collect();
        let version_2: Vec<String> = names("0::/app/broker\n");
        assert_eq!(
            version_2,
            [
                "sys/fs/cgroup/app/broker/memory.max",
                "sys/fs/cgroup/app/memory.max",
                "sys/fs/cgroup/memory.max",
            ]
        );
        let version_1: Vec<String> = names("3:cpu,cpuacct:/x\n4:memory:/\nnonsense\n");
        assert_eq!(version_1, ["sys/fs/cgroup/memory/memory.limit_in_bytes"]);
    }

    #[test]
    fn without_proc_nothing_is_known() {
        assert_eq!(available_under(Path::new("/nowhere")), None);
    }
}
