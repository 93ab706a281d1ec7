//! Channels: opening, flow, the error that closes one and spares the others.

use crate::support::{
    Handshake, Method, TestServer, Wire, access, ack, basic, channel, check_exchange, check_queue,
    connection, consume, declare_queue, delete_queue, to_exchange, to_queue,
};

const NOT_OPENED: &str = "CHANNEL_ERROR - expected 'channel.open'";
const OPENED_TWICE: &str = "CHANNEL_ERROR - second 'channel.open' seen";

fn goodbye() -> channel::Close {
    channel::Close { reply_code: 200, ..channel::Close::default() }
}

#[tokio::test]
async fn a_method_on_a_channel_that_is_not_open_is_504() {
    let server = TestServer::start().await;
    let methods: [Method; 4] =
        [declare_queue("q").into(), goodbye().into(), channel::CloseOk {}.into(), ack(1).into()];
    for method in methods {
        server.connect().await.fatal(1, method, 504, NOT_OPENED).await;
    }
}

#[tokio::test]
async fn content_on_a_channel_that_is_not_open_is_505() {
    let server = TestServer::start().await;
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    for wire in [Wire::new().header(1, 3, b"\0\0"), Wire::new().body(1, "abc")] {
        let mut client = server.connect().await;
        client.send_wire(&wire).await;
        client.expect_connection_close(505, text, (0, 0)).await;
    }
}

#[tokio::test]
async fn a_channel_opened_twice_is_504() {
    let server = TestServer::start().await;
    server.channel().await.fatal(1, channel::Open {}, 504, OPENED_TWICE).await;
}

/// The limit is on how many are open, and not on their numbers.
#[tokio::test]
async fn one_channel_too_many_is_530() {
    let server = TestServer::start().await;
    let tune_ok = connection::TuneOk { channel_max: 2, frame_max: 131_072, heartbeat: 0 };
    let handshake = Handshake { tune_ok: Some(tune_ok), ..Handshake::default() };
    let mut client = server.connect_with(&handshake).await;
    client.open_channel(3000).await;
    client.open_channel(65_535).await;
    client.send(3000, goodbye()).await;
    client.expect(3000, channel::CloseOk {}).await;
    client.open_channel(7).await;
    client.send(8, channel::Open {}).await;
    let text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max \
                (2)";
    client.expect_connection_close(530, text, server.differs((20, 10), (0, 0))).await;
}

#[tokio::test]
async fn all_2047_channels_can_be_open() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let wire = (1..=2047).fold(Wire::new(), |wire, id| wire.method(id, channel::Open {}));
    client.send_wire(&wire).await;
    for id in 1..=2047 {
        client.expect(id, channel::OpenOk {}).await;
    }
    client.send(2048, channel::Open {}).await;
    let text = "NOT_ALLOWED - number of channels opened (2047) has reached the negotiated \
                channel_max (2047)";
    client.expect_connection_close(530, text, server.differs((20, 10), (0, 0))).await;
}

#[tokio::test]
async fn flow_on_is_granted_and_flow_off_is_540() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, channel::Flow { active: true }).await;
    client.expect(1, channel::FlowOk { active: true }).await;
    client.fatal(1, channel::Flow { active: false }, 540, "NOT_IMPLEMENTED - active=false").await;
}

/// AMQP 0-8's tickets; php-amqplib's `getAccess` still asks.
#[tokio::test]
async fn an_access_ticket_is_granted() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, access::Request::default()).await;
    client.expect(1, access::RequestOk { ticket: 1 }).await;
}

#[tokio::test]
async fn a_closed_channels_number_is_free_again() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    for _ in 0..3 {
        client.send(1, goodbye()).await;
        client.expect(1, channel::CloseOk {}).await;
        client.open_channel(1).await;
        client.expect_nothing(1).await;
    }
}

#[tokio::test]
async fn an_error_on_one_channel_spares_the_others() {
    let server = TestServer::start().await;
    let queue = server.name("spared");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(2, declare_queue(&queue)).await;
    client.call(2, consume(&queue, "c")).await;
    client.refused(1, ack(42), 406, "PRECONDITION_FAILED - unknown delivery tag 42").await;
    client.publish(1, to_queue(&queue), "still here").await;
    assert_eq!(client.delivery(2).await.text(), "still here");
    client.call(2, delete_queue(&queue)).await;
}

