//! Sender-selected distribution: the headers `CC` and `BCC`, which are further routing keys.

use crate::support::{
    BasicProperties, FieldValue, RawClient, TestServer, ack, bind_queue, declare_exchange,
    declare_queue, delete_exchange, delete_queue, get, mandatory, table, texts, to_exchange,
    to_queue, tx, with_headers,
};

/// Three queues, named with the test's suffix.
async fn three_queues(server: &TestServer) -> (RawClient, [String; 3]) {
    let names = ["a", "b", "c"].map(|name| server.name(name));
    let mut client = server.channel().await;
    for name in &names {
        client.call(1, declare_queue(name)).await;
    }
    (client, names)
}

async fn delete(client: &mut RawClient, names: &[String]) {
    for name in names {
        client.call(1, delete_queue(name)).await;
    }
}

/// "The message will be routed to all destinations matching the routing keys supplied as a header value,
/// in addition to the routing key"; "the BCC header is removed from the message prior to delivery, CC is
/// not". Each queue gets it once, however often it is named.
#[tokio::test]
async fn each_queue_named_gets_it_once() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let [a, b, c] = names.each_ref().map(String::as_str);
    let published =
        with_headers([("CC", texts([b, a, b])), ("BCC", texts([c, b, a])), ("own", 1_i32.into())]);
    client.publish_with(1, to_queue(a), &published, "x").await;
    for name in [a, b, c] {
        let (got, content) = client.get(1, get(name)).await.expect("a copy");
        // It is delivered under the key that it was published with.
        assert_eq!((got.routing_key.to_str(), got.message_count), (Some(a), 0));
        assert_eq!(content.header("CC"), Some(texts([b, a, b])));
        assert_eq!((content.header("BCC"), content.header("own")), (None, Some(1_i32.into())));
    }
    delete(&mut client, &names).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A route that the channel remembers is that of one key: a message with copies between two without goes
/// where it should, and so do these.
#[tokio::test]
async fn copies_of_one_message_are_none_of_the_next() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let [a, b, _] = names.each_ref().map(String::as_str);
    let copied = with_headers([("CC", texts([b]))]);
    let none = BasicProperties::default();
    for (properties, text) in
        [(&none, "1"), (&copied, "2"), (&none, "3"), (&copied, "4"), (&none, "5")]
    {
        client.publish_with(1, to_queue(a), properties, text).await;
    }
    assert_eq!(client.drain(1, a).await, ["1", "2", "3", "4", "5"]);
    assert_eq!(client.drain(1, b).await, ["2", "4"]);
    delete(&mut client, &names).await;
}

/// A mandatory message that one of its keys brings somewhere is not returned; one that none does comes
/// back as it was published, and is confirmed.
#[tokio::test]
async fn a_mandatory_message_is_returned_if_no_key_leads_anywhere() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let nowhere = server.name("nowhere");
    client.select_confirms(1).await;
    let insist = || mandatory(to_queue(&nowhere));
    let blind = with_headers([("BCC", texts([names[0].as_str()]))]);
    client.publish_with(1, insist(), &blind, "routed").await;
    client.expect(1, ack(1)).await;
    let lost = with_headers([("CC", texts(["nope"])), ("BCC", texts(["nope"]))]);
    client.publish_with(1, insist(), &lost, "lost").await;
    let (returned, content) = client.returned(1).await;
    assert_eq!((returned.reply_code, returned.routing_key.to_str()), (312, Some(nowhere.as_str())));
    // RabbitMQ hides BCC even from who wrote it.
    let hidden = with_headers([("CC", texts(["nope"]))]);
    assert_eq!(content.properties(), server.differs(lost, hidden));
    client.expect(1, ack(2)).await;
    assert_eq!(client.drain(1, &names[0]).await, ["routed"]);
    delete(&mut client, &names).await;
}

/// Copies wait for the commit with the message, and go with it at a rollback.
#[tokio::test]
async fn copies_are_part_of_the_transaction() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let [a, b, c] = names.each_ref().map(String::as_str);
    client.open_channel(2).await;
    client.call(2, tx::Select {}).await;
    let copied = with_headers([("CC", texts([b])), ("BCC", texts([c]))]);
    client.publish_with(2, to_queue(a), &copied, "rolled back").await;
    client.call(2, tx::Rollback {}).await;
    client.publish_with(2, to_queue(a), &copied, "committed").await;
    client.expect_nothing(2).await;
    for name in [a, b, c] {
        assert_eq!(client.counts(1, name).await, (0, 0));
    }
    client.call(2, tx::Commit {}).await;
    for name in [a, b, c] {
        let (_, content) = client.get(1, get(name)).await.expect("a copy");
        assert_eq!((content.text(), content.header("BCC")), ("committed", None));
    }
    delete(&mut client, &names).await;
}

/// Every type of exchange takes the further keys as it takes the first: a topic exchange matches each, a
/// headers exchange compares headers and delivers once.
#[tokio::test]
async fn other_exchanges_take_the_keys_as_their_own() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let [a, b, c] = names.each_ref().map(String::as_str);
    let exchanges = ["topic", "headers"].map(|kind| (server.name(kind), kind));
    for (name, kind) in &exchanges {
        client.call(1, declare_exchange(name, kind)).await;
    }
    for (queue, pattern) in [(a, "eu.*"), (b, "us.#"), (c, "#.hat")] {
        client.call(1, bind_queue(queue, &exchanges[0].0, pattern)).await;
    }
    let keys = with_headers([("CC", texts(["us.boot", "eu.hat"])), ("BCC", texts(["asia.hat"]))]);
    client.publish_with(1, to_exchange(&exchanges[0].0, "eu.hat"), &keys, "x").await;
    for name in [a, b, c] {
        assert_eq!(client.drain(1, name).await, ["x"], "{name}");
    }
    let bind = crate::support::queue::Bind {
        arguments: table([("own", 1_i32.into())]),
        ..bind_queue(a, &exchanges[1].0, "")
    };
    client.call(1, bind).await;
    let headers = with_headers([("CC", texts([b, c])), ("own", 1_i32.into())]);
    client.publish_with(1, to_exchange(&exchanges[1].0, "k"), &headers, "y").await;
    assert_eq!(client.drain(1, a).await, ["y"]);
    for name in [b, c] {
        assert!(client.drain(1, name).await.is_empty());
    }
    delete(&mut client, &names).await;
    for (name, _) in &exchanges {
        client.call(1, delete_exchange(name)).await;
    }
}

/// What is no array is 406; what is in the array and no text is passed over. An empty array is none.
#[tokio::test]
async fn what_is_no_array_is_406() {
    let server = TestServer::start().await;
    let (mut client, names) = three_queues(&server).await;
    let [a, b, _] = names.each_ref().map(String::as_str);
    for (header, value, kind) in [
        ("CC", FieldValue::from(5_i32), "signedint"),
        ("BCC", FieldValue::from("b"), "longstr"),
        ("CC", FieldValue::Table(table([])), "table"),
    ] {
        let text = format!(
            "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{header}\",{kind}}}"
        );
        let properties = with_headers([(header, value)]);
        client.publish_refused(1, to_queue(a), &properties, 406, &text).await;
    }
    for value in [
        FieldValue::Array(vec![]),
        FieldValue::Array(vec![5_i32.into(), b.into(), FieldValue::Void]),
    ] {
        client.publish_with(1, to_queue(a), &with_headers([("CC", value)]), "x").await;
    }
    assert_eq!(client.drain(1, a).await, ["x", "x"]);
    assert_eq!(client.drain(1, b).await, ["x"]);
    delete(&mut client, &names).await;
}
