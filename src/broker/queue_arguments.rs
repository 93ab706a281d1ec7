//! The arguments of `queue.declare`: which of them are compared, and what they may be.

use amqp_codec::{FieldTable, FieldValue};

use super::error::{BrokerError, Resource};
use super::message::EXPIRY_MS_MAX;

/// The arguments that a declaration of an existing queue must repeat, in RabbitMQ's order; unknown
/// ones may differ.
pub(super) const COMPARED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
];

/// Whether an argument says nothing: it is absent, or the default written out.
pub(super) fn is_default(argument: &str, value: Option<&FieldValue>) -> bool {
    match value {
        None => true,
        Some(value) => argument == "x-queue-type" && value.as_str() == Some("classic"),
    }
}

/// Why one argument is refused; `Ok` if it is fine.
type Check = fn(&FieldValue, &FieldTable) -> Result<(), String>;

/// What is checked, in RabbitMQ's order, so that the same mistake is named first.
const CHECKS: &[(&str, Check)] = &[
    ("x-expires", expiry),
    ("x-message-ttl", time_to_live),
    ("x-dead-letter-routing-key", dead_letter_routing_key),
    ("x-max-length", non_negative),
    ("x-max-length-bytes", non_negative),
    ("x-max-in-memory-length", non_negative),
    ("x-max-in-memory-bytes", non_negative),
    ("x-max-priority", max_priority),
    ("x-overflow", overflow),
    ("x-queue-mode", queue_mode),
    ("x-queue-version", queue_version),
    ("x-single-active-consumer", boolean),
    ("x-queue-type", queue_type),
];

/// What RabbitMQ acts on and nothing here does yet. Clients declare their everyday queues with these
/// (kombu's mailboxes, aio-pika's RPC), so they are taken, and named in the log.
const UNSUPPORTED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-single-active-consumer",
    "x-delivery-limit",
];

/// Checks the arguments of a new queue.
///
/// # Errors
/// 406 with RabbitMQ's text, for a value of the wrong type or range.
pub(super) fn validate(resource: &Resource, arguments: &FieldTable) -> Result<(), BrokerError> {
    if arguments.is_empty() {
        return Ok(());
    }
    let exchange = "x-dead-letter-exchange";
    match arguments.get(exchange) {
        None | Some(FieldValue::LongString(_)) => {}
        Some(other) => {
            return Err(BrokerError::InvalidArgType {
                type_name: other.type_name(),
                arg: exchange,
                resource: resource.clone(),
            });
        }
    }
    for &(arg, check) in CHECKS {
        if let Some(value) = arguments.get(arg) {
            check(value, arguments).map_err(|reason| BrokerError::InvalidArg {
                arg,
                resource: resource.clone(),
                reason,
            })?;
        }
    }
    Ok(())
}

/// The arguments of a declaration that nothing acts on yet.
pub(super) fn unsupported(arguments: &FieldTable) -> impl Iterator<Item = &'static str> + '_ {
    let asked_for = |name: &&&str| means_something(arguments.get(**name));
    UNSUPPORTED.iter().filter(asked_for).copied()
}

/// Whether an argument asks for anything: `x-single-active-consumer: false` does not.
fn means_something(value: Option<&FieldValue>) -> bool {
    !matches!(value, None | Some(FieldValue::Bool(false)))
}

fn integer(value: &FieldValue) -> Result<i128, String> {
    let integer = value.as_integer().map(i128::from);
    integer.ok_or_else(|| format!("\"expected integer, got {}\"", value.type_name()))
}

fn non_negative(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match integer(value)? {
        negative if negative < 0 => Err(format!("{{value_negative,{negative}}}")),
        _ => Ok(()),
    }
}

fn time_to_live(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    non_negative(value, all)?;
    match integer(value)? {
        too_large if too_large > i128::from(EXPIRY_MS_MAX) => {
            Err(format!("{{value_too_large,{too_large}}}"))
        }
        _ => Ok(()),
    }
}

fn expiry(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    time_to_live(value, all)?;
    if integer(value)? == 0 { Err("{value_zero,0}".to_owned()) } else { Ok(()) }
}

fn max_priority(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    non_negative(value, all)?;
    match integer(value)? {
        too_large if too_large > 255 => Err(format!("{{max_value_exceeded,{too_large}}}")),
        _ => Ok(()),
    }
}

fn dead_letter_routing_key(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    text(value)?;
    if all.contains("x-dead-letter-exchange") {
        Ok(())
    } else {
        Err("routing_key_but_no_dlx_defined".to_owned())
    }
}

fn overflow(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match text(value)? {
        b"drop-head" | b"reject-publish" | b"reject-publish-dlx" => Ok(()),
        _ => Err("invalid_overflow".to_owned()),
    }
}

fn queue_mode(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match text(value)? {
        b"default" | b"lazy" => Ok(()),
        other => Err(format!("\"unsupported queue mode '{}'\"", String::from_utf8_lossy(other))),
    }
}

fn queue_version(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match integer(value)? {
        1 | 2 => Ok(()),
        other => Err(format!("\"unsupported queue version '{other}'\"")),
    }
}

fn queue_type(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match text(value)? {
        b"classic" => Ok(()),
        other => Err(format!("\"unsupported queue type '{}'\"", String::from_utf8_lossy(other))),
    }
}

fn boolean(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match value {
        FieldValue::Bool(_) => Ok(()),
        other => Err(unacceptable(other)),
    }
}

fn text(value: &FieldValue) -> Result<&[u8], String> {
    match value {
        FieldValue::LongString(text) => Ok(text),
        other => Err(unacceptable(other)),
    }
}

fn unacceptable(value: &FieldValue) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}
