//! What all commands about a broker have in common.

use std::io::Write;

use clap::{Args, Subcommand};

use super::AdminError;
use super::session::{Broker, Session};
use crate::cli::environment::Environment;
use crate::cli::output::Format;

/// Something that can be done with a broker.
pub(in crate::cli) trait Verb {
    /// Does it.
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError>;
}

/// The verbs of a noun: `leveret queue list`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Noun<V: Subcommand> {
    #[command(subcommand)]
    verb: V,
    #[command(flatten)]
    common: Common,
}

/// A verb of its own: `leveret publish`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Single<V: Args> {
    #[command(flatten)]
    verb: V,
    #[command(flatten)]
    common: Common,
}

/// Options that every command about a broker takes.
#[derive(Debug, Clone, Args)]
struct Common {
    #[command(flatten)]
    broker: Broker,

    /// How to print
    #[arg(
        long, short, global = true, value_enum, default_value_t = Format::Table,
        help_heading = "Output"
    )]
    format: Format,

    /// Print these fields of the broker's answer, such as name,message_stats.publish
    #[arg(
        long,
        global = true,
        value_name = "NAME,...",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    columns: Vec<String>,
}

impl<V: Verb + Subcommand> Noun<V> {
    /// Does what the command line says.
    pub(super) fn execute(
        self,
        environment: &Environment,
        out: &mut dyn Write,
    ) -> Result<(), AdminError> {
        self.verb.run(&mut self.common.session(environment, out)?)
    }
}

impl<V: Verb + Args> Single<V> {
    /// Does what the command line says.
    pub(super) fn execute(
        self,
        environment: &Environment,
        out: &mut dyn Write,
    ) -> Result<(), AdminError> {
        self.verb.run(&mut self.common.session(environment, out)?)
    }
}

impl Common {
    fn session<'a>(
        self,
        environment: &Environment,
        out: &'a mut dyn Write,
    ) -> Result<Session<'a>, AdminError> {
        Session::open(self.broker, environment, self.format, &self.columns, out)
    }
}
