//! The log, on standard output.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat, LogLevel};

/// Starts logging to standard output, with UTC times in RFC 3339 form.
///
/// A second call in one process changes nothing: programs that embed the broker and have a log of
/// their own keep it.
pub fn init_logging(config: &Config) {
    let log = tracing_subscriber::fmt().with_max_level(level_filter(config.log_level));
    let _kept_if_there_is_one = match config.log_format {
        LogFormat::Text => {
            log.with_ansi(io::stdout().is_terminal()).with_target(false).finish().try_init()
        }
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    };
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
