//! Declaring, looking, deleting: queues and exchanges come and go.

use lapin::ExchangeKind;
use lapin::options::{
    BasicCancelOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;

use super::support::*;

#[test]
fn a_declaration_tells_name_messages_and_consumers() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        let queue = declare(&channel, "q").await;
        assert_eq!((queue.name().as_str(), queue.message_count()), ("q", 0));

        publish_numbers(&channel, "q", 0..3).await;
        let queue = declare(&channel, "q").await;
        assert_eq!((queue.message_count(), queue.consumer_count()), (3, 0));

        let _consumer = consume(&channel, "q").await;
        assert_eq!(passive(&channel, "q").await.unwrap().consumer_count(), 1);
    });
}

#[test]
fn the_broker_names_a_queue_declared_without_a_name() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        let one = declare(&channel, "").await;
        let other = declare(&channel, "").await;
        assert!(one.name().as_str().starts_with("amq.gen-"), "{}", one.name());
        assert_ne!(one.name(), other.name());
        // The empty name now stands for the last one.
        publish(&channel, "", other.name().as_str(), b"for the last").await.unwrap();
        assert_eq!(drain(&channel, "").await, ["for the last"]);
    });
}

#[test]
fn a_passive_declaration_creates_nothing() {
    run(async {
        let (_broker, connection, channel) = client().await;
        let expected = (404, "NOT_FOUND - no queue 'q' in vhost '/'".to_owned());
        assert_eq!(refusal(passive(&channel, "q").await), expected);
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(refusal(passive(&channel, "q").await), expected);
        let channel = connection.create_channel().await.unwrap();
        declare(&channel, "q").await;
        passive(&channel, "q").await.unwrap();
    });
}

#[test]
fn a_declaration_that_differs_is_refused() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        let transient = QueueDeclareOptions::default();
        let refused = channel.queue_declare("q".into(), transient, FieldTable::default()).await;
        let expected = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                        received 'false' but current is 'true'";
        assert_eq!(refusal(refused), (406, expected.to_owned()));

        let channel = connection.create_channel().await.unwrap();
        let (topic, options) = (ExchangeKind::Topic, ExchangeDeclareOptions::default());
        channel.exchange_declare("e".into(), topic, options, FieldTable::default()).await.unwrap();
        let refused = channel
            .exchange_declare("e".into(), ExchangeKind::Fanout, options, FieldTable::default())
            .await;
        let expected = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e' in vhost '/': \
                        received 'fanout' but current is 'topic'";
        assert_eq!(refusal(refused), (406, expected.to_owned()));
    });
}

#[test]
fn an_exclusive_queue_belongs_to_its_connection_and_ends_with_it() {
    run(async {
        let (broker, owner, channel) = client().await;
        let exclusive = QueueDeclareOptions::exclusive();
        channel.queue_declare("q".into(), exclusive, FieldTable::default()).await.unwrap();
        // Any channel of the same connection may use it.
        let sibling = owner.create_channel().await.unwrap();
        channel.queue_declare("q".into(), exclusive, FieldTable::default()).await.unwrap();
        publish_numbers(&sibling, "q", 0..1).await;
        assert_eq!(drain(&sibling, "q").await, ["0"]);

        let stranger = connect(&broker).await;
        let channel = stranger.create_channel().await.unwrap();
        let (code, reason) = refusal(passive(&channel, "q").await);
        assert_eq!(code, 405);
        let expected = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'";
        assert!(reason.starts_with(expected), "{reason}");

        owner.close(200, "bye".into()).await.unwrap();
        gone(&stranger, "q").await;
    });
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    run(async {
        let (_broker, connection, channel) = client().await;
        let options = QueueDeclareOptions::default().auto_delete();
        channel.queue_declare("q".into(), options, FieldTable::default()).await.unwrap();
        let (one, other) = (consume(&channel, "q").await, consume(&channel, "q").await);
        channel.basic_cancel(one.tag(), BasicCancelOptions::default()).await.unwrap();
        assert_eq!(passive(&channel, "q").await.unwrap().consumer_count(), 1);
        channel.basic_cancel(other.tag(), BasicCancelOptions::default()).await.unwrap();
        gone(&connection, "q").await;
    });
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
        let direct = ExchangeKind::Direct;
        channel.exchange_declare("e".into(), direct, options, FieldTable::default()).await.unwrap();
        declare(&channel, "q").await;
        bind(&channel, "q", "e", "k").await;
        let unbind =
            channel.queue_unbind("q".into(), "e".into(), "k".into(), FieldTable::default());
        unbind.await.unwrap();
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let looked = channel.exchange_declare(
            "e".into(),
            ExchangeKind::Direct,
            options,
            FieldTable::default(),
        );
        let expected = "NOT_FOUND - no exchange 'e' in vhost '/'";
        assert_eq!(refusal(looked.await), (404, expected.to_owned()));
    });
}

