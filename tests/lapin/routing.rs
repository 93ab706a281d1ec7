//! Which queues a message reaches, for each type of exchange.

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, ExchangeKind};

use super::support::*;

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await.unwrap();
}

/// Publishes to each key, with the key as body.
async fn publish_keys(channel: &Channel, exchange: &str, keys: &[&str]) {
    for key in keys {
        publish(channel, exchange, key, key.as_bytes()).await.unwrap();
    }
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

#[test]
fn a_direct_exchange_compares_keys() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        exchange(&channel, "e", ExchangeKind::Direct).await;
        for (queue, keys) in [("one", &["a"][..]), ("two", &["a", "b"])] {
            declare(&channel, queue).await;
            for key in keys {
                bind(&channel, queue, "e", key).await;
            }
        }
        publish_keys(&channel, "e", &["a", "b", "c", ""]).await;
        assert_eq!(drain(&channel, "one").await, ["a"]);
        assert_eq!(drain(&channel, "two").await, ["a", "b"]);

        let unbind =
            channel.queue_unbind("two".into(), "e".into(), "a".into(), FieldTable::default());
        unbind.await.unwrap();
        publish_keys(&channel, "e", &["a", "b"]).await;
        assert_eq!(drain(&channel, "two").await, ["b"]);
    });
}

#[test]
fn a_fanout_exchange_copies_to_every_queue_once() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        for queue in ["one", "two", "three"] {
            declare(&channel, queue).await;
            bind(&channel, queue, "amq.fanout", "").await;
        }
        // Two bindings are still one copy.
        bind(&channel, "one", "amq.fanout", "other").await;
        publish_keys(&channel, "amq.fanout", &["x", "other"]).await;
        for queue in ["one", "two", "three"] {
            assert_eq!(drain(&channel, queue).await, ["x", "other"], "{queue}");
        }
    });
}

#[test]
fn a_topic_exchange_matches_words() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        let keys = ["a", "a.b", "a.b.c", "x.b", "", "a..c"];
        for (pattern, expected) in [
            ("#", &keys[..]),
            ("a.*", &["a.b"]),
            ("*.b", &["a.b", "x.b"]),
            ("a.#", &["a", "a.b", "a.b.c", "a..c"]),
            ("a.*.c", &["a.b.c", "a..c"]),
            ("#.b.#", &["a.b", "a.b.c", "x.b"]),
            ("*", &["a"]),
            ("a.b", &["a.b"]),
        ] {
            let queue = declare(&channel, "").await;
            let queue = queue.name().as_str();
            bind(&channel, queue, "amq.topic", pattern).await;
            publish_keys(&channel, "amq.topic", &keys).await;
            assert_eq!(drain(&channel, queue).await, expected, "{pattern}");
        }
    });
}

#[test]
fn a_headers_exchange_matches_all_or_any_header() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        let text = |text: &str| AMQPValue::LongString(text.into());
        for x_match in ["all", "any"] {
            declare(&channel, x_match).await;
            let arguments = table([
                ("x-match", text(x_match)),
                ("colour", text("red")),
                ("size", AMQPValue::LongInt(7)),
            ]);
            let options = QueueBindOptions::default();
            channel
                .queue_bind(x_match.into(), "amq.headers".into(), "".into(), options, arguments)
                .await
                .unwrap();
        }
        for (body, headers) in [
            ("both", table([("colour", text("red")), ("size", AMQPValue::LongInt(7))])),
            // Numbers are compared by value, not by width.
            ("wide", table([("colour", text("red")), ("size", AMQPValue::LongLongInt(7))])),
            ("one", table([("colour", text("red")), ("size", AMQPValue::LongInt(8))])),
            ("none", table([("colour", text("blue"))])),
        ] {
            let properties = BasicProperties::default().with_headers(headers);
            publish_with(&channel, "amq.headers", "ignored", body.as_bytes(), properties)
                .await
                .unwrap();
        }
        assert_eq!(drain(&channel, "all").await, ["both", "wide"]);
        assert_eq!(drain(&channel, "any").await, ["both", "wide", "one"]);
    });
}

#[test]
fn exchanges_bound_to_exchanges_pass_messages_on() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        exchange(&channel, "source", ExchangeKind::Topic).await;
        exchange(&channel, "middle", ExchangeKind::Fanout).await;
        exchange(&channel, "last", ExchangeKind::Direct).await;
        let link = async |destination: &str, source: &str, key: &str| {
            let (options, arguments) = (ExchangeBindOptions::default(), FieldTable::default());
            channel
                .exchange_bind(destination.into(), source.into(), key.into(), options, arguments)
                .await
                .unwrap();
        };
        link("middle", "source", "a.*").await;
        link("last", "middle", "").await;
        // A cycle: each exchange is visited once.
        link("source", "last", "a.b").await;
        declare(&channel, "q").await;
        bind(&channel, "q", "last", "a.b").await;
        publish_keys(&channel, "source", &["a.b", "a.c", "b.b"]).await;
        assert_eq!(drain(&channel, "q").await, ["a.b"]);

        let (options, arguments) = (Default::default(), FieldTable::default());
        channel
            .exchange_unbind("middle".into(), "source".into(), "a.*".into(), options, arguments)
            .await
            .unwrap();
        publish_keys(&channel, "source", &["a.b"]).await;
        assert_eq!(drain(&channel, "q").await, Vec::<String>::new());
    });
}

#[test]
fn the_default_exchange_routes_by_queue_name() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_keys(&channel, "", &["q", "other"]).await;
        let message = get(&channel, "q").await.unwrap();
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("", "q"));
        assert_eq!(message.message_count, 0);

        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind("q".into(), "".into(), "k".into(), options, arguments).await;
        assert_eq!(refusal(bound).0, 403);
        let channel = connection.create_channel().await.unwrap();
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound =
            channel.queue_bind("q".into(), "no".into(), "k".into(), options, arguments).await;
        assert_eq!(refusal(bound), (404, "NOT_FOUND - no exchange 'no' in vhost '/'".to_owned()));
    });
}
