//! From the protocol header to `connection.open-ok`.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    BasicProperties, FieldTable, FieldValue, Handshake, Method, Received, TestServer, Wire,
    capabilities, channel, connection, declare_ok, declare_queue, get, queue, raw_frame, short,
    table, to_queue,
};

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// How long a client is kept waiting whose handshake was refused.
const REFUSAL: Duration = Duration::from_secs(3);

/// How long the whole handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

fn login_refused(mechanism: &str) -> String {
    format!(
        "ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For details \
         see the broker logfile."
    )
}

/// Whether a span on whichever clock is what RabbitMQ's timer says; a real clock is read late.
fn is_about(elapsed: Duration, expected: Duration) -> bool {
    elapsed >= expected - Duration::from_millis(50) && elapsed < expected + Duration::from_secs(2)
}

#[tokio::test]
async fn headers_of_0_9_1_0_9_and_0_8_are_answered_with_connection_start() {
    let server = TestServer::start().await;
    for tail in [[0, 0, 9, 1], [1, 1, 0, 9], [1, 1, 8, 0], [1, 1, 9, 1]] {
        let mut client = server.socket().await;
        client.send_bytes(&[b"AMQP".as_slice(), &tail].concat()).await;
        let Method::ConnectionStart(start) = client.receive_method(0).await else {
            panic!("no connection.start for {tail:?}");
        };
        let version = if tail == [1, 1, 8, 0] || tail == [1, 1, 9, 1] { (8, 0) } else { (0, 9) };
        assert_eq!((start.version_major, start.version_minor), version);
    }
}

#[tokio::test]
async fn any_other_header_is_answered_with_the_right_one_and_the_end() {
    let server = TestServer::start().await;
    let others: [&[u8]; 8] = [
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x00\x00\x09\x00",
        b"AMQP\x00\x00\x0a\x00",
        b"AMQP\x01\x01\x00\x0a",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"AMQPAMQP",
    ];
    for other in others {
        let mut client = server.socket().await;
        client.send_bytes(other).await;
        assert_eq!(client.receive_rest().await, HEADER, "after {other:?}");
    }
}

#[tokio::test]
async fn a_header_may_come_octet_by_octet() {
    let server = TestServer::start().await;
    let mut client = server.socket().await;
    for octet in HEADER {
        client.send_bytes(&[*octet]).await;
        tokio::task::yield_now().await;
    }
    assert!(matches!(client.receive_method(0).await, Method::ConnectionStart(_)));
}

#[tokio::test]
async fn the_server_properties_are_those_that_clients_read() {
    let server = TestServer::start().await;
    let start = server.socket().await.start().await;
    assert_eq!(&start.mechanisms[..], b"PLAIN AMQPLAIN");
    assert_eq!(&start.locales[..], b"en_US");
    let properties = &start.server_properties;
    let expected = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    let expected = table(expected.map(|name| (name, FieldValue::Bool(true))));
    assert_eq!(properties.get("capabilities"), Some(&FieldValue::Table(expected)));
    for name in ["cluster_name", "copyright", "information", "platform", "product", "version"] {
        let value = properties.get(name);
        assert!(matches!(value, Some(FieldValue::LongString(_))), "{name} is {value:?}");
    }
    // amqplib asserts the product; kombu decides by the version how it sets its prefetch.
    assert_eq!(properties.get("product"), Some(&"RabbitMQ".into()));
    let version = properties.get("version").and_then(FieldValue::as_str).unwrap_or_default();
    assert!(version.starts_with("3."), "{version}");
}

#[tokio::test]
async fn the_limits_proposed_are_rabbitmqs() {
    let server = TestServer::start().await;
    let tune = server.socket().await.log_in(&Handshake::default()).await;
    let proposed = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
    assert_eq!(tune, proposed);
}

#[tokio::test]
async fn plain_and_amqplain_let_guest_in() {
    let server = TestServer::start().await;
    server.connect().await;
    let fields = [
        table([("LOGIN", "guest".into()), ("PASSWORD", "guest".into())]),
        table([("PASSWORD", "guest".into()), ("EXTRA", 5_i32.into()), ("LOGIN", "guest".into())]),
    ];
    for fields in fields {
        let mut response = bytes::BytesMut::new();
        fields.encode(&mut response);
        // AMQPLAIN's table comes without its length.
        let response = response[4..].to_vec();
        let amqplain = Handshake { mechanism: "AMQPLAIN", response, ..Handshake::default() };
        server.connect_with(&amqplain).await;
    }
}

