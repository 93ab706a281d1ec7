//! The end of a connection: who says goodbye, in which order, and what becomes of the rest.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    Handshake, Method, Received, TestServer, Wire, ack, channel, check_queue, connection, consume,
    declare_queue, delete_queue, get_to_ack, queue, raw_frame, short, to_queue,
};

fn goodbye() -> connection::Close {
    connection::Close { reply_code: 200, reply_text: short("bye"), class_id: 0, method_id: 0 }
}

/// Closes the connection from the broker's side.
fn offence() -> Wire {
    Wire::new().method(99, check_queue("q"))
}

#[tokio::test]
async fn a_goodbye_is_answered_after_everything_before_it_was_done() {
    let server = TestServer::start().await;
    let queue = server.name("before.goodbye");
    let mut watcher = server.channel().await;
    watcher.call(1, declare_queue(&queue)).await;
    let mut client = server.channel().await;
    let wire = (0..100).fold(Wire::new(), |wire, _| wire.publish(1, to_queue(&queue), "x"));
    let behind = Wire::new().publish(1, to_queue(&queue), "ignored");
    client.send_wire(&wire.method(0, goodbye()).raw(behind.bytes())).await;
    client.expect(0, connection::CloseOk {}).await;
    assert_eq!(watcher.counts(1, &queue).await, (100, 0));
    watcher.call(1, delete_queue(&queue)).await;
}

/// RabbitMQ leaves the socket to the client for 30 s; closing one direction at once tells the client
/// the same and takes nothing from it.
#[tokio::test]
async fn after_close_ok_the_broker_writes_nothing_more() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send(0, goodbye()).await;
    client.expect(0, connection::CloseOk {}).await;
    if server.is_leveret() {
        client.expect_end().await;
        // The other direction is open until the client closes it.
        client.send_wire(&Wire::new().heartbeat()).await;
    }
}

#[tokio::test]
async fn what_a_connection_held_goes_back_when_it_says_goodbye_or_just_ends() {
    let server = TestServer::start().await;
    let (shared, exclusive) = (server.name("held"), server.name("owned"));
    let mut other = server.channel().await;
    other.call(1, declare_queue(&shared)).await;
    for politely in [true, false] {
        other.publish(1, to_queue(&shared), "held").await;
        other.counts(1, &shared).await;
        let mut client = server.channel().await;
        let owned = queue::Declare { exclusive: true, ..declare_queue(&exclusive) };
        client.call(1, owned).await;
        assert!(client.get(1, get_to_ack(&shared)).await.is_some());
        other.call(1, consume(&shared, "c")).await;
        if politely {
            client.close().await;
        } else {
            drop(client);
        }
        let delivery = other.delivery(1).await;
        assert_eq!(delivery.summary(), ("c", "held", true));
        other.send(1, ack(delivery.tag())).await;
        other.call(1, crate::support::cancel("c")).await;
        // Its exclusive queue went a moment later at most: the name may be taken by others.
        let gone = format!("NOT_FOUND - no queue '{exclusive}' in vhost '/'");
        loop {
            other.send(1, check_queue(&exclusive)).await;
            let Method::ChannelClose(close) = other.receive_method(1).await else {
                panic!("another connection's exclusive queue is never ours");
            };
            other.send(1, channel::CloseOk {}).await;
            other.open_channel(1).await;
            if close.reply_text == gone.as_str() {
                break;
            }
            assert_eq!(close.reply_code, 405);
        }
    }
    other.call(1, delete_queue(&shared)).await;
}

/// Goal: between the broker's `connection.close` and the client's `close-ok` nothing counts, not even
/// garbage, and nothing is answered but another close.
#[tokio::test]
async fn everything_but_the_close_handshake_is_ignored_while_closing() {
    let server = TestServer::start().await;
    let queue = server.name("ignored");
    let mut watcher = server.channel().await;
    watcher.call(1, declare_queue(&queue)).await;
    let mut client = server.channel().await;
    client.send_wire(&offence()).await;
    assert!(matches!(client.receive().await, Received::Method(0, Method::ConnectionClose(_))));
    let wire = Wire::new()
        .publish(1, to_queue(&queue), "ignored")
        .method(1, check_queue("nope"))
        .method(1, channel::Open {})
        .heartbeat()
        .method(0, connection::TuneOk::default())
        .body(1, "abc")
        .method(0, goodbye());
    client.send_wire(&wire).await;
    client.expect(0, connection::CloseOk {}).await;
    client.send(0, connection::CloseOk {}).await;
    client.expect_end().await;
    assert_eq!(watcher.counts(1, &queue).await, (0, 0));
    watcher.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_ignored_while_closing() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send_wire(&offence()).await;
    assert!(matches!(client.receive().await, Received::Method(0, Method::ConnectionClose(_))));
    let wire = Wire::new()
        .raw(raw_frame(1, 0, b"\0\x4d\0\x0a"))
        .raw(raw_frame(1, 1, b""))
        .raw(raw_frame(7, 0, b"abc"))
        .method(0, connection::CloseOk {});
    client.send_wire(&wire).await;
    client.expect_end().await;
}

/// RabbitMQ passes over a goodbye that comes in the same read as the offence.
#[tokio::test]
async fn closes_that_cross_are_both_answered() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut client = server.channel().await;
    client.send_wire(&offence().method(0, goodbye())).await;
    assert!(matches!(client.receive().await, Received::Method(0, Method::ConnectionClose(_))));
    client.expect(0, connection::CloseOk {}).await;
    client.send(0, connection::CloseOk {}).await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_close_that_is_never_answered_ends_after_thirty_seconds() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.channel().await;
    let began = Instant::now();
    client.send_wire(&offence()).await;
    assert!(matches!(client.receive().await, Received::Method(0, Method::ConnectionClose(_))));
    client.expect_end().await;
    let elapsed = began.elapsed();
    assert!(elapsed > Duration::from_secs(29) && elapsed < Duration::from_secs(32), "{elapsed:?}");
}

#[tokio::test]
async fn a_silent_client_is_dropped_while_closing_as_before() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.connect_with(&Handshake::with_heartbeat(1)).await;
    let began = Instant::now();
    client.send_wire(&offence()).await;
    assert!(matches!(client.receive().await, Received::Method(0, Method::ConnectionClose(_))));
    client.expect_end().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_channel_close_that_is_never_answered_costs_nothing_but_its_number() {
    let server = TestServer::start().await;
    server.virtual_time();
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.send(1, ack(42)).await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    if server.is_leveret() {
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
    client.expect_nothing(2).await;
}

/// A client that shuts down its own direction has said all it will say, and that it did.
#[tokio::test]
async fn half_a_connection_is_none() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.shut_down().await;
    client.expect_end().await;
}

/// Goal: at shutdown every open connection is told 320 and why, and one whose handshake is not
/// finished just ends. The broker waits for those who answer, and for no one else.
#[tokio::test]
async fn at_shutdown_clients_are_told() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut open = server.channel().await;
    let mut silent = server.connect().await;
    let mut logging_in = server.socket().await;
    logging_in.start().await;
    let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    let stopped = tokio::spawn(server.stop());
    open.expect_connection_close(320, text, (0, 0)).await;
    logging_in.expect_end().await;
    let told = silent.receive_method(0).await;
    assert!(matches!(told, Method::ConnectionClose(close) if close.reply_code == 320));
    drop(silent);
    stopped.await.expect("the broker stops");
}
