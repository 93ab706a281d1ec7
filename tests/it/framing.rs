//! Frames that are not what they should be, in the wrong place or of the wrong size: what is sent,
//! what comes back, and who is blamed.

use crate::support::{
    Handshake, Method, RawClient, Received, TestServer, Wire, ack, basic, channel, check_exchange,
    connection, declare_ok, declare_queue, delete_queue, exchange, get, raw_frame, short, to_queue,
};

const NOT_A_METHOD: &str = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
const NOT_A_HEADER: &str = "UNEXPECTED_FRAME - expected content header for class 60, got non \
                            content header frame instead";
const NOT_A_BODY: &str =
    "UNEXPECTED_FRAME - expected content body, got non content body frame instead";

const PUBLISH: (u16, u16) = (60, 40);

fn publish(queue: &str) -> Wire {
    Wire::new().method(1, to_queue(queue))
}

/// A connection whose channel 1 is open and where `wire` was sent.
async fn after(server: &TestServer, wire: &Wire) -> RawClient {
    let mut client = server.channel().await;
    client.send_wire(wire).await;
    client
}

/// Goal: method, header and body come in this order and nothing in between, and whoever breaks it is
/// told what was due. One connection for each row, since none of them outlives it.
#[tokio::test]
async fn a_content_out_of_order_is_505_and_names_what_was_due() {
    let server = TestServer::start().await;
    let close = channel::Close { reply_code: 200, ..channel::Close::default() };
    let weighted = raw_frame(2, 1, b"\0\x3c\0\x01\0\0\0\0\0\0\0\x03\0\0");
    let cut = raw_frame(2, 1, b"\0\x3c\0\0\0\0");
    let class_50 = raw_frame(2, 1, b"\0\x32\0\0\0\0\0\0\0\0\0\x03\0\0");
    let wrong_class =
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
    let q = "framing";
    let none: &[u8] = b"\0\0";
    let rows = [
        ("header without method", Wire::new().header(1, 3, none), NOT_A_METHOD, (0, 0)),
        ("body without method", Wire::new().body(1, "abc"), NOT_A_METHOD, (0, 0)),
        ("body for header", publish(q).body(1, "abc"), NOT_A_HEADER, PUBLISH),
        ("publish for header", publish(q).method(1, to_queue(q)), NOT_A_HEADER, PUBLISH),
        ("ack for header", publish(q).method(1, ack(1)), NOT_A_HEADER, PUBLISH),
        ("close for header", publish(q).method(1, close.clone()), NOT_A_HEADER, PUBLISH),
        ("weight", publish(q).raw(&weighted), NOT_A_HEADER, PUBLISH),
        ("class 50", publish(q).raw(&class_50), wrong_class, PUBLISH),
        ("header for body", publish(q).header(1, 3, none).header(1, 3, none), NOT_A_BODY, PUBLISH),
        ("method for body", publish(q).header(1, 3, none).method(1, ack(1)), NOT_A_BODY, PUBLISH),
        ("close for body", publish(q).header(1, 3, none).method(1, close), NOT_A_BODY, PUBLISH),
        ("body after none", publish(q).header(1, 0, none).body(1, "a"), NOT_A_METHOD, (0, 0)),
        ("empty body after none", publish(q).header(1, 0, none).body(1, ""), NOT_A_METHOD, (0, 0)),
        (
            "body after all",
            publish(q).header(1, 1, none).body(1, "a").body(1, "b"),
            NOT_A_METHOD,
            (0, 0),
        ),
    ];
    for (what, wire, text, ids) in rows {
        eprintln!("{what}");
        after(&server, &wire).await.expect_connection_close(505, text, ids).await;
    }
    if server.is_leveret() {
        // RabbitMQ's decoder crashes on it.
        let wire = publish(q).raw(&cut);
        after(&server, &wire).await.expect_connection_close(505, NOT_A_HEADER, PUBLISH).await;
    }
}

