//! The command line: flags, environment and file become one [`Config`](crate::config::Config).

mod args;
mod given;
mod keys;
mod load_config;
mod logging;
mod memory;
mod perf;
mod scenarios;
mod serve;
mod store;

pub use args::{Args, Stop, parse_args};
pub use load_config::{ConfigError, Origin, Warning, load_config};
pub use logging::init_logging;
pub use serve::run;

/// Exit code for a command line that makes no sense (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Exit code for a configuration file or environment that makes no sense (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
