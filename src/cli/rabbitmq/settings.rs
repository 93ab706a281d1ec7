//! What is changed while the broker runs, until its next start.

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use crate::cli::api::ApiPath;
use crate::cli::given::Given;
use crate::cli::{EXIT_DATA, memory};

/// RabbitMQ's levels, and leveret's for each.
const LEVELS: [(&str, &str); 6] = [
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warn"),
    ("error", "error"),
    ("critical", "error"),
    ("none", "off"),
];

fn set(call: &Call<'_>, key: &str, value: impl Into<Value>) -> Result<(), Failure> {
    let body = json!({ key: value.into() });
    Ok(call.api.put(&ApiPath::of(&["leveret", "settings"]), &body)?)
}

pub(super) fn set_log_level(call: &mut Call<'_>) -> Result<(), Failure> {
    let word = call.word(0);
    let Some((_, level)) = LEVELS.iter().find(|(theirs, _)| *theirs == word) else {
        let levels = LEVELS.map(|(level, _)| level).join(", ");
        return Err(Failure::unavailable(&format!(
            "level {word} is not supported. Try one of {levels}"
        )));
    };
    call.banner(&format!("Setting log level to \"{word}\" ..."))?;
    set(call, "log_level", *level)
}

pub(super) fn suspend_listeners(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!(
        "Will suspend client connection listeners on node {node}. The node will no longer accept \
         client connections!"
    ))?;
    set(call, "accepting", false)
}

pub(super) fn resume_listeners(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!(
        "Will resume client connection listeners on node {node}. The node will now accept client \
         connections"
    ))?;
    set(call, "accepting", true)
}

/// `0.4`, or `absolute 2GB`.
pub(super) fn set_memory_limit(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    let (bytes, shown) = match (call.word(0).as_str(), call.words.len()) {
        ("absolute", 2) => {
            let size = call.word(1);
            (bytes_of(call, &size)?, format!("{size} bytes"))
        }
        (text, 1) => {
            let fraction = fraction_of(call, text)?;
            if !(0.0..=1.0).contains(&fraction) {
                let problem = ": The threshold should be a fraction between 0.0 and 1.0";
                return Err(bad_argument(call, problem));
            }
            (of_memory(fraction)?, text.to_owned())
        }
        _ => return Err(bad_argument(call, ".")),
    };
    call.banner(&format!("Setting memory threshold on {node} to {shown} ..."))?;
    set(call, "memory_high_watermark", bytes)
}

/// `2GB`, or `mem_relative 1.5`.
pub(super) fn set_disk_free_limit(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    let (bytes, shown) = match (call.word(0).as_str(), call.words.len()) {
        ("mem_relative", 2) => {
            let text = call.word(1);
            (of_memory(fraction_of(call, &text)?)?, format!("{text} times the total RAM"))
        }
        (size, 1) => (bytes_of(call, size)?, format!("{size} bytes")),
        _ => return Err(bad_argument(call, ".")),
    };
    call.banner(&format!("Setting disk free limit on {node} to {shown} ..."))?;
    set(call, "disk_free_limit", bytes)
}

/// A size such as `2GB`, or a number of bytes.
fn bytes_of(call: &Call<'_>, text: &str) -> Result<u64, Failure> {
    let bytes: Option<i64> = Given::Text(text.to_owned()).bytes(0..=i64::MAX);
    bytes.map(i64::cast_unsigned).ok_or_else(|| bad_argument(call, "."))
}

fn fraction_of(call: &Call<'_>, text: &str) -> Result<f64, Failure> {
    let fraction = text.parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.0);
    fraction.ok_or_else(|| bad_argument(call, "."))
}

/// Of what this machine has, which is the broker's where its tools are at hand.
fn of_memory(fraction: f64) -> Result<u64, Failure> {
    let memory = memory::available();
    let memory = memory.ok_or_else(|| Failure::unavailable("this machine's memory is unknown"))?;
    Ok((memory as f64 * fraction) as u64)
}

fn bad_argument(call: &Call<'_>, problem: &str) -> Failure {
    let usage = call.command.usage(call.tool);
    Failure::usage(&format!("Bad argument{problem}"), &call.words, &usage).with_code(EXIT_DATA)
}

/// What is in force, of what can be changed.
pub(super) fn environment(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Application environment of node {node} ..."))?;
    let settings = call.api.get(&ApiPath::of(&["leveret", "settings"]))?;
    let text = serde_json::to_string_pretty(&json!({ "leveret": settings })).unwrap_or_default();
    call.line(&text)
}