/// RabbitMQ's counter goes below zero and it waits for ever; an answer at once is better.
#[tokio::test]
async fn a_body_longer_than_announced_is_505() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    for pieces in [&["abc"][..], &["a", "bcd"]] {
        let header = publish("framing").header(1, 1, b"\0\0");
        let header =
            if pieces.len() > 1 { publish("framing").header(1, 3, b"\0\0") } else { header };
        let wire = pieces.iter().fold(header, |wire, piece| wire.body(1, piece));
        let excess = pieces.concat().len() - if pieces.len() > 1 { 3 } else { 1 };
        let text = format!(
            "UNEXPECTED_FRAME - content body is longer than its header says: {excess} bytes too many"
        );
        after(&server, &wire).await.expect_connection_close(505, &text, PUBLISH).await;
    }
}

#[tokio::test]
async fn empty_body_frames_inside_a_body_are_passed_over() {
    let server = TestServer::start().await;
    let queue = server.name("pieces");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let wire = Wire::new().method(1, to_queue(&queue)).header(1, 6, b"\0\0");
    let wire = ["", "ab", "", "cde", "", "f"].iter().fold(wire, |wire, piece| wire.body(1, piece));
    client.send_wire(&wire).await;
    assert_eq!(client.drain(1, &queue).await, ["abcdef"]);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn content_of_two_channels_may_be_interleaved() {
    let server = TestServer::start().await;
    let queue = server.name("interleaved");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;
    let wire = Wire::new()
        .method(1, to_queue(&queue))
        .method(2, to_queue(&queue))
        .header(2, 4, b"\0\0")
        .header(1, 4, b"\0\0")
        .body(1, "on")
        .body(2, "tw")
        .heartbeat()
        .method(3, channel::Open {})
        .body(1, "e!");
    client.send_wire(&wire).await;
    client.expect(3, channel::OpenOk {}).await;
    assert_eq!(client.drain(1, &queue).await, ["one!"]);
    client.send_wire(&Wire::new().body(2, "o!")).await;
    assert_eq!(client.drain(2, &queue).await, ["two!"]);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn content_on_channel_0_is_505_and_shows_the_frame() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send_wire(&Wire::new().header(0, 1, b"\0\0")).await;
    let text = "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,1,0,0>>";
    client.expect_connection_close(505, text, (0, 0)).await;

    let mut client = server.connect().await;
    client.send_wire(&Wire::new().body(0, "abc")).await;
    let text = "UNEXPECTED_FRAME - type 3, all octets = <<\"abc\">>";
    client.expect_connection_close(505, text, (0, 0)).await;
}

#[tokio::test]
async fn a_frame_of_unknown_type_is_501() {
    let server = TestServer::start().await;
    for (kind, channel) in [(7, 0), (4, 1), (4, 2), (0, 0)] {
        let mut client = server.channel().await;
        client.send_bytes(&raw_frame(kind, channel, b"abc")).await;
        // leveret knows by the first octet, and does not wait for the rest.
        let octets = server.differs("<<>>", "<<\"abc\">>");
        let text = format!("FRAME_ERROR - type {kind}, all octets = {octets}: unknown_frame");
        client.expect_connection_close(501, &text, (0, 0)).await;
    }
}

#[tokio::test]
async fn a_wrong_frame_end_is_501() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send_bytes(b"\x08\0\0\0\0\0\0\0").await;
    let text = server.differs(
        "FRAME_ERROR - type 8: {invalid_frame_end_marker,0}",
        "FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,0}",
    );
    client.expect_connection_close(501, text, (0, 0)).await;
}

