//! Dead letters on the wire: their headers octet by octet, their order, and every way to die.

use std::time::Duration;

use crate::support::{
    BasicProperties, Content, Delivery, FieldValue, RawClient, TestServer, ack, basic, bind_queue,
    cancel, channel, consume, consume_freely, declare_exchange, declare_queue, declare_queue_with,
    delete_exchange, delete_queue, exchange, get, get_to_ack, nack, reject, short, table, texts,
    to_exchange, to_queue, tx, with_headers,
};

/// Where a queue's dead letters go.
fn dead_letters_to<'a>(exchange: &'a str, key: &'a str) -> [(&'static str, FieldValue); 2] {
    [("x-dead-letter-exchange", exchange.into()), ("x-dead-letter-routing-key", key.into())]
}

/// A queue and one for its dead letters.
async fn with_graveyard(client: &mut RawClient, queue: &str, dead: &str) {
    client.call(1, declare_queue(dead)).await;
    client.call(1, declare_queue_with(queue, dead_letters_to("", dead))).await;
}

/// Takes the first message of `queue` and rejects it.
async fn kill(client: &mut RawClient, queue: &str) {
    let (got, _) = client.get(1, get_to_ack(queue)).await.expect("a message to kill");
    client.send(1, reject(got.delivery_tag)).await;
}

async fn letter(client: &mut RawClient, dead: &str) -> (basic::GetOk, Content) {
    // RabbitMQ moves it while it answers others.
    let moved = async {
        loop {
            if let Some(letter) = client.get(1, get(dead)).await {
                return letter;
            }
        }
    };
    let moved = tokio::time::timeout(Duration::from_secs(10), moved).await;
    moved.expect("a dead letter comes in time")
}

/// Every header of a dead letter, in name, type and value. `x-death` has for each death a table with
/// `count`, `reason`, `queue`, `time`, `exchange`, `routing-keys` and, for a message that had one, its
/// `original-expiration`. The order of fields is nobody's promise; what they are is.
#[tokio::test]
async fn the_headers_of_a_dead_letter_are_all_there() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_graveyard(&mut client, &queue, &dead).await;
    let published = BasicProperties {
        content_type: Some(short("text/plain")),
        delivery_mode: Some(2),
        priority: Some(7),
        expiration: Some(short("60000")),
        message_id: Some(short("id")),
        ..with_headers([("own", true.into())])
    };
    client.publish_with(1, to_queue(&queue), &published, "body").await;
    kill(&mut client, &queue).await;
    let (got, content) = letter(&mut client, &dead).await;
    let expected = basic::GetOk {
        delivery_tag: 2,
        redelivered: false,
        exchange: short(""),
        routing_key: short(&dead),
        message_count: 0,
    };
    assert_eq!((got, content.text()), (expected, "body"));

    let FieldValue::Array(deaths) = content.header("x-death").expect("x-death") else {
        panic!("x-death is an array");
    };
    let FieldValue::Table(mut death) = deaths[0].clone() else { panic!("of tables") };
    assert_eq!(deaths.len(), 1);
    let Some(FieldValue::Timestamp(died)) = death.remove("time") else {
        panic!("time is a timestamp")
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    assert!(died <= now + 1 && died + 60 >= now, "it died at {died}, and it is {now}");
    let mut fields: Vec<_> =
        death.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    let expected = [
        ("count", 1_i64.into()),
        ("exchange", "".into()),
        ("original-expiration", "60000".into()),
        ("queue", queue.as_str().into()),
        ("reason", "rejected".into()),
        ("routing-keys", texts([queue.as_str()])),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (short(name), value)));

    let mut rest = content.properties();
    rest.headers.as_mut().expect("headers").remove("x-death");
    for (name, value) in [("reason", "rejected"), ("queue", queue.as_str()), ("exchange", "")] {
        let headers = rest.headers.as_mut().expect("headers");
        assert_eq!(headers.remove(format!("x-first-death-{name}")), Some(value.into()));
        // RabbitMQ has these since 3.13.
        if server.is_leveret() {
            assert_eq!(headers.remove(format!("x-last-death-{name}")), Some(value.into()));
        }
    }
    assert_eq!(rest, BasicProperties { expiration: None, ..published });
    for queue in [&queue, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// leveret's own frame, octet by octet, so that no change of it goes unnoticed. Its fields are in the
/// order of RabbitMQ 3.
#[tokio::test]
async fn a_dead_letter_octet_by_octet() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    with_graveyard(&mut client, "q", "d").await;
    client.publish(1, to_queue("q"), "body").await;
    kill(&mut client, "q").await;
    let (_, content) = letter(&mut client, "d").await;
    let raw = &content.raw_properties;
    let entry: &[u8] = b"\x05countl\0\0\0\0\0\0\0\x01\
        \x06reasonS\0\0\0\x08rejected\
        \x05queueS\0\0\0\x01q\
        \x04timeT";
    let tail: &[u8] = b"\x08exchangeS\0\0\0\0\
        \x0crouting-keysA\0\0\0\x06S\0\0\0\x01q";
    let names: &[u8] = b"\x14x-first-death-reasonS\0\0\0\x08rejected\
        \x13x-first-death-queueS\0\0\0\x01q\
        \x16x-first-death-exchangeS\0\0\0\0\
        \x13x-last-death-reasonS\0\0\0\x08rejected\
        \x12x-last-death-queueS\0\0\0\x01q\
        \x15x-last-death-exchangeS\0\0\0\0";
    let time_at = raw.windows(6).position(|it| it == b"\x04timeT").expect("a time") + 6;
    let time = &raw[time_at..time_at + 8];
    let table = [entry, time, tail].concat();
    let length = |len: usize| u32::try_from(len).expect("a short table").to_be_bytes();
    let death = [b"F".as_slice(), &length(table.len()), &table].concat();
    let deaths = [b"\x07x-deathA".as_slice(), &length(death.len()), &death].concat();
    let headers = [&deaths, names].concat();
    let expected = [b"\x20\0".as_slice(), &length(headers.len()), &headers].concat();
    assert_eq!(raw.as_ref(), expected);
}

