//! What a client is told about each argument, in RabbitMQ's words.

use amqp_codec::ShortString;

use super::*;
use crate::broker::error::ResourceKind;
use crate::broker::queue_cell::ConnectionId;

type Argument = (&'static str, FieldValue);

fn text(text: &'static str) -> FieldValue {
    FieldValue::LongString(text.as_bytes().into())
}

const fn number(number: i32) -> FieldValue {
    FieldValue::I32(number)
}

fn properties(arguments: &[Argument]) -> QueueProperties {
    let arguments = arguments
        .iter()
        .map(|(key, value)| (ShortString::from_static(key), value.clone()))
        .collect();
    QueueProperties { durable: true, arguments, ..QueueProperties::default() }
}

/// What the client is told, without the words that all have in common; nothing if all is fine.
fn told(properties: &QueueProperties) -> Option<String> {
    let resource = Resource {
        kind: ResourceKind::Queue,
        name: ShortString::from_static("q"),
        vhost: ShortString::from_static("/"),
    };
    let error = validate(&resource, properties).err()?;
    assert_eq!(error.reply_code().code(), 406, "{error}");
    Some(error.to_string())
}

/// The text for an argument that is refused.
fn refused(argument: &str, reason: &str) -> Option<String> {
    Some(format!("invalid arg '{argument}' for queue 'q' in vhost '/': {reason}"))
}

/// A wrong type is named as RabbitMQ names it: some arguments say what they expect, others what they
/// can't accept.
#[test]
fn wrong_types_are_named() {
    let integers = [
        "x-expires",
        "x-message-ttl",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-delivery-limit",
        "x-consumer-timeout",
        "x-delayed-retry-min",
        "x-delayed-retry-max",
        "x-queue-version",
    ];
    for argument in integers {
        let expected = refused(argument, "\"expected integer, got longstr\"");
        assert_eq!(told(&properties(&[(argument, text("7"))])), expected);
        let expected = refused(argument, "\"expected integer, got bool\"");
        assert_eq!(told(&properties(&[(argument, FieldValue::Bool(true))])), expected);
    }
    let texts = [
        "x-overflow",
        "x-queue-mode",
        "x-queue-type",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-consumer-timeout-action",
        "x-delayed-retry-type",
        "x-message-group-header",
        "x-message-group-property",
    ];
    for argument in texts {
        let expected = refused(argument, "{unacceptable_type,signedint}");
        assert_eq!(told(&properties(&[(argument, number(1))])), expected);
    }
    for argument in ["x-single-active-consumer", "x-message-deduplication"] {
        let expected = refused(argument, "{unacceptable_type,longstr}");
        assert_eq!(told(&properties(&[(argument, text("true"))])), expected);
    }
    assert_eq!(
        told(&properties(&[("x-dead-letter-exchange", number(1))])).as_deref(),
        Some("invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'")
    );
}

/// Values out of range are named with the bound they break.
#[test]
fn values_out_of_range_are_named() {
    let too_long = FieldValue::I64(315_360_000_001);
    let table: &[(Argument, &str)] = &[
        (("x-message-ttl", number(-1)), "{value_negative,-1}"),
        (("x-message-ttl", too_long.clone()), "{value_too_large,315360000001}"),
        (("x-expires", number(0)), "{value_zero,0}"),
        (("x-expires", number(-1)), "{value_negative,-1}"),
        (("x-expires", too_long.clone()), "{value_too_large,315360000001}"),
        (("x-max-length", number(-1)), "{value_negative,-1}"),
        (("x-max-length-bytes", number(-7)), "{value_negative,-7}"),
        (("x-max-priority", number(-1)), "{value_negative,-1}"),
        (("x-max-priority", number(256)), "{max_value_exceeded,256}"),
        (("x-overflow", text("drop-tail")), "invalid_overflow"),
        (("x-queue-mode", text("foo")), "\"unsupported queue mode 'foo'\""),
        (("x-queue-version", number(3)), "\"unsupported queue version '3'\""),
        (("x-queue-type", text("foo")), "\"unsupported queue type 'foo'\""),
        (("x-dead-letter-strategy", text("twice")), "invalid_dlxstrategy"),
        (("x-dead-letter-routing-key", text("k")), "routing_key_but_no_dlx_defined"),
        (("x-consumer-timeout", number(-1)), "{value_negative,-1}"),
        (("x-consumer-timeout", too_long), "{value_too_large,315360000001}"),
        (
            ("x-consumer-timeout-action", text("sulk")),
            "invalid_timeout_action, it is one of requeue, close-channel, cancel",
        ),
        (
            ("x-delayed-retry-type", text("some")),
            "invalid_delayed_retry_type, it is one of disabled, all, failed, returned",
        ),
        (("x-delayed-retry-min", number(-1)), "{value_negative,-1}"),
        (("x-delayed-retry-max", number(-1)), "{value_negative,-1}"),
        (("x-message-group-property", text("body")), "unknown_property"),
        (("x-deduplication-window", number(1)), "no_x-message-deduplication_defined"),
    ];
    for (argument, reason) in table {
        assert_eq!(told(&properties(std::slice::from_ref(argument))), refused(argument.0, reason));
    }
}

/// Arguments that say two things at once are refused.
#[test]
fn contradictions_are_refused() {
    let priorities = || ("x-max-priority", number(5));
    let by_header = || ("x-message-group-header", text("h"));
    let by_property = || ("x-message-group-property", text("type"));
    assert_eq!(
        told(&properties(&[by_header(), priorities()])),
        refused("x-message-group-header", "x-max-priority_also_defined")
    );
    assert_eq!(
        told(&properties(&[by_property(), priorities()])),
        refused("x-message-group-property", "x-max-priority_also_defined")
    );
    assert_eq!(
        told(&properties(&[by_header(), by_property()])),
        refused("x-message-group-header", "x-message-group-property_also_defined")
    );
}

/// Where several arguments are wrong, the first in RabbitMQ's order is named, whatever the order they
/// came in.
#[test]
fn the_first_mistake_is_named() {
    let wrong = [("x-max-length", number(-1)), ("x-expires", number(0))];
    assert_eq!(told(&properties(&wrong)), refused("x-expires", "{value_zero,0}"));
}

/// The bounds themselves are fine, integers of any width, and arguments that nobody knows.
#[test]
fn everything_else_is_fine() {
    let fine: &[&[Argument]] = &[
        &[("x-message-ttl", number(0))],
        &[("x-message-ttl", FieldValue::I64(315_360_000_000))],
        &[("x-expires", FieldValue::U8(1))],
        &[("x-max-length", FieldValue::I16(0)), ("x-max-length-bytes", FieldValue::U32(0))],
        &[("x-max-priority", number(0))],
        &[("x-max-priority", number(255))],
        &[("x-overflow", text("drop-head"))],
        &[("x-overflow", text("reject-publish"))],
        &[("x-overflow", text("reject-publish-dlx"))],
        &[("x-queue-mode", text("lazy"))],
        &[("x-queue-version", number(2))],
        &[("x-queue-type", text("classic"))],
        &[("x-queue-type", text("quorum"))],
        &[("x-delivery-limit", number(-1))],
        &[("x-consumer-timeout", number(0)), ("x-consumer-timeout-action", text("cancel"))],
        &[("x-delayed-retry-type", text("failed")), ("x-delayed-retry-min", number(0))],
        &[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("k"))],
        &[("x-single-active-consumer", FieldValue::Bool(false))],
        &[("x-message-group-property", text("correlation-id"))],
        &[("x-what-is-this", FieldValue::Void)],
    ];
    for arguments in fine {
        assert_eq!(told(&properties(arguments)), None, "{arguments:?}");
    }
}

