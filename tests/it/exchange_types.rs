//! The exchange types that RabbitMQ has in plugins: how they are declared, bound, and what they route.
//!
//! Those in Debian's RabbitMQ (consistent hash, random, recent history) were measured there and run
//! against it when their plugins are enabled. For the others the plugins' own code was read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{
    BasicProperties, FieldTable, FieldValue, RawClient, TestServer, bind_exchange, bind_queue,
    confirm, declare_exchange, declare_queue, delete_exchange, delete_queue, exchange, mandatory,
    table, to_exchange, tx, unbind_queue,
};

fn declare<const N: usize>(
    name: &str,
    kind: &str,
    arguments: [(&str, FieldValue); N],
) -> exchange::Declare {
    exchange::Declare { arguments: table(arguments), ..declare_exchange(name, kind) }
}

fn headers<const N: usize>(entries: [(&str, FieldValue); N]) -> BasicProperties {
    BasicProperties { headers: Some(table(entries)), ..BasicProperties::default() }
}

fn precondition(text: &str) -> String {
    format!("PRECONDITION_FAILED - {text}")
}

/// One exchange, and queues bound to it.
struct Net<'a> {
    client: RawClient,
    exchange: &'a str,
    queues: Vec<String>,
}

impl<'a> Net<'a> {
    async fn new(server: &TestServer, declare: exchange::Declare, exchange: &'a str) -> Self {
        let mut client = server.channel().await;
        client.call(1, declare).await;
        Self { client, exchange, queues: Vec::new() }
    }

    /// Declares a queue and binds it.
    async fn queue(&mut self, name: &str, key: &str) {
        self.queues.push(name.to_owned());
        self.client.call(1, declare_queue(name)).await;
        self.client.call(1, bind_queue(name, self.exchange, key)).await;
    }

    async fn publish(&mut self, key: &str, properties: &BasicProperties, body: &str) {
        self.client.publish_with(1, to_exchange(self.exchange, key), properties, body).await;
    }

    /// What lies in each queue, in the order of their declaration.
    async fn bodies(&mut self) -> Vec<Vec<String>> {
        let mut bodies = Vec::new();
        for queue in &self.queues {
            bodies.push(self.client.drain(1, queue).await);
        }
        bodies
    }

    /// How many messages lie in each queue.
    async fn counts(&mut self) -> Vec<usize> {
        self.bodies().await.iter().map(Vec::len).collect()
    }

    async fn clear(mut self) {
        self.client.call(1, delete_exchange(self.exchange)).await;
        for queue in &self.queues {
            self.client.call(1, delete_queue(queue)).await;
        }
    }
}

#[tokio::test]
async fn a_consistent_hash_exchange_checks_arguments_and_weights() {
    let server = TestServer::start().await;
    let (x, q) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    let kind = "x-consistent-hash";
    let both = [("hash-header", "h".into()), ("hash-property", "message_id".into())];
    let text = precondition("hash-header and hash-property are mutually exclusive");
    client.refused(1, declare(&x, kind, both), 406, &text).await;
    let property = [("hash-property", "app_id".into())];
    let text = precondition("Unsupported property: app_id");
    client.refused(1, declare(&x, kind, property), 406, &text).await;
    // A crash in RabbitMQ: 541, and the connection closes.
    if server.is_leveret() {
        let text = precondition(&format!(
            "invalid type 'signedint' for arg 'hash-header' in exchange '{x}' in vhost '/'"
        ));
        let wrong = declare(&x, kind, [("hash-header", 1_i32.into())]);
        client.refused(1, wrong, 406, &text).await;
    }
    client.call(1, declare(&x, kind, [("hash-header", "h".into())])).await;
    // What is hashed is not compared, and neither is it changed.
    client.call(1, declare(&x, kind, [("hash-header", "another".into())])).await;
    client.call(1, declare_queue(&q)).await;
    for key in ["0", "-1"] {
        let text = precondition("The binding key must be greater than 0");
        client.refused(1, bind_queue(&q, &x, key), 406, &text).await;
    }
    for (key, shown) in
        [("abc", "\"abc\""), ("", ""), ("1.5", "\"1.5\""), (" 1", "\" 1\""), ("\"", "\"\\\"\"")]
    {
        let text = precondition(&format!("The binding key must be an integer: <<{shown}>>"));
        client.refused(1, bind_queue(&q, &x, key), 406, &text).await;
    }
    let text = precondition("The binding key must be an integer: <<\"k\">>");
    client.refused(1, bind_exchange("amq.direct", &x, "k"), 406, &text).await;
    for key in ["+1", "007", "1000"] {
        client.call(1, bind_queue(&q, &x, key)).await;
        client.call(1, unbind_queue(&q, &x, key)).await;
    }
    client.call(1, delete_exchange(&x)).await;
    client.call(1, delete_queue(&q)).await;
}