/// "When a dead letter exchange's key is given, `CC` is removed" and its keys are in the record only; `BCC`
/// was never to be seen.
#[tokio::test]
async fn another_key_replaces_cc_and_the_record_keeps_it() {
    let server = TestServer::start().await;
    let (queue, copy, dead) = (server.name("q"), server.name("copy"), server.name("dead"));
    let mut client = server.channel().await;
    with_graveyard(&mut client, &queue, &dead).await;
    client.call(1, declare_queue(&copy)).await;
    let headers =
        [("CC", texts([copy.as_str()])), ("BCC", texts(["hidden"])), ("own", 1_i32.into())];
    client.publish_with(1, to_queue(&queue), &with_headers(headers), "x").await;
    kill(&mut client, &queue).await;
    let (_, content) = letter(&mut client, &dead).await;
    assert_eq!((content.header("CC"), content.header("BCC")), (None, None));
    assert_eq!(content.header("own"), Some(1_i32.into()));
    let FieldValue::Array(deaths) = content.header("x-death").expect("x-death") else {
        panic!("x-death is an array");
    };
    let keys = deaths[0].as_table().and_then(|death| death.get("routing-keys"));
    assert_eq!(keys, Some(&texts([queue.as_str(), copy.as_str()])));
    assert_eq!(client.drain(1, &copy).await, ["x"]);
    for queue in [&queue, &copy, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// A dead letter exchange may be internal: no client publishes to it, and the broker does.
#[tokio::test]
async fn an_internal_exchange_takes_dead_letters() {
    let server = TestServer::start().await;
    let (queue, dead, graveyard) = (server.name("q"), server.name("dead"), server.name("x"));
    let mut client = server.channel().await;
    let internal = exchange::Declare { internal: true, ..declare_exchange(&graveyard, "direct") };
    client.call(1, internal).await;
    client.call(1, declare_queue(&dead)).await;
    client.call(1, bind_queue(&dead, &graveyard, "k")).await;
    client.call(1, declare_queue_with(&queue, dead_letters_to(&graveyard, "k"))).await;
    let text =
        format!("ACCESS_REFUSED - cannot publish to internal exchange '{graveyard}' in vhost '/'");
    let none = BasicProperties::default();
    client.publish_refused(1, to_exchange(&graveyard, "k"), &none, 403, &text).await;
    client.publish(1, to_queue(&queue), "x").await;
    kill(&mut client, &queue).await;
    let (got, content) = letter(&mut client, &dead).await;
    assert_eq!(
        (got.exchange, got.routing_key, content.text()),
        (short(&graveyard), short("k"), "x")
    );
    for queue in [&queue, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
    client.call(1, delete_exchange(&graveyard)).await;
}

/// Dead letters keep their order over several queues, each with its record.
#[tokio::test]
async fn letters_keep_their_order_over_three_queues() {
    const COUNT: usize = 300;
    let server = TestServer::start().await;
    server.virtual_time();
    let names = ["q1", "q2", "q3", "end"].map(|name| server.name(name));
    let mut client = server.channel().await;
    client.call(1, declare_queue(&names[3])).await;
    for (index, milliseconds) in [(2, 100_i32), (1, 100), (0, 500)] {
        let arguments = dead_letters_to("", &names[index + 1]);
        let ttl = [("x-message-ttl", milliseconds.into())];
        client.call(1, declare_queue_with(&names[index], arguments.into_iter().chain(ttl))).await;
    }
    for number in 0..COUNT {
        client.publish(1, to_queue(&names[0]), number.to_string()).await;
    }
    client.expect_nothing(1).await;
    client.call(1, consume_freely(&names[3], "end")).await;
    let letters = client.deliveries(1, COUNT).await;
    let got: Vec<_> = letters.iter().map(Delivery::text).collect();
    assert_eq!(got, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
    let FieldValue::Array(deaths) = letters[0].content.header("x-death").expect("x-death") else {
        panic!("x-death is an array");
    };
    let queues: Vec<_> = deaths
        .iter()
        .filter_map(|death| death.as_table()?.get("queue")?.as_str().map(str::to_owned))
        .collect();
    // Before 4.0, RabbitMQ is sure of the first entry only.
    let in_order = [&names[2], &names[1], &names[0]].map(String::as_str);
    assert_eq!(queues[..server.differs(3, 1)], in_order[..server.differs(3, 1)]);
    for name in &names {
        client.delete(1, name).await;
    }
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A rejection that is rolled back, a channel that closes and a consumer that is cancelled kill nobody: the
/// messages are back, and not dead.
#[tokio::test]
async fn what_only_comes_back_is_not_dead() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_graveyard(&mut client, &queue, &dead).await;
    client.publish(1, to_queue(&queue), "x").await;
    client.expect_nothing(1).await;
    client.open_channel(2).await;
    client.call(2, tx::Select {}).await;
    client.call(2, consume(&queue, "c")).await;
    client.delivery(2).await;
    client.send(2, reject(1)).await;
    client.call(2, tx::Rollback {}).await;
    client.send(2, nack(0, true, false)).await;
    client.call(2, tx::Rollback {}).await;
    client.call(2, cancel("c")).await;
    client.call(2, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    assert_eq!(client.counts(1, &dead).await, (0, 0));
    let (got, _) = client.get(1, get_to_ack(&queue)).await.expect("it is back");
    assert!(got.redelivered);
    // A rejection that is committed counts.
    client.open_channel(2).await;
    client.call(2, tx::Select {}).await;
    client.send(1, crate::support::requeue(got.delivery_tag)).await;
    client.expect_nothing(1).await;
    client.get(2, get_to_ack(&queue)).await.expect("a message");
    client.send(2, reject(1)).await;
    client.call(2, tx::Commit {}).await;
    assert_eq!(letter(&mut client, &dead).await.1.text(), "x");
    for queue in [&queue, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// A cancelled consumer's deliveries can still be rejected, and the rejection kills.
#[tokio::test]
async fn a_cancelled_consumer_can_still_kill() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_graveyard(&mut client, &queue, &dead).await;
    for text in ["1", "2", "3"] {
        client.publish(1, to_queue(&queue), text).await;
    }
    client.call(1, consume(&queue, "c")).await;
    client.deliveries(1, 3).await;
    client.call(1, cancel("c")).await;
    client.send(1, ack(2)).await;
    client.send(1, nack(0, true, false)).await;
    client.expect_nothing(1).await;
    while client.counts(1, &dead).await.0 < 2 {}
    assert_eq!(client.drain(1, &dead).await, ["1", "3"]);
    for queue in [&queue, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// A body of many frames is the same when it is dead, and its memory is counted once.
#[tokio::test]
async fn a_large_body_dies_whole() {
    let server = TestServer::start().await;
    let (queue, dead) = (server.name("q"), server.name("dead"));
    let mut client = server.channel().await;
    with_graveyard(&mut client, &queue, &dead).await;
    for size in [0, 1, 131_064, 131_065, 1_000_000] {
        let body: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        client.publish(1, to_queue(&queue), &body).await;
        kill(&mut client, &queue).await;
        assert!(letter(&mut client, &dead).await.1.body == body, "{size} octets");
        assert!(server.memory_used().is_none_or(|used| used == 0));
    }
    for queue in [&queue, &dead] {
        client.call(1, delete_queue(queue)).await;
    }
}

/// An `x-death` header that is none is replaced, and one that a client wrote is counted on, as by
/// RabbitMQ 3.
#[tokio::test]
async fn a_publishers_own_record_is_taken_as_it_is() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    with_graveyard(&mut client, "q", "dead").await;
    let known =
        table([("queue", "q".into()), ("reason", "rejected".into()), ("count", 6_i64.into())]);
    for (written, count, deaths) in [
        (FieldValue::from("nonsense"), 1, 1),
        (FieldValue::Array(vec!["nonsense".into(), 5_i32.into()]), 1, 3),
        (FieldValue::Array(vec![FieldValue::Table(known)]), 7, 1),
        (FieldValue::Array(vec![FieldValue::Table(table([("count", i64::MAX.into())]))]), 1, 2),
    ] {
        client.publish_with(1, to_queue("q"), &with_headers([("x-death", written)]), "x").await;
        kill(&mut client, "q").await;
        let (_, content) = letter(&mut client, "dead").await;
        let FieldValue::Array(record) = content.header("x-death").expect("x-death") else {
            panic!("x-death is an array");
        };
        let counted = record[0].as_table().and_then(|death| death.get("count")).cloned();
        assert_eq!((counted, record.len()), (Some(FieldValue::I64(count)), deaths));
    }
}
