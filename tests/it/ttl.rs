//! Time to live, of messages and of queues, as a client on the wire sees it. Time is virtual where the
//! broker is leveret.

use std::time::Duration;

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, bind_queue, cancel, check_queue,
    consume, consume_freely, declare_exchange, declare_queue, declare_queue_with, delete_exchange,
    delete_queue, get, get_to_ack, mandatory, nack, prefetch, purge_queue, short, to_exchange,
    to_queue,
};

/// A queue whose dead letters go to `dead`, which is consumed from on channel 1.
async fn with_dead_letters<const N: usize>(
    client: &mut RawClient,
    queue: &str,
    dead: &str,
    more: [(&'static str, FieldValue); N],
) {
    client.call(1, declare_queue(dead)).await;
    let to = [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", dead.into())];
    client.call(1, declare_queue_with(queue, to.into_iter().chain(more))).await;
    client.call(1, consume_freely(dead, "dead")).await;
}

fn expiring(milliseconds: &str) -> BasicProperties {
    BasicProperties { expiration: Some(short(milliseconds)), ..BasicProperties::default() }
}

fn missing(name: &str) -> String {
    format!("NOT_FOUND - no queue '{name}' in vhost '/'")
}

/// "Setting the TTL to 0 causes messages to be expired upon reaching a queue unless they can be delivered
/// to a consumer immediately": one whose credit is used up cannot take them, and they are not kept for
/// when it can.
#[tokio::test]
async fn a_time_to_live_of_0_is_for_consumers_with_credit() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_dead_letters(&mut client, &queue, &dead, [("x-message-ttl", 0_i32.into())]).await;
    client.open_channel(2).await;
    client.call(2, prefetch(1)).await;
    client.call(2, consume(&queue, "c")).await;
    client.publish(1, to_queue(&queue), "taken").await;
    assert_eq!(client.delivery(2).await.summary(), ("c", "taken", false));
    client.publish(1, to_queue(&queue), "too late").await;
    assert_eq!(client.delivery(1).await.text(), "too late");
    client.send(2, ack(1)).await;
    client.expect_nothing(2).await;
    client.publish(1, to_queue(&queue), "taken too").await;
    assert_eq!(client.delivery(2).await.text(), "taken too");
    // What comes back is as old as it was.
    client.send(2, cancel("c")).await;
    client.receive_method(2).await;
    client.send(2, nack(2, false, true)).await;
    assert_eq!(client.delivery(1).await.text(), "taken too");
    for queue in [&queue, &dead] {
        client.delete(1, queue).await;
    }
}

/// "A message that has been in the queue for longer than the configured TTL is said to be dead"; one in
/// the hands of a consumer is not in the queue. It expires as soon as it comes back.
#[tokio::test]
async fn a_message_outlives_its_time_in_the_hands_of_a_consumer() {
    let server = TestServer::start().await;
    server.virtual_time();
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_dead_letters(&mut client, &queue, &dead, [("x-message-ttl", 500_i32.into())]).await;
    for text in ["acknowledged", "back", "waits"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    client.open_channel(2).await;
    for _ in 0..2 {
        assert!(client.get(2, get_to_ack(&queue)).await.is_some());
    }
    assert_eq!(client.delivery(1).await.text(), "waits");
    client.send(2, ack(1)).await;
    client.expect_nothing(2).await;
    client.send(2, nack(2, false, true)).await;
    assert_eq!(client.delivery(1).await.text(), "back");
    assert_eq!(client.counts(1, &queue).await.0, 0);
    for queue in [&queue, &dead] {
        client.delete(1, queue).await;
    }
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// An expired message is nowhere: not in the count of `queue.declare-ok`, `purge-ok` or `delete-ok`, not
/// for `basic.get`, and its memory is free.
#[tokio::test]
async fn what_expired_is_not_counted() {
    let server = TestServer::start().await;
    server.virtual_time();
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    for _ in 0..3 {
        client.publish_with(1, to_queue(&queue), &expiring("1000"), "x").await;
    }
    client.publish_with(1, to_queue(&queue), &expiring("100000"), "stays").await;
    while client.counts(1, &queue).await != (4, 0) {}
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(client.counts(1, &queue).await, (1, 0));
    let (got, content) = client.get(1, get_to_ack(&queue)).await.expect("a message");
    assert_eq!((content.text(), got.message_count, got.redelivered), ("stays", 0, false));
    client.send(1, purge_queue(&queue)).await;
    client.expect(1, crate::support::queue::PurgeOk { message_count: 0 }).await;
    client.send(1, delete_queue(&queue)).await;
    client.expect(1, crate::support::queue::DeleteOk { message_count: 0 }).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A mandatory message that expires at once was routed: it is confirmed and not returned.
#[tokio::test]
async fn a_message_that_expires_at_once_is_confirmed_and_not_returned() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.select_confirms(1).await;
    client.publish_with(1, mandatory(to_queue(&queue)), &expiring("0"), "x").await;
    client.expect(1, ack(1)).await;
    assert!(client.get(1, get(&queue)).await.is_none());
    client.call(1, delete_queue(&queue)).await;
}

/// "Queues that had per-message TTL applied" in RabbitMQ keep dead messages behind living ones. leveret
/// lets each go when its time has come, wherever it stands, and in the order of their times.
#[tokio::test]
async fn messages_expire_wherever_they_stand() {
    let Some(server) = TestServer::leveret().await else { return };
    server.virtual_time();
    let mut client = server.channel().await;
    with_dead_letters(&mut client, "q", "dead", []).await;
    for milliseconds in ["40000", "3600000", "20000", "30000", "10000"] {
        client.publish_with(1, to_queue("q"), &expiring(milliseconds), milliseconds).await;
    }
    assert_eq!(client.texts(1, 4).await, ["10000", "20000", "30000", "40000"]);
    assert_eq!(client.counts(1, "q").await, (1, 0));
}

/// A queue with `x-expires` is gone when nobody used it for so long: 404. Its messages are not
/// dead-lettered, its bindings are gone, and a queue of its name can be declared otherwise.
#[tokio::test]
async fn an_unused_queue_goes_without_a_trace() {
    let server = TestServer::start().await;
    server.virtual_time();
    let (exchange, queue, dead) = (server.name("x"), server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_dead_letters(&mut client, &queue, &dead, [("x-expires", 300_i32.into())]).await;
    client.call(1, declare_exchange(&exchange, "fanout")).await;
    client.call(1, bind_queue(&queue, &exchange, "")).await;
    client.publish(1, to_exchange(&exchange, ""), "lost").await;
    client.expect_nothing(1).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    client.open_channel(2).await;
    client.refused(2, check_queue(&queue), 404, &missing(&queue)).await;
    client.publish(1, mandatory(to_exchange(&exchange, "")), "returned").await;
    assert_eq!(client.returned(1).await.1.text(), "returned");
    client.call(1, declare_queue(&queue)).await;
    for queue in [&queue, &dead] {
        client.delete(1, queue).await;
    }
    client.call(1, delete_exchange(&exchange)).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// "Unused means the queue has no consumers": a queue never expires under one, so nobody is cancelled. An
/// unacknowledged message keeps no queue; what is answered later is answered in vain, and no offence.
#[tokio::test]
async fn a_queue_does_not_expire_under_a_consumer() {
    let server = TestServer::start().await;
    server.virtual_time();
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue_with(&queue, [("x-expires", 300_i32.into())])).await;
    client.call(1, consume(&queue, "c")).await;
    client.publish(1, to_queue(&queue), "held").await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "held", false));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(client.counts(1, &queue).await, (0, 1));
    client.call(1, cancel("c")).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    client.open_channel(2).await;
    client.refused(2, check_queue(&queue), 404, &missing(&queue)).await;
    client.send(1, ack(1)).await;
    client.expect_nothing(1).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A declaration, a passive one too, and `basic.get` renew the lease, on an empty queue as well; a
/// publish or a binding does not.
#[tokio::test]
async fn only_a_use_renews_the_lease() {
    let Some(server) = TestServer::leveret().await else { return };
    server.virtual_time();
    let mut client = server.channel().await;
    client.open_channel(2).await;
    let declare = declare_queue_with("q", [("x-expires", 10_000_i32.into())]);
    client.call(1, declare.clone()).await;
    for declare in [declare.clone(), check_queue("q"), declare] {
        tokio::time::sleep(Duration::from_secs(8)).await;
        client.call(1, declare).await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(client.get(1, get("q")).await.is_none());
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    client.publish(1, to_queue("q"), "x").await;
    client.call(1, bind_queue("q", "amq.direct", "k")).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    client.refused(2, check_queue("q"), 404, &missing("q")).await;
}
