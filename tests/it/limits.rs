//! Clients that take without giving, or give without end, as the broker's own account of its memory
//! sees them. What they cost the process is measured in `tests/limits.rs`.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::{
    BasicProperties, FieldTable, FieldValue, Handshake, Method, RawClient, Received, TestServer,
    Wire, basic, bind_queue, capabilities, channel, check_queue, confirm, connection, consume,
    declare_queue, delete_queue, get, queue, short, table, to_exchange, to_queue,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// So many messages of so many octets.
fn messages(publish: &basic::Publish, count: usize, size: usize) -> Wire {
    let body = vec![b'x'; size];
    (0..count).fold(Wire::new(), |wire, _| wire.publish(1, publish.clone(), &body))
}

fn blocked() -> Received {
    Received::Method(0, connection::Blocked { reason: short("low on memory") }.into())
}

fn unblocked() -> Received {
    Received::Method(0, connection::Unblocked {}.into())
}

/// A round trip through a queue of its own: whether somebody who minds their own business is served.
async fn is_served(client: &mut RawClient) {
    let own = queue::Declare { exclusive: true, ..declare_queue("is.served") };
    client.call(1, own).await;
    client.publish(1, to_queue("is.served"), "x").await;
    assert_eq!(client.drain(1, "is.served").await, ["x"]);
    client.call(1, delete_queue("is.served")).await;
}

/// Waits until the broker holds no message memory any more, for ten seconds at most.
async fn all_given_back(server: &TestServer, other: &mut RawClient) {
    let emptied = async {
        while server.memory_used() != Some(0) {
            other.expect_nothing(1).await;
        }
    };
    let emptied = tokio::time::timeout(Duration::from_secs(10), emptied).await;
    assert!(emptied.is_ok(), "{:?} bytes are still held", server.memory_used());
}

/// Goal: a publisher that nobody consumes from is told and then not read from, at about the
/// watermark; others go on, and so does it once its queue is emptied. 64 MiB meet a watermark of 4.
#[tokio::test]
async fn a_publisher_that_nobody_consumes_from_is_blocked() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = 4 * MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut consumer = server.channel().await;
    consumer.call(1, declare_queue("q")).await;
    let mut publisher = server.channel().await;
    let flood = messages(&to_queue("q"), 4096, 16 * KIB);
    let written = publisher.flood(flood.bytes()).await;
    assert!(written < flood.bytes().len() / 2, "{written} octets");
    assert_eq!(publisher.receive().await, blocked());
    let used = server.memory_used().expect("it is our broker");
    assert!(used > 4 * MIB && used < 6 * MIB, "{used}");

    // Whoever does not publish is served as ever.
    assert!(consumer.counts(1, "q").await.0 > 200);
    server.channel().await.call(1, check_queue("q")).await;

    consumer.call(1, basic::Consume { no_ack: true, ..consume("q", "c") }).await;
    let (writer, reader) = publisher.split();
    let publish = async {
        writer.write_all(&flood.bytes()[written..]).await.expect("the broker reads on");
    };
    let mut notices = Vec::new();
    let notice = async {
        loop {
            notices.push(reader.receive().await);
        }
    };
    tokio::select! {
        ((), deliveries) = async { tokio::join!(publish, consumer.deliveries(1, 4096)) } => {
            assert_eq!(deliveries.len(), 4096);
        }
        () = notice => {}
    }
    // It was let go, and perhaps blocked and let go again.
    assert_eq!(notices.first(), Some(&unblocked()));
    for pair in notices.windows(2) {
        assert_ne!(pair[0], pair[1], "blocked and unblocked take turns");
    }
    consumer.call(1, crate::support::cancel("c")).await;
    assert_eq!(server.memory_used(), Some(0));
}

