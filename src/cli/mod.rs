//! The command line: flags, environment and file become one [`Config`](crate::config::Config).
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use leveret::cli;
//! # fn main() -> ExitCode {
//! let args = match cli::parse_args(std::env::args_os()) {
//!     Ok(args) => args,
//!     Err(stop) => return stop.report(),
//! };
//! let (config, warnings) = match cli::load_config(&args, std::env::vars_os()) {
//!     Ok(loaded) => loaded,
//!     Err(error) => return error.report(),
//! };
//! cli::init_logging(&config);
//! for warning in warnings {
//!     tracing::warn!("{warning}");
//! }
//! # ExitCode::SUCCESS
//! # }
//! ```

mod args;
mod given;
mod keys;
mod load_config;
mod logging;
mod memory;

pub use args::{Args, Stop, parse_args};
pub use load_config::{ConfigError, Origin, Warning, load_config};
pub use logging::init_logging;

/// Exit code for a command line that makes no sense (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Exit code for a configuration file or environment that makes no sense (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
