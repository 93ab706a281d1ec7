//! What an earlier process left.

use amqp_codec::FieldValue;

use super::super::*;
use super::deep::{Deep, numbers};
use super::support::*;
use crate::broker::queue_settings::{DelayedRetry, QueueDeduplication, RetryKind};

fn body_of(number: u32) -> Draft {
    draft(format!("{number:03}"))
}

/// What was ready is ready, what somebody had is back, flagged, and what does not outlive the process
/// has not.
#[test]
fn messages_are_there_again_in_order() {
    for window in [1, 3, 1000] {
        let mut deep = Deep::new(window);
        deep.number(0..20);
        deep.send([draft("ttt").transient()]);
        deep.number(21..30);
        for _ in 0..4 {
            deep.get(false);
        }
        deep.it.ack(&[0]);
        deep.it.requeue(&[2]);
        let mut deep = deep.restart(0);
        assert_eq!(deep.it.counts(), (28, 0));
        assert_eq!(deep.it.queue.totals().accepted, 28);
        deep.number([30]);
        let mut expected = ["001 again", "002 again", "003 again"].map(str::to_owned).to_vec();
        expected.extend(numbers((4..20).chain(21..31)));
        assert_eq!(deep.get_all(), expected);
        assert_eq!(deep.it.queue.totals().redelivered, 3);
        assert_eq!(deep.shelf.positions(), [0; 0]);
        deep.end();
    }
}

/// Positions are never taken twice, also where the last ones are gone.
#[test]
fn new_messages_stand_behind_old_ones() {
    let mut deep = Deep::new(2);
    deep.number(0..9);
    deep.get_all();
    let mut deep = deep.restart(0).restart(0);
    deep.number(9..20);
    let mut deep = deep.restart(0);
    assert_eq!(deep.get_all(), numbers(9..20));
    deep.end();
}

/// A delivery that the process did not survive counts as one that came back.
#[test]
fn a_crash_counts_against_the_delivery_limit() {
    let limit = |settings: &mut QueueSettings| settings.delivery_limit = Some(2);
    for groups in [false, true] {
        let mut deep = Deep::with(2, |settings| {
            limit(settings);
            if groups {
                grouped(settings);
            }
        });
        deep.send((0..10).map(|number| body_of(number).group("one")));
        for returns in 0..3 {
            let again = if returns > 0 { " again" } else { "" };
            assert_eq!(deep.get(false).unwrap(), format!("000{again}"));
            deep = deep.restart(0);
            deep.answer();
        }
        let limited = deep.it.dropped(DeathReason::DeliveryLimit);
        deep.answer();
        assert_eq!(deep.get_all(), numbers(1..10));
        assert_eq!(limited + deep.it.dropped(DeathReason::DeliveryLimit), 2 * limited.max(1));
        deep.end();
    }
}

/// Highest priority first, as ever.
#[test]
fn priorities_outlive_the_process() {
    let mut deep = Deep::with(2, |settings| settings.max_priority = Some(5));
    deep.send((0..12).map(|number| body_of(number).priority(u8::try_from(number % 3).unwrap())));
    assert_eq!(deep.get(false).unwrap(), "002");
    let mut deep = deep.restart(0);
    assert!(deep.it.queue.is_restored_at_once());
    let mut expected = vec!["002 again".to_owned()];
    expected.extend(numbers([5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]));
    assert_eq!(deep.get_all(), expected);
    deep.end();
}

/// Of each group one at a time, and first the one that somebody had.
#[test]
fn groups_outlive_the_process() {
    let mut deep = Deep::with(2, grouped);
    deep.send((0..9).map(|number| body_of(number).group(&(number % 3).to_string())));
    assert_eq!(deep.get(false).unwrap(), "000");
    let mut deep = deep.restart(0);
    let mut got: Vec<String> = std::iter::from_fn(|| deep.get(false)).collect();
    got.sort();
    assert_eq!(got, ["000 again", "001", "002"], "the others wait");
    deep.it.ack(&[0, 1, 2]);
    let mut rest = deep.get_all();
    rest.sort();
    assert_eq!(rest, numbers(3..9));
    assert_eq!(deep.it.queue.ready.groups(), 0);
    deep.end();
}