#[tokio::test]
async fn a_publisher_that_does_not_understand_is_blocked_without_a_word() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let handshake = Handshake { client_properties: capabilities(&[]), ..Handshake::default() };
    let mut publisher = server.connect_with(&handshake).await;
    publisher.open_channel(1).await;
    publisher.call(1, declare_queue("q")).await;
    let flood = messages(&to_queue("q"), 2048, 16 * KIB);
    let written = publisher.flood(flood.bytes()).await;
    assert!(written < flood.bytes().len());
    let used = server.memory_used().expect("it is our broker");
    assert!(used < 3 * MIB, "{used}");
    // Without its queue what it still sends needs no room. Nothing was said before, and nothing is
    // now: the next frame is the answer to a question.
    server.channel().await.call(1, delete_queue("q")).await;
    publisher.send_bytes(&flood.bytes()[written..]).await;
    publisher.expect_nothing(1).await;
    assert_eq!(server.memory_used(), Some(0));
}

/// Its silence is the broker's doing, so it is no reason to drop it. An hour passes at once.
#[tokio::test]
async fn a_blocked_publisher_is_not_taken_for_dead() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    server.virtual_time();
    let mut publisher = server.connect_with(&Handshake::with_heartbeat(1)).await;
    publisher.open_channel(1).await;
    publisher.call(1, declare_queue("q")).await;
    let flood = messages(&to_queue("q"), 100, 16 * KIB);
    publisher.send_wire(&flood).await;
    assert_eq!(publisher.receive().await, blocked());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut other = server.channel().await;
    other.call(1, queue::Purge { queue: short("q"), no_wait: false }).await;
    assert_eq!(publisher.receive().await, unblocked());
    publisher.expect_nothing(1).await;
}

/// Goal: what a client holds in unfinished messages is memory, too. Ten channels announce four
/// megabytes each and send three, against a watermark of eight.
#[tokio::test]
async fn unfinished_bodies_count_and_block() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = 8 * MIB as u64;
        config.max_message_size = 4 * MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut client = server.connect().await;
    let mut wire = Wire::new();
    for id in 1..=10 {
        wire = wire.method(id, channel::Open {}).method(id, to_queue("q")).header(
            id,
            4 * MIB as u64,
            b"\0\0",
        );
        for _ in 0..96 {
            wire = wire.body(id, vec![b'x'; 32 * KIB]);
        }
    }
    let written = client.flood(wire.bytes()).await;
    assert!(written < wire.bytes().len(), "{written} octets");
    let used = server.memory_used().expect("it is our broker");
    assert!(used > 7 * MIB && used < 10 * MIB, "{used}");
    drop(client);
    // With the client its memory goes, a moment later.
    let mut other = server.channel().await;
    all_given_back(&server, &mut other).await;
    is_served(&mut other).await;
}

/// A message larger than all the memory there should be still arrives: nobody else would make room.
#[tokio::test]
async fn a_body_larger_than_the_watermark_arrives() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    client.publish(1, to_queue("q"), vec![b'x'; 8 * MIB]).await;
    assert_eq!(client.receive().await, blocked());
    let mut consumer = server.channel().await;
    let (_, content) = consumer.get(1, get("q")).await.expect("the message");
    assert_eq!(content.body.len(), 8 * MIB);
    assert_eq!(client.receive().await, unblocked());
}

