//! What a process uses of the machine, as Linux tells it in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::io;

use serde::Serialize;

use super::PerfError;

/// What a process used while something ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProcessUse {
    /// Its id.
    pub pid: u32,
    /// Processor time, user and system, in seconds.
    pub cpu_seconds: f64,
    /// The same for each message, in microseconds.
    pub cpu_us_per_message: f64,
    /// Resident memory at the start, in bytes.
    pub rss_start: u64,
    /// Resident memory at the end, in bytes.
    pub rss: u64,
    /// The most resident memory that was seen, in bytes; it is looked at once a second.
    pub rss_peak: u64,
    /// Bytes that it had written to disk.
    pub written: u64,
}

/// By how many seconds a time in ticks may be too long: one of user and one of system time.
const TICKS: f64 = 0.02;

/// Watches a process.
#[derive(Debug)]
pub(super) struct Watch {
    pid: u32,
    start: Sample,
    rss_peak: u64,
}

#[derive(Debug)]
struct Sample {
    cpu: Cpu,
    written: u64,
    rss: u64,
}

/// Processor time of a process so far.
#[derive(Debug)]
struct Cpu {
    /// User and system time of all threads it has had, in steps of the system's tick (10 ms).
    seconds: f64,
    /// Nanoseconds that each thread it has now has run for. Empty where the system does not count them.
    threads: HashMap<u32, u64>,
}

impl Watch {
    /// Starts from what it has used so far.
    pub(super) fn start(pid: u32) -> Result<Self, PerfError> {
        let start = Sample::of(pid)?;
        Ok(Self { pid, rss_peak: start.rss, start })
    }

    /// Looks at its memory. If it can't be seen any more, the end of the run says so.
    pub(super) fn look(&mut self) {
        if let Ok(rss) = resident(self.pid) {
            self.rss_peak = self.rss_peak.max(rss);
        }
    }

    pub(super) fn finish(&self, messages: u64) -> Result<ProcessUse, PerfError> {
        let end = Sample::of(self.pid)?;
        let cpu_seconds = end.cpu.since(&self.start.cpu);
        Ok(ProcessUse {
            pid: self.pid,
            cpu_seconds,
            cpu_us_per_message: cpu_seconds * 1e6 / messages.max(1) as f64,
            rss_start: self.start.rss,
            rss: end.rss,
            rss_peak: self.rss_peak.max(end.rss),
            written: end.written - self.start.written,
        })
    }
}

impl Sample {
    fn of(pid: u32) -> Result<Self, PerfError> {
        let read = || Ok(Self { cpu: Cpu::of(pid)?, written: written(pid)?, rss: resident(pid)? });
        read().map_err(|source| PerfError::Process { pid, source })
    }
}

impl Cpu {
    fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let seconds =
            parse_cpu(&stat, rustix::param::clock_ticks_per_second()).ok_or_else(|| odd("stat"))?;
        let threads = fs::read_dir(format!("/proc/{pid}/task"))?
            .filter_map(|thread| {
                let thread = thread.ok()?;
                let ran = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                let ran = ran.split_ascii_whitespace().next()?.parse().ok()?;
                Some((thread.file_name().to_str()?.parse().ok()?, ran))
            })
            .collect();
        Ok(Self { seconds, threads })
    }

    /// Seconds between two looks. They are counted by thread, to the nanosecond, unless threads have ended and taken
    /// their counts along: those that were there, or, where the ticks tell of more, others in between.
    fn since(&self, start: &Self) -> f64 {
        let all_are_there = start.threads.keys().all(|thread| self.threads.contains_key(thread));
        let ran = |(thread, now): (&u32, &u64)| {
            now.saturating_sub(start.threads.get(thread).copied().unwrap_or(0))
        };
        let of_threads = self.threads.iter().map(ran).sum::<u64>() as f64 / 1e9;
        let in_ticks = self.seconds - start.seconds;
        if all_are_there && in_ticks <= of_threads + TICKS { of_threads } else { in_ticks }
    }
}

/// User and system time of a `stat` line. The name before may have any characters, but ends with the last `)`.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / ticks_per_second as f64)
}

fn written(pid: u32) -> io::Result<u64> {
    let io = match fs::read_to_string(format!("/proc/{pid}/io")) {
        // Another user's process: its other figures are public.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(0),
        io => io?,
    };
    number_after(&io, "write_bytes:").ok_or_else(|| odd("io"))
}

fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    // A process that has ended and was not waited for has no memory.
    Ok(number_after(&status, "VmRSS:").unwrap_or(0) * 1024)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn odd(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} of the process is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_spaces_and_brackets() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(parse_cpu(stat, 100), Some(3.0));
    }

    #[test]
    fn processor_time_is_counted_by_thread_while_they_are_all_there() {
        let cpu = |seconds, threads: &[(u32, u64)]| Cpu {
            seconds,
            threads: threads.iter().copied().collect(),
        };
        let start = cpu(1.0, &[(7, 500), (8, 1_000_000)]);
        assert_eq!(cpu(1.01, &[(7, 600), (8, 2_000_000), (9, 900)]).since(&start), 1.001e-3);
        assert_eq!(cpu(1.5, &[(7, 600)]).since(&start), 0.5, "thread 8 has ended");
        assert_eq!(cpu(1.5, &[]).since(&cpu(1.0, &[])), 0.5, "not counted by the system");
        let end = cpu(1.5, &[(7, 600), (8, 2_000_000)]);
        assert_eq!(end.since(&start), 0.5, "others came and went");
    }

    #[test]
    fn nobody_has_no_figures() {
        let error = Watch::start(u32::MAX).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the figures of process 4294967295: "), "{error}");
        assert!(Watch::start(std::process::id()).unwrap().finish(1).unwrap().rss > 0);
    }
}
