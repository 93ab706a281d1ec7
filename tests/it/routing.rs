//! Which queues a message reaches: each exchange type, exchanges behind exchanges, alternates.

use crate::support::{
    BasicProperties, FieldTable, FieldValue, RawClient, TestServer, bind_exchange, bind_queue,
    declare_exchange, declare_queue, delete_exchange, delete_queue, exchange, mandatory, queue,
    table, to_exchange, to_queue, unbind_exchange,
};

fn with_alternate(name: &str, kind: &str, alternate: &str) -> exchange::Declare {
    let arguments = table([("alternate-exchange", alternate.into())]);
    exchange::Declare { arguments, ..declare_exchange(name, kind) }
}

fn headers(headers: FieldTable) -> BasicProperties {
    BasicProperties { headers: Some(headers), ..BasicProperties::default() }
}

/// Exchanges and queues that go when the test does.
struct Net {
    client: RawClient,
    exchanges: Vec<String>,
    queues: Vec<String>,
}

impl Net {
    async fn new(server: &TestServer) -> Self {
        Self { client: server.channel().await, exchanges: Vec::new(), queues: Vec::new() }
    }

    async fn exchange(&mut self, declare: exchange::Declare) {
        self.exchanges.push(declare.exchange.to_str_lossy().into_owned());
        self.client.call(1, declare).await;
    }

    async fn queue(&mut self, name: &str) {
        self.queues.push(name.to_owned());
        self.client.call(1, declare_queue(name)).await;
    }

    async fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        self.client.call(1, bind_queue(queue, exchange, key)).await;
    }

    async fn feed(&mut self, destination: &str, source: &str, key: &str) {
        self.client.call(1, bind_exchange(destination, source, key)).await;
    }

    /// The queues that a message reaches, in the order of their declaration, once for every copy.
    async fn reached(&mut self, exchange: &str, key: &str) -> Vec<String> {
        self.reached_with(exchange, key, &BasicProperties::default()).await
    }

    async fn reached_with(
        &mut self,
        exchange: &str,
        key: &str,
        properties: &BasicProperties,
    ) -> Vec<String> {
        self.client.publish_with(1, to_exchange(exchange, key), properties, "x").await;
        let mut reached = Vec::new();
        for queue in &self.queues {
            let copies = self.client.drain(1, queue).await.len();
            reached.extend(std::iter::repeat_n(queue.clone(), copies));
        }
        reached
    }

    async fn clear(mut self) {
        for exchange in self.exchanges {
            self.client.call(1, delete_exchange(&exchange)).await;
        }
        for queue in self.queues {
            self.client.call(1, delete_queue(&queue)).await;
        }
    }
}

#[tokio::test]
async fn the_default_exchange_knows_every_queue_by_its_name() {
    let server = TestServer::start().await;
    let (a, b) = (server.name("a"), server.name("b"));
    let mut net = Net::new(&server).await;
    net.queue(&a).await;
    net.queue(&b).await;
    assert_eq!(net.reached("", &a).await, [a.as_str()]);
    assert_eq!(net.reached("", &b).await, [b.as_str()]);
    // The last declared queue is not what an empty key stands for.
    assert!(net.reached("", "").await.is_empty());
    net.clear().await;
}

#[tokio::test]
async fn direct_exchanges_compare_keys() {
    let server = TestServer::start().await;
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(&x, "direct")).await;
    net.queue(&a).await;
    net.queue(&b).await;
    for (queue, key) in [(&a, "one"), (&a, "both"), (&b, "both"), (&b, "o*"), (&b, "")] {
        net.bind(queue, &x, key).await;
    }
    assert_eq!(net.reached(&x, "one").await, [a.as_str()]);
    assert_eq!(net.reached(&x, "both").await, [a.as_str(), b.as_str()]);
    assert_eq!(net.reached(&x, "").await, [b.as_str()]);
    assert!(net.reached(&x, "none").await.is_empty());
    net.clear().await;
}

#[tokio::test]
async fn fanout_exchanges_ignore_keys_and_a_queue_bound_twice_gets_one_copy() {
    let server = TestServer::start().await;
    let (x, a, b) = (server.name("x"), server.name("a"), server.name("b"));
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(&x, "fanout")).await;
    net.queue(&a).await;
    net.queue(&b).await;
    for (queue, key) in [(&a, "one"), (&a, "two"), (&b, "")] {
        net.bind(queue, &x, key).await;
    }
    assert_eq!(net.reached(&x, "whatever").await, [a.as_str(), b.as_str()]);
    net.clear().await;
}

