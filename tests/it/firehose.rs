//! The firehose: copies of what is published and delivered, while a vhost is traced. Measured on RabbitMQ
//! 3.10.
#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::*;

/// A client that gets all copies into queue `copies`, and one that is watched; the queue `q` is there.
async fn watched() -> Option<(TestServer, RawClient, RawClient)> {
    let server = TestServer::leveret().await?;
    let mut watcher = server.channel().await;
    watcher.call(1, declare_queue("copies")).await;
    watcher.call(1, bind_queue("copies", "amq.rabbitmq.trace", "#")).await;
    let mut client = server.channel().await;
    client.call(1, declare_queue("q")).await;
    server.broker()?.host().acting_by_itself().set_tracing("/", true).unwrap();
    Some((server, watcher, client))
}

/// A copy: its routing key, its headers, its body.
async fn copy(watcher: &mut RawClient) -> (String, FieldTable, String) {
    let (got, content) = watcher.get(1, get("copies")).await.expect("a copy");
    let headers = content.properties().headers.unwrap();
    (got.routing_key.to_string(), headers, content.text().to_owned())
}

fn text(headers: &FieldTable, name: &str) -> String {
    match headers.get(name) {
        Some(FieldValue::LongString(text)) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test]
async fn a_publish_and_its_delivery_are_copied() {
    let Some((_server, mut watcher, mut client)) = watched().await else { return };
    let properties = BasicProperties {
        content_type: Some(short("text/plain")),
        headers: Some(table([
            ("a", FieldValue::I32(1)),
            ("CC", texts(["cc"])),
            ("BCC", texts(["bcc"])),
        ])),
        delivery_mode: Some(2),
        timestamp: Some(5),
        ..BasicProperties::default()
    };
    client.publish_with(1, to_queue("q"), &properties, "hello").await;
    client.get(1, get("q")).await.unwrap();

    let (key, headers, body) = copy(&mut watcher).await;
    assert_eq!((&key[..], &body[..]), ("publish.", "hello"));
    assert_eq!(text(&headers, "exchange_name"), "");
    assert_eq!(headers.get("routing_keys"), Some(&texts(["q", "cc", "bcc"])));
    assert_eq!(headers.get("routed_queues"), Some(&texts(["q"])));
    assert_eq!(text(&headers, "vhost"), "/");
    assert_eq!(text(&headers, "user"), "guest");
    assert_eq!(headers.get("channel"), Some(&FieldValue::I32(1)));
    assert!(text(&headers, "connection").contains(" -> 127.0.0.1:"));
    assert!(!text(&headers, "node").is_empty());
    let expected = table([
        ("content_type", FieldValue::from("text/plain")),
        // Nobody is told of blind copies.
        ("headers", FieldValue::Table(table([("a", FieldValue::I32(1)), ("CC", texts(["cc"]))]))),
        ("delivery_mode", FieldValue::I32(2)),
        ("timestamp", FieldValue::I64(5)),
    ]);
    assert_eq!(headers.get("properties"), Some(&FieldValue::Table(expected.clone())));

    let (key, headers, body) = copy(&mut watcher).await;
    assert_eq!((&key[..], &body[..]), ("deliver.q", "hello"));
    assert_eq!(headers.get("redelivered"), Some(&FieldValue::I32(0)));
    assert_eq!(headers.get("routing_keys"), Some(&texts(["q", "cc", "bcc"])));
    assert_eq!(headers.get("properties"), Some(&FieldValue::Table(expected)));
    assert!(headers.get("routed_queues").is_none());
    assert_eq!(watcher.drain(1, "copies").await, Vec::<String>::new());
}

#[tokio::test]
async fn consumers_and_what_no_queue_gets_are_copied_too() {
    let Some((_server, mut watcher, mut client)) = watched().await else { return };
    client.publish(1, to_exchange("amq.fanout", "k"), "lost").await;
    client.publish(1, to_queue("q"), "kept").await;
    client.call(1, consume("q", "c")).await;
    client.delivery(1).await;
    for (expected_key, expected_body) in
        [("publish.amq.fanout", "lost"), ("publish.", "kept"), ("deliver.q", "kept")]
    {
        let (key, _, body) = copy(&mut watcher).await;
        assert_eq!((&key[..], &body[..]), (expected_key, expected_body));
    }
}

/// Goal: a consumer of copies is no reason for more of them, and switched off there are none.
#[tokio::test]
async fn copies_are_not_copied_and_there_are_none_without_tracing() {
    let Some((server, mut watcher, mut client)) = watched().await else { return };
    client.publish(1, to_queue("q"), "one").await;
    client.call(1, check_queue("q")).await;
    assert_eq!(watcher.drain(1, "copies").await, ["one"]);
    assert_eq!(watcher.drain(1, "copies").await, Vec::<String>::new());

    server.broker().unwrap().host().acting_by_itself().set_tracing("/", false).unwrap();
    client.publish(1, to_queue("q"), "two").await;
    client.call(1, check_queue("q")).await;
    assert_eq!(watcher.drain(1, "copies").await, Vec::<String>::new());
}

/// Goal: a body of many frames is copied whole.
#[tokio::test]
async fn large_bodies_are_copied() {
    let Some((_server, mut watcher, mut client)) = watched().await else { return };
    let body = "x".repeat(1_000_000);
    client.publish(1, to_queue("q"), &body).await;
    client.call(1, check_queue("q")).await;
    assert!(copy(&mut watcher).await.2 == body);
}
