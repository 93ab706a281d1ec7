//! Policies on queues that are in use: what changes at once, what for later messages only, and what comes
//! back when they go. No client can set one, so these tests need a broker of their own. Time is virtual.

use std::time::Duration;

use leveret::{ApplyTo, Broker, Policy};

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, check_queue, consume, consume_freely,
    declare_queue, declare_queue_with, get, get_to_ack, queue, requeue, short, to_queue,
};

async fn start() -> Option<(TestServer, RawClient)> {
    let server = TestServer::leveret().await?;
    server.virtual_time();
    let client = server.channel().await;
    Some((server, client))
}

fn policy<V: Into<FieldValue>>(definition: impl IntoIterator<Item = (&'static str, V)>) -> Policy {
    let policy = Policy::new("p", "^q", definition).expect("a good policy");
    policy.with_apply_to(ApplyTo::Queues)
}

fn set<V: Into<FieldValue>>(
    server: &TestServer,
    definition: impl IntoIterator<Item = (&'static str, V)>,
) {
    broker(server).set_policy("/", policy(definition)).expect("the default vhost");
}

fn unset(server: &TestServer) {
    assert_eq!(broker(server).delete_policy("/", "p"), Ok(true));
}

fn broker(server: &TestServer) -> &Broker {
    server.broker().expect("it runs here")
}

async fn publish(client: &mut RawClient, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        client.publish(1, to_queue("q"), number.to_string()).await;
    }
    client.expect_nothing(1).await;
}

/// A lower `max-length` drops at once, the oldest first, to where dead letters go, and holds for later
/// messages; without the policy there is no limit again.
#[tokio::test]
async fn a_lower_limit_drops_at_once() {
    let Some((server, mut client)) = start().await else { return };
    client.call(1, declare_queue("dead")).await;
    let to = [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "dead".into())];
    client.call(1, declare_queue_with("q", to)).await;
    publish(&mut client, 1..=5).await;
    set(&server, [("max-length", 2)]);
    assert_eq!(client.counts(1, "q").await, (2, 0));
    publish(&mut client, 6..=6).await;
    assert_eq!(client.drain(1, "dead").await, ["1", "2", "3", "4"]);
    unset(&server);
    publish(&mut client, 7..=9).await;
    assert_eq!(client.drain(1, "q").await, ["5", "6", "7", "8", "9"]);
    assert_eq!(server.memory_used(), Some(0));
}

/// `overflow` can change under a publisher: what was dropped at the head is refused from now on.
#[tokio::test]
async fn overflow_can_change() {
    let Some((server, mut client)) = start().await else { return };
    client.call(1, declare_queue_with("q", [("x-max-length", 1_i32.into())])).await;
    client.open_channel(2).await;
    client.select_confirms(2).await;
    client.publish(2, to_queue("q"), "dropped").await;
    client.expect(2, ack(1)).await;
    client.publish(2, to_queue("q"), "kept").await;
    client.expect(2, ack(2)).await;
    set(&server, [("overflow", "reject-publish")]);
    client.publish(2, to_queue("q"), "refused").await;
    match client.receive_method(2).await {
        crate::support::Method::BasicNack(nack) => assert_eq!(nack.delivery_tag, 3),
        other => panic!("expected basic.nack, got {other:?}"),
    }
    unset(&server);
    client.publish(2, to_queue("q"), "last").await;
    client.expect(2, ack(4)).await;
    assert_eq!(client.drain(1, "q").await, ["last"]);
}

/// `message-ttl` is for messages that come later: those that wait keep the expiry they have, also when it
/// goes. Of the policy and the message's own the shorter counts, of argument and policy too.
#[tokio::test]
async fn a_time_to_live_is_for_later_messages() {
    let Some((server, mut client)) = start().await else { return };
    client.call(1, declare_queue("q")).await;
    publish(&mut client, 1..=1).await;
    set(&server, [("message-ttl", 10_000)]);
    publish(&mut client, 2..=2).await;
    let longer = BasicProperties { expiration: Some(short("20000")), ..BasicProperties::default() };
    client.publish_with(1, to_queue("q"), &longer, "3").await;
    client.expect_nothing(1).await;
    unset(&server);
    publish(&mut client, 4..=4).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(client.drain(1, "q").await, ["1", "4"]);
}

