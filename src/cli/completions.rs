//! `leveret completions`.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Args;

/// Prints what makes a shell complete this command line.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "For bash: leveret completions bash > /etc/bash_completion.d/leveret")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints it.
    pub(super) fn run(&self) -> ExitCode {
        generate(self.shell, &mut Args::command(), "leveret", &mut io::stdout());
        ExitCode::SUCCESS
    }
}
