//! The time of a run: nanoseconds since it began.

use std::time::{Duration, Instant};

/// Counts nanoseconds from its making, by a clock that it was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: fn() -> Instant,
    epoch: Instant,
}

/// Nanoseconds since a run began.
pub(super) type Nanos = u64;

impl Clock {
    pub(super) fn new(now: fn() -> Instant) -> Self {
        Self { now, epoch: now() }
    }

    pub(super) fn nanos(&self) -> Nanos {
        nanos((self.now)() - self.epoch)
    }
}

/// A duration as a number; half a millennium is for ever.
pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as seconds, for rates.
pub(super) fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}
