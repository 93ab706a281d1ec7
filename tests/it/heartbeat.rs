//! Heartbeats, both ways. Time is virtual where it can be.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    Handshake, Received, TestServer, Wire, cancel, check_exchange, check_queue, connection,
    consume, declare_queue, delete_queue, exchange, get_to_ack, queue, raw_frame, to_queue,
};

#[tokio::test]
async fn the_broker_beats_every_half_interval() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.connect_with(&Handshake::with_heartbeat(2)).await;
    let mut last = Instant::now();
    for _ in 0..4 {
        assert_eq!(client.receive_any().await, Received::Heartbeat);
        let since = last.elapsed();
        assert!(
            since > Duration::from_millis(500) && since < Duration::from_millis(1500),
            "{since:?}"
        );
        last = Instant::now();
        client.send_wire(&Wire::new().heartbeat()).await;
    }
}

/// RabbitMQ 3.10 drops a client after three intervals: two beats missing at the end of the third.
#[tokio::test]
async fn a_silent_client_is_dropped_after_three_intervals_without_a_word() {
    let server = TestServer::start().await;
    server.virtual_time();
    for interval in [1, 2] {
        let mut client = server.connect_with(&Handshake::with_heartbeat(interval)).await;
        let silent_since = Instant::now();
        client.expect_end().await;
        let elapsed = silent_since.elapsed();
        let expected = Duration::from_secs(3 * u64::from(interval));
        assert!(elapsed > expected - Duration::from_millis(500), "{elapsed:?}");
        assert!(elapsed < expected + Duration::from_secs(1), "{elapsed:?}");
    }
}

/// A client that vanishes without a FIN holds nothing for longer than its heartbeats allow: what it
/// had not acknowledged goes to others, and its exclusive queue is free.
#[tokio::test]
async fn what_a_silent_client_held_goes_back() {
    let server = TestServer::start().await;
    server.virtual_time();
    let (shared, exclusive) = (server.name("shared"), server.name("exclusive"));
    let mut other = server.channel().await;
    other.call(1, declare_queue(&shared)).await;
    other.publish(1, to_queue(&shared), "held").await;
    other.counts(1, &shared).await;

    let mut vanishing = server.connect_with(&Handshake::with_heartbeat(1)).await;
    vanishing.open_channel(1).await;
    let exclusively = queue::Declare { exclusive: true, ..declare_queue(&exclusive) };
    vanishing.call(1, exclusively).await;
    assert!(vanishing.get(1, get_to_ack(&shared)).await.is_some());
    vanishing.skip_to_end().await;

    other.call(1, consume(&shared, "c")).await;
    assert_eq!(other.delivery(1).await.summary(), ("c", "held", true));
    other.call(1, cancel("c")).await;
    let text = format!("NOT_FOUND - no queue '{exclusive}' in vhost '/'");
    other.refused(1, check_queue(&exclusive), 404, &text).await;
    other.call(1, delete_queue(&shared)).await;
}

#[tokio::test]
async fn any_traffic_keeps_a_client_alive() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.connect_with(&Handshake::with_heartbeat(1)).await;
    client.open_channel(1).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.send(1, check_exchange("amq.direct")).await;
    }
    for _ in 0..8 {
        client.expect(1, exchange::DeclareOk {}).await;
    }
}

#[tokio::test]
async fn heartbeats_off_means_that_silence_lasts() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    server.virtual_time();
    let mut client = server.connect().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    client.send(0, connection::Close { reply_code: 200, ..connection::Close::default() }).await;
    // Not a single beat came in that hour.
    assert_eq!(client.receive_any().await, Received::Method(0, connection::CloseOk {}.into()));
}

#[tokio::test]
async fn beats_go_on_while_the_broker_waits_for_close_ok() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.connect_with(&Handshake::with_heartbeat(2)).await;
    client.send(1, check_exchange("amq.direct")).await;
    assert!(matches!(client.receive().await, Received::Method(0, _)));
    assert_eq!(client.receive_any().await, Received::Heartbeat);
    client.send_wire(&Wire::new().heartbeat()).await;
    client.send(0, connection::CloseOk {}).await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_heartbeat_on_another_channel_than_0_is_505() {
    let server = TestServer::start().await;
    let beat = raw_frame(8, 1, b"");
    let text = "UNEXPECTED_FRAME - type 8, all octets = <<>>";
    let mut client = server.channel().await;
    client.send_bytes(&beat).await;
    client.expect_connection_close(505, text, (0, 0)).await;

    let mut client = server.connect().await;
    client.send_bytes(&beat).await;
    client.expect_connection_close(505, text, (0, 0)).await;
}

#[tokio::test]
async fn a_heartbeat_with_a_payload_is_501() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send_bytes(&raw_frame(8, 0, b"abc")).await;
    // leveret does not wait for a payload that it will not look at, so it can't show it.
    let text = server.differs(
        "FRAME_ERROR - type 8, heartbeat with 3 octets of payload: unknown_frame",
        "FRAME_ERROR - type 8, all octets = <<\"abc\">>: unknown_frame",
    );
    client.expect_connection_close(501, text, (0, 0)).await;
}
