//! Messages that come later. RabbitMQ does so with a plugin, by another exchange type; these are tests of
//! leveret alone. Time is virtual.

use std::time::{Duration, SystemTime};

use leveret::Broker;

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, bind_queue, consume, declare_exchange,
    declare_queue, declare_queue_with, delete_queue, get, mandatory, purge_queue, short,
    to_exchange, to_queue, tx, with_headers,
};

fn delayed(milliseconds: i64) -> BasicProperties {
    with_headers([("x-delay", milliseconds.into())])
}

async fn start() -> Option<(TestServer, RawClient)> {
    let server = TestServer::leveret().await?;
    server.virtual_time();
    let client = server.channel().await;
    Some((server, client))
}

/// The texts of the messages that wait in `q`.
fn scheduled(broker: &Broker) -> Vec<String> {
    let scheduled = broker.scheduled("/", "q", 100).expect("the queue exists");
    scheduled
        .iter()
        .map(|it| String::from_utf8_lossy(it.message.inline_body()).into_owned())
        .collect()
}

/// `x-delay` works with every exchange: the message is routed at once, and each of its queues holds it
/// back. Receivers see the delay negated.
#[tokio::test]
async fn every_queue_holds_its_copy_back() {
    let Some((_server, mut client)) = start().await else { return };
    client.call(1, declare_exchange("x", "fanout")).await;
    for name in ["a", "b"] {
        client.call(1, declare_queue(name)).await;
        client.call(1, bind_queue(name, "x", "")).await;
    }
    client.publish_with(1, to_exchange("x", ""), &delayed(5_000), "later").await;
    // What is bound or unbound meanwhile changes nothing.
    client.call(1, declare_queue("c")).await;
    client.call(1, bind_queue("c", "x", "")).await;
    client.publish(1, to_exchange("x", ""), "now").await;
    for name in ["a", "b"] {
        assert_eq!(client.counts(1, name).await, (1, 0));
        assert_eq!(client.drain(1, name).await, ["now"]);
        client.call(1, consume(name, name)).await;
    }
    let started = tokio::time::Instant::now();
    for delivery in client.deliveries(1, 2).await {
        assert_eq!((delivery.text(), delivery.method.redelivered), ("later", false));
        assert_eq!(delivery.content.header("x-delay"), Some((-5_000_i64).into()));
    }
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(6), "{waited:?}");
    assert_eq!(client.drain(1, "c").await, ["now"]);
}

/// `x-deliver-at` is a moment: milliseconds since 1970 as a number or a text, an AMQP timestamp, or RFC
/// 3339. It stays as it was written, and of both headers the later moment counts.
#[tokio::test]
async fn a_moment_can_be_written_in_several_ways() {
    let Some((_server, mut client)) = start().await else { return };
    client.call(1, declare_queue("q")).await;
    client.call(1, consume("q", "c")).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let at = |seconds: u64| now.as_secs() + seconds;
    let text = (at(400) * 1000).to_string();
    let forms = [
        ("timestamp", FieldValue::Timestamp(at(200))),
        ("number", FieldValue::I64(i64::try_from(at(300) * 1000).expect("this century"))),
        ("text", FieldValue::from(text.as_str())),
        ("RFC 3339, long past", FieldValue::from("1985-04-12T23:20:50.52Z")),
    ];
    for (text, moment) in &forms {
        let properties = with_headers([("x-deliver-at", moment.clone())]);
        client.publish_with(1, to_queue("q"), &properties, text).await;
    }
    let both = with_headers([
        ("x-deliver-at", FieldValue::Timestamp(at(100))),
        ("x-delay", 500_000_i32.into()),
    ]);
    client.publish_with(1, to_queue("q"), &both, "both").await;
    let mut got = Vec::new();
    for _ in 0..5 {
        // Nothing is answered for minutes, which is longer than a test is patient.
        tokio::time::sleep(Duration::from_secs(101)).await;
        got.push(client.delivery(1).await);
    }
    let texts: Vec<_> = got.iter().map(crate::support::Delivery::text).collect();
    assert_eq!(texts, ["RFC 3339, long past", "timestamp", "number", "text", "both"]);
    assert_eq!(got[1].content.header("x-deliver-at"), Some(forms[0].1.clone()));
}

