//! When a publisher with a rate is due to publish.

use super::clock::Nanos;

/// A publisher's rate. It publishes in bursts, 10,000 a second at most: waking up costs more than a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    per_second: u64,
    started: Nanos,
}

/// Bursts are at least this far apart.
const BURST_INTERVAL: Nanos = 100_000;

/// What is later than this waited for the broker, not for the next burst.
const LATE: Nanos = 1_000_000;

impl Pace {
    pub(super) fn new(per_second: u64, started: Nanos) -> Self {
        Self { per_second, started }
    }

    /// How many publishes are due that were not sent yet.
    pub(super) fn due(&self, now: Nanos, sent: u64) -> u64 {
        let elapsed = u128::from(now.saturating_sub(self.started));
        let total = elapsed * u128::from(self.per_second) / 1_000_000_000 + 1;
        u64::try_from(total).unwrap_or(u64::MAX).saturating_sub(sent)
    }

    /// When to look again if `sent` were sent.
    pub(super) fn next(&self, now: Nanos, sent: u64) -> Nanos {
        self.due_at(sent).max(now + BURST_INTERVAL)
    }

    /// The time that messages sent now were sent at, for their latency. If the broker kept them back that is
    /// part of it.
    pub(super) fn sent_at(&self, now: Nanos, sent: u64) -> Nanos {
        let due = self.due_at(sent);
        if now.saturating_sub(due) > LATE { due } else { now }
    }

    /// When the publish after `sent` others is due.
    fn due_at(&self, sent: u64) -> Nanos {
        let after = u128::from(sent) * 1_000_000_000 / u128::from(self.per_second.max(1));
        self.started.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_rate_is_kept_over_time() {
        let pace = Pace::new(1_000, SECOND);
        assert_eq!(pace.due(SECOND, 0), 1);
        assert_eq!(pace.due(SECOND, 1), 0);
        assert_eq!(pace.next(SECOND, 1), SECOND + 1_000_000);
        assert_eq!(pace.due(2 * SECOND, 1), 1_000);
    }

    #[test]
    fn what_the_broker_kept_back_counts_from_when_it_was_due() {
        let pace = Pace::new(1_000, 0);
        assert_eq!(pace.sent_at(5_500_000, 5), 5_500_000);
        assert_eq!(pace.sent_at(SECOND, 5), 5_000_000);
    }
}
