//! Queues that take a message once. RabbitMQ does so with a plugin; these are tests of leveret alone.

use std::time::Duration;

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, basic, declare_queue,
    declare_queue_with, get, get_to_ack, mandatory, queue, reject, requeue, to_queue, tx,
    with_headers,
};

fn keyed(key: impl Into<FieldValue>) -> BasicProperties {
    with_headers([("x-deduplication-header", key.into())])
}

async fn start<const N: usize>(
    more: [(&'static str, FieldValue); N],
) -> Option<(TestServer, RawClient)> {
    let server = TestServer::leveret().await?;
    server.virtual_time();
    let mut client = server.channel().await;
    let arguments = [("x-message-deduplication", true.into())].into_iter().chain(more);
    client.call(1, declare_queue_with("q", arguments)).await;
    Some((server, client))
}

/// A duplicate is confirmed with an ack and not returned: it arrived, the first time.
#[tokio::test]
async fn a_duplicate_is_acked_and_not_returned() {
    let Some((server, mut client)) = start([]).await else { return };
    client.select_confirms(1).await;
    for text in ["1", "2"] {
        client.publish_with(1, mandatory(to_queue("q")), &keyed("k"), text).await;
    }
    assert_eq!(client.confirms(1, 2).await, [true, true]);
    assert_eq!(client.drain(1, "q").await, ["1"]);
    assert_eq!(server.memory_used(), Some(0));
}

/// A key is free as soon as its message left: acknowledged, rejected, expired, purged or cancelled; not
/// while it is unacknowledged, requeued or delayed.
#[tokio::test]
async fn a_key_is_taken_as_long_as_its_message_is_there() {
    let Some((server, mut client)) = start([]).await else { return };
    client.publish_with(1, to_queue("q"), &keyed("k"), "1").await;
    client.get(1, get_to_ack("q")).await.expect("a message");
    client.publish_with(1, to_queue("q"), &keyed("k"), "duplicate").await;
    client.send(1, requeue(1)).await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "duplicate").await;
    assert_eq!(client.counts(1, "q").await, (1, 0));
    client.get(1, get_to_ack("q")).await.expect("a message");
    client.send(1, reject(2)).await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "2").await;
    client.get(1, get_to_ack("q")).await.expect("a message");
    client.send(1, ack(3)).await;
    let mut expiring = keyed("k");
    expiring.expiration = Some(crate::support::short("1000"));
    client.publish_with(1, to_queue("q"), &expiring, "expires").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "3").await;
    client.send(1, crate::support::purge_queue("q")).await;
    client.expect(1, queue::PurgeOk { message_count: 1 }).await;
    let delayed =
        with_headers([("x-deduplication-header", "k".into()), ("x-delay", 60_000_i32.into())]);
    client.publish_with(1, to_queue("q"), &delayed, "4").await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "duplicate").await;
    assert_eq!(client.counts(1, "q").await, (0, 0));
    let broker = server.broker().expect("it runs here");
    let waiting = broker.scheduled("/", "q", 10).expect("the queue exists");
    assert!(broker.cancel_scheduled("/", "q", waiting[0].position));
    drop(waiting);
    client.publish_with(1, to_queue("q"), &keyed("k"), "5").await;
    assert_eq!(client.drain(1, "q").await, ["5"]);
    assert_eq!(server.memory_used(), Some(0));
}

/// With `x-deduplication-window`, a key is taken for so many milliseconds, whether or not its message is
/// still there.
#[tokio::test]
async fn a_window_is_counted_from_the_first() {
    let Some((_server, mut client)) = start([("x-deduplication-window", 10_000_i32.into())]).await
    else {
        return;
    };
    client.publish_with(1, to_queue("q"), &keyed("k"), "1").await;
    assert_eq!(client.drain(1, "q").await, ["1"]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "duplicate").await;
    assert!(client.get(1, get("q")).await.is_none());
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.publish_with(1, to_queue("q"), &keyed("k"), "2").await;
    assert_eq!(client.drain(1, "q").await, ["2"]);
}

