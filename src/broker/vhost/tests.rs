//! Names, bindings and routes of a vhost.

use std::collections::BTreeSet;

use amqp_codec::{BasicProperties, FieldValue, ReplyCode};

use proptest::prelude::*;

use super::*;
use crate::broker::exchange::ExchangeKind;
use crate::broker::message::{Message, MessageParts};
use crate::store::MemoryStore;

const ME: ConnectionId = ConnectionId(1);

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

fn text(value: &'static str) -> FieldValue {
    FieldValue::LongString(bytes::Bytes::from_static(value.as_bytes()))
}

fn table(fields: &[(&str, FieldValue)]) -> FieldTable {
    fields.iter().map(|(name, value)| (short(name), value.clone())).collect()
}

fn exchange(kind: ExchangeKind) -> ExchangeProperties {
    ExchangeProperties {
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::default(),
    }
}

/// A vhost with names as plain text.
pub(super) struct Names(pub(super) VHost);

impl Names {
    pub(super) fn new() -> Self {
        Self(VHost::new(
            short("/"),
            Arc::new(MemoryStore),
            VHostOptions::new(Epoch::new(origin(), 0)),
        ))
    }

    pub(super) fn exchange(&self, name: &str, properties: ExchangeProperties) -> &Self {
        self.0.declare_exchange(&short(name), properties, "rmq-internal").unwrap();
        self
    }

    pub(super) fn direct() -> ExchangeProperties {
        exchange(ExchangeKind::Direct)
    }

    pub(super) fn fanout(&self, name: &str) -> &Self {
        self.exchange(name, exchange(ExchangeKind::Fanout))
    }

    fn auto_delete(&self, name: &str) -> &Self {
        self.exchange(
            name,
            ExchangeProperties { auto_delete: true, ..exchange(ExchangeKind::Fanout) },
        )
    }

    pub(super) fn with_alternate(&self, name: &str, alternate: &'static str) -> &Self {
        let arguments = table(&[("alternate-exchange", text(alternate))]);
        let direct = exchange(ExchangeKind::Direct);
        self.exchange(name, ExchangeProperties { arguments, ..direct })
    }

    pub(super) fn queue(&self, name: &str) -> Arc<QueueCell> {
        self.0.declare_queue(&short(name), QueueProperties::default(), ME, origin()).unwrap()
    }

    fn destination(&self, name: &str) -> Destination {
        match self.0.queue(&short(name)) {
            Ok(queue) => Destination::Queue(queue),
            Err(_) => Destination::Exchange(short(name)),
        }
    }

    fn try_bind(
        &self,
        source: &str,
        to: &str,
        key: &str,
        arguments: FieldTable,
    ) -> Result<(), BrokerError> {
        let (source, routing_key) = (short(source), short(key));
        let destination = self.destination(to);
        let binding = Binding { source, destination, routing_key, arguments };
        self.0.bind(binding, ME, origin()).map(|_| ())
    }

    pub(super) fn bind(&self, source: &str, to: &str, key: &str) -> &Self {
        self.try_bind(source, to, key, FieldTable::default()).unwrap();
        self
    }

    fn unbind(&self, source: &str, to: &str, key: &str, arguments: &FieldTable) {
        let destination = self.destination(to);
        self.0
            .unbind(&short(source), &destination, &short(key), arguments, "rmq-internal")
            .unwrap();
    }

    fn delete_queue(&self, name: &str) {
        let queue = self.0.queue(&short(name)).unwrap();
        let any = DeleteConditions::default();
        self.0.delete_queue(&queue, any, ME, &mut Effects::default()).unwrap();
    }

    pub(super) fn route(&self, exchange: &str, key: &str) -> Vec<String> {
        self.route_all(exchange, &[key])
    }

    fn route_all(&self, exchange: &str, keys: &[&str]) -> Vec<String> {
        let route = self.found(exchange, keys, &[0, 0], origin());
        route.queues.iter().map(|queue| queue.name.to_string()).collect()
    }

