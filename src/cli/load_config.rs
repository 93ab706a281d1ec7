//! Defaults, then the configuration file, then the environment, then flags: the last one wins.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fmt, fs, io};

use toml::{Spanned, Value};

use super::api::ADDRESS_VARIABLES;
use super::args::Args;
use super::environment::Environment;
use super::given::Given;
use super::keys::{Draft, Key, Watermark};
use super::{EXIT_CONFIG, EXIT_USAGE, memory};
use crate::config::Config;

/// Variables of RabbitMQ's that are understood, and the keys they set.
///
/// <https://www.rabbitmq.com/docs/configure#supported-environment-variables>
const RABBITMQ_VARIABLES: [(&str, &str); 5] = [
    ("RABBITMQ_NODE_PORT", "port"),
    ("RABBITMQ_NODE_IP_ADDRESS", "bind"),
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
];

/// Puts the configuration together.
///
/// `environment` is taken as a whole: variables of others are passed over, and so are empty ones.
///
/// # Errors
/// [`ConfigError`] if the file cannot be read, or a value is not what its key takes; with
/// `--strict-config` also if the file has a key that nothing here knows.
pub fn load_config(
    args: &Args,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let environment = Environment::of(environment);
    let mut loading = Loading::default();
    let file = args.config_file().or(environment.get("LEVERET_CONFIG").and_then(OsStr::to_str));
    if let Some(path) = file {
        loading.read_file(path)?;
    }
    let strict = environment.get("LEVERET_STRICT_CONFIG").is_some_and(|value| value != "false");
    // So far only the file can have caused a warning.
    if (args.strict_config() || strict) && !loading.warnings.is_empty() {
        return Err(ConfigError::Strict(loading.warnings.swap_remove(0)));
    }
    loading.read_environment(&environment)?;
    for (key, given) in args.given() {
        loading.set(key, &given, || Origin::Flag(key))?;
    }
    Ok(loading.finish(memory::available(), &environment))
}

/// A configuration that is being put together, and what was odd on the way.
#[derive(Default)]
struct Loading {
    draft: Draft,
    warnings: Vec<Warning>,
}

impl Loading {
    fn read_file(&mut self, path: &str) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        let line_of = |offset: usize| 1 + text[..offset].matches('\n').count();
        let entries: BTreeMap<Spanned<String>, Spanned<Value>> =
            toml::from_str(&text).map_err(|error| ConfigError::Malformed {
                path: path.to_owned(),
                line: line_of(error.span().map_or(0, |span| span.start)),
                reason: error.message().replace('\n', ", "),
            })?;
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let origin = || Origin::File {
                path: path.to_owned(),
                line: line_of(key.span().start),
                key: key.get_ref().clone(),
            };
            if Key::find(key.get_ref()).is_some() {
                self.set(key.get_ref(), &given(value.into_inner()), origin)?;
            } else {
                self.warnings.push(Warning::UnknownKey(origin()));
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        for (variable, key) in RABBITMQ_VARIABLES {
            let ours = variable_of(key);
            let value = environment.get(variable).filter(|_| environment.get(&ours).is_none());
            // RabbitMQ's word for "every address", which is the default.
            if let Some(value) = value.filter(|value| *value != "auto") {
                self.set_variable(variable, key, value)?;
            }
        }
        for (variable, value) in environment.iter() {
            let Some(name) = variable.strip_prefix("LEVERET_") else { continue };
            let is_of_others = ADDRESS_VARIABLES.contains(&variable);
            if matches!(name, "CONFIG" | "STRICT_CONFIG")
                || is_of_others
                || is_service_link(name, value)
            {
                continue;
            }
            let key = name.to_ascii_lowercase();
            if Key::find(&key).is_some() {
                self.set_variable(variable, &key, value)?;
            } else {
                self.warnings.push(Warning::UnknownVariable(variable.to_owned()));
            }
        }
        Ok(())
    }

