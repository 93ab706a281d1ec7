//! How many refused logins the log tells of one by one: who guesses passwords is not to fill a disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::host::Host;

/// Lines a second; the rest are counted.
const LINES_MAX: u32 = 20;

/// What lines are counted in.
const SPAN: Duration = Duration::from_secs(1);

/// The lines of the last second.
#[derive(Debug, Default)]
pub(super) struct RefusalLines(Mutex<Option<Span>>);

#[derive(Debug, Clone, Copy)]
struct Span {
    began: Instant,
    written: u32,
    held_back: u64,
}

impl Span {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= SPAN
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It is written, after the sum of what the second before held back.
    Written { held_back: u64 },
    /// It is held back, as the first one of its second or a further one.
    HeldBack { is_first: bool },
}

impl RefusalLines {
    fn admit(&self, now: Instant) -> Admission {
        let mut current = self.0.lock();
        match current.as_mut().filter(|span| !span.is_over(now)) {
            Some(span) if span.written >= LINES_MAX => {
                span.held_back += 1;
                Admission::HeldBack { is_first: span.held_back == 1 }
            }
            Some(span) => {
                span.written += 1;
                Admission::Written { held_back: 0 }
            }
            None => {
                let next = Span { began: now, written: 1, held_back: 0 };
                let before = current.replace(next);
                Admission::Written { held_back: before.map_or(0, |span| span.held_back) }
            }
        }
    }

    /// When what was held back is to be summed up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let current = *self.0.lock();
        current.filter(|span| span.held_back > 0).map(|span| span.began + SPAN)
    }

    /// What a second that is over held back.
    fn take_due(&self, now: Instant) -> u64 {
        let mut current = self.0.lock();
        match current.as_mut().filter(|span| span.is_over(now)) {
            Some(span) => std::mem::take(&mut span.held_back),
            None => 0,
        }
    }
}

fn sum_up(held_back: u64) {
    if held_back > 0 {
        tracing::warn!("{held_back} more logins were refused within a second");
    }
}

impl Host {
    /// Whether a refused login gets a line in the log now. Where it does not it is among those that one line
    /// sums up a second later.
    pub fn admits_refusal_line(&self, now: Instant) -> bool {
        match self.refusal_lines.admit(now) {
            Admission::Written { held_back } => {
                sum_up(held_back);
                true
            }
            Admission::HeldBack { is_first } => {
                if is_first {
                    self.timers.wake();
                }
                false
            }
        }
    }

    /// Sums up what was held back, once its second is over.
    pub(super) fn sum_up_refusals(&self, now: Instant) {
        sum_up(self.refusal_lines.take_due(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment does")]
    fn a_second_has_so_many_lines_and_the_rest_is_summed_up_when_it_is_over() {
        let lines = RefusalLines::default();
        let start = Instant::now();
        for _ in 0..LINES_MAX {
            assert_eq!(lines.admit(start), Admission::Written { held_back: 0 });
        }
        assert_eq!(lines.deadline(), None);
        assert_eq!(lines.admit(start), Admission::HeldBack { is_first: true });
        assert_eq!(lines.admit(start), Admission::HeldBack { is_first: false });
        assert_eq!(lines.deadline(), Some(start + SPAN));
        assert_eq!(lines.take_due(start), 0);
        assert_eq!(lines.take_due(start + SPAN), 2);
        assert_eq!(lines.deadline(), None);
        assert_eq!(lines.admit(start + SPAN), Admission::Written { held_back: 0 });
    }
}
