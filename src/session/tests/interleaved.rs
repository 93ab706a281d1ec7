//! Publishes of one client to several queues in turn, all read at once.

use super::*;
use amqp_codec::method::exchange;

/// A client on a channel with confirms, whose queues refuse what is too much.
fn publisher(host: &Arc<Host>, limits: &[(&str, Option<i32>)]) -> TestClient {
    let mut client = TestClient::connect(host);
    for (name, limit) in limits {
        let limited = |max: i32| {
            let overflow = FieldValue::LongString("reject-publish".into());
            [(short("x-max-length"), FieldValue::I32(max)), (short("x-overflow"), overflow)]
        };
        let arguments = limit.iter().copied().flat_map(limited).collect();
        client.call(1, queue::Declare { queue: short(name), arguments, ..Default::default() });
    }
    client.call(1, confirm::Select { no_wait: false });
    client
}

fn bind(client: &mut TestClient, queue: &str, exchange: &'static str, key: &str) {
    let (queue, exchange, routing_key) = (short(queue), short(exchange), short(key));
    client.call(1, queue::Bind { queue, exchange, routing_key, ..Default::default() });
}

/// Takes all that is in a queue.
fn drain(client: &mut TestClient, queue: &str) -> String {
    let all = client.consume(queue, queue);
    let bodies = all.iter().filter(|told| told.starts_with('\''));
    bodies.map(|body| body.trim_matches('\'')).collect()
}

#[test]
fn each_queue_has_its_share_in_order() {
    let host = plain_host();
    // More than are gathered for at a time.
    let names: Vec<String> = (0..300).map(|number| format!("queue-{number}")).collect();
    let queues: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let mut client = publisher(&host, &queues);
    for round in 0..3 {
        for name in &names {
            client.write_publish(1, name, &[b'a' + round], false);
        }
    }
    client.process();
    assert_eq!(client.read(), ["1 ack 900 and before"]);
    for name in &names {
        assert_eq!(drain(&mut client, name), "abc");
    }
}

#[test]
fn some_queues_in_turn_get_several_messages_each() {
    let host = plain_host();
    let names: Vec<String> = (0..20).map(|number| format!("queue-{number}")).collect();
    let queues: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let mut client = publisher(&host, &queues);
    for round in 0..10 {
        for name in &names {
            client.write_publish(1, name, &[b'a' + round], false);
        }
    }
    client.process();
    assert_eq!(client.read(), ["1 ack 200 and before"]);
    for name in &names {
        assert_eq!(drain(&mut client, name), "abcdefghij");
    }
}

#[test]
fn what_a_queue_refuses_is_nacked_and_nothing_else() {
    let host = plain_host();
    let mut client = publisher(&host, &[("one", Some(1)), ("all", None), ("two", Some(2))]);
    for _ in 0..3 {
        for queue in ["one", "all", "two"] {
            client.write_publish(1, queue, b"m", false);
        }
    }
    client.process();
    // Tags 1 to 9: of `one` the second (4) and third (7), of `two` the third (9).
    let told = client.read().join(", ");
    assert_eq!(
        told,
        "1 ack 3 and before, 1 nack 4, 1 ack 6 and before, 1 nack 7, 1 ack 8, 1 nack 9"
    );
}

#[test]
fn a_queue_that_two_keys_lead_to_keeps_their_order() {
    let host = plain_host();
    let mut client = publisher(&host, &[("a", None), ("b", None)]);
    for key in ["one", "two"] {
        bind(&mut client, "a", "amq.direct", key);
    }
    bind(&mut client, "b", "amq.direct", "other");
    let mut expected = String::new();
    for (index, key) in ["one", "other", "two", "one", "two", "other", "one"].iter().enumerate() {
        let body = [b'0' + index as u8];
        let properties = amqp_codec::BasicProperties::default();
        client.write_to("amq.direct", key, properties, &body);
        if *key != "other" {
            expected.push(char::from(body[0]));
        }
    }
    client.process();
    assert_eq!(client.read(), ["1 ack 7 and before"]);
    assert_eq!(drain(&mut client, "a"), expected);
    assert_eq!(drain(&mut client, "b"), "15");
}

#[test]
fn what_goes_to_several_queues_keeps_its_place_in_each() {
    let host = plain_host();
    let mut client = publisher(&host, &[("a", None), ("b", None)]);
    client.call(
        1,
        exchange::Declare { exchange: short("all"), kind: short("fanout"), ..Default::default() },
    );
    for queue in ["a", "b"] {
        bind(&mut client, queue, "all", "");
    }
    for (exchange, key, body) in
        [("", "a", b"1"), ("", "b", b"2"), ("all", "", b"3"), ("", "a", b"4"), ("all", "", b"5")]
    {
        client.write_to(exchange, key, amqp_codec::BasicProperties::default(), body);
    }
    client.process();
    assert_eq!(client.read(), ["1 ack 5 and before"]);
    assert_eq!(drain(&mut client, "a"), "1345");
    assert_eq!(drain(&mut client, "b"), "235");
}
