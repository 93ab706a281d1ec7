//! Consumers and `basic.get`: who gets what, how much at a time, and how it ends.

use crate::support::{
    Delivery, FieldTable, Handshake, Method, TestServer, Wire, ack, ack_multiple, basic, cancel,
    capabilities, channel, channel_prefetch, check_queue, consume, declare_queue, delete_queue,
    get, get_to_ack, nack, prefetch, queue, requeue, short, table, to_queue,
};

fn no_ack(queue: &str, tag: &str) -> basic::Consume {
    basic::Consume { no_ack: true, ..consume(queue, tag) }
}

fn exclusive(queue: &str, tag: &str) -> basic::Consume {
    basic::Consume { exclusive: true, ..consume(queue, tag) }
}

fn messages(queue: &str, texts: impl IntoIterator<Item = u32>) -> Wire {
    texts.into_iter().fold(Wire::new(), |wire, i| wire.publish(1, to_queue(queue), i.to_string()))
}

/// Who got how many.
fn shares(deliveries: &[Delivery], tag: &str) -> usize {
    deliveries.iter().filter(|delivery| delivery.method.consumer_tag == tag).count()
}

#[tokio::test]
async fn a_consumer_gets_what_waits_and_what_comes() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), "waits").await;
    client.send(1, consume(&queue, "c")).await;
    client.expect(1, basic::ConsumeOk { consumer_tag: short("c") }).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "waits", false));
    client.publish(1, to_queue(&queue), "comes").await;
    let delivery = client.delivery(1).await;
    assert_eq!((delivery.summary(), delivery.tag()), (("c", "comes", false), 2));
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn the_broker_makes_up_tags_that_begin_with_amq_ctag() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let Method::BasicConsumeOk(ok) = client.call(1, consume(&queue, "")).await else {
        panic!("expected basic.consume-ok");
    };
    let tag = ok.consumer_tag.to_str_lossy().into_owned();
    let random = tag.strip_prefix("amq.ctag-").unwrap_or_else(|| panic!("{tag}"));
    assert_eq!(random.len(), 22, "{tag}");
    client.publish(1, to_queue(&queue), "x").await;
    assert_eq!(client.delivery(1).await.summary().0, tag);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_tag_in_use_is_530_and_a_tag_is_its_channels() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "t")).await;
    client.call(2, consume(&queue, "t")).await;
    client.call(1, cancel("t")).await;
    client.call(1, consume(&queue, "t")).await;
    client.call(1, queue::Purge { queue: short(&queue), no_wait: false }).await;
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 't'";
    client.fatal(1, consume(&queue, "t"), 530, text).await;
    server.channel().await.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn consumers_take_turns() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    for tag in ["a", "b", "c"] {
        client.call(1, no_ack(&queue, tag)).await;
    }
    client.send_wire(&messages(&queue, 0..30)).await;
    let deliveries = client.deliveries(1, 30).await;
    for tag in ["a", "b", "c"] {
        assert_eq!(shares(&deliveries, tag), 10, "{tag}");
    }
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn consumers_on_other_connections_take_turns_too() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut publisher = server.channel().await;
    publisher.call(1, declare_queue(&queue)).await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let mut consumer = server.channel().await;
        consumer.call(1, consume(&queue, "c")).await;
        consumers.push(consumer);
    }
    publisher.send_wire(&messages(&queue, 0..30)).await;
    let mut seen = Vec::new();
    for consumer in &mut consumers {
        seen.extend(consumer.texts(1, 10).await);
    }
    seen.sort_by_key(|text| text.parse::<u32>().expect("a number"));
    let expected: Vec<String> = (0..30).map(|i: u32| i.to_string()).collect();
    assert_eq!(seen, expected);
    publisher.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_prefetch_limits_each_consumer_to_come() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..10)).await;
    client.call(1, prefetch(2)).await;
    client.call(1, consume(&queue, "two")).await;
    assert_eq!(client.texts(1, 2).await, ["0", "1"]);
    client.expect_nothing(1).await;
    client.call(1, prefetch(3)).await;
    client.expect_nothing(1).await;
    client.call(1, consume(&queue, "three")).await;
    let deliveries = client.deliveries(1, 3).await;
    assert_eq!(shares(&deliveries, "three"), 3);
    client.expect_nothing(1).await;
    // Credit comes back at once, one for one.
    client.send(1, ack(1)).await;
    assert_eq!(client.delivery(1).await.summary(), ("two", "5", false));
    client.send(1, nack(2, false, false)).await;
    assert_eq!(client.delivery(1).await.summary(), ("two", "6", false));
    client.expect_nothing(1).await;
    client.send(1, ack_multiple(5)).await;
    assert_eq!(client.deliveries(1, 3).await.len(), 3);
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
}