/// A message that waits for its retry holds its group back; one that was published with a delay does
/// not.
#[test]
fn a_retry_still_holds_its_group() {
    let mut deep = Deep::with(2, |settings| {
        grouped(settings);
        settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 100 });
    });
    deep.send((0..3).map(|number| body_of(number).group("a")));
    deep.send([body_of(3).group("b").due(50), body_of(4).group("b")]);
    assert_eq!(deep.get(false).unwrap(), "000");
    deep.it.requeue(&[0]);
    let mut deep = deep.restart(10);
    let counts = deep.it.queue.counts();
    assert_eq!((counts.ready, counts.scheduled), (3, 2));
    assert_eq!((deep.get(true), deep.get(true)), (Some("004".to_owned()), None));
    deep.pass(40);
    assert_eq!((deep.get(true), deep.get(true)), (Some("003".to_owned()), None));
    deep.pass(50);
    assert_eq!(deep.get_all(), ["000 again", "001", "002"]);
    deep.end();
}

/// A delivery that comes back with the process waits like one that came back from its channel.
#[test]
fn what_somebody_had_waits_for_its_retry() {
    for groups in [false, true] {
        let mut deep = Deep::with(2, |settings| {
            settings.retry = Some(DelayedRetry { kind: RetryKind::Failed, min: 100, max: 100 });
            if groups {
                grouped(settings);
            }
        });
        deep.send((0..8).map(|number| body_of(number).group("a")));
        deep.get(false);
        let mut deep = deep.restart(10);
        deep.answer();
        let mut got = if groups { Vec::new() } else { numbers(1..8) };
        assert_eq!(deep.get_all(), got);
        deep.pass(100);
        got = if groups { numbers(1..8) } else { Vec::new() };
        got.insert(0, "000 again".to_owned());
        assert_eq!(deep.get_all(), got);
        deep.end();
    }
}

/// A retry stands where it stood, among what lies in the store, and is got once.
#[test]
fn a_retry_from_among_the_paged_is_not_read_again() {
    for position in 0..7_u64 {
        let mut deep = Deep::with(2, |settings| {
            settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 100 });
        });
        deep.number(0..8);
        while deep.get(false).is_some() {}
        let others: Vec<u64> = (0..8).filter(|it| *it != position).collect();
        deep.it.requeue(&[position]);
        deep.it.reconfigure(|settings| settings.retry = None);
        deep.it.requeue(&others);
        let mut deep = deep.restart(10);
        let seen = deep.it.queue.scheduled(9);
        assert_eq!((seen.len(), seen[0].position, seen[0].returns), (1, Position(position), 1));
        deep.pass(100);
        let got: Vec<String> = std::iter::from_fn(|| deep.get(false)).collect();
        let expected: Vec<String> = numbers(0..8).into_iter().map(|it| it + " again").collect();
        assert_eq!((got, deep.it.counts()), (expected, (0, 8)), "the retry of {position}");
        deep.it.ack(&[0, 1, 2, 3, 4, 5, 6, 7]);
        deep.end();
    }
}

/// The last that was in the store has been read, and behind it stands one that came back.
#[test]
fn nobody_waits_for_more_than_the_store_has() {
    let mut deep = Deep::with(1, |settings| {
        settings.retry = Some(DelayedRetry { kind: RetryKind::Failed, min: 100, max: 100 });
    });
    deep.number(0..8);
    while deep.get(false).is_some() {}
    deep.it.give_back(&[7], Return::Rejected);
    deep.it.requeue(&[0, 1, 2, 3, 4, 5]);
    deep.it.ack(&[6]);
    let mut deep = deep.restart(10);
    deep.pass(100);
    let expected: Vec<String> =
        numbers((0..6).chain([7])).into_iter().map(|it| it + " again").collect();
    assert_eq!(deep.get_all(), expected);
    deep.end();
}

