//! `rabbitmqadmin`, in the syntax of RabbitMQ's Python tool (`declare queue name=q`) and of its second version
//! (`queues declare --name q`). What it prints is the Python tool's.

mod line;
mod lists;
mod many;
mod objects;
mod options;
mod second;
mod tables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use self::line::{Line, Request};
use self::objects::Object;
use self::options::Options;
use super::api::{AddressError, ApiError, ApiPath, Client};
use super::environment::Environment;
use super::output::field;
use super::private_file::write_private;

/// Does what the words behind the program's name say.
pub(super) fn run(
    words: impl Iterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let environment = Environment::of(environment);
    let mut out = BufWriter::new(io::stdout().lock());
    let done = execute(&words, &environment, &mut out);
    match done.and_then(|()| out.flush().map_err(Problem::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            drop(out);
            let _ = writeln!(io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

fn execute(
    words: &[String],
    environment: &Environment,
    out: &mut dyn Write,
) -> Result<(), Problem> {
    let Line { options, request } = Line::parse(words)?;
    if let Request::Answer(text) = request {
        return Ok(writeln!(out, "{text}")?);
    }
    let options = options.with_variables(environment).with_file(environment)?;
    let client = options.client(environment)?;
    Admin { client, options, out }.run(request)
}

/// Why it did not do what it should, as the Python tool says it.
#[derive(Debug)]
enum Problem {
    /// The command line makes no sense.
    Usage(String),
    /// The broker does not do it.
    Refused(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => {
                write!(f, "\nERROR: {text}\n\nrabbitmqadmin --help for help\n")
            }
            Self::Refused(text) => write!(f, "*** {text}"),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Refused(format!("cannot write the output: {error}"))
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl Problem {
    /// What became of a request for a path.
    fn of(error: ApiError, path: &ApiPath) -> Self {
        Self::Refused(match error {
            ApiError::Refused { status: 400, reason } => reason,
            ApiError::NotLoggedIn { .. } | ApiError::NotAllowed { .. } => {
                format!("Access refused: {path}")
            }
            ApiError::NotFound { .. } => format!("Not found: {path}"),
            ApiError::Unreachable { cause, .. } => format!("Could not connect: {cause}"),
            other => other.to_string(),
        })
    }
}

/// A broker, and how its answers are printed.
struct Admin<'a> {
    client: Client,
    options: Options,
    out: &'a mut dyn Write,
}

impl Admin<'_> {
    fn run(&mut self, request: Request) -> Result<(), Problem> {
        match request {
            Request::Answer(_) => Ok(()),
            Request::List { what, columns, page } => {
                lists::list(self, &what, &columns, page.as_ref())
            }
            Request::Show { columns } => lists::show(self, &columns),
            Request::Declare(object, arguments) => self.declare(object, arguments),
            Request::Delete(object, arguments) => self.delete(object, arguments),
            Request::Close(arguments) => self.close(&arguments),
            Request::Second(verb, arguments) => self.second(verb, &arguments),
            Request::Purge(arguments) => {
                let (vhost, name) = (self.options.vhost_or_default(), text(&arguments, "name")?);
                self.remove(&["queues", &vhost, &name, "contents"], "queue purged")
            }
            Request::Publish(arguments) => self.publish(arguments),
            Request::Get(arguments) => self.get_messages(&arguments),
            Request::Export(file) => self.export(&file),
            Request::Import(file) => self.import(&file),
            Request::HealthCheck(check) => {
                let path = ApiPath::of(&["health", "checks", &check.replace('_', "-")]);
                self.client.get(&path).map_err(|error| Problem::of(error, &path))?;
                self.say("health check passed")
            }
        }
    }

    /// Prints a line, unless nobody wants to read it.
    fn say(&mut self, line: &str) -> Result<(), Problem> {
        if !self.options.quiet {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn close(&mut self, arguments: &BTreeMap<String, String>) -> Result<(), Problem> {
        let path = ApiPath::of(&["connections", &text(arguments, "name")?]);
        match self.client.delete(&path) {
            Err(ApiError::NotFound { .. }) if arguments.contains_key("idempotently") => Ok(()),
            other => other.map_err(|error| Problem::of(error, &path)),
        }?;
        self.say("connection closed")
    }

    fn remove(&mut self, path: &[&str], done: &str) -> Result<(), Problem> {
        let path = ApiPath::of(path);
        self.client.delete(&path).map_err(|error| Problem::of(error, &path))?;
        self.say(done)
    }

    fn declare(
        &mut self,
        object: &'static Object,
        arguments: BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let vhost = self.options.vhost_or_default();
        let (segments, body) = object.declaration(arguments, &vhost)?;
        let path = ApiPath::of(&segments.iter().map(String::as_str).collect::<Vec<_>>());
        let body = Value::from(body);
        let sent = match object.name {
            "binding" => self.client.post(&path, &body).map(drop),
            _ => self.client.put(&path, &body),
        };
        sent.map_err(|error| Problem::of(error, &path))?;
        self.say(&format!("{} declared", object.name))
    }

    fn delete(
        &mut self,
        object: &'static Object,
        arguments: BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let is_idempotent = arguments.contains_key("idempotently");
        let segments = object.deletion(arguments, &self.options.vhost_or_default())?;
        let path = ApiPath::of(&segments.iter().map(String::as_str).collect::<Vec<_>>());
        match self.client.delete(&path) {
            Err(ApiError::NotFound { .. }) if is_idempotent => Ok(()),
            other => other.map_err(|error| Problem::of(error, &path)),
        }?;
        self.say(&format!("{} deleted", object.name))
    }

    fn publish(&mut self, mut arguments: BTreeMap<String, String>) -> Result<(), Problem> {
        let exchange = arguments.remove("exchange").filter(|name| !name.is_empty());
        let exchange = exchange.unwrap_or_else(|| "amq.default".to_owned());
        let properties = match arguments.remove("properties") {
            Some(text) => objects::parse_json(&text)?,
            None => json!({}),
        };
        let encoding = arguments.remove("payload_encoding").unwrap_or_else(|| "string".to_owned());
        let (payload, encoding) = match arguments.remove("payload") {
            Some(payload) => (payload, encoding),
            None => {
                let file = arguments.get("payload_file").filter(|file| *file != "-");
                let mut bytes = Vec::new();
                let read = match file {
                    Some(file) => fs::read(file).map(|read| bytes = read),
                    None => io::stdin().lock().read_to_end(&mut bytes).map(drop),
                };
                read.map_err(|error| {
                    Problem::Refused(format!("cannot read the payload: {error}"))
                })?;
                (STANDARD.encode(bytes), "base64".to_owned())
            }
        };
        let body = json!({
            "routing_key": text(&arguments, "routing_key")?,
            "properties": properties,
            "payload": payload,
            "payload_encoding": encoding,
        });
        let vhost = self.options.vhost_or_default();
        let path = ApiPath::of(&["exchanges", &vhost, &exchange, "publish"]);
        let answer = self.client.post(&path, &body).map_err(|error| Problem::of(error, &path))?;
        match field(&answer, "routed").as_bool() {
            Some(false) => self.say("Message published but NOT routed"),
            _ => self.say("Message published"),
        }
    }

    fn get_messages(&mut self, arguments: &BTreeMap<String, String>) -> Result<(), Problem> {
        let or = |name: &str, default: &str| {
            arguments.get(name).map_or_else(|| default.to_owned(), Clone::clone)
        };
        let count: u64 = or("count", "1")
            .parse()
            .map_err(|_| Problem::Usage("count must be a number".to_owned()))?;
        let file = arguments.get("payload_file");
        if file.is_some() && count != 1 {
            return Err(Problem::Usage("Cannot get multiple messages using payload_file".into()));
        }
        let body = json!({
            "count": count,
            "ackmode": or("ackmode", "ack_requeue_true"),
            "encoding": or("encoding", "auto"),
        });
        let vhost = self.options.vhost_or_default();
        let path = ApiPath::of(&["queues", &vhost, &text(arguments, "queue")?, "get"]);
        let answer = self.client.post(&path, &body).map_err(|error| Problem::of(error, &path))?;
        let messages = answer.as_array().cloned().unwrap_or_default();
        let Some(file) = file else {
            return tables::print(self, &answer, &[], &[]);
        };
        if let Some(message) = messages.first() {
            write_payload(file, message)?;
        }
        let columns = ["routing_key", "exchange", "message_count", "payload_bytes", "redelivered"];
        tables::print(self, &answer, &columns.map(str::to_owned), &[])
    }

    fn definitions(&self) -> ApiPath {
        match &self.options.vhost {
            Some(vhost) => ApiPath::of(&["definitions", vhost]),
            None => ApiPath::of(&["definitions"]),
        }
    }

    fn export(&mut self, file: &str) -> Result<(), Problem> {
        let path = self.definitions();
        let definitions = self.client.get(&path).map_err(|error| Problem::of(error, &path))?;
        if file == "-" {
            return Ok(writeln!(self.out, "{definitions}")?);
        }
        write_private(file, &definitions.to_string())
            .map_err(|error| Problem::Refused(format!("cannot write {file}: {error}")))?;
        let host = self.options.host().to_owned();
        self.say(&format!("Exported definitions for {host} to \"{file}\""))
    }

    fn import(&mut self, file: &str) -> Result<(), Problem> {
        let text = fs::read_to_string(file)
            .map_err(|error| Problem::Refused(format!("cannot read {file}: {error}")))?;
        let definitions = objects::parse_json(&text)?;
        let path = self.definitions();
        self.client.post(&path, &definitions).map_err(|error| Problem::of(error, &path))?;
        let host = self.options.host().to_owned();
        self.say(&format!(
            "Uploaded definitions from \"{host}\" to {file}. The import process may take some time. \
             Consult server logs to track progress."
        ))
    }
}

/// An argument that has to be there.
fn text(arguments: &BTreeMap<String, String>, name: &str) -> Result<String, Problem> {
    let given = arguments.get(name).cloned();
    given.ok_or_else(|| Problem::Usage(format!("mandatory argument \"{name}\" is required")))
}

fn write_payload(file: &str, message: &Value) -> Result<(), Problem> {
    let payload = field(message, "payload").as_str().unwrap_or_default();
    let is_encoded = field(message, "payload_encoding") == "base64";
    let decoded = if is_encoded { STANDARD.decode(payload).ok() } else { None };
    fs::write(file, decoded.unwrap_or_else(|| payload.as_bytes().to_vec()))
        .map_err(|error| Problem::Refused(format!("cannot write {file}: {error}")))
}

/// What is sent.
type Body = Map<String, Value>;
