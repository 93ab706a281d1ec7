//! What routing one message costs, by exchange type and number of bindings.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::{FieldTable, FieldValue, ShortString};
use criterion::{Criterion, criterion_group, criterion_main};
use leveret::broker::binding::{Binding, Destination};
use leveret::broker::deduplication::DeduplicationWindow;
use leveret::broker::exchange::{
    ConsistentHashMatcher, DirectMatcher, ExchangeKind, ExchangeProperties, FanoutMatcher,
    HeadersMatcher, TopicMatcher,
};
use leveret::broker::queue_cell::{ConnectionId, QueueProperties};
use leveret::broker::routing::{Publication, Router};
use leveret::broker::time::Epoch;
use leveret::broker::vhost::{VHost, VHostOptions};
use leveret::store::MemoryStore;

/// Sums what is visited, so that no visit can be optimised away.
macro_rules! visited {
    (|$visit:ident| $body:expr) => {{
        let mut sum = 0_u64;
        let $visit = &mut |target: u32| sum += u64::from(target);
        $body;
        sum
    }};
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no clock of its own")]
fn origin() -> Instant {
    Instant::now()
}

fn direct(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("direct");
    for count in [1_000_u32, 100_000] {
        let mut matcher = DirectMatcher::default();
        for target in 0..count {
            matcher.insert(format!("user.{target}").as_bytes(), target);
        }
        let mut keys = scattered(count).map(|n| format!("user.{n}")).cycle_keys();
        group.bench_function(format!("{count} bindings"), |bencher| {
            bencher.iter(|| {
                let key = keys.next_key();
                visited!(|visit| matcher.matches(black_box(key), visit))
            });
        });
    }
    group.finish();
}

fn fanout(criterion: &mut Criterion) {
    let mut matcher = FanoutMatcher::default();
    for target in 0..1_000 {
        matcher.insert(target);
    }
    criterion.bench_function("fanout/1000 bindings", |bencher| {
        bencher.iter(|| visited!(|visit| matcher.matches(visit)));
    });
}

fn topic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    for count in [1_000_u32, 100_000] {
        let mut matcher = TopicMatcher::default();
        for target in 0..count {
            matcher.insert(format!("user.{target}.event.*").as_bytes(), target);
        }
        let mut hits = scattered(count).map(|n| format!("user.{n}.event.created")).cycle_keys();
        group.bench_function(format!("{count} bindings, one matches"), |bencher| {
            bencher.iter(|| {
                let key = hits.next_key();
                visited!(|visit| matcher.matches(black_box(key), visit))
            });
        });
        let mut misses = scattered(count).map(|n| format!("order.{n}.event.created")).cycle_keys();
        group.bench_function(format!("{count} bindings, none matches"), |bencher| {
            bencher.iter(|| {
                let key = misses.next_key();
                visited!(|visit| matcher.matches(black_box(key), visit))
            });
        });
        // The same with a `#` in front and behind, as audit and logging consumers bind.
        for (target, pattern) in (count..).zip(["#", "#.created", "user.#.event.#", "*.*.#"]) {
            matcher.insert(pattern.as_bytes(), target);
        }
        group.bench_function(format!("{count} bindings and four with #"), |bencher| {
            bencher.iter(|| {
                let key = hits.next_key();
                visited!(|visit| matcher.matches(black_box(key), visit))
            });
        });
    }

    let mut matcher = TopicMatcher::default();
    for (target, repeats) in (0..).zip([1, 5, 10, 20, 40]) {
        matcher.insert(("#.a.".repeat(repeats) + "#").as_bytes(), target);
        matcher.insert(("#.a.".repeat(repeats) + "#.b").as_bytes(), target);
    }
    let key = vec!["a"; 100].join(".");
    group.bench_function("ten keys of up to 41 #, a key of 100 words", |bencher| {
        bencher.iter(|| visited!(|visit| matcher.matches(black_box(key.as_bytes()), visit)));
    });
    group.finish();
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("headers");
    for count in [100_u32, 1_000] {
        let binding = |customer: u32, x_match: &'static str| {
            let customer = format!("customer-{customer}");
            table([
                ("format", "pdf"),
                ("type", "report"),
                ("customer", &customer),
                ("x-match", x_match),
            ])
        };
        let message = table([
            ("customer", "customer-42"),
            ("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-01"),
            ("format", "pdf"),
            ("retries", "0"),
            ("type", "report"),
        ]);

        let mut matcher = HeadersMatcher::default();
        for target in 0..count {
            matcher.insert(&binding(target, "all"), target).expect("valid");
        }
        group.bench_function(format!("{count} bindings by all, one matches"), |bencher| {
            bencher.iter(|| visited!(|visit| matcher.matches(black_box(&message), visit)));
        });

        let mut matcher = HeadersMatcher::default();
        for target in 0..count {
            matcher.insert(&binding(target, "any"), target).expect("valid");
        }
        group.bench_function(format!("{count} bindings by any, every one matches"), |bencher| {
            bencher.iter(|| visited!(|visit| matcher.matches(black_box(&message), visit)));
        });

        let mut matcher = HeadersMatcher::default();
        for target in 0..count {
            let customer = format!("customer-{target}");
            let customer = customer.as_str();
            let args = table([("customer", customer), ("region", customer), ("x-match", "any")]);
            matcher.insert(&args, target).expect("valid");
        }
        group.bench_function(format!("{count} bindings by any, one matches"), |bencher| {
            bencher.iter(|| visited!(|visit| matcher.matches(black_box(&message), visit)));
        });
    }
    group.finish();
}