    fn found(&self, exchange: &str, keys: &[&str], properties: &[u8], now: Instant) -> Route {
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let exchange = &short(exchange);
        let publication = Publication { exchange, routing_keys: &keys, properties, now };
        self.0.route(&mut Router::default(), &publication).unwrap()
    }

    fn exists(&self, exchange: &str) -> bool {
        self.0.check_exchange(&short(exchange)).is_ok()
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, BrokerError>) -> (ReplyCode, String) {
    let error = result.unwrap_err();
    (error.reply_code(), error.to_string())
}

#[test]
fn a_message_reaches_each_queue_once_through_cycles_and_several_bindings() {
    let it = Names::new();
    let [_a, _b] = [it.queue("a"), it.queue("b")];
    it.fanout("one").fanout("two").fanout("three");
    it.bind("one", "two", "").bind("two", "three", "").bind("three", "one", "");
    it.bind("one", "one", "itself");
    it.bind("one", "a", "x").bind("one", "a", "y").bind("three", "a", "").bind("three", "b", "");
    for start in ["one", "two", "three"] {
        assert_eq!(it.route(start, "any"), ["a", "b"]);
    }
}

/// As measured on RabbitMQ 3.10.
#[test]
fn an_alternate_exchange_takes_what_no_binding_matches() {
    let it = Names::new();
    let [_a, _b] = [it.queue("a"), it.queue("b")];
    it.fanout("rest").bind("rest", "b", "");
    it.with_alternate("front", "rest").bind("front", "a", "a");
    assert_eq!(it.route("front", "a"), ["a"]);
    assert_eq!(it.route("front", "else"), ["b"]);
    it.fanout("nowhere").bind("front", "nowhere", "lost");
    assert_eq!(it.route("front", "lost"), [""; 0], "a match that leads nowhere is a match");
    it.with_alternate("loop", "loop");
    assert_eq!(it.route("loop", "any"), [""; 0]);
    it.with_alternate("dangling", "missing");
    assert_eq!(it.route("dangling", "any"), [""; 0]);
}

#[test]
fn the_default_exchange_leads_to_the_queue_of_that_name() {
    let it = Names::new();
    it.queue("q");
    assert_eq!(it.route("", "q"), ["q"]);
    assert_eq!(it.route("", "other"), [""; 0]);
    let refused = refusal(it.try_bind("", "q", "k", FieldTable::default()));
    let text = "operation not permitted on the default exchange";
    assert_eq!(refused, (ReplyCode::AccessRefused, text.to_owned()));
}

/// As measured on RabbitMQ 3.10: an auto-delete exchange goes with its last binding as a source, and takes
/// those along that led only to it.
#[test]
fn auto_delete_exchanges_go_one_after_the_other() {
    let it = Names::new();
    it.queue("q");
    it.auto_delete("first").auto_delete("second").auto_delete("never bound");
    it.bind("first", "second", "").bind("second", "q", "1").bind("second", "q", "2");
    it.unbind("second", "q", "1", &FieldTable::default());
    assert!(it.exists("second"));
    it.delete_queue("q");
    assert_eq!(["first", "second"].map(|name| it.exists(name)), [false; 2]);
    assert!(it.exists("never bound"));
}

#[test]
fn a_cycle_of_auto_delete_exchanges_ends() {
    let it = Names::new();
    it.auto_delete("one").auto_delete("two");
    it.bind("one", "two", "").bind("two", "one", "");
    it.unbind("one", "two", "", &FieldTable::default());
    assert_eq!(["one", "two"].map(|name| it.exists(name)), [false; 2]);
}

#[test]
fn an_exchange_that_is_only_a_destination_stays_and_counts_as_unused() {
    let it = Names::new();
    it.fanout("source").auto_delete("destination").bind("source", "destination", "");
    it.unbind("source", "destination", "", &FieldTable::default());
    assert!(it.exists("destination"));
    it.bind("source", "destination", "");
    let (code, text) = refusal(it.0.delete_exchange(&short("source"), true, "rmq-internal"));
    assert_eq!(code, ReplyCode::PreconditionFailed);
    assert_eq!(text, "exchange 'source' in vhost '/' in use");
    assert_eq!(it.0.delete_exchange(&short("destination"), true, "rmq-internal"), Ok(()));
}

#[test]
fn bindings_are_told_apart_by_key_and_arguments_in_whatever_order() {
    let it = Names::new();
    it.queue("q");
    it.fanout("f");
    let int = FieldValue::I32;
    let one = table(&[("a", int(1)), ("b", int(2))]);
    let same = table(&[("b", int(2)), ("a", int(1))]);
    let wider = table(&[("a", FieldValue::I64(1)), ("b", int(2))]);
    for arguments in [&one, &same, &wider] {
        it.try_bind("f", "q", "k", arguments.clone()).unwrap();
    }
    assert_eq!(it.route("f", ""), ["q"]);
    it.unbind("f", "q", "k", &same);
    assert_eq!(it.route("f", ""), ["q"], "the one with the wider number is another");
    it.unbind("f", "q", "other", &wider);
    assert_eq!(it.route("f", ""), ["q"]);
    it.unbind("f", "q", "k", &wider);
    assert_eq!(it.route("f", ""), [""; 0]);
}

#[test]
fn deleting_removes_bindings_from_both_sides() {
    let it = Names::new();
    it.queue("q");
    it.fanout("a").fanout("b").bind("a", "b", "").bind("b", "q", "");
    assert_eq!(it.route("a", ""), ["q"]);
    it.0.delete_exchange(&short("b"), false, "rmq-internal").unwrap();
    it.fanout("b").bind("b", "q", "");
    assert_eq!(it.route("a", ""), [""; 0], "the binding to the old one is gone");
    assert_eq!(it.route("b", ""), ["q"]);
    it.delete_queue("q");
    it.queue("q");
    assert_eq!(it.route("b", ""), [""; 0]);
    it.bind("a", "q", "").bind("b", "q", "");
    assert_eq!((it.route("a", ""), it.route("b", "")), (vec!["q".into()], vec!["q".into()]));
}

#[test]
fn the_version_changes_with_what_could_change_a_route() {
    let it = Names::new();
    let mut last = it.0.version();
    let mut changed = |what: &str, expected: bool| {
        let now = it.0.version();
        assert_eq!(now != last, expected, "{what}");
        last = now;
    };
    it.queue("q");
    changed("a new queue", true);
    it.queue("q");
    changed("a queue that is there", false);
    it.fanout("f");
    changed("a new exchange", true);
    it.fanout("f");
    changed("an exchange that is there", false);
    it.bind("f", "q", "");
    changed("a new binding", true);
    it.bind("f", "q", "");
    changed("a binding that is there", false);
    it.unbind("f", "q", "other", &FieldTable::default());
    changed("no such binding", false);
    it.unbind("f", "q", "", &FieldTable::default());
    changed("a binding less", true);
    it.0.delete_exchange(&short("f"), false, "rmq-internal").unwrap();
    changed("an exchange less", true);
    it.delete_queue("q");
    changed("a queue less", true);
}

/// As measured on RabbitMQ 3.10: clients compare these texts.
#[test]
fn declarations_that_differ_are_refused_in_rabbitmqs_words() {
    let it = Names::new();
    it.queue("q");
    it.with_alternate("m", "ae");
    let queue = |properties| refusal(it.0.declare_queue(&short("q"), properties, ME, origin())).1;
    assert_eq!(
        queue(QueueProperties { durable: true, auto_delete: true, ..Default::default() }),
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"
    );
    let arguments = table(&[("x-message-ttl", FieldValue::I32(5))]);
    assert_eq!(
        queue(QueueProperties { arguments, ..Default::default() }),
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '5' of type \
         'signedint' but current is none"
    );
    let exchange =
        |properties| refusal(it.0.declare_exchange(&short("m"), properties, "rmq-internal")).1;
    assert_eq!(
        exchange(exchange_of(ExchangeKind::Topic)),
        "inequivalent arg 'type' for exchange 'm' in vhost '/': received 'topic' but current is \
         'direct'"
    );
    assert_eq!(
        exchange(exchange_of(ExchangeKind::Direct)),
        "inequivalent arg 'alternate-exchange' for exchange 'm' in vhost '/': received none but \
         current is the value 'ae' of type 'longstr'"
    );
}

fn exchange_of(kind: ExchangeKind) -> ExchangeProperties {
    exchange(kind)
}

#[test]
fn arguments_of_queues_are_equal_by_value_and_unknown_ones_do_not_count() {
    let it = Names::new();
    let with = |version: FieldValue, other: i32| QueueProperties {
        arguments: table(&[("x-queue-version", version), ("x-own", FieldValue::I32(other))]),
        ..Default::default()
    };
    let declare = |properties| it.0.declare_queue(&short("q"), properties, ME, origin());
    let first = declare(with(FieldValue::I32(2), 1)).unwrap();
    let again = declare(with(FieldValue::I64(2), 2)).unwrap();
    assert_eq!(first.id, again.id);
}

#[test]
fn an_exclusive_queue_is_locked_to_everybody_else() {
    let it = Names::new();
    let own = QueueProperties { owner: Some(ME), ..Default::default() };
    let queue = it.0.declare_queue(&short("q"), own.clone(), ME, origin()).unwrap();
    let other = ConnectionId(2);
    let locked = |result: Result<(), BrokerError>| refusal(result).0 == ReplyCode::ResourceLocked;
    assert!(locked(it.0.declare_queue(&short("q"), own, other, origin()).map(|_| ())));
    let not_exclusive = QueueProperties::default();
    assert!(locked(it.0.declare_queue(&short("q"), not_exclusive, ME, origin()).map(|_| ())));
    let any = DeleteConditions::default();
    let deleted = it.0.delete_queue(&queue, any, other, &mut Effects::default());
    assert!(locked(deleted.map(|_| ())));
    assert!(it.0.delete_queue(&queue, any, ME, &mut Effects::default()).is_ok());
}

#[test]
fn conditions_of_a_deletion_are_checked_unused_before_empty() {
    let it = Names::new();
    let queue = it.queue("q");
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 0,
        bytes: b"m",
        segments: &[],
        persistent: false,
        priority: 0,
        extras: None,
    });
    message.enter(1);
    let mut effects = Effects::default();
    queue.state.lock().enqueue([&message], origin(), &mut effects);
    let both = DeleteConditions { if_unused: true, if_empty: true, if_expired: None };
    let (code, text) = refusal(it.0.delete_queue(&queue, both, ME, &mut effects));
    assert_eq!(code, ReplyCode::PreconditionFailed);
    assert_eq!(text, "queue 'q' in vhost '/' not empty");
    let unused = DeleteConditions { if_unused: true, ..DeleteConditions::default() };
    assert_eq!(it.0.delete_queue(&queue, unused, ME, &mut effects), Ok(1));
    assert_eq!(effects.freed, message.memory());
    assert!(it.0.queue(&short("q")).is_err());
}