#[tokio::test]
async fn a_consistent_hash_exchange_spreads_by_weight_and_keeps_keys_together() {
    let server = TestServer::start().await;
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let mut net = Net::new(&server, declare(&x, "x-consistent-hash", []), &x).await;
    net.queue(&a, "1").await;
    net.queue(&b, "3").await;
    for _ in 0..2 {
        for number in 0..400 {
            let key = number.to_string();
            net.publish(&key, &BasicProperties::default(), &key).await;
        }
    }
    let bodies = net.bodies().await;
    let counts: Vec<usize> = bodies.iter().map(Vec::len).collect();
    assert_eq!(counts.iter().sum::<usize>(), 800, "every message goes to one queue");
    assert!((120..280).contains(&counts[0]), "a quarter: {counts:?}");
    for queue in &bodies {
        let mut times = BTreeMap::new();
        queue.iter().for_each(|key| *times.entry(key).or_insert(0) += 1);
        assert!(times.values().all(|times| *times == 2), "equal keys stay together");
    }
    net.clear().await;
}

#[tokio::test]
async fn a_consistent_hash_exchange_hashes_what_it_is_told_to() {
    let server = TestServer::start().await;
    let with_id = |id: String| BasicProperties {
        message_id: Some(crate::support::short(id)),
        ..BasicProperties::default()
    };
    let cases = [("hash-header", "tenant"), ("hash-property", "message_id")];
    for (argument, value) in cases {
        let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
        let declaration = declare(&x, "x-consistent-hash", [(argument, value.into())]);
        let mut net = Net::new(&server, declaration, &x).await;
        net.queue(&a, "1").await;
        net.queue(&b, "1").await;
        for number in 0..60 {
            net.publish(&number.to_string(), &BasicProperties::default(), "").await;
        }
        let mut counts = net.counts().await;
        counts.sort_unstable();
        assert_eq!(counts, [0, 60], "without {value} all go to one queue");
        for number in 0..60 {
            let properties = match argument {
                "hash-header" => {
                    headers([("tenant", number.to_string().as_str().to_owned().into())])
                }
                _ => with_id(number.to_string()),
            };
            net.publish("the same", &properties, "").await;
        }
        let counts = net.counts().await;
        assert!(counts.iter().all(|count| *count > 10), "{value} decides: {counts:?}");
        net.clear().await;
    }
}

#[tokio::test]
async fn a_modulus_hash_exchange_picks_one_by_the_key() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let mut net = Net::new(&server, declare(&x, "x-modulus-hash", []), &x).await;
    net.queue(&a, "any").await;
    net.queue(&b, "").await;
    for number in 0..100 {
        net.publish("same", &BasicProperties::default(), "").await;
        net.publish(&number.to_string(), &headers([("h", number.into())]), "").await;
    }
    let counts = net.counts().await;
    assert_eq!(counts.iter().sum::<usize>(), 200);
    let (fewer, more) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*fewer > 20 && *more > 120, "{counts:?}");
    net.clear().await;
}

#[tokio::test]
async fn a_random_exchange_picks_one_whatever_the_key() {
    let server = TestServer::start().await;
    let mut kinds = vec![("x-random", "any")];
    if server.is_leveret() {
        kinds.push(("x-local-random", ""));
    }
    for (kind, binding_key) in kinds {
        let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
        let mut net = Net::new(&server, declare(&x, kind, []), &x).await;
        net.queue(&a, binding_key).await;
        net.queue(&b, binding_key).await;
        for _ in 0..200 {
            net.publish("same", &BasicProperties::default(), "").await;
        }
        let counts = net.counts().await;
        assert_eq!(counts.iter().sum::<usize>(), 200);
        assert!(counts.iter().all(|count| *count > 50), "{kind}: {counts:?}");
        net.clear().await;
    }
}

