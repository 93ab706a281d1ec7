//! One call of one of RabbitMQ's tools: its options, its broker, its output.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Tool;
use super::command::Command;
use super::failure::Failure;
use super::formatter::{Column, Formatter};
use crate::cli::EXIT_DATA;
use crate::cli::api::{Address, AddressError, ApiError, ApiPath, Client, Wishes};
use crate::cli::environment::Environment;

/// How long a request may take unless `--timeout` says otherwise. RabbitMQ's commands wait for 60 s.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The broker that the environment tells of.
fn find(vhost: Option<&String>, environment: &Environment) -> Result<Address, AddressError> {
    Address::find(Wishes { vhost: vhost.cloned(), ..Wishes::default() }, environment)
}

fn client(address: Address, timeout: Option<Duration>) -> Result<Client, AddressError> {
    Client::new(address, timeout.unwrap_or(TIMEOUT).max(Duration::from_secs(1)))
}

/// One call of a tool.
pub(super) struct Call<'a> {
    /// The tool.
    pub(super) tool: Tool,
    /// The command.
    pub(super) command: &'static Command,
    /// The words behind it.
    pub(super) words: Vec<String>,
    /// The broker.
    pub(super) api: Client,
    /// Its name, as far as it is known here.
    pub(super) node: String,
    /// The vhost that was named; RabbitMQ's commands are about `/` else.
    pub(super) vhost: String,
    /// What `--timeout` says.
    pub(super) timeout: Option<Duration>,
    /// How lists are printed.
    pub(super) formatter: Formatter,
    /// The environment.
    pub(super) environment: &'a Environment,
    /// Where all but errors are printed.
    pub(super) out: &'a mut dyn Write,
    options: BTreeMap<String, String>,
}

impl<'a> Call<'a> {
    /// Finds the broker. Nothing is sent yet.
    pub(super) fn new(
        tool: Tool,
        command: &'static Command,
        options: BTreeMap<String, String>,
        words: Vec<String>,
        environment: &'a Environment,
        out: &'a mut dyn Write,
    ) -> Result<Self, Failure> {
        let seconds = options.get("timeout").map(|text| {
            let infinite = matches!(text.as_str(), "infinity" | "-1");
            let seconds = if infinite { Some(86_400.0) } else { text.parse::<f64>().ok() };
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        });
        let timeout = match seconds {
            Some(None) => return Err(Failure::data("--timeout must be a number of seconds")),
            Some(timeout) => timeout,
            None => None,
        };
        let address = find(options.get("vhost"), environment)?;
        let vhost = address.vhost.clone();
        let api = client(address, timeout)?;
        let node = node_name(environment, options.get("node").map(String::as_str));
        let formatter = match options.get("formatter").map(String::as_str) {
            None => Formatter::Table {
                // RabbitMQ's --silent has no titles, its --quiet has.
                titles: !options.contains_key("silent")
                    && !options.contains_key("no-table-headers"),
            },
            Some(name) => Formatter::named(name)
                .ok_or_else(|| Failure::data(&format!("there is no formatter '{name}'")))?,
        };
        Ok(Self {
            tool,
            command,
            words,
            api,
            node,
            vhost,
            timeout,
            formatter,
            environment,
            out,
            options,
        })
    }

    /// Looks once more where the broker is: one that has started since has left its address.
    pub(super) fn find_again(&mut self) -> Result<(), Failure> {
        self.api = client(find(self.options.get("vhost"), self.environment)?, self.timeout)?;
        Ok(())
    }

    /// A word, counted from 0; the command's arity says how many there are.
    pub(super) fn word(&self, place: usize) -> String {
        self.words.get(place).cloned().unwrap_or_default()
    }

    /// An option's value.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether an option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// What RabbitMQ says before it does something, unless nobody wants to read it.
    pub(super) fn banner(&mut self, text: &str) -> Result<(), Failure> {
        let is_for_people = matches!(self.formatter, Formatter::Table { .. } | Formatter::Pretty);
        if is_for_people && !self.has("quiet") && !self.has("silent") {
            self.line(text)?;
            // Before an error that may come.
            self.out.flush()?;
        }
        Ok(())
    }

    /// A line of the answer.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// How a check ended: a line for people, an object for machines.
    pub(super) fn result(&mut self, text: &str) -> Result<(), Failure> {
        if self.formatter != Formatter::Json {
            return if self.has("silent") { Ok(()) } else { self.line(text) };
        }
        let object = serde_json::json!({ "node": self.node, "result": "ok", "message": text });
        self.line(&object.to_string())
    }

    /// A list.
    pub(super) fn rows(&mut self, columns: &[Column], rows: &[Value]) -> Result<(), Failure> {
        Ok(self.formatter.print(self.out, columns, rows)?)
    }

    /// A list for which RabbitMQ prints an empty line where there is nothing in it.
    pub(super) fn rows_or_blank(
        &mut self,
        columns: &[Column],
        rows: &[Value],
    ) -> Result<(), Failure> {
        if rows.is_empty() && matches!(self.formatter, Formatter::Table { .. }) {
            return self.line("");
        }
        self.rows(columns, rows)
    }

    /// Whether something is there.
    pub(super) fn exists(&self, path: &[&str]) -> Result<bool, Failure> {
        match self.api.get(&ApiPath::of(path)) {
            Ok(_) => Ok(true),
            Err(ApiError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fails as RabbitMQ does if the vhost is not there.
    pub(super) fn check_vhost(&self, vhost: &str) -> Result<(), Failure> {
        if self.exists(&["vhosts", vhost])? {
            return Ok(());
        }
        Err(Failure::unavailable(&format!("Virtual host {vhost} does not exist")))
    }

    /// The same for a list of what is set for it.
    pub(super) fn check_listed_vhost(&self, vhost: &str) -> Result<(), Failure> {
        if self.exists(&["vhosts", vhost])? {
            return Ok(());
        }
        Err(Failure::bare(EXIT_DATA, &format!("Virtual host '{vhost}' does not exist")))
    }

    /// Fails as RabbitMQ does if the user is not there of whom something is to be listed.
    pub(super) fn check_listed_user(&self, user: &str) -> Result<(), Failure> {
        if self.exists(&["users", user])? {
            return Ok(());
        }
        Err(Failure::unavailable(&format!("{{:no_such_user, \"{user}\"}}")))
    }

    /// A word that is JSON.
    pub(super) fn json(&self, place: usize) -> Result<Value, Failure> {
        serde_json::from_str(&self.word(place))
            .map_err(|error| Failure::unavailable(&format!("JSON decoding error. Reason: {error}")))
    }

    /// A word that is an object in JSON.
    pub(super) fn json_object(&self, place: usize) -> Result<Map<String, Value>, Failure> {
        match self.json(place)? {
            Value::Object(object) => Ok(object),
            _ => Err(Failure::unavailable("JSON decoding error. Reason: it is no object")),
        }
    }
}

/// The name of a broker as RabbitMQ makes it: the one that was given, or that of this machine's, and behind it
/// the machine's own name.
pub(super) fn node_name(environment: &Environment, given: Option<&str>) -> String {
    let node = given.or_else(|| environment.text("RABBITMQ_NODENAME"));
    let node = node.unwrap_or("rabbit");
    if node.contains('@') {
        return node.to_owned();
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().split('.').next().unwrap_or_default();
    format!("{node}@{}", if host.is_empty() { "localhost" } else { host })
}