/// What is no moment closes the channel.
#[tokio::test]
async fn what_is_no_moment_is_406() {
    let Some((_server, mut client)) = start().await else { return };
    for (value, shown) in [
        (FieldValue::from("tomorrow"), "'tomorrow'"),
        (FieldValue::from(true), "bool"),
        (FieldValue::from(""), "''"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid header 'x-deliver-at': {shown} is neither milliseconds since \
             1970 nor an RFC 3339 time"
        );
        let properties = with_headers([("x-deliver-at", value)]);
        client.publish_refused(1, to_queue("q"), &properties, 406, &text).await;
    }
}

/// A delayed message is confirmed, returned or committed like any other, without waiting for its time.
#[tokio::test]
async fn a_publisher_does_not_wait() {
    let Some((server, mut client)) = start().await else { return };
    client.call(1, declare_queue("q")).await;
    client.open_channel(2).await;
    client.select_confirms(1).await;
    let started = tokio::time::Instant::now();
    client.publish_with(1, mandatory(to_queue("q")), &delayed(3_600_000), "kept").await;
    client.expect(1, ack(1)).await;
    client.publish_with(1, mandatory(to_queue("nowhere")), &delayed(3_600_000), "back").await;
    let (_, content) = client.returned(1).await;
    // It comes back as it was sent.
    assert_eq!(content.header("x-delay"), Some(3_600_000_i64.into()));
    client.expect(1, ack(2)).await;
    client.call(2, tx::Select {}).await;
    client.publish_with(2, to_queue("q"), &delayed(3_600_000), "committed").await;
    client.call(2, tx::Commit {}).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let broker = server.broker().expect("it runs here");
    assert_eq!(scheduled(broker), ["kept", "committed"]);
}

/// Whoever embeds the broker sees what waits, the first to come first, and can cancel it.
#[tokio::test]
async fn scheduled_messages_can_be_looked_at_and_cancelled() {
    let Some((server, mut client)) = start().await else { return };
    let broker = server.broker().expect("it runs here");
    client.call(1, declare_queue("q")).await;
    for (milliseconds, text) in [(30_000, "third"), (10_000, "first"), (20_000, "second")] {
        client.publish_with(1, to_queue("q"), &delayed(milliseconds), text).await;
    }
    client.expect_nothing(1).await;
    assert_eq!(scheduled(broker), ["first", "second", "third"]);
    assert_eq!(broker.scheduled("/", "q", 1).map(|it| it.len()), Some(1));
    let waiting = broker.scheduled("/", "q", 100).expect("the queue exists");
    assert!(waiting.windows(2).all(|pair| pair[0].due < pair[1].due));
    assert!(waiting.iter().all(|it| it.returns == 0));
    let second = waiting[1].position;
    assert!(broker.cancel_scheduled("/", "q", second));
    assert!(!broker.cancel_scheduled("/", "q", second), "it is gone");
    assert!(!broker.cancel_scheduled("/", "nope", second));
    assert!(broker.scheduled("/", "nope", 1).is_none());
    drop(waiting);
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.texts(1, 2).await, ["first", "third"]);
    client.ack_all(1).await;
    client.expect_nothing(1).await;
    assert_eq!(server.memory_used(), Some(0));
}