/// Goal: between the broker's `channel.close` and the client's `close-ok` everything the client had
/// sent already is dropped without a trace.
#[tokio::test]
async fn what_comes_behind_an_error_is_dropped() {
    let server = TestServer::start().await;
    let queue = server.name("dropped");
    let other = server.name("dropped.other");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let wire = Wire::new()
        .method(1, ack(42))
        .publish(1, to_queue(&queue), "lost")
        .method(1, ack(43))
        .method(1, declare_queue(&other))
        .publish(1, to_exchange("nope", ""), "lost");
    client.send_wire(&wire).await;
    let text = "PRECONDITION_FAILED - unknown delivery tag 42";
    client.expect_channel_close(1, 406, text, (60, 80)).await;
    client.open_channel(2).await;
    assert_eq!(client.counts(2, &queue).await, (0, 0));
    let missing = format!("NOT_FOUND - no queue '{other}' in vhost '/'");
    client.refused(2, check_queue(&other), 404, &missing).await;
    client.send(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_channel_is_not_opened_again_before_its_close_is_answered() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, ack(42)).await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    client.fatal(1, channel::Open {}, 504, OPENED_TWICE).await;
}

#[tokio::test]
async fn a_second_close_ok_finds_no_channel() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, ack(42)).await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    client.send(1, channel::CloseOk {}).await;
    client.fatal(1, channel::CloseOk {}, 504, NOT_OPENED).await;
}

/// Both sides close at the same time: each is answered, and then the number is free.
#[tokio::test]
async fn closes_that_cross_are_both_answered() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    for close_ok_first in [false, true] {
        client.send_wire(&Wire::new().method(1, ack(42)).method(1, goodbye())).await;
        if close_ok_first {
            client.send(1, channel::CloseOk {}).await;
        }
        assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
        client.expect(1, channel::CloseOk {}).await;
        if !close_ok_first {
            client.send(1, channel::CloseOk {}).await;
        }
        client.open_channel(1).await;
    }
}

#[tokio::test]
async fn a_close_answered_while_closing_does_not_free_the_number() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send_wire(&Wire::new().method(1, ack(42)).method(1, goodbye())).await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    client.expect(1, channel::CloseOk {}).await;
    client.fatal(1, channel::Open {}, 504, OPENED_TWICE).await;
}

#[tokio::test]
async fn nothing_is_delivered_to_a_channel_that_closes() {
    let server = TestServer::start().await;
    let queue = server.name("after.close");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "c")).await;
    client.send(1, ack(42)).await;
    client.publish(2, to_queue(&queue), "kept").await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    client.expect_nothing(2).await;
    // Whether it was on its way to the consumer when that went is a matter of luck.
    assert_eq!(client.drain(2, &queue).await, ["kept"]);
    client.call(2, delete_queue(&queue)).await;
}

/// Goal: nobody but RabbitMQ's own framing notices what a closing channel is sent. Method frames that
/// can be decoded are dropped, and so, unlike there, is content without a method.
#[tokio::test]
async fn content_without_a_method_is_dropped_on_a_channel_that_closes() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let mut client = server.channel().await;
    client.send_wire(&Wire::new().method(1, ack(42)).header(1, 3, b"\0\0").body(1, "abc")).await;
    assert!(matches!(client.receive_method(1).await, Method::ChannelClose(_)));
    client.send(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
}

/// A publish is one unit: whether its exchange exists is asked once all of it is there.
#[tokio::test]
async fn a_missing_exchange_is_noticed_when_the_message_is_complete() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.send(1, to_exchange("nope", "")).await;
    client.expect_nothing(2).await;
    client.send_wire(&Wire::new().header(1, 3, b"\0\0")).await;
    client.expect_nothing(2).await;
    client.send_wire(&Wire::new().body(1, "abc")).await;
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    client.expect_channel_close(1, 404, text, (60, 40)).await;
}

#[tokio::test]
async fn a_plain_close_with_more_behind_it_is_answered_once_for_each_close() {
    let server = TestServer::start().await;
    let queue = server.name("behind.close");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    let wire = Wire::new().method(1, goodbye()).method(1, declare_queue(&queue));
    if server.is_leveret() {
        // The channel is gone with the first close: what follows is addressed to nobody.
        client.send_wire(&wire).await;
        client.expect(1, channel::CloseOk {}).await;
        client.expect_connection_close(504, NOT_OPENED, (50, 10)).await;
        return;
    }
    client.send_wire(&wire).await;
    client.expect(1, channel::CloseOk {}).await;
    client.expect_nothing(2).await;
}

#[tokio::test]
async fn a_reply_text_is_cut_to_what_fits() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let long = "x".repeat(255);
    let text = format!("NOT_FOUND - no exchange '{long}' in vhost '/'");
    let text = format!("{}...", &text[..252]);
    client.refused(1, check_exchange(&long), 404, &text).await;
    client
        .fatal(1, basic::Recover { requeue: false }, 540, "NOT_IMPLEMENTED - requeue=false")
        .await;
}
