//! Message groups: messages that must not overtake each other, across connections and failures. RabbitMQ
//! has none, so these are tests of leveret alone.

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, ack_multiple, cancel, channel,
    consume, consume_freely, declare_queue_with, get_to_ack, nack, prefetch, requeue, short,
    to_queue, with_headers,
};

/// A queue whose groups are named by the header `g`; a channel to it.
async fn grouped(server: &TestServer, more: &[(&'static str, FieldValue)]) -> RawClient {
    let mut client = server.channel().await;
    let arguments = [("x-message-group-header", "g".into())];
    client.call(1, declare_queue_with("q", arguments.into_iter().chain(more.to_vec()))).await;
    client
}

/// Publishes a message for each text such as `a1`: the letter names its group.
async fn publish(client: &mut RawClient, texts: &[&str]) {
    for text in texts {
        let properties = with_headers([("g", text[..1].into())]);
        client.publish_with(1, to_queue("q"), &properties, text).await;
    }
    client.expect_nothing(1).await;
}

/// A consumer on a connection of its own.
async fn consumer(server: &TestServer, credit: u16) -> RawClient {
    let mut client = server.channel().await;
    client.call(1, prefetch(credit)).await;
    client.call(1, consume("q", "c")).await;
    client
}

/// "At most one message of each group is unacknowledged, across all consumers", whatever their credit:
/// those of other groups pass.
#[tokio::test]
async fn a_group_has_one_delivery_across_connections() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut publisher = grouped(&server, &[]).await;
    let mut first = consumer(&server, 10).await;
    publish(&mut publisher, &["a1", "a2", "b1", "b2"]).await;
    assert_eq!(first.texts(1, 2).await, ["a1", "b1"]);
    let mut second = consumer(&server, 10).await;
    second.expect_nothing(1).await;
    first.expect_nothing(1).await;
    // What is acknowledged by one connection may go on at another.
    first.send(1, cancel("c")).await;
    first.expect(1, crate::support::basic::CancelOk { consumer_tag: short("c") }).await;
    first.send(1, ack(1)).await;
    assert_eq!(second.texts(1, 1).await, ["a2"]);
    second.expect_nothing(1).await;
    first.send(1, ack(2)).await;
    assert_eq!(second.texts(1, 1).await, ["b2"]);
}

/// What a consumer held when its connection died comes back in front of its group.
#[tokio::test]
async fn a_consumer_that_dies_gives_its_groups_back_in_order() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut publisher = grouped(&server, &[]).await;
    let mut doomed = consumer(&server, 5).await;
    publish(&mut publisher, &["a1", "b1", "a2", "b2"]).await;
    assert_eq!(doomed.texts(1, 2).await, ["a1", "b1"]);
    let mut heir = consumer(&server, 5).await;
    drop(doomed);
    let mut got: Vec<_> = heir
        .deliveries(1, 2)
        .await
        .iter()
        .map(|delivery| (delivery.text().to_owned(), delivery.method.redelivered))
        .collect();
    got.sort();
    assert_eq!(got, [("a1".to_owned(), true), ("b1".to_owned(), true)]);
    heir.expect_nothing(1).await;
    heir.send(1, ack_multiple(0)).await;
    let mut got = heir.texts(1, 2).await;
    got.sort();
    assert_eq!(got, ["a2", "b2"]);
}

/// A message that is requeued stays first of its group, whether by reject, nack or a closed channel.
#[tokio::test]
async fn a_requeued_message_stays_first_of_its_group() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = grouped(&server, &[]).await;
    publish(&mut client, &["a1", "a2"]).await;
    client.call(1, prefetch(5)).await;
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.texts(1, 1).await, ["a1"]);
    client.send(1, requeue(1)).await;
    assert_eq!(client.texts(1, 1).await, ["a1"]);
    client.send(1, nack(2, false, true)).await;
    assert_eq!(client.texts(1, 1).await, ["a1"]);
    client.send(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.expect(1, channel::CloseOk {}).await;
    client.open_channel(1).await;
    client.call(1, consume("q", "c")).await;
    assert_eq!(client.texts(1, 1).await, ["a1"]);
    client.send(1, ack(1)).await;
    assert_eq!(client.texts(1, 1).await, ["a2"]);
}

/// `basic.get` holds its group as a consumer does, and passes over those that are held.
#[tokio::test]
async fn get_passes_over_groups_that_are_held() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = grouped(&server, &[]).await;
    publish(&mut client, &["a1", "a2", "b1"]).await;
    let (held, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!((content.text(), held.message_count), ("a1", 2));
    let (_, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!(content.text(), "b1");
    // One is ready, and nobody may have it.
    assert!(client.get(1, get_to_ack("q")).await.is_none());
    assert_eq!(client.counts(1, "q").await, (1, 0));
    client.send(1, ack(held.delivery_tag)).await;
    let (_, content) = client.get(1, get_to_ack("q")).await.expect("a message");
    assert_eq!(content.text(), "a2");
}

/// Without acknowledgement nothing is held: a group goes out in order and at once.
#[tokio::test]
async fn a_consumer_that_does_not_acknowledge_gets_its_groups_in_order() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = grouped(&server, &[]).await;
    publish(&mut client, &["a1", "a2", "b1", "a3", "b2"]).await;
    client.call(1, consume_freely("q", "c")).await;
    let got = client.texts(1, 5).await;
    let of = |group: char| -> Vec<&str> {
        got.iter().map(String::as_str).filter(|it| it.starts_with(group)).collect()
    };
    assert_eq!((of('a'), of('b')), (vec!["a1", "a2", "a3"], vec!["b1", "b2"]));
}

