//! Names, bindings and routes of a vhost.

use amqp_codec::{FieldValue, ReplyCode};

use super::*;
use crate::broker::exchange::ExchangeKind;
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
        self.0.declare_exchange(&short(name), properties).unwrap();
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
        self.0.bind(Binding { source, destination, routing_key, arguments }, ME)
    }

    pub(super) fn bind(&self, source: &str, to: &str, key: &str) -> &Self {
        self.try_bind(source, to, key, FieldTable::default()).unwrap();
        self
    }

    fn unbind(&self, source: &str, to: &str, key: &str, arguments: &FieldTable) {
        let destination = self.destination(to);
        self.0.unbind(&short(source), &destination, &short(key), arguments).unwrap();
    }

    fn delete_queue(&self, name: &str) {
        let queue = self.0.queue(&short(name)).unwrap();
        let any = DeleteConditions::default();
        self.0.delete_queue(&queue, any, ME, &mut Effects::default()).unwrap();
    }

    pub(super) fn route(&self, exchange: &str, key: &str) -> Vec<String> {
        let mut router = Router::default();
        let publication = Publication {
            exchange: &short(exchange),
            routing_keys: &[key.as_bytes()],
            properties: &[0, 0],
            now: origin(),
        };
        let route = self.0.route(&mut router, &publication).unwrap();
        route.queues.iter().map(|queue| queue.name.to_string()).collect()
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
    let (code, text) = refusal(it.0.delete_exchange(&short("source"), true));
    assert_eq!(code, ReplyCode::PreconditionFailed);
    assert_eq!(text, "exchange 'source' in vhost '/' in use");
    assert_eq!(it.0.delete_exchange(&short("destination"), true), Ok(()));
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
    it.0.delete_exchange(&short("b"), false).unwrap();
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
    it.0.delete_exchange(&short("f"), false).unwrap();
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
    let exchange = |properties| refusal(it.0.declare_exchange(&short("m"), properties)).1;
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
    let message = crate::broker::message::Message::new(crate::broker::message::MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 0,
        bytes: b"m",
        segments: &[],
        persistent: false,
        priority: 0,
        extras: Default::default(),
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
    let delete = it.0.delete_exchange(&short("amq.nonexist"), false);
    let text = "deletion of system exchange 'amq.nonexist' in vhost '/' not allowed";
    assert_eq!(refusal(delete), (ReplyCode::AccessRefused, text.to_owned()));
    let durable = ExchangeProperties { durable: true, ..exchange(ExchangeKind::Direct) };
    assert_eq!(it.0.declare_exchange(&short("amq.direct"), durable), Ok(()));
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
    assert_eq!(refusal(it.0.bind(binding, ME)).0, ReplyCode::NotFound);
    assert_eq!(it.route("amq.fanout", ""), [""; 0]);
}