/// A payload may be eight octets larger than it should: some clients forget the envelope, and
/// RabbitMQ lets them.
#[tokio::test]
async fn a_frame_larger_than_negotiated_is_501() {
    let server = TestServer::start().await;
    let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 8192, heartbeat: 0 };
    let handshake = Handshake { tune_ok: Some(tune_ok), ..Handshake::default() };
    let queue = server.name("large.frames");
    for size in [8193, 9000] {
        let mut client = server.connect_with(&handshake).await;
        client.open_channel(1).await;
        client.send_bytes(&raw_frame(3, 1, &vec![0; size])).await;
        let text =
            format!("FRAME_ERROR - type 3, all octets = <<>>: {{frame_too_large,{size},8184}}");
        client.expect_connection_close(501, &text, (0, 0)).await;
    }
    let mut client = server.connect_with(&handshake).await;
    client.open_channel(1).await;
    client.call(1, declare_queue(&queue)).await;
    let body = vec![b'x'; 8184];
    let wire = Wire::new().method(1, to_queue(&queue)).header(1, 8184, b"\0\0").body(1, &body);
    client.send_wire(&wire).await;
    assert_eq!(client.drain(1, &queue).await.concat().len(), 8184);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn frames_sent_to_a_client_fit_what_it_asked_for() {
    let server = TestServer::start().await;
    let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 4096, heartbeat: 0 };
    let handshake = Handshake { tune_ok: Some(tune_ok), ..Handshake::default() };
    let queue = server.name("small.frames");
    let mut client = server.connect_with(&handshake).await;
    client.open_channel(1).await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), vec![b'x'; 100_000]).await;
    client.send(1, get(&queue)).await;
    assert!(matches!(client.receive_method(1).await, Method::BasicGetOk(_)));
    let mut left = 100_000;
    assert!(matches!(client.receive().await, Received::Header(1, 100_000, _)));
    while left > 0 {
        let Received::Body(1, piece) = client.receive().await else { panic!("expected a body") };
        assert!(piece.len() <= 4088, "{}", piece.len());
        left -= piece.len();
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_protocol_header_in_mid_connection_is_501() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send_bytes(b"AMQP\0\0\x09\x01").await;
    // By its first octet this is no frame; RabbitMQ looks at the size first.
    let text = server.differs(
        "FRAME_ERROR - type 65, all octets = <<>>: unknown_frame",
        "FRAME_ERROR - type 65, all octets = <<>>: {frame_too_large,1342177289,131064}",
    );
    client.expect_connection_close(501, text, (0, 0)).await;
}

#[tokio::test]
async fn a_method_frame_without_method_is_501() {
    let server = TestServer::start().await;
    for (payload, shown) in [(&b""[..], "<<>>"), (b"\0\x3c", "<<0,60>>")] {
        for channel in [0, 1] {
            let mut client = server.channel().await;
            client.send_bytes(&raw_frame(1, channel, payload)).await;
            let text = format!("FRAME_ERROR - type 1, all octets = {shown}: unknown_frame");
            client.expect_connection_close(501, &text, (0, 0)).await;
        }
    }
}

