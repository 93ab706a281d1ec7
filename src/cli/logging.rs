//! The log, on standard output.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Config, LogFormat, LogLevel};

/// Starts logging to standard output, with UTC times in RFC 3339 form.
///
/// A second call in one process changes nothing: programs that embed the broker and have a log of
/// their own keep it, and get nothing to change its level with.
pub fn init_logging(config: &Config) -> Option<LogSwitch> {
    let (filter, handle) = reload::Layer::new(level_filter(config.log_level));
    let lines = fmt::layer();
    let log = match config.log_format {
        LogFormat::Text => lines.with_ansi(io::stdout().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(log).try_init().ok()?;
    Some(LogSwitch(handle))
}

/// Changes the level of the log.
#[derive(Debug, Clone)]
pub struct LogSwitch(reload::Handle<LevelFilter, Registry>);

impl LogSwitch {
    /// From now on only messages of this level and above.
    pub fn set(&self, level: LogLevel) {
        // The log is there as long as the process.
        let _ = self.0.reload(level_filter(level));
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