#[expect(clippy::disallowed_methods)]
pub(super) fn origin() -> Instant {
    Instant::now()
}

#[test]
fn names_of_the_brokers_own_are_refused() {
    let it = Names::new();
    let declare = it.0.declare_queue(&short("amq.q"), QueueProperties::default(), ME, origin());
    let text = "queue name 'amq.q' contains reserved prefix 'amq.*'";
    assert_eq!(refusal(declare), (ReplyCode::AccessRefused, text.to_owned()));
    let delete = it.0.delete_exchange(&short("amq.nonexist"), false, "rmq-internal");
    let text = "deletion of system exchange 'amq.nonexist' in vhost '/' not allowed";
    assert_eq!(refusal(delete), (ReplyCode::AccessRefused, text.to_owned()));
    let durable = ExchangeProperties { durable: true, ..exchange(ExchangeKind::Direct) };
    assert_eq!(it.0.declare_exchange(&short("amq.direct"), durable, "rmq-internal"), Ok(()));
}

#[test]
fn a_queue_deleted_meanwhile_cannot_be_bound() {
    let it = Names::new();
    let queue = it.queue("q");
    it.delete_queue("q");
    it.queue("q");
    let binding = Binding {
        source: short("amq.fanout"),
        destination: Destination::Queue(queue),
        routing_key: short(""),
        arguments: FieldTable::default(),
    };
    assert_eq!(refusal(it.0.bind(binding, ME, origin())).0, ReplyCode::NotFound);
    assert_eq!(it.route("amq.fanout", ""), [""; 0]);
}

