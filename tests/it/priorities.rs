//! Priorities: of messages, and of consumers; and the one consumer that is active.

use crate::support::{
    BasicProperties, RawClient, TestServer, ack, ack_multiple, basic, cancel, channel,
    channel_prefetch, consume, consume_with, declare_queue, declare_queue_with, delete_queue, get,
    nack, prefetch, requeue, short, to_queue,
};

fn with_priority(priority: u8) -> BasicProperties {
    BasicProperties { priority: Some(priority), ..BasicProperties::default() }
}

/// A consumer of this priority.
fn consume_at(queue: &str, tag: &str, priority: i32) -> basic::Consume {
    consume_with(queue, tag, [("x-priority", priority.into())])
}

async fn cancel_ok(client: &mut RawClient, tag: &str) {
    client.send(1, cancel(tag)).await;
    client.expect(1, basic::CancelOk { consumer_tag: short(tag) }).await;
}

/// A queue with a single active consumer, and the numbers 1 to `count` in it.
async fn single_active(server: &TestServer, queue: &str, count: u32) -> RawClient {
    let mut client = server.channel().await;
    let single = [("x-single-active-consumer", true.into())];
    client.call(1, declare_queue_with(queue, single)).await;
    publish(&mut client, queue, 1..=count).await;
    client
}

async fn publish(client: &mut RawClient, queue: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        client.publish(1, to_queue(queue), number.to_string()).await;
    }
    client.expect_nothing(1).await;
}

async fn consumer(server: &TestServer, consume: basic::Consume, credit: u16) -> RawClient {
    let mut client = server.channel().await;
    client.call(1, prefetch(credit)).await;
    client.call(1, consume).await;
    client
}

/// "Messages without a priority property are treated as if their priority were 0. Messages with a priority
/// which is higher than the queue's maximum are treated as if they were published with the maximum":
/// `basic.get` and consumers take the highest first, the oldest of it; the property stays as it was.
#[tokio::test]
async fn the_highest_comes_first_and_the_oldest_of_it() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue_with(&queue, [("x-max-priority", 5_i32.into())])).await;
    client.publish(1, to_queue(&queue), "none").await;
    for (priority, text) in [(0, "0"), (5, "5"), (255, "255"), (3, "3"), (5, "5 again")] {
        client.publish_with(1, to_queue(&queue), &with_priority(priority), text).await;
    }
    for (text, priority) in
        [("5", Some(5)), ("255", Some(255)), ("5 again", Some(5)), ("3", Some(3))]
    {
        let (_, content) = client.get(1, get(&queue)).await.expect("a message");
        assert_eq!((content.text(), content.properties().priority), (text, priority));
    }
    client.call(1, consume(&queue, "c")).await;
    assert_eq!(client.texts(1, 2).await, ["none", "0"]);
    client.delete(1, &queue).await;
}

/// A message that comes back stands among those of its priority where it stood.
#[tokio::test]
async fn a_requeued_message_keeps_its_place_in_its_priority() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue_with(&queue, [("x-max-priority", 2_i32.into())])).await;
    for (priority, text) in [(1, "a1"), (2, "b1"), (1, "a2"), (2, "b2")] {
        client.publish_with(1, to_queue(&queue), &with_priority(priority), text).await;
    }
    client.expect_nothing(1).await;
    client.open_channel(2).await;
    client.call(2, consume(&queue, "c")).await;
    assert_eq!(client.texts(2, 4).await, ["b1", "b2", "a1", "a2"]);
    client.call(2, cancel("c")).await;
    for tag in [4, 2, 3, 1] {
        client.send(2, requeue(tag)).await;
    }
    client.expect_nothing(2).await;
    assert_eq!(client.drain(1, &queue).await, ["b1", "b2", "a1", "a2"]);
    client.call(1, delete_queue(&queue)).await;
}

/// "When consumer priorities are in use, messages are delivered round-robin if multiple active consumers
/// exist with the same high priority", and to lower ones only while those have no credit.
#[tokio::test]
async fn lower_consumers_get_what_higher_ones_have_no_credit_for() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut publisher = server.channel().await;
    publisher.call(1, declare_queue(&queue)).await;
    let mut low = consumer(&server, consume_at(&queue, "low", -1), 10).await;
    let mut middle = consumer(&server, consume(&queue, "middle"), 1).await;
    let mut high = consumer(&server, consume_at(&queue, "high", 10), 2).await;
    publish(&mut publisher, &queue, 1..=4).await;
    assert_eq!(high.texts(1, 2).await, ["1", "2"]);
    assert_eq!(middle.texts(1, 1).await, ["3"]);
    assert_eq!(low.texts(1, 1).await, ["4"]);
    // Credit that comes back counts at once.
    high.send(1, ack(1)).await;
    high.expect_nothing(1).await;
    publish(&mut publisher, &queue, 5..=6).await;
    assert_eq!(high.texts(1, 1).await, ["5"]);
    assert_eq!(low.texts(1, 1).await, ["6"]);
    // What a low consumer gives back goes to a high one with credit.
    high.send(1, ack_multiple(0)).await;
    high.expect_nothing(1).await;
    low.send(1, nack(0, true, true)).await;
    assert_eq!(high.texts(1, 2).await, ["4", "6"]);
    publisher.delete(1, &queue).await;
}