#[tokio::test]
async fn malformed_arguments_are_501_and_are_shown() {
    let server = TestServer::start().await;
    let rows: [(&[u8], &str, (u16, u16)); 5] = [
        (b"\0\x3c\0\x50\0\0\0\x01", "<<0,0,0,1>>", (60, 80)),
        (b"\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\x09", "<<0,0,0,0,0,0,0,1,0,9>>", (60, 80)),
        (b"\0\x3c\0\x28\0\0\x05abc", "<<0,0,5,97,98,99>>", (60, 40)),
        (b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x09", "<<0,0,1,113,0,0,0,0,9>>", (50, 10)),
        (b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x04\x05ab", "<<0,0,1,113,0,0,0,0,4,5,97,98>>", (50, 10)),
    ];
    for (payload, shown, ids) in rows {
        let mut client = server.channel().await;
        client.send_bytes(&raw_frame(1, 1, payload)).await;
        let text = format!("FRAME_ERROR - cannot decode {shown}");
        client.expect_connection_close(501, &text, ids).await;
    }
}

/// RabbitMQ resets the socket for these; a close that says why is better.
#[tokio::test]
async fn unknown_methods_and_field_types_are_told() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    for (channel, payload, text) in [
        (1, b"\0\x3c\x03\xe7", "NOT_IMPLEMENTED - unknown method 60.999"),
        (1, b"\0\x4d\0\x0a", "NOT_IMPLEMENTED - unknown method 77.10"),
        (0, b"\0\x4d\0\x0a", "NOT_IMPLEMENTED - unknown method 77.10"),
        (0, b"\0\x0a\x03\xe7", "NOT_IMPLEMENTED - unknown method 10.999"),
    ] {
        let mut client = server.channel().await;
        client.send_bytes(&raw_frame(1, channel, payload)).await;
        client.expect_connection_close(540, text, (0, 0)).await;
    }
    let mut client = server.channel().await;
    client.send_bytes(&raw_frame(1, 1, b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x04\x01aQ\x00")).await;
    let text = "FRAME_ERROR - cannot decode <<0,0,1,113,0,0,0,0,4,1,97,81,0>>";
    client.expect_connection_close(501, text, (50, 10)).await;
}

#[tokio::test]
async fn methods_of_channels_do_not_belong_on_channel_0() {
    let server = TestServer::start().await;
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    let methods: [Method; 4] = [
        declare_queue("q").into(),
        channel::Open {}.into(),
        connection::StartOk::default().into(),
        basic::Publish::default().into(),
    ];
    for method in methods {
        server.connect().await.fatal(0, method, 504, text).await;
    }
}

#[tokio::test]
async fn methods_of_the_handshake_do_not_belong_on_an_open_connection() {
    let server = TestServer::start().await;
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    let methods: [Method; 4] = [
        connection::TuneOk::default().into(),
        connection::StartOk::default().into(),
        connection::Open { virtual_host: short("/") }.into(),
        connection::CloseOk {}.into(),
    ];
    for method in methods {
        server.connect().await.fatal(0, method, 504, text).await;
    }
}

/// amqprs says these to the broker and expects nothing; RabbitMQ closes with 504.
#[tokio::test]
async fn a_client_may_say_blocked_and_unblocked() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut client = server.channel().await;
    client.send(0, connection::Blocked { reason: short("busy") }).await;
    client.send(0, connection::Unblocked {}).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn what_only_a_broker_says_and_what_belongs_on_channel_0_is_503() {
    let server = TestServer::start().await;
    let text = "COMMAND_INVALID - unimplemented method";
    let methods: [Method; 7] = [
        connection::Close::default().into(),
        connection::Open { virtual_host: short("/") }.into(),
        declare_ok("q", 0, 0).into(),
        basic::CancelOk { consumer_tag: short("t") }.into(),
        channel::FlowOk { active: true }.into(),
        channel::CloseOk {}.into(),
        channel::OpenOk {}.into(),
    ];
    for method in methods {
        server.channel().await.fatal(1, method, 503, text).await;
    }
}

#[tokio::test]
async fn update_secret_is_answered() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let update = connection::UpdateSecret {
        new_secret: bytes::Bytes::from_static(b"guest"),
        reason: short("token refresh"),
    };
    client.send(0, update).await;
    client.expect(0, connection::UpdateSecretOk {}).await;
}

#[tokio::test]
async fn a_stream_cut_anywhere_is_put_together_again() {
    let server = TestServer::start().await;
    let queue = server.name("cut");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let wire = Wire::new().publish(1, to_queue(&queue), "x".repeat(100)).heartbeat();
    for size in [1, 2, 3, 7, 8, 50] {
        for piece in wire.bytes().chunks(size) {
            client.send_bytes(piece).await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(client.drain(1, &queue).await, vec!["x".repeat(100); 6]);
    client.send(1, check_exchange("amq.direct")).await;
    client.expect(1, exchange::DeclareOk {}).await;
    client.call(1, delete_queue(&queue)).await;
}
