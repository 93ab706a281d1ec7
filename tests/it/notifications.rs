//! `basic.cancel` from the broker: who is told that a consumer's queue is gone.

use std::time::Duration;

use crate::support::{
    Handshake, Method, TestServer, ack, basic, capabilities, check_queue, consume, consume_freely,
    declare_queue, declare_queue_with, delete_queue, prefetch, queue, short, to_queue,
};

fn cancelled(tag: &str) -> basic::Cancel {
    basic::Cancel { consumer_tag: short(tag), no_wait: true }
}

/// "The broker sends a `basic.cancel` to the client" when its queue is deleted: one for each consumer, on
/// its channel, to the client that deletes as well, and its tag is free at once.
#[tokio::test]
async fn each_consumer_of_a_deleted_queue_is_told() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut other) = (server.channel().await, server.channel().await);
    client.call(1, declare_queue(&queue)).await;
    client.open_channel(2).await;
    client.call(1, consume(&queue, "a")).await;
    client.call(2, consume_freely(&queue, "b")).await;
    other.call(1, consume(&queue, "a")).await;
    client.send(1, delete_queue(&queue)).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        match client.receive().await {
            crate::support::Received::Method(channel, Method::BasicCancel(cancel)) => {
                assert!(cancel.no_wait);
                told.push((channel, cancel.consumer_tag));
            }
            crate::support::Received::Method(1, Method::QueueDeleteOk(_)) => {}
            other => panic!("expected basic.cancel or queue.delete-ok, got {other:?}"),
        }
    }
    told.sort_by_key(|(channel, _)| *channel);
    assert_eq!(told, [(1, short("a")), (2, short("b"))]);
    other.expect(1, cancelled("a")).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "a")).await;
    other.expect_nothing(1).await;
    client.delete(1, &queue).await;
}

/// A client that did not announce `consumer_cancel_notify` hears nothing, and its channel goes on.
#[tokio::test]
async fn a_client_without_the_capability_hears_nothing() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let handshake =
        Handshake { client_properties: capabilities(&["basic.nack"]), ..Handshake::default() };
    let mut deaf = server.connect_with(&handshake).await;
    deaf.open_channel(1).await;
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    deaf.call(1, consume(&queue, "c")).await;
    client.publish(1, to_queue(&queue), "x").await;
    deaf.delivery(1).await;
    client.call(1, delete_queue(&queue)).await;
    deaf.expect_nothing(1).await;
    // What it held is gone, and to say so is no offence.
    deaf.send(1, ack(1)).await;
    deaf.expect_nothing(1).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// Deliveries that were on their way come before the notice, and their tags can still be acknowledged.
#[tokio::test]
async fn deliveries_come_before_the_notice() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, prefetch(2)).await;
    client.call(1, consume(&queue, "c")).await;
    for text in ["1", "2", "3"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    assert_eq!(client.texts(1, 2).await, ["1", "2"]);
    let mut other = server.channel().await;
    other.call(1, delete_queue(&queue)).await;
    client.expect(1, cancelled("c")).await;
    client.send(1, ack(1)).await;
    client.send(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: true }).await;
    client.expect_nothing(1).await;
    client.refused(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
}

/// An exclusive queue goes with its connection, and an auto-delete queue with its last consumer: nobody is
/// left to be told.
#[tokio::test]
async fn a_queue_that_goes_with_its_consumer_tells_nobody() {
    let server = TestServer::start().await;
    let name = server.name("q");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, queue::Declare { auto_delete: true, ..declare_queue(&name) }).await;
    for tag in ["a", "b"] {
        client.call(1, consume(&name, tag)).await;
    }
    client.call(1, crate::support::cancel("a")).await;
    client.counts(2, &name).await;
    client.call(1, crate::support::cancel("b")).await;
    let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
    client.refused(2, check_queue(&name), 404, &text).await;
    client.expect_nothing(1).await;
}

/// A queue does not expire while it has a consumer, so `x-expires` cancels nobody; the time begins when
/// the last one goes.
#[tokio::test]
async fn an_expiring_queue_cancels_nobody() {
    let server = TestServer::start().await;
    server.virtual_time();
    let name = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue_with(&name, [("x-expires", 200_i32.into())])).await;
    client.call(1, consume(&name, "c")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.expect_nothing(1).await;
    client.publish(1, to_queue(&name), "x").await;
    assert_eq!(client.delivery(1).await.text(), "x");
    client.delete(1, &name).await;
}
