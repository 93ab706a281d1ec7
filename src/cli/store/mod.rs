//! `leveret store`: a data directory without a broker.

mod check;
mod export;
mod message;
mod queues;
mod rebuild;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use self::export::Selection;
use super::args::Stop;
use super::{EXIT_IO, EXIT_NO_INPUT};
use crate::store::StoreError;
use crate::store::offline::RebuildError;

/// Exit code for a directory in which something is wrong.
const EXIT_PROBLEMS: u8 = 1;

/// Exit code for a directory that a broker has (`EX_TEMPFAIL`).
const EXIT_IN_USE: u8 = 75;

#[derive(Debug, Clone, Parser)]
#[command(
    name = "leveret store",
    bin_name = "leveret store",
    about = "Looks into a data directory while no broker runs on it",
    after_help = "Exit codes: 0 all is well, 1 something is wrong in the directory, 66 it is not there, \
                  not a data directory or of a newer version, 74 the system refused, 75 a broker runs on it."
)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Read all of it, say what is there and what is wrong; nothing in it is changed
    Check {
        /// The data directory
        dir: PathBuf,
        /// How to say it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print definitions and messages, one JSON object a line; nothing in it is changed
    Export {
        /// The data directory
        dir: PathBuf,
        #[command(flatten)]
        selection: Selection,
    },
    /// Make a new index from the log and definitions.json, for one that is lost or damaged
    Rebuild {
        /// The data directory
        dir: PathBuf,
        /// Even if the index is sound
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
enum StoreCommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rebuild(RebuildError),
    #[error("there is no durable queue {0}")]
    NoQueue(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<RebuildError> for StoreCommandError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Store(error) => Self::Store(error),
            other => Self::Rebuild(other),
        }
    }
}

impl From<serde_json::Error> for StoreCommandError {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl StoreCommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Store(StoreError::InUse { .. }) => EXIT_IN_USE,
            Self::Store(StoreError::Foreign { .. } | StoreError::Newer { .. }) => EXIT_NO_INPUT,
            Self::Store(error) if error.is_not_found() => EXIT_NO_INPUT,
            Self::Store(StoreError::Io { .. }) | Self::Output(_) => EXIT_IO,
            Self::Store(_) | Self::Rebuild(_) | Self::NoQueue(_) => EXIT_PROBLEMS,
        }
    }
}

/// Does what the command line says behind `leveret store`.
pub(super) fn run_store(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = std::iter::once(OsString::from("leveret store")).chain(args);
    let args = match StoreArgs::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return Stop::of(&error, "leveret store --help").report(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match args.command {
        Command::Check { dir, format } => check::run(&dir, format, &mut out),
        Command::Export { dir, selection } => export::run(&dir, &selection, &mut out),
        Command::Rebuild { dir, force } => rebuild::run(&dir, force, &mut out),
    };
    let done = done.and_then(|sound| out.flush().map(|()| sound).map_err(Into::into));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_PROBLEMS),
        // Whoever reads has enough.
        Err(StoreCommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "leveret: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
