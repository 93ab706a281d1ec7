//! The command line: the broker's flags, environment and file become one
//! [`Config`](crate::config::Config), and other commands talk to brokers that run.

mod admin;
mod api;
mod args;
mod completions;
mod config_command;
mod environment;
mod given;
mod idle;
mod keys;
mod load_config;
mod local;
mod log_file;
mod logging;
mod man;
mod memory;
mod output;
mod perf;
mod perf_tls;
mod private_file;
mod rabbitmq;
mod rabbitmq_conf;
mod rabbitmqadmin;
#[cfg(test)]
mod reference;
mod run;
mod scenarios;
mod serve;
mod store;

pub use args::{Args, Stop, parse_args};
pub use load_config::{ConfigError, Origin, Warning, load_config};
pub use logging::{LogError, LogSwitch, init_logging};
pub use run::run;

// Exit codes, as sysexits.h has them.

/// Exit code for a command line that makes no sense (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// Exit code for data that the broker does not take (`EX_DATAERR`).
const EXIT_DATA: u8 = 65;

/// Exit code for what is not there (`EX_NOINPUT`).
const EXIT_NO_INPUT: u8 = 66;

/// Exit code for what can't be had now: a broker that does not answer, a port in use (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// Exit code for a mistake of the broker's (`EX_SOFTWARE`).
const EXIT_SOFTWARE: u8 = 70;

/// The system has too little of something: sysexits.h's `EX_OSERR`.
const EXIT_SYSTEM: u8 = 71;

/// The system refuses to make a file: sysexits.h's `EX_CANTCREAT`.
const EXIT_CANNOT_CREATE: u8 = 73;

/// Exit code for a system that refuses to read or write (`EX_IOERR`).
const EXIT_IO: u8 = 74;

/// Exit code for an answer that makes no sense (`EX_PROTOCOL`).
const EXIT_PROTOCOL: u8 = 76;

/// Exit code for a user who may not do this (`EX_NOPERM`).
const EXIT_NO_PERMISSION: u8 = 77;

/// Exit code for a configuration file or environment that makes no sense (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
