//! The command line of RabbitMQ's tools: options anywhere, with two hyphens and a value behind them or after `=`.

use std::collections::BTreeMap;

use super::Tool;
use super::command::{self, Command};
use super::failure::Failure;

/// Options that every command takes, and whether a value follows.
const COMMON: [(&str, bool); 11] = [
    ("node", true),
    ("vhost", true),
    ("timeout", true),
    ("formatter", true),
    ("printer", true),
    ("quiet", false),
    ("silent", false),
    ("longnames", false),
    ("dry-run", false),
    ("print-stacktrace", false),
    ("no-table-headers", false),
];

/// One letter for some of them.
const SHORT: [(&str, &str); 6] = [
    ("n", "node"),
    ("p", "vhost"),
    ("t", "timeout"),
    ("q", "quiet"),
    ("s", "silent"),
    ("l", "longnames"),
];

/// A command line.
#[derive(Debug)]
pub(super) struct Line {
    /// What is to be done.
    pub(super) command: &'static Command,
    /// Its options, with underscores made hyphens. One without a value has the empty one.
    pub(super) options: BTreeMap<String, String>,
    /// What else was written.
    pub(super) words: Vec<String>,
}

impl Line {
    /// Reads the words behind the program's name.
    pub(super) fn parse(tool: Tool, given: &[String]) -> Result<Self, Failure> {
        // Which options there are says the command, which stands anywhere between them.
        let command = find_command(tool, given)?;
        let mut line = Self { command, options: BTreeMap::new(), words: Vec::new() };
        let mut unknown = Vec::new();
        let mut rest = given.iter();
        let mut is_named = false;
        while let Some(word) = rest.next() {
            if word == "--" {
                line.words.extend(rest.by_ref().cloned());
            } else if let Some((name, value)) = option(word) {
                match takes_value(command, &name) {
                    Some(true) => {
                        let value = value.or_else(|| rest.next().cloned()).unwrap_or_default();
                        line.options.insert(name, value);
                    }
                    Some(false) => {
                        line.options.insert(name, value.unwrap_or_default());
                    }
                    None => unknown.push(word.as_str()),
                }
            } else if !is_named && word == command.name {
                is_named = true;
            } else {
                line.words.push(word.clone());
            }
        }
        let usage = command.usage(tool);
        if !unknown.is_empty() {
            let problem = format!("Invalid options for this command:\n{} : ", unknown.join(", "));
            return Err(Failure::usage(&problem, given, &usage));
        }
        if line.words.len() < *command.arity.start() {
            return Err(Failure::usage("not enough arguments.", given, &usage));
        }
        if line.words.len() > *command.arity.end() {
            return Err(Failure::usage("too many arguments.", given, &usage));
        }
        Ok(line)
    }
}

/// The first word that is no option, nor the value of one.
fn find_command(tool: Tool, given: &[String]) -> Result<&'static Command, Failure> {
    let mut rest = given.iter();
    while let Some(word) = rest.next() {
        match option(word) {
            Some((name, None)) if COMMON.contains(&(name.as_str(), true)) => {
                rest.next();
            }
            Some((name, _)) if matches!(name.as_str(), "help" | "h") => break,
            Some((name, _)) if name == "version" => {
                return Ok(command::find("version").expect("it is there"));
            }
            Some(_) => {}
            None => {
                return command::find(word).ok_or_else(|| {
                    let similar = command::similar(word);
                    let similar = similar.map(|name| format!("Did you mean '{name}'? \n"));
                    let hint = similar.unwrap_or_else(|| format!("\n{}", command::overview(tool)));
                    Failure::bare(64, &format!("\nCommand '{word}' not found. \n{hint}"))
                });
            }
        }
    }
    if given.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(command::find("help").expect("it is there"));
    }
    Err(Failure::bare(64, &format!("\n{}", command::overview(tool))))
}

/// The name of an option, and its value if one is written with it.
fn option(word: &str) -> Option<(String, Option<String>)> {
    let name =
        word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|n| !n.is_empty())?;
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (name, None),
    };
    // A negative number is a word.
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let long = SHORT.iter().find(|(short, _)| !word.starts_with("--") && *short == name);
    let name = long.map_or_else(|| name.replace('_', "-"), |(_, long)| (*long).to_owned());
    Some((name, value))
}

/// Whether a value follows an option; none if the command does not know it.
fn takes_value(command: &Command, name: &str) -> Option<bool> {
    let common = COMMON.iter().find(|(common, _)| *common == name);
    if let Some((_, takes)) = common {
        return Some(*takes);
    }
    // A command's own: `priority=` takes a value.
    command.options.iter().find_map(|option| match option.strip_suffix('=') {
        Some(valued) => (valued == name).then_some(true),
        None => (*option == name).then_some(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Line, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Line::parse(Tool::Ctl, &words)
    }

    #[test]
    fn options_stand_anywhere() {
        for text in [
            "-q -n rabbit@a list_queues -p v1 name messages",
            "list_queues name --vhost=v1 messages --quiet --node rabbit@a",
        ] {
            let line = parse(text).unwrap();
            assert_eq!(line.command.name, "list_queues");
            assert_eq!(line.words, ["name", "messages"], "{text}");
            let options: Vec<_> =
                line.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(options, [("node", "rabbit@a"), ("quiet", ""), ("vhost", "v1")], "{text}");
        }
        let line = parse("set_policy --priority 3 p ^a {} --apply-to queues").unwrap();
        assert_eq!((line.words.len(), line.options["priority"].as_str()), (3, "3"));
        // An option's value may have the name of the command.
        assert_eq!(parse("list_queues -p list_queues").unwrap().options["vhost"], "list_queues");
    }

    #[test]
    fn mistakes_are_answered_as_rabbitmq_does() {
        let failure = parse("-q add_user").unwrap_err();
        assert_eq!(
            failure.text(),
            "Error (argument validation): not enough arguments.\nArguments given:\n\t-q add_user\n\n\
             Usage\n\nrabbitmqctl [--node <node>] [--longnames] [--quiet] add_user <username> \
             <password>\n"
        );
        assert_eq!(failure.exit_code(), 64);
        assert_eq!(
            parse("list_que").unwrap_err().text(),
            "\nCommand 'list_que' not found. \nDid you mean 'list_queues'? \n\n"
        );
        let text = parse("--nonsense list_queues").unwrap_err().text().to_owned();
        assert!(text.contains("Invalid options for this command:\n--nonsense : \n"), "{text}");
        assert_eq!(parse("nonsense").unwrap_err().exit_code(), 64);
    }
}
