//! Where the log goes besides standard output, and what of it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{LogFormat, LogLevel, UnknownWord};

/// Where the log goes, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Whether it is on standard output.
    pub console: bool,
    /// The least important messages there, whatever their category; `None`: what their category says.
    pub console_level: Option<LogLevel>,
    /// Categories with levels of their own.
    pub categories: Vec<(LogCategory, LogLevel)>,
    /// A file that it is in as well.
    pub file: Option<PathBuf>,
    /// The least important messages there, whatever their category; `None`: what their category says.
    pub file_level: Option<LogLevel>,
    /// How messages are written there.
    pub file_format: LogFormat,
    /// How large the file may become before it is put aside, in bytes. 0: as large as it likes.
    pub file_max_size: u64,
    /// When else it is put aside.
    pub file_rotation: LogRotation,
    /// How many of those put aside are kept.
    pub file_keep: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            console: true,
            console_level: None,
            categories: Vec::new(),
            file: None,
            file_level: None,
            file_format: LogFormat::Text,
            file_max_size: 0,
            file_rotation: LogRotation::Never,
            file_keep: 5,
        }
    }
}

/// What a message of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCategory {
    /// Connections: who comes, who goes, and who is refused.
    Connection,
    /// Channels: exceptions that close them.
    Channel,
    /// Queues.
    Queue,
}

impl FromStr for LogCategory {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "connection" => Ok(Self::Connection),
            "channel" => Ok(Self::Channel),
            "queue" => Ok(Self::Queue),
            _ => Err(UnknownWord),
        }
    }
}

/// At which times (UTC) the log's file is put aside, and a new one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRotation {
    /// At none.
    Never,
    /// Each hour, so many minutes past.
    Hourly(u8),
    /// Each day at this hour.
    Daily(u8),
    /// Each week on this day, counted from Sunday, which is 0, at this hour.
    Weekly(u8, u8),
    /// Each month on this day, at this hour; the last day of those that have none such.
    Monthly(u8, u8),
}

/// Seconds.
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

impl LogRotation {
    /// The first such time that is later. Both are since 1970.
    #[must_use]
    pub fn next(self, after: Duration) -> Option<Duration> {
        let now = after.as_secs();
        let today = now / DAY * DAY;
        let first_after = |start: u64, step: u64| start + (now + step - start) / step * step;
        let next = match self {
            Self::Never => return None,
            Self::Hourly(minute) => first_after(u64::from(minute) * 60, HOUR),
            Self::Daily(hour) => first_after(u64::from(hour) * HOUR, DAY),
            Self::Weekly(day, hour) => {
                // The first of January 1970 was a Thursday.
                let first = (u64::from(day) + 7 - 4) % 7;
                first_after(first * DAY + u64::from(hour) * HOUR, 7 * DAY)
            }
            Self::Monthly(day, hour) => {
                let in_month = |first_day: u64, days: u64| {
                    let day = u64::from(day).clamp(1, days);
                    (first_day + day - 1) * DAY + u64::from(hour) * HOUR
                };
                let (first_day, days) = month_of(today / DAY);
                let (next_first, next_days) = month_of(first_day + days);
                match in_month(first_day, days) {
                    this if this > now => this,
                    _ => in_month(next_first, next_days),
                }
            }
        };
        Some(Duration::from_secs(next))
    }
}

/// The month of a day: its first day, and how many it has. Days are counted from the first of January 1970.
fn month_of(day: u64) -> (u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut first) = (1970, 0);
    loop {
        let days = 365 + u64::from(is_leap(year));
        if day < first + days {
            break;
        }
        (year, first) = (year + 1, first + days);
    }
    let february = 28 + u64::from(is_leap(year));
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < first + days {
            return (first, days);
        }
        first += days;
    }
    (first, 31)
}

/// A word, or what newsyslog has: `$H0`, `$D23`, `$W0D3`, `$M1D0`.
impl FromStr for LogRotation {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "never" => return Ok(Self::Never),
            "hourly" => return Ok(Self::Hourly(0)),
            "daily" => return Ok(Self::Daily(0)),
            "weekly" => return Ok(Self::Weekly(0, 0)),
            "monthly" => return Ok(Self::Monthly(1, 0)),
            _ => {}
        }
        let spec = word.strip_prefix('$').ok_or(UnknownWord)?;
        let number = |text: &str, max: u8| {
            text.parse::<u8>().ok().filter(|it| *it <= max).ok_or(UnknownWord)
        };
        if let Some(minute) = spec.strip_prefix('H') {
            return Ok(Self::Hourly(number(minute, 59)?));
        }
        let (day, hour) = match spec.split_once('D') {
            Some((day, hour)) => (day, number(hour, 23)?),
            None => (spec, 0),
        };
        if day.is_empty() && spec.starts_with('D') {
            Ok(Self::Daily(hour))
        } else if let Some(day) = day.strip_prefix('W') {
            Ok(Self::Weekly(number(day, 6)?, hour))
        } else if day == "ML" {
            Ok(Self::Monthly(31, hour))
        } else {
            let day = number(day.strip_prefix('M').ok_or(UnknownWord)?, 31)?;
            if day == 0 { Err(UnknownWord) } else { Ok(Self::Monthly(day, hour)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: each form has its next time, and what stands at that very time has the one after it.
    #[test]
    fn a_rotation_knows_when_it_is_next() {
        // 2024-02-28 12:34:56, a Wednesday before a 29th.
        let now = 1_709_123_696;
        for (word, next) in [
            ("hourly", 1_709_125_200),  // 13:00
            ("$H35", 1_709_123_700),    // 12:35
            ("daily", 1_709_164_800),   // the 29th
            ("$D12", 1_709_208_000),    // the 29th, 12:00
            ("$D13", 1_709_125_200),    // 13:00
            ("weekly", 1_709_424_000),  // Sunday, the 3rd of March
            ("$W3D13", 1_709_125_200),  // today
            ("$W3D12", 1_709_726_400),  // the 6th of March
            ("monthly", 1_709_251_200), // the 1st of March
            ("$ML", 1_709_164_800),     // the 29th
            ("$M31D1", 1_709_168_400),  // the 29th, 01:00
        ] {
            let rotation: LogRotation = word.parse().unwrap();
            assert_eq!(rotation.next(Duration::from_secs(now)).unwrap().as_secs(), next, "{word}");
        }
        let end = Duration::from_secs(1_709_164_800);
        assert_eq!(LogRotation::Daily(0).next(end), Some(end + Duration::from_secs(DAY)));
        let last_of_march = Duration::from_secs(1_711_843_200);
        assert_eq!(LogRotation::Monthly(31, 0).next(end), Some(last_of_march));
        assert_eq!(LogRotation::Never.next(end), None);
        assert_eq!(LogRotation::Daily(7).next(Duration::ZERO), Some(Duration::from_secs(7 * HOUR)));
    }

    #[test]
    fn what_is_no_rotation_is_refused() {
        for word in ["", "$", "$D", "$D24", "$H60", "$W7", "$M0", "$M32", "$X1", "yearly", "D0"] {
            assert_eq!(word.parse::<LogRotation>(), Err(UnknownWord), "{word}");
        }
    }
}
