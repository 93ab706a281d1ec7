//! Queue types: which declarations make a quorum queue, and what one cannot be or do.

use leveret::config::{Config, DefaultQueueType};

use crate::support::{
    FieldValue, RawClient, TestServer, channel_prefetch, consume, declare_ok, declare_queue,
    declare_queue_with, delete_queue, get, queue, to_queue,
};

fn quorum<const N: usize>(name: &str, more: [(&'static str, FieldValue); N]) -> queue::Declare {
    let arguments = [("x-queue-type", "quorum".into())].into_iter().chain(more);
    queue::Declare { durable: true, ..declare_queue_with(name, arguments) }
}

fn durable(name: &str) -> queue::Declare {
    queue::Declare { durable: true, ..declare_queue(name) }
}

fn of_type(name: &str, kind: &str) -> queue::Declare {
    queue::Declare { durable: true, ..declare_queue_with(name, [("x-queue-type", kind.into())]) }
}

async fn check_refusals(client: &mut RawClient, refusals: &[(queue::Declare, String)]) {
    for (declare, text) in refusals {
        client.refused(1, declare.clone(), 406, &format!("PRECONDITION_FAILED - {text}")).await;
    }
}

/// A quorum queue is durable, neither exclusive nor auto-delete, and has a name of its own.
#[tokio::test]
async fn properties_that_no_quorum_queue_has_are_406() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let property =
        |property: &str| format!("invalid property '{property}' for queue '{name}' in vhost '/'");
    let plain = quorum(&name, []);
    let refusals = [
        (queue::Declare { durable: false, ..plain.clone() }, property("non-durable")),
        (queue::Declare { auto_delete: true, ..plain.clone() }, property("auto-delete")),
        (queue::Declare { exclusive: true, ..plain.clone() }, property("exclusive-owner")),
    ];
    check_refusals(&mut client, &refusals).await;
    let text = "Cannot declare a server-named queue for type rabbit_quorum_queue".to_owned();
    check_refusals(&mut client, &[(quorum("", []), text)]).await;
}

/// Arguments that only the other types have are refused, each by its name.
#[tokio::test]
async fn arguments_of_other_types_are_406() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let of_type = |arg: &str, kind: &str| {
        format!(
            "invalid arg '{arg}' for queue '{name}' in vhost '/' of queue type rabbit_{kind}_queue"
        )
    };
    for (arg, value) in [
        ("x-max-priority", FieldValue::from(5_i32)),
        ("x-queue-mode", "lazy".into()),
        ("x-queue-version", 2_i32.into()),
        ("x-max-age", "1h".into()),
        ("x-stream-max-segment-size-bytes", 1000_i32.into()),
    ] {
        check_refusals(&mut client, &[(quorum(&name, [(arg, value)]), of_type(arg, "quorum"))])
            .await;
    }
    for (arg, value) in [
        ("x-max-in-memory-length", FieldValue::from(5_i32)),
        ("x-max-in-memory-bytes", 5_i32.into()),
        ("x-max-age", "1h".into()),
        ("x-stream-max-segment-size-bytes", 1000_i32.into()),
        ("x-quorum-initial-group-size", 3_i32.into()),
    ] {
        let declare = declare_queue_with(&name, [(arg, value)]);
        check_refusals(&mut client, &[(declare, of_type(arg, "classic"))]).await;
    }
}

/// A type that is none, and the one that leveret has not, are refused in words that say so.
#[tokio::test]
async fn types_that_there_are_not_are_406() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let invalid =
        |reason: &str| format!("invalid arg 'x-queue-type' for queue 'q' in vhost '/': {reason}");
    let stream = invalid("\"streams are not supported by this version of leveret\"");
    let number = declare_queue_with("q", [("x-queue-type", 5_i32.into())]);
    let refusals = [
        (of_type("q", "stream"), stream),
        (of_type("q", "Quorum"), invalid("\"unsupported queue type 'Quorum'\"")),
        (of_type("q", ""), invalid("\"unsupported queue type ''\"")),
        (number, invalid("{unacceptable_type,signedint}")),
    ];
    check_refusals(&mut client, &refusals).await;
}

/// A queue stays of the type that it was declared with.
#[tokio::test]
async fn a_queue_declared_again_as_another_type_is_406() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let differs = |difference: &str| {
        format!("inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': {difference}")
    };
    client.call(1, quorum(&name, [])).await;
    client.call(1, quorum(&name, [])).await;
    let classic = differs("received 'classic' but current is 'quorum'");
    let none = differs("received none but current is the value 'quorum' of type 'longstr'");
    check_refusals(&mut client, &[(of_type(&name, "classic"), classic), (durable(&name), none)])
        .await;
    client.call(1, delete_queue(&name)).await;

    client.call(1, durable(&name)).await;
    client.call(1, of_type(&name, "classic")).await;
    // What is not said is not compared, but for its type.
    client.send(1, quorum(&name, [])).await;
    match client.receive_method(1).await {
        crate::support::Method::ChannelClose(close) => assert_eq!(close.reply_code, 406),
        other => panic!("expected channel.close, got {other:?}"),
    }
    client.send(1, crate::support::channel::CloseOk {}).await;
    client.open_channel(1).await;
    client.call(1, delete_queue(&name)).await;
}

