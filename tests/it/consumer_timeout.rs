//! Deliveries that a consumer holds for too long. leveret takes them back where RabbitMQ 3.10 closes the
//! channel, and is on time where RabbitMQ looks once a minute, so these are tests of leveret alone. Time
//! is virtual.

use std::time::Duration;

use leveret::config::{Config, ConsumerTimeoutAction};

use crate::support::{
    FieldValue, Handshake, RawClient, TestServer, ack, ack_multiple, basic, cancel, capabilities,
    channel, channel_prefetch, consume, consume_with, declare_queue, declare_queue_with,
    get_to_ack, nack, prefetch, short, to_queue, tx,
};

const TIMED_OUT: &str = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout \
                         value used: 5000 ms. This timeout value can be configured, see consumers doc \
                         guide to learn more";

/// A queue whose consumers have five seconds, and the arguments `more`.
fn patient<const N: usize>(
    queue: &str,
    more: [(&'static str, FieldValue); N],
) -> crate::support::queue::Declare {
    declare_queue_with(queue, [("x-consumer-timeout", 5_000_i32.into())].into_iter().chain(more))
}

fn action(name: &str) -> (&'static str, FieldValue) {
    ("x-consumer-timeout-action", name.into())
}

/// A broker with virtual time, and a channel on which so many messages were published to `q`.
async fn published(
    declare: crate::support::queue::Declare,
    count: u32,
) -> Option<(TestServer, RawClient)> {
    let server = TestServer::leveret().await?;
    server.virtual_time();
    let mut client = server.channel().await;
    client.call(1, declare).await;
    for number in 1..=count {
        client.publish(1, to_queue("q"), number.to_string()).await;
    }
    client.expect_nothing(1).await;
    Some((server, client))
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// A delivery that is held for longer than `x-consumer-timeout` goes back to the queue, redelivered, and
/// the channel stays open. One that was delivered later has its own time.
#[tokio::test]
async fn overdue_deliveries_go_back_one_by_one() {
    let Some((server, mut holder)) = published(patient("q", []), 1).await else { return };
    holder.call(1, prefetch(2)).await;
    holder.call(1, consume("q", "holder")).await;
    assert_eq!(holder.delivery(1).await.summary(), ("holder", "1", false));
    pass(2_000).await;
    holder.publish(1, to_queue("q"), "2").await;
    assert_eq!(holder.delivery(1).await.summary(), ("holder", "2", false));
    holder.send(1, cancel("holder")).await;
    holder.expect(1, basic::CancelOk { consumer_tag: short("holder") }).await;
    let mut other = server.channel().await;
    other.call(1, consume("q", "other")).await;
    pass(2_900).await;
    other.expect_nothing(1).await;
    assert_eq!(other.delivery(1).await.summary(), ("other", "1", true));
    pass(1_900).await;
    other.expect_nothing(1).await;
    assert_eq!(other.delivery(1).await.summary(), ("other", "2", true));
    holder.expect_nothing(1).await;
}

/// A late answer does nothing: it is no error, and it settles nobody else's delivery, whether it is an
/// ack, a nack or one with `multiple`.
#[tokio::test]
async fn a_late_answer_settles_nothing() {
    let Some((server, mut late)) = published(patient("q", []), 3).await else { return };
    late.call(1, consume("q", "late")).await;
    assert_eq!(late.texts(1, 3).await, ["1", "2", "3"]);
    late.send(1, cancel("late")).await;
    late.expect(1, basic::CancelOk { consumer_tag: short("late") }).await;
    let mut other = server.channel().await;
    other.call(1, consume("q", "other")).await;
    assert_eq!(other.texts(1, 3).await, ["1", "2", "3"]);
    late.send(1, ack(1)).await;
    late.send(1, nack(2, false, false)).await;
    late.send(1, ack_multiple(3)).await;
    late.expect_nothing(1).await;
    // Settled is settled: the second answer is as wrong as ever.
    let text = "PRECONDITION_FAILED - unknown delivery tag 1";
    late.refused(1, ack(1), 406, text).await;
    drop(other);
    late.call(1, consume("q", "again")).await;
    assert_eq!(late.texts(1, 3).await, ["1", "2", "3"]);
}

/// What went back does not count against the consumer's credit.
#[tokio::test]
async fn credit_comes_back_with_the_delivery() {
    one_at_a_time(prefetch(1)).await;
}

/// Nor against that of its channel.
#[tokio::test]
async fn a_channels_credit_comes_back_with_the_delivery() {
    one_at_a_time(channel_prefetch(1)).await;
}

async fn one_at_a_time(qos: basic::Qos) {
    let Some((_server, mut client)) = published(patient("q", []), 2).await else { return };
    client.call(1, qos).await;
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "1", false));
    client.expect_nothing(1).await;
    let again = client.delivery(1).await;
    assert_eq!((again.tag(), again.summary()), (2, ("c", "1", true)));
    assert_eq!(again.content.header("x-delivery-count"), Some(1_i64.into()));
    client.send(1, ack(1)).await;
    client.expect_nothing(1).await;
    client.send(1, ack(2)).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "2", false));
}