#[tokio::test]
async fn a_refused_login_is_told_to_clients_that_can_take_it() {
    let server = TestServer::start().await;
    let wrong_password = table([("LOGIN", "guest".into()), ("PASSWORD", "no".into())]);
    let entries = |table: &FieldTable| {
        let mut bytes = bytes::BytesMut::new();
        table.encode(&mut bytes);
        bytes[4..].to_vec()
    };
    let attempts: [(&str, Vec<u8>); 5] = [
        ("PLAIN", b"\0guest\0wrong".to_vec()),
        ("PLAIN", b"\0nobody\0guest".to_vec()),
        ("PLAIN", b"\0\0guest".to_vec()),
        ("PLAIN", b"\0guest\0".to_vec()),
        ("AMQPLAIN", entries(&wrong_password)),
    ];
    for (mechanism, response) in attempts {
        let handshake = Handshake { mechanism, response, ..Handshake::default() };
        let mut client = server.socket().await;
        client.start().await;
        client.send(0, handshake.start_ok()).await;
        client.expect_connection_close(403, &login_refused(mechanism), (0, 0)).await;
    }
}

/// Goal: a client that does not understand the close is not sent one, and whoever guesses passwords
/// waits three seconds for each. The clock is virtual where it can be.
#[tokio::test]
async fn a_refused_login_is_otherwise_silence_and_the_end_after_three_seconds() {
    let server = TestServer::start().await;
    server.virtual_time();
    for client_properties in [FieldTable::new(), capabilities(&["basic.nack"])] {
        let handshake = Handshake {
            client_properties,
            response: b"\0guest\0wrong".to_vec(),
            ..Handshake::default()
        };
        let mut client = server.socket().await;
        client.start().await;
        let began = Instant::now();
        client.send(0, handshake.start_ok()).await;
        client.expect_end().await;
        assert!(is_about(began.elapsed(), REFUSAL), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_client_told_of_its_refusal_that_does_not_answer_is_dropped_after_three_seconds() {
    let server = TestServer::start().await;
    server.virtual_time();
    let handshake = Handshake { response: b"\0guest\0wrong".to_vec(), ..Handshake::default() };
    let mut client = server.socket().await;
    client.start().await;
    let began = Instant::now();
    client.send(0, handshake.start_ok()).await;
    assert!(matches!(client.receive_method(0).await, Method::ConnectionClose(_)));
    client.expect_end().await;
    assert!(is_about(began.elapsed(), REFUSAL), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_unknown_mechanism_or_a_malformed_response_is_silence_and_the_end() {
    let server = TestServer::start().await;
    server.virtual_time();
    let attempts: [(&str, &[u8]); 12] = [
        ("FOO", b"\0guest\0guest"),
        ("plain", b"\0guest\0guest"),
        ("", b"\0guest\0guest"),
        ("EXTERNAL", b""),
        ("ANONYMOUS", b""),
        ("PLAIN", b""),
        ("PLAIN", b"guest"),
        ("PLAIN", b"\0guest"),
        ("PLAIN", b"\0guest\0guest\0"),
        ("PLAIN", b"guest\0guest\0guest"),
        ("AMQPLAIN", b""),
        ("AMQPLAIN", b"\x05LOGINS\0\0\0\x05guest"),
    ];
    let mut refused = Vec::new();
    for (mechanism, response) in attempts {
        let response = response.to_vec();
        let handshake = Handshake { mechanism, response, ..Handshake::default() };
        let mut client = server.socket().await;
        client.start().await;
        client.send(0, handshake.start_ok()).await;
        refused.push((client, Instant::now()));
    }
    for (mut client, began) in refused {
        client.expect_end().await;
        assert!(is_about(began.elapsed(), REFUSAL), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_client_may_lower_the_limits_and_turn_heartbeats_off() {
    let server = TestServer::start().await;
    for (channel_max, frame_max, heartbeat) in
        [(1, 4096, 0), (2047, 131_072, 65_535), (2046, 131_071, 1), (16, 8192, 580)]
    {
        let tune_ok = connection::TuneOk { channel_max, frame_max, heartbeat };
        let handshake = Handshake { tune_ok: Some(tune_ok), ..Handshake::default() };
        let mut client = server.connect_with(&handshake).await;
        client.open_channel(1).await;
    }
}

#[tokio::test]
async fn limits_above_the_brokers_or_frames_too_small_are_refused_without_a_word() {
    let server = TestServer::start().await;
    server.virtual_time();
    let limits = [
        (0, 131_072),
        (2047, 0),
        (2048, 131_072),
        (5000, 131_072),
        (2047, 1000),
        (2047, 4095),
        (2047, 131_073),
        (2047, 200_000),
    ];
    let mut refused = Vec::new();
    for (channel_max, frame_max) in limits {
        let mut client = server.socket().await;
        client.log_in(&Handshake::default()).await;
        let tune_ok = connection::TuneOk { channel_max, frame_max, heartbeat: 0 };
        client.send(0, tune_ok).await;
        client.send(0, Handshake::default().open()).await;
        refused.push((client, Instant::now()));
    }
    for (mut client, began) in refused {
        client.expect_end().await;
        assert!(is_about(began.elapsed(), REFUSAL), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn frames_out_of_order_before_tune_ok_are_silence_and_the_end() {
    let server = TestServer::start().await;
    server.virtual_time();
    let handshake = Handshake::default();
    let tune_ok = connection::TuneOk { channel_max: 0, frame_max: 4096, heartbeat: 0 };
    let start_ok = Wire::new().method(0, handshake.start_ok());
    let attempts = [
        ("open before start-ok", Wire::new().method(0, handshake.open())),
        ("tune-ok before start-ok", Wire::new().method(0, tune_ok)),
        ("a method of a channel", Wire::new().method(1, channel::Open {})),
        ("a body", Wire::new().body(0, "abc")),
        ("a frame of unknown type", Wire::new().raw(raw_frame(7, 0, b"abc"))),
        ("no frame at all", Wire::new().raw(b"GET / HTTP/1.1\r\n\r\n")),
        ("malformed start-ok", Wire::new().raw(raw_frame(1, 0, b"\0\x0a\0\x0b\0\0\0\xff"))),
        ("start-ok twice", start_ok.clone().method(0, handshake.start_ok())),
        ("open before tune-ok", start_ok.method(0, handshake.open())),
    ];
    let mut refused = Vec::new();
    for (what, wire) in attempts {
        let mut client = server.socket().await;
        client.start().await;
        client.send_wire(&wire).await;
        refused.push((what, client, Instant::now()));
    }
    for (what, mut client, began) in refused {
        let received = client.receive().await;
        if let Received::Method(0, Method::ConnectionTune(_)) = received {
            client.expect_end().await;
        } else {
            assert_eq!(received, Received::End, "after {what}");
        }
        assert!(is_about(began.elapsed(), REFUSAL), "{what}: {:?}", began.elapsed());
    }
}

/// RabbitMQ drops a client that says goodbye before its limits are settled, and closes with 504
/// after that; there is no harm in a goodbye at any time.
#[tokio::test]
async fn a_goodbye_is_answered_at_every_step_of_the_handshake() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let handshake = Handshake::default();
    let tune_ok = connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 };
    let steps = [
        Wire::new(),
        Wire::new().method(0, handshake.start_ok()),
        Wire::new().method(0, handshake.start_ok()).method(0, tune_ok),
    ];
    for wire in steps {
        let mut client = server.socket().await;
        client.start().await;
        client.send_wire(&wire).await;
        client.close().await;
    }
}

#[tokio::test]
async fn methods_out_of_order_after_tune_ok_close_with_504() {
    let server = TestServer::start().await;
    let handshake = Handshake::default();
    let tune_ok = || connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 };

    let mut client = server.socket().await;
    client.log_in(&handshake).await;
    client.send_wire(&Wire::new().method(0, tune_ok()).method(0, tune_ok())).await;
    let text = "CHANNEL_ERROR - unexpected method in connection state opening";
    client.expect_connection_close(504, text, (10, 31)).await;

    let mut client = server.socket().await;
    client.log_in(&handshake).await;
    client.send_wire(&Wire::new().method(0, tune_ok()).method(1, channel::Open {})).await;
    let text = "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>";
    client.expect_connection_close(505, text, (0, 0)).await;
}

#[tokio::test]
async fn an_unknown_vhost_is_530() {
    let server = TestServer::start().await;
    for (vhost, text) in
        [("nosuch", "NOT_ALLOWED - vhost nosuch not found"), ("", "NOT_ALLOWED - vhost  not found")]
    {
        let mut client = server.socket().await;
        let connection::Tune { channel_max, frame_max, .. } =
            client.log_in(&Handshake::default()).await;
        client.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 }).await;
        client.send(0, connection::Open { virtual_host: short(vhost) }).await;
        client.expect_connection_close(530, text, (10, 40)).await;
    }
}

#[tokio::test]
async fn the_whole_handshake_and_more_may_come_in_one_write() {
    let server = TestServer::start().await;
    let queue = server.name("pipelined");
    let handshake = Handshake::default();
    let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 };
    let exclusive = queue::Declare { exclusive: true, ..declare_queue(&queue) };
    let mut client = server.socket().await;
    let wire = Wire::new()
        .raw(HEADER)
        .method(0, handshake.start_ok())
        .heartbeat()
        .method(0, tune_ok)
        .method(0, handshake.open())
        .method(1, channel::Open {})
        .method(1, exclusive)
        .publish_with(1, to_queue(&queue), &BasicProperties::default(), "first")
        .method(1, get(&queue));
    client.send_wire(&wire).await;
    assert!(matches!(client.receive_method(0).await, Method::ConnectionStart(_)));
    assert!(matches!(client.receive_method(0).await, Method::ConnectionTune(_)));
    client.expect(0, connection::OpenOk {}).await;
    client.expect(1, channel::OpenOk {}).await;
    client.expect(1, declare_ok(&queue, 0, 0)).await;
    assert!(matches!(client.receive_method(1).await, Method::BasicGetOk(_)));
    assert_eq!(client.receive_content(1).await.text(), "first");
}

/// Goal: a stalled handshake costs a socket for ten seconds and no longer, wherever it stalls.
/// Several clients stop at one step each and see the end at the same time.
#[tokio::test]
async fn a_handshake_that_stalls_is_dropped_after_ten_seconds() {
    let server = TestServer::start().await;
    server.virtual_time();
    let began = Instant::now();
    let handshake = Handshake::default();
    let start_ok = Wire::new().method(0, handshake.start_ok());
    let tune_ok = connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 };
    let steps = [
        Wire::new(),
        Wire::new().raw(&HEADER[..5]),
        Wire::new().raw(HEADER),
        Wire::new().raw(HEADER).raw(&start_ok.bytes()[..20]),
        Wire::new().raw(HEADER).raw(start_ok.bytes()),
        Wire::new().raw(HEADER).raw(start_ok.bytes()).method(0, tune_ok),
    ];
    let mut stalled = Vec::new();
    for wire in &steps {
        let mut client = server.socket().await;
        client.send_wire(wire).await;
        stalled.push(client);
    }
    for mut client in stalled {
        client.skip_to_end().await;
        assert!(is_about(began.elapsed(), HANDSHAKE), "{:?}", began.elapsed());
    }
}

/// The ten seconds are for all of it: octets that trickle in do not prolong them.
#[tokio::test]
async fn a_handshake_that_trickles_is_dropped_after_ten_seconds() {
    let server = TestServer::start().await;
    server.virtual_time();
    let began = Instant::now();
    let mut client = server.socket().await;
    client.start().await;
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.send_wire(&Wire::new().heartbeat()).await;
    }
    client.expect_end().await;
    assert!(is_about(began.elapsed(), HANDSHAKE), "{:?}", began.elapsed());
}

/// The limit on frames before tuning is there for unknown clients, and not for large tokens.
#[tokio::test]
async fn a_start_ok_of_eight_kilobytes_is_taken_and_a_larger_one_is_not() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        // RabbitMQ 3.10 takes 4 KiB, 4.1 takes 8.
        return;
    }
    server.virtual_time();
    let large = |len: usize| {
        let mut client_properties = Handshake::default().client_properties;
        client_properties.push(short("token"), "t".repeat(len));
        Handshake { client_properties, ..Handshake::default() }
    };
    server.connect_with(&large(7000)).await;

    let mut client = server.socket().await;
    client.start().await;
    let began = Instant::now();
    client.send(0, large(9000).start_ok()).await;
    client.expect_end().await;
    assert!(is_about(began.elapsed(), REFUSAL), "{:?}", began.elapsed());
}
