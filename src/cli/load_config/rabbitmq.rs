//! RabbitMQ's files and variables become leveret's keys.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::{ConfigError, Loading, Origin, Warning};
use crate::cli::environment::Environment;
use crate::cli::given::Given;
use crate::cli::memory;
use crate::cli::rabbitmq_conf::{
    Line, Meaning, Places, VHostLimitPart, Variable, application_settings, lines, meaning, variable,
};
use crate::config::Config;
use crate::pattern::Pattern;

/// What several lines say together.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    addresses: Vec<(String, Origin)>,
    everywhere: bool,
    port: Option<(String, Origin)>,
    tls_versions: Option<(Vec<String>, Origin)>,
    tags: Option<(Vec<String>, Origin)>,
    permissions: Option<([String; 3], Origin)>,
    /// Who may log in from this machine only, once somebody said something about it.
    loopback: Option<(BTreeSet<String>, Origin)>,
}

impl Loading {
    /// Reads the files that are there.
    pub(super) fn read_places(&mut self, places: &Places) -> Result<(), ConfigError> {
        for file in &places.conf {
            self.read_conf(&file.display().to_string())?;
        }
        for file in &places.erlang {
            self.warnings.push(Warning::Erlang(file.display().to_string()));
        }
        self.put_listeners()
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
        match meaning(key, value, memory::available()) {
            Meaning::Set(key, given) => return self.set(key, &given, || origin),
            Meaning::Listener { address, port } => self.listen_on(address, port, origin),
            Meaning::Loopback { user, only } => self.listeners.restrict(user, only, origin),
            Meaning::TlsVersion(version) => {
                let (versions, _) = self.listeners.tls_versions.get_or_insert((Vec::new(), origin));
                versions.push(version);
            }
            Meaning::DefaultTag { tag, given } => {
                let (tags, _) = self.listeners.tags.get_or_insert((Vec::new(), origin));
                tags.extend(given.then_some(tag));
            }
            Meaning::DefaultPermission { place, pattern } => {
                let all = || [".*"; 3].map(str::to_owned);
                let (patterns, _) = self.listeners.permissions.get_or_insert((all(), origin));
                patterns[place] = pattern;
            }
            Meaning::VHostLimit { id, part } => self.limit_vhosts(id, part, origin)?,
            Meaning::NoEffect => {}
            Meaning::Missing => self.warnings.push(Warning::Missing(origin)),
            Meaning::Unknown => self.warnings.push(Warning::UnknownKey(origin)),
            Meaning::Wrong(expects) => {
                let given = format!("'{value}'");
                return Err(ConfigError::WrongValue { origin, expects, given });
            }
        }
        Ok(())
    }

    fn limit_vhosts(
        &mut self,
        id: String,
        part: VHostLimitPart,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let limits = self.draft.config.vhost_limits.entry(id).or_default();
        match part {
            VHostLimitPart::Pattern(pattern) => {
                if Pattern::new(&pattern).is_err() {
                    let (expects, given) = ("a regular expression", format!("'{pattern}'"));
                    return Err(ConfigError::WrongValue { origin, expects, given });
                }
                limits.pattern = pattern;
            }
            VHostLimitPart::MaxConnections(limit) => limits.max_connections = Some(limit),
            VHostLimitPart::MaxQueues(limit) => limits.max_queues = Some(limit),
        }
        Ok(())
    }

    fn listen_on(&mut self, address: Option<String>, port: String, origin: Origin) {
        let Listeners { addresses, everywhere, port: first, .. } = &mut self.listeners;
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
    pub(super) fn put_listeners(&mut self) -> Result<(), ConfigError> {
        let Listeners { addresses, everywhere, port, tls_versions, tags, permissions, loopback } =
            std::mem::take(&mut self.listeners);
        let permissions = permissions.map(|(patterns, origin)| (patterns.to_vec(), origin));
        let lists = [
            ("tls_versions", tls_versions),
            ("default_user_tags", tags),
            ("default_permissions", permissions),
        ];
        for (key, list) in lists {
            if let Some((values, origin)) = list {
                self.set(key, &Given::List(values), || origin)?;
            }
        }
        if let Some((port, origin)) = port {
            self.set("port", &Given::Text(port), || origin)?;
        }
        if let Some((_, origin)) = addresses.first().filter(|_| !everywhere) {
            let origin = origin.clone();
            let addresses = addresses.into_iter().map(|(address, _)| address).collect();
            self.set("bind", &Given::List(addresses), || origin)?;
        }
        if let Some((users, origin)) = loopback {
            self.set("loopback_users", &Given::List(users.into_iter().collect()), || origin)?;
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
        Ok(())
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
            Variable::LogLevel => {
                // `debug`, or `connection.debug,default.info`: what has no category is for all.
                let mut levels = text.split(',').map(str::trim);
                let level = levels.rfind(|level| !level.contains(['.', '=', '+', '-']));
                level.map_or(Ok(()), |level| self.read_rabbitmq_key("log.level", level, origin()))
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
            self.warnings.push(Warning::Missing(Origin::Variable(name.to_owned())));
        } else if key == "tls_cert_file"
            && self.setting("management_tls_port").is_none()
            && environment.get("LEVERET_MANAGEMENT_TLS_PORT").is_none()
        {
            let port = Given::Text("15671".to_owned());
            return self.set("management_tls_port", &port, || Origin::Variable(name.to_owned()));
        }
        Ok(())
    }

    fn read_erlang_arguments(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let (settings, others) = application_settings(text);
        for (key, value) in settings {
            self.read_rabbitmq_key(key, &value, Origin::Variable(name.to_owned()))?;
        }
        if !others.is_empty() {
            let (variable, arguments) = (name.to_owned(), others.join(" "));
            self.warnings.push(Warning::ErlangArguments { variable, arguments });
        }
        self.put_listeners()
    }
}

impl Listeners {
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
