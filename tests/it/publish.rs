//! Publishing: what is refused, what comes back, what is confirmed, and that a message arrives as it
//! was sent.

use crate::support::{
    BasicProperties, FieldValue, Method, TestServer, Wire, ack, basic, bind_queue, channel,
    confirm, consume, declare_exchange, declare_queue, delete_exchange, delete_queue, get,
    mandatory, short, table, to_exchange, to_queue, tx,
};

fn properties() -> BasicProperties {
    BasicProperties::default()
}

/// One of each: every property, and in the headers every type there is.
fn everything() -> BasicProperties {
    let nested = table([("in", true.into()), ("at", FieldValue::Timestamp(1))]);
    let headers = table([
        ("z-last-first", true.into()),
        ("i8", (-1_i8).into()),
        ("u8", 255_u8.into()),
        ("i16", i16::MIN.into()),
        ("u16", u16::MAX.into()),
        ("i32", i32::MIN.into()),
        ("u32", u32::MAX.into()),
        ("i64", i64::MIN.into()),
        ("f32", 1.5_f32.into()),
        ("f64", 2.5_f64.into()),
        ("decimal", FieldValue::Decimal { scale: 2, value: 314 }),
        ("text", "grün".into()),
        ("octets", FieldValue::ByteArray(bytes::Bytes::from_static(&[0, 255]))),
        ("array", vec![1_i32.into(), "two".into(), FieldValue::Void].into()),
        ("time", FieldValue::Timestamp(1_700_000_000)),
        ("table", nested.into()),
        ("void", FieldValue::Void),
    ]);
    BasicProperties {
        content_type: Some(short("text/plain")),
        content_encoding: Some(short("utf-8")),
        headers: Some(headers),
        delivery_mode: Some(2),
        priority: Some(255),
        correlation_id: Some(short("c")),
        reply_to: Some(short("r")),
        expiration: Some(short("100000")),
        message_id: Some(short("m")),
        timestamp: Some(1_700_000_000),
        kind: Some(short("t")),
        user_id: Some(short("guest")),
        app_id: Some(short("a")),
        cluster_id: Some(short("cluster")),
    }
}

#[tokio::test]
async fn properties_and_headers_arrive_octet_by_octet_as_they_were_sent() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let mut encoded = bytes::BytesMut::new();
    everything().encode(&mut encoded);
    // `L` is another way to write `l`, a field may come twice, and true is anything but 0.
    let entries = b"\x01aL\0\0\0\0\0\0\0\x01\x01at\x02";
    let odd = [b"\x20\0\0\0\0\x0f".as_slice(), entries].concat();
    for raw in [&encoded[..], b"\0\0", &odd] {
        let wire = Wire::new().method(1, to_queue(&queue)).header(1, 4, raw).body(1, "body");
        client.send_wire(&wire).await;
        let (_, content) = client.get(1, get(&queue)).await.expect("a message");
        assert_eq!(&content.raw_properties[..], raw);
        assert_eq!(content.text(), "body");
    }
    // The same on the way to a consumer, and on the way back.
    client.call(1, consume(&queue, "c")).await;
    client.publish_with(1, to_queue(&queue), &everything(), "body").await;
    let delivery = client.delivery(1).await;
    assert_eq!(delivery.content.raw_properties, encoded);
    assert_eq!(delivery.content.properties(), everything());
    let unroutable = mandatory(to_queue(server.name("nope")));
    client.publish_with(1, unroutable, &everything(), "body").await;
    assert_eq!(client.returned(1).await.1.raw_properties, encoded);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn bodies_of_every_size_arrive_whole() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "c")).await;
    let sizes = [0, 1, 4087, 4088, 4089, 16_384, 16_385, 131_064, 131_065, 1_000_000, 5_000_000];
    for size in sizes {
        let pattern: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        client.publish(1, to_queue(&queue), &pattern).await;
        let delivery = client.delivery(1).await;
        assert!(delivery.content.body == pattern, "{size} octets");
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_body_in_the_largest_frames_arrives_whole() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let body: Vec<u8> = (0..1_000_000_usize).map(|i| (i % 251) as u8).collect();
    let header = Wire::new().method(1, to_queue(&queue)).header(1, 1_000_000, b"\0\0");
    let wire = body.chunks(131_064).fold(header, |wire, piece| wire.body(1, piece));
    client.send_wire(&wire).await;
    let (_, content) = client.get(1, get(&queue)).await.expect("a message");
    assert!(content.body == body);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_delivery_names_the_exchange_and_key_it_was_published_with() {
    let server = TestServer::start().await;
    let (exchange, queue) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_exchange(&exchange, "topic")).await;
    client.call(1, bind_queue(&queue, &exchange, "#")).await;
    client.publish(1, to_exchange(&exchange, "a.b"), "x").await;
    client.publish(1, to_queue(&queue), "y").await;
    for (from, key) in [(exchange.as_str(), "a.b"), ("", queue.as_str())] {
        let (got, _) = client.get(1, get(&queue)).await.expect("a message");
        assert_eq!((got.exchange.to_str(), got.routing_key.to_str()), (Some(from), Some(key)));
    }
    client.call(1, delete_exchange(&exchange)).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_missing_exchange_is_404() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    client.publish_refused(1, to_exchange("nope", "k"), &properties(), 404, text).await;
    let publish = mandatory(to_exchange("nope", "k"));
    client.publish_refused(1, publish, &properties(), 404, text).await;
}

