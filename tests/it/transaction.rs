//! Transactions: what counts at commit, what never did after a rollback.

use crate::support::{
    BasicProperties, Method, RawClient, TestServer, Wire, ack, basic, channel, consume,
    declare_queue, delete_queue, get_to_ack, mandatory, prefetch, reject, requeue, to_exchange,
    to_queue, tx,
};

/// Two channels of one connection: 1 is transactional, 2 watches.
async fn transactional(server: &TestServer, queue: &str) -> RawClient {
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(2, declare_queue(queue)).await;
    client.send(1, tx::Select {}).await;
    client.expect(1, tx::SelectOk {}).await;
    client
}

async fn commit(client: &mut RawClient) {
    client.send(1, tx::Commit {}).await;
    client.expect(1, tx::CommitOk {}).await;
}

async fn roll_back(client: &mut RawClient) {
    client.send(1, tx::Rollback {}).await;
    client.expect(1, tx::RollbackOk {}).await;
}

#[tokio::test]
async fn commit_and_rollback_need_a_transaction() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let text = "PRECONDITION_FAILED - channel is not transactional";
    client.refused(1, tx::Commit {}, 406, text).await;
    client.refused(1, tx::Rollback {}, 406, text).await;
}

#[tokio::test]
async fn publishes_arrive_at_commit() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    client.call(1, tx::Select {}).await;
    for text in ["a", "b"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    client.expect_nothing(1).await;
    assert_eq!(client.counts(2, &queue).await, (0, 0));
    commit(&mut client).await;
    assert_eq!(client.drain(2, &queue).await, ["a", "b"]);
    // There is a next transaction already.
    client.publish(1, to_queue(&queue), "c").await;
    roll_back(&mut client).await;
    commit(&mut client).await;
    assert!(client.drain(2, &queue).await.is_empty());
    client.call(2, delete_queue(&queue)).await;
}

#[tokio::test]
async fn returns_come_with_the_commit_and_before_its_answer() {
    let server = TestServer::start().await;
    let (queue, nowhere) = (server.name("q"), server.name("nowhere"));
    let mut client = transactional(&server, &queue).await;
    client.publish(1, mandatory(to_queue(&nowhere)), "first").await;
    client.publish(1, to_queue(&queue), "routed").await;
    client.publish(1, mandatory(to_queue(&nowhere)), "second").await;
    client.expect_nothing(1).await;
    client.send(1, tx::Commit {}).await;
    for text in ["first", "second"] {
        assert_eq!(client.returned(1).await.1.text(), text);
    }
    client.expect(1, tx::CommitOk {}).await;
    client.publish(1, mandatory(to_queue(&nowhere)), "third").await;
    roll_back(&mut client).await;
    assert_eq!(client.drain(2, &queue).await, ["routed"]);
    client.call(2, delete_queue(&queue)).await;
}

#[tokio::test]
async fn an_offence_ends_the_transaction_at_once() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    client.publish(1, to_queue(&queue), "lost").await;
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    client
        .publish_refused(1, to_exchange("nope", ""), &BasicProperties::default(), 404, text)
        .await;
    assert!(client.drain(2, &queue).await.is_empty());
    client.call(1, tx::Select {}).await;
    client.publish(1, to_queue(&queue), "lost").await;
    client.refused(1, ack(42), 406, "PRECONDITION_FAILED - unknown delivery tag 42").await;
    assert!(client.drain(2, &queue).await.is_empty());
    client.call(2, delete_queue(&queue)).await;
}