/// What queues of a type don't have is refused on them, with the type's name in RabbitMQ.
#[test]
fn arguments_of_other_types_are_refused() {
    let of_type = |argument: &str, module: &str| {
        Some(format!("invalid arg '{argument}' for queue 'q' in vhost '/' of queue type {module}"))
    };
    assert_eq!(
        told(&properties(&[("x-max-age", text("1D"))])),
        of_type("x-max-age", "rabbit_classic_queue")
    );
    let quorum = ("x-queue-type", text("quorum"));
    assert_eq!(
        told(&properties(&[quorum, ("x-max-priority", number(5))])),
        of_type("x-max-priority", "rabbit_quorum_queue")
    );
}

/// A quorum queue is durable, not exclusive and not deleted by itself.
#[test]
fn a_quorum_queue_can_only_be_durable_and_shared() {
    let quorum = || properties(&[("x-queue-type", text("quorum"))]);
    let refused =
        |property: &str| Some(format!("invalid property '{property}' for queue 'q' in vhost '/'"));
    let transient = QueueProperties { durable: false, ..quorum() };
    let auto_delete = QueueProperties { auto_delete: true, ..quorum() };
    let owned = QueueProperties { owner: Some(ConnectionId(1)), ..quorum() };
    assert_eq!(told(&transient), refused("non-durable"));
    assert_eq!(told(&auto_delete), refused("auto-delete"));
    assert_eq!(told(&owned), refused("exclusive-owner"));
    assert_eq!(told(&quorum()), None);
}
