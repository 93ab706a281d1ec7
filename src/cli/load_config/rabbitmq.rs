//! RabbitMQ's files and variables become leveret's keys.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::{ConfigError, Loading, Origin, Setting, Warning};
use crate::cli::environment::Environment;
use crate::cli::given::Given;
use crate::cli::memory;
use crate::cli::rabbitmq_conf::{
    Line, LogPart, Malformed, Meaning, OfNewVHosts, Part, Places, Setting as ApplicationSetting,
    Variable, application_settings, category, lines, meaning, settings_of_file, variable,
};
use crate::config::{Config, Secret};
use crate::pattern::Pattern;

/// Where RabbitMQ has the files of its log.
const LOG_DIRECTORY: &str = "/var/log/rabbitmq";

/// Where RabbitMQ's management API has HTTPS.
const MANAGEMENT_TLS_PORT: &str = "15671";

/// HTTPS has the certificate and rules of AMQP.
const SAME_TLS: &str =
    "it is not what ssl_options says, and HTTPS has the same certificate and rules as AMQP";

/// What several lines say together.
#[derive(Debug, Default)]
pub(super) struct Together {
    addresses: Vec<(String, Origin)>,
    everywhere: bool,
    port: Option<(String, Origin)>,
    tls_versions: Option<(Vec<String>, Origin)>,
    tags: Option<(Vec<String>, Origin)>,
    permissions: Option<([String; 3], Origin)>,
    /// Who may log in from this machine only, once somebody said something about it.
    loopback: Option<(BTreeSet<String>, Origin)>,
    log: LogPlaces,
    log_categories: Option<(Vec<String>, Origin)>,
    /// What HTTPS is to have, by leveret's key for AMQP.
    https: Vec<(&'static str, String, Origin)>,
    management_tls: Option<Origin>,
    /// What was said of the log's places by what was read before.
    log_before: LogPlaces,
}

/// Where the log goes.
#[derive(Debug, Default, Clone)]
struct LogPlaces {
    console: Option<(bool, Origin)>,
    file: Option<(Option<String>, Origin)>,
    directory: Option<(String, Origin)>,
}

impl LogPlaces {
    fn is_empty(&self) -> bool {
        let Self { console, file, directory } = self;
        console.is_none() && file.is_none() && directory.is_none()
    }

    /// What is said here, and of the rest what was said before.
    fn or(self, before: Self) -> Self {
        Self {
            console: self.console.or(before.console),
            file: self.file.or(before.file),
            directory: self.directory.or(before.directory),
        }
    }
}

impl Loading {
    /// Reads the files that are there.
    pub(super) fn read_places(&mut self, places: &Places) -> Result<(), ConfigError> {
        for file in &places.conf {
            self.read_conf(&file.display().to_string())?;
        }
        for (variable, file) in &places.missing {
            let (variable, path) = ((*variable).to_owned(), file.display().to_string());
            self.warnings.push(Warning::NoFile { variable, path });
        }
        self.put_together()?;
        for file in &places.erlang {
            self.read_erlang(&file.display().to_string())?;
        }
        Ok(())
    }

    /// Reads an `advanced.config` or `rabbitmq.config`, in Erlang's terms.
    pub(super) fn read_erlang(&mut self, path: &str) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        let settings = settings_of_file(&text).map_err(|Malformed { line, reason }| {
            ConfigError::NotErlang { path: path.to_owned(), line, reason }
        })?;
        for ApplicationSetting { line, path: key, entry } in settings {
            let origin = Origin::File { path: path.to_owned(), line, key };
            self.read_application_setting(entry, origin)?;
        }
        self.put_together()
    }

    fn read_application_setting(
        &mut self,
        entry: Option<(String, String)>,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        match entry {
            Some((key, value)) => self.read_rabbitmq_key(&key, &value, origin),
            None => {
                self.warnings.push(Warning::UnknownKey(origin));
                Ok(())
            }
        }
    }