/// Rows of pattern, keys that match, keys that do not; one queue for each pattern.
#[tokio::test]
async fn topic_exchanges_match_words() {
    let server = TestServer::start().await;
    let rows: [(&str, &[&str], &[&str]); 14] = [
        ("#", &["", "a", "a.b", "a.", "."], &[]),
        ("*", &["a", "ab"], &["", "a.b", "a."]),
        ("", &[""], &["a", "."]),
        ("a", &["a"], &["", "ab", "a.b", "A"]),
        ("a.*", &["a.b", "a."], &["a", "a.b.c"]),
        ("*.b", &["a.b", ".b"], &["b", "a.a.b"]),
        ("a.#", &["a", "a.", "a.b", "a.b.c"], &["", "b.a"]),
        ("#.b", &["b", "a.b", "a.a.b"], &["b.a", ""]),
        ("a.*.b", &["a.x.b", "a..b"], &["a.b", "a.x.y.b"]),
        ("a..b", &["a..b"], &["a.b", "a.x.b"]),
        ("#.#", &["", "a", "a.b"], &[]),
        ("#.a.#", &["a", "b.a", "a.b", "b.a.b"], &["", "b"]),
        ("a#", &["a#"], &["a", "ab"]),
        ("a.*b", &["a.*b"], &["a.b", "a.xb"]),
    ];
    let x = server.name("x");
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(&x, "topic")).await;
    for (pattern, ..) in rows {
        let queue = server.name(&format!("topic:{pattern}"));
        net.queue(&queue).await;
        net.bind(&queue, &x, pattern).await;
    }
    let keys = rows.iter().flat_map(|(_, hits, misses)| hits.iter().chain(misses.iter()));
    let mut keys: Vec<&str> = keys.copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let reached = net.reached(&x, key).await;
        for (pattern, hits, misses) in rows {
            let queue = server.name(&format!("topic:{pattern}"));
            let copies = reached.iter().filter(|name| **name == queue).count();
            if hits.contains(&key) {
                assert_eq!(copies, 1, "{pattern:?} matches {key:?}");
            }
            if misses.contains(&key) {
                assert_eq!(copies, 0, "{pattern:?} does not match {key:?}");
            }
        }
    }
    net.clear().await;
}

/// Goal: a binding's arguments against a message's headers, as Erlang's `==` compares bare values: all
/// integers and floats by value, strings and octets alike, booleans only with booleans, void in the
/// binding with anything. Each row is one binding and one message.
#[tokio::test]
async fn headers_exchanges_compare_values() {
    let server = TestServer::start().await;
    let any = |rest: &[(&'static str, FieldValue)]| {
        let x_match = [("x-match", FieldValue::from("any"))];
        table(x_match.into_iter().chain(rest.iter().cloned()))
    };
    let mode = |mode: &'static str, name: &'static str| {
        table([("x-match", mode.into()), (name, 1_i32.into())])
    };
    let bytes = || FieldValue::ByteArray(bytes::Bytes::from_static(b"x"));
    let one = |value: FieldValue| table([("a", value)]);
    let two = || table([("a", 1_i32.into()), ("b", 2_i32.into())]);
    let list = |value: FieldValue| one(FieldValue::Array(vec![value]));
    let rows: Vec<(&str, FieldTable, FieldTable, bool)> = vec![
        ("no conditions", table([]), table([]), true),
        ("no conditions, any", any(&[]), two(), false),
        ("all of two", two(), two(), true),
        ("one of two", two(), one(1_i32.into()), false),
        ("any of two", any(&[("a", 1_i32.into()), ("b", 9_i32.into())]), two(), true),
        ("none of two", any(&[("a", 8_i32.into()), ("b", 9_i32.into())]), two(), false),
        ("more than asked", one(1_i32.into()), two(), true),
        ("integer widths", one(1_i8.into()), one(1_i64.into()), true),
        ("integer and float", one(1_i32.into()), one(1.0_f64.into()), true),
        ("integer and timestamp", one(1_i32.into()), one(FieldValue::Timestamp(1)), true),
        ("integer and string", one(1_i32.into()), one("1".into()), false),
        ("string and octets", one("x".into()), one(bytes()), true),
        ("booleans", one(true.into()), one(true.into()), true),
        ("boolean and integer", one(true.into()), one(1_i32.into()), false),
        ("presence", one(FieldValue::Void), one("whatever".into()), true),
        ("absence", one(FieldValue::Void), table([("b", 1_i32.into())]), false),
        ("void in the message", one(1_i32.into()), one(FieldValue::Void), false),
        ("array, same types", list(1_i32.into()), list(1_i32.into()), true),
        ("array, other types", list(1_i32.into()), list(1_i64.into()), false),
        ("x- is no condition", table([("x-a", 1_i32.into())]), table([]), true),
        ("x- is no condition, any", any(&[("x-a", 1_i32.into())]), mode("all", "x-a"), false),
        ("all-with-x", mode("all-with-x", "x-a"), table([("x-a", 1_i32.into())]), true),
        ("all-with-x, missing", mode("all-with-x", "x-a"), table([]), false),
        ("any-with-x", mode("any-with-x", "x-a"), table([("x-a", 1_i32.into())]), true),
        ("any-with-x, missing", mode("any-with-x", "x-a"), table([]), false),
    ];
    let (x, q) = (server.name("x"), server.name("q"));
    let mut net = Net::new(&server).await;
    net.queue(&q).await;
    for (what, arguments, message, matches) in rows {
        net.client.call(1, declare_exchange(&x, "headers")).await;
        let bind = queue::Bind { arguments, ..bind_queue(&q, &x, "ignored") };
        net.client.call(1, bind).await;
        let reached = net.reached_with(&x, "", &headers(message)).await;
        assert_eq!(!reached.is_empty(), matches, "{what}");
        net.client.call(1, delete_exchange(&x)).await;
    }
    net.clear().await;
}

#[tokio::test]
async fn of_two_headers_with_one_name_the_first_counts_and_none_at_all_match_no_condition() {
    let server = TestServer::start().await;
    let (x, q) = (server.name("x"), server.name("q"));
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(&x, "headers")).await;
    net.queue(&q).await;
    let arguments = table([("a", 1_i32.into())]);
    net.client.call(1, queue::Bind { arguments, ..bind_queue(&q, &x, "") }).await;
    let twice =
        |first: i32, second: i32| headers(table([("a", first.into()), ("a", second.into())]));
    assert!(!net.reached_with(&x, "", &twice(1, 2)).await.is_empty());
    assert!(net.reached_with(&x, "", &twice(2, 1)).await.is_empty());
    assert!(net.reached(&x, "").await.is_empty());
    net.clear().await;
}

