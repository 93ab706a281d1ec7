//! Queues that are full: which publish is refused, how its publisher learns of it, and what goes instead.

use crate::support::{
    FieldValue, Method, RawClient, Received, TestServer, Wire, ack, basic, bind_queue, consume,
    consume_freely, declare_exchange, declare_queue, declare_queue_with, delete_exchange,
    delete_queue, get_to_ack, mandatory, requeue, to_exchange, to_queue, tx,
};

/// A queue that refuses what is more than `max`.
async fn refusing(client: &mut RawClient, queue: &str, max: i32) {
    let arguments = [("x-max-length", max.into()), ("x-overflow", "reject-publish".into())];
    client.call(1, declare_queue_with(queue, arguments)).await;
}

/// "If `reject-publish` is used, most recently published messages will be discarded, and if publisher
/// confirms are enabled, the publisher will be informed of the reject via a basic.nack": of three queues'
/// publishes in one go, exactly those that did not fit are nacked, each told once, whatever runs with
/// `multiple` they are told in.
#[tokio::test]
async fn of_mixed_publishes_exactly_the_refused_ones_are_nacked() {
    let server = TestServer::start().await;
    let (full, open, nowhere) = (server.name("full"), server.name("open"), server.name("nowhere"));
    let mut client = server.channel().await;
    refusing(&mut client, &full, 2).await;
    client.call(1, declare_queue(&open)).await;
    client.select_confirms(1).await;
    let keys = [
        &full, &open, &full, &full, &full, &nowhere, &open, &full, &nowhere, &nowhere, &open,
        &full, &full,
    ];
    let wire = keys.iter().enumerate().fold(Wire::new(), |wire, (index, key)| {
        wire.publish(1, to_queue(key), (index + 1).to_string())
    });
    client.send_wire(&wire).await;
    let refused = [4, 5, 8, 12, 13];
    let expected: Vec<bool> = (1..=keys.len()).map(|number| !refused.contains(&number)).collect();
    assert_eq!(client.confirms(1, keys.len()).await, expected);
    client.expect_nothing(1).await;
    assert_eq!(client.drain(1, &full).await, ["1", "3"]);
    assert_eq!(client.drain(1, &open).await, ["2", "7", "11"]);
    client.call(1, delete_queue(&full)).await;
    client.call(1, delete_queue(&open)).await;
}

/// Outcomes are told in the order of publishing, each run of equal ones in one method. RabbitMQ tells
/// refusals at once and the others later.
#[tokio::test]
async fn confirms_keep_the_order_of_publishing() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    refusing(&mut client, "full", 1).await;
    client.select_confirms(1).await;
    let keys = ["full", "full", "full", "nowhere", "full", "nowhere"];
    for key in keys {
        client.publish(1, to_queue(key), "x").await;
    }
    let mut told = Vec::new();
    while told.len() < keys.len() {
        let (tag, acked) = match client.receive_method(1).await {
            Method::BasicAck(ack) => (ack.delivery_tag, true),
            Method::BasicNack(nack) => (nack.delivery_tag, false),
            other => panic!("expected a confirm, got {other:?}"),
        };
        let tag = usize::try_from(tag).expect("a small number");
        assert!(tag > told.len(), "{tag} after {told:?}");
        told.resize(tag, acked);
    }
    assert_eq!(told, [true, false, false, true, false, true]);
    client.expect_nothing(1).await;
}

/// A publish that goes to two queues, of which one refuses it, is nacked; the other one keeps it.
#[tokio::test]
async fn a_message_that_one_of_its_queues_refuses_is_nacked() {
    let server = TestServer::start().await;
    let (exchange, full, open) = (server.name("x"), server.name("full"), server.name("open"));
    let mut client = server.channel().await;
    client.call(1, declare_exchange(&exchange, "fanout")).await;
    refusing(&mut client, &full, 1).await;
    client.call(1, declare_queue(&open)).await;
    for queue in [&full, &open] {
        client.call(1, bind_queue(queue, &exchange, "")).await;
    }
    client.select_confirms(1).await;
    for text in ["1", "2", "3"] {
        client.publish(1, to_exchange(&exchange, ""), text).await;
    }
    assert_eq!(client.confirms(1, 3).await, [true, false, false]);
    assert_eq!(client.drain(1, &full).await, ["1"]);
    assert_eq!(client.drain(1, &open).await, ["1", "2", "3"]);
    for queue in [&full, &open] {
        client.call(1, delete_queue(queue)).await;
    }
    client.call(1, delete_exchange(&exchange)).await;
}

/// A mandatory message that its only queue refuses was routed: it is nacked and not returned.
#[tokio::test]
async fn a_refused_message_is_not_returned() {
    let server = TestServer::start().await;
    let queue = server.name("full");
    let mut client = server.channel().await;
    refusing(&mut client, &queue, 0).await;
    client.select_confirms(1).await;
    client.publish(1, mandatory(to_queue(&queue)), "refused").await;
    assert_eq!(client.confirms(1, 1).await, [false]);
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
}