/// A message that waits is not ready: a purge leaves it, counts and limits do not see it, and it does not
/// keep a queue from being deleted `if-empty`. It goes with its queue.
#[tokio::test]
async fn a_message_that_waits_is_not_ready() {
    let Some((server, mut client)) = start().await else { return };
    let limit = [("x-max-length", 1_i32.into())];
    client.call(1, declare_queue_with("q", limit)).await;
    for text in ["1", "2"] {
        client.publish_with(1, to_queue("q"), &delayed(10_000), text).await;
    }
    client.publish(1, to_queue("q"), "now").await;
    assert_eq!(client.counts(1, "q").await, (1, 0));
    client.send(1, purge_queue("q")).await;
    client.expect(1, crate::support::queue::PurgeOk { message_count: 1 }).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    // Both became ready, and one is too many.
    assert_eq!(client.drain(1, "q").await, ["2"]);
    client.publish_with(1, to_queue("q"), &delayed(10_000), "gone").await;
    let delete = crate::support::queue::Delete { if_empty: true, ..delete_queue("q") };
    client.call(1, delete).await;
    assert_eq!(server.memory_used(), Some(0));
    client.call(1, declare_queue("q")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(client.get(1, get("q")).await.is_none());
}

/// The time to live begins when the message becomes ready.
#[tokio::test]
async fn a_message_ages_from_when_it_is_due() {
    let Some((_server, mut client)) = start().await else { return };
    let to = [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "dead".into())];
    client.call(1, declare_queue("dead")).await;
    client.call(1, declare_queue_with("q", to)).await;
    let properties = BasicProperties { expiration: Some(short("5000")), ..delayed(20_000) };
    client.publish_with(1, to_queue("q"), &properties, "x").await;
    tokio::time::sleep(Duration::from_secs(22)).await;
    assert_eq!(client.counts(1, "q").await, (1, 0));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(client.counts(1, "q").await, (0, 0));
    let (_, content) = client.get(1, get("dead")).await.expect("a dead letter");
    // It is not delayed again.
    assert_eq!(content.header("x-delay"), Some((-20_000_i64).into()));
}

/// When it is due, a message stands among the others as if it were published then: by its priority, or
/// in its group.
#[tokio::test]
async fn a_due_message_keeps_the_order_of_its_queue() {
    let Some((_server, mut client)) = start().await else { return };
    client.call(1, declare_queue_with("p", [("x-max-priority", 5_i32.into())])).await;
    let urgent = BasicProperties { priority: Some(5), ..delayed(1_000) };
    client.publish_with(1, to_queue("p"), &urgent, "urgent").await;
    client.publish(1, to_queue("p"), "low").await;
    client.call(1, declare_queue_with("g", [("x-message-group-header", "g".into())])).await;
    let group = || ("g", FieldValue::from("a"));
    let later = with_headers([group(), ("x-delay", 1_000_i32.into())]);
    client.publish_with(1, to_queue("g"), &later, "later").await;
    for text in ["1", "2"] {
        client.publish_with(1, to_queue("g"), &with_headers([group()]), text).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.drain(1, "p").await, ["urgent", "low"]);
    client.call(1, consume("g", "c")).await;
    for (tag, text) in [(3, "1"), (4, "2"), (5, "later")] {
        let delivery = client.delivery(1).await;
        assert_eq!((delivery.tag(), delivery.text()), (tag, text));
        client.expect_nothing(1).await;
        client.send(1, ack(tag)).await;
    }
}

/// A retry waits where it can be seen, and counts its returns; cancelled, it is gone.
#[tokio::test]
async fn a_retry_that_waits_can_be_cancelled() {
    let Some((server, mut client)) = start().await else { return };
    let broker = server.broker().expect("it runs here");
    let arguments =
        [("x-delayed-retry-type", "all".into()), ("x-delayed-retry-min", 60_000_i32.into())];
    client.call(1, declare_queue_with("q", arguments)).await;
    client.publish(1, to_queue("q"), "x").await;
    let (got, _) = client.get(1, crate::support::get_to_ack("q")).await.expect("a message");
    client.send(1, crate::support::requeue(got.delivery_tag)).await;
    client.expect_nothing(1).await;
    assert_eq!(client.counts(1, "q").await, (0, 0));
    let waiting = broker.scheduled("/", "q", 10).expect("the queue exists");
    assert_eq!(waiting.iter().map(|it| it.returns).collect::<Vec<_>>(), [1]);
    assert!(broker.cancel_scheduled("/", "q", waiting[0].position));
    drop(waiting);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(client.get(1, get("q")).await.is_none());
    assert_eq!(server.memory_used(), Some(0));
}
