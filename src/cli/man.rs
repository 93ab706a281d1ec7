//! `leveret man`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use clap::CommandFactory;

use super::{Args, EXIT_IO};

/// Writes manual pages, one for each command.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "For all users: leveret man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// The directory, such as /usr/local/share/man/man1
    dir: PathBuf,
}

impl Man {
    /// Writes them.
    pub(super) fn run(&self) -> ExitCode {
        match self.write() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("leveret: cannot write manual pages to {}: {error}", self.dir.display());
                ExitCode::from(EXIT_IO)
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        clap_mangen::generate_to(Args::command(), &self.dir)
    }
}
