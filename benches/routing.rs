//! What routing one message costs, by exchange type and number of bindings.

use std::hint::black_box;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use criterion::{Criterion, criterion_group, criterion_main};
use leveret::broker::exchange::{DirectMatcher, FanoutMatcher, HeadersMatcher, TopicMatcher};

/// Sums what is visited, so that no visit can be optimised away.
macro_rules! visited {
    (|$visit:ident| $body:expr) => {{
        let mut sum = 0_u64;
        let $visit = &mut |target: u32| sum += u64::from(target);
        $body;
        sum
    }};
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

criterion_group!(benches, direct, fanout, topic, headers);
criterion_main!(benches);
