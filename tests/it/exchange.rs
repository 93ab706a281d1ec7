//! Exchanges: declaring, checking and deleting them. What they do with messages is in `routing`.

use crate::support::{
    BasicProperties, FieldTable, FieldValue, Method, TestServer, bind_exchange, bind_queue,
    check_exchange, declare_exchange, declare_queue, delete_exchange, delete_queue, exchange,
    queue, table, to_exchange, unbind_exchange, unbind_queue,
};

const DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

fn missing(name: &str) -> String {
    format!("NOT_FOUND - no exchange '{name}' in vhost '/'")
}

fn auto_delete(name: &str) -> exchange::Declare {
    exchange::Declare { auto_delete: true, ..declare_exchange(name, "fanout") }
}

fn with_alternate(name: &str, alternate: impl Into<FieldValue>) -> exchange::Declare {
    let arguments = table([("alternate-exchange", alternate.into())]);
    exchange::Declare { arguments, ..declare_exchange(name, "direct") }
}

#[tokio::test]
async fn the_predeclared_exchanges_are_there_and_may_be_declared_as_they_are() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    for (name, kind) in [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ] {
        client.call(1, check_exchange(name)).await;
        let declare = exchange::Declare { durable: true, ..declare_exchange(name, kind) };
        client.call(1, declare).await;
    }
    client.call(1, check_exchange("amq.rabbitmq.trace")).await;
}

#[tokio::test]
async fn what_may_not_be_declared_is_refused() {
    let server = TestServer::start().await;
    let name = server.name("x");
    let mut client = server.channel().await;
    let reserved =
        "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'".to_owned();
    let alternate = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange \
         '{name}' in vhost '/'"
    );
    for (declare, code, text) in [
        (declare_exchange("", "direct"), 403, DEFAULT.to_owned()),
        (check_exchange(""), 403, DEFAULT.to_owned()),
        (declare_exchange("amq.foo", "direct"), 403, reserved),
        (check_exchange("amq.foo"), 404, missing("amq.foo")),
        (check_exchange("nope"), 404, missing("nope")),
        (with_alternate(&name, 5_i32), 406, alternate),
    ] {
        client.refused(1, declare, code, &text).await;
    }
}

/// 3.x closes the connection; 4.x only the channel, with 406.
#[tokio::test]
async fn an_unknown_type_is_503() {
    let server = TestServer::start().await;
    for (kind, text) in [
        ("nosuch", "COMMAND_INVALID - unknown exchange type 'nosuch'"),
        ("x-nosuch", "COMMAND_INVALID - unknown exchange type 'x-nosuch'"),
        ("", "COMMAND_INVALID - invalid exchange type ''"),
    ] {
        let declare = declare_exchange("unknown.type", kind);
        server.channel().await.fatal(1, declare, 503, text).await;
    }
}

/// Goal: of several differences the same one is named as by RabbitMQ: type, durable, auto_delete,
/// internal, alternate-exchange. Each row changes one more of them.
#[tokio::test]
async fn an_exchange_declared_otherwise_is_406_and_names_the_first_difference() {
    let server = TestServer::start().await;
    let name = server.name("x");
    let mut client = server.channel().await;
    let declared = exchange::Declare { durable: true, ..declare_exchange(&name, "direct") };
    client.call(1, declared.clone()).await;
    client.call(1, declared.clone()).await;

    let mut received = declared.clone();
    received.arguments = table([("alternate-exchange", "a".into()), ("x-unknown", true.into())]);
    let mut refused = Vec::new();
    let none = "the value 'a' of type 'longstr' but current is none";
    refused.push((received.clone(), "alternate-exchange", format!("received {none}")));
    received.internal = true;
    refused.push((received.clone(), "internal", "received 'true' but current is 'false'".into()));
    received.auto_delete = true;
    refused.push((
        received.clone(),
        "auto_delete",
        "received 'true' but current is 'false'".into(),
    ));
    received.durable = false;
    refused.push((received.clone(), "durable", "received 'false' but current is 'true'".into()));
    received.kind = crate::support::short("fanout");
    refused.push((received, "type", "received 'fanout' but current is 'direct'".into()));
    for (declare, arg, difference) in refused {
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{arg}' for exchange '{name}' in vhost '/': \
             {difference}"
        );
        client.refused(1, declare.clone(), 406, &text).await;
        client.refused(1, exchange::Declare { no_wait: true, ..declare }, 406, &text).await;
    }
    client.call(1, delete_exchange(&name)).await;
}

