//! Queues: declaring, checking, purging and deleting them; exclusive ones; what an empty name means.

use crate::support::{
    Method, RawClient, TestServer, ack, ack_multiple, bind_queue, cancel, channel, check_queue,
    consume, declare_ok, declare_queue, declare_queue_with, delete_queue, get, get_to_ack,
    purge_queue, queue, short, to_exchange, to_queue, unbind_queue,
};

const NO_PREVIOUS: &str = "NOT_FOUND - no previously declared queue";

fn missing(name: &str) -> String {
    format!("NOT_FOUND - no queue '{name}' in vhost '/'")
}

fn locked(name: &str) -> String {
    format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does not \
         match that of the original declaration."
    )
}

fn exclusive(name: &str) -> queue::Declare {
    queue::Declare { exclusive: true, ..declare_queue(name) }
}

async fn declared_name(client: &mut RawClient, declare: queue::Declare) -> String {
    match client.call(1, declare).await {
        Method::QueueDeclareOk(ok) => ok.queue.to_str_lossy().into_owned(),
        other => panic!("expected queue.declare-ok, got {other:?}"),
    }
}

#[tokio::test]
async fn a_declaration_answers_with_name_and_counts() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.send(1, declare_queue(&name)).await;
    client.expect(1, declare_ok(&name, 0, 0)).await;
    for _ in 0..3 {
        client.publish(1, to_queue(&name), "x").await;
    }
    assert!(client.get(1, get_to_ack(&name)).await.is_some());
    client.open_channel(2).await;
    client.call(2, crate::support::prefetch(1)).await;
    client.call(2, consume(&name, "c")).await;
    client.delivery(2).await;
    // One is ready, two are unacknowledged and do not count.
    client.send(1, declare_queue(&name)).await;
    client.expect(1, declare_ok(&name, 1, 1)).await;
    client.call(2, cancel("c")).await;
    client.send(1, delete_queue(&name)).await;
    client.expect(1, queue::DeleteOk { message_count: 1 }).await;
}

#[tokio::test]
async fn a_name_of_255_octets_is_fine() {
    let server = TestServer::start().await;
    let name = format!("{:x<255}", server.name("long"));
    let mut client = server.channel().await;
    client.send(1, declare_queue(&name)).await;
    client.expect(1, declare_ok(&name, 0, 0)).await;
    client.publish(1, to_queue(&name), "x").await;
    assert_eq!(client.drain(1, &name).await, ["x"]);
    client.call(1, delete_queue(&name)).await;
}

#[tokio::test]
async fn the_broker_makes_up_names_that_begin_with_amq_gen() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let mut names = Vec::new();
    for empty in ["", "\n", "\r\n"] {
        let name = declared_name(&mut client, exclusive(empty)).await;
        let random = name.strip_prefix("amq.gen-").unwrap_or_else(|| panic!("{name}"));
        assert_eq!(random.len(), 22, "{name}");
        let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(random.chars().all(base64url), "{name}");
        names.push(name);
    }
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn reserved_names_are_403_even_for_a_queue_that_has_one() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let generated = declared_name(&mut client, exclusive("")).await;
    for name in ["amq.foo", generated.as_str()] {
        let text = format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'");
        client.refused(1, exclusive(name), 403, &text).await;
    }
    client.call(1, check_queue(&generated)).await;
    client.refused(1, check_queue("amq.gen-none"), 404, &missing("amq.gen-none")).await;
}

#[tokio::test]
async fn a_passive_declaration_looks_at_the_name_alone() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.refused(1, check_queue("nope"), 404, &missing("nope")).await;
    client
        .refused(1, queue::Declare { no_wait: true, ..check_queue("nope") }, 404, &missing("nope"))
        .await;
    client.call(1, declare_queue(&name)).await;
    let check = queue::Declare {
        durable: true,
        exclusive: true,
        auto_delete: true,
        arguments: crate::support::table([("x-message-ttl", "nonsense".into())]),
        ..check_queue(&name)
    };
    client.call(1, check).await;
    // There is no shortcut for the last queue here.
    client.refused(1, check_queue(""), 404, &missing("")).await;
    client.call(1, delete_queue(&name)).await;
}

