//! Command lines of both versions: `declare queue name=q` and `queues declare --name q`.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::Problem;
use super::lists::LISTABLE;
use super::objects::Object;
use super::options::{OPTIONS, Options, is_false, is_true};
use super::second::{self, Verb};
use crate::protocol::handshake::RABBITMQ_VERSION;

/// A command line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) options: Options,
    pub(super) request: Request,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Request {
    /// Print this.
    Answer(String),
    List {
        what: String,
        columns: Vec<String>,
        /// Which page, and how many are on one.
        page: Option<(String, String)>,
    },
    Show {
        columns: Vec<String>,
    },
    Declare(&'static Object, BTreeMap<String, String>),
    Delete(&'static Object, BTreeMap<String, String>),
    Close(BTreeMap<String, String>),
    Purge(BTreeMap<String, String>),
    Publish(BTreeMap<String, String>),
    Get(BTreeMap<String, String>),
    Export(String),
    Import(String),
    HealthCheck(String),
    /// What only the second version has.
    Second(&'static Verb, BTreeMap<String, String>),
}

/// Options that stand for themselves, with no value behind them; those behind which there may be one.
const FLAGS: [&str; 7] =
    ["idempotently", "stdout", "approve", "dry_run", "fail_fast", "strict", "detailed_exit_codes"];
const TRUTHS: [&str; 1] = ["tracing"];

const USAGE: &str = "Usage
=====
rabbitmqadmin [options] subcommand

Options
=======
-H, --host HOST; -P, --port PORT; -u, --username NAME; -p, --password PASSWORD;
-V, --vhost VHOST; -U, --base-uri URI; -c, --config FILE; -N, --node SECTION;
-f, --format table|tsv|long|kvp|bash|raw_json|pretty_json; -S, --sort COLUMN;
-R, --sort-reverse; -d, --depth N; -t, --request-timeout SECONDS; -q, --quiet

  where subcommand is one of:

  list WHAT [<column>...]          show overview [<column>...]
  declare WHAT name=value...       delete WHAT name=value...
  purge queue name=...             close connection name=...
  publish routing_key=... [payload=... exchange=... properties=... payload_encoding=...]
  get queue=... [count=... ackmode=... encoding=... payload_file=...]
  export <file>                    import <file>

  The second version's syntax is understood, too: queues declare --name q --durable true";

impl Line {
    /// Reads the words behind the program's name.
    pub(super) fn parse(given: &[String]) -> Result<Self, Problem> {
        let mut split = Split::default();
        let mut rest = given.iter().peekable();
        while let Some(word) = rest.next() {
            split.take(word, &mut rest)?;
        }
        let Split { mut options, words, arguments } = split;
        if words.get(1).is_some_and(|verb| verb.ends_with("_vhost")) {
            options.vhost.get_or_insert_with(|| "/".to_owned());
        }
        let request = request(&words, arguments)?;
        Ok(Self { options, request })
    }
}

/// Words, options, and arguments that look like options.
#[derive(Default)]
struct Split {
    options: Options,
    words: Vec<String>,
    arguments: BTreeMap<String, String>,
}

impl Split {
    fn take<'a>(
        &mut self,
        word: &str,
        rest: &mut Peekable<impl Iterator<Item = &'a String>>,
    ) -> Result<(), Problem> {
        if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            return self.take_long(&name.replace('-', "_"), value, rest);
        }
        let letter = word.strip_prefix('-').and_then(|letters| letters.chars().next());
        let Some(letter) = letter.filter(char::is_ascii_alphabetic) else {
            self.words.push(word.to_owned());
            return Ok(());
        };
        if letter == 'h' {
            self.words.insert(0, "help".to_owned());
            return Ok(());
        }
        let known = OPTIONS.iter().find(|(_, short, _)| *short == Some(letter));
        let Some((name, _, takes_value)) = known else {
            return Err(Problem::Usage(format!("no such option: -{letter}")));
        };
        // `-uguest` is `-u guest`.
        let value = Some(word[2..].to_owned()).filter(|value| !value.is_empty());
        let value = if *takes_value { value.or_else(|| rest.next().cloned()) } else { value };
        self.options.set(name, value.unwrap_or_default());
        Ok(())
    }

    fn take_long<'a>(
        &mut self,
        name: &str,
        value: Option<String>,
        rest: &mut Peekable<impl Iterator<Item = &'a String>>,
    ) -> Result<(), Problem> {
        match name {
            "help" => self.words.insert(0, "help".to_owned()),
            "version" => self.words.insert(0, "version".to_owned()),
            flag if FLAGS.contains(&flag) => match value.as_deref() {
                Some(no) if is_false(no) => drop(self.arguments.remove(flag)),
                Some(value) if !is_true(value) => {
                    let name = flag.replace('_', "-");
                    let problem = format!("--{name} is true or false, not '{value}'");
                    return Err(Problem::Usage(problem));
                }
                _ => drop(self.arguments.insert(flag.to_owned(), String::new())),
            },
            _ => {
                // Before the command these are options; behind it `--password` is what is declared.
                let known = OPTIONS.iter().find(|(known, _, _)| *known == name);
                let is_argument = (self.words.len() >= 2 && matches!(name, "password" | "node"))
                    || second::is_argument(&self.words, name);
                match known.filter(|_| !is_argument) {
                    Some((name, _, true)) => {
                        let value = value.or_else(|| rest.next().cloned());
                        self.options.set(name, value.unwrap_or_default());
                    }
                    Some((name, _, false)) => self.options.set(name, String::new()),
                    None if self.words.is_empty() => {
                        return Err(Problem::Usage(format!("no such option: --{name}")));
                    }
                    None if TRUTHS.contains(&name) => {
                        let is_truth = |word: &&String| matches!(word.as_str(), "true" | "false");
                        let value = value.or_else(|| rest.next_if(is_truth).cloned());
                        self.arguments.insert(name.to_owned(), value.unwrap_or("true".to_owned()));
                    }
                    None => {
                        let value = value.or_else(|| rest.next().cloned()).unwrap_or_default();
                        self.arguments.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What the words ask for. The second version has the noun first, and the plural.
fn request(words: &[String], arguments: BTreeMap<String, String>) -> Result<Request, Problem> {
    let Some(first) = words.first() else {
        return Err(Problem::Usage("Action not specified".to_owned()));
    };
    // The first version has this list, too, of all components.
    let is_of_all = words == ["parameters", "list"] && !arguments.contains_key("component");
    if let Some(verb) = Verb::find(words).filter(|_| !is_of_all) {
        return Ok(Request::Second(verb, arguments));
    }
    let second = words.get(1).map(String::as_str);
    let (verb, noun, rest) = match (first.as_str(), second) {
        ("help", _) => return Ok(Request::Answer(USAGE.to_owned())),
        ("version", _) => {
            return Ok(Request::Answer(format!("rabbitmqadmin {RABBITMQ_VERSION}")));
        }
        (
            noun,
            Some(verb @ ("list" | "declare" | "delete" | "purge" | "close" | "set" | "clear")),
        ) => (verb, noun, &words[2..]),
        ("messages", Some(verb @ ("publish" | "get"))) => (verb, "messages", &words[2..]),
        ("publish" | "get", Some("message" | "messages")) => {
            (first.as_str(), "messages", &words[2..])
        }
        ("exchanges", Some("bind")) => ("declare", "binding", &words[2..]),
        ("exchanges", Some("unbind")) => ("delete", "binding", &words[2..]),
        ("policies" | "operator_policies", Some("update")) => {
            ("declare", first.as_str(), &words[2..])
        }
        ("definitions", Some("export_from_vhost")) => ("export", "vhost", &words[2..]),
        ("definitions", Some("import_into_vhost")) => ("import", "vhost", &words[2..]),
        ("overview", _) => ("show", "overview", &words[1..]),
        ("publish" | "get" | "export" | "import", _) => (first.as_str(), "", &words[1..]),
        (verb, noun) => (verb, noun.unwrap_or_default(), words.get(2..).unwrap_or_default()),
    };
    match verb {
        "list" => list(noun, rest, arguments),
        "show" if noun == "overview" || noun.is_empty() => {
            Ok(Request::Show { columns: rest.to_vec() })
        }
        "show" => Err(Problem::Usage(format!("Don't know how to show {noun}"))),
        "declare" | "set" => Ok(Request::Declare(object(noun)?, pairs(rest, arguments)?)),
        "delete" | "clear" => Ok(Request::Delete(object(noun)?, pairs(rest, arguments)?)),
        "close" => Ok(Request::Close(pairs(rest, arguments)?)),
        "purge" => Ok(Request::Purge(pairs(rest, arguments)?)),
        "publish" if noun.is_empty() => Ok(Request::Publish(pairs(rest, arguments)?)),
        "publish" => Ok(Request::Publish(with_defaults(pairs(rest, arguments)?))),
        "get" => {
            let mut arguments = pairs(rest, arguments)?;
            if let Some(mode) = arguments.remove("ack_mode") {
                arguments.insert("ackmode".to_owned(), mode);
            }
            Ok(Request::Get(arguments))
        }
        "export" => Ok(Request::Export(file(rest, &arguments)?)),
        "import" => Ok(Request::Import(file(rest, &arguments)?)),
        "definitions" if noun == "export" => Ok(Request::Export(file(rest, &arguments)?)),
        "definitions" if noun == "import" => Ok(Request::Import(file(rest, &arguments)?)),
        "health_check" => Ok(Request::HealthCheck(noun.to_owned())),
        other if Verb::is_noun(other) => Err(Problem::Usage(format!(
            "{other} {noun} is not understood here; the rabbitmqadmin of crates.io does it with this broker, too"
        ))),
        other => Err(Problem::Usage(format!("Action {other} not understood"))),
    }
}

/// The second version publishes something where the first one waits for its standard input.
fn with_defaults(mut arguments: BTreeMap<String, String>) -> BTreeMap<String, String> {
    arguments.entry("routing_key".to_owned()).or_default();
    if !arguments.contains_key("payload_file") {
        arguments.entry("payload".to_owned()).or_insert_with(|| "test".to_owned());
    }
    arguments
}

fn list(
    noun: &str,
    columns: &[String],
    mut arguments: BTreeMap<String, String>,
) -> Result<Request, Problem> {
    let what = noun.replace('-', "_");
    let plural = if what.ends_with('s') { what } else { format!("{what}s") };
    if !LISTABLE.iter().any(|list| list.name == plural) {
        return Err(Problem::Usage(format!("Don't know how to list {noun}")));
    }
    let mut columns = columns.to_vec();
    if let Some(named) = arguments.remove("columns") {
        columns.extend(named.split(',').map(str::to_owned));
    }
    let size = arguments.remove("page_size").unwrap_or_else(|| "100".to_owned());
    let page = arguments.remove("page").map(|page| (page, size));
    match arguments.first_key_value() {
        None => Ok(Request::List { what: plural, columns, page }),
        Some((name, _)) => Err(Problem::Usage(format!("no such option: --{name}"))),
    }
}

fn object(noun: &str) -> Result<&'static Object, Problem> {
    if noun.is_empty() {
        return Err(Problem::Usage("Type not specified".to_owned()));
    }
    Object::named(noun).ok_or_else(|| Problem::Usage(format!("Type {noun} not recognised")))
}

/// `name=value`, added to what was written as options.
fn pairs(
    words: &[String],
    mut arguments: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Problem> {
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            let problem = format!("Argument \"{word}\" not in the name=value format");
            return Err(Problem::Usage(problem));
        };
        arguments.insert(name.to_owned(), value.to_owned());
    }
    Ok(arguments)
}

fn file(words: &[String], arguments: &BTreeMap<String, String>) -> Result<String, Problem> {
    match (words, arguments.get("file")) {
        ([file], None) => Ok(file.clone()),
        ([], Some(file)) => Ok(file.clone()),
        ([], None) if arguments.contains_key("stdout") => Ok("-".to_owned()),
        _ => Err(Problem::Usage("Exactly one argument required".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Line, Problem> {
        Line::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn declared(line: &str) -> (String, Vec<(String, String)>) {
        match parse(line).unwrap().request {
            Request::Declare(object, arguments) | Request::Delete(object, arguments) => {
                (object.name.to_owned(), arguments.into_iter().collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_syntaxes_say_the_same() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let queue = ("queue".to_owned(), vec![pair("durable", "true"), pair("name", "q")]);
        for line in [
            "declare queue name=q durable=true",
            "-u joe declare queue name=q durable=true -V /",
            "declare queue --name q --durable true",
            "queues declare --name=q --durable true",
            "--vhost v queues declare --durable=true --name q",
        ] {
            assert_eq!(declared(line), queue, "{line}");
        }
        let user =
            ("user".to_owned(), vec![pair("name", "u"), pair("password", "p"), pair("tags", "")]);
        assert_eq!(declared("--password x declare user --name u --password p --tags ="), {
            let mut user = user.clone();
            user.1[2].1 = "=".to_owned();
            user
        });
        assert_eq!(declared("declare user name=u password=p tags="), user);
        assert_eq!(declared("delete policies --name p").0, "policy");
    }

    #[test]
    fn options_stand_anywhere() {
        let line = parse("list queues name -H host --port 1 -uguest messages -q").unwrap();
        assert_eq!(line.options.get("host"), Some("host"));
        assert_eq!(line.options.get("port"), Some("1"));
        assert_eq!(line.options.get("username"), Some("guest"));
        assert!(line.options.quiet);
        let Request::List { what, columns, page: None } = line.request else {
            panic!("it is a list")
        };
        assert_eq!(
            (what.as_str(), columns),
            ("queues", vec!["name".to_owned(), "messages".to_owned()])
        );
    }

    #[test]
    fn verbs_of_the_second_version_take_options_of_their_own() {
        let line = parse("--port 7 health_check port_listener --port 5672").unwrap();
        assert_eq!(line.options.get("port"), Some("7"));
        let Request::Second(_, arguments) = line.request else { panic!("{:?}", line.request) };
        assert_eq!(arguments["port"], "5672");
        let vhost =
            [("name".to_owned(), "v".to_owned()), ("tracing".to_owned(), "true".to_owned())];
        assert_eq!(declared("vhosts declare --tracing --name v").1, vhost);
        let line = parse("queues list --columns name,messages --page 2 --page-size 5").unwrap();
        let Request::List { columns, page, .. } = line.request else { panic!("it is a list") };
        assert_eq!((columns.len(), page), (2, Some(("2".to_owned(), "5".to_owned()))));
        let Request::Publish(message) = parse("publish message --exchange x").unwrap().request
        else {
            panic!("it publishes")
        };
        assert_eq!((&*message["payload"], &*message["routing_key"]), ("test", ""));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, text) in [
            ("", "Action not specified"),
            ("frobnicate x", "Action frobnicate not understood"),
            ("list nonsense", "Don't know how to list nonsense"),
            ("declare thing name=x", "Type thing not recognised"),
            ("declare", "Type not specified"),
            ("declare queue q", "Argument \"q\" not in the name=value format"),
            ("export", "Exactly one argument required"),
            (
                "policies declare_blanket --name p",
                "policies declare_blanket is not understood here; the rabbitmqadmin of crates.io does it with this \
                 broker, too",
            ),
            ("--nonsense list queues", "no such option: --nonsense"),
            ("list queues --nonsense 1", "no such option: --nonsense"),
        ] {
            let Err(Problem::Usage(problem)) = parse(line) else { panic!("{line} is fine") };
            assert_eq!(problem, text);
        }
    }
}