#[tokio::test]
async fn alternate_exchanges_are_compared_by_value_and_other_arguments_not_at_all() {
    let server = TestServer::start().await;
    let (name, other) = (server.name("x"), server.name("y"));
    let mut client = server.channel().await;
    client.call(1, with_alternate(&name, "ae")).await;
    let mut same = with_alternate(&name, "ae");
    same.arguments.push(crate::support::short("x-unknown"), 5_i32);
    client.call(1, same).await;
    let prefix = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{name}' in vhost \
         '/': received"
    );
    let none = format!("{prefix} none but current is the value 'ae' of type 'longstr'");
    client.refused(1, declare_exchange(&name, "direct"), 406, &none).await;
    let other_name = format!("{prefix} 'zz' but current is 'ae'");
    client.refused(1, with_alternate(&name, "zz"), 406, &other_name).await;
    // The alternate need not exist, nor have a name that could.
    for alternate in ["amq.zzz", ""] {
        client.call(1, with_alternate(&other, alternate)).await;
        client.call(1, delete_exchange(&other)).await;
    }
    client.call(1, delete_exchange(&name)).await;
}

#[tokio::test]
async fn a_passive_declaration_looks_at_the_name_alone() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    for kind in ["direct", "fanout", "", "nosuch"] {
        let declare = exchange::Declare {
            passive: true,
            durable: false,
            auto_delete: true,
            internal: true,
            arguments: table([("alternate-exchange", 5_i32.into())]),
            ..declare_exchange("amq.topic", kind)
        };
        client.call(1, declare).await;
    }
    // Nor does it need an answer to fail.
    let silent = exchange::Declare { no_wait: true, ..check_exchange("nope") };
    client.refused(1, silent, 404, &missing("nope")).await;
    client.send(1, exchange::Declare { no_wait: true, ..check_exchange("amq.topic") }).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn line_ends_are_dropped_from_the_names_of_exchanges() {
    let server = TestServer::start().await;
    let name = server.name("line.ends");
    let mut client = server.channel().await;
    client.call(1, declare_exchange(format!("\r{name}\n"), "direct")).await;
    client.call(1, check_exchange(&name)).await;
    client.call(1, delete_exchange(format!("{name}\r\n"))).await;
    client.refused(1, check_exchange(&name), 404, &missing(&name)).await;
}

#[tokio::test]
async fn what_may_not_be_deleted_is_refused_and_what_is_missing_is_deleted() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.refused(1, delete_exchange(""), 403, DEFAULT).await;
    for name in ["amq.topic", "amq.nonexist"] {
        let text = format!(
            "ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"
        );
        client.refused(1, delete_exchange(name), 403, &text).await;
    }
    client.call(1, delete_exchange("nope")).await;
    client.call(1, exchange::Delete { if_unused: true, ..delete_exchange("nope") }).await;
    client.send(1, exchange::Delete { no_wait: true, ..delete_exchange("nope") }).await;
    client.expect_nothing(1).await;
}

/// Only what leads from it counts: an exchange that others feed is unused.
#[tokio::test]
async fn an_exchange_with_bindings_is_not_deleted_if_unused() {
    let server = TestServer::start().await;
    let (source, destination) = (server.name("source"), server.name("destination"));
    let mut client = server.channel().await;
    client.call(1, declare_exchange(&source, "direct")).await;
    client.call(1, declare_exchange(&destination, "direct")).await;
    client.call(1, bind_exchange(&destination, &source, "k")).await;
    let text = format!("PRECONDITION_FAILED - exchange '{source}' in vhost '/' in use");
    let if_unused = |name| exchange::Delete { if_unused: true, ..delete_exchange(name) };
    client.refused(1, if_unused(&source), 406, &text).await;
    client.call(1, if_unused(&destination)).await;
    client.call(1, if_unused(&source)).await;
}

#[tokio::test]
async fn deleting_an_exchange_removes_its_bindings() {
    let server = TestServer::start().await;
    let (name, queue) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_exchange(&name, "fanout")).await;
    client.call(1, bind_queue(&queue, &name, "")).await;
    client.call(1, delete_exchange(&name)).await;
    client.call(1, declare_exchange(&name, "fanout")).await;
    client.publish(1, to_exchange(&name, ""), "nowhere").await;
    assert!(client.drain(1, &queue).await.is_empty());
    client.call(1, delete_exchange(&name)).await;
    client.call(1, delete_queue(&queue)).await;
}

