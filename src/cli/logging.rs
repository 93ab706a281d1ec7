//! The log, on standard output and in a file.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as lines, reload};

use super::log_file::LogFile;
use crate::config::{Config, LogCategory, LogFormat, LogLevel};
use crate::net::since_1970;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log to {}: {source}; choose another log_file, or leave it out", path.display())]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

/// Starts logging to standard output and, if there is to be one, a file, with UTC times in RFC 3339 form.
///
/// A second call in one process changes nothing: programs that embed the broker and have a log of
/// their own keep it, and get nothing to change its level with.
///
/// # Errors
/// [`LogError`], and there is no log.
pub fn init_logging(config: &Config) -> Result<Option<LogSwitch>, LogError> {
    let mut outputs = Vec::new();
    if config.log.console {
        let levels = filter(config, config.log.console_level);
        outputs.push(output(config.log_format, io::stdout, io::stdout().is_terminal(), levels));
    }
    let file = match &config.log.file {
        None => None,
        Some(path) => {
            let file = LogFile::open(path, &config.log, since_1970);
            Some(Arc::new(file.map_err(|source| LogError { path: path.clone(), source })?))
        }
    };
    if let Some(file) = &file {
        let levels = filter(config, config.log.file_level);
        outputs.push(output(config.log.file_format, Arc::clone(file), false, levels));
    }
    let (outputs, levels): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
    let started = tracing_subscriber::registry().with(outputs).try_init();
    Ok(started.ok().map(|()| LogSwitch { levels, file }))
}

/// A place that the log goes to, and what changes its levels.
fn output<W>(
    format: LogFormat,
    writer: W,
    is_terminal: bool,
    levels: Targets,
) -> (Box<dyn Layer<Registry> + Send + Sync>, reload::Handle<Targets, Registry>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(levels);
    let lines = lines::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(is_terminal).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    (lines.with_filter(filter).boxed(), handle)
}

/// Changes the level of the log, and has its file opened anew.
#[derive(Clone)]
pub struct LogSwitch {
    levels: Vec<reload::Handle<Targets, Registry>>,
    file: Option<Arc<LogFile>>,
}

impl fmt::Debug for LogSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSwitch").field("file", &self.file).finish_non_exhaustive()
    }
}

impl LogSwitch {
    /// From now on only messages of this level and above, whatever their category and wherever they go.
    pub fn set(&self, level: LogLevel) {
        for handle in &self.levels {
            // The log is there as long as the process.
            let _ = handle.reload(Targets::new().with_default(level_filter(level)));
        }
    }

    /// Opens the log's file anew, for who moved it away.
    ///
    /// # Errors
    /// What the system says, and the old one stays open.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }
}

/// What of the log an output gets: what is important enough for its category, and for the output.
fn filter(config: &Config, output: Option<LogLevel>) -> Targets {
    let most = |level: LogLevel| level_filter(output.map_or(level, |output| level.min(output)));
    let mut targets = Targets::new().with_default(most(config.log_level));
    for (category, level) in &config.log.categories {
        targets = targets.with_targets(modules(*category).iter().map(|it| (*it, most(*level))));
    }
    targets
}

/// Where the lines of a category come from.
fn modules(category: LogCategory) -> &'static [&'static str] {
    match category {
        LogCategory::Connection => &[
            "leveret::session::log_lines",
            "leveret::net::connection",
            "leveret::net::server",
            "leveret::net::tls",
        ],
        LogCategory::Channel => &["leveret::channel", "leveret::session::consume"],
        LogCategory::Queue => &["leveret::broker::queue", "leveret::session::effects"],
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