/// Goal: a blocked client that goes away gives back what it held as a consumer, even though nobody
/// reads its socket: otherwise nobody could consume what keeps the memory full.
#[tokio::test]
async fn a_blocked_client_that_goes_away_gives_everything_back() {
    let configure = |config: &mut leveret::config::Config| {
        config.memory_high_watermark_bytes = MIB as u64;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    client.call(1, consume("q", "c")).await;
    // Only a little more than fits: what lies unread in the sockets hides their end, and nothing can
    // be done about that.
    client.send_wire(&messages(&to_queue("q"), 36, 32 * KIB)).await;
    while client.receive().await != blocked() {}
    let mut other = server.channel().await;
    drop(client);
    other.call(1, consume("q", "d")).await;
    assert!(other.delivery(1).await.method.redelivered);
}

/// Goal: a consumer that never reads costs what may wait for it, and its own turn; the other
/// consumers of the same messages get them all.
#[tokio::test]
async fn a_consumer_that_never_reads_holds_up_nobody() {
    let Some(server) = TestServer::configured(|_| {}).await else { return };
    let (count, size) = (1024, 64 * KIB);
    let mut deaf = server.channel().await;
    let mut live = server.channel().await;
    for (client, queue) in [(&mut deaf, "deaf"), (&mut live, "live")] {
        client.call(1, declare_queue(queue)).await;
        client.call(1, bind_queue(queue, "amq.fanout", "")).await;
        client.call(1, basic::Consume { no_ack: true, ..consume(queue, "c") }).await;
    }
    let mut publisher = server.channel().await;
    publisher.call(1, confirm::Select { no_wait: false }).await;
    let wire = messages(&to_exchange("amq.fanout", ""), count, size);
    let (writer, reader) = publisher.split();
    let write = async { writer.write_all(wire.bytes()).await.expect("the broker reads") };
    let confirmed = async {
        loop {
            match reader.receive().await {
                Received::Method(1, Method::BasicAck(ack)) if ack.delivery_tag == count as u64 => {
                    return;
                }
                Received::Method(1, Method::BasicAck(_)) => {}
                other => panic!("expected basic.ack, got {other:?}"),
            }
        }
    };
    let ((), (), deliveries) = tokio::join!(write, confirmed, live.deliveries(1, count));
    assert_eq!(deliveries.len(), count);
    // An outbox, an output buffer and two sockets took some; the rest is in the queue.
    let (waiting, _) = live.counts(1, "deaf").await;
    assert!(waiting > 600, "{waiting} messages");
    is_served(&mut server.channel().await).await;
    // And it can still have them all.
    assert_eq!(deaf.deliveries(1, count).await.len(), count);
}

/// Goal: a consumer that vanishes in the midst of deliveries, without a FIN, is found out by its
/// heartbeats; all it was given goes to others. It just never reads nor writes again.
#[tokio::test]
async fn a_consumer_that_vanishes_gives_everything_back() {
    let Some(server) = TestServer::configured(|_| {}).await else { return };
    server.virtual_time();
    let mut vanishing = server.connect_with(&Handshake::with_heartbeat(1)).await;
    vanishing.open_channel(1).await;
    vanishing.call(1, declare_queue("q")).await;
    vanishing.call(1, consume("q", "c")).await;
    let mut other = server.channel().await;
    other.send_wire(&messages(&to_queue("q"), 500, 64 * KIB)).await;
    other.call(1, crate::support::prefetch(500)).await;
    assert!(other.counts(1, "q").await.0 < 500, "some are on their way");
    // From here on the clock moves past its heartbeats.
    other.call(1, consume("q", "d")).await;
    let mut redelivered = 0;
    for _ in 0..500 {
        redelivered += usize::from(other.delivery(1).await.method.redelivered);
    }
    assert!(redelivered > 0);
    other.ack_all(1).await;
    other.expect_nothing(1).await;
    assert_eq!(server.memory_used(), Some(0));
}

#[tokio::test]
async fn the_number_of_connections_is_a_setting() {
    let Some(server) = TestServer::configured(|config| config.capacity.connections = 2).await
    else {
        return;
    };
    let first = server.connect().await;
    let _second = server.connect().await;
    let mut third = server.socket().await;
    let connection::Tune { channel_max, frame_max, .. } = third.log_in(&Handshake::default()).await;
    third.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 }).await;
    third.send(0, Handshake::default().open()).await;
    let text = "NOT_ALLOWED - connection refused: node connection limit (2) is reached";
    third.expect_connection_close(530, text, (10, 40)).await;
    drop(third);
    first.close().await;
    // Sockets close a moment later than their connections.
    loop {
        let mut client = server.socket().await;
        client.log_in(&Handshake::default()).await;
        client.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 }).await;
        client.send(0, Handshake::default().open()).await;
        match client.receive_method(0).await {
            Method::ConnectionOpenOk(_) => break,
            Method::ConnectionClose(close) => assert_eq!(close.reply_code, 530),
            other => panic!("expected an answer to connection.open, got {other:?}"),
        }
        client.send(0, connection::CloseOk {}).await;
        client.expect_end().await;
    }
}