/// Goal: an auto-delete exchange goes with the last binding that leads from it, whatever removed that,
/// and not before there was one.
#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let server = TestServer::start().await;
    let (name, queue, other) = (server.name("x"), server.name("q"), server.name("y"));
    let mut client = server.channel().await;

    client.call(1, declare_queue(&queue)).await;
    client.call(1, auto_delete(&name)).await;
    client.call(1, check_exchange(&name)).await;
    client.call(1, bind_queue(&queue, &name, "a")).await;
    client.call(1, bind_queue(&queue, &name, "b")).await;
    client.call(1, unbind_queue(&queue, &name, "a")).await;
    client.call(1, check_exchange(&name)).await;
    client.call(1, unbind_queue(&queue, &name, "b")).await;
    client.refused(1, check_exchange(&name), 404, &missing(&name)).await;

    // The queue at the other end goes.
    client.call(1, auto_delete(&name)).await;
    client.call(1, bind_queue(&queue, &name, "a")).await;
    client.call(1, delete_queue(&queue)).await;
    client.refused(1, check_exchange(&name), 404, &missing(&name)).await;

    // The exchange at the other end goes, and takes along what fed it.
    client.call(1, auto_delete(&name)).await;
    client.call(1, auto_delete(&other)).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, bind_exchange(&other, &name, "")).await;
    client.call(1, bind_queue(&queue, &other, "")).await;
    client.call(1, unbind_queue(&queue, &other, "")).await;
    client.refused(1, check_exchange(&other), 404, &missing(&other)).await;
    client.refused(1, check_exchange(&name), 404, &missing(&name)).await;

    // Being fed no more is no reason to go.
    client.call(1, auto_delete(&name)).await;
    client.call(1, bind_exchange(&name, "amq.fanout", &name)).await;
    client.call(1, unbind_exchange(&name, "amq.fanout", &name)).await;
    client.call(1, check_exchange(&name)).await;
    client.call(1, delete_exchange(&name)).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn an_auto_delete_exchange_goes_with_an_exclusive_queues_connection() {
    let server = TestServer::start().await;
    let (name, queue) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, auto_delete(&name)).await;
    let mut owner = server.channel().await;
    let exclusive = queue::Declare { exclusive: true, ..declare_queue(&queue) };
    owner.call(1, exclusive).await;
    owner.call(1, bind_queue(&queue, &name, "")).await;
    owner.close().await;
    // The connection is gone for its client; for the broker it is gone a moment later at most.
    loop {
        client.send(1, check_exchange(&name)).await;
        match client.receive_method(1).await {
            Method::ExchangeDeclareOk(_) => {}
            Method::ChannelClose(close) => {
                assert_eq!(close.reply_text, missing(&name).as_str());
                break;
            }
            other => panic!("expected an answer to exchange.declare, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_internal_exchange_takes_messages_from_exchanges_only() {
    let server = TestServer::start().await;
    let (name, source, queue) = (server.name("internal"), server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    let internal = exchange::Declare { internal: true, ..declare_exchange(&name, "fanout") };
    client.call(1, internal).await;
    client.call(1, declare_exchange(&source, "fanout")).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, bind_exchange(&name, &source, "")).await;
    client.call(1, bind_queue(&queue, &name, "")).await;
    for name in [name.as_str(), "amq.rabbitmq.trace"] {
        let text =
            format!("ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'");
        let publish = to_exchange(name, "");
        client.publish_refused(1, publish, &BasicProperties::default(), 403, &text).await;
    }
    client.publish(1, to_exchange(&source, ""), "through").await;
    assert_eq!(client.drain(1, &queue).await, ["through"]);
    for name in [&name, &source] {
        client.call(1, delete_exchange(name)).await;
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn success_without_an_answer_is_silent() {
    let server = TestServer::start().await;
    let name = server.name("silent");
    let mut client = server.channel().await;
    client.send(1, exchange::Declare { no_wait: true, ..declare_exchange(&name, "topic") }).await;
    let bind = bind_exchange(&name, "amq.fanout", &name);
    client.send(1, exchange::Bind { no_wait: true, ..bind }).await;
    let unbind = unbind_exchange(&name, "amq.fanout", &name);
    client.send(1, exchange::Unbind { no_wait: true, ..unbind }).await;
    client.expect_nothing(1).await;
    client.call(1, check_exchange(&name)).await;
    client.send(1, exchange::Delete { no_wait: true, ..delete_exchange(&name) }).await;
    client.refused(1, check_exchange(&name), 404, &missing(&name)).await;
    let arguments = FieldTable::new();
    client.call(1, exchange::Declare { arguments, ..check_exchange("amq.topic") }).await;
}
