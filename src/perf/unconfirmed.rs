//! The publishes of a channel that wait for their confirms.

use std::collections::VecDeque;

use super::clock::Nanos;
use super::latency::{Latency, Recorder};

/// The publishes of a channel that wait for their confirms, by delivery tag.
///
/// A confirm of all up to a tag costs what it confirms; one out of order is found at once by its number.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// When each was sent, from the oldest that waits; [`SETTLED`] for those confirmed out of order.
    sent: VecDeque<Nanos>,
    /// The tag of the oldest.
    first: u64,
    /// Those in `sent` that are not settled.
    waiting: usize,
}

const SETTLED: Nanos = Nanos::MAX;

impl Unconfirmed {
    pub(super) fn new() -> Self {
        Self { first: 1, ..Self::default() }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Notes publishes that are being sent.
    pub(super) fn push(&mut self, sent: Nanos, messages: usize) {
        self.sent.extend(std::iter::repeat_n(sent, messages));
        self.waiting += messages;
    }

    /// Notes a confirm, records how long each publish waited, and says how many it settled.
    pub(super) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        now: Nanos,
        latency: &mut Latency,
    ) -> u64 {
        let mut settled = Recorder::new(now, latency);
        if multiple {
            // 0 is all.
            while self.first <= tag || tag == 0 {
                let Some(sent) = self.sent.pop_front() else { break };
                self.first += 1;
                if sent != SETTLED {
                    settled.add(sent);
                }
            }
        } else if let Some(at) = tag.checked_sub(self.first)
            && let Ok(at) = usize::try_from(at)
            && let Some(sent) = self.sent.get_mut(at)
            && *sent != SETTLED
        {
            settled.add(std::mem::replace(sent, SETTLED));
        }
        let count = settled.finish();
        while self.sent.front() == Some(&SETTLED) {
            self.sent.pop_front();
            self.first += 1;
        }
        self.waiting -= usize::try_from(count).unwrap_or(0);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_come_one_by_one_and_in_lots_and_out_of_order() {
        let mut unconfirmed = Unconfirmed::new();
        let mut latency = Latency::default();
        unconfirmed.push(10_000, 3);
        unconfirmed.push(20_000, 2);
        assert_eq!(unconfirmed.settle(2, false, 30_000, &mut latency), 1);
        assert_eq!(unconfirmed.len(), 4);
        assert_eq!(unconfirmed.settle(2, false, 30_000, &mut latency), 0, "settled before");
        assert_eq!(unconfirmed.settle(9, false, 30_000, &mut latency), 0, "never published");
        assert_eq!(unconfirmed.settle(1, false, 30_000, &mut latency), 1);
        assert_eq!(unconfirmed.settle(4, true, 30_000, &mut latency), 2);
        assert_eq!(unconfirmed.settle(4, true, 30_000, &mut latency), 0);
        assert_eq!(unconfirmed.settle(0, true, 50_000, &mut latency), 1);
        assert_eq!(unconfirmed.len(), 0);
        let Some(percentiles) = latency.percentiles() else { panic!("nothing recorded") };
        assert!((9.9..10.1).contains(&percentiles.min), "{percentiles:?}");
        assert!((29.9..30.1).contains(&percentiles.max), "{percentiles:?}");
    }
}
