//! `leveret config`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::args::Options;
use super::environment::Environment;
use super::keys::{KEYS, Key};
use super::load_config::Loading;
use super::output::{Column, Format, print_list};
use super::{Args, ConfigError, EXIT_CONFIG, Warning};

const COLUMNS: [Column; 3] =
    [Column::new("key", "key"), Column::new("value", "value"), Column::new("from", "from")];

/// What can be done about a configuration.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum ConfigCommand {
    /// Read a file and say what is wrong with it: exit code 78 if a broker would not start with it, or if it
    /// has unknown keys
    Check {
        /// TOML, or RabbitMQ's format if its name ends with .conf
        file: String,
    },
    /// Print what would be in force for a broker that starts here, and where each value was written
    Show(Show),
}

/// `leveret config show`: with the options of a broker.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Show {
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    options: Box<Options>,
}

impl ConfigCommand {
    /// Does what the command line says.
    pub(super) fn run(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> ExitCode {
        let done = match self {
            Self::Check { file } => check(file),
            Self::Show(show) => show.run(&Environment::of(environment)),
        };
        done.unwrap_or_else(|error| error.report())
    }
}

fn check(file: &str) -> Result<ExitCode, ConfigError> {
    let mut loading = Loading::default();
    loading.read(file)?;
    let mut unknown = 0;
    for warning in loading.warnings() {
        unknown += usize::from(matches!(warning, Warning::UnknownKey(_)));
        let _ = writeln!(io::stderr(), "leveret: {warning}");
    }
    Ok(if unknown == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
}

impl Show {
    fn run(&self, environment: &Environment) -> Result<ExitCode, ConfigError> {
        let args = Args::with(Options::clone(&self.options));
        let loading = Loading::of(&args, environment)?;
        for warning in loading.warnings() {
            let _ = writeln!(io::stderr(), "leveret: {warning}");
        }
        let row = |key: &Key| {
            let (value, from) = match loading.setting(key.name) {
                None => (key.default.to_owned(), "default".to_owned()),
                Some(setting) => (setting.given.plain(), setting.origin.place()),
            };
            let value = key.shown(&value);
            json!({ "key": key.name, "value": value, "from": from, "about": key.about })
        };
        // What leveret's own file can't say.
        let of_rabbitmq = loading.settings_of_rabbitmq().map(|(key, setting)| {
            let (value, from) = (setting.given.plain(), setting.origin.place());
            json!({ "key": key, "value": value, "from": from, "about": "a key of RabbitMQ's" })
        });
        let rows: Vec<Value> = KEYS.iter().map(row).chain(of_rabbitmq).collect();
        // Whoever reads has enough.
        let _ = print_list(&mut io::stdout().lock(), self.format, &COLUMNS, &rows);
        Ok(ExitCode::SUCCESS)
    }
}
