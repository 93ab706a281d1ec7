//! RabbitMQ's command line tools, for scripts, health checks and containers that call them.
//!
//! Which one it is says the name that the program is called by: a link named `rabbitmqctl` is `rabbitmqctl`. What
//! they print and their exit codes are RabbitMQ 3.10's, as measured; what they know comes from the management
//! API.

mod call;
mod command;
mod connections;
mod definitions;
mod diagnostics;
mod erlang;
mod failure;
mod formatter;
mod line;
mod lists;
mod node;
mod parameters;
mod permissions;
pub(super) mod plugins;
mod policies;
mod queues;
mod settings;
mod status;
mod users;
mod vhosts;
mod wait;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use self::call::Call;
use self::failure::Failure;
use self::line::Line;
use super::environment::Environment;

/// One of RabbitMQ's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// `rabbitmqctl`
    Ctl,
    /// `rabbitmq-diagnostics`
    Diagnostics,
    /// `rabbitmq-queues`
    Queues,
}

impl Tool {
    /// The tool that a program of this name is.
    pub(super) fn named(program: &str) -> Option<Self> {
        match program {
            "rabbitmqctl" => Some(Self::Ctl),
            "rabbitmq-diagnostics" => Some(Self::Diagnostics),
            "rabbitmq-queues" => Some(Self::Queues),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ctl => "rabbitmqctl",
            Self::Diagnostics => "rabbitmq-diagnostics",
            Self::Queues => "rabbitmq-queues",
        }
    }

    /// Does what the words behind the program's name say.
    pub(super) fn run(
        self,
        words: impl Iterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> ExitCode {
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let environment = Environment::of(environment);
        let mut out = BufWriter::new(io::stdout().lock());
        let done = self.execute(&words, &environment, &mut out);
        match done.and_then(|()| out.flush().map_err(Into::into)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                drop(out);
                let _ = write!(io::stderr(), "{}", failure.text());
                ExitCode::from(failure.exit_code())
            }
        }
    }

    fn execute(
        self,
        words: &[String],
        environment: &Environment,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let Line { command, options, words } = Line::parse(self, words)?;
        (command.run)(&mut Call::new(self, command, options, words, environment, out)?)
    }
}