fn consistent_hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consistent hash");
    for count in [10_u32, 1_000] {
        let mut matcher = ConsistentHashMatcher::default();
        for target in 0..count {
            matcher.insert(b"3", &target.to_be_bytes(), target).expect("a weight");
        }
        let mut hash = 0_u64;
        group.bench_function(format!("{count} bindings"), |bencher| {
            bencher.iter(|| {
                hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
                visited!(|visit| matcher.matches(black_box(hash), visit))
            });
        });
        group.bench_function(format!("one more and one less of {count} bindings"), |bencher| {
            bencher.iter(|| {
                matcher.insert(b"3", b"newcomer", count).expect("a weight");
                matcher.remove(count)
            });
        });
    }
    group.finish();
}

fn deduplication(criterion: &mut Criterion) {
    let mut window = DeduplicationWindow::new(100_000);
    let (mut now, mut key) = (origin(), 0_u64);
    criterion.bench_function("deduplication/a new key in a full window", |bencher| {
        bencher.iter(|| {
            key += 1;
            now += Duration::from_micros(1);
            window.insert(&key.to_be_bytes(), Some(Duration::from_secs(1)), now)
        });
    });
}

/// A vhost's whole way from an exchange to queues, as every message takes it whose key differs from
/// the one before.
fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    let vhost = VHost::new(
        ShortString::from_static("/"),
        Arc::new(MemoryStore),
        VHostOptions::new(Epoch::new(origin(), 0)),
    );
    let me = ConnectionId(1);
    let properties = ExchangeProperties {
        kind: ExchangeKind::Direct,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::default(),
    };
    let exchange = ShortString::from_static("x");
    vhost.declare_exchange(&exchange, properties, "rmq-internal").expect("is new");
    for number in 0..1_000 {
        let name = ShortString::truncated(format!("queue.{number}"));
        let queue =
            vhost.declare_queue(&name, QueueProperties::default(), me, origin()).expect("is new");
        let binding = Binding {
            source: exchange.clone(),
            destination: Destination::Queue(queue),
            routing_key: name,
            arguments: FieldTable::default(),
        };
        vhost.bind(binding, me, origin()).expect("both ends exist");
    }
    let (now, mut router) = (origin(), Router::default());
    for (what, exchange) in [("direct", exchange), ("default", ShortString::from_static(""))] {
        let mut keys = scattered(1_000).map(|n| format!("queue.{n}")).cycle_keys();
        group.bench_function(format!("{what}, one key"), |bencher| {
            bencher.iter(|| {
                let routing_keys = &[keys.next_key()];
                let properties = &[0, 0];
                let publication =
                    Publication { exchange: &exchange, routing_keys, properties, now };
                vhost.route(&mut router, &publication)
            });
        });
    }
    group.finish();
}

fn table<'a>(entries: impl IntoIterator<Item = (&'static str, &'a str)>) -> FieldTable {
    let value = |text: &str| FieldValue::LongString(text.to_owned().into());
    entries.into_iter().map(|(name, text)| (ShortString::from_static(name), value(text))).collect()
}

/// The numbers below `count` in an order that no cache can guess.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    (0..count.min(1 << 14)).map(move |n| n.wrapping_mul(2_654_435_761) % count)
}

/// Keys to route, over and over.
struct Keys {
    keys: Vec<String>,
    next: usize,
}

impl Keys {
    fn next_key(&mut self) -> &[u8] {
        self.next = (self.next + 1) % self.keys.len();
        self.keys[self.next].as_bytes()
    }
}

trait CycleKeys: Iterator<Item = String> + Sized {
    fn cycle_keys(self) -> Keys {
        Keys { keys: self.collect(), next: 0 }
    }
}

impl<I: Iterator<Item = String>> CycleKeys for I {}

criterion_group!(benches, direct, fanout, topic, headers, consistent_hash, deduplication, route);
criterion_main!(benches);
