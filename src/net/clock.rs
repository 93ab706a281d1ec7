//! The one place that reads the clock.
#![expect(clippy::disallowed_methods, reason = "somebody has to; everybody else is told the time")]

use std::time::{Instant, SystemTime};

use crate::broker::time::Epoch;

/// The time, on the runtime's clock: in a test that pauses it, so does this.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Ties the clock to the calendar, for a broker that starts now.
pub fn epoch() -> Epoch {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Epoch::new(now(), u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