/// What `basic.get` took goes back as well; the channel may answer late.
#[tokio::test]
async fn what_get_took_goes_back_too() {
    let Some((_server, mut client)) = published(patient("q", []), 1).await else { return };
    assert!(client.get(1, get_to_ack("q")).await.is_some());
    pass(4_900).await;
    assert!(client.get(1, get_to_ack("q")).await.is_none());
    pass(200).await;
    let (got, content) = client.get(1, get_to_ack("q")).await.expect("it is back");
    assert_eq!((got.delivery_tag, got.redelivered, content.text()), (2, true, "1"));
    client.send(1, ack(1)).await;
    client.expect_nothing(1).await;
    client.send(1, nack(2, false, true)).await;
    client.expect_nothing(1).await;
    assert_eq!(client.counts(1, "q").await, (1, 0));
}

/// With `close-channel` the channel closes with RabbitMQ's text, blaming no method, and all that it held
/// is back in the queue in order.
#[tokio::test]
async fn close_channel_closes_the_channel() {
    let declare = patient("q", [action("close-channel")]);
    let Some((_server, mut client)) = published(declare, 2).await else { return };
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.texts(1, 2).await, ["1", "2"]);
    client.expect_channel_close(1, 406, TIMED_OUT, (0, 0)).await;
    client.send(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
    for text in ["1", "2"] {
        let (got, content) = client.get(1, get_to_ack("q")).await.expect("a message");
        assert_eq!((content.text(), got.redelivered), (text, true));
    }
}

/// With `cancel` the consumer is cancelled, a client with `consumer_cancel_notify` is told so, and its
/// channel goes on, other consumers included.
#[tokio::test]
async fn cancel_tells_a_client_that_understands() {
    let declare = patient("q", [action("cancel")]);
    let Some((_server, mut client)) = published(declare, 1).await else { return };
    client.call(1, declare_queue("other")).await;
    client.call(1, consume("other", "other")).await;
    client.call(1, consume("q", "held")).await;
    assert_eq!(client.delivery(1).await.summary(), ("held", "1", false));
    client.expect(1, basic::Cancel { consumer_tag: short("held"), no_wait: true }).await;
    assert_eq!(client.counts(1, "q").await, (1, 0));
    client.send(1, ack(1)).await;
    client.publish(1, to_queue("other"), "x").await;
    assert_eq!(client.delivery(1).await.summary(), ("other", "x", false));
    // The tag is free.
    client.call(1, consume("q", "held")).await;
    assert_eq!(client.delivery(1).await.summary(), ("held", "1", true));
}

/// A client without `consumer_cancel_notify` would wait for ever: its channel is closed.
#[tokio::test]
async fn cancel_closes_the_channel_of_a_client_that_does_not_understand() {
    let declare = patient("q", [action("cancel")]);
    let Some((server, mut other)) = published(declare, 1).await else { return };
    let handshake =
        Handshake { client_properties: capabilities(&["basic.nack"]), ..Handshake::default() };
    let mut client = server.connect_with(&handshake).await;
    client.open_channel(1).await;
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "1", false));
    client.expect_channel_close(1, 406, TIMED_OUT, (0, 0)).await;
    assert_eq!(other.counts(1, "q").await, (1, 0));
}

