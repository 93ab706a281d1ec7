//! Acknowledging, rejecting and requeueing; delivery tags.

use crate::support::{
    Method, RawClient, TestServer, Wire, ack, ack_multiple, basic, cancel, consume, declare_queue,
    delete_queue, get, get_to_ack, nack, prefetch, reject, requeue, to_queue,
};

fn unknown(tag: u64) -> String {
    format!("PRECONDITION_FAILED - unknown delivery tag {tag}")
}

/// A queue with messages "1" up to `count`, all of them fetched on channel 1: text and tag agree.
async fn fetched(server: &TestServer, queue: &str, count: u64) -> RawClient {
    let mut client = server.channel().await;
    client.call(1, declare_queue(queue)).await;
    let wire =
        (1..=count).fold(Wire::new(), |wire, i| wire.publish(1, to_queue(queue), i.to_string()));
    client.send_wire(&wire).await;
    for tag in 1..=count {
        let (got, content) = client.get(1, get_to_ack(queue)).await.expect("a message");
        assert_eq!((got.delivery_tag, content.text()), (tag, tag.to_string().as_str()));
    }
    client
}

#[tokio::test]
async fn an_unknown_tag_is_406() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let methods: [(Method, u64); 8] = [
        (ack(42).into(), 42),
        (reject(42).into(), 42),
        (requeue(42).into(), 42),
        (nack(42, false, true).into(), 42),
        (ack(0).into(), 0),
        (nack(0, false, true).into(), 0),
        (ack_multiple(5).into(), 5),
        (nack(5, true, false).into(), 5),
    ];
    for (method, tag) in methods {
        client.refused(1, method, 406, &unknown(tag)).await;
    }
}

#[tokio::test]
async fn everything_is_fine_even_if_that_is_nothing() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    client.send(1, ack_multiple(0)).await;
    client.send(1, nack(0, true, true)).await;
    client.send(1, nack(0, true, false)).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn a_tag_is_settled_once() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let twice: [(Method, Method); 4] = [
        (ack(1).into(), ack(1).into()),
        (reject(1).into(), nack(1, false, true).into()),
        (requeue(1).into(), ack(1).into()),
        (ack_multiple(2).into(), ack(1).into()),
    ];
    for (first, second) in twice {
        let mut client = fetched(&server, &queue, 2).await;
        client.send(1, first).await;
        client.refused(1, second, 406, &unknown(1)).await;
        client.call(1, delete_queue(&queue)).await;
    }
}

#[tokio::test]
async fn a_tag_is_its_channels() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = fetched(&server, &queue, 1).await;
    client.open_channel(2).await;
    client.refused(2, ack(1), 406, &unknown(1)).await;
    client.send(1, ack(1)).await;
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn what_was_delivered_without_acknowledgement_cannot_be_acknowledged() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), "a").await;
    client.call(1, basic::Consume { no_ack: true, ..consume(&queue, "c") }).await;
    assert_eq!(client.delivery(1).await.tag(), 1);
    client.refused(1, ack(1), 406, &unknown(1)).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn tags_count_every_delivery_of_the_channel() {
    let server = TestServer::start().await;
    let (queue, other) = (server.name("q"), server.name("r"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, declare_queue(&other)).await;
    client.call(1, consume(&queue, "a")).await;
    client.call(1, basic::Consume { no_ack: true, ..consume(&other, "b") }).await;
    for expected in 1..=6 {
        let publish = to_queue(if expected % 2 == 0 { &queue } else { &other });
        client.publish(1, publish, "x").await;
        assert_eq!(client.delivery(1).await.tag(), expected);
    }
    // The range has holes, where nothing was owed.
    client.send(1, ack_multiple(6)).await;
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
    client.call(1, delete_queue(&other)).await;
}

#[tokio::test]
async fn multiple_settles_all_up_to_the_tag_and_zero_all_there_are() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = fetched(&server, &queue, 6).await;
    client.send(1, ack(2)).await;
    client.send(1, ack_multiple(4)).await;
    client.send(1, nack(0, true, true)).await;
    assert_eq!(client.drain(1, &queue).await, ["5", "6"]);
    client.call(1, delete_queue(&queue)).await;

    let mut client = fetched(&server, &queue, 6).await;
    client.send(1, nack(3, true, true)).await;
    client.send(1, ack_multiple(0)).await;
    assert_eq!(client.drain(1, &queue).await, ["1", "2", "3"]);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn what_is_rejected_without_requeue_is_gone() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = fetched(&server, &queue, 4).await;
    client.send(1, reject(1)).await;
    client.send(1, nack(2, false, false)).await;
    client.send(1, nack(4, true, false)).await;
    assert!(client.drain(1, &queue).await.is_empty());
    client.call(1, delete_queue(&queue)).await;
}

/// In whatever order they come back, and whatever was published meanwhile.
#[tokio::test]
async fn what_is_requeued_stands_where_it_stood_and_is_marked() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = fetched(&server, &queue, 5).await;
    client.publish(1, to_queue(&queue), "6").await;
    client.send(1, requeue(3)).await;
    client.send(1, nack(5, false, true)).await;
    client.send(1, requeue(1)).await;
    client.send(1, nack(2, true, true)).await;
    client.send(1, requeue(4)).await;
    for (text, redelivered) in
        [("1", true), ("2", true), ("3", true), ("4", true), ("5", true), ("6", false)]
    {
        let (got, content) = client.get(1, get(&queue)).await.expect("a message");
        assert_eq!((content.text(), got.redelivered), (text, redelivered));
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn what_is_requeued_comes_before_what_waited_behind_it() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, prefetch(2)).await;
    let wire =
        (0..6_u32).fold(Wire::new(), |wire, i| wire.publish(1, to_queue(&queue), i.to_string()));
    client.send_wire(&wire).await;
    client.call(1, consume(&queue, "c")).await;
    let held = client.deliveries(1, 2).await;
    client.send(1, requeue(held[0].tag())).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "0", true));
    client.send(1, ack(held[1].tag())).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "2", false));
    client.call(1, cancel("c")).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn acknowledged_messages_are_gone_for_good() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = fetched(&server, &queue, 3).await;
    client.send(1, ack(1)).await;
    client.send(1, ack(3)).await;
    client.expect_nothing(1).await;
    drop(client);
    let mut other = server.channel().await;
    loop {
        let got = other.drain(1, &queue).await;
        if !got.is_empty() {
            assert_eq!(got, ["2"]);
            break;
        }
    }
    other.call(1, delete_queue(&queue)).await;
}

/// Everything settled leaves nothing behind: the broker's own account of message memory says so.
#[tokio::test]
async fn settled_messages_cost_no_memory() {
    let Some(server) = TestServer::configured(|_| {}).await else { return };
    let mut client = fetched(&server, "q", 100).await;
    assert!(server.memory_used() > Some(0));
    client.send(1, ack_multiple(50)).await;
    client.send(1, nack(75, true, false)).await;
    client.send(1, nack(0, true, true)).await;
    assert_eq!(client.drain(1, "q").await.len(), 25);
    assert_eq!(server.memory_used(), Some(0));
}
