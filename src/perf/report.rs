//! What came of a run.

use std::fmt;

use serde::Serialize;

use super::{Percentiles, ProcessUse, Verified};

/// What came of a run. `Display` is for people, the fields are for JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One, or two for a drain: what was published, and what was consumed.
    pub phases: Vec<Phase>,
    /// What the inspection of all arrivals found, if it was asked for.
    pub verified: Option<Verified>,
    /// What went wrong in a run that came to an end all the same.
    pub problem: Option<String>,
}

/// What came of a phase.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// `run`, or `publish` and `drain`.
    pub name: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Publishes.
    pub sent: u64,
    /// Publishes that were confirmed; nothing where that was not asked for.
    pub confirmed: Option<u64>,
    /// Publishes that the broker refused.
    pub nacked: u64,
    /// Mandatory publishes that came back.
    pub returned: u64,
    /// Deliveries.
    pub received: u64,
    /// Publishes a second, up to the last.
    pub send_rate: f64,
    /// Confirms a second, up to the last.
    pub confirm_rate: Option<f64>,
    /// Deliveries a second, up to the last.
    pub receive_rate: f64,
    /// The most publishes of one producer that waited for confirms.
    pub unconfirmed_max: usize,
    /// How long confirms took, in microseconds.
    pub confirm_latency_us: Option<Percentiles>,
    /// How long messages took from producer to consumer, in microseconds.
    pub latency_us: Option<Percentiles>,
    /// What the watched processes used.
    pub processes: Vec<ProcessUse>,
    /// What the load generator used itself.
    pub generator: ProcessUse,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phases.iter().try_for_each(|phase| write!(f, "{phase}"))?;
        match &self.verified {
            Some(verified) => writeln!(f, "verified: {verified}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {:.2} s", self.name, self.seconds)?;
        if self.sent > 0 {
            writeln!(f, "  sent       {:>11} {:>10.0}/s", self.sent, self.send_rate)?;
        }
        if let (Some(confirmed), Some(rate)) = (self.confirmed, self.confirm_rate) {
            writeln!(f, "  confirmed  {confirmed:>11} {rate:>10.0}/s")?;
        }
        for (name, count) in [("refused", self.nacked), ("returned", self.returned)] {
            if count > 0 {
                writeln!(f, "  {name:<10} {count:>11}")?;
            }
        }
        if self.received > 0 {
            writeln!(f, "  received   {:>11} {:>10.0}/s", self.received, self.receive_rate)?;
        }
        for (name, latency) in
            [("confirm latency", self.confirm_latency_us), ("latency", self.latency_us)]
        {
            if let Some(Percentiles { min, median, p95, p99, p999, max }) = latency {
                writeln!(
                    f,
                    "  {name}, µs: min {min:.0}, median {median:.0}, 95th {p95:.0}, 99th {p99:.0}, \
                     99.9th {p999:.0}, max {max:.0}"
                )?;
            }
        }
        for process in &self.processes {
            writeln!(f, "  process {process}")?;
        }
        writeln!(
            f,
            "  load generator: {:.2} s of processor, {:.2} µs a message",
            self.generator.cpu_seconds, self.generator.cpu_us_per_message
        )
    }
}

impl fmt::Display for ProcessUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        write!(
            f,
            "{}: {:.2} s of processor, {:.2} µs a message, {:.1} MiB resident (at most {:.1}), {:.1} MiB \
             written to disk",
            self.pid,
            self.cpu_seconds,
            self.cpu_us_per_message,
            mib(self.rss),
            mib(self.rss_peak),
            mib(self.written)
        )
    }
}