#[tokio::test]
async fn exchanges_feed_exchanges_and_keep_the_key() {
    let server = TestServer::start().await;
    let names = ["first", "second", "third", "q", "r"].map(|name| server.name(name));
    let [first, second, third, q, r] = &names;
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(first, "fanout")).await;
    net.exchange(declare_exchange(second, "topic")).await;
    net.exchange(declare_exchange(third, "direct")).await;
    net.queue(q).await;
    net.queue(r).await;
    net.feed(second, first, "").await;
    net.feed(third, second, "a.#").await;
    net.bind(q, third, "a.b").await;
    net.bind(r, first, "").await;
    assert_eq!(net.reached(first, "a.b").await, [q.as_str(), r.as_str()]);
    assert_eq!(net.reached(first, "a.c").await, [r.as_str()]);
    assert_eq!(net.reached(second, "a.b").await, [q.as_str()]);
    net.client.call(1, unbind_exchange(third, second, "a.#")).await;
    assert_eq!(net.reached(first, "a.b").await, [r.as_str()]);
    net.clear().await;
}

#[tokio::test]
async fn a_queue_reached_over_several_ways_gets_one_copy_and_cycles_end() {
    let server = TestServer::start().await;
    let (x, y, q) = (server.name("x"), server.name("y"), server.name("q"));
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(&x, "fanout")).await;
    net.exchange(declare_exchange(&y, "fanout")).await;
    net.queue(&q).await;
    net.feed(&y, &x, "").await;
    net.feed(&x, &y, "").await;
    net.feed(&x, &x, "").await;
    net.bind(&q, &x, "").await;
    net.bind(&q, &y, "").await;
    assert_eq!(net.reached(&x, "").await, [q.as_str()]);
    assert_eq!(net.reached(&y, "").await, [q.as_str()]);
    net.clear().await;
}

#[tokio::test]
async fn an_alternate_takes_what_no_binding_matches() {
    let server = TestServer::start().await;
    let (x, alternate, q, lost) =
        (server.name("x"), server.name("ae"), server.name("q"), server.name("lost"));
    let mut net = Net::new(&server).await;
    let internal = exchange::Declare { internal: true, ..declare_exchange(&alternate, "fanout") };
    net.exchange(internal).await;
    net.exchange(with_alternate(&x, "direct", &alternate)).await;
    net.queue(&q).await;
    net.queue(&lost).await;
    net.bind(&q, &x, "k").await;
    net.bind(&lost, &alternate, "").await;
    assert_eq!(net.reached(&x, "k").await, [q.as_str()]);
    assert_eq!(net.reached(&x, "other").await, [lost.as_str()]);

    // It was routed, so it does not come back, and it says where it was published to.
    net.client.publish(1, mandatory(to_exchange(&x, "other")), "kept").await;
    net.client.expect_nothing(1).await;
    let (got, _) = net.client.get(1, crate::support::get(&lost)).await.expect("a message");
    assert_eq!(
        (got.exchange.to_str(), got.routing_key.to_str()),
        (Some(x.as_str()), Some("other"))
    );
    net.clear().await;
}

