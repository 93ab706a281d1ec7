//! What whoever starts a scenario has a say in.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::PerfError;
use super::process::Watch;

/// What whoever starts a scenario has a say in.
pub struct Control<'a> {
    /// The clock.
    pub now: fn() -> Instant,
    /// Set to have it end early.
    pub stop: &'a AtomicBool,
    /// Told a line about once a second.
    pub progress: &'a mut dyn FnMut(&dyn Display),
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// How often somebody who wants to stop it is heard.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

impl Control<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits; until it is stopped, if that is earlier.
    pub(super) fn wait_until(&self, time: Instant) {
        loop {
            let left = time.saturating_duration_since((self.now)());
            if left.is_zero() || self.is_stopped() {
                return;
            }
            thread::sleep(left.min(STOP_INTERVAL));
        }
    }
}

/// Starts to watch all of these.
pub(super) fn watch_all(pids: &[u32]) -> Result<Vec<Watch>, PerfError> {
    pids.iter().map(|pid| Watch::start(*pid)).collect()
}