#[test]
fn deleting_and_purging_tell_how_many_messages_went() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..5).await;
        assert_eq!(channel.queue_purge("q".into(), QueuePurgeOptions::default()).await.unwrap(), 5);
        publish_numbers(&channel, "q", 0..2).await;
        let deleted = channel.queue_delete("q".into(), QueueDeleteOptions::default()).await;
        assert_eq!(deleted.unwrap(), 2);
        // There is nothing to be done, so that is no error.
        let deleted = channel.queue_delete("q".into(), QueueDeleteOptions::default()).await;
        assert_eq!(deleted.unwrap(), 0);
    });
}

#[test]
fn a_queue_in_use_or_with_messages_can_be_spared() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..1).await;
        let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
        let expected = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
        let refused = channel.queue_delete("q".into(), if_empty).await;
        assert_eq!(refusal(refused), (406, expected.to_owned()));

        let channel = connection.create_channel().await.unwrap();
        let other = connection.create_channel().await.unwrap();
        let _consumer = consume(&other, "q").await;
        let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };
        let expected = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
        let refused = channel.queue_delete("q".into(), if_unused).await;
        assert_eq!(refusal(refused), (406, expected.to_owned()));
    });
}

#[test]
fn an_exchange_in_use_can_be_spared() {
    run(async {
        let (_broker, connection, channel) = client().await;
        let (fanout, options) = (ExchangeKind::Fanout, ExchangeDeclareOptions::default());
        channel.exchange_declare("e".into(), fanout, options, FieldTable::default()).await.unwrap();
        declare(&channel, "q").await;
        bind(&channel, "q", "e", "").await;
        let if_unused = ExchangeDeleteOptions { if_unused: true, ..Default::default() };
        let expected = "PRECONDITION_FAILED - exchange 'e' in vhost '/' in use";
        let refused = channel.exchange_delete("e".into(), if_unused).await;
        assert_eq!(refusal(refused), (406, expected.to_owned()));
        let channel = connection.create_channel().await.unwrap();
        channel.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap();
        channel.exchange_delete("e".into(), if_unused).await.unwrap();
    });
}

#[test]
fn the_brokers_own_names_are_not_for_clients() {
    run(async {
        let (_broker, connection, channel) = client().await;
        let options = QueueDeclareOptions::durable();
        let refused =
            channel.queue_declare("amq.mine".into(), options, FieldTable::default()).await;
        assert_eq!(refusal(refused).0, 403);
        let channel = connection.create_channel().await.unwrap();
        let refused =
            channel.exchange_delete("amq.direct".into(), ExchangeDeleteOptions::default()).await;
        assert_eq!(refusal(refused).0, 403);
        let channel = connection.create_channel().await.unwrap();
        let internal = ExchangeDeclareOptions { internal: true, ..Default::default() };
        let (fanout, arguments) = (ExchangeKind::Fanout, FieldTable::default());
        channel.exchange_declare("inner".into(), fanout, internal, arguments).await.unwrap();
        confirm_select(&channel).await;
        let expected = "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'";
        assert_eq!(refusal(publish(&channel, "inner", "", b"").await), (403, expected.to_owned()));
    });
}