/// Goal: of several differences the same one is named as by RabbitMQ: exclusive, durable, auto_delete,
/// then arguments. Each row changes one more of them.
#[tokio::test]
async fn a_queue_declared_otherwise_is_406_and_names_the_first_difference() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let declared = queue::Declare { durable: true, ..declare_queue(&name) };
    client.call(1, declared.clone()).await;
    client.call(1, declared.clone()).await;

    let differs = |arg: &str, difference: &str| {
        format!(
            "PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{name}' in vhost '/': \
             {difference}"
        )
    };
    let ttl = ("x-message-ttl", 1000_i32.into());
    let mut received = queue::Declare { durable: true, ..declare_queue_with(&name, [ttl.clone()]) };
    let text = differs(
        "x-message-ttl",
        "received the value '1000' of type 'signedint' but current is none",
    );
    client.refused(1, received.clone(), 406, &text).await;
    received.auto_delete = true;
    let text = differs("auto_delete", "received 'true' but current is 'false'");
    client.refused(1, received.clone(), 406, &text).await;
    received.durable = false;
    let text = differs("durable", "received 'false' but current is 'true'");
    client.refused(1, received.clone(), 406, &text).await;
    received.exclusive = true;
    client.refused(1, received.clone(), 405, &locked(&name)).await;
    client.refused(1, queue::Declare { no_wait: true, ..received }, 405, &locked(&name)).await;
    client.call(1, delete_queue(&name)).await;
}

#[tokio::test]
async fn arguments_are_compared_by_value_and_unknown_ones_not_at_all() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    let version = |value| declare_queue_with(&name, [("x-queue-version", value)]);
    client.call(1, version(1_i8.into())).await;
    client.call(1, version(1_i64.into())).await;
    let mut with_unknown = version(1_u32.into());
    with_unknown.arguments.push(short("x-unknown"), "anything");
    client.call(1, with_unknown).await;
    let prefix = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-version' for queue '{name}' in vhost '/': \
         received"
    );
    let other = format!("{prefix} '2' but current is '1'");
    client.refused(1, version(2_i16.into()), 406, &other).await;
    let none = format!("{prefix} none but current is the value '1' of type 'byte'");
    client.refused(1, declare_queue(&name), 406, &none).await;
    client.call(1, delete_queue(&name)).await;

    // Written out, the default type is still the default.
    client.call(1, declare_queue(&name)).await;
    client.call(1, declare_queue_with(&name, [("x-queue-type", "classic".into())])).await;
    client.call(1, delete_queue(&name)).await;
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_406() {
    let server = TestServer::start().await;
    let name = server.name("args");
    let mut client = server.channel().await;
    let longstr = "\"expected integer, got longstr\"";
    for (arg, value, reason) in [
        ("x-message-ttl", (-1_i32).into(), "{value_negative,-1}"),
        ("x-message-ttl", "1000".into(), longstr),
        ("x-message-ttl", 315_360_000_001_i64.into(), "{value_too_large,315360000001}"),
        ("x-expires", 0_i32.into(), "{value_zero,0}"),
        ("x-expires", (-1_i32).into(), "{value_negative,-1}"),
        ("x-expires", 315_360_000_001_i64.into(), "{value_too_large,315360000001}"),
        ("x-expires", "1000".into(), longstr),
        ("x-max-length", (-1_i32).into(), "{value_negative,-1}"),
        ("x-max-length", "5".into(), longstr),
        ("x-max-length-bytes", (-1_i32).into(), "{value_negative,-1}"),
        ("x-overflow", "foo".into(), "invalid_overflow"),
        ("x-overflow", 5_i32.into(), "{unacceptable_type,signedint}"),
        ("x-dead-letter-routing-key", "k".into(), "routing_key_but_no_dlx_defined"),
        ("x-max-priority", (-1_i32).into(), "{value_negative,-1}"),
        ("x-max-priority", 256_i32.into(), "{max_value_exceeded,256}"),
        ("x-max-priority", "5".into(), longstr),
        ("x-queue-mode", "foo".into(), "\"unsupported queue mode 'foo'\""),
        ("x-queue-type", "foo".into(), "\"unsupported queue type 'foo'\""),
        ("x-queue-version", 3_i32.into(), "\"unsupported queue version '3'\""),
        ("x-single-active-consumer", "true".into(), "{unacceptable_type,longstr}"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{arg}' for queue '{name}' in vhost '/': {reason}"
        );
        client.refused(1, declare_queue_with(&name, [(arg, value)]), 406, &text).await;
    }
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue \
         '{name}' in vhost '/'"
    );
    let declare = declare_queue_with(&name, [("x-dead-letter-exchange", 5_i32.into())]);
    client.refused(1, declare, 406, &text).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;
}