/// A message without the header is a group of its own, and a value counts with its type.
#[tokio::test]
async fn values_of_different_types_are_different_groups() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = grouped(&server, &[]).await;
    for (text, value) in [("number", 7_i32.into()), ("text", "7".into()), ("held", 7_i32.into())] {
        client.publish_with(1, to_queue("q"), &with_headers([("g", value)]), text).await;
    }
    for text in ["free", "free too"] {
        client.publish_with(1, to_queue("q"), &BasicProperties::default(), text).await;
    }
    client.call(1, consume("q", "c")).await;
    let mut got = client.texts(1, 4).await;
    got.sort();
    assert_eq!(got, ["free", "free too", "number", "text"]);
    client.expect_nothing(1).await;
}

/// A queue that is too long drops its oldest message. That it was of a group with an unacknowledged
/// delivery sets no other message of the group free.
#[tokio::test]
async fn a_message_dropped_for_length_does_not_free_its_group() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = grouped(&server, &[("x-max-length", 2_i32.into())]).await;
    client.call(1, prefetch(5)).await;
    client.call(1, consume("q", "c")).await;
    let publish = |text: &'static str| (to_queue("q"), with_headers([("g", "a".into())]), text);
    for (to, properties, text) in ["a1", "a2", "a3", "a4"].map(publish) {
        client.publish_with(1, to, &properties, text).await;
    }
    assert_eq!(client.texts(1, 1).await, ["a1"]);
    client.expect_nothing(1).await;
    assert_eq!(client.counts(1, "q").await, (2, 1));
    client.publish_with(1, to_queue("q"), &with_headers([("g", "a".into())]), "a5").await;
    client.expect_nothing(1).await;
    client.send(1, ack(1)).await;
    assert_eq!(client.texts(1, 1).await, ["a4"]);
    client.expect_nothing(1).await;
}

/// Nor does one that expires while another of its group is held.
#[tokio::test]
async fn a_message_that_expires_does_not_free_its_group() {
    let Some(server) = TestServer::leveret().await else { return };
    server.virtual_time();
    let mut client = grouped(&server, &[]).await;
    client.call(1, prefetch(5)).await;
    client.call(1, consume("q", "c")).await;
    publish_first(&mut client).await;
    let mut properties = with_headers([("g", "a".into())]);
    properties.expiration = Some(short("1000"));
    client.publish_with(1, to_queue("q"), &properties, "a2").await;
    client.publish_with(1, to_queue("q"), &with_headers([("g", "a".into())]), "a3").await;
    assert_eq!(client.counts(1, "q").await, (2, 1));
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    while client.counts(1, "q").await != (1, 1) {}
    client.expect_nothing(1).await;
    client.send(1, ack(1)).await;
    assert_eq!(client.texts(1, 1).await, ["a3"]);
}

async fn publish_first(client: &mut RawClient) {
    client.publish_with(1, to_queue("q"), &with_headers([("g", "a".into())]), "a1").await;
    assert_eq!(client.texts(1, 1).await, ["a1"]);
}

/// Groups have an order of their own, so there is none by priority beside it; a group is named by one
/// thing, and its name is a text.
#[tokio::test]
async fn arguments_that_make_no_groups_are_406() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let header = || ("x-message-group-header", FieldValue::from("g"));
    let property = |name: &str| ("x-message-group-property", FieldValue::from(name));
    for (arguments, arg, reason) in [
        (vec![header(), property("type")], header().0, "x-message-group-property_also_defined"),
        (
            vec![header(), ("x-max-priority", 5_i32.into())],
            header().0,
            "x-max-priority_also_defined",
        ),
        (
            vec![property("type"), ("x-max-priority", 5_i32.into())],
            property("").0,
            "x-max-priority_also_defined",
        ),
        (vec![property("timestamp")], property("").0, "unknown_property"),
        (vec![(header().0, 5_i32.into())], header().0, "{unacceptable_type,signedint}"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{arg}' for queue 'q' in vhost '/': {reason}"
        );
        client.refused(1, declare_queue_with("q", arguments), 406, &text).await;
    }
    client.call(1, declare_queue_with("q", [header()])).await;
    let text = "PRECONDITION_FAILED - inequivalent arg 'x-message-group-header' for queue 'q' in vhost '/': \
                received none but current is the value 'g' of type 'longstr'";
    client.refused(1, crate::support::declare_queue("q"), 406, text).await;
}