#[tokio::test]
async fn immediate_is_540() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let publish = basic::Publish { immediate: true, ..to_exchange("amq.direct", "k") };
    client.publish(1, publish, "x").await;
    client.expect_connection_close(540, "NOT_IMPLEMENTED - immediate=true", (60, 40)).await;
}

#[tokio::test]
async fn properties_that_make_no_sense_are_406() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let expiration = |text| BasicProperties { expiration: Some(short(text)), ..properties() };
    let mode = |mode| BasicProperties { delivery_mode: Some(mode), ..properties() };
    let user = BasicProperties { user_id: Some(short("bob")), ..properties() };
    let rows = [
        (expiration("notnum"), "invalid expiration 'notnum': no_integer"),
        (expiration(""), "invalid expiration '': no_integer"),
        (expiration("-10"), "invalid expiration '-10': {value_negative,-10}"),
        (expiration("10s"), "invalid expiration '10s': {leftover_string,\"s\"}"),
        (expiration("1.5"), "invalid expiration '1.5': {leftover_string,\".5\"}"),
        (
            expiration("315360000001"),
            "invalid expiration '315360000001': {value_too_large,315360000001}",
        ),
        (mode(0), "invalid message: {delivery_mode_unknown,0}"),
        (mode(3), "invalid message: {delivery_mode_unknown,3}"),
        (user, "user_id property set to 'bob' but authenticated user was 'guest'"),
    ];
    for (properties, reason) in rows {
        let text = format!("PRECONDITION_FAILED - {reason}");
        let publish = to_exchange("amq.direct", "k");
        client.publish_refused(1, publish, &properties, 406, &text).await;
    }
    for properties in [expiration("0"), expiration("+315360000000"), mode(1), mode(2)] {
        client.publish_with(1, to_exchange("amq.direct", "k"), &properties, "fine").await;
    }
    client.expect_nothing(1).await;
}

/// RabbitMQ calls it its own fault, 541; a syntax error is what it is.
#[tokio::test]
async fn malformed_properties_close_the_connection() {
    let server = TestServer::start().await;
    let rows: [(&str, &[u8], &str); 5] = [
        ("cut", b"\x80\0\x05ab", "a field runs past the end of what holds it"),
        ("too long", b"\x10\0\x02\xff", "1 octets left over after the last field"),
        ("header cut", b"\x20\0\0\0\0\x09\x01a", "a field runs past the end of what holds it"),
        (
            "header of unknown type",
            b"\x20\0\0\0\0\x03\x01aQ",
            "unknown field type 81 in a table or array",
        ),
        ("flags that never end", b"\0\x01\0\x01", "a field runs past the end of what holds it"),
    ];
    for (what, raw, reason) in rows {
        let mut client = server.channel().await;
        let wire =
            Wire::new().method(1, to_exchange("amq.direct", "k")).header(1, 1, raw).body(1, "x");
        client.send_wire(&wire).await;
        if server.is_leveret() {
            let text = format!("SYNTAX_ERROR - {reason}");
            client.expect_connection_close(502, &text, (60, 40)).await;
        } else {
            eprintln!("{what}");
            client.expect_connection_close(541, "INTERNAL_ERROR", (0, 0)).await;
        }
    }
}

