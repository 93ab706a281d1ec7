//! Confirms, returns, refusals and transactions.

use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::{BasicProperties, Confirmation};

use super::support::*;

#[test]
fn every_message_is_confirmed() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        // Before it is asked for, nothing is confirmed.
        let confirmation = publish(&channel, "", "q", b"unasked").await.unwrap();
        assert_eq!(confirmation, Confirmation::NotRequested);
        confirm_select(&channel).await;
        let mut confirms = Vec::new();
        for number in 0..1000_u32 {
            let (options, properties) =
                (BasicPublishOptions::default(), BasicProperties::default());
            let body = number.to_string();
            let publish =
                channel.basic_publish("".into(), "q".into(), options, body.as_bytes(), properties);
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
        }
        // What is confirmed is there, for every other client to see.
        assert_eq!(passive(&channel, "q").await.unwrap().message_count(), 1001);
        assert_eq!(drain(&channel, "q").await[1..], numbers(0..1000));
    });
}

#[test]
fn an_unroutable_message_comes_back_if_it_is_mandatory() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        confirm_select(&channel).await;
        let confirmation = publish(&channel, "amq.direct", "nowhere", b"lost").await.unwrap();
        assert_eq!(confirmation, Confirmation::Ack(None));

        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_message_id("id".into());
        let publish = channel.basic_publish(
            "amq.direct".into(),
            "nowhere".into(),
            options,
            b"found",
            properties.clone(),
        );
        let confirmation = publish.await.unwrap().await.unwrap();
        assert!(confirmation.is_ack());
        let returned = confirmation.take_message().unwrap();
        assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
        assert_eq!(returned.exchange.as_str(), "amq.direct");
        assert_eq!(returned.routing_key.as_str(), "nowhere");
        assert_eq!((&returned.data[..], &returned.properties), (&b"found"[..], &properties));

        // A mandatory message that finds a queue does not.
        declare(&channel, "q").await;
        let properties = BasicProperties::default();
        let publish = channel.basic_publish("".into(), "q".into(), options, b"kept", properties);
        assert_eq!(publish.await.unwrap().await.unwrap(), Confirmation::Ack(None));
    });
}

#[test]
fn publishing_to_a_missing_exchange_closes_the_channel() {
    run(async {
        let (_broker, connection, channel) = client().await;
        confirm_select(&channel).await;
        let expected = (404, "NOT_FOUND - no exchange 'missing' in vhost '/'".to_owned());
        assert_eq!(refusal(publish(&channel, "missing", "k", b"x").await), expected);
        assert!(!channel.status().connected());
        assert!(connection.status().connected());
    });
}

#[test]
fn a_transaction_publishes_when_it_is_committed() {
    run(async {
        let (_broker, connection, channel) = client().await;
        let watcher = connection.create_channel().await.unwrap();
        declare(&watcher, "q").await;
        channel.tx_select().await.unwrap();
        publish_numbers(&channel, "q", 0..3).await;
        assert_eq!(passive(&channel, "q").await.unwrap().message_count(), 0);
        channel.tx_commit().await.unwrap();
        assert_eq!(drain(&watcher, "q").await, numbers(0..3));

        publish_numbers(&channel, "q", 3..6).await;
        channel.tx_rollback().await.unwrap();
        publish_numbers(&channel, "q", 6..7).await;
        channel.tx_commit().await.unwrap();
        assert_eq!(drain(&watcher, "q").await, ["6"]);

        // What is not committed when the channel closes never was.
        publish_numbers(&channel, "q", 7..8).await;
        channel.close(200, "bye".into()).await.unwrap();
        assert_eq!(drain(&watcher, "q").await, Vec::<String>::new());
    });
}

#[test]
fn a_transaction_acknowledges_when_it_is_committed() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..2).await;
        channel.tx_select().await.unwrap();
        let message = get(&channel, "q").await.unwrap();
        channel.basic_ack(message.delivery_tag, BasicAckOptions::default()).await.unwrap();
        channel.tx_rollback().await.unwrap();
        // Rolled back: it can be acknowledged again.
        channel.basic_ack(message.delivery_tag, BasicAckOptions::default()).await.unwrap();
        channel.tx_commit().await.unwrap();

        let message = get(&channel, "q").await.unwrap();
        channel.basic_ack(message.delivery_tag, BasicAckOptions::default()).await.unwrap();
        channel.close(200, "bye".into()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let message = get(&channel, "q").await.unwrap();
        assert_eq!((text(&message).as_str(), message.redelivered), ("1", true));
    });
}

#[test]
fn confirms_and_transactions_do_not_mix() {
    run(async {
        let (_broker, connection, channel) = client().await;
        confirm_select(&channel).await;
        let expected = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
        assert_eq!(refusal(channel.tx_select().await), (406, expected.to_owned()));
        let channel = connection.create_channel().await.unwrap();
        let expected = "PRECONDITION_FAILED - channel is not transactional";
        assert_eq!(refusal(channel.tx_commit().await), (406, expected.to_owned()));
    });
}