/// RabbitMQ 4's rules.
#[tokio::test]
async fn a_local_random_exchange_takes_queues_with_an_empty_key_only() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, q) = (server.name("x"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, declare(&x, "x-local-random", [])).await;
    client.call(1, declare_queue(&q)).await;
    let text = precondition("Non empty binding 'k' key not permitted");
    client.refused(1, bind_queue(&q, &x, "k"), 406, &text).await;
    let text = precondition("Destination not found");
    client.refused(1, bind_exchange("amq.direct", &x, ""), 406, &text).await;
    client.call(1, bind_queue(&q, &x, "")).await;
}

#[tokio::test]
async fn the_length_of_a_history_is_a_positive_integer() {
    let server = TestServer::start().await;
    let x = server.name("x");
    let mut client = server.channel().await;
    for (length, shown) in [
        (0_i32.into(), "0"),
        ((-1_i32).into(), "-1"),
        ("5".into(), "<<\"5\">>"),
        (true.into(), "true"),
        (FieldValue::Void, "undefined"),
    ] {
        let text = precondition(&format!(
            "Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
        ));
        let wrong = declare(&x, "x-recent-history", [("x-recent-history-length", length)]);
        client.refused(1, wrong, 406, &text).await;
    }
}

#[tokio::test]
async fn a_new_binding_gets_the_last_messages_in_order() {
    let server = TestServer::start().await;
    let (x, early, late) = (server.name("x"), server.name("early"), server.name("late"));
    let declaration = declare(&x, "x-recent-history", [("x-recent-history-length", 3_i32.into())]);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&early, "").await;
    let plain = BasicProperties::default();
    let no_store = |value: FieldValue| headers([("x-recent-history-no-store", value)]);
    for body in ["1", "2", "3"] {
        net.publish(body, &plain, body).await;
    }
    net.publish("k", &no_store(true.into()), "not kept").await;
    net.publish("k", &no_store(1_i32.into()), "4").await;
    net.publish("k", &no_store(false.into()), "5").await;
    net.queue(&late, "").await;
    let all = ["1", "2", "3", "not kept", "4", "5"].map(str::to_owned).to_vec();
    let last = ["3", "4", "5"].map(str::to_owned).to_vec();
    assert_eq!(net.bodies().await, [all, last.clone()]);
    // The same binding again is no new one; another key is.
    net.client.call(1, bind_queue(&late, &x, "")).await;
    assert_eq!(net.counts().await, [0, 0]);
    net.client.call(1, bind_queue(&late, &x, "another")).await;
    let (method, content) = net.client.get(1, crate::support::get(&late)).await.unwrap();
    assert_eq!((content.text(), method.redelivered), ("3", false));
    assert_eq!(method.routing_key, crate::support::short("3"));
    assert_eq!(net.bodies().await, [vec![], last[1..].to_vec()]);
    net.clear().await;
}

/// RabbitMQ 3.10 hands them over the other way round, and closes the connection with 541 if one of
/// them reaches no queue.
#[tokio::test]
async fn a_new_exchange_routes_the_last_messages_in_order() {
    let server = TestServer::start().await;
    let (x, t, q) = (server.name("x"), server.name("t"), server.name("q"));
    let mut client = server.channel().await;
    client.call(1, declare(&x, "x-recent-history", [])).await;
    for key in ["a.1", "a.2", "a.3"] {
        client.publish(1, to_exchange(&x, key), key).await;
    }
    client.call(1, declare_exchange(&t, "topic")).await;
    client.call(1, declare_queue(&q)).await;
    client.call(1, bind_queue(&q, &t, server.differs("a.*", "#"))).await;
    if server.is_leveret() {
        client.publish(1, to_exchange(&x, "b"), "not for the queue").await;
    }
    client.call(1, bind_exchange(&t, &x, "")).await;
    let expected = server.differs(["a.1", "a.2", "a.3"], ["a.3", "a.2", "a.1"]);
    assert_eq!(client.drain(1, &q).await, expected);
    client.call(1, delete_exchange(&x)).await;
    client.call(1, delete_exchange(&t)).await;
    client.call(1, delete_queue(&q)).await;
}