/// RabbitMQ waits for the whole body first, which it then throws away.
#[tokio::test]
async fn a_body_too_large_is_406_as_soon_as_it_is_announced() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut client = server.channel().await;
    for size in [134_217_729, 1_000_000_000_000, u64::MAX] {
        let announced =
            Wire::new().method(1, to_exchange("amq.direct", "k")).header(1, size, b"\0\0");
        client.send_wire(&announced).await;
        let text = format!(
            "PRECONDITION_FAILED - message size {size} is larger than configured max size 134217728"
        );
        client.expect_channel_close(1, 406, &text, (60, 40)).await;
        // What is on its way already is passed over.
        client.send_wire(&Wire::new().body(1, "abc").method(1, channel::CloseOk {})).await;
        client.open_channel(1).await;
    }
}

#[tokio::test]
async fn the_largest_body_is_a_setting() {
    let Some(server) = TestServer::configured(|config| config.max_message_size = 10).await else {
        return;
    };
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    client.publish(1, to_queue("q"), "0123456789").await;
    assert_eq!(client.drain(1, "q").await, ["0123456789"]);
    client.send_wire(&Wire::new().method(1, to_queue("q")).header(1, 11, b"\0\0")).await;
    let text = "PRECONDITION_FAILED - message size 11 is larger than configured max size 10";
    client.expect_channel_close(1, 406, text, (60, 40)).await;
}

#[tokio::test]
async fn what_is_mandatory_and_unroutable_comes_back_whole() {
    let server = TestServer::start().await;
    let (exchange, nowhere) = (server.name("x"), server.name("nowhere"));
    let mut client = server.channel().await;
    client.call(1, declare_exchange(&exchange, "fanout")).await;
    let large = "large".repeat(100_000);
    for (publish, body) in [
        (to_exchange(&exchange, "k"), "small"),
        (to_queue(&nowhere), ""),
        (to_exchange("amq.direct", &nowhere), large.as_str()),
    ] {
        client.publish(1, publish.clone(), "dropped").await;
        client.publish(1, mandatory(publish.clone()), body).await;
        let (returned, content) = client.returned(1).await;
        let expected = basic::Return {
            reply_code: 312,
            reply_text: short("NO_ROUTE"),
            exchange: publish.exchange,
            routing_key: publish.routing_key,
        };
        assert_eq!(returned, expected);
        assert_eq!(content.text(), body);
    }
    client.call(1, delete_exchange(&exchange)).await;
}

#[tokio::test]
async fn what_is_mandatory_and_routed_does_not_come_back() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, mandatory(to_queue(&queue)), "here").await;
    client.expect_nothing(1).await;
    assert_eq!(client.drain(1, &queue).await, ["here"]);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn confirms_count_from_the_first_publish_after_select() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), "before").await;
    client.send(1, confirm::Select { no_wait: false }).await;
    client.expect(1, confirm::SelectOk {}).await;
    client.publish(1, to_queue(&queue), "first").await;
    client.expect(1, ack(1)).await;
    // A second select changes nothing.
    client.call(1, confirm::Select { no_wait: false }).await;
    client.publish(1, to_queue(&queue), "second").await;
    client.expect(1, ack(2)).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn confirms_can_be_selected_without_an_answer() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, confirm::Select { no_wait: true }).await;
    client.expect_nothing(1).await;
    client.publish(1, to_exchange("amq.direct", "nowhere"), "x").await;
    client.expect(1, ack(1)).await;
}

