//! What an idle broker gives back of the memory that is resident for it, and a busy one keeps.
//!
//! Two things stay resident though nobody uses them: what the allocator keeps of messages that have left (the memory
//! of a thread only shrinks from its end, so one small piece there keeps hundreds of megabytes), and the program's
//! own pages, which the system maps 64 KiB at a time around each that is used, most of them for the start. Both are
//! cheap to have again: a fault each, which reads nothing while the system has the file in its cache. To give them back holds up who allocates meanwhile, so it is
//! done when there is nothing else to do.

use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::ops::Range;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often it is looked at.
const PAUSE: Duration = Duration::from_secs(5);

/// A broker that used no more of the processor in a pause has nothing to do.
const QUIET: Duration = Duration::from_millis(50);

/// What must have become resident to be worth it, in bytes.
const GROWTH: u64 = 8 << 20;

/// A broker that used so much of the processor may have let go of what was still needed the last time.
const WORK: Duration = Duration::from_secs(1);

/// Buffers of large messages up to so many bytes come from the heap, and are taken from it again for the next one. What
/// comes from the system each time has to be cleared by it each time.
const BUFFER: i32 = 4 << 20;

/// The heap of a thread keeps so many bytes at its end that are free, rather than to give them back with every message
/// that leaves.
const KEPT: i32 = 64 << 20;

/// Has the allocator keep what a busy broker will need again in a moment. To be called once it has started: of the
/// large tables that the start makes, pages that nobody writes to cost nothing as long as they are the system's own.
pub(super) fn keep_while_busy() {
    system::set_heap(BUFFER, KEPT);
}

/// Gives memory back whenever the broker has become idle, without end.
pub(super) async fn give_back_when_idle() -> Infallible {
    let mut idle = Idle::new(processor_time(), resident().unwrap_or(0));
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(resident_now) = resident() else { return pending().await };
        if idle.is_time(processor_time(), resident_now)
            && tokio::task::spawn_blocking(give_back).await.is_ok()
        {
            idle.given_back(processor_time(), resident().unwrap_or(resident_now));
        }
    }
}

/// Gives back what can be had again. It takes a millisecond, and tens of them for each 100 MB that are free; who
/// allocates from the same part of the heap waits meanwhile.
pub(super) fn give_back() {
    system::trim_heap();
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for pages in program_pages(&maps) {
        system::unmap(pages);
    }
}

/// What was seen last.
#[derive(Debug)]
struct Idle {
    /// Processor time of the whole process.
    processor: Duration,
    /// The same when memory was last given back.
    processor_then: Duration,
    /// Bytes that were resident after that.
    kept: u64,
    /// The fewest that ever were.
    least: u64,
}

impl Idle {
    fn new(processor: Duration, resident: u64) -> Self {
        Self { processor, processor_then: processor, kept: resident, least: resident }
    }

    /// Whether memory is to be given back, a pause after the last look.
    fn is_time(&mut self, processor: Duration, resident: u64) -> bool {
        let used = processor.saturating_sub(self.processor);
        self.processor = processor;
        // What has become less has to grow from there.
        self.kept = self.kept.min(resident);
        self.least = self.least.min(resident);
        let has_grown = resident >= self.kept + GROWTH;
        let has_worked = processor.saturating_sub(self.processor_then) >= WORK;
        used <= QUIET && (has_grown || has_worked && resident >= self.least + GROWTH)
    }

    fn given_back(&mut self, processor: Duration, resident: u64) {
        (self.processor_then, self.kept) = (processor, resident);
    }
}

/// User and system time of the process so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Bytes of resident memory; None where there is no `/proc`.
fn resident() -> Option<u64> {
    let pages: u64 = fs::read_to_string("/proc/self/statm")
        .ok()?
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Where the code of the program and of its libraries lies, in what `/proc/self/smaps` says: pages of files that are
/// run and not written. One that differs from its file, because a debugger has put something there, is left alone.
fn program_pages(smaps: &str) -> Vec<Range<usize>> {
    let mut pages = Vec::new();
    let mut code = None;
    for line in smaps.lines() {
        if let Some(anonymous) = line.strip_prefix("Anonymous:") {
            pages.extend(code.take().filter(|_| anonymous.trim() == "0 kB"));
        } else if let Some(mapping) = mapping(line) {
            code = mapping;
        }
    }
    pages
}

/// The first line of a mapping, `55d0-55e0 r-xp 00251000 fe:00 123   /usr/bin/leveret`: where it lies if it is code of
/// a file. None if the line is another one.
fn mapping(line: &str) -> Option<Option<Range<usize>>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let is_code = fields.next()? == "r-xp";
    let of_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((is_code && of_file).then_some(start..end))
}

/// The calls that the compiler cannot vouch for.
#[allow(unsafe_code, reason = "the standard library has no way to give memory back")]
mod system {
    use std::ops::Range;

