//! Messages that come back: how often they did, and when that is too often.

use crate::support::{
    BasicProperties, FieldValue, Method, RawClient, TestServer, basic, channel, consume,
    consume_freely, declare_queue, declare_queue_with, delete_queue, get_to_ack, nack, prefetch,
    reject, requeue, to_queue, tx, with_headers,
};

const COUNT: &str = "x-delivery-count";

async fn with_message(server: &TestServer, properties: &BasicProperties) -> RawClient {
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    client.publish_with(1, to_queue("q"), properties, "x").await;
    client
}

/// "The header `x-delivery-count` tells how often a message was delivered before": absent the first
/// time, then a number that each return counts up, whoever returned it and however it is fetched. The
/// other properties stay as they are. RabbitMQ has it on quorum queues only.
#[tokio::test]
async fn a_redelivered_message_says_how_often() {
    let Some(server) = TestServer::leveret().await else { return };
    let properties = BasicProperties { priority: Some(3), ..with_headers([("k", "v".into())]) };
    let mut client = with_message(&server, &properties).await;
    let (got, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!((got.redelivered, content.properties()), (false, properties.clone()));
    client.send(1, requeue(1)).await;
    client.call(1, prefetch(1)).await;
    client.call(1, consume("q", "c")).await;
    for (tag, count) in [(2, 1), (3, 2)] {
        let delivery = client.delivery(1).await;
        assert_eq!((delivery.tag(), delivery.method.redelivered), (tag, true));
        let mut expected = properties.clone();
        let headers = expected.headers.as_mut().expect("they are there");
        headers.push(crate::support::short(COUNT), FieldValue::I64(count));
        assert_eq!(delivery.content.properties(), expected);
        client.send(1, nack(tag, false, true)).await;
    }
    client.delivery(1).await;
    client.send(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.expect(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
    let (got, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!((got.redelivered, content.header(COUNT)), (true, Some(4_i64.into())));
    client.send(1, basic::Recover { requeue: true }).await;
    client.expect(1, basic::RecoverOk {}).await;
    client.call(1, consume_freely("q", "free")).await;
    assert_eq!(client.delivery(1).await.content.header(COUNT), Some(5_i64.into()));
}

/// What a publisher wrote into the header stays until the broker has something to say.
#[tokio::test]
async fn a_publishers_own_count_is_replaced() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = with_message(&server, &with_headers([(COUNT, "forged".into())])).await;
    let (_, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!(content.header(COUNT), Some("forged".into()));
    client.send(1, requeue(1)).await;
    let (_, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!(content.properties().headers.expect("headers").len(), 1);
    assert_eq!(content.header(COUNT), Some(1_i64.into()));
}

/// "When a message has been returned more times than the limit the message will be dropped or
/// dead-lettered": on a quorum queue 20 times unless it says otherwise, and on a classic one never, unless
/// it says so. A delivery that was only taken by a connection that died counts.
#[tokio::test]
async fn a_message_is_given_up_above_its_limit() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("dead")).await;
    let to =
        || [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "dead".into())];
    let quorum = [("x-queue-type", "quorum".into())];
    let quorum = crate::support::queue::Declare {
        durable: true,
        ..declare_queue_with("quorum", to().into_iter().chain(quorum))
    };
    let limited =
        declare_queue_with("limited", to().into_iter().chain([("x-delivery-limit", 2_i32.into())]));
    let at_once =
        declare_queue_with("at once", to().into_iter().chain([("x-delivery-limit", 0_i32.into())]));
    for (declare, returns) in [(quorum, 21), (limited, 3), (at_once, 1)] {
        let name = declare.queue.clone();
        let name = name.to_str().expect("a text");
        client.call(1, declare).await;
        client.publish(1, to_queue(name), "x").await;
        client.expect_nothing(1).await;
        for _ in 0..returns {
            assert!(client.get(1, get_to_ack("dead")).await.is_none());
            let mut doomed = server.channel().await;
            let (got, _) = doomed.get(1, get_to_ack(name)).await.expect("a message");
            if returns == 3 {
                doomed.close().await;
            } else {
                doomed.send(1, requeue(got.delivery_tag)).await;
                doomed.expect_nothing(1).await;
            }
        }
        let (_, content) = client.get(1, get_to_ack("dead")).await.expect("it is given up");
        assert_eq!(content.header("x-first-death-reason"), Some("delivery_limit".into()), "{name}");
        assert_eq!(content.header(COUNT), None);
        client.ack_all(1).await;
        client.call(1, delete_queue(name)).await;
    }
}

/// A nack or reject that a rollback takes back counts for nothing.
#[tokio::test]
async fn a_return_that_was_rolled_back_does_not_count() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue_with("q", [("x-delivery-limit", 0_i32.into())])).await;
    client.publish(1, to_queue("q"), "x").await;
    client.call(1, tx::Select {}).await;
    client.get(1, get_to_ack("q")).await.expect("a message");
    client.send(1, requeue(1)).await;
    client.call(1, tx::Rollback {}).await;
    client.send(1, reject(1)).await;
    client.call(1, tx::Rollback {}).await;
    client.send(1, crate::support::ack(1)).await;
    match client.call(1, tx::Commit {}).await {
        Method::TxCommitOk(_) => {}
        other => panic!("expected tx.commit-ok, got {other:?}"),
    }
    assert!(client.get(1, get_to_ack("q")).await.is_none());
    assert_eq!(server.memory_used(), Some(0));
}

/// Requeued messages stand where they stood, whatever order they come back in, and on every way back.
#[tokio::test]
async fn requeued_messages_stand_where_they_stood() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    for text in ["1", "2", "3", "4", "5"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    for _ in 0..4 {
        client.get(1, get_to_ack(&queue)).await.expect("a message");
    }
    client.send(1, requeue(3)).await;
    client.send(1, nack(1, false, true)).await;
    client.send(1, nack(0, true, true)).await;
    client.expect_nothing(1).await;
    assert_eq!(client.drain(1, &queue).await, ["1", "2", "3", "4", "5"]);
    client.call(1, delete_queue(&queue)).await;
}