#[tokio::test]
async fn arguments_at_the_edge_and_unknown_ones_are_fine() {
    let server = TestServer::start().await;
    let name = server.name("args");
    let mut client = server.channel().await;
    for (arg, value) in [
        ("x-message-ttl", 0_i32.into()),
        ("x-message-ttl", 315_360_000_000_i64.into()),
        ("x-max-priority", 0_i32.into()),
        ("x-max-length", 0_i64.into()),
        ("x-overflow", "reject-publish".into()),
        ("x-queue-mode", "lazy".into()),
        ("x-queue-version", 2_i32.into()),
        ("x-unknown", "whatever".into()),
        ("x-alternate-exchange", 5_i32.into()),
    ] {
        client.call(1, declare_queue_with(&name, [(arg, value)])).await;
        client.call(1, delete_queue(&name)).await;
    }
}

#[tokio::test]
async fn line_ends_are_dropped_from_names_in_declarations_and_nowhere_else() {
    let server = TestServer::start().await;
    let name = server.name("line.ends");
    let mut client = server.channel().await;
    let (start, end) = name.split_at(4);
    client.send(1, declare_queue(format!("{start}\r\n{end}\n"))).await;
    client.expect(1, declare_ok(&name, 0, 0)).await;
    client.call(1, bind_queue(format!("{name}\n"), "amq.direct", &name)).await;
    client.publish(1, to_exchange("amq.direct", &name), "bound").await;
    assert_eq!(client.drain(1, &name).await, ["bound"]);
    let raw = format!("{name}\n");
    client.refused(1, consume(&raw, "c"), 404, &missing(&raw)).await;
    client.refused(1, get(&raw), 404, &missing(&raw)).await;
    client.publish(1, to_queue(&raw), "nowhere").await;
    assert!(client.drain(1, &name).await.is_empty());
    client.call(1, delete_queue(format!("\n{name}"))).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;
}

#[tokio::test]
async fn an_empty_name_needs_a_queue_declared_before() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let methods: [Method; 6] = [
        consume("", "c").into(),
        get("").into(),
        purge_queue("").into(),
        delete_queue("").into(),
        bind_queue("", "amq.direct", "k").into(),
        unbind_queue("", "amq.direct", "k").into(),
    ];
    for method in methods {
        client.refused(1, method, 404, NO_PREVIOUS).await;
    }
}

#[tokio::test]
async fn an_empty_name_is_the_queue_that_the_channel_declared_last() {
    let server = TestServer::start().await;
    let (first, last) = (server.name("first"), server.name("last"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&last)).await;
    client.call(1, declare_queue(&first)).await;
    client.call(1, check_queue(&last)).await;
    client.publish(1, to_queue(&last), "a").await;
    client.publish(1, to_queue(&last), "b").await;
    assert_eq!(client.get(1, get("")).await.expect("a message").1.text(), "a");
    client.send(1, purge_queue("")).await;
    client.expect(1, queue::PurgeOk { message_count: 1 }).await;
    client.call(1, consume("", "c")).await;
    assert_eq!(client.counts(1, &last).await, (0, 1));
    // Another channel declared nothing.
    client.open_channel(2).await;
    client.refused(2, get(""), 404, NO_PREVIOUS).await;
    // The name stays, even if the queue does not: there is nothing to delete, and nothing to get.
    client.call(1, cancel("c")).await;
    client.call(1, delete_queue("")).await;
    client.send(1, delete_queue("")).await;
    client.expect(1, queue::DeleteOk { message_count: 0 }).await;
    client.refused(1, get(""), 404, &missing(&last)).await;
    client.call(1, delete_queue(&first)).await;
}

#[tokio::test]
async fn an_empty_name_stands_for_a_queue_whose_name_the_client_never_learned() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, queue::Declare { no_wait: true, ..exclusive("") }).await;
    client.call(1, consume("", "c")).await;
}