#[tokio::test]
async fn what_nobody_takes_is_returned_and_kept_in_the_history() {
    let server = TestServer::start().await;
    let (x, q) = (server.name("x"), server.name("q"));
    let mut net = Net::new(&server, declare(&x, "x-recent-history", []), &x).await;
    let publish = mandatory(to_exchange(&x, "k"));
    net.client.publish(1, publish, "early").await;
    assert_eq!(net.client.returned(1).await.1.text(), "early");
    net.queue(&q, "").await;
    assert_eq!(net.bodies().await, [["early"]]);
    net.clear().await;
}

#[tokio::test]
async fn a_delayed_message_exchange_routes_as_its_inner_type() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let kind = "x-delayed-message";
    let mut client = server.channel().await;
    let text = precondition("Invalid argument, 'x-delayed-type' must be an existing exchange type");
    client.refused(1, declare(&x, kind, []), 406, &text).await;
    for wrong in ["nosuch".into(), kind.into(), "".into(), FieldValue::from(1_i32)] {
        let wrong = declare(&x, kind, [("x-delayed-type", wrong)]);
        client.refused(1, wrong, 406, &text).await;
    }
    // The inner type's arguments are checked, too.
    let inner = [("x-delayed-type", "x-consistent-hash".into()), ("hash-property", "x".into())];
    let text = precondition("Unsupported property: x");
    client.refused(1, declare(&x, kind, inner), 406, &text).await;
    let declaration = declare(&x, kind, [("x-delayed-type", "topic".into())]);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&a, "a.*").await;
    net.queue(&b, "#").await;
    net.publish("a.1", &BasicProperties::default(), "one").await;
    net.publish("b", &BasicProperties::default(), "two").await;
    assert_eq!(net.bodies().await, [vec!["one"], vec!["one", "two"]]);
    net.clear().await;
}

#[tokio::test]
async fn a_deduplication_exchange_checks_its_arguments() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let x = server.name("x");
    let mut client = server.channel().await;
    let size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
    let ttl = "Invalid argument, 'x-cache-ttl' must be an integer greater than 0";
    let persistence = "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'";
    let with = |name: &'static str, value: FieldValue| {
        table([("x-cache-size", 10_i32.into()), (name, value)])
    };
    for (arguments, text) in [
        (FieldTable::default(), size),
        (table([("x-cache-size", 0_i32.into())]), size),
        (table([("x-cache-size", "many".into())]), size),
        (with("x-cache-ttl", 0_i32.into()), ttl),
        (with("x-cache-ttl", "soon".into()), ttl),
        (with("x-cache-persistence", "tape".into()), persistence),
    ] {
        let declare =
            exchange::Declare { arguments, ..declare_exchange(&x, "x-message-deduplication") };
        client.refused(1, declare, 406, &precondition(text)).await;
    }
}

#[tokio::test]
async fn a_deduplication_exchange_lets_every_message_through_once() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let arguments = [("x-cache-size", 2_i32.into()), ("x-cache-ttl", 60_000_i32.into())];
    let declaration = declare(&x, "x-message-deduplication", arguments);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&a, "a").await;
    net.queue(&b, "b").await;
    let key = |value: FieldValue| headers([("x-deduplication-header", value)]);
    for value in ["one", "two", "one", "three", "two", "one"] {
        net.publish("neither", &key(value.into()), value).await;
    }
    net.publish("neither", &BasicProperties::default(), "without").await;
    net.publish("neither", &BasicProperties::default(), "without").await;
    // Two are remembered: the third pushed out the first.
    let passed = ["one", "two", "three", "one", "without", "without"];
    assert_eq!(net.bodies().await, [passed, passed]);
    server.virtual_time();
    tokio::time::advance(Duration::from_secs(60)).await;
    net.publish("neither", &key("one".into()), "after its time").await;
    assert_eq!(net.bodies().await, [["after its time"], ["after its time"]]);
    net.clear().await;
}

