//! Bindings: what makes two of them the same, what their ends may be, and the shortcuts for names.

use crate::support::{
    FieldTable, FieldValue, Method, RawClient, TestServer, bind_exchange, bind_queue,
    declare_exchange, declare_queue, delete_exchange, delete_queue, exchange, queue, table,
    to_exchange, unbind_exchange, unbind_queue,
};

const DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

fn missing(kind: &str, name: &str) -> String {
    format!("NOT_FOUND - no {kind} '{name}' in vhost '/'")
}

#[tokio::test]
async fn ends_that_are_missing_are_named_the_source_first() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let rows: [(Method, String); 6] = [
        (bind_queue("nope", "amq.direct", "").into(), missing("queue", "nope")),
        (bind_queue(&queue, "nope", "").into(), missing("exchange", "nope")),
        (bind_queue("none.q", "none.x", "").into(), missing("exchange", "none.x")),
        (bind_exchange("amq.direct", "nope", "").into(), missing("exchange", "nope")),
        (bind_exchange("nope", "amq.direct", "").into(), missing("exchange", "nope")),
        (bind_exchange("none.d", "none.s", "").into(), missing("exchange", "none.s")),
    ];
    for (method, text) in rows {
        client.refused(1, method, 404, &text).await;
    }
    let silent = exchange::Bind { no_wait: true, ..bind_exchange("amq.direct", "nope", "") };
    client.refused(1, silent, 404, &missing("exchange", "nope")).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn the_default_exchange_is_not_for_binding() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let methods: [Method; 6] = [
        bind_queue(&queue, "", "k").into(),
        unbind_queue(&queue, "", &queue).into(),
        bind_exchange("", "amq.direct", "k").into(),
        bind_exchange("amq.direct", "", "k").into(),
        unbind_exchange("", "amq.direct", "k").into(),
        unbind_exchange("amq.direct", "", "k").into(),
    ];
    for method in methods {
        client.refused(1, method, 403, DEFAULT).await;
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn unbinding_what_is_not_bound_or_not_there_is_fine() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, unbind_queue(&queue, "amq.direct", "nope")).await;
    client.call(1, unbind_queue(&queue, "nope", "k")).await;
    client.call(1, unbind_queue("nope", "amq.direct", "k")).await;
    client.call(1, unbind_exchange("amq.direct", "amq.topic", "nope")).await;
    client.call(1, unbind_exchange("nope", "amq.topic", "k")).await;
    client.call(1, unbind_exchange("amq.topic", "nope", "k")).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_binding_made_twice_is_one() {
    let server = TestServer::start().await;
    let (queue, exchange) = (server.name("q"), server.name("x"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_exchange(&exchange, "direct")).await;
    client.call(1, bind_queue(&queue, &exchange, "k")).await;
    client.call(1, bind_queue(&queue, &exchange, "k")).await;
    client.publish(1, to_exchange(&exchange, "k"), "once").await;
    assert_eq!(client.drain(1, &queue).await, ["once"]);
    client.call(1, unbind_queue(&queue, &exchange, "k")).await;
    client.publish(1, to_exchange(&exchange, "k"), "no more").await;
    assert!(client.drain(1, &queue).await.is_empty());
    client.call(1, delete_queue(&queue)).await;
    client.call(1, delete_exchange(&exchange)).await;
}

/// Goal: arguments belong to what a binding is: compared with their types, in whatever order they
/// stand at the top, in order inside. A fanout exchange shows it: unbinding one of two bindings leaves
/// the other, so whether the queue still gets messages tells if they were the same.
#[tokio::test]
async fn arguments_are_part_of_a_binding() {
    let server = TestServer::start().await;
    let (queue, exchange) = (server.name("q"), server.name("x"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_exchange(&exchange, "fanout")).await;
    let nested = |first, second| {
        table([("n", FieldValue::Table(table([(first, true.into()), (second, true.into())])))])
    };
    let bytes = FieldValue::ByteArray(bytes::Bytes::from_static(b"x"));
    let rows = [
        (table([]), table([]), true),
        (table([("a", 1_i32.into())]), table([]), false),
        (
            table([("a", 1_i32.into()), ("b", 2_i32.into())]),
            table([("b", 2_i32.into()), ("a", 1_i32.into())]),
            true,
        ),
        (table([("a", 1_i32.into())]), table([("a", 1_i64.into())]), false),
        (table([("a", 1.0_f32.into())]), table([("a", 1.0_f64.into())]), false),
        (table([("a", "x".into())]), table([("a", bytes)]), false),
        (nested("p", "q"), nested("p", "q"), true),
        (nested("p", "q"), nested("q", "p"), false),
    ];
    for (bound, unbound, same) in rows {
        let bind = queue::Bind { arguments: bound.clone(), ..bind_queue(&queue, &exchange, "k") };
        let unbind = |arguments: FieldTable| queue::Unbind {
            arguments,
            ..unbind_queue(&queue, &exchange, "k")
        };
        client.call(1, bind).await;
        client.call(1, unbind(unbound.clone())).await;
        client.publish(1, to_exchange(&exchange, ""), "x").await;
        let got = client.drain(1, &queue).await;
        assert_eq!(got.is_empty(), same, "{bound:?} and {unbound:?}");
        client.call(1, unbind(bound)).await;
    }
    client.call(1, delete_queue(&queue)).await;
    client.call(1, delete_exchange(&exchange)).await;
}

#[tokio::test]
async fn x_match_must_be_one_of_four_words() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let bytes = FieldValue::ByteArray(bytes::Bytes::from_static(b"any"));
    for (value, text) in [
        ("foo".into(), "value <<\"foo\">>; expected all, any, all-with-x, or any-with-x"),
        (23_i32.into(), "type signedint (value 23); expected longstr"),
        (bytes, "type binary (value <<\"any\">>); expected longstr"),
    ] {
        let arguments = table([("x-match", value)]);
        let bind = queue::Bind { arguments, ..bind_queue(&queue, "amq.headers", "") };
        let text = format!("PRECONDITION_FAILED - Invalid x-match field {text}");
        client.refused(1, bind, 406, &text).await;
    }
    client.call(1, delete_queue(&queue)).await;
}

async fn reaches(client: &mut RawClient, key: &str, queue: &str) -> bool {
    client.publish(1, to_exchange("amq.direct", key), "x").await;
    !client.drain(1, queue).await.is_empty()
}

/// Without a queue's name the key means the queue, too; with one it means what it says.
#[tokio::test]
async fn no_name_and_no_key_binds_the_last_queue_by_its_name() {
    let server = TestServer::start().await;
    let (queue, key) = (server.name("q"), server.name("kk"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;

    client.call(1, bind_queue("", "amq.direct", "")).await;
    assert!(reaches(&mut client, &queue, &queue).await);
    client.call(1, unbind_queue("", "amq.direct", "")).await;
    assert!(!reaches(&mut client, &queue, &queue).await);

    client.call(1, bind_queue("", "amq.direct", &key)).await;
    assert!(reaches(&mut client, &key, &queue).await);
    assert!(!reaches(&mut client, &queue, &queue).await);
    client.call(1, unbind_queue("", "amq.direct", &key)).await;
    assert!(!reaches(&mut client, &key, &queue).await);

    client.call(1, bind_queue(&queue, "amq.direct", "")).await;
    assert!(reaches(&mut client, "", &queue).await);
    assert!(!reaches(&mut client, &queue, &queue).await);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn bindings_go_with_their_queue() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, bind_queue(&queue, "amq.direct", &queue)).await;
    client.call(1, delete_queue(&queue)).await;
    client.call(1, declare_queue(&queue)).await;
    assert!(!reaches(&mut client, &queue, &queue).await);
    client.call(1, delete_queue(&queue)).await;
}