    /// Reads a `rabbitmq.conf`.
    pub(super) fn read_conf(&mut self, path: &str) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        for Line { number, entry } in lines(&text) {
            let Some((key, value)) = entry else {
                return Err(ConfigError::NotSysctl { path: path.to_owned(), line: number });
            };
            let origin = Origin::File { path: path.to_owned(), line: number, key: key.clone() };
            self.read_rabbitmq_key(&key, &value, origin)?;
        }
        Ok(())
    }

    fn read_rabbitmq_key(
        &mut self,
        key: &str,
        value: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let memory = self.draft.memory.or_else(memory::available);
        self.take(key, value, meaning(key, value, memory), origin)
    }

    /// Does what a key with its value means.
    fn take(
        &mut self,
        key: &str,
        value: &str,
        meaning: Meaning,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        match meaning {
            Meaning::Set(key, given) => return self.set(key, &given, || origin),
            Meaning::Listener { address, port } => self.listen_on(address, port, origin),
            Meaning::Loopback { user, only } => self.together.restrict(user, only, origin),
            Meaning::TlsVersion(version) => {
                let (versions, _) = self.together.tls_versions.get_or_insert((Vec::new(), origin));
                versions.push(version);
            }
            Meaning::DefaultTag { tag, given } => {
                let (tags, _) = self.together.tags.get_or_insert((Vec::new(), origin));
                tags.extend(given.then_some(tag));
            }
            Meaning::DefaultPermission { place, pattern } => {
                let all = || [".*"; 3].map(str::to_owned);
                let (patterns, _) = self.together.permissions.get_or_insert((all(), origin));
                patterns[place] = pattern;
            }
            Meaning::OfNewVHosts(said) => self.begin_vhosts_with(key, value, said, origin)?,
            Meaning::Memory(bytes) => self.draft.memory = Some(bytes),
            Meaning::Log(part) => self.together.log(part, origin),
            Meaning::Https(ours) => self.together.https.push((ours, value.to_owned(), origin)),
            Meaning::ManagementTls(on) => self.together.management_tls = on.then_some(origin),
            Meaning::NoEffect => {}
            Meaning::Missing(instead) => {
                self.warnings.push(Warning::Missing { origin, instead });
            }
            Meaning::Unknown => self.warnings.push(Warning::UnknownKey(origin)),
            Meaning::Wrong(expects) => {
                let given = format!("'{value}'");
                return Err(ConfigError::WrongValue { origin, expects, given });
            }
        }
        Ok(())
    }

    fn begin_vhosts_with(
        &mut self,
        key: &str,
        value: &str,
        said: OfNewVHosts,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let OfNewVHosts { name, part } = said;
        let pattern = match &part {
            Part::LimitPattern(pattern)
            | Part::UserPattern(pattern)
            | Part::UserConfigure(pattern)
            | Part::UserWrite(pattern)
            | Part::UserRead(pattern)
            | Part::PolicyPattern(pattern)
            | Part::QueuePattern(pattern) => Some(pattern),
            _ => None,
        };
        if pattern.is_some_and(|pattern| Pattern::new(pattern).is_err()) {
            let (expects, given) = ("a regular expression", format!("'{value}'"));
            return Err(ConfigError::WrongValue { origin, expects, given });
        }
        begin_with(&mut self.draft.config, name, part);
        let shown = if key.ends_with(".password") { "***" } else { value };
        let setting = Setting { given: Given::Text(shown.to_owned()), origin };
        self.of_rabbitmq.insert(key.to_owned(), setting);
        Ok(())
    }

    fn listen_on(&mut self, address: Option<String>, port: String, origin: Origin) {
        let Together { addresses, everywhere, port: first, .. } = &mut self.together;
        match first {
            Some((first, _)) if *first != port => {
                self.warnings.push(Warning::SecondPort(origin));
                return;
            }
            _ => *first = Some((port, origin.clone())),
        }
        match address {
            Some(address) => addresses.push((address, origin)),
            None => *everywhere = true,
        }
    }

    /// Sets what the lines of RabbitMQ's files say together.
    pub(super) fn put_together(&mut self) -> Result<(), ConfigError> {
        let mut together = std::mem::take(&mut self.together);
        let (log, log_before) =
            (std::mem::take(&mut together.log), std::mem::take(&mut together.log_before));
        let Together { addresses, everywhere, port, loopback, .. } = &together;
        let permissions =
            together.permissions.clone().map(|(patterns, origin)| (patterns.to_vec(), origin));
        let loopback =
            loopback.clone().map(|(users, origin)| (users.into_iter().collect(), origin));
        if *everywhere && self.setting("bind").is_some() {
            // What was read before had addresses.
            self.draft.config.bind = Vec::new();
            self.settings.remove("bind");
        }
        let addresses = addresses.first().filter(|_| !everywhere).map(|(_, origin)| {
            (addresses.iter().map(|(address, _)| address.clone()).collect(), origin.clone())
        });
        let lists = [
            ("tls_versions", together.tls_versions.clone()),
            ("default_user_tags", together.tags.clone()),
            ("default_permissions", permissions),
            ("bind", addresses),
            ("loopback_users", loopback),
            ("log_categories", together.log_categories.clone()),
        ];
        for (key, list) in lists {
            if let Some((values, origin)) = list {
                self.set(key, &Given::List(values), || origin)?;
            }
        }
        if let Some((port, origin)) = port.clone() {
            self.set("port", &Given::Text(port), || origin)?;
        }
        self.put_log(log, log_before)?;
        self.put_https(together)
    }

    /// Where RabbitMQ's log is: one source may say the file, and the next its directory. Without a file it stays on
    /// standard output, whatever is said of that.
    fn put_log(&mut self, said: LogPlaces, before: LogPlaces) -> Result<(), ConfigError> {
        let says_nothing = said.is_empty();
        let places = said.or(before);
        self.together.log_before = places.clone();
        if says_nothing {
            return Ok(());
        }
        match places.file {
            Some((Some(file), origin)) => {
                let directory = places.directory.as_ref().map_or(LOG_DIRECTORY, |(it, _)| it);
                let file = Path::new(directory).join(file).display().to_string();
                self.set("log_file", &Given::Text(file), || origin)?;
            }
            Some((None, _)) => {
                self.draft.config.log.file = None;
                self.settings.remove("log_file");
            }
            None => {}
        }
        match places.console {
            Some((console, origin)) if console || self.setting("log_file").is_some() => {
                self.set("log_console", &Given::Bool(console), || origin)
            }
            _ => Ok(()),
        }
    }

    /// HTTPS has what AMQP has: what says something else is told.
    fn put_https(&mut self, together: Together) -> Result<(), ConfigError> {
        if let Some(origin) = together.management_tls {
            let port = self.setting("management_port").map(|setting| setting.given.clone());
            let port = port.unwrap_or_else(|| Given::Text(MANAGEMENT_TLS_PORT.to_owned()));
            self.set("management_tls_port", &port, || origin.clone())?;
            self.set("management_port", &Given::Text("off".to_owned()), || origin)?;
        }
        for (ours, value, origin) in together.https {
            let is_same = self.setting(ours).is_some_and(|it| it.given.plain() == value);
            if !is_same {
                self.warnings.push(Warning::Missing { origin, instead: SAME_TLS });
            }
        }
        Ok(())
    }

    /// Reads the variables that RabbitMQ knows, except where leveret's own is there.
    pub(super) fn read_rabbitmq_variables(
        &mut self,
        environment: &Environment,
    ) -> Result<(), ConfigError> {
        for (name, value) in environment.iter() {
            if let Some(variable) = variable(name) {
                self.read_rabbitmq_variable(name, variable, value, environment)?;
            }
        }
        self.put_together()
    }

    fn read_rabbitmq_variable(
        &mut self,
        name: &str,
        variable: Variable,
        value: &OsStr,
        environment: &Environment,
    ) -> Result<(), ConfigError> {
        let origin = || Origin::Variable(name.to_owned());
        let text = value.to_string_lossy().into_owned();
        if let Some(ours) = variable.key().map(super::variable_of)
            && let Some(own) = environment.get(&ours)
        {
            // The image says where data are by default: who says otherwise means it.
            if own != value && variable != Variable::DataHome {
                self.warnings.push(Warning::Overridden { variable: name.to_owned(), by: ours });
            }
            return Ok(());
        }
        match variable {
            // RabbitMQ's word for "every address", which is the default.
            Variable::Key("bind") if text == "auto" => Ok(()),
            Variable::Key(key) => self.set_variable(name, key, value),
            Variable::Conf(key, _) => self.read_rabbitmq_key(key, &text, origin()),
            Variable::File(key) => {
                let read = fs::read_to_string(Path::new(value));
                let read = read.map_err(|cause| ConfigError::Unreadable { path: text, cause })?;
                let line = read.lines().next().unwrap_or_default();
                self.set(key, &Given::Text(line.to_owned()), origin)
            }
            Variable::DataHome if self.setting("data_dir").is_some() => Ok(()),
            Variable::DataBase if environment.get("RABBITMQ_MNESIA_DIR").is_some() => Ok(()),
            Variable::DataHome | Variable::DataBase => {
                // RabbitMQ has a directory for each node in it; what it left there is not ours.
                let dir = Path::new(value).join("leveret").display().to_string();
                self.set("data_dir", &Given::Text(dir), origin)
            }
            Variable::LogLevel => self.read_log_levels(name, &text),
            Variable::LogPlace => {
                let instead = match text.as_str() {
                    "-" => {
                        self.together.log(LogPart::File(None), origin());
                        self.together.log(LogPart::Console(true), origin());
                        return Ok(());
                    }
                    "-stderr" => {
                        "the log is on standard output; redirect it where it is to be elsewhere"
                    }
                    text if text.starts_with(['-', '+']) || text.contains(':') => {
                        "the log is on standard output; a name is that of a file that it is in as well"
                    }
                    file => {
                        self.together.log(LogPart::File(Some(file.to_owned())), origin());
                        return Ok(());
                    }
                };
                self.warnings.push(Warning::Missing { origin: origin(), instead });
                Ok(())
            }
            Variable::LogDirectory => {
                self.together.log(LogPart::Directory(text), origin());
                Ok(())
            }
            Variable::Watermark => {
                let is_share = text.parse().is_ok_and(|share: f64| share <= 1.0);
                let kind = if is_share { "relative" } else { "absolute" };
                let key = format!("vm_memory_high_watermark.{kind}");
                self.read_rabbitmq_key(&key, &text, origin())
            }
            Variable::ErlangArguments => self.read_erlang_arguments(name, &text),
            Variable::ManagementTls(key) => self.read_management_tls(name, key, value, environment),
            Variable::Place | Variable::NoEffect => Ok(()),
        }
    }

    /// RabbitMQ's image listens on 15671 for whom it has a certificate of the management API. Here it is AMQP's:
    /// where that is another, or there is none, it is said.
    fn read_management_tls(
        &mut self,
        name: &str,
        key: &str,
        value: &OsStr,
        environment: &Environment,
    ) -> Result<(), ConfigError> {
        let of_amqp = name.replacen("MANAGEMENT_", "", 1);
        let is_same = environment.get(&of_amqp) == Some(value)
            || environment.get(&super::variable_of(key)) == Some(value)
            || (self.setting(key)).is_some_and(|it| Some(&*it.given.plain()) == value.to_str());
        if !is_same {
            let origin = Origin::Variable(name.to_owned());
            self.warnings.push(Warning::Missing { origin, instead: SAME_TLS });
        } else if key == "tls_cert_file"
            && self.setting("management_tls_port").is_none()
            && environment.get("LEVERET_MANAGEMENT_TLS_PORT").is_none()
        {
            let port = Given::Text(MANAGEMENT_TLS_PORT.to_owned());
            return self.set("management_tls_port", &port, || Origin::Variable(name.to_owned()));
        }
        Ok(())
    }

    /// `debug`, or `connection.debug,default.info,+json`: what has no category is for all.
    fn read_log_levels(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        for item in text.split(',').map(str::trim) {
            let origin = Origin::Variable(name.to_owned());
            let meaning = match item {
                "+json" => Meaning::Set("log_format", Given::Text("json".to_owned())),
                "-json" => Meaning::Set("log_format", Given::Text("text".to_owned())),
                item if item.starts_with(['+', '-']) => Meaning::NoEffect,
                item => {
                    let (of, level) = item.split_once(['.', '=']).unwrap_or(("default", item));
                    category(of, level)
                }
            };
            self.take(name, item, meaning, origin)?;
        }
        Ok(())
    }

    fn read_erlang_arguments(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let (settings, others) = application_settings(text);
        for setting in settings {
            let origin = Origin::Variable(format!("{name}: {}", setting.path));
            self.read_application_setting(setting.entry, origin)?;
        }
        if !others.is_empty() {
            let (variable, arguments) = (name.to_owned(), others.join(" "));
            self.warnings.push(Warning::ErlangArguments { variable, arguments });
        }
        self.put_together()
    }
}