/// Goal: acknowledgements and rejections take effect at commit, and so does the credit they give
/// back.
#[tokio::test]
async fn settlements_count_at_commit() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    let wire =
        (1..=6_u32).fold(Wire::new(), |wire, i| wire.publish(2, to_queue(&queue), i.to_string()));
    client.send_wire(&wire).await;
    client.call(1, prefetch(3)).await;
    client.call(1, consume(&queue, "c")).await;
    assert_eq!(client.texts(1, 3).await, ["1", "2", "3"]);
    client.send(1, ack(1)).await;
    client.send(1, reject(2)).await;
    client.send(1, requeue(3)).await;
    client.expect_nothing(1).await;
    client.send(1, tx::Commit {}).await;
    let mut texts = Vec::new();
    let mut committed = false;
    while texts.len() < 3 || !committed {
        match client.receive_method(1).await {
            Method::TxCommitOk(_) => committed = true,
            Method::BasicDeliver(deliver) => {
                let content = client.receive_content(1).await;
                texts.push((content.text().to_owned(), deliver.redelivered));
            }
            other => panic!("expected deliveries or tx.commit-ok, got {other:?}"),
        }
    }
    texts.sort();
    let expected = [("3", true), ("4", false), ("5", false)];
    assert_eq!(texts, expected.map(|(text, redelivered)| (text.to_owned(), redelivered)));
    client.delete(2, &queue).await;
}

#[tokio::test]
async fn rolled_back_settlements_can_be_made_again() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    for text in ["a", "b"] {
        client.publish(2, to_queue(&queue), text).await;
    }
    client.expect_nothing(2).await;
    for _ in 0..2 {
        assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    }
    client.send(1, ack(1)).await;
    client.send(1, requeue(2)).await;
    roll_back(&mut client).await;
    assert_eq!(client.counts(2, &queue).await, (0, 0));
    client.send(1, requeue(1)).await;
    client.send(1, ack(2)).await;
    commit(&mut client).await;
    assert_eq!(client.drain(2, &queue).await, ["a"]);
    client.call(2, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_tag_is_settled_once_within_a_transaction() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    client.publish(2, to_queue(&queue), "a").await;
    client.expect_nothing(2).await;
    assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    client.send(1, ack(1)).await;
    client.refused(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    // The transaction died with the channel, so the message is back.
    assert_eq!(client.drain(2, &queue).await, ["a"]);
    client.call(2, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_channel_closed_without_commit_leaves_no_trace() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    client.publish(2, to_queue(&queue), "held").await;
    client.expect_nothing(2).await;
    assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    client.send(1, ack(1)).await;
    client.publish(1, to_queue(&queue), "lost").await;
    client.send(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.expect(1, channel::CloseOk {}).await;
    let (got, content) = client.get(2, get_to_ack(&queue)).await.expect("a message");
    assert_eq!((content.text(), got.redelivered), ("held", true));
    assert!(client.drain(2, &queue).await.is_empty());
    client.call(2, delete_queue(&queue)).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// What is to be acknowledged at commit is no longer the channel's to recover, and not yet gone.
#[tokio::test]
async fn recover_passes_over_what_waits_for_commit() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    for text in ["a", "b"] {
        client.publish(2, to_queue(&queue), text).await;
    }
    client.expect_nothing(2).await;
    for _ in 0..2 {
        assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    }
    client.send(1, ack(1)).await;
    client.send(1, basic::Recover { requeue: true }).await;
    client.expect(1, basic::RecoverOk {}).await;
    assert_eq!(client.drain(2, &queue).await, ["b"]);
    commit(&mut client).await;
    assert!(client.drain(2, &queue).await.is_empty());
    client.call(2, delete_queue(&queue)).await;
}

/// What was declared, bound or deleted between publish and commit counts: a mandatory message whose
/// queue is gone comes back, and one whose queue was made anew arrives.
#[tokio::test]
async fn a_message_goes_where_its_queue_is_at_commit() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = transactional(&server, &queue).await;
    client.publish(1, mandatory(to_queue(&queue)), "back").await;
    client.expect_nothing(1).await;
    client.call(2, delete_queue(&queue)).await;
    client.send(1, tx::Commit {}).await;
    assert_eq!(client.returned(1).await.1.text(), "back");
    client.expect(1, tx::CommitOk {}).await;

    client.call(2, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), "anew").await;
    client.expect_nothing(1).await;
    client.call(2, delete_queue(&queue)).await;
    client.call(2, declare_queue(&queue)).await;
    commit(&mut client).await;
    assert_eq!(client.drain(2, &queue).await, ["anew"]);
    client.call(2, delete_queue(&queue)).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}
