//! What clients over AMQP are seen to do, exact at the moment of reading.

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, Event};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Api, broker, run};

fn encoded(name: &Value) -> String {
    utf8_percent_encode(name.as_str().unwrap(), NON_ALPHANUMERIC).to_string()
}

#[test]
fn connections_channels_and_consumers_are_seen_as_they_are() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let named = ConnectionProperties::default().with_connection_name("shop".into());
        let connection = Connection::connect(&broker.uri(), named).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let declare = QueueDeclareOptions::default();
        channel.queue_declare("q".into(), declare, FieldTable::default()).await.unwrap();
        for _ in 0..3 {
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            let sent = channel.basic_publish("".into(), "q".into(), options, b"hello", properties);
            sent.await.unwrap().await.unwrap();
        }
        let consume = BasicConsumeOptions::default();
        let mut consumer = channel
            .basic_consume("q".into(), "tag".into(), consume, FieldTable::default())
            .await
            .unwrap();
        let first = consumer.next().await.unwrap().unwrap();
        consumer.next().await.unwrap().unwrap();
        first.ack(BasicAckOptions::default()).await.unwrap();
        // The third comes for the credit of the first: then its acknowledgement was taken in.
        consumer.next().await.unwrap().unwrap();

        let connections = api.json("/api/connections").await;
        let shown = &connections[0];
        assert_eq!((&shown["user"], &shown["vhost"]), (&json!("guest"), &json!("/")));
        assert_eq!((&shown["channels"], &shown["state"]), (&json!(1), &json!("running")));
        assert_eq!(shown["user_provided_name"], "shop");
        assert!(shown["recv_oct"].as_u64() > Some(100) && shown["send_oct"].as_u64() > Some(100));
        let path = format!("/api/connections/{}", encoded(&shown["name"]));
        assert_eq!(api.json(&path).await["name"], shown["name"]);

        let channels = api.json(&format!("{path}/channels")).await;
        let of_channel = &channels[0];
        assert_eq!(
            (&of_channel["confirm"], &of_channel["prefetch_count"]),
            (&json!(true), &json!(2))
        );
        assert_eq!(of_channel["messages_unacknowledged"], 2);
        let stats = &of_channel["message_stats"];
        assert_eq!((&stats["publish"], &stats["confirm"]), (&json!(3), &json!(3)));
        assert_eq!((&stats["deliver"], &stats["ack"]), (&json!(3), &json!(1)));
        let one = api.json(&format!("/api/channels/{}", encoded(&of_channel["name"]))).await;
        assert_eq!(one["consumer_details"][0]["consumer_tag"], "tag");
        let got = json!({
            "ack": 1, "deliver": 3, "deliver_get": 3, "deliver_no_ack": 0, "get": 0,
            "get_empty": 0, "get_no_ack": 0, "redeliver": 0,
        });
        let of_queue = &one["deliveries"][0];
        assert_eq!(of_queue["queue"], json!({ "name": "q", "vhost": "/" }));
        let counted = |stats: &Value| {
            for (name, count) in got.as_object().unwrap() {
                assert_eq!(stats[name], *count, "{name}");
                assert!(stats[format!("{name}_details")]["rate"].is_number(), "{stats}");
            }
        };
        counted(&of_queue["stats"]);
        assert_eq!(one["publishes"], json!([]));
        // It did all this just now.
        assert_eq!(one["idle_since"], Value::Null);

        let consumers = api.json("/api/consumers/%2F").await;
        assert_eq!(consumers[0]["queue"], json!({ "name": "q", "vhost": "/" }));
        let queue = api.json("/api/queues/%2F/q").await;
        assert_eq!((&queue["messages"], &queue["messages_unacknowledged"]), (&json!(2), &json!(2)));
        assert_eq!(queue["message_bytes_unacknowledged"], 10);
        assert_eq!(queue["consumer_details"][0]["channel_details"]["number"], 1);
        counted(&queue["deliveries"][0]["stats"]);
        // Messages came and went just now; nobody has it for himself.
        let left_out = (&queue["idle_since"], &queue["exclusive_consumer_tag"]);
        assert_eq!(left_out, (&Value::Null, &Value::Null));
        assert_eq!(queue["deliveries"][0]["channel_details"]["number"], 1);
        assert_eq!((&queue["messages_persistent"], &queue["incoming"]), (&json!(0), &json!([])));
        assert_eq!(queue["backing_queue_status"]["len"], 0);
        let overview = api.json("/api/overview").await;
        assert_eq!(overview["message_stats"]["publish"], 3);
        let objects = &overview["object_totals"];
        assert_eq!((&objects["connections"], &objects["consumers"]), (&json!(1), &json!(1)));
        // It was published within the time that rates are of.
        let rate = &overview["message_stats"]["publish_details"]["rate"];
        assert!(rate.as_f64() > Some(0.0), "{rate}");
    });
}

