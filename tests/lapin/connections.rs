//! Connections and channels: opening, failing, starting again, ending.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection};
use tokio::task::JoinSet;

use super::support::*;

/// That a connection can be used: a message goes through a queue.
async fn assert_works(connection: &Connection) {
    let channel = connection.create_channel().await.unwrap();
    let exclusive = QueueDeclareOptions::exclusive();
    let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await.unwrap();
    confirm_select(&channel).await;
    publish(&channel, "", queue.name().as_str(), b"works").await.unwrap();
    assert_eq!(drain(&channel, queue.name().as_str()).await, ["works"]);
    channel.close(200, "bye".into()).await.unwrap();
}

#[test]
fn after_a_channel_has_failed_the_connection_opens_another() {
    run(async {
        let (_broker, connection, channel) = client().await;
        assert_eq!(refusal(passive(&channel, "missing").await).0, 404);
        assert!(!channel.status().connected());
        assert_works(&connection).await;

        let channel = connection.create_channel().await.unwrap();
        declare(&channel, "q").await;
        let transient = QueueDeclareOptions::default();
        let refused = channel.queue_declare("q".into(), transient, FieldTable::default()).await;
        assert_eq!(refusal(refused).0, 406);
        assert_works(&connection).await;
    });
}

#[test]
fn after_a_connection_has_failed_the_client_opens_another() {
    run(async {
        let (broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        let events = connection.events_listener();
        let immediate = BasicPublishOptions { immediate: true, ..Default::default() };
        let properties = BasicProperties::default();
        let publish = channel.basic_publish("".into(), "q".into(), immediate, b"x", properties);
        publish.await.unwrap();
        let expected = (540, "NOT_IMPLEMENTED - immediate=true".to_owned());
        assert_eq!(failure(Box::pin(events)).await, expected);
        assert!(!connection.status().connected());

        let connection = connect(&broker).await;
        assert_works(&connection).await;
        let channel = connection.create_channel().await.unwrap();
        let consume = || {
            let options = BasicConsumeOptions::default();
            channel.basic_consume("q".into(), "tag".into(), options, FieldTable::default())
        };
        let _consumer = consume().await.unwrap();
        let expected = (530, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'".to_owned());
        assert_eq!(refusal(consume().await), expected);
        assert!(!connection.status().connected());

        let connection = connect(&broker).await;
        assert_works(&connection).await;
    });
}

#[test]
fn a_wrong_password_is_refused() {
    run(async {
        let broker = broker().await;
        let uri = format!("amqp://guest:wrong@127.0.0.1:{}/%2f", broker.port());
        let expected = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                        For details see the broker logfile.";
        assert_eq!(refusal(connect_to(&uri).await), (403, expected.to_owned()));
        assert_works(&connect(&broker).await).await;
    });
}

#[test]
fn an_unknown_vhost_is_refused() {
    run(async {
        let broker = broker().await;
        let uri = format!("amqp://guest:guest@127.0.0.1:{}/nowhere", broker.port());
        let expected = "NOT_ALLOWED - vhost nowhere not found";
        assert_eq!(refusal(connect_to(&uri).await), (530, expected.to_owned()));
    });
}

#[test]
fn two_hundred_channels_on_one_connection() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        let mut channels = Vec::new();
        for number in 0..200 {
            let channel = connection.create_channel().await.unwrap();
            publish_numbers(&channel, "q", number..=number).await;
            channels.push(channel);
        }
        let mut ids = BTreeSet::new();
        for (number, channel) in channels.iter().enumerate() {
            ids.insert(channel.id());
            // On one connection messages of different channels are in order, too.
            let message = get(channel, "q").await.unwrap();
            assert_eq!((text(&message), message.delivery_tag), (number.to_string(), 1));
            message.ack(Default::default()).await.unwrap();
        }
        assert_eq!(ids.len(), 200);
    });
}

#[test]
fn fifty_connections_at_once() {
    run(async {
        let (broker, _connection, channel) = client().await;
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            let uri = broker.uri();
            clients.spawn(async move {
                let connection = connect_to(&uri).await.unwrap();
                let channel = connection.create_channel().await.unwrap();
                let queue = channel
                    .queue_declare(
                        "".into(),
                        QueueDeclareOptions::exclusive(),
                        FieldTable::default(),
                    )
                    .await
                    .unwrap();
                bind(&channel, queue.name().as_str(), "amq.fanout", "").await;
                let consumer = consume(&channel, queue.name().as_str()).await;
                (connection, channel, consumer)
            });
        }
        let mut clients = clients.join_all().await;
        publish(&channel, "amq.fanout", "", b"to all").await.unwrap();
        for (_, _, consumer) in &mut clients {
            let delivery = next(consumer).await;
            assert_eq!(text(&delivery), "to all");
        }
        for (connection, ..) in clients {
            connection.close(200, "bye".into()).await.unwrap();
        }
    });
}

/// Goal: heartbeats keep an idle connection open. The broker gives up on a client that was silent
/// for three intervals; this one idles for longer, and time is all that it can wait for.
#[test]
fn an_idle_connection_stays_open_with_heartbeats_of_a_second() {
    run(async {
        let broker = broker().await;
        let connection = connect_to(&format!("{}?heartbeat=1", broker.uri())).await.unwrap();
        assert_eq!(connection.configuration().heartbeat(), 1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(connection.status().connected());
        assert_works(&connection).await;
    });
}

#[test]
fn a_new_secret_is_accepted() {
    run(async {
        let (_broker, connection, _channel) = client().await;
        connection.update_secret("guest".into(), "a test".into()).await.unwrap();
        assert_works(&connection).await;
    });
}

#[test]
fn a_broker_that_stops_tells_its_clients() {
    run(async {
        let (broker, connection, _channel) = client().await;
        let events = connection.events_listener();
        let uri = broker.uri();
        broker.stop().await;
        let expected =
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!(failure(Box::pin(events)).await, (320, expected.to_owned()));
        assert!(!connection.status().connected());
        connect_to(&uri).await.unwrap_err();
    });
}
