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
    high: AtomicUsize,
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
        let high = AtomicUsize::new(or_any(high));
        Self { used: AtomicUsize::new(0), high, alarm: AtomicBool::new(false) }
    }

    /// Bytes above which publishers are to wait; 0 is never.
    pub fn limit(&self) -> usize {
        match self.high() {
            usize::MAX => 0,
            high => high,
        }
    }

    /// Another watermark, from now on; 0 means never. What it does to the alarm it does at once, and the caller is
    /// to tell it.
    pub fn set_limit(&self, high: usize) -> Alarm {
        self.high.store(or_any(high), Ordering::SeqCst);
        match self.add(0) {
            Alarm::Unchanged => self.look_for_relief(self.used.load(Ordering::SeqCst)),
            alarm => alarm,
        }
    }

    fn high(&self) -> usize {
        self.high.load(Ordering::Relaxed)
    }

    fn low(&self) -> usize {
        self.high() / 10 * 9
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
        self.used() > self.high() / 2
    }

    /// How much more has to be in use before it makes sense to look for relief again.
    pub fn step(&self) -> usize {
        self.high() / 16
    }

    /// Adds bytes. The caller that sees [`Alarm::Raised`] is the only one that does.
    pub fn add(&self, bytes: usize) -> Alarm {
        let used = self.used.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if used <= self.high() || self.alarm.swap(true, Ordering::SeqCst) {
            return Alarm::Unchanged;
        }
        // Everything may have been released between the two steps above, by callers that saw no
        // alarm yet; nobody would come to clear it, so look again.
        if self.used.load(Ordering::SeqCst) <= self.low()
            && self.alarm.swap(false, Ordering::SeqCst)
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
        self.look_for_relief(self.used.fetch_sub(bytes, Ordering::SeqCst) - bytes)
    }

    fn look_for_relief(&self, used: usize) -> Alarm {
        if used <= self.low()
            && self.alarm.load(Ordering::SeqCst)
            && self.alarm.swap(false, Ordering::SeqCst)
        {
            return Alarm::Cleared;
        }
        Alarm::Unchanged
    }
}

/// A watermark, of which 0 means that there is none.
fn or_any(high: usize) -> usize {
    if high == 0 { usize::MAX } else { high }
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
    fn another_watermark_raises_the_alarm_or_clears_it() {
        let gauge = MemoryGauge::new(0);
        gauge.add(1000);
        assert_eq!(gauge.set_limit(900), Alarm::Raised);
        assert_eq!(gauge.set_limit(800), Alarm::Unchanged);
        assert_eq!((gauge.set_limit(2000), gauge.limit()), (Alarm::Cleared, 2000));
        assert_eq!((gauge.set_limit(0), gauge.limit()), (Alarm::Unchanged, 0));
    }

    #[test]
    fn no_watermark_means_no_alarm() {
        let gauge = MemoryGauge::new(0);
        assert_eq!(gauge.add(usize::MAX / 2), Alarm::Unchanged);
    }
}