/// The queue knows what it has, and takes nothing like it once more until it is gone.
#[test]
fn duplicates_are_known_after_a_restart() {
    let mut deep = Deep::with(2, |settings| {
        settings.deduplication = Some(QueueDeduplication::WhileQueued);
    });
    let keyed = |n: u32| body_of(n).header("x-deduplication-header", FieldValue::I64(n.into()));
    deep.send((0..10).map(keyed));
    deep.send([keyed(10).due(500)]);
    deep.get(false);
    let mut deep = deep.restart(0);
    deep.send((0..12).map(keyed));
    assert_eq!(deep.it.queue.totals().duplicates, 11);
    let mut expected = vec!["000 again".to_owned()];
    expected.extend(numbers((1..10).chain([11])));
    assert_eq!(deep.get_all(), expected);
    deep.send((0..3).map(keyed));
    assert_eq!(deep.it.counts().0, 3);
    deep.end();
}

/// What has died meanwhile is dead, also where the queue has to read it first, and it is not delivered.
#[test]
fn messages_die_while_nothing_runs() {
    let mut deep = Deep::with(3, |settings| settings.message_ttl = Some(100));
    deep.number(0..20);
    deep.it.pass(50);
    deep.number(20..40);
    let mut deep = deep.restart(120);
    let reader = consumer().prefetch(30);
    deep.it.add(&reader);
    deep.answer();
    assert_eq!(reader.received(), numbers(20..40));
    assert_eq!(deep.it.dropped(DeathReason::Expired), 20);
    deep.end();
}

/// What is published now and lives for a shorter time than what is in the store still dies in time.
#[test]
fn a_new_message_may_die_before_an_old_one() {
    let mut deep = Deep::new(2);
    deep.number(0..10);
    let mut deep = deep.restart(0);
    deep.send((10..20).map(|number| body_of(number).ttl(50)));
    deep.pass(50);
    assert_eq!(deep.it.counts().0, 10);
    assert_eq!(deep.get_all(), numbers(0..10));
    deep.end();
}

/// Nothing that is dead is delivered, also where it was not known to be out of turn: a shorter time to
/// live is in force since.
#[test]
fn the_dead_are_not_delivered_behind_the_living() {
    let mut deep = Deep::with(2, |settings| settings.message_ttl = Some(1000));
    deep.number(0..3);
    let mut deep = deep.restart_with(0, |settings| settings.message_ttl = Some(10));
    deep.number(3..4);
    deep.it.reconfigure(|settings| settings.message_ttl = Some(1000));
    deep.number(4..5);
    deep.it.pass(20);
    let reader = consumer();
    deep.it.add(&reader);
    deep.answer();
    assert_eq!(reader.received(), numbers([0, 1, 2, 4]));
    deep.end();
}

/// Nobody uses the queue, and it still knows when the first is to go.
#[test]
fn a_restored_queue_asks_for_what_expires_first() {
    let mut deep = Deep::with(2, |settings| settings.message_ttl = Some(100));
    deep.number(0..9);
    let mut deep = deep.restart(30);
    deep.answer();
    assert_eq!(deep.it.alarm(), Some(100));
    deep.pass(70);
    assert_eq!(deep.it.counts(), (0, 0));
    deep.end();
}

/// What expired while nobody ran leaves at once, a window at a time, though nobody consumes.
#[test]
fn what_expired_meanwhile_is_read_in_few_pages() {
    let mut deep = Deep::with(100, |settings| settings.dead_letter = dead_letter_exchange());
    deep.send((0..1000).map(|number| body_of(number).ttl(50)));
    deep.send([draft("live")]);
    let mut deep = deep.restart(60);
    let mut pages = 0;
    while let Some(page) = deep.read() {
        deep.give(page);
        pages += 1;
    }
    assert!(pages <= 25, "{pages} pages of 100");
    assert_eq!(deep.it.queue.counts().departing, 1000);
    assert_eq!(deep.get_all().last().unwrap(), "live");
}