    fn set_variable(
        &mut self,
        variable: &str,
        key: &str,
        value: &OsStr,
    ) -> Result<(), ConfigError> {
        let given = match value.to_str() {
            Some(text) => Given::Text(text.to_owned()),
            None => Given::Other(value.to_string_lossy().into_owned()),
        };
        self.set(key, &given, || Origin::Variable(variable.to_owned()))
    }

    fn set(
        &mut self,
        key: &str,
        given: &Given,
        origin: impl FnOnce() -> Origin,
    ) -> Result<(), ConfigError> {
        let key = Key::find(key).expect("callers look for the key, or name one of the table");
        (key.set)(&mut self.draft, given).ok_or_else(|| {
            // A password is not for the log, even a wrong one.
            let given =
                if key.name == "default_pass" { "this".to_owned() } else { given.to_string() };
            ConfigError::WrongValue { origin: origin(), expects: key.expects, given }
        })
    }

    fn finish(self, memory: Option<u64>, environment: &Environment) -> (Config, Vec<Warning>) {
        let Self { draft, mut warnings } = self;
        let Draft { mut config, watermark, management_port, prometheus_port } = draft;
        // Who takes any free port for AMQP has other brokers on the machine.
        let usual = |port: Option<u16>| if config.port == 0 { Some(0) } else { port };
        let (management, prometheus) =
            (usual(config.management_port), usual(config.prometheus_port));
        config.management_port = management_port.unwrap_or(management);
        config.prometheus_port = prometheus_port.unwrap_or(prometheus);
        config.memory_high_watermark_bytes = match (watermark, memory) {
            (Watermark::Bytes(bytes), _) => bytes,
            (Watermark::Percent(percent), Some(memory)) => memory / 100 * percent,
            (Watermark::Percent(_), None) => {
                warnings.push(Warning::MemoryUnknown);
                0
            }
        };
        config.data_dir.get_or_insert_with(|| data_dir(environment));
        (config, warnings)
    }
}

/// Where durable state lies unless a flag or a file says so.
pub(super) fn data_dir(environment: &Environment) -> PathBuf {
    if let Some(dir) = environment.get("LEVERET_DATA_DIR") {
        return PathBuf::from(dir);
    }
    let home = || Some(Path::new(environment.get("HOME")?).join(".local/share"));
    let data = environment.get("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    data.unwrap_or_else(|| PathBuf::from("/var/lib")).join("leveret")
}

/// Kubernetes and Docker tell each container about a service named "leveret" in variables named
/// `LEVERET_PORT` (`tcp://10.0.0.1:5672`), `LEVERET_PORT_5672_TCP` and `LEVERET_SERVICE_HOST`.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let address = value.to_str().is_some_and(|value| value.contains("://"));
    (name == "PORT" && address) || name.starts_with("PORT_") || name.starts_with("SERVICE_")
}

fn given(value: Value) -> Given {
    match value {
        Value::String(text) => Given::Text(text),
        Value::Integer(number) => Given::Integer(number),
        Value::Boolean(value) => Given::Bool(value),
        Value::Array(items) => {
            let text = |item: &Value| item.as_str().map(str::to_owned);
            match items.iter().map(text).collect() {
                Some(texts) => Given::List(texts),
                None => Given::Other("a list that is not all text".to_owned()),
            }
        }
        Value::Float(number) => Given::Other(number.to_string()),
        Value::Datetime(time) => Given::Other(time.to_string()),
        Value::Table(_) => Given::Other("a table".to_owned()),
    }
}

/// `LEVERET_FRAME_MAX` for `frame_max`.
fn variable_of(key: &str) -> String {
    format!("LEVERET_{}", key.to_ascii_uppercase())
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// On the command line; holds the key.
    Flag(&'static str),
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

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "--{}", key.replace('_', "-")),
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

#[cfg(test)]
mod tests;