/// Goal: `global` is a limit over the channel that holds at once: raising it delivers, lowering it
/// waits, zero lifts it.
#[tokio::test]
async fn a_global_prefetch_limits_the_channel_at_once() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..20)).await;
    client.call(1, channel_prefetch(3)).await;
    client.call(1, consume(&queue, "a")).await;
    client.deliveries(1, 3).await;
    client.call(1, consume(&queue, "b")).await;
    client.expect_nothing(1).await;
    client.send(1, channel_prefetch(5)).await;
    client.expect(1, basic::QosOk {}).await;
    client.deliveries(1, 2).await;
    client.expect_nothing(1).await;
    client.call(1, channel_prefetch(1)).await;
    client.send(1, ack_multiple(4)).await;
    client.expect_nothing(1).await;
    client.send(1, ack(5)).await;
    let delivery = client.delivery(1).await;
    client.expect_nothing(1).await;
    client.call(1, channel_prefetch(0)).await;
    client.deliveries(1, 14).await;
    assert_eq!(delivery.tag(), 6);
    client.ack_all(1).await;
    assert_eq!(client.counts(1, &queue).await, (0, 2));
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn both_prefetches_apply() {
    let server = TestServer::start().await;
    for (each, global, first, second) in [(2, 3, 2, 1), (3, 2, 2, 0)] {
        let queue = server.name(&format!("q{each}"));
        let mut client = server.channel().await;
        client.call(1, declare_queue(&queue)).await;
        client.send_wire(&messages(&queue, 0..10)).await;
        client.call(1, prefetch(each)).await;
        client.call(1, channel_prefetch(global)).await;
        client.call(1, consume(&queue, "a")).await;
        assert_eq!(shares(&client.deliveries(1, first).await, "a"), first);
        client.call(1, consume(&queue, "b")).await;
        assert_eq!(shares(&client.deliveries(1, second).await, "b"), second);
        client.expect_nothing(1).await;
        client.call(1, delete_queue(&queue)).await;
    }
}

#[tokio::test]
async fn no_prefetch_applies_without_acknowledgement() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..10)).await;
    client.call(1, prefetch(1)).await;
    client.call(1, channel_prefetch(1)).await;
    client.call(1, no_ack(&queue, "c")).await;
    assert_eq!(client.deliveries(1, 10).await.len(), 10);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn fetched_messages_count_for_no_prefetch() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..10)).await;
    client.call(1, channel_prefetch(2)).await;
    for _ in 0..3 {
        assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    }
    client.call(1, consume(&queue, "c")).await;
    assert_eq!(client.texts(1, 2).await, ["3", "4"]);
    // Settling what was fetched gives the consumers no credit.
    client.send(1, ack(1)).await;
    client.expect_nothing(1).await;
    client.send(1, ack(4)).await;
    assert_eq!(client.texts(1, 1).await, ["5"]);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_prefetch_in_octets_is_540() {
    let server = TestServer::start().await;
    let qos = basic::Qos { prefetch_size: 100, prefetch_count: 1, global: false };
    let text = "NOT_IMPLEMENTED - prefetch_size!=0 (100)";
    server.channel().await.fatal(1, qos, 540, text).await;
}