fn begin_with(config: &mut Config, name: String, part: Part) {
    let Config { vhost_limits, vhost_users, vhost_operator_policies, .. } = config;
    let (of_limits, of_user, of_policy) = (name.clone(), name.clone(), name);
    let limits = move || vhost_limits.entry(of_limits).or_default();
    let user = move || vhost_users.entry(of_user).or_default();
    let policy = move || vhost_operator_policies.entry(of_policy).or_default();
    match part {
        Part::LimitPattern(pattern) => limits().pattern = pattern,
        Part::MaxConnections(limit) => limits().max_connections = Some(limit),
        Part::MaxQueues(limit) => limits().max_queues = Some(limit),
        Part::UserPattern(pattern) => user().vhost_pattern = pattern,
        Part::UserPassword(password) => user().password = Some(Secret::new(password)),
        Part::UserTags(tags) => user().tags = tags,
        Part::UserConfigure(pattern) => user().configure = pattern,
        Part::UserWrite(pattern) => user().write = pattern,
        Part::UserRead(pattern) => user().read = pattern,
        Part::PolicyPattern(pattern) => policy().vhost_pattern = pattern,
        Part::QueuePattern(pattern) => policy().queue_pattern = pattern,
        Part::ApplyTo(kind) => policy().apply_to = kind,
        Part::Limit(key, limit) => {
            policy().definition.insert(key, limit);
        }
    }
}

impl Together {
    fn log(&mut self, part: LogPart, origin: Origin) {
        match part {
            LogPart::Console(on) => self.log.console = Some((on, origin)),
            LogPart::File(file) => self.log.file = Some((file, origin)),
            LogPart::Directory(directory) => self.log.directory = Some((directory, origin)),
            LogPart::Category(category, level) => {
                let (levels, _) = self.log_categories.get_or_insert((Vec::new(), origin));
                levels.push(format!("{category}={level}"));
            }
        }
    }

    fn restrict(&mut self, user: Option<String>, only: bool, origin: Origin) {
        let (users, place) = self.loopback.get_or_insert_with(|| {
            (Config::default().loopback_users.into_iter().collect(), origin.clone())
        });
        *place = origin;
        match (user, only) {
            (None, _) => users.clear(),
            (Some(user), true) => {
                users.insert(user);
            }
            (Some(user), false) => {
                users.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests;