/// Goal: every way in which an alternate can be of no help: missing, without a queue, itself, a
/// cycle. A mandatory message comes back, saying where it was published to; none goes in circles.
#[tokio::test]
async fn what_no_alternate_can_route_comes_back_if_mandatory() {
    let server = TestServer::start().await;
    let names = ["missing", "empty", "self", "a", "b", "leaf"].map(|name| server.name(name));
    let [missing, empty, own, a, b, leaf] = &names;
    let mut net = Net::new(&server).await;
    net.exchange(with_alternate(missing, "direct", "nope")).await;
    net.exchange(declare_exchange(leaf, "fanout")).await;
    net.exchange(with_alternate(empty, "direct", leaf)).await;
    net.exchange(with_alternate(own, "direct", own)).await;
    net.exchange(with_alternate(a, "direct", b)).await;
    net.exchange(with_alternate(b, "direct", a)).await;
    for exchange in [missing, empty, own, a, b] {
        net.client.publish(1, to_exchange(exchange, "k"), "dropped").await;
        net.client.publish(1, mandatory(to_exchange(exchange, "k")), "back").await;
        let (returned, content) = net.client.returned(1).await;
        assert_eq!((returned.reply_code, returned.reply_text.to_str()), (312, Some("NO_ROUTE")));
        assert_eq!(returned.exchange, exchange.as_str());
        assert_eq!(content.text(), "back");
    }
    net.clear().await;
}

/// A binding to an exchange is a match, wherever that leads: the alternate is for messages that match
/// nothing.
#[tokio::test]
async fn an_alternate_is_not_asked_when_a_binding_leads_nowhere() {
    let server = TestServer::start().await;
    let names = ["x", "dead", "ae", "lost"].map(|name| server.name(name));
    let [x, dead_end, alternate, lost] = &names;
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(alternate, "fanout")).await;
    net.exchange(declare_exchange(dead_end, "fanout")).await;
    net.exchange(with_alternate(x, "direct", alternate)).await;
    net.queue(lost).await;
    net.bind(lost, alternate, "").await;
    net.feed(dead_end, x, "k").await;
    net.client.publish(1, mandatory(to_exchange(x, "k")), "back").await;
    assert_eq!(net.client.returned(1).await.1.text(), "back");
    assert!(net.reached(x, "k").await.is_empty());
    net.clear().await;
}

#[tokio::test]
async fn the_alternate_of_an_exchange_behind_another_is_asked_as_well() {
    let server = TestServer::start().await;
    let names = ["x", "second", "ae", "lost"].map(|name| server.name(name));
    let [x, second, alternate, lost] = &names;
    let mut net = Net::new(&server).await;
    net.exchange(declare_exchange(alternate, "fanout")).await;
    net.exchange(declare_exchange(x, "fanout")).await;
    net.exchange(with_alternate(second, "direct", alternate)).await;
    net.queue(lost).await;
    net.feed(second, x, "").await;
    net.bind(lost, alternate, "").await;
    assert_eq!(net.reached(x, "k").await, [lost.as_str()]);
    net.clear().await;
}

/// A channel remembers its last route: whatever is declared, bound or deleted in between must show.
#[tokio::test]
async fn a_route_is_found_anew_after_every_change() {
    let server = TestServer::start().await;
    let (x, q, r) = (server.name("x"), server.name("q"), server.name("r"));
    let mut net = Net::new(&server).await;
    let mut other = server.channel().await;
    net.exchange(declare_exchange(&x, "direct")).await;
    net.queue(&q).await;
    net.queue(&r).await;
    assert!(net.reached(&x, "k").await.is_empty());
    other.call(1, bind_queue(&q, &x, "k")).await;
    assert_eq!(net.reached(&x, "k").await, [q.as_str()]);
    other.call(1, bind_queue(&r, &x, "k")).await;
    assert_eq!(net.reached(&x, "k").await, [q.as_str(), r.as_str()]);
    other.call(1, crate::support::unbind_queue(&q, &x, "k")).await;
    assert_eq!(net.reached(&x, "k").await, [r.as_str()]);
    other.call(1, delete_queue(&r)).await;
    other.call(1, declare_queue(&r)).await;
    assert!(net.reached(&x, "k").await.is_empty());
    assert_eq!(net.reached("", &r).await, [r.as_str()]);
    other.call(1, delete_queue(&r)).await;
    net.client.publish(1, to_queue(&r), "nowhere").await;
    other.call(1, declare_queue(&r)).await;
    assert_eq!(net.reached("", &r).await, [r.as_str()]);
    net.clear().await;
}