#[tokio::test]
async fn nothing_is_delivered_after_cancel_ok() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..100)).await;
    client.call(1, prefetch(10)).await;
    client.call(1, consume(&queue, "c")).await;
    client.send(1, cancel("c")).await;
    client.deliveries(1, 10).await;
    client.expect(1, basic::CancelOk { consumer_tag: short("c") }).await;
    // They stay the client's, and can be settled.
    assert_eq!(client.counts(1, &queue).await, (90, 0));
    client.send(1, ack(1)).await;
    client.send(1, nack(0, true, true)).await;
    let rest: Vec<String> = (1..100).map(|i| i.to_string()).collect();
    assert_eq!(client.drain(1, &queue).await, rest);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn cancelling_nobody_is_fine() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    for tag in ["nobody", ""] {
        client.send(1, cancel(tag)).await;
        client.expect(1, basic::CancelOk { consumer_tag: short(tag) }).await;
    }
    client.send(1, basic::Cancel { no_wait: true, ..cancel("nobody") }).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn consuming_and_cancelling_without_an_answer_is_silent() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send(1, basic::Consume { no_wait: true, ..consume(&queue, "c") }).await;
    client.expect_nothing(1).await;
    client.publish(1, to_queue(&queue), "x").await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "x", false));
    client.send(1, basic::Cancel { no_wait: true, ..cancel("c") }).await;
    client.expect_nothing(1).await;
    assert_eq!(client.counts(1, &queue).await, (0, 0));
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn an_exclusive_consumer_has_the_queue_for_itself() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;

    client.call(1, consume(&queue, "first")).await;
    client.refused(2, exclusive(&queue, "second"), 403, &text).await;
    client.call(1, cancel("first")).await;

    client.call(1, exclusive(&queue, "alone")).await;
    client.refused(2, consume(&queue, "second"), 403, &text).await;
    client.refused(2, exclusive(&queue, "second"), 403, &text).await;
    server.channel().await.refused(1, consume(&queue, "other"), 403, &text).await;
    // Fetching is not consuming.
    assert!(client.get(2, get(&queue)).await.is_none());
    client.call(1, cancel("alone")).await;
    client.call(2, consume(&queue, "second")).await;
    client.delete(1, &queue).await;
}

#[tokio::test]
async fn the_same_channel_is_no_exception_for_an_exclusive_consumer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, exclusive(&queue, "a")).await;
    client.refused(1, consume(&queue, "b"), 403, &text).await;
    // With its channel the consumer went.
    client.call(1, exclusive(&queue, "b")).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn a_consumer_priority_is_an_integer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    let with = |tag, arguments: FieldTable| basic::Consume { arguments, ..consume(&queue, tag) };
    let arguments = table([("x-priority", 0_i32.into()), ("x-unknown", true.into())]);
    client.call(1, with("a", arguments)).await;
    if !server.is_leveret() {
        // leveret has no priorities but the default yet, and says so.
        client.call(1, with("b", table([("x-priority", (-5_i64).into())]))).await;
    }
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': \"expected \
         integer, got longstr\""
    );
    client.refused(1, with("c", table([("x-priority", "high".into())])), 406, &text).await;
    client.delete(1, &queue).await;
}

#[tokio::test]
async fn consumers_are_told_when_their_queue_goes() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "a")).await;
    client.call(1, consume(&queue, "b")).await;
    server.channel().await.call(1, delete_queue(&queue)).await;
    let mut tags = Vec::new();
    for _ in 0..2 {
        match client.receive_method(1).await {
            Method::BasicCancel(basic::Cancel { consumer_tag, no_wait: true }) => {
                tags.push(consumer_tag.to_str_lossy().into_owned());
            }
            other => panic!("expected basic.cancel, got {other:?}"),
        }
    }
    tags.sort_unstable();
    assert_eq!(tags, ["a", "b"]);
    // Their tags are free at once.
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "a")).await;
    client.call(1, cancel("a")).await;
    client.call(1, delete_queue(&queue)).await;
}

/// Goal: deliveries that came before the end of a queue are still there to be settled, without effect
/// and without an error; the channel that deletes the queue is told last.
#[tokio::test]
async fn the_channel_that_deletes_a_queue_is_told_after_its_answer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "c")).await;
    client.publish(1, to_queue(&queue), "held").await;
    let tag = client.delivery(1).await.tag();
    client.send(1, delete_queue(&queue)).await;
    client.expect(1, queue::DeleteOk { message_count: 0 }).await;
    client.expect(1, basic::Cancel { consumer_tag: short("c"), no_wait: true }).await;
    client.send(1, ack(tag)).await;
    client.expect_nothing(1).await;
}

