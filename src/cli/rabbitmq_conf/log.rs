//! `log.*`: where the log goes, and how much of it.

use super::meaning::Meaning;
use crate::cli::given::Given;

/// Categories that leveret's messages have, too.
const CATEGORIES: [&str; 3] = ["connection", "channel", "queue"];

/// Something about the log that lines say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum LogPart {
    /// Whether it is on standard output.
    Console(bool),
    /// The file; none for no file.
    File(Option<String>),
    /// Where files without a path are.
    Directory(String),
    /// The level of a category.
    Category(String, String),
}

/// What a key behind `log.` is; none for those of which only their names count.
pub(super) fn log(rest: &str, value: &str) -> Option<Meaning> {
    let set = |key, value: &str| Meaning::Set(key, Given::Text(value.to_owned()));
    let level_of = |category: &str| {
        let (category, level) = (category.to_owned(), level(value).to_owned());
        Meaning::Log(LogPart::Category(category, level))
    };
    Some(match rest {
        "default.level" | "level" => set("log_level", level(value)),
        "console.level" => set("log_console_level", level(value)),
        "file.level" => set("log_file_level", level(value)),
        "console.formatter" => set("log_format", format(value)),
        "file.formatter" => set("log_file_format", format(value)),
        "file.rotation.date" => {
            set("log_file_rotation", if value.is_empty() { "never" } else { value })
        }
        "file.rotation.size" => set("log_file_max_size", value),
        "file.rotation.count" => set("log_file_keep", value),
        "console" => match value {
            "true" => Meaning::Log(LogPart::Console(true)),
            "false" => Meaning::Log(LogPart::Console(false)),
            _ => Meaning::Wrong("true or false"),
        },
        "file" => {
            Meaning::Log(LogPart::File((value != "false" && value != "true").then(|| value.into())))
        }
        "dir" => Meaning::Log(LogPart::Directory(value.to_owned())),
        "console.stdio" if value == "stderr" => Meaning::Missing(
            "the log is on standard output; redirect it where it is to be elsewhere",
        ),
        "syslog" | "exchange" | "journald" if value == "false" => Meaning::NoEffect,
        _ => match rest.strip_suffix(".level") {
            Some(category) if CATEGORIES.contains(&category) => level_of(category),
            _ => return None,
        },
    })
}

/// What a variable says of a category, such as `connection.debug`; nothing is logged of those that there are not.
pub(in crate::cli) fn category(name: &str, value: &str) -> Meaning {
    match name {
        "default" => Meaning::Set("log_level", Given::Text(level(value).to_owned())),
        name if CATEGORIES.contains(&name) => {
            Meaning::Log(LogPart::Category(name.to_owned(), level(value).to_owned()))
        }
        _ => Meaning::NoEffect,
    }
}

/// RabbitMQ has a few levels more.
fn level(level: &str) -> &str {
    match level {
        "critical" | "alert" | "emergency" => "error",
        "notice" => "info",
        level => level,
    }
}

fn format(formatter: &str) -> &str {
    if formatter == "plaintext" { "text" } else { formatter }
}
