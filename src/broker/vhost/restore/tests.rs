//! What is written down of a vhost, whatever happens in it, makes the same vhost again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amqp_codec::{BasicProperties, FieldTable, FieldValue, ShortString};
use bytes::BytesMut;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::broker::definition::Recovered;
use crate::broker::effect::Effects;
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::message::{Message, MessageParts};
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::policy::{ApplyTo, Policy};
use crate::broker::queue_cell::{ConnectionId, QueueCell, QueueId, QueueIds, QueueProperties};
use crate::broker::routing::{Publication, Router};
use crate::broker::time::Epoch;
use crate::broker::vhost::VHostMetadata;
use crate::broker::vhost::{DeleteConditions, VHostOptions};

const ME: ConnectionId = ConnectionId(1);

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store of keys and values alone.
#[derive(Debug, Default)]
struct Shelf(Mutex<Pairs>);

impl Persist for Shelf {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        records.clear();
    }

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        self.0.lock().insert(key, value);
    }

    fn remove(&self, key: Vec<u8>) {
        assert!(self.0.lock().remove(&key).is_some(), "{} was not there", key.escape_ascii());
    }

    fn keeps_messages(&self) -> bool {
        true
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin to count from")]
fn origin() -> Instant {
    Instant::now()
}

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

fn table(fields: &[(&str, FieldValue)]) -> FieldTable {
    fields.iter().map(|(name, value)| (short(name), value.clone())).collect()
}

/// A vhost and its store.
struct World {
    now: Instant,
    shelf: Arc<Shelf>,
    vhost: VHost,
}

impl World {
    fn new(now: Instant) -> Self {
        Self::with(now, Pairs::new(), 0)
    }

    fn with(now: Instant, pairs: Pairs, first_id: u64) -> Self {
        let shelf = Arc::new(Shelf(Mutex::new(pairs)));
        let store: Arc<dyn Persist> = Arc::<Shelf>::clone(&shelf);
        let options = VHostOptions {
            queue_ids: Arc::new(QueueIds::starting_at(first_id)),
            events: Arc::default(),
            ..VHostOptions::new(Epoch::new(now, 1_000_000))
        };
        Self { now, shelf, vhost: VHost::new(short("/"), store, options) }
    }

    /// The same after a restart, which changes nothing in the store.
    fn restarted(&self) -> Self {
        let before = self.pairs();
        let world = Self::with(self.now, before.clone(), 1 << 32);
        let Recovered { mut vhosts, mut seen, .. } = Recovered::read(before.clone()).unwrap();
        let definitions = vhosts.remove(&short("/")).unwrap_or_default();
        assert!(vhosts.is_empty());
        world.vhost.restore(definitions, &mut seen, self.now).unwrap();
        assert_eq!(seen.into_stored_keys().count(), 0);
        assert_eq!(world.pairs(), before);
        world
    }

    fn pairs(&self) -> Pairs {
        self.shelf.0.lock().clone()
    }

    fn exchange(&self, name: &str, kind: ExchangeKind, durable: bool, auto_delete: bool) -> bool {
        let (internal, arguments) = (false, FieldTable::new());
        let properties = ExchangeProperties { kind, durable, auto_delete, internal, arguments };
        self.vhost.declare_exchange(&short(name), properties, "rmq-internal").is_ok()
    }

    fn queue(&self, name: &str, durable: bool, arguments: FieldTable) -> Arc<QueueCell> {
        let properties = QueueProperties { durable, arguments, ..QueueProperties::default() };
        self.vhost.declare_queue(&short(name), properties, ME, self.now).unwrap()
    }

    fn destination(&self, name: &str) -> Option<Destination> {
        if let Ok(queue) = self.vhost.queue(&short(name)) {
            return Some(Destination::Queue(queue));
        }
        let exists = self.vhost.check_exchange(&short(name)).is_ok();
        exists.then(|| Destination::Exchange(short(name)))
    }

    fn bind(&self, source: &str, to: &str, key: &str) {
        let Some(destination) = self.destination(to) else { return };
        let (source, routing_key) = (short(source), short(key));
        let arguments = table(&[("k", key.len().to_string().as_str().into())]);
        let binding = Binding { source, destination, routing_key, arguments };
        let _ = self.vhost.bind(binding, ME, self.now);
    }

    fn unbind(&self, source: &str, to: &str, key: &str) {
        let Some(destination) = self.destination(to) else { return };
        let arguments = table(&[("k", key.len().to_string().as_str().into())]);
        self.vhost
            .unbind(&short(source), &destination, &short(key), &arguments, "rmq-internal")
            .unwrap();
    }

    fn delete_queue(&self, name: &str) {
        if let Ok(queue) = self.vhost.queue(&short(name)) {
            let any = DeleteConditions::default();
            self.vhost.delete_queue(&queue, any, ME, &mut Effects::default()).unwrap();
        }
    }

    fn delete_exchange(&self, name: &str) {
        self.vhost.delete_exchange(&short(name), false, "rmq-internal").unwrap();
    }

    fn policy(&self, name: &str, operator: bool, priority: i32) {
        let policy = Policy::new(name, "^q", [("max-length", 10_i64)]).unwrap();
        let policy = policy.with_priority(priority).with_apply_to(ApplyTo::Queues);
        if operator {
            self.vhost.set_operator_policy(policy, self.now, &mut Vec::new()).unwrap();
        } else {
            self.vhost.set_policy(policy, self.now, &mut Vec::new());
        }
    }

    fn delete_policy(&self, name: &str, operator: bool) {
        if operator {
            self.vhost.delete_operator_policy(name, self.now, &mut Vec::new());
        } else {
            self.vhost.delete_policy(name, self.now, &mut Vec::new());
        }
    }

    fn route(&self, exchange: &str, key: &str, properties: &[u8]) -> crate::broker::routing::Route {
        let routing_keys: &[&[u8]] = &[key.as_bytes()];
        let exchange = &short(exchange);
        let publication = Publication { exchange, routing_keys, properties, now: self.now };
        self.vhost.route(&mut Router::default(), &publication).unwrap()
    }

    /// Publishes as a session does; whether a queue has the message.
    fn publish(&self, exchange: &str, key: &str, duplicate_of: &str) -> bool {
        let properties = with_key(duplicate_of);
        let message = message(exchange, key, &properties);
        let route = self.route(exchange, key, &properties);
        let mut accepted = false;
        for queue in &route.queues {
            let mut state = queue.state.lock();
            let before = state.totals().accepted;
            state.enqueue([&message], self.now, &mut Effects::default());
            accepted |= state.totals().accepted > before;
        }
        route.write_down(&message);
        accepted
    }

    /// All that outlives a restart, beside what the store holds: it is what is in force.
    fn facts(&self) -> BTreeSet<String> {
        let queues = self.vhost.queues();
        let mut facts: BTreeSet<String> = queues
            .iter()
            .filter(|queue| queue.properties.durable)
            .map(|queue| {
                let policies = queue.effective_definition();
                format!("{} {:?} {:?} {policies:?}", queue.name, queue.id, queue.properties)
            })
            .collect();
        for exchange in EXCHANGES {
            for key in KEYS {
                if self.vhost.check_exchange(&short(exchange)).is_err() {
                    continue;
                }
                let route = self.route(exchange, key, &[0, 0]);
                let names: Vec<&ShortString> = route.queues.iter().map(|it| &it.name).collect();
                facts.insert(format!("{exchange} {key} leads to {names:?}"));
            }
        }
        facts.insert(format!("{:?}", self.vhost.policies()));
        facts.insert(format!("{:?}", self.vhost.operator_policies()));
        facts
    }

    fn delete_everything(&self) {
        self.vhost
            .queues()
            .iter()
            .for_each(|queue| self.delete_queue(queue.name.to_str().unwrap()));
        EXCHANGES[..4].iter().for_each(|name| self.delete_exchange(name));
        for name in ["p", "r"] {
            self.delete_policy(name, false);
            self.delete_policy(name, true);
        }
        for source in EXCHANGES {
            for to in EXCHANGES {
                KEYS.iter().for_each(|key| self.unbind(source, to, key));
            }
        }
    }
}

fn with_key(key: &str) -> Vec<u8> {
    let mut raw = BytesMut::new();
    let headers = Some(table(&[("x-deduplication-header", key.into())]));
    BasicProperties { headers, ..BasicProperties::default() }.encode(&mut raw);
    raw.to_vec()
}

fn message(exchange: &str, key: &str, properties: &[u8]) -> Message {
    let bytes = [exchange.as_bytes(), key.as_bytes(), properties].concat();
    let message = Message::new(MessageParts {
        exchange_len: u8::try_from(exchange.len()).unwrap(),
        routing_key_len: u8::try_from(key.len()).unwrap(),
        properties_len: u32::try_from(properties.len()).unwrap(),
        bytes: &bytes,
        segments: &[],
        persistent: true,
        priority: 0,
        extras: None,
    });
    message.enter(1);
    message
}

const EXCHANGES: [&str; 6] = ["a", "b", "c", "d", "amq.direct", "amq.fanout"];
const QUEUES: [&str; 3] = ["q1", "q2", "q3"];
const KEYS: [&str; 2] = ["k", "key"];

#[derive(Debug, Clone)]
enum Step {
    Exchange { name: usize, fanout: bool, auto_delete: bool },
    Queue { name: usize },
    Bind { source: usize, to: usize, key: usize },
    Unbind { source: usize, to: usize, key: usize },
    DeleteExchange(usize),
    DeleteQueue(usize),
    Policy { name: usize, operator: bool, priority: i32 },
    DeletePolicy { name: usize, operator: bool },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let ends = || (0..EXCHANGES.len(), 0..EXCHANGES.len() + QUEUES.len(), 0..KEYS.len());
    prop_oneof![
        3 => (0..4_usize, any::<(bool, bool)>()).prop_map(|(name, (fanout, auto_delete))| {
            Step::Exchange { name, fanout, auto_delete }
        }),
        3 => (0..QUEUES.len()).prop_map(|name| Step::Queue { name }),
        8 => ends().prop_map(|(source, to, key)| Step::Bind { source, to, key }),
        2 => ends().prop_map(|(source, to, key)| Step::Unbind { source, to, key }),
        1 => (0..4_usize).prop_map(Step::DeleteExchange),
        1 => (0..QUEUES.len()).prop_map(Step::DeleteQueue),
        1 => (0..2_usize, any::<bool>(), 0..3).prop_map(|(name, operator, priority)| {
            Step::Policy { name, operator, priority }
        }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(name, operator)| {
            Step::DeletePolicy { name, operator }
        }),
        1 => Just(Step::Restart),
    ]
}

/// Whatever has this name is durable in one run and transient in another.
fn take(world: &mut World, step: &Step, transient: [bool; 2]) {
    let end = |to: usize| EXCHANGES.get(to).unwrap_or_else(|| &QUEUES[to - EXCHANGES.len()]);
    match *step {
        Step::Exchange { name, fanout, auto_delete } => {
            let kind = if fanout { ExchangeKind::Fanout } else { ExchangeKind::Direct };
            world.exchange(EXCHANGES[name], kind, !(transient[0] && name == 3), auto_delete);
        }
        Step::Queue { name } => {
            world.queue(QUEUES[name], !(transient[1] && name == 2), FieldTable::new());
        }
        Step::Bind { source, to, key } => world.bind(EXCHANGES[source], end(to), KEYS[key]),
        Step::Unbind { source, to, key } => world.unbind(EXCHANGES[source], end(to), KEYS[key]),
        Step::DeleteExchange(name) => world.delete_exchange(EXCHANGES[name]),
        Step::DeleteQueue(name) => world.delete_queue(QUEUES[name]),
        Step::Policy { name, operator, priority } => {
            world.policy(["p", "r"][name], operator, priority);
        }
        Step::DeletePolicy { name, operator } => world.delete_policy(["p", "r"][name], operator),
        Step::Restart => *world = world.restarted(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Goal: with nothing transient, a restart can't be told; and what is deleted leaves nothing.
    #[test]
    fn a_restart_changes_nothing_that_is_durable(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new(origin());
        for step in &steps {
            take(&mut world, step, [false; 2]);
        }
        let restarted = world.restarted();
        prop_assert_eq!(restarted.facts(), world.facts());
        for world in [world, restarted] {
            world.delete_everything();
            prop_assert_eq!(world.pairs(), Pairs::new());
        }
    }

    /// Goal: what is transient leaves nothing behind, and takes nothing along.
    #[test]
    fn what_is_transient_is_gone_and_nothing_else(
        steps in prop::collection::vec(step(), 0..60),
        transient in any::<[bool; 2]>(),
    ) {
        let mut world = World::new(origin());
        for step in &steps {
            take(&mut world, step, transient);
        }
        let restarted = world.restarted();
        if transient[0] {
            world.delete_exchange("d");
        }
        if transient[1] {
            world.delete_queue("q3");
        }
        // An auto-delete exchange that lost its last binding went with it only here.
        let facts = world.facts();
        prop_assert!(facts.iter().all(|fact| restarted.facts().contains(fact)));
        restarted.delete_everything();
        prop_assert_eq!(restarted.pairs(), Pairs::new());
    }
}

#[test]
fn new_queues_have_numbers_that_no_queue_ever_had() {
    let world = World::new(origin());
    let old = world.queue("q1", true, FieldTable::new());
    let pairs = world.pairs();
    let again = World::with(world.now, pairs.clone(), 0);
    let Recovered { mut vhosts, mut seen, .. } = Recovered::read(pairs).unwrap();
    again.vhost.restore(vhosts.remove(&short("/")).unwrap(), &mut seen, again.now).unwrap();
    assert_eq!(again.vhost.queue(&short("q1")).unwrap().id, old.id);
    assert!(again.queue("q2", true, FieldTable::new()).id > old.id);
}

#[test]
fn a_queue_that_expires_begins_its_life_anew() {
    let mut world = World::new(origin());
    world.queue("q", true, table(&[("x-expires", 1_000_i32.into())]));
    world.now += Duration::from_millis(999);
    let restarted = world.restarted();
    let queue = restarted.vhost.queue(&short("q")).unwrap();
    let mut effects = Effects::default();
    queue.state.lock().declared(restarted.now, &mut effects);
    assert!(!queue.state.lock().is_expired(restarted.now + Duration::from_millis(999)));
    assert!(effects.alarm.is_some());
    assert!(queue.state.lock().is_expired(restarted.now + Duration::from_secs(1)));
}

#[test]
fn a_binding_that_lost_an_end_is_forgotten() {
    let world = World::new(origin());
    world.queue("q1", true, FieldTable::new());
    world.queue("q2", true, FieldTable::new());
    let without = world.pairs();
    world.exchange("a", ExchangeKind::Direct, true, false);
    world.bind("a", "q1", "k");
    world.bind("amq.direct", "q1", "k");
    let mut torn = world.pairs();
    let gone = |key: &Vec<u8>| matches!(key[0], 2) || key.ends_with(b"q1");
    torn.retain(|key, _| !gone(key));
    let again = World::with(world.now, torn.clone(), 0);
    let Recovered { mut vhosts, mut seen, .. } = Recovered::read(torn).unwrap();
    again.vhost.restore(vhosts.remove(&short("/")).unwrap(), &mut seen, again.now).unwrap();
    let left: Vec<Vec<u8>> = again.pairs().into_keys().collect();
    assert_eq!(left, without.into_keys().filter(|key| !gone(key)).collect::<Vec<_>>());
}

#[test]
fn a_definition_that_cannot_be_in_force_is_an_error_that_names_it() {
    let world = World::new(origin());
    let arguments = table(&[("x-cache-size", "none".into())]);
    let properties = ExchangeProperties {
        kind: ExchangeKind::MessageDeduplication,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments,
    };
    let definition = Definition::Exchange(ExchangeDefinition { name: short("x"), properties });
    let vhost = short("/");
    let (key, value) = (definition.key(&vhost), definition.value(&vhost));
    let Recovered { mut vhosts, mut seen, .. } = Recovered::read([(key.clone(), value)]).unwrap();
    let definitions = vhosts.remove(&vhost).unwrap();
    let error = world.vhost.restore(definitions, &mut seen, world.now).unwrap_err();
    assert_eq!(error.key(), key);
}

/// A deduplication exchange that leads to a queue.
fn deduplicating(world: &World, durable: bool, persistence: &'static str) {
    let arguments =
        table(&[("x-cache-size", 2_i32.into()), ("x-cache-persistence", persistence.into())]);
    let (kind, auto_delete) = (ExchangeKind::MessageDeduplication, false);
    let properties = ExchangeProperties { kind, durable, auto_delete, internal: false, arguments };
    world.vhost.declare_exchange(&short("a"), properties, "rmq-internal").unwrap();
    world.queue("q1", true, FieldTable::new());
    world.bind("a", "q1", "k");
}

#[test]
fn what_an_exchange_saw_outlives_it_where_that_is_asked_for() {
    for (persistence, durable, is_known) in
        [("disk", true, true), ("memory", true, false), ("disk", false, false)]
    {
        let world = World::new(origin());
        deduplicating(&world, durable, persistence);
        assert!(world.publish("a", "k", "1") && world.publish("a", "k", "2"));
        assert!(world.publish("a", "k", "3") && !world.publish("a", "k", "3"));
        let restarted = world.restarted();
        if !durable {
            deduplicating(&restarted, durable, persistence);
        }
        assert_eq!(!restarted.publish("a", "k", "3"), is_known);
        assert_eq!(!restarted.publish("a", "k", "2"), is_known);
        assert!(restarted.publish("a", "k", "1"), "two fit");
        restarted.delete_everything();
        assert_eq!(restarted.pairs(), Pairs::new());
    }
}

#[test]
fn what_was_not_recorded_was_not_seen() {
    let world = World::new(origin());
    deduplicating(&world, true, "disk");
    let properties = with_key("1");
    assert!(!world.route("a", "k", &properties).queues.is_empty());
    assert!(world.route("a", "k", &properties).duplicate, "it is on its way");
    assert!(world.restarted().publish("a", "k", "1"), "it got lost on its way");
    let again = world.restarted();
    let route = again.route("a", "k", &properties);
    let refused = message("a", "k", &properties);
    route.write_down(&refused);
    assert_ne!(again.pairs(), world.pairs());
    route.forget(&refused);
    assert_eq!(again.pairs(), world.pairs());
    assert!(again.publish("a", "k", "1"), "it was refused");
}

#[test]
fn what_a_queue_saw_outlives_it_if_it_is_durable() {
    for durable in [true, false] {
        let world = World::new(origin());
        let window = || {
            table(&[
                ("x-message-deduplication", true.into()),
                ("x-deduplication-window", 1_000_i32.into()),
            ])
        };
        world.queue("q1", durable, window());
        assert!(world.publish("", "q1", "1") && !world.publish("", "q1", "1"));
        let restarted = world.restarted();
        restarted.queue("q1", durable, window());
        assert_eq!(!restarted.publish("", "q1", "1"), durable);
        let mut later = restarted.restarted();
        later.now += Duration::from_secs(1);
        later.queue("q1", durable, window());
        assert!(later.publish("", "q1", "1"));
        later.delete_everything();
        assert_eq!(later.pairs(), Pairs::new());
    }
}

#[test]
fn a_store_that_keeps_nothing_is_told_nothing() {
    #[derive(Debug)]
    struct Deaf;
    impl Persist for Deaf {
        fn record(&self, _queue: QueueId, _records: &mut Vec<QueueRecord>) {
            unreachable!("nothing is kept");
        }
        fn remove_queue(&self, _queue: QueueId) {
            unreachable!("nothing is kept");
        }
        fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {
            unreachable!("nothing is kept");
        }
        fn remove(&self, _key: Vec<u8>) {
            unreachable!("nothing is kept");
        }
        fn keeps_messages(&self) -> bool {
            false
        }
    }
    let mut world = World::new(origin());
    let options = VHostOptions::new(Epoch::new(world.now, 0));
    world.vhost = VHost::new(short("/"), Arc::new(Deaf), options);
    world.vhost.set_metadata(VHostMetadata::default());
    deduplicating(&world, true, "disk");
    world.policy("p", true, 1);
    assert!(world.publish("a", "k", "1") && !world.publish("a", "k", "1"));
    world.delete_everything();
}