#[tokio::test]
async fn clients_that_do_not_care_are_not_told() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let handshake = Handshake { client_properties: capabilities(&[]), ..Handshake::default() };
    let mut client = server.connect_with(&handshake).await;
    client.open_channel(1).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "c")).await;
    client.call(1, delete_queue(&queue)).await;
    client.expect_nothing(1).await;
    client.call(1, declare_queue(&queue)).await;
    client.call(1, consume(&queue, "c")).await;
    client.call(1, cancel("c")).await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn get_answers_with_what_is_left_behind() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send(1, get(&queue)).await;
    client.expect(1, basic::GetEmpty {}).await;
    client.send_wire(&messages(&queue, 0..3)).await;
    for (no_ack, left) in [(true, 2), (false, 1), (true, 0)] {
        let fetch = basic::Get { no_ack, ..get(&queue) };
        let (got, _) = client.get(1, fetch).await.expect("a message");
        assert_eq!((got.message_count, got.redelivered), (left, false));
        assert_eq!(got.delivery_tag, 3 - u64::from(left));
    }
    // Only the second is owed an answer.
    client.refused(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    assert_eq!(client.counts(1, &queue).await, (1, 0));
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn what_a_channel_held_goes_back_in_order_and_marked() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.open_channel(2).await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..10)).await;
    client.call(2, prefetch(3)).await;
    client.call(2, consume(&queue, "c")).await;
    client.deliveries(2, 3).await;
    assert!(client.get(2, get_to_ack(&queue)).await.is_some());
    client.send(2, ack(2)).await;
    client.delivery(2).await;
    client.send(2, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.expect(2, channel::CloseOk {}).await;
    let mut seen = Vec::new();
    while let Some((got, content)) = client.get(1, get(&queue)).await {
        seen.push((content.text().to_owned(), got.redelivered));
    }
    let expected: Vec<(String, bool)> =
        (0..10).filter(|i| *i != 1).map(|i| (i.to_string(), i < 5)).collect();
    assert_eq!(seen, expected);
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn recover_gives_everything_out_again_after_its_answer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.send_wire(&messages(&queue, 0..4)).await;
    assert!(client.get(1, get_to_ack(&queue)).await.is_some());
    client.call(1, consume(&queue, "c")).await;
    client.deliveries(1, 3).await;
    client.send(1, ack(3)).await;
    client.send(1, basic::Recover { requeue: true }).await;
    client.expect(1, basic::RecoverOk {}).await;
    let again = client.deliveries(1, 3).await;
    let summary: Vec<_> = again.iter().map(|d| (d.tag(), d.summary())).collect();
    assert_eq!(summary, [(5, ("c", "0", true)), (6, ("c", "1", true)), (7, ("c", "3", true))]);
    // Their old tags mean nothing any more.
    client.send(1, ack(5)).await;
    client.refused(1, ack(2), 406, "PRECONDITION_FAILED - unknown delivery tag 2").await;
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn recover_async_has_no_answer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    client.call(1, declare_queue(&queue)).await;
    client.publish(1, to_queue(&queue), "x").await;
    client.call(1, consume(&queue, "c")).await;
    client.delivery(1).await;
    client.send(1, basic::RecoverAsync { requeue: true }).await;
    assert_eq!(client.delivery(1).await.summary(), ("c", "x", true));
    client.call(1, delete_queue(&queue)).await;
}

#[tokio::test]
async fn recovering_without_requeue_is_540() {
    let server = TestServer::start().await;
    let text = "NOT_IMPLEMENTED - requeue=false";
    server.channel().await.fatal(1, basic::Recover { requeue: false }, 540, text).await;
    server.channel().await.fatal(1, basic::RecoverAsync { requeue: false }, 540, text).await;
}

#[tokio::test]
async fn a_requeued_message_goes_to_whoever_has_credit() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut first = server.channel().await;
    let mut second = server.channel().await;
    first.call(1, declare_queue(&queue)).await;
    first.publish(1, to_queue(&queue), "x").await;
    first.call(1, consume(&queue, "first")).await;
    let tag = first.delivery(1).await.tag();
    first.call(1, cancel("first")).await;
    second.call(1, consume(&queue, "second")).await;
    first.send(1, requeue(tag)).await;
    assert_eq!(second.delivery(1).await.summary(), ("second", "x", true));
    second.call(1, check_queue(&queue)).await;
    second.call(1, delete_queue(&queue)).await;
}
