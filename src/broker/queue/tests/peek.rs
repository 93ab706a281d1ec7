//! Looking at messages without taking them.

use super::super::*;
use super::deep::{Deep, numbers};
use super::support::*;

fn seen(queue: &Queue, from: u64, max: usize, moment: Timestamp) -> Vec<String> {
    let peeked = queue.peek(Position(from), (max, u64::MAX), moment);
    peeked.iter().map(|it| body(&it.message)).collect()
}

/// Goal: what is seen is what will be delivered, in that order, and nothing has changed afterwards.
#[test]
fn what_came_back_is_seen_where_it_stands_and_all_stays() {
    let mut it = Setting::new();
    it.send([draft("a"), draft("b"), draft("c").ttl(5), draft("d")]);
    it.get(false);
    it.get(false);
    it.requeue(&[0]);
    let before = it.queue.report();
    assert_eq!(seen(&it.queue, 0, 9, at(0)), ["a", "c", "d"]);
    assert_eq!(seen(&it.queue, 0, 2, at(0)), ["a", "c"]);
    assert_eq!(seen(&it.queue, 1, 9, at(0)), ["c", "d"]);
    // What is dead is not delivered, so it is not shown.
    assert_eq!(seen(&it.queue, 0, 9, at(6)), ["a", "d"]);
    assert!(seen(&it.queue, 99, 9, at(0)).is_empty());
    let peeked = it.queue.peek(Position(0), (2, u64::MAX), at(0));
    assert_eq!((peeked[0].redelivered, peeked[0].returns), (true, 1));
    assert_eq!(it.queue.report(), before);
    assert_eq!(it.take_all(), ["a", "c", "d"]);
}

#[test]
fn bytes_end_it_after_the_first() {
    let mut it = Setting::new();
    it.enqueue(&["long", "long", "long"]);
    assert_eq!(it.queue.peek(Position(0), (9, 8), at(0)).len(), 2);
    assert_eq!(it.queue.peek(Position(0), (9, 1), at(0)).len(), 1);
}

#[test]
fn priorities_and_groups_are_seen_in_their_order() {
    let mut it = Setting::with(|settings| settings.max_priority = Some(9));
    it.send([draft("low").priority(1), draft("high").priority(8), draft("next").priority(8)]);
    assert_eq!(seen(&it.queue, 0, 9, at(0)), ["high", "next", "low"]);
    assert_eq!(body(&it.queue.head().unwrap()), "high");
    let mut it = Setting::with(grouped);
    it.send([draft("a1").group("a"), draft("a2").group("a"), draft("b1").group("b")]);
    assert_eq!(seen(&it.queue, 0, 2, at(0)), ["a1", "b1"]);
}

/// Goal: nobody takes what stands behind a gap for what comes next.
#[test]
fn it_ends_before_what_only_the_store_has() {
    let mut deep = Deep::new(4);
    for batch in 0..8 {
        deep.number(batch * 5..batch * 5 + 5);
    }
    let bodies = numbers(0..40);
    let shown = seen(&deep.it.queue, 0, 99, at(0));
    assert!(!shown.is_empty() && shown.len() < bodies.len(), "{shown:?}");
    assert_eq!(shown[..], bodies[..shown.len()]);
}