/// The plugin returns a mandatory duplicate as if nobody were bound. The message it repeats was
/// taken, so its publisher is told what it was told then: it is confirmed, and not returned.
#[tokio::test]
async fn a_duplicate_is_confirmed_and_not_returned() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, q) = (server.name("x"), server.name("q"));
    let declaration = declare(&x, "x-message-deduplication", [("x-cache-size", 2_i32.into())]);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&q, "").await;
    net.client.call(1, confirm::Select { no_wait: false }).await;
    let once = headers([("x-deduplication-header", 1_i32.into())]);
    for number in 1..=2 {
        let publish = mandatory(to_exchange(&x, "k"));
        net.client.publish_with(1, publish, &once, "once").await;
        net.client.expect(1, crate::support::ack(number)).await;
    }
    assert_eq!(net.bodies().await, [["once"]]);
    net.clear().await;
}

#[tokio::test]
async fn a_message_that_is_refused_was_not_seen() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, q) = (server.name("x"), server.name("q"));
    let declaration = declare(&x, "x-message-deduplication", [("x-cache-size", 2_i32.into())]);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&q, "").await;
    let once = headers([("x-deduplication-header", "key".into())]);
    let expiration = Some(crate::support::short("soon"));
    let wrong = BasicProperties { expiration, ..once.clone() };
    let text = precondition("invalid expiration 'soon': no_integer");
    net.client.publish_refused(1, to_exchange(&x, "k"), &wrong, 406, &text).await;
    let text = format!("NOT_FOUND - no exchange '{q}' in vhost '/'");
    net.client.publish_refused(1, to_exchange(&q, "k"), &wrong, 404, &text).await;
    net.publish("k", &once, "right").await;
    assert_eq!(net.bodies().await, [["right"]]);
    net.clear().await;
}

/// What was published is found to be new once, also when the route is looked up again because
/// something was bound before the commit.
#[tokio::test]
async fn a_transaction_counts_a_message_once() {
    let server = TestServer::start().await;
    if !server.is_leveret() {
        return;
    }
    let (x, q, late) = (server.name("x"), server.name("q"), server.name("late"));
    let declaration = declare(&x, "x-message-deduplication", [("x-cache-size", 2_i32.into())]);
    let mut net = Net::new(&server, declaration, &x).await;
    net.queue(&q, "").await;
    net.client.call(1, tx::Select {}).await;
    for body in ["first", "second"] {
        let once = headers([("x-deduplication-header", "key".into())]);
        net.publish("k", &once, body).await;
    }
    net.queue(&late, "").await;
    net.client.call(1, tx::Commit {}).await;
    assert_eq!(net.bodies().await[0], ["first"]);
    net.clear().await;
}

/// RabbitMQ records when it routes, and keeps what is rolled back then.
#[tokio::test]
async fn a_transaction_is_recorded_when_it_is_committed() {
    let server = TestServer::start().await;
    let (x, early, late) = (server.name("x"), server.name("early"), server.name("late"));
    let mut net = Net::new(&server, declare(&x, "x-recent-history", []), &x).await;
    net.client.call(1, tx::Select {}).await;
    net.publish("k", &BasicProperties::default(), "rolled back").await;
    net.client.call(1, tx::Rollback {}).await;
    net.publish("k", &BasicProperties::default(), "committed").await;
    net.client.call(1, tx::Commit {}).await;
    net.queue(&early, "").await;
    net.queue(&late, "").await;
    let kept = server.differs(vec!["committed"], vec!["rolled back", "committed"]);
    assert_eq!(net.bodies().await, [kept.clone(), kept]);
    net.clear().await;
}

/// A type with a hyphen is shown in quotes of its own.
#[tokio::test]
async fn another_type_is_refused_in_rabbitmqs_words() {
    let server = TestServer::start().await;
    let x = server.name("x");
    let mut client = server.channel().await;
    client.call(1, declare(&x, "x-random", [])).await;
    for (kind, received) in [("topic", "topic"), ("x-recent-history", "'x-recent-history'")] {
        let text = precondition(&format!(
            "inequivalent arg 'type' for exchange '{x}' in vhost '/': received '{received}' but \
             current is ''x-random''"
        ));
        client.refused(1, declare_exchange(&x, kind), 406, &text).await;
    }
    client.call(1, delete_exchange(&x)).await;
}