#[tokio::test]
async fn deleting_is_conditional_on_messages_first_and_consumers_second() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&name)).await;
    client.open_channel(2).await;
    client.call(2, crate::support::prefetch(1)).await;
    client.call(2, consume(&name, "c")).await;
    client.publish(1, to_queue(&name), "held").await;
    client.publish(1, to_queue(&name), "ready").await;
    client.delivery(2).await;
    let in_use = format!("PRECONDITION_FAILED - queue '{name}' in vhost '/' in use");
    let not_empty = format!("PRECONDITION_FAILED - queue '{name}' in vhost '/' not empty");
    let delete = |if_unused, if_empty| queue::Delete { if_unused, if_empty, ..delete_queue(&name) };
    client.refused(1, delete(true, false), 406, &in_use).await;
    client.refused(1, delete(true, true), 406, &not_empty).await;
    client.refused(1, delete(false, true), 406, &not_empty).await;
    // What is unacknowledged is not in the way.
    client.call(2, cancel("c")).await;
    assert!(client.get(1, get(&name)).await.is_some());
    client.send(1, delete(true, true)).await;
    client.expect(1, queue::DeleteOk { message_count: 0 }).await;
}

#[tokio::test]
async fn deleting_what_is_missing_is_fine_and_deletes_nothing() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, delete_queue("nope")).await;
    client.expect(1, queue::DeleteOk { message_count: 0 }).await;
    let conditional = queue::Delete { if_unused: true, if_empty: true, ..delete_queue("nope") };
    client.call(1, conditional).await;
    client.send(1, queue::Delete { no_wait: true, ..delete_queue("nope") }).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn methods_on_a_missing_queue_are_404_with_and_without_an_answer() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let methods: [Method; 8] = [
        get("nope").into(),
        consume("nope", "c").into(),
        crate::support::basic::Consume { no_wait: true, ..consume("nope", "c") }.into(),
        purge_queue("nope").into(),
        queue::Purge { no_wait: true, ..purge_queue("nope") }.into(),
        bind_queue("nope", "amq.direct", "k").into(),
        queue::Bind { no_wait: true, ..bind_queue("nope", "amq.direct", "k") }.into(),
        check_queue("nope").into(),
    ];
    for method in methods {
        client.refused(1, method, 404, &missing("nope")).await;
    }
}

#[tokio::test]
async fn purging_drops_what_is_ready_and_nothing_else() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&name)).await;
    for text in ["held", "a", "b"] {
        client.publish(1, to_queue(&name), text).await;
    }
    let (held, _) = client.get(1, get_to_ack(&name)).await.expect("a message");
    client.send(1, purge_queue(&name)).await;
    client.expect(1, queue::PurgeOk { message_count: 2 }).await;
    client.send(1, queue::Purge { no_wait: true, ..purge_queue(&name) }).await;
    client.expect_nothing(1).await;
    client.send(1, crate::support::requeue(held.delivery_tag)).await;
    assert_eq!(client.drain(1, &name).await, ["held"]);
    client.call(1, delete_queue(&name)).await;
}

/// Goal: an exclusive queue is its connection's alone, in whatever way another one turns to it, but
/// for publishing. The rows are all the ways there are.
#[tokio::test]
async fn another_connections_exclusive_queue_is_405() {
    let server = TestServer::start().await;
    let name = server.name("exclusive");
    let mut owner = server.channel().await;
    owner.call(1, exclusive(&name)).await;
    owner.call(1, bind_queue(&name, "amq.direct", &name)).await;
    let mut other = server.channel().await;
    let methods: [Method; 9] = [
        declare_queue(&name).into(),
        exclusive(&name).into(),
        check_queue(&name).into(),
        consume(&name, "c").into(),
        get(&name).into(),
        purge_queue(&name).into(),
        delete_queue(&name).into(),
        bind_queue(&name, "amq.direct", "k").into(),
        unbind_queue(&name, "amq.direct", &name).into(),
    ];
    for method in methods {
        other.refused(1, method, 405, &locked(&name)).await;
    }
    // A binding that is not there is nobody's.
    other.call(1, unbind_queue(&name, "amq.direct", "other")).await;
    other.publish(1, to_queue(&name), "by name").await;
    other.publish(1, to_exchange("amq.direct", &name), "by binding").await;
    other.expect_nothing(1).await;
    owner.open_channel(2).await;
    assert_eq!(owner.drain(2, &name).await, ["by name", "by binding"]);
}