/// Unroutable messages are confirmed like others, and in their turn; a mandatory one comes back
/// before.
#[tokio::test]
async fn unroutable_messages_are_returned_first_and_then_confirmed() {
    let server = TestServer::start().await;
    let nowhere = server.name("nowhere");
    let mut client = server.channel().await;
    client.call(1, confirm::Select { no_wait: false }).await;
    client.publish(1, to_queue(&nowhere), "dropped").await;
    client.expect(1, ack(1)).await;
    client.publish(1, mandatory(to_queue(&nowhere)), "returned").await;
    assert_eq!(client.returned(1).await.1.text(), "returned");
    client.expect(1, ack(2)).await;
}

#[tokio::test]
async fn every_publish_is_confirmed_however_many_at_a_time() {
    let server = TestServer::start().await;
    let (queue, nowhere) = (server.name("q"), server.name("nowhere"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, confirm::Select { no_wait: false }).await;
    let wire = (0..1000).fold(Wire::new(), |wire, i| {
        wire.publish(1, to_queue(if i % 7 == 0 { &nowhere } else { &queue }), "x")
    });
    client.send_wire(&wire).await;
    let mut told = 0;
    while told < 1000 {
        match client.receive_method(1).await {
            Method::BasicAck(basic::Ack { delivery_tag, multiple }) => {
                // RabbitMQ may tell single ones out of order; every number is told once.
                told = if multiple { delivery_tag.max(told) } else { told.max(delivery_tag) };
            }
            other => panic!("expected basic.ack, got {other:?}"),
        }
    }
    assert_eq!(client.drain(1, &queue).await.len(), 857);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn channels_are_confirmed_apart() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, confirm::Select { no_wait: false }).await;
    client.call(2, confirm::Select { no_wait: false }).await;
    client.publish(2, to_queue(&queue), "x").await;
    client.expect(2, ack(1)).await;
    client.publish(1, to_queue(&queue), "x").await;
    client.expect(1, ack(1)).await;
    client.publish(2, to_queue(&queue), "x").await;
    client.expect(2, ack(2)).await;
    client.call(1, delete_queue(&queue)).await;
}

/// What was published before an offence is confirmed before the channel closes: a client that is told
/// "closed" knows which of its messages arrived. RabbitMQ may lose that confirm.
#[tokio::test]
async fn confirms_come_before_the_close() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    client.call(1, confirm::Select { no_wait: false }).await;
    let wire = Wire::new()
        .publish(1, to_queue("q"), "x")
        .publish(1, to_exchange("nope", ""), "y")
        .publish(1, to_queue("q"), "z");
    client.send_wire(&wire).await;
    client.expect(1, ack(1)).await;
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    client.expect_channel_close(1, 404, text, (60, 40)).await;
    client.open_channel(2).await;
    assert_eq!(client.drain(2, "q").await, ["x"]);
}

#[tokio::test]
async fn a_channel_confirms_or_is_transactional() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.call(1, confirm::Select { no_wait: false }).await;
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    client.refused(1, tx::Select {}, 406, text).await;
    client.call(1, tx::Select {}).await;
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    client.refused(1, confirm::Select { no_wait: false }, 406, text).await;
    client.call(1, tx::Select {}).await;
    client.refused(1, confirm::Select { no_wait: true }, 406, text).await;
}

#[tokio::test]
async fn messages_of_one_channel_stay_in_order_on_every_way_to_a_queue() {
    let server = TestServer::start().await;
    let (exchange, queue) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_exchange(&exchange, "fanout")).await;
    client.call(1, bind_queue(&queue, &exchange, "")).await;
    let wire = (0..500).fold(Wire::new(), |wire, i| {
        let publish = if i % 2 == 0 { to_queue(&queue) } else { to_exchange(&exchange, "") };
        wire.publish(1, publish, i.to_string())
    });
    client.send_wire(&wire).await;
    let expected: Vec<String> = (0..500).map(|i| i.to_string()).collect();
    assert_eq!(client.drain(1, &queue).await, expected);
    client.call(1, delete_exchange(&exchange)).await;
    client.call(1, delete_queue(&queue)).await;
}
