//! One line a second.

use std::fmt;

use super::Percentiles;
use super::clock::{Nanos, seconds};
use super::tally::Tally;

/// What happened in the last second. `Display` is one line.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since the phase began.
    pub seconds: f64,
    /// Publishes a second.
    pub sent: f64,
    /// Confirms a second; nothing where none are asked for.
    pub confirmed: Option<f64>,
    /// Deliveries a second.
    pub received: f64,
    /// How long confirms took.
    pub confirm_latency_us: Option<Percentiles>,
    /// How long messages took from producer to consumer.
    pub latency_us: Option<Percentiles>,
    /// Why the broker reads no publishes.
    pub blocked: Option<String>,
}

impl Progress {
    pub(super) fn new(tally: &Tally, since_start: Nanos, interval: Nanos, confirms: bool) -> Self {
        let rate = |count: u64| count as f64 / seconds(interval.max(1));
        Self {
            seconds: seconds(since_start),
            sent: rate(tally.counts.sent),
            confirmed: confirms.then(|| rate(tally.counts.confirmed)),
            received: rate(tally.counts.received),
            confirm_latency_us: tally.confirm_latency.percentiles(),
            latency_us: tally.latency.percentiles(),
            blocked: tally.blocked.clone(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.1} s  sent {:>9.0}/s", self.seconds, self.sent)?;
        if let Some(confirmed) = self.confirmed {
            write!(f, "  confirmed {confirmed:>9.0}/s")?;
        }
        write!(f, "  received {:>9.0}/s", self.received)?;
        for (name, latency) in [("confirm", self.confirm_latency_us), ("latency", self.latency_us)]
        {
            if let Some(Percentiles { median, p99, .. }) = latency {
                write!(f, "  {name} median {median:.0} 99th {p99:.0} µs")?;
            }
        }
        match &self.blocked {
            Some(reason) => write!(f, "  blocked: {reason}"),
            None => Ok(()),
        }
    }
}
