//! What is odd or wrong about a configuration, and where it was written.

use std::process::ExitCode;
use std::{fmt, io};

use crate::cli::{EXIT_CONFIG, EXIT_USAGE};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// On the command line; holds the key.
    Flag(&'static str),
    /// Among the arguments in `LEVERET_ARGS`; holds the key.
    Argument(&'static str),
    /// In this environment variable.
    Variable(String),
    /// In the configuration file.
    File {
        /// The file as it was named.
        path: String,
        /// Counted from 1.
        line: usize,
        /// The key there.
        key: String,
    },
}

impl Origin {
    /// Without the key, where that is known: for a list of keys.
    pub(in crate::cli) fn place(&self) -> String {
        match self {
            Self::File { path, line, .. } => format!("{path}:{line}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "--{}", key.replace('_', "-")),
            Self::Argument(key) => write!(f, "LEVERET_ARGS: --{}", key.replace('_', "-")),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line, key } => write!(f, "{path}:{line}: {key}"),
        }
    }
}

/// Something odd that does not keep the broker from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The file has a key that nothing here knows.
    #[error("{0} is not a key that leveret knows")]
    UnknownKey(Origin),
    /// A variable named like ours.
    #[error("{0} is not an environment variable that leveret knows")]
    UnknownVariable(String),
    /// A variable of RabbitMQ's, where leveret's own says something else.
    #[error("{variable} is passed over: {by} is set, too, and wins")]
    Overridden {
        /// RabbitMQ's.
        variable: String,
        /// leveret's.
        by: String,
    },
    /// A key of RabbitMQ's for what leveret does not have.
    #[error("{origin} is passed over: {instead}")]
    Missing {
        /// Where it was written.
        origin: Origin,
        /// What to do.
        instead: &'static str,
    },
    /// Another port than the first one.
    #[error("{0} names a second port; leveret listens on one for AMQP, it is passed over")]
    SecondPort(Origin),
    /// A variable names a file that is not there: RabbitMQ starts without it, too.
    #[error("{variable}: there is no file {path}; its settings are not in force")]
    NoFile {
        /// The variable.
        variable: String,
        /// The file.
        path: String,
    },
    /// Arguments for Erlang that are no settings of RabbitMQ's.
    #[error("{variable}: {arguments} is passed over: there is no Erlang here")]
    ErlangArguments {
        /// The variable.
        variable: String,
        /// What is passed over.
        arguments: String,
    },
    /// A share of an unknown amount.
    #[error(
        "cannot find out how much memory there is, so there is no limit; \
         set memory_high_watermark to a size such as 2GiB"
    )]
    MemoryUnknown,
}

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is not what its key takes.
    #[error("{origin} must be {expects}, not {given}")]
    WrongValue {
        /// Where it was written.
        origin: Origin,
        /// What the key takes.
        expects: &'static str,
        /// What it was given.
        given: String,
    },
    /// What is in `LEVERET_ARGS` are no options of the broker.
    #[error("LEVERET_ARGS: {reason}")]
    Arguments {
        /// What is wrong with them.
        reason: String,
    },
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {cause}")]
    Unreadable {
        /// The file as it was named.
        path: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{path}:{line}: this is not TOML: {reason}")]
    Malformed {
        /// The file as it was named.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A line of `rabbitmq.conf` is not `key = value`.
    #[error("{path}:{line}: this is not 'key = value'")]
    NotSysctl {
        /// The file as it was named.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// A file of Erlang's terms is none.
    #[error("{path}:{line}: {reason}")]
    NotErlang {
        /// The file as it was named.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// What would be a warning without `--strict-config`.
    #[error("{0}; remove it, or start without --strict-config")]
    Strict(Warning),
}

impl ConfigError {
    /// Prints the error to standard error, in one line.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("leveret: {self}");
        ExitCode::from(self.exit_code())
    }

    /// [`EXIT_USAGE`] if a flag is wrong, [`EXIT_CONFIG`] otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::WrongValue { origin: Origin::Flag(_), .. } => EXIT_USAGE,
            _ => EXIT_CONFIG,
        }
    }
}