/// A message that a full queue refused left no trace: it can be sent again.
#[tokio::test]
async fn what_was_refused_is_not_known() {
    let limits = [("x-max-length", 1_i32.into()), ("x-overflow", "reject-publish".into())];
    let Some((_server, mut client)) = start(limits).await else { return };
    client.open_channel(2).await;
    client.select_confirms(2).await;
    for (key, text) in [("a", "1"), ("b", "refused")] {
        client.publish_with(2, to_queue("q"), &keyed(key), text).await;
    }
    assert_eq!(client.confirms(2, 2).await, [true, false]);
    assert_eq!(client.drain(1, "q").await, ["1"]);
    client.publish_with(2, to_queue("q"), &keyed("b"), "2").await;
    client.expect(2, basic::Ack { delivery_tag: 3, multiple: false }).await;
    assert_eq!(client.drain(1, "q").await, ["2"]);
}

/// A transaction's messages are looked at when it commits.
#[tokio::test]
async fn a_rolled_back_message_is_not_known() {
    let Some((_server, mut client)) = start([]).await else { return };
    client.open_channel(2).await;
    client.call(2, tx::Select {}).await;
    client.publish_with(2, to_queue("q"), &keyed("k"), "rolled back").await;
    client.call(2, tx::Rollback {}).await;
    for text in ["committed", "duplicate"] {
        client.publish_with(2, to_queue("q"), &keyed("k"), text).await;
    }
    client.call(2, tx::Commit {}).await;
    assert_eq!(client.drain(1, "q").await, ["committed"]);
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_406() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let (on, window) = ("x-message-deduplication", "x-deduplication-window");
    for (arguments, arg, reason) in [
        (vec![(on, "true".into())], on, "{unacceptable_type,longstr}"),
        (vec![(window, 5_i32.into())], window, "no_x-message-deduplication_defined"),
        (
            vec![(on, false.into()), (window, 5_i32.into())],
            window,
            "no_x-message-deduplication_defined",
        ),
        (vec![(on, true.into()), (window, 0_i32.into())], window, "{value_zero,0}"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{arg}' for queue 'q' in vhost '/': {reason}"
        );
        client.refused(1, declare_queue_with("q", arguments), 406, &text).await;
    }
    client.call(1, declare_queue_with("q", [(on, true.into())])).await;
    let text = "PRECONDITION_FAILED - inequivalent arg 'x-message-deduplication' for queue 'q' in vhost \
                '/': received none but current is the value 'true' of type 'bool'";
    client.refused(1, declare_queue("q"), 406, text).await;
}

/// What a deduplication exchange has seen is what was taken: a message that a full queue refused is no
/// duplicate when it is sent again, and what was taken is one still.
#[tokio::test]
async fn a_refused_message_is_no_duplicate_when_it_comes_again() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let arguments = crate::support::table([("x-cache-size", 10_i32.into())]);
    let exchange = crate::support::declare_exchange("x", "x-message-deduplication");
    client.call(1, crate::support::exchange::Declare { arguments, ..exchange }).await;
    let limits = [("x-max-length", 1_i32.into()), ("x-overflow", "reject-publish".into())];
    client.call(1, declare_queue_with("q", limits)).await;
    client.call(1, crate::support::bind_queue("q", "x", "")).await;
    client.open_channel(2).await;
    client.select_confirms(2).await;
    let to_x = || crate::support::to_exchange("x", "");
    for key in ["taken", "refused"] {
        client.publish_with(2, to_x(), &keyed(key), key).await;
    }
    assert_eq!(client.confirms(2, 2).await, [true, false]);
    assert_eq!(client.drain(1, "q").await, ["taken"]);
    for key in ["refused", "taken"] {
        client.publish_with(1, to_x(), &keyed(key), key).await;
    }
    assert_eq!(client.drain(1, "q").await, ["refused"]);
}