/// `expires` counts from the queue's last use, which may be long ago: the queue goes at once then. While it
/// has consumers it stays.
#[tokio::test]
async fn expiry_counts_from_the_last_use() {
    let Some((server, mut client)) = start().await else { return };
    client.open_channel(2).await;
    for name in ["q.unused", "q.used", "other"] {
        client.call(1, declare_queue(name)).await;
    }
    client.call(1, consume("q.used", "c")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    set(&server, [("expires", 50_000)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = "NOT_FOUND - no queue 'q.unused' in vhost '/'";
    client.refused(2, check_queue("q.unused"), 404, text).await;
    client.counts(1, "other").await;
    assert_eq!(client.counts(1, "q.used").await, (0, 1));
    client.call(1, crate::support::cancel("c")).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    unset(&server);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    client.counts(1, "q.used").await;
}

/// `delivery-limit` counts the returns that were before it, and dead letters go where the policy says.
#[tokio::test]
async fn a_delivery_limit_counts_what_was_before() {
    let Some((server, mut client)) = start().await else { return };
    for name in ["q", "dead"] {
        client.call(1, declare_queue(name)).await;
    }
    publish(&mut client, 1..=1).await;
    let take = async |client: &mut RawClient| {
        let (got, _) = client.get(1, get_to_ack("q")).await.expect("a message");
        client.send(1, requeue(got.delivery_tag)).await;
    };
    take(&mut client).await;
    take(&mut client).await;
    let definition: [(&str, FieldValue); 3] = [
        ("delivery-limit", 2_i64.into()),
        ("dead-letter-exchange", "".into()),
        ("dead-letter-routing-key", "dead".into()),
    ];
    set(&server, definition);
    take(&mut client).await;
    assert!(client.get(1, get("q")).await.is_none());
    let (_, content) = client.get(1, get("dead")).await.expect("a dead letter");
    assert_eq!(content.header("x-first-death-reason"), Some("delivery_limit".into()));
    unset(&server);
    publish(&mut client, 2..=2).await;
    for _ in 0..4 {
        take(&mut client).await;
    }
    assert_eq!(client.drain(1, "q").await, ["2"]);
}

/// `consumer-timeout` holds for deliveries that are out already.
#[tokio::test]
async fn a_consumer_timeout_holds_at_once() {
    let Some((server, mut client)) = start().await else { return };
    client.call(1, declare_queue("q")).await;
    client.call(1, consume("q", "c")).await;
    client.publish(1, to_queue("q"), "x").await;
    client.delivery(1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    set(&server, [("consumer-timeout", 30_000)]);
    let started = tokio::time::Instant::now();
    assert_eq!(client.delivery(1).await.summary(), ("c", "x", true));
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(11), "{waited:?}");
    unset(&server);
    client.send(1, ack(2)).await;
    client.expect_nothing(1).await;
}

/// An operator's limit and everybody else's: the smaller one counts, whoever set it, and deleting it
/// restores the other. Declaring again compares arguments only.
#[tokio::test]
async fn an_operator_policy_only_ever_narrows() {
    let Some((server, mut client)) = start().await else { return };
    let declare = declare_queue_with("q", [("x-max-length", 4_i32.into())]);
    client.call(1, declare.clone()).await;
    let operator = |max: i64| {
        let policy = Policy::new("o", "", [("max-length", max)]).expect("a good policy");
        broker(&server).set_operator_policy("/", policy).expect("the default vhost");
    };
    let kept = async |client: &mut RawClient| {
        publish(client, 1..=10).await;
        client.drain(1, "q").await.len()
    };
    operator(6);
    assert_eq!(kept(&mut client).await, 4);
    operator(2);
    assert_eq!(kept(&mut client).await, 2);
    set(&server, [("max-length", 1)]);
    client.call(1, declare.clone()).await;
    assert_eq!(broker(&server).delete_operator_policy("/", "o"), Ok(true));
    let min = kept(&mut client).await;
    assert_eq!(min, 1, "of argument and policy, too, the smaller number counts");
    unset(&server);
    assert_eq!(kept(&mut client).await, 4);
    client.call(1, declare).await;
}

/// `dead-letter-exchange` comes, changes and goes: a message goes where it says when it dies.
#[tokio::test]
async fn dead_letters_go_where_the_policy_says_at_their_death() {
    let Some((server, mut client)) = start().await else { return };
    for name in ["q", "one", "two"] {
        client.call(1, declare_queue(name)).await;
    }
    let kill = async |client: &mut RawClient| {
        publish(client, 1..=1).await;
        let (got, _) = client.get(1, get_to_ack("q")).await.expect("a message");
        client.send(1, crate::support::reject(got.delivery_tag)).await;
        client.expect_nothing(1).await;
    };
    kill(&mut client).await;
    for name in ["one", "two"] {
        set(&server, [("dead-letter-exchange", ""), ("dead-letter-routing-key", name)]);
        kill(&mut client).await;
    }
    unset(&server);
    kill(&mut client).await;
    for name in ["one", "two"] {
        assert_eq!(client.drain(1, name).await, ["1"]);
    }
    assert_eq!(server.memory_used(), Some(0));
}

/// A queue that is declared while a policy stands has it from its first message on, and of several
/// policies the one with the highest priority alone.
#[tokio::test]
async fn the_strongest_policy_holds_alone() {
    let Some((server, mut client)) = start().await else { return };
    set(&server, [("max-length", 1)]);
    let strong = Policy::new("strong", "^q$", [("message-ttl", 60_000)]).expect("a good policy");
    broker(&server).set_policy("/", strong.with_priority(1)).expect("the default vhost");
    for (name, kept) in [("q", 3), ("q.other", 1)] {
        client.call(1, queue::Declare { durable: true, ..declare_queue(name) }).await;
        for _ in 0..3 {
            client.publish(1, to_queue(name), "x").await;
        }
        assert_eq!(client.counts(1, name).await, (kept, 0));
    }
    client.call(1, consume_freely("q", "c")).await;
    client.deliveries(1, 3).await;
}
