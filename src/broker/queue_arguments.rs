//! The arguments of `queue.declare`: which of them are compared, and what they may be.

use amqp_codec::{FieldTable, FieldValue};

use super::error::{BrokerError, Resource};
use super::message::EXPIRY_MS_MAX;
use super::policy::QueueKind;
use super::queue_cell::QueueProperties;
use super::queue_settings::{GroupProperty, TimeoutAction};

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
    "x-delivery-limit",
    // Ours: what a queue is, and no policy changes.
    "x-message-group-header",
    "x-message-group-property",
    "x-message-deduplication",
    "x-deduplication-window",
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
    ("x-dead-letter-exchange", name),
    ("x-dead-letter-routing-key", dead_letter_routing_key),
    ("x-dead-letter-strategy", dead_letter_strategy),
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
    ("x-delivery-limit", any_integer),
    ("x-consumer-timeout", time_to_live),
    ("x-consumer-timeout-action", timeout_action),
    ("x-delayed-retry-type", retry_type),
    ("x-delayed-retry-min", time_to_live),
    ("x-delayed-retry-max", time_to_live),
    ("x-message-group-header", group_header),
    ("x-message-group-property", group_property),
    ("x-message-deduplication", boolean),
    ("x-deduplication-window", deduplication_window),
];

/// What a classic queue does not have, and RabbitMQ refuses on one.
const NOT_CLASSIC: &[&str] = &[
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-quorum-initial-group-size",
];

/// What a quorum queue does not have, and RabbitMQ refuses on one.
const NOT_QUORUM: &[&str] = &[
    "x-max-priority",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
];

/// Checks what a new queue is declared with.
///
/// # Errors
/// 406 with RabbitMQ's text, for a value of the wrong type or range, an argument that queues of the
/// type don't have, and a property that they can't have.
pub(super) fn validate(
    resource: &Resource,
    properties: &QueueProperties,
) -> Result<(), BrokerError> {
    let arguments = &properties.arguments;
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
    check_type(resource, properties)
}

/// What only queues of some types can have.
fn check_type(resource: &Resource, properties: &QueueProperties) -> Result<(), BrokerError> {
    let kind = properties.kind();
    let missing = if kind == QueueKind::Quorum { NOT_QUORUM } else { NOT_CLASSIC };
    if let Some(&arg) = missing.iter().find(|&&arg| properties.arguments.contains(arg)) {
        return Err(BrokerError::ArgOfOtherType { arg, resource: resource.clone(), kind });
    }
    let impossible = [
        // An exclusive queue is never kept, whatever its declaration says.
        ("non-durable", !properties.durable && properties.owner.is_none()),
        ("auto-delete", properties.auto_delete),
        ("exclusive-owner", properties.owner.is_some()),
    ];
    match impossible.into_iter().find(|(_, is)| kind == QueueKind::Quorum && *is) {
        Some((property, _)) => {
            Err(BrokerError::InvalidProperty { property, resource: resource.clone() })
        }
        None => Ok(()),
    }
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
    name(value, all)?;
    if all.contains("x-dead-letter-exchange") {
        Ok(())
    } else {
        Err("routing_key_but_no_dlx_defined".to_owned())
    }
}

/// What has to fit a short string.
fn name(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    if text(value)?.len() > usize::from(u8::MAX) { Err("name_too_long".to_owned()) } else { Ok(()) }
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
        b"classic" | b"quorum" => Ok(()),
        b"stream" => Err("\"streams are not supported by this version of leveret\"".to_owned()),
        other => Err(format!("\"unsupported queue type '{}'\"", String::from_utf8_lossy(other))),
    }
}

fn dead_letter_strategy(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match text(value)? {
        b"at-most-once" | b"at-least-once" => Ok(()),
        _ => Err("invalid_dlxstrategy".to_owned()),
    }
}

fn any_integer(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    integer(value).map(|_| ())
}

fn timeout_action(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    TimeoutAction::parse(text(value)?).map(|_| ()).ok_or_else(|| {
        "invalid_timeout_action, it is one of requeue, close-channel, cancel".to_owned()
    })
}

fn retry_type(value: &FieldValue, _all: &FieldTable) -> Result<(), String> {
    match text(value)? {
        b"disabled" | b"all" | b"failed" | b"returned" => Ok(()),
        _ => {
            Err("invalid_delayed_retry_type, it is one of disabled, all, failed, returned"
                .to_owned())
        }
    }
}

/// Groups have an order of their own, so there is none by priority beside it.
fn group_header(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    name(value, all)?;
    if all.contains("x-message-group-property") {
        return Err("x-message-group-property_also_defined".to_owned());
    }
    without_priorities(all)
}

fn group_property(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    if GroupProperty::parse(text(value)?).is_none() {
        return Err("unknown_property".to_owned());
    }
    without_priorities(all)
}

fn without_priorities(all: &FieldTable) -> Result<(), String> {
    if all.contains("x-max-priority") {
        Err("x-max-priority_also_defined".to_owned())
    } else {
        Ok(())
    }
}

fn deduplication_window(value: &FieldValue, all: &FieldTable) -> Result<(), String> {
    if all.get("x-message-deduplication").and_then(FieldValue::as_bool) != Some(true) {
        return Err("no_x-message-deduplication_defined".to_owned());
    }
    expiry(value, all)
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

#[cfg(test)]
mod tests;