#[tokio::test]
async fn an_exclusive_queue_is_405_when_its_owner_declares_it_otherwise() {
    let server = TestServer::start().await;
    let name = server.name("exclusive");
    let mut owner = server.channel().await;
    owner.call(1, exclusive(&name)).await;
    owner.call(1, exclusive(&name)).await;
    owner.call(1, check_queue(&name)).await;
    owner.refused(1, declare_queue(&name), 405, &locked(&name)).await;
}

#[tokio::test]
async fn an_exclusive_queue_outlives_its_channel_and_not_its_connection() {
    let server = TestServer::start().await;
    let name = server.name("exclusive");
    let mut owner = server.channel().await;
    // Durable it can be declared, but that is all.
    owner.call(1, queue::Declare { durable: true, ..exclusive(&name) }).await;
    owner.send(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    owner.expect(1, channel::CloseOk {}).await;
    owner.open_channel(1).await;
    owner.call(1, check_queue(&name)).await;
    owner.close().await;

    let mut other = server.channel().await;
    loop {
        other.send(1, exclusive(&name)).await;
        match other.receive_method(1).await {
            Method::QueueDeclareOk(_) => break,
            Method::ChannelClose(close) => assert_eq!(close.reply_code, 405),
            answer => panic!("expected an answer to queue.declare, got {answer:?}"),
        }
        other.send(1, channel::CloseOk {}).await;
        other.open_channel(1).await;
    }
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let server = TestServer::start().await;
    let name = server.name("auto.delete");
    let auto_delete = || queue::Declare { auto_delete: true, ..declare_queue(&name) };
    let mut client = server.channel().await;

    // By basic.cancel, and not before the last.
    client.call(1, auto_delete()).await;
    client.call(1, consume(&name, "a")).await;
    client.call(1, consume(&name, "b")).await;
    client.call(1, cancel("a")).await;
    client.call(1, check_queue(&name)).await;
    client.call(1, cancel("b")).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;

    // By the end of its channel.
    client.open_channel(2).await;
    client.call(1, auto_delete()).await;
    client.call(2, consume(&name, "a")).await;
    client.send(2, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.expect(2, channel::CloseOk {}).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;

    // Fetching is not consuming.
    client.call(1, auto_delete()).await;
    client.get(1, get(&name)).await;
    let mut other = server.channel().await;
    other.get(1, get(&name)).await;
    other.close().await;
    client.call(1, check_queue(&name)).await;

    // What its last consumer had not acknowledged goes with it, and may still be acknowledged.
    client.publish(1, to_queue(&name), "held").await;
    client.call(1, consume(&name, "a")).await;
    let tag = client.delivery(1).await.tag();
    client.call(1, cancel("a")).await;
    client.send(1, ack(tag)).await;
    client.send(1, ack_multiple(0)).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumers_connection() {
    let server = TestServer::start().await;
    let name = server.name("auto.delete");
    let mut client = server.channel().await;
    client.call(1, queue::Declare { auto_delete: true, ..declare_queue(&name) }).await;
    let mut consumer = server.channel().await;
    consumer.call(1, consume(&name, "a")).await;
    drop(consumer);
    loop {
        client.send(1, check_queue(&name)).await;
        match client.receive_method(1).await {
            Method::QueueDeclareOk(_) => {}
            Method::ChannelClose(close) => {
                assert_eq!(close.reply_text, missing(&name).as_str());
                break;
            }
            other => panic!("expected an answer to queue.declare, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn success_without_an_answer_is_silent() {
    let server = TestServer::start().await;
    let name = server.name("silent");
    let mut client = server.channel().await;
    client.send(1, queue::Declare { no_wait: true, ..declare_queue(&name) }).await;
    let bind = queue::Bind { no_wait: true, ..bind_queue(&name, "amq.direct", &name) };
    client.send(1, bind).await;
    client.expect_nothing(1).await;
    client.publish(1, to_exchange("amq.direct", &name), "bound").await;
    assert_eq!(client.drain(1, &name).await, ["bound"]);
    client.send(1, queue::Delete { no_wait: true, ..delete_queue(&name) }).await;
    client.refused(1, check_queue(&name), 404, &missing(&name)).await;
}
