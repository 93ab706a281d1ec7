//! Moments that are written down: when a message expires, when it is due, when it died.

use std::time::{Duration, Instant};

/// A moment in milliseconds since 1970.
///
/// It follows the monotonic clock from where the wall clock stood when the broker started, so a wall
/// clock that is set anew moves no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment that many milliseconds later.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Whole seconds since 1970, as AMQP's timestamps count.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// Ties the monotonic clock to the calendar, once for a broker's life.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    origin: Instant,
    milliseconds: u64,
}

impl Epoch {
    /// At `origin` the calendar stood at `milliseconds` since 1970.
    pub fn new(origin: Instant, milliseconds: u64) -> Self {
        Self { origin, milliseconds }
    }

    /// The moment of a clock reading.
    pub fn timestamp(&self, now: Instant) -> Timestamp {
        let since = now.saturating_duration_since(self.origin);
        let milliseconds = since.as_secs() * 1000 + u64::from(since.subsec_millis());
        Timestamp(self.milliseconds + milliseconds)
    }

    /// The clock reading at which a moment has come, for timers; `None` if no clock will show it.
    pub fn instant(&self, at: Timestamp) -> Option<Instant> {
        if at == Timestamp::NEVER {
            return None;
        }
        let since = Duration::from_millis(at.0.saturating_sub(self.milliseconds));
        self.origin.checked_add(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an origin to count from")]
    fn moments_and_clock_readings_turn_into_each_other() {
        let origin = Instant::now();
        let epoch = Epoch::new(origin, 5_000);
        let later = origin + Duration::from_millis(1_250);
        assert_eq!(epoch.timestamp(later), Timestamp(6_250));
        assert_eq!(epoch.instant(Timestamp(6_250)), Some(later));
        assert_eq!(epoch.instant(Timestamp(17)), Some(origin), "what is past is due at once");
        assert_eq!(epoch.instant(Timestamp::NEVER), None);
        assert_eq!(Timestamp(6_250).seconds(), 6);
        assert_eq!(Timestamp(1).after(u64::MAX), Timestamp::NEVER);
    }
}