/// A table inside a table, so many levels deep; the innermost is empty.
fn nested(levels: usize) -> Vec<u8> {
    // Each level is a name of one octet, the type, and the length of the rest.
    let mut entries = Vec::with_capacity(levels * 7);
    for level in 0..levels {
        let inside = (levels - 1 - level) * 7;
        entries.extend_from_slice(b"\x01nF");
        entries.extend_from_slice(&u32::try_from(inside).expect("short").to_be_bytes());
    }
    entries
}

fn headers(entries: &[u8]) -> Vec<u8> {
    let len = u32::try_from(entries.len()).expect("short");
    [b"\x20\0", len.to_be_bytes().as_slice(), entries].concat()
}

/// Goal: tables that are small on the wire and large, or deep, when read. What is refused is refused
/// with a reason; what is just within the limits passes through unchanged.
#[tokio::test]
async fn hostile_tables_are_refused() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        // RabbitMQ has no limits here.
        return;
    }
    let voids = |count: usize| {
        let len = u32::try_from(count).expect("short").to_be_bytes();
        [b"\x01aA", &len[..], &vec![b'V'; count]].concat()
    };
    let too_deep = "SYNTAX_ERROR - tables and arrays nested deeper than 64 levels";
    let too_many = "SYNTAX_ERROR - more than 65536 values in a table";
    for (entries, text) in [
        (nested(65), too_deep),
        (nested(18_000), too_deep),
        (voids(65_536), too_many),
        (voids(130_000), too_many),
    ] {
        let mut client = server.channel().await;
        let publish = to_exchange("amq.direct", "k");
        let wire = Wire::new().method(1, publish).header(1, 0, &headers(&entries));
        client.send_wire(&wire).await;
        client.expect_connection_close(502, text, (60, 40)).await;
    }
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    for entries in [nested(64), voids(65_535)] {
        let raw = headers(&entries);
        client.send_wire(&Wire::new().method(1, to_queue("q")).header(1, 0, &raw)).await;
        let (_, content) = client.get(1, get("q")).await.expect("the message");
        assert!(content.raw_properties == raw);
    }
    // The same in a method's arguments.
    let entries = nested(18_000);
    let mut payload = b"\0\x32\0\x0a\0\0\x01q\0".to_vec();
    payload.extend_from_slice(&u32::try_from(entries.len()).expect("short").to_be_bytes());
    payload.extend_from_slice(&entries);
    client.send_bytes(&crate::support::raw_frame(1, 1, &payload)).await;
    let received = client.receive_method(0).await;
    let Method::ConnectionClose(close) = received else { panic!("expected a close") };
    assert_eq!((close.reply_code, close.class_id, close.method_id), (501, 50, 10));
    let text = close.reply_text.to_str_lossy().into_owned();
    assert!(text.starts_with("FRAME_ERROR - cannot decode <<0,0,1,113,"), "{text}");
}

/// A large table with many headers, bound and matched: slow in a naive matcher, and nobody waits.
#[tokio::test]
async fn large_headers_are_matched_in_no_time() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let names: Vec<String> = (0..5000).map(|i| format!("h{i}")).collect();
    let all: FieldTable = table(names.iter().map(|name| (name.as_str(), FieldValue::I32(1))));
    let exchange = server.name("x");
    client.call(1, crate::support::declare_exchange(&exchange, "headers")).await;
    let bind = queue::Bind { arguments: all.clone(), ..bind_queue(&queue, &exchange, "") };
    client.call(1, bind).await;
    let properties = BasicProperties { headers: Some(all), ..BasicProperties::default() };
    for _ in 0..20 {
        client.publish_with(1, to_exchange(&exchange, ""), &properties, "x").await;
    }
    assert_eq!(client.drain(1, &queue).await.len(), 20);
    client.call(1, crate::support::delete_exchange(&exchange)).await;
    client.call(1, delete_queue(&queue)).await;
}