fn headers(headers: &[(&'static str, FieldValue)]) -> Vec<u8> {
    let mut raw = bytes::BytesMut::new();
    let headers = Some(table(headers));
    BasicProperties { headers, ..BasicProperties::default() }.encode(&mut raw);
    raw.to_vec()
}

fn of_kind(kind: ExchangeKind, arguments: &[(&str, FieldValue)]) -> ExchangeProperties {
    ExchangeProperties { arguments: table(arguments), ..exchange(kind) }
}

fn names(route: &Route) -> Vec<String> {
    route.queues.iter().map(|queue| queue.name.to_string()).collect()
}

/// Goal: what RabbitMQ does with `CC`: any key may match, and a queue is reached once.
#[test]
fn every_routing_key_is_matched_and_a_queue_is_reached_once() {
    let it = Names::new();
    for queue in ["a", "b", "c", "rest"] {
        it.queue(queue);
    }
    assert_eq!(it.route_all("", &["a", "b", "a", "nosuch"]), ["a", "b"]);
    it.with_alternate("x", "rest").fanout("rest").bind("rest", "rest", "");
    it.bind("x", "a", "a").bind("x", "b", "b").bind("x", "a", "b");
    assert_eq!(it.route_all("x", &["a", "b"]), ["a", "b"]);
    assert_eq!(it.route_all("x", &["nosuch", "a"]), ["a"], "one match is enough");
    assert_eq!(it.route_all("x", &["nosuch", "neither"]), ["rest"]);
    it.exchange("t", exchange(ExchangeKind::Topic)).bind("t", "c", "c.*").bind("x", "t", "go");
    assert_eq!(it.route_all("x", &["go", "c.1", "c.2"]), ["c"], "keys go on to the next exchange");
    assert!(it.found("x", &["a"], &[0, 0], origin()).by_key_alone);
    assert!(!it.found("x", &["a", "b"], &[0, 0], origin()).by_key_alone);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: several keys reach what each of them reaches, and nothing else.
    #[test]
    fn several_keys_reach_what_each_of_them_does(
        bindings in prop::collection::vec((0_u8..4, "[ab#*](\\.[ab#*]){0,2}"), 0..12),
        keys in prop::collection::vec("[abc](\\.[ab]){0,2}", 0..6),
        kind in prop::sample::select(&[
            ExchangeKind::Direct,
            ExchangeKind::Topic,
            ExchangeKind::Fanout,
        ]),
    ) {
        let it = Names::new();
        it.exchange("x", exchange(kind));
        for (queue, key) in bindings {
            it.queue(&format!("q{queue}"));
            it.bind("x", &format!("q{queue}"), &key);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let each = keys.iter().flat_map(|key| it.route("x", key));
        let mut expected: BTreeSet<String> = each.collect();
        if kind == ExchangeKind::Fanout {
            expected.extend(it.route("x", ""));
        }
        let reached = it.route_all("x", &keys);
        prop_assert_eq!(reached.len(), expected.len(), "each once");
        prop_assert_eq!(reached.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn many_keys_and_bindings_do_not_pile_up_queues() {
    let it = Names::new();
    it.exchange("t", exchange(ExchangeKind::Topic));
    for queue in 0..50 {
        it.queue(&format!("q{queue}"));
        for key in ["#", "*", "#.#"] {
            it.bind("t", &format!("q{queue}"), key);
        }
    }
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let route = it.found("t", &keys, &[0, 0], origin());
    assert_eq!(route.queues.len(), 50);
    assert!(route.queues.capacity() < 8 * MANY_FOR_TESTS, "{}", route.queues.capacity());
}

/// Around what a set of queues may grow to before it is looked through.
const MANY_FOR_TESTS: usize = 1024;

#[test]
fn a_route_knows_what_must_not_be_remembered() {
    let it = Names::new();
    it.queue("q");
    let size = [("x-cache-size", FieldValue::I32(10))];
    let delayed = [("x-delayed-type", text("x-message-deduplication")), size[0].clone()];
    let on_header = ("hash-header", text("h"));
    let rows: [(ExchangeKind, &[_], &str, bool); 9] = [
        (ExchangeKind::ConsistentHash, &[], "1", true),
        (ExchangeKind::ConsistentHash, &[on_header], "1", false),
        (ExchangeKind::ModulusHash, &[], "", true),
        (ExchangeKind::Random, &[], "", false),
        (ExchangeKind::LocalRandom, &[], "", false),
        (ExchangeKind::RecentHistory, &[], "", true),
        (ExchangeKind::MessageDeduplication, &size, "", false),
        (ExchangeKind::DelayedMessage, &[("x-delayed-type", text("fanout"))], "", true),
        (ExchangeKind::DelayedMessage, &delayed, "", false),
    ];
    for (number, (kind, arguments, key, by_key_alone)) in rows.into_iter().enumerate() {
        let name = format!("x{number}");
        it.exchange(&name, of_kind(kind, arguments)).bind(&name, "q", key);
        let route = it.found(&name, &["any"], &[0, 0], origin());
        assert_eq!(names(&route), ["q"], "{kind}");
        assert_eq!(route.by_key_alone, by_key_alone, "{kind}");
        assert_eq!(route.is_recorded(), kind == ExchangeKind::RecentHistory);
        assert_eq!(route.is_once(), arguments.iter().any(|(name, _)| *name == "x-cache-size"));
    }
}

#[test]
fn nobody_takes_over_for_a_duplicate_and_it_is_not_unroutable() {
    let it = Names::new();
    it.queue("q");
    it.queue("rest");
    it.fanout("rest").bind("rest", "rest", "");
    let arguments = [("x-cache-size", FieldValue::I32(10)), ("alternate-exchange", text("rest"))];
    it.exchange("x", of_kind(ExchangeKind::MessageDeduplication, &arguments));
    let (now, once) = (origin(), headers(&[("x-deduplication-header", text("k"))]));
    assert_eq!(names(&it.found("x", &["any"], &once, now)), ["rest"], "nobody is bound");
    it.bind("x", "q", "");
    assert_eq!(names(&it.found("x", &["any"], &once, now)), ["q"]);
    let again = it.found("x", &["any"], &once, now);
    assert!(again.queues.is_empty() && again.duplicate && !again.is_unroutable());
    assert!(Route::default().is_unroutable());
}

#[test]
fn a_local_random_exchange_takes_classic_queues_with_an_empty_key() {
    let it = Names::new();
    it.exchange("x", exchange(ExchangeKind::LocalRandom)).fanout("f").queue("q");
    let refused = |to: &str, key: &str| refusal(it.try_bind("x", to, key, FieldTable::default()));
    let code = ReplyCode::PreconditionFailed;
    let not_empty = "Non empty binding 'k' key not permitted".to_owned();
    assert_eq!(refused("q", "k"), (code, not_empty));
    assert_eq!(refused("f", ""), (code, "Destination not found".to_owned()));
    it.bind("x", "q", "");
    assert_eq!(it.route("x", "whatever"), ["q"]);
}

/// A message that was published to `x` with this key.
fn stored(key: &str, body: &str) -> Message {
    let bytes = [b"x", key.as_bytes(), &[0, 0], body.as_bytes()].concat();
    Message::new(MessageParts {
        exchange_len: 1,
        routing_key_len: u8::try_from(key.len()).unwrap(),
        properties_len: 2,
        bytes: &bytes,
        segments: &[],
        persistent: false,
        priority: 0,
        extras: None,
    })
}

fn replayed(it: &Names, to: &str, key: &str) -> Vec<(String, Vec<String>)> {
    let (source, routing_key) = (short("x"), short(key));
    let arguments = FieldTable::default();
    let binding = Binding { source, destination: it.destination(to), routing_key, arguments };
    let body = |message: &Message| String::from_utf8_lossy(message.inline_body()).into_owned();
    let replays = it.0.bind(binding, ME, origin()).unwrap();
    let bodies = |replay: Replay| {
        (replay.queue.name.to_string(), replay.messages.iter().map(body).collect())
    };
    replays.into_iter().map(bodies).collect()
}

#[test]
fn a_new_destination_gets_the_recorded_messages_in_order() {
    let it = Names::new();
    let length = ("x-recent-history-length", FieldValue::I32(3));
    it.exchange("x", of_kind(ExchangeKind::RecentHistory, &[length]));
    it.queue("q");
    it.queue("a");
    it.queue("b");
    it.exchange("t", exchange(ExchangeKind::Topic)).bind("t", "a", "#").bind("t", "b", "cc");
    assert_eq!(replayed(&it, "q", ""), []);
    for (key, body) in [("k", "1"), ("k", "2"), ("k", "3"), ("k", "4")] {
        let route = it.found("x", &[key, "cc"], &[0, 0], origin());
        assert_eq!(names(&route), ["q"]);
        let keys: &[&[u8]] = if body == "3" { &[key.as_bytes(), b"cc"] } else { &[b"k"] };
        route.record(&stored(key, body), keys);
    }
    let all = |bodies: &[&str]| bodies.iter().map(|body| (*body).to_owned()).collect::<Vec<_>>();
    assert_eq!(replayed(&it, "q", ""), [], "no new binding");
    assert_eq!(replayed(&it, "q", "another"), [("q".to_owned(), all(&["2", "3", "4"]))]);
    let through = [("a".to_owned(), all(&["2", "3", "4"])), ("b".to_owned(), all(&["3"]))];
    assert_eq!(replayed(&it, "t", ""), through);
    assert!(it.0.history_memory() > 0);
    it.0.delete_exchange(&short("x"), false, "rmq-internal").unwrap();
    assert_eq!(it.0.history_memory(), 0);
}

#[test]
fn queues_that_are_alike_share_their_settings() {
    let it = Names::new();
    let limited = |name: &str| {
        let arguments = table(&[("x-max-length", FieldValue::I32(3))]);
        let properties = QueueProperties { arguments, ..QueueProperties::default() };
        it.0.declare_queue(&short(name), properties, ME, origin()).unwrap()
    };
    let settings = |queue: Arc<QueueCell>| Arc::clone(queue.state.lock().settings());
    let plain = [it.queue("a"), it.queue("b")].map(settings);
    let short = [limited("c"), limited("d")].map(settings);
    assert!(Arc::ptr_eq(&plain[0], &plain[1]) && Arc::ptr_eq(&short[0], &short[1]));
    assert_eq!((plain[0].max_length, short[0].max_length), (None, Some(3)));
    assert_eq!(settings(it.queue("e")), plain[0], "whatever the one before was");
}
