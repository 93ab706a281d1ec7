//! Messages that are not due yet.

use super::super::*;
use super::support::*;

/// A message with a delay is delivered when it is due, and not a millisecond before.
#[test]
fn a_message_is_delivered_when_it_is_due() {
    let mut it = Setting::new();
    let reader = consumer();
    it.add(&reader);
    it.send([draft("later").due(100), draft("now"), draft("soon").due(50)]);
    assert_eq!(reader.received(), ["now"]);
    assert_eq!((it.queue.counts().scheduled, it.alarm()), (2, Some(50)));
    it.pass(49);
    assert_eq!(reader.received(), [""; 0]);
    it.pass(1);
    assert_eq!(reader.received(), ["soon"]);
    it.pass(50);
    assert_eq!((reader.received(), it.queue.counts().scheduled), (vec!["later".to_owned()], 0));
}

/// What is due already is delivered at once.
#[test]
fn a_time_that_is_past_is_no_delay() {
    let mut it = Setting::new();
    it.pass(100);
    it.send([draft("0").due(20), draft("1").due(100), draft("2").due(101)]);
    assert_eq!((it.counts().0, it.queue.counts().scheduled), (2, 1));
}

/// Messages that are due at the same moment come in the order in which they were published.
#[test]
fn messages_due_together_keep_their_order() {
    let mut it = Setting::new();
    it.send(["0", "1", "2"].map(|body| draft(body).due(10)));
    it.pass(10);
    assert_eq!(it.take_all(), ["0", "1", "2"]);
}

/// A delayed message takes its place behind what is ready when it is due, and is no redelivery.
#[test]
fn a_delayed_message_takes_its_place_when_it_is_due() {
    let mut it = Setting::new();
    it.send([draft("delayed").due(10), draft("before")]);
    it.pass(10);
    it.enqueue(&["after"]);
    assert_eq!(it.take_all(), ["before", "delayed", "after"]);
    assert_eq!(it.queue.totals().redelivered, 0);
}

/// Its time to live counts from when it is due.
#[test]
fn a_delayed_message_begins_to_age_when_it_is_due() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(30));
    it.send([draft("own").due(100).ttl(10), draft("of the queue").due(100)]);
    it.pass(100);
    assert_eq!(it.counts().0, 2);
    it.pass(9);
    assert_eq!(it.counts().0, 2);
    it.pass(1);
    assert_eq!(it.counts().0, 1);
    it.pass(20);
    assert_eq!((it.counts().0, it.dropped(DeathReason::Expired)), (0, 2));
}

/// Delayed messages are no ready ones: they don't count against limits, nor does a purge drop them.
#[test]
fn delayed_messages_are_not_ready() {
    let mut it = Setting::with(|settings| settings.max_length = Some(1));
    it.send([draft("0").due(10), draft("1").due(10), draft("2")]);
    assert_eq!((it.counts().0, it.queue.counts().scheduled), (1, 2));
    assert_eq!(it.queue.purge(&mut it.out), 1);
    it.pass(10);
    assert_eq!(it.take_all(), ["1"], "now they count");
}

/// An administrator sees what waits, the first to come first, and can cancel it.
#[test]
fn what_waits_can_be_seen_and_cancelled() {
    let mut it = Setting::new();
    it.send([draft("late").due(30), draft("soon").due(10), draft("middle").due(20)]);
    let seen = |it: &Setting, max| -> Vec<(String, Timestamp, u64)> {
        let shown = it.queue.scheduled(max).into_iter();
        shown.map(|it| (body(&it.message), it.due, it.position.0)).collect()
    };
    assert_eq!(seen(&it, 2), [("soon".into(), at(10), 1), ("middle".into(), at(20), 2)]);
    assert!(it.queue.cancel_scheduled(Position(1), it.now, &mut it.out));
    assert!(!it.queue.cancel_scheduled(Position(1), it.now, &mut it.out));
    assert!(!it.queue.cancel_scheduled(Position(77), it.now, &mut it.out));
    assert_eq!(seen(&it, 9).len(), 2);
    assert_eq!((it.out.freed, it.queue.totals().purged), (message("soon").memory(), 1));
    it.pass(30);
    assert_eq!(it.take_all(), ["middle", "late"]);
    assert!(!it.queue.cancel_scheduled(Position(2), it.now, &mut it.out), "it has left");
}

/// When a message becomes due the store hears of its new place before it forgets the old one, so that
/// it never knows neither.
#[test]
fn the_store_hears_of_the_new_place_first() {
    let (mut it, record) = Setting::durable(|_| {});
    it.send([draft("0").due(10), draft("1").due(20)]);
    assert_eq!(record.take(), [(0, "entered"), (1, "entered")]);
    it.pass(10);
    assert_eq!(record.take(), [(2, "entered"), (0, "settled")]);
    it.queue.cancel_scheduled(Position(1), it.now, &mut it.out);
    it.get(true);
    assert_eq!(record.take(), [(1, "settled"), (2, "settled")]);
}

/// However many messages are due together, one call releases 1024 of them at most.
#[test]
fn messages_become_due_in_bounded_calls() {
    let mut it = Setting::new();
    let message = draft("0").due(10).message();
    it.queue.enqueue(std::iter::repeat_n(&message, 3000), it.now, &mut it.out);
    let end = it.now + std::time::Duration::from_millis(10);
    let mut ready = Vec::new();
    while it.fire(end) {
        ready.push(it.counts().0);
    }
    assert_eq!(ready, [1024, 2048, 3000]);
}

/// A delayed message enters its priority and its group when it is due.
#[test]
fn a_delayed_message_enters_its_priority_and_its_group() {
    let mut it = Setting::with(|settings| settings.max_priority = Some(9));
    it.send([draft("low"), draft("high").priority(9).due(10)]);
    it.pass(10);
    assert_eq!(it.take_all(), ["high", "low"]);
    let mut it = Setting::with(grouped);
    let reader = consumer();
    it.add(&reader);
    it.send([draft("later").group("a").due(10), draft("now").group("a")]);
    it.pass(10);
    assert_eq!(reader.received(), ["now"]);
    it.ack(&[1]);
    assert_eq!(reader.received(), ["later"]);
}

/// Deletion drops what waits for its time.
#[test]
fn deletion_drops_what_waits() {
    let mut it = Setting::new();
    it.send([draft("0").due(10), draft("1")]);
    assert_eq!(it.queue.delete(&mut it.out), 1, "one was ready");
    assert_eq!((it.queue.counts().scheduled, it.queue.totals().purged), (0, 2));
    it.pass(10);
    assert_eq!(it.counts(), (0, 0));
}
