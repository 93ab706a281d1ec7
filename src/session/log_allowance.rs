//! How many lines of one kind the log gets.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines at once, before they have to wait.
const BURST: u32 = 100;

/// How long it takes until there is one more.
const RECOVERY: Duration = Duration::from_millis(500);

/// Lets so many lines of one kind into the log, and counts the rest: who can cause a line from outside is not to
/// fill the disk with them.
///
/// A hundred at once, then two a second.
#[derive(Debug, Default)]
pub struct LogAllowance(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    /// When all of the allowance is back: that tells how much is left.
    whole_at: Option<Instant>,
    left_out: u64,
}

/// A line may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// So many before it were not.
    pub left_out: u64,
}

impl LogAllowance {
    /// Whether one more may be written now.
    pub fn take(&self, now: Instant) -> Option<Line> {
        let mut spent = self.0.lock();
        let whole_at = spent.whole_at.map_or(now, |at| at.max(now));
        if whole_at.duration_since(now) > RECOVERY * (BURST - 1) {
            spent.left_out += 1;
            return None;
        }
        spent.whole_at = Some(whole_at + RECOVERY);
        Some(Line { left_out: std::mem::take(&mut spent.left_out) })
    }
}

impl std::fmt::Display for Line {
    /// Behind what the line says: nothing, or how many like it were left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.left_out {
            0 => Ok(()),
            1 => f.write_str(" (and another one before, which is not in the log)"),
            count => write!(f, " (and {count} more before, which are not in the log)"),
        }
    }
}

/// The lines of those who were not let in, of whichever protocol.
#[derive(Debug, Default)]
pub struct Refusals {
    /// They were too many.
    pub refused: LogAllowance,
    /// They could not be accepted.
    pub failed: LogAllowance,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only clock reading in these tests: an origin to count from.
    #[expect(clippy::disallowed_methods)]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_hundred_at_once_and_two_a_second_and_none_is_forgotten() {
        let (lines, now) = (LogAllowance::default(), origin());
        assert_eq!((0..250).filter_map(|_| lines.take(now)).count(), 100);
        let line = lines.take(now + RECOVERY).unwrap();
        assert_eq!(line, Line { left_out: 150 });
        assert_eq!(line.to_string(), " (and 150 more before, which are not in the log)");
        assert_eq!(lines.take(now + RECOVERY), None);
        let line = lines.take(now + RECOVERY * 2).unwrap();
        assert_eq!(line.to_string(), " (and another one before, which is not in the log)");
        let later = now + RECOVERY * 1000;
        assert_eq!((0..250).filter_map(|_| lines.take(later)).count(), 100);
        assert_eq!(Line { left_out: 0 }.to_string(), "");
    }
}
