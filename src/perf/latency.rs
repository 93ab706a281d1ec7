//! How long things took: a histogram, and what is told of it.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::clock::Nanos;

/// Latencies of up to an hour, to three digits.
#[derive(Debug, Clone)]
pub(super) struct Latency {
    histogram: Histogram<u64>,
}

/// How well short latencies are told apart, in nanoseconds.
const LOWEST: u64 = 64;

/// What takes longer counts as this.
const HIGHEST: u64 = 3_600_000_000_000;

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST, HIGHEST, 3);
        Self { histogram: histogram.expect("bounds and digits are within what the crate takes") }
    }
}

impl Latency {
    /// Records the same latency for several messages.
    #[inline]
    pub(super) fn record(&mut self, latency: Nanos, messages: u64) {
        self.histogram.saturating_record_n(latency, messages);
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds, which is all that could be wrong.
        let _ = self.histogram.add(&other.histogram);
    }

    pub(super) fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Nothing, if nothing was recorded.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        if self.histogram.is_empty() {
            return None;
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(self.histogram.value_at_quantile(quantile));
        Some(Percentiles {
            min: micros(self.histogram.min()),
            median: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(self.histogram.max()),
        })
    }
}

/// Records what arrives at one time. Messages that were sent at the same time are recorded in one go.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    now: Nanos,
    latency: &'a mut Latency,
    sent: Nanos,
    messages: u64,
    recorded: u64,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(now: Nanos, latency: &'a mut Latency) -> Self {
        Self { now, latency, sent: 0, messages: 0, recorded: 0 }
    }

    #[inline]
    pub(super) fn add(&mut self, sent: Nanos) {
        if sent != self.sent {
            self.flush();
            self.sent = sent;
        }
        self.messages += 1;
    }

    fn flush(&mut self) {
        if self.messages > 0 {
            self.latency.record(self.now.saturating_sub(self.sent), self.messages);
            self.recorded += self.messages;
            self.messages = 0;
        }
    }

    /// Records what is left, and says how many were recorded in all.
    pub(super) fn finish(mut self) -> u64 {
        self.flush();
        self.recorded
    }
}

/// A latency's distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The shortest.
    pub min: f64,
    /// Half took longer.
    pub median: f64,
    /// One in 20 took longer.
    pub p95: f64,
    /// One in 100 took longer.
    pub p99: f64,
    /// One in 1,000 took longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}