/// Goal: what a consumer got stays among what its channel did when it is gone.
#[test]
fn a_channel_remembers_what_its_cancelled_consumers_did() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let connection =
            Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let declare = QueueDeclareOptions::default();
        channel.queue_declare("q".into(), declare, FieldTable::default()).await.unwrap();
        for no_ack in [true, false] {
            for _ in 0..2 {
                let options = BasicPublishOptions::default();
                let properties = BasicProperties::default();
                let sent = channel.basic_publish("".into(), "q".into(), options, b"", properties);
                sent.await.unwrap();
            }
            let consume = BasicConsumeOptions { no_ack, ..BasicConsumeOptions::default() };
            let consumer =
                channel.basic_consume("q".into(), "c".into(), consume, FieldTable::default());
            let mut consumer = consumer.await.unwrap();
            for _ in 0..2 {
                consumer.next().await.unwrap().unwrap();
            }
            channel.basic_cancel("c".into(), BasicCancelOptions::default()).await.unwrap();
        }
        channel.basic_ack(0, BasicAckOptions { multiple: true }).await.unwrap();
        // Answered once the acknowledgement was taken in.
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let stats = &api.json("/api/channels").await[0]["message_stats"];
        let counted = ["deliver", "deliver_no_ack", "deliver_get", "ack"].map(|name| &stats[name]);
        assert_eq!(counted, [&json!(2), &json!(2), &json!(4), &json!(2)]);
    });
}

#[test]
fn a_connection_is_closed_with_the_reason_that_is_given() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let connection =
            Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap();
        let mut events = connection.events_listener();
        let connections = api.json("/api/connections").await;
        let path = format!("/api/connections/{}", encoded(&connections[0]["name"]));
        let closed = api.send("DELETE", &path, "X-Reason: gone fishing\r\n", "").await;
        assert_eq!(closed.status, 204);
        let error = loop {
            if let Some(Event::Error(error)) = events.next().await {
                break error.to_string();
            }
        };
        assert!(error.contains("CONNECTION_FORCED - gone fishing"), "{error}");
        assert_eq!(api.get(&path).await.status, 404);
        assert_eq!(api.delete(&path).await.status, 404);
    });
}

#[test]
fn an_exchange_counts_what_comes_and_where_it_goes() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/exchanges/%2F/e", r#"{"type":"fanout"}"#).await;
        for queue in ["q1", "q2"] {
            api.put(&format!("/api/queues/%2F/{queue}"), "{}").await;
            api.post(&format!("/api/bindings/%2F/e/e/q/{queue}"), "{}").await;
        }
        let connection =
            Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        for exchange in ["e", "e", "amq.direct"] {
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            let sent = channel.basic_publish(exchange.into(), "".into(), options, b"", properties);
            sent.await.unwrap().await.unwrap();
        }
        let stats = &api.json("/api/exchanges/%2F/e").await["message_stats"];
        assert_eq!((&stats["publish_in"], &stats["publish_out"]), (&json!(2), &json!(4)));
        let stats = &api.json("/api/exchanges/%2F/amq.direct").await["message_stats"];
        assert_eq!((&stats["publish_in"], &stats["publish_out"]), (&json!(1), &json!(0)));
        assert_eq!(api.json("/api/vhosts/%2F").await["message_stats"]["drop_unroutable"], 1);
    });
}
