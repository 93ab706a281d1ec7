//! Deliveries and what clients answer to them.

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRecoverOptions, BasicRejectOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;

use super::support::*;

const ONE: BasicAckOptions = BasicAckOptions { multiple: false };
const UP_TO: BasicAckOptions = BasicAckOptions { multiple: true };

#[test]
fn deliveries_come_in_order_with_tags_that_count_up() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..5).await;
        let mut consumer = consume(&channel, "q").await;
        assert!(consumer.tag().as_str().starts_with("amq.ctag-"), "{}", consumer.tag());
        publish_numbers(&channel, "q", 5..10).await;
        let deliveries = next_n(&mut consumer, 10).await;
        assert_eq!(texts(&deliveries), numbers(0..10));
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.delivery_tag).collect();
        assert_eq!(tags, (1..=10).collect::<Vec<_>>());
        assert!(deliveries.iter().all(|delivery| !delivery.redelivered));
    });
}

#[test]
fn prefetch_limits_what_is_unacknowledged() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..5).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        let first = next_n(&mut consumer, 2).await;
        assert_eq!(texts(&first), numbers(0..2));
        assert_eq!(passive(&channel, "q").await.unwrap().message_count(), 3);

        first[0].ack(ONE).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "2");
        first[1].ack(ONE).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "3");
        assert_eq!(passive(&channel, "q").await.unwrap().message_count(), 1);
    });
}

#[test]
fn consumers_with_room_take_turns() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        let other = connection.create_channel().await.unwrap();
        for channel in [&channel, &other] {
            channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        }
        let mut consumers = [consume(&channel, "q").await, consume(&other, "q").await];
        publish_numbers(&channel, "q", 0..4).await;
        let mut bodies = Vec::new();
        for consumer in &mut consumers {
            bodies.push(texts(&next_n(consumer, 2).await));
        }
        assert_eq!(bodies, [["0", "2"], ["1", "3"]]);
    });
}

#[test]
fn an_acknowledgement_may_cover_all_before() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..5).await;
        let mut consumer = consume(&channel, "q").await;
        let deliveries = next_n(&mut consumer, 5).await;
        deliveries[2].ack(UP_TO).await.unwrap();
        channel.close(200, "bye".into()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(drain(&channel, "q").await, numbers(3..5));
    });
}

#[test]
fn requeued_messages_keep_their_place_and_say_that_they_were_delivered() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..4).await;
        let (first, second) =
            (get(&channel, "q").await.unwrap(), get(&channel, "q").await.unwrap());
        assert_eq!((first.message_count, second.message_count), (3, 2));
        // Both, in the order that would be wrong.
        second.nack(BasicNackOptions { multiple: true, requeue: true }).await.unwrap();
        let mut seen = Vec::new();
        while let Some(message) = get(&channel, "q").await {
            seen.push((text(&message), message.redelivered));
        }
        let expected = [("0", true), ("1", true), ("2", false), ("3", false)];
        assert_eq!(seen, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
    });
}

#[test]
fn rejected_messages_are_requeued_or_dropped() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..3).await;
        let message = get(&channel, "q").await.unwrap();
        message.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        let message = get(&channel, "q").await.unwrap();
        assert_eq!((text(&message).as_str(), message.redelivered), ("0", true));
        message.reject(BasicRejectOptions { requeue: false }).await.unwrap();
        let message = get(&channel, "q").await.unwrap();
        message.nack(BasicNackOptions::default()).await.unwrap();
        assert_eq!(drain(&channel, "q").await, ["2"]);
    });
}

#[test]
fn get_of_an_empty_queue_gets_nothing() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        assert_eq!(get(&channel, "q").await, None);
    });
}