/// With `default_queue_type = "quorum"`, durable queues that are declared without a type are quorum queues
/// if they can be, and are redeclared in either way; the others stay classic.
#[tokio::test]
async fn the_default_type_holds_where_a_queue_can_be_of_it() {
    let configure = |config: &mut Config| config.default_queue_type = DefaultQueueType::Quorum;
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut client = server.channel().await;
    // Whoever has a delivery limit of 20 is a quorum queue.
    let quorums = [("durable", durable("durable")), ("written out", quorum("written out", []))];
    for (name, declare) in quorums {
        client.call(1, declare).await;
        for again in [durable(name), of_type(name, "quorum")] {
            client.send(1, again).await;
            client.expect(1, declare_ok(name, 0, 0)).await;
        }
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': \
             received 'classic' but current is 'quorum'"
        );
        client.refused(1, of_type(name, "classic"), 406, &text).await;
    }
    let classics = [
        declare_queue("transient"),
        queue::Declare { exclusive: true, ..durable("exclusive") },
        queue::Declare { auto_delete: true, ..durable("auto-delete") },
        of_type("classic", "classic"),
    ];
    for declare in classics {
        client.call(1, declare.clone()).await;
        client.call(1, declare.clone()).await;
        let name = declare.queue.to_str().expect("a text").to_owned();
        let arguments = [("x-max-priority", 5_i32.into())];
        // Only a classic queue gets as far as to compare it.
        let more = queue::Declare { arguments: crate::support::table(arguments), ..declare };
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue '{name}' in vhost '/': \
             received the value '5' of type 'signedint' but current is none"
        );
        client.refused(1, more, 406, &text).await;
    }
    // A durable queue that asks for what only a classic one has is refused, as if it had said its type.
    let arguments = [("x-max-priority", 5_i32.into())];
    let priorities = queue::Declare { durable: true, ..declare_queue_with("p", arguments) };
    let text = "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'p' in vhost '/' of queue \
                type rabbit_quorum_queue";
    client.refused(1, priorities, 406, text).await;
    let server_named = durable("");
    client.send(1, server_named).await;
    client.receive_method(1).await;
}

/// "Quorum queues do not support global QoS", and `basic.get` from one with a single active consumer is
/// 405.
#[tokio::test]
async fn what_a_quorum_queue_does_not_do() {
    let server = TestServer::start().await;
    let (name, single) = (server.name("q"), server.name("single"));
    let mut client = server.channel().await;
    client.call(1, quorum(&name, [])).await;
    client.call(1, quorum(&single, [("x-single-active-consumer", true.into())])).await;
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain access to locked queue '{single}' in vhost '/'. basic.get \
         operations are not supported by quorum queues with single active consumer"
    );
    client.refused(1, get(&single), 405, &text).await;
    let mut other = server.channel().await;
    other.call(1, channel_prefetch(5)).await;
    let text = format!("NOT_IMPLEMENTED - queue '{name}' in vhost '/' does not support global qos");
    other.fatal(1, consume(&name, "c"), 540, &text).await;
    for queue in [&name, &single] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// `x-queue-mode` and `x-queue-version` are accepted on classic queues, compared, and change nothing that
/// a client sees.
#[tokio::test]
async fn modes_and_versions_are_compared() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let arguments = [("x-queue-mode", FieldValue::from("lazy")), ("x-queue-version", 1_i32.into())];
    client.call(1, declare_queue_with(&name, arguments.clone())).await;
    client.call(1, declare_queue_with(&name, arguments)).await;
    client.publish(1, to_queue(&name), "x").await;
    let other = [("x-queue-mode", FieldValue::from("default")), ("x-queue-version", 1_i32.into())];
    let text = format!(
        "inequivalent arg 'x-queue-mode' for queue '{name}' in vhost '/': received 'default' but \
         current is 'lazy'"
    );
    check_refusals(&mut client, &[(declare_queue_with(&name, other), text)]).await;
    assert_eq!(client.drain(1, &name).await, ["x"]);
    client.call(1, delete_queue(&name)).await;
}

/// A quorum queue is deleted without conditions or not at all: 540.
#[tokio::test]
async fn a_quorum_queue_is_deleted_without_conditions() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.call(1, quorum(&name, [])).await;
    for (delete, flag) in [
        (queue::Delete { if_unused: true, ..delete_queue(&name) }, "if-unused"),
        (queue::Delete { if_empty: true, ..delete_queue(&name) }, "if-empty"),
    ] {
        let text = format!(
            "NOT_IMPLEMENTED - cannot delete queue '{name}' in vhost '/'. queue.delete operations with \
             {flag} flag set are not supported by quorum queues"
        );
        server.channel().await.fatal(1, delete, 540, &text).await;
    }
    client.call(1, delete_queue(&name)).await;
}