    use rustix::mm::{Advice, madvise};

    /// Sets from how many bytes on a piece is one of the system's own, and how many free ones the heap may end in.
    #[cfg(target_env = "gnu")]
    pub(super) fn set_heap(mapped_from: i32, end_max: i32) {
        // SAFETY: it sets two numbers, under the lock of the allocator.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, mapped_from);
            libc::mallopt(libc::M_TRIM_THRESHOLD, end_max);
        }
    }

    /// mimalloc, the allocator of the static build, keeps what was used a moment ago.
    #[cfg(not(target_env = "gnu"))]
    pub(super) fn set_heap(_mapped_from: i32, _end_max: i32) {}

    /// Gives back whole free pages of the heap, of all threads.
    #[cfg(target_env = "gnu")]
    pub(super) fn trim_heap() {
        // SAFETY: it takes the locks of the allocator, as `malloc` does, and touches only what is free.
        unsafe { libc::malloc_trim(0) };
    }

    /// mimalloc, the allocator of the static build, gives pages back by itself.
    #[cfg(not(target_env = "gnu"))]
    pub(super) fn trim_heap() {}

    /// Lets go of pages of the program's code. What the system refuses stays resident.
    pub(super) fn unmap(code: Range<usize>) {
        // SAFETY: the range is one of code that is mapped from a file and is as it is there: each page comes back
        // from the file as it was when it is next used. It is still that since it was looked up, as no library is
        // unloaded while the process runs.
        let _ = unsafe {
            madvise(
                std::ptr::with_exposed_provenance_mut(code.start),
                code.len(),
                Advice::LinuxDontNeed,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn memory_is_given_back_once_nothing_is_to_be_done() {
        let mut idle = Idle::new(seconds(1.0), 10 * MIB);
        assert!(!idle.is_time(seconds(4.0), 700 * MIB), "busy");
        assert!(!idle.is_time(seconds(4.06), 700 * MIB), "busy");
        assert!(idle.is_time(seconds(4.07), 700 * MIB), "idle");
    }

    #[test]
    fn what_is_still_in_use_is_not_looked_for_again() {
        let mut idle = Idle::new(seconds(1.0), 10 * MIB);
        idle.given_back(seconds(1.0), 600 * MIB);
        assert!(!idle.is_time(seconds(1.0), 607 * MIB));
        assert!(idle.is_time(seconds(1.0), 608 * MIB), "it has grown");
        assert!(!idle.is_time(seconds(1.0), 20 * MIB), "it was let go");
        assert!(idle.is_time(seconds(1.0), 28 * MIB), "counted from there");
    }

    /// A backlog was there when the broker rested, and is drained later.
    #[test]
    fn what_was_in_use_then_and_is_not_any_more_is_given_back() {
        let mut idle = Idle::new(seconds(1.0), 10 * MIB);
        idle.given_back(seconds(5.0), 600 * MIB);
        assert!(!idle.is_time(seconds(7.0), 600 * MIB), "it is being drained");
        assert!(idle.is_time(seconds(7.0), 600 * MIB), "it was");
        idle.given_back(seconds(7.01), 550 * MIB);
        assert!(!idle.is_time(seconds(7.02), 550 * MIB), "nothing was done since");
        idle.given_back(seconds(7.02), 17 * MIB);
        assert!(!idle.is_time(seconds(9.0), 17 * MIB) && !idle.is_time(seconds(9.0), 17 * MIB));
    }

    #[test]
    fn code_of_files_is_found() {
        let smaps = "\
            1000-2000 r--p 00000000 fe:00 7   /usr/bin/leveret\nRss: 4 kB\nAnonymous:             0 kB\n\
            2000-4000 r-xp 00001000 fe:00 7   /usr/bin/leveret\nRss: 8 kB\nAnonymous:             0 kB\n\
            4000-5000 r-xp 00001000 fe:00 8   /usr/lib/a debugger was here.so\nAnonymous:       4 kB\n\
            5000-6000 rw-p 00000000 00:00 0   [heap]\nAnonymous:             4 kB\n\
            6000-7000 r-xp 00000000 00:00 0   [vdso]\nAnonymous:             0 kB\n\
            7000-8000 r-xp 00000000 00:00 0 \nAnonymous:             0 kB\n\
            a000-b000 r-xp 00000000 fe:00 9   /usr/lib/libc.so.6\nAnonymous:             0 kB\n";
        assert_eq!(program_pages(smaps), [0x2000..0x4000, 0xa000..0xb000]);
        assert!(program_pages("").is_empty());
    }

    #[test]
    fn the_program_runs_on_without_its_pages() {
        let own = fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(!program_pages(&own).is_empty());
        give_back();
        assert!(processor_time() > Duration::ZERO);
        assert!(resident().unwrap() > 0);
    }
}
