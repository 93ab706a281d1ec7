//! The one place that reads the clock.
#![expect(clippy::disallowed_methods, reason = "somebody has to; everybody else is told the time")]

use std::time::{Duration, Instant, SystemTime};

use crate::broker::time::Epoch;

/// The time, on the runtime's clock: in a test that pauses it, so does this.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since 1970 by the system's calendar, which certificates are good for.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Ties the clock to the calendar, for a broker that starts now.
pub fn epoch() -> Epoch {
    Epoch::new(now(), u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX))
}
