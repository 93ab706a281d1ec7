//! The one place that reads the clock.
#![expect(clippy::disallowed_methods, reason = "somebody has to; everybody else is told the time")]

use std::time::Instant;

/// The time, on the runtime's clock: in a test that pauses it, so does this.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