/// A channel's credit counts for its consumers of every priority.
#[tokio::test]
async fn a_channels_credit_is_shared_by_priorities() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.open_channel(2).await;
    client.call(2, channel_prefetch(1)).await;
    client.call(2, consume(&queue, "low")).await;
    client.call(2, consume_at(&queue, "high", 1)).await;
    client.publish(1, to_queue(&queue), "1").await;
    assert_eq!(client.delivery(2).await.summary(), ("high", "1", false));
    client.publish(1, to_queue(&queue), "2").await;
    client.expect_nothing(1).await;
    client.send(2, ack(1)).await;
    assert_eq!(client.delivery(2).await.summary(), ("high", "2", false));
    client.delete(1, &queue).await;
}

/// `x-priority` is a number, and any number.
#[tokio::test]
async fn a_consumer_priority_that_is_no_number_is_406() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send(1, consume_with(&queue, "c", [("x-priority", "5".into())])).await;
    match client.receive_method(1).await {
        crate::support::Method::ChannelClose(close) => assert_eq!(close.reply_code, 406),
        other => panic!("expected channel.close, got {other:?}"),
    }
    client.send(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
    for (tag, priority) in [("a", i64::MIN), ("b", i64::MAX)] {
        client.call(1, consume_with(&queue, tag, [("x-priority", priority.into())])).await;
    }
    client.delete(1, &queue).await;
}

/// "If the selected consumer is cancelled or dies, another one is selected", which gets what waits; what
/// the first one holds unacknowledged after its cancellation stays with it. RabbitMQ 3.10 chooses the next
/// one, and lets it wait until something else happens in the queue.
#[tokio::test]
async fn a_cancelled_consumer_hands_over_and_keeps_what_it_holds() {
    let Some(server) = TestServer::leveret().await else { return };
    let queue = server.name("q");
    let mut publisher = single_active(&server, &queue, 3).await;
    let mut first = consumer(&server, consume(&queue, "first"), 2).await;
    assert_eq!(first.texts(1, 2).await, ["1", "2"]);
    let mut second = consumer(&server, consume(&queue, "second"), 10).await;
    let mut third = consumer(&server, consume(&queue, "third"), 10).await;
    second.expect_nothing(1).await;
    cancel_ok(&mut first, "first").await;
    assert_eq!(second.texts(1, 1).await, ["3"]);
    first.send(1, requeue(1)).await;
    assert_eq!(second.delivery(1).await.summary(), ("second", "1", true));
    first.send(1, ack(2)).await;
    first.expect_nothing(1).await;
    third.expect_nothing(1).await;
    publisher.delete(1, &queue).await;
}

/// When the active consumer's channel closes, its messages go to the next one in their order, in front of
/// those that came later.
#[tokio::test]
async fn the_next_consumer_gets_what_the_channel_held_in_order() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut publisher = single_active(&server, &queue, 4).await;
    let mut first = consumer(&server, consume(&queue, "first"), 3).await;
    assert_eq!(first.texts(1, 3).await, ["1", "2", "3"]);
    let mut second = consumer(&server, consume(&queue, "second"), 10).await;
    first.send(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    first.expect(1, channel::CloseOk {}).await;
    assert_eq!(second.texts(1, 4).await, ["1", "2", "3", "4"]);
    publisher.delete(1, &queue).await;
}

/// The same when its connection is lost.
#[tokio::test]
async fn the_next_consumer_gets_what_a_lost_connection_held_in_order() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut publisher = single_active(&server, &queue, 4).await;
    let mut first = consumer(&server, consume(&queue, "first"), 3).await;
    assert_eq!(first.texts(1, 3).await, ["1", "2", "3"]);
    first.send(1, ack(2)).await;
    first.expect_nothing(1).await;
    assert_eq!(first.texts(1, 1).await, ["4"]);
    let mut second = consumer(&server, consume(&queue, "second"), 10).await;
    drop(first);
    assert_eq!(second.texts(1, 3).await, ["1", "3", "4"]);
    publisher.delete(1, &queue).await;
}

/// An exclusive consumer beside a single active one makes no sense: 403.
#[tokio::test]
async fn a_single_active_consumer_is_not_exclusive() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = single_active(&server, &queue, 0).await;
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    let exclusive = basic::Consume { exclusive: true, ..consume(&queue, "c") };
    client.refused(1, exclusive, 403, &text).await;
    client.call(1, delete_queue(&queue)).await;
}
