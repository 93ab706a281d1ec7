//! `docs/command-line.md` and `docs/configuration.md`, made from the commands and the keys themselves.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Args;
use super::keys::{KEYS, Key};
use super::rabbitmq_conf::reference as rabbitmq_reference;

const INTRODUCTION: &str = "\
# Command line

Made from the code: run `UPDATE_DOCS=1 cargo test --lib cli::reference` after a change, and commit what it
writes. `leveret man DIR` writes the same as manual pages; `leveret completions bash` (or `zsh`, `fish`) prints
what makes a shell complete it.

`leveret` without a command is `leveret serve`. Every other command but `perf` and `store` talks to the
management API of a broker that runs, on this machine or another: it takes the options under
[Options of commands about a broker](#options-of-commands-about-a-broker), too. Without any, commands look for
the broker on this machine.

Exit codes are those of sysexits.h:

| code | when |
|---|---|
| 0 | it is done |
| 64 | the command line makes no sense |
| 65 | the broker does not take the data |
| 66 | there is no such file, queue, user, ... |
| 69 | the broker does not answer, or a check failed |
| 70 | the broker made a mistake |
| 71 | the system has too little of something, such as open files |
| 73 | a file or directory cannot be made |
| 74 | the system refuses to read or write |
| 76 | what answers is no management API |
| 77 | the user is unknown, or may not do this |
| 78 | the configuration makes no sense |
";

/// The commands as Markdown.
fn reference() -> String {
    let mut root = Args::command();
    root.build();
    let mut text = INTRODUCTION.to_owned();
    section(&root, &[], &mut text);
    let queue = root.find_subcommand("queue").expect("a command about a broker");
    writeln!(text, "\n## Options of commands about a broker\n").expect("a String");
    options(queue.get_arguments().filter(|arg| arg.is_global_set()), &mut text);
    text
}

fn section(command: &Command, before: &[&str], text: &mut String) {
    let path = [before, &[command.get_name()]].concat();
    let depth = "#".repeat(path.len());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !is_of_clap(arg));
    let is_noun = command.has_subcommands() && !before.is_empty();
    if !before.is_empty() {
        write!(text, "\n{depth} {}\n\n{about}.\n", path.join(" ")).expect("a String");
    }
    if !is_noun && !before.is_empty() {
        write!(text, "\n```text\n{usage}\n```\n\n").expect("a String");
        options(own, text);
    }
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        section(command, &path, text);
    }
}

fn is_of_clap(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn options<'a>(args: impl Iterator<Item = &'a Arg>, text: &mut String) {
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let names =
            [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|l| format!("--{l}"))];
        let names: Vec<String> = names.into_iter().flatten().collect();
        let takes = arg.get_action().takes_values();
        let value = arg.get_value_names().filter(|_| takes).map(|names| format!("<{}>", names[0]));
        let what: Vec<String> = [Some(names.join(", ")).filter(|n| !n.is_empty()), value]
            .into_iter()
            .flatten()
            .collect();
        write!(text, "- `{}`: {help}", what.join(" ")).expect("a String");
        let values = arg.get_possible_values();
        if takes && !values.is_empty() && !arg.is_hide_possible_values_set() {
            let values: Vec<&str> =
                values.iter().map(clap::builder::PossibleValue::get_name).collect();
            write!(text, " (`{}`)", values.join("`, `")).expect("a String");
        }
        let defaults = arg.get_default_values();
        if takes && !defaults.is_empty() && !arg.is_hide_default_value_set() {
            let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
            write!(text, " [default: {}]", defaults.join(" ")).expect("a String");
        }
        text.push('\n');
    }
}

const CONFIGURATION: &str = "\
# Configuration

Made from the code: run `UPDATE_DOCS=1 cargo test --lib cli::reference` after a change, and commit what it
writes.

Each key below is a line of a TOML file (`leveret --config FILE`, or `LEVERET_CONFIG`), an environment variable
and, for most, a flag. What wins, from the last to the first: RabbitMQ's `rabbitmq.conf`, leveret's file, RabbitMQ's
variables, leveret's variables, flags. `leveret config show` prints what is in force and where each value was
written; `leveret config check FILE` says what is wrong with a file. Unknown keys of a file are reported and passed
over; with `--strict-config` they keep the broker from starting.

Where nobody can write flags, as for a service of a CI job, `LEVERET_ARGS` holds them: `LEVERET_ARGS=\"--heartbeat 30
--max-message-size 16MiB\"`. They win over all but those of the command line. Only a broker that starts, and
`leveret config show`, look at it.

";

/// The keys as Markdown.
fn configuration() -> String {
    let mut text = CONFIGURATION.to_owned();
    let root = Args::command();
    for key in KEYS {
        let Key { name, about, default, expects, .. } = key;
        let (variable, flag) = (name.to_ascii_uppercase(), name.replace('_', "-"));
        let flag = root.get_arguments().find(|arg| arg.get_long() == Some(&flag));
        let flag = flag.and_then(Arg::get_long).map(|flag| format!(", `--{flag}`"));
        let flag = flag.unwrap_or_default();
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        write!(
            text,
            "## {name}\n\n{about}\n\nTakes {expects}. Default: {default}. Also `LEVERET_{variable}`{flag}.\n\n"
        )
        .expect("a String");
    }
    text + &rabbitmq_reference()
}

/// Goal: the pages say what the code does. With `UPDATE_DOCS` set they are written.
#[test]
fn the_pages_are_what_the_code_says() {
    for (name, expected) in
        [("command-line.md", reference()), ("configuration.md", configuration())]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "docs/{name} is stale: set UPDATE_DOCS=1 and run this again");
    }
}