#[test]
fn what_a_closed_channel_or_connection_held_is_delivered_again() {
    run(async {
        let (broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..3).await;
        let mut consumer = consume(&channel, "q").await;
        next_n(&mut consumer, 3).await;
        channel.close(200, "bye".into()).await.unwrap();

        let channel = connection.create_channel().await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        let again = next_n(&mut consumer, 3).await;
        assert_eq!(texts(&again), numbers(0..3));
        assert!(again.iter().all(|delivery| delivery.redelivered));
        again[0].ack(ONE).await.unwrap();
        connection.close(200, "bye".into()).await.unwrap();

        let connection = connect(&broker).await;
        let channel = connection.create_channel().await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        assert_eq!(texts(&next_n(&mut consumer, 2).await), numbers(1..3));
    });
}

#[test]
fn recover_delivers_again_what_is_unacknowledged() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..3).await;
        let mut consumer = consume(&channel, "q").await;
        next_n(&mut consumer, 3).await[0].ack(ONE).await.unwrap();
        channel.basic_recover(BasicRecoverOptions { requeue: true }).await.unwrap();
        let again = next_n(&mut consumer, 2).await;
        assert_eq!(texts(&again), numbers(1..3));
        assert!(again.iter().all(|delivery| delivery.redelivered));
        again[1].ack(UP_TO).await.unwrap();
        assert_eq!(get(&channel, "q").await, None);
    });
}

#[test]
fn cancelling_ends_deliveries_and_keeps_what_is_unacknowledged() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..1).await;
        let mut consumer = consume(&channel, "q").await;
        let delivery = next(&mut consumer).await;
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        assert_eq!(consumer.next().await, None);
        let queue = passive(&channel, "q").await.unwrap();
        assert_eq!((queue.message_count(), queue.consumer_count()), (0, 0));
        publish_numbers(&channel, "q", 1..2).await;
        delivery.ack(ONE).await.unwrap();
        assert_eq!(drain(&channel, "q").await, ["1"]);
    });
}

#[test]
fn the_broker_cancels_the_consumers_of_a_deleted_queue() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..1).await;
        let mut consumer = consume(&channel, "q").await;
        let delivery = next(&mut consumer).await;
        let other = connection.create_channel().await.unwrap();
        other.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap();
        assert_eq!(consumer.next().await, None);
        // The channel goes on, and the acknowledgement is no mistake.
        delivery.ack(ONE).await.unwrap();
        declare(&channel, "q").await;
    });
}

#[test]
fn without_acknowledgements_a_delivery_is_gone_at_once() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..2).await;
        // Prefetch does not matter then.
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = channel
            .basic_consume("q".into(), "tag".into(), no_ack, FieldTable::default())
            .await
            .unwrap();
        assert_eq!(consumer.tag().as_str(), "tag");
        assert_eq!(texts(&next_n(&mut consumer, 2).await), numbers(0..2));
        channel.close(200, "bye".into()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(passive(&channel, "q").await.unwrap().message_count(), 0);
    });
}

#[test]
fn an_exclusive_consumer_is_alone() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        let exclusive = BasicConsumeOptions { exclusive: true, ..Default::default() };
        let _consumer = channel
            .basic_consume("q".into(), "".into(), exclusive, FieldTable::default())
            .await
            .unwrap();
        let other = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let refused =
            other.basic_consume("q".into(), "".into(), options, FieldTable::default()).await;
        let expected = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        assert_eq!(refusal(refused), (403, expected.to_owned()));
    });
}

#[test]
fn acknowledging_twice_closes_the_channel() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        publish_numbers(&channel, "q", 0..1).await;
        let message = get(&channel, "q").await.unwrap();
        // A request that the close overtakes fails without the reason; a consumer is always told.
        let mut consumer = consume(&channel, "q").await;
        channel.basic_ack(message.delivery_tag, ONE).await.unwrap();
        channel.basic_ack(message.delivery_tag, ONE).await.unwrap();
        let expected = "PRECONDITION_FAILED - unknown delivery tag 1";
        let told = consumer.next().await.expect("the consumer is told");
        assert_eq!(refusal(told), (406, expected.to_owned()));
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(get(&channel, "q").await, None);
    });
}
