//! Defaults, then RabbitMQ's files, then leveret's, then the environment, then flags: the last one wins.

mod problem;
mod rabbitmq;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

pub use self::problem::{ConfigError, Origin, Warning};
use self::rabbitmq::Together;
use super::api::ADDRESS_VARIABLES;
use super::args::{Args, Options};
use super::environment::Environment;
use super::given::Given;
use super::keys::{Draft, Key, Watermark};
use super::memory;
use super::rabbitmq_conf::Places;
use crate::config::{Config, LogConfig, LogLevel};

/// The variable that holds further arguments.
const ARGUMENTS: &str = "LEVERET_ARGS";

/// Puts the configuration together.
///
/// `environment` is taken as a whole: variables of others are passed over, and so are empty ones.
///
/// # Errors
/// [`ConfigError`] if a file cannot be read, or a value is not what its key takes; with
/// `--strict-config` also if a file has a key that nothing here knows.
pub fn load_config(
    args: &Args,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let environment = Environment::of(environment);
    let loading = Loading::of(args, &environment)?;
    Ok(loading.finish(memory::available(), &environment))
}

/// A configuration that is being put together, where each of its values was written, and what was odd on the
/// way.
#[derive(Default)]
pub(super) struct Loading {
    draft: Draft,
    settings: BTreeMap<&'static str, Setting>,
    /// What lines of RabbitMQ's files say together.
    together: Together,
    /// What only RabbitMQ's files can say, by its key.
    of_rabbitmq: BTreeMap<String, Setting>,
    warnings: Vec<Warning>,
}

/// A value as it was written, and where.
pub(super) struct Setting {
    pub(super) given: Given,
    pub(super) origin: Origin,
}

impl Loading {
    /// Reads all that there is.
    pub(super) fn of(args: &Args, environment: &Environment) -> Result<Self, ConfigError> {
        let more = more_arguments(environment)?;
        let mut loading = Self::default();
        loading.read_places(&Places::find(environment, args.is_of_rabbitmq()))?;
        let named = environment.get("LEVERET_CONFIG").and_then(OsStr::to_str);
        if let Some(path) = args.config_file().or(more.config_file()).or(named) {
            loading.read(path)?;
        }
        let strict = environment.get("LEVERET_STRICT_CONFIG").is_some_and(|value| value != "false");
        if args.strict_config() || more.strict_config() || strict {
            loading.refuse_unknown_keys()?;
        }
        loading.read_environment(environment)?;
        for (key, given) in more.given() {
            loading.set(key, &given, || Origin::Argument(key))?;
        }
        for (key, given) in args.given() {
            loading.set(key, &given, || Origin::Flag(key))?;
        }
        Ok(loading)
    }

    /// Reads one file: RabbitMQ's if its name ends so, leveret's otherwise.
    pub(super) fn read(&mut self, path: &str) -> Result<(), ConfigError> {
        match Path::new(path).extension().and_then(OsStr::to_str) {
            Some("conf") => {
                self.read_conf(path)?;
                self.put_together()
            }
            Some("config") => self.read_erlang(path),
            _ => self.read_toml(path),
        }
    }

    /// What was odd so far.
    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The value of a key that somebody set.
    pub(super) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// What was set by keys that only RabbitMQ has.
    pub(super) fn settings_of_rabbitmq(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.of_rabbitmq.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// Fails if a file has a key that nobody knows.
    pub(super) fn refuse_unknown_keys(&mut self) -> Result<(), ConfigError> {
        let unknown = self.warnings.iter().position(|it| matches!(it, Warning::UnknownKey(_)));
        match unknown {
            None => Ok(()),
            Some(place) => Err(ConfigError::Strict(self.warnings.swap_remove(place))),
        }
    }

    fn read_toml(&mut self, path: &str) -> Result<(), ConfigError> {
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
        self.read_rabbitmq_variables(environment)?;
        for (variable, value) in environment.iter() {
            let Some(name) = variable.strip_prefix("LEVERET_") else { continue };
            let is_of_others = ADDRESS_VARIABLES.contains(&variable);
            if matches!(name, "CONFIG" | "STRICT_CONFIG" | "ARGS")
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
        let origin = origin();
        if (key.set)(&mut self.draft, given).is_none() {
            // A password is not for the log, even a wrong one.
            let given = if key.is_secret() { "this".to_owned() } else { given.to_string() };
            return Err(ConfigError::WrongValue { origin, expects: key.expects, given });
        }
        self.settings.insert(key.name, Setting { given: given.clone(), origin });
        Ok(())
    }

    fn finish(self, memory: Option<u64>, environment: &Environment) -> (Config, Vec<Warning>) {
        let Self { draft, mut warnings, .. } = self;
        let Draft {
            mut config,
            watermark,
            management_port,
            prometheus_port,
            log_level,
            memory: said,
        } = draft;
        let memory = said.or(memory);
        config.log_level = log_level.unwrap_or_else(|| default_log_level(&config.log));
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

/// Options for where nobody can write any, as in a service of a CI job. Those of the command line win.
fn more_arguments(environment: &Environment) -> Result<Options, ConfigError> {
    match environment.get(ARGUMENTS) {
        None => Ok(Options::default()),
        Some(value) => Options::of_text(&value.to_string_lossy())
            .map_err(|reason| ConfigError::Arguments { reason }),
    }
}

/// Who wants to see more in one place, and says nothing of categories, wants it of all of them. Who wants to see less
/// in one place does not want it in the other.
fn default_log_level(log: &LogConfig) -> LogLevel {
    let level = |level: Option<LogLevel>| level.unwrap_or(LogLevel::Info);
    let console = log.console.then(|| level(log.console_level));
    let file = log.file.as_ref().map(|_| level(log.file_level));
    console.into_iter().chain(file).max().unwrap_or(LogLevel::Info)
}

/// Where durable state lies unless a flag or a file says so: the variables in the order in which they win.
pub(super) fn data_dir(environment: &Environment) -> PathBuf {
    let path = |variable: &str| environment.get(variable).map(PathBuf::from);
    // What is wrong with them is said where they are read for the broker.
    let argument = || more_arguments(environment).ok()?.data_dir();
    if let Some(dir) =
        argument().or_else(|| path("LEVERET_DATA_DIR")).or_else(|| path("RABBITMQ_MNESIA_DIR"))
    {
        return dir;
    }
    let rabbitmq = path("RABBITMQ_MNESIA_BASE").or_else(|| path("RABBITMQ_DATA_DIR"));
    let home = || Some(path("HOME")?.join(".local/share"));
    let data = rabbitmq.or_else(|| path("XDG_DATA_HOME")).or_else(home);
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

#[cfg(test)]
mod tests;