/// The consumer's own arguments win over the queue's, and these over the configuration.
#[tokio::test]
async fn the_consumer_wins_over_the_queue_and_the_queue_over_the_configuration() {
    let configure = |config: &mut Config| {
        config.consumer_timeout_ms = 5_000;
        config.consumer_timeout_action = ConsumerTimeoutAction::CloseChannel;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    server.virtual_time();
    let mut client = server.channel().await;
    for queue in [declare_queue("plain"), patient("q", [action("cancel")])] {
        client.publish(1, to_queue(queue.queue.to_str().expect("a name")), "lost").await;
        client.call(1, queue.clone()).await;
        client.publish(1, to_queue(queue.queue.to_str().expect("a name")), "x").await;
    }
    client.call(1, consume("plain", "c")).await;
    client.delivery(1).await;
    client.expect_channel_close(1, 406, TIMED_OUT, (0, 0)).await;
    client.send(1, channel::CloseOk {}).await;

    client.open_channel(1).await;
    client.call(1, consume("q", "c")).await;
    client.delivery(1).await;
    client.expect(1, basic::Cancel { consumer_tag: short("c"), no_wait: true }).await;

    let arguments = [("x-consumer-timeout", 30_000_i32.into()), action("requeue")];
    let started = tokio::time::Instant::now();
    client.call(1, consume_with("q", "c", arguments)).await;
    assert_eq!(client.delivery(1).await.tag(), 2);
    assert_eq!(client.delivery(1).await.tag(), 3);
    assert!(started.elapsed() >= Duration::from_secs(30), "{:?}", started.elapsed());

    // 0 is for ever.
    client.send(1, cancel("c")).await;
    client.expect(1, basic::CancelOk { consumer_tag: short("c") }).await;
    client.send(1, ack_multiple(0)).await;
    client.publish(1, to_queue("q"), "held").await;
    client.call(1, consume_with("q", "c", [("x-consumer-timeout", 0_i32.into())])).await;
    assert_eq!(client.delivery(1).await.text(), "held");
    pass(24 * 3_600_000).await;
    client.expect_nothing(1).await;
}

/// A consumer that does not acknowledge holds nothing, and an acknowledged delivery is not overdue.
#[tokio::test]
async fn what_is_settled_does_not_time_out() {
    let declare = patient("q", [action("close-channel")]);
    let Some((_server, mut client)) = published(declare, 2).await else { return };
    client.call(1, crate::support::consume_freely("q", "free")).await;
    assert_eq!(client.texts(1, 2).await, ["1", "2"]);
    client.call(1, cancel("free")).await;
    client.call(1, consume("q", "c")).await;
    client.publish(1, to_queue("q"), "3").await;
    let delivery = client.delivery(1).await;
    client.send(1, ack(delivery.tag())).await;
    pass(60_000).await;
    client.expect_nothing(1).await;
    assert_eq!(client.counts(1, "q").await, (0, 1));
}

/// An acknowledgement that waits for its commit when the time runs out comes too late: the message is
/// back, the commit is none the wiser.
#[tokio::test]
async fn an_acknowledgement_counts_when_it_is_committed() {
    let Some((server, mut client)) = published(patient("q", []), 1).await else { return };
    client.call(1, prefetch(1)).await;
    client.call(1, tx::Select {}).await;
    client.call(1, consume("q", "c")).await;
    client.delivery(1).await;
    client.send(1, cancel("c")).await;
    client.expect(1, basic::CancelOk { consumer_tag: short("c") }).await;
    client.send(1, ack(1)).await;
    let mut other = server.channel().await;
    other.call(1, consume("q", "other")).await;
    assert_eq!(other.delivery(1).await.summary(), ("other", "1", true));
    client.send(1, tx::Commit {}).await;
    client.expect(1, tx::CommitOk {}).await;
    drop(other);
    client.call(1, consume("q", "again")).await;
    assert_eq!(client.delivery(1).await.summary(), ("again", "1", true));
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_406() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    let timeout = "x-consumer-timeout";
    for (arg, value, reason) in [
        (timeout, (-1_i32).into(), "{value_negative,-1}"),
        (timeout, "5".into(), "\"expected integer, got longstr\""),
        (action("").0, 5_i32.into(), "{unacceptable_type,signedint}"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{arg}' for queue 'q' in vhost '/': {reason}"
        );
        let arguments = [(arg, FieldValue::clone(&value))];
        client.refused(1, consume_with("q", "c", arguments.clone()), 406, &text).await;
        client.call(1, crate::support::delete_queue("q")).await;
        client.refused(1, declare_queue_with("q", arguments), 406, &text).await;
        client.call(1, declare_queue("q")).await;
    }
    let text = "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'q' in vhost '/': \
                {value_negative,-7}";
    client.refused(1, consume_with("q", "c", [(timeout, (-7_i32).into())]), 406, text).await;
}