/// Without confirms nobody is told, and the channel stays open.
#[tokio::test]
async fn without_confirms_a_refused_message_is_gone_silently() {
    let server = TestServer::start().await;
    let queue = server.name("full");
    let mut client = server.channel().await;
    refusing(&mut client, &queue, 1).await;
    for text in ["kept", "gone"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    client.expect_nothing(1).await;
    assert_eq!(client.drain(1, &queue).await, ["kept"]);
    client.call(1, delete_queue(&queue)).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A transaction of which a message was refused is not answered with tx.commit-ok: 406 "partial tx
/// completion". What was not refused is published, and what was acknowledged is.
#[tokio::test]
async fn a_commit_with_a_refused_message_is_406() {
    let server = TestServer::start().await;
    let (full, open) = (server.name("full"), server.name("open"));
    let mut client = server.channel().await;
    client.open_channel(2).await;
    refusing(&mut client, &full, 1).await;
    client.call(1, declare_queue(&open)).await;
    client.publish(1, to_queue(&open), "acknowledged").await;
    client.send(2, tx::Select {}).await;
    client.expect(2, tx::SelectOk {}).await;
    client.get(2, get_to_ack(&open)).await.expect("a message");
    client.send(2, ack(1)).await;
    for key in [&full, &full, &open] {
        client.publish(2, to_queue(key), "x").await;
    }
    client.refused(2, tx::Commit {}, 406, "PRECONDITION_FAILED - partial tx completion").await;
    assert_eq!(client.drain(1, &full).await, ["x"]);
    assert_eq!(client.drain(1, &open).await, ["x"]);
    for queue in [&full, &open] {
        client.call(1, delete_queue(queue)).await;
    }
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A queue is full of ready messages only: what is unacknowledged makes no room matter, and a message
/// that comes back may be one too many without anybody losing it.
#[tokio::test]
async fn unacknowledged_messages_leave_room_and_come_back_all_the_same() {
    let server = TestServer::start().await;
    let queue = server.name("full");
    let mut client = server.channel().await;
    refusing(&mut client, &queue, 1).await;
    client.open_channel(2).await;
    client.select_confirms(2).await;
    client.publish(2, to_queue(&queue), "held").await;
    client.expect(2, ack(1)).await;
    let (held, _) = client.get(1, get_to_ack(&queue)).await.expect("a message");
    client.publish(2, to_queue(&queue), "ready").await;
    client.expect(2, ack(2)).await;
    client.send(1, requeue(held.delivery_tag)).await;
    client.expect_nothing(1).await;
    client.publish(2, to_queue(&queue), "refused").await;
    match client.receive_method(2).await {
        Method::BasicNack(nack) => assert_eq!(nack.delivery_tag, 3),
        other => panic!("expected basic.nack, got {other:?}"),
    }
    assert_eq!(client.drain(1, &queue).await, ["held", "ready"]);
    client.call(1, delete_queue(&queue)).await;
}

/// A queue that may hold nothing refuses everything: the length is looked at before consumers are, even
/// one with credit.
#[tokio::test]
async fn a_queue_of_length_zero_refuses_everything() {
    let server = TestServer::start().await;
    let queue = server.name("full");
    let (mut client, mut consumer) = (server.channel().await, server.channel().await);
    refusing(&mut client, &queue, 0).await;
    consumer.call(1, consume(&queue, "c")).await;
    client.select_confirms(1).await;
    client.publish(1, to_queue(&queue), "refused").await;
    assert_eq!(client.confirms(1, 1).await, [false]);
    consumer.expect_nothing(1).await;
    client.delete(1, &queue).await;
}

/// "`reject-publish-dlx` also dead-letters rejected messages": the publisher is nacked, and the message,
/// with reason `maxlen`, is where dead letters go.
#[tokio::test]
async fn refused_messages_can_be_dead_lettered_too() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("full"), server.name("dead"));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&dead)).await;
    let arguments = [
        ("x-max-length", 1_i32.into()),
        ("x-overflow", "reject-publish-dlx".into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", dead.as_str().into()),
    ];
    client.call(1, declare_queue_with(&queue, arguments)).await;
    client.call(1, consume_freely(&dead, "dead")).await;
    client.open_channel(2).await;
    client.select_confirms(2).await;
    for text in ["kept", "refused"] {
        client.publish(2, to_queue(&queue), text).await;
    }
    let mut outcomes = Vec::new();
    let mut letter = None;
    while outcomes.len() < 2 || letter.is_none() {
        match client.receive().await {
            Received::Method(2, Method::BasicAck(ack)) => {
                outcomes.push((ack.delivery_tag, true));
            }
            Received::Method(2, Method::BasicNack(nack)) => {
                outcomes.push((nack.delivery_tag, false));
            }
            Received::Method(1, Method::BasicDeliver(_)) => {
                letter = Some(client.receive_content(1).await);
            }
            other => panic!("expected confirms and a dead letter, got {other:?}"),
        }
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, [(1, true), (2, false)]);
    let letter = letter.expect("it came");
    assert_eq!(letter.text(), "refused");
    assert_eq!(letter.header("x-first-death-reason"), Some(FieldValue::from("maxlen")));
    for queue in [&queue, &dead] {
        client.delete(1, queue).await;
    }
}

/// A channel that is closed for an offence has told what became of its publishes before.
#[tokio::test]
async fn nothing_is_left_untold_by_a_channel_that_ends() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    refusing(&mut client, "full", 1).await;
    client.select_confirms(1).await;
    let wire = (0..3).fold(Wire::new(), |wire, _| wire.publish(1, to_queue("full"), "x")).publish(
        1,
        to_exchange("nope", ""),
        "x",
    );
    client.send_wire(&wire).await;
    client.expect(1, ack(1)).await;
    client.expect(1, basic::Nack { delivery_tag: 3, multiple: true, requeue: false }).await;
    client
        .expect_channel_close(1, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", (60, 40))
        .await;
}
