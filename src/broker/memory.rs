//! How much memory queued messages hold, and whether publishers must wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The bytes of all messages that queues hold, against a high watermark.
///
/// Publishers add what they enqueue, one addition a batch; queues give back what they let go of.
/// Above the watermark publishers are held back (`connection.blocked`) until use has fallen to nine
/// tenths of it: without that gap one message could flip the alarm a thousand times a second.
#[derive(Debug)]
pub struct MemoryGauge {
    used: AtomicUsize,
    high: usize,
    low: usize,
    alarm: AtomicBool,
}

/// What an addition or a release did to the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The alarm is as it was.
    Unchanged,
    /// Use went over the watermark: block publishers.
    Raised,
    /// Use fell far enough below the watermark: let publishers go on.
    Cleared,
}

impl MemoryGauge {
    /// A gauge whose alarm rises above `high` bytes; 0 means never.
    pub fn new(high: usize) -> Self {
        let high = if high == 0 { usize::MAX } else { high };
        Self { used: AtomicUsize::new(0), high, low: high / 10 * 9, alarm: AtomicBool::new(false) }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether publishers are to wait.
    pub fn is_alarmed(&self) -> bool {
        self.alarm.load(Ordering::Relaxed)
    }

    /// Whether messages should leave memory that need not be there: half of what would raise the alarm
    /// is in use.
    pub fn is_short(&self) -> bool {
        self.used() > self.high / 2
    }

    /// How much more has to be in use before it makes sense to look for relief again.
    pub fn step(&self) -> usize {
        self.high / 16
    }

    /// Adds bytes. The caller that sees [`Alarm::Raised`] is the only one that does.
    pub fn add(&self, bytes: usize) -> Alarm {
        let used = self.used.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if used <= self.high || self.alarm.swap(true, Ordering::SeqCst) {
            return Alarm::Unchanged;
        }
        // Everything may have been released between the two steps above, by callers that saw no
        // alarm yet; nobody would come to clear it, so look again.
        if self.used.load(Ordering::SeqCst) <= self.low && self.alarm.swap(false, Ordering::SeqCst)
        {
            return Alarm::Unchanged;
        }
        Alarm::Raised
    }

    /// Gives bytes back. The caller that sees [`Alarm::Cleared`] is the only one that does, and is
    /// to wake the publishers.
    pub fn release(&self, bytes: usize) -> Alarm {
        if bytes == 0 {
            return Alarm::Unchanged;
        }
        let used = self.used.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if used <= self.low
            && self.alarm.load(Ordering::SeqCst)
            && self.alarm.swap(false, Ordering::SeqCst)
        {
            return Alarm::Cleared;
        }
        Alarm::Unchanged
    }
}

impl Default for MemoryGauge {
    /// Never short, never alarmed.
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_rises_once_above_the_watermark_and_clears_once_well_below() {
        let gauge = MemoryGauge::new(1000);
        assert_eq!(gauge.add(1000), Alarm::Unchanged);
        assert_eq!(gauge.add(1), Alarm::Raised);
        assert_eq!(gauge.add(1), Alarm::Unchanged);
        assert_eq!(gauge.release(50), Alarm::Unchanged);
        assert!(gauge.is_alarmed(), "952 is over nine tenths of the watermark");
        assert_eq!(gauge.release(52), Alarm::Cleared);
        assert_eq!((gauge.used(), gauge.is_alarmed()), (900, false));
    }

    #[test]
    fn no_watermark_means_no_alarm() {
        let gauge = MemoryGauge::new(0);
        assert_eq!(gauge.add(usize::MAX / 2), Alarm::Unchanged);
    }
}
