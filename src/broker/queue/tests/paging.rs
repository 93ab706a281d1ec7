//! Queues that are deeper than what they keep in memory.

use amqp_codec::FieldValue;

use super::super::*;
use super::deep::{Deep, numbers};
use super::support::*;
use crate::broker::queue_settings::QueueDeduplication;

const DEDUPLICATION: &str = "x-deduplication-header";

/// Messages go and come back in order, every one of them counted all the time, and never more of them
/// in memory than fit.
#[test]
fn what_went_to_the_store_comes_back_in_order() {
    for window in [1, 3, 7, 20, 1000] {
        let mut deep = Deep::new(window);
        for batch in 0..20 {
            deep.number(batch * 5..batch * 5 + 5);
            let sent = batch as usize * 5 + 5;
            assert_eq!(deep.it.counts(), (sent, 0));
            assert_eq!(deep.it.queue.ready.bytes(), 3 * sent as u64);
            assert!(deep.in_memory() <= 2 * window, "{} in memory", deep.in_memory());
        }
        let reader = consumer().prefetch(2);
        deep.it.add(&reader);
        let mut received = Vec::new();
        for position in 0..100_u64 {
            deep.answer();
            received.extend(reader.received());
            deep.it.ack(&[position]);
            let left = 99 - usize::try_from(position).unwrap();
            let (ready, unacked) = deep.it.counts();
            assert_eq!(ready + unacked, left);
            assert_eq!(deep.it.queue.ready.bytes(), 3 * ready as u64);
            assert!(deep.in_memory() <= 2 * window + unacked);
            deep.check();
        }
        assert_eq!(received, numbers(0..100));
        assert_eq!(deep.shelf.positions(), [0; 0]);
        deep.end();
    }
}

/// While consumers work, publishers go on.
#[test]
fn a_queue_that_is_fed_while_it_is_read_keeps_its_order() {
    let mut deep = Deep::new(4);
    let reader = consumer().no_ack();
    deep.number(0..30);
    let handle = deep.it.add(&reader);
    for batch in 30..60 {
        let page = deep.read();
        deep.number(batch..batch + 1);
        page.into_iter().for_each(|page| deep.give(page));
    }
    deep.answer();
    assert_eq!(reader.received(), numbers(0..60));
    deep.it.remove(handle);
    deep.number(60..100);
    assert!(deep.in_memory() <= 8);
    assert_eq!(deep.get_all(), numbers(60..100));
    deep.end();
}

/// `basic.get` waits for the store if that has what is next.
#[test]
fn a_get_is_tried_again_once_the_message_is_in_memory() {
    let mut deep = Deep::new(2);
    deep.number(0..20);
    assert_eq!([deep.get(true), deep.get(true)].map(Option::unwrap), ["000", "001"]);
    let sink = Arc::new(Sink::default());
    assert!(matches!(deep.it.try_get(false, &sink), Get::Later));
    assert_eq!((deep.it.counts(), *sink.tries.lock()), ((18, 0), 0));
    let other = Arc::new(Sink::default());
    assert!(matches!(deep.it.try_get(false, &other), Get::Later));
    let page = deep.read().unwrap();
    assert!(deep.it.out.wanted.is_none(), "the store is asked once");
    deep.give(page);
    assert_eq!((*sink.tries.lock(), *other.tries.lock()), (1, 1));
    assert_eq!(deep.get_all(), numbers(2..20));
    assert_eq!(deep.get(true), None);
    deep.end();
}

#[test]
fn purging_clears_what_is_in_the_store_as_well() {
    let mut deep = Deep::new(3);
    deep.number(0..40);
    deep.get(false);
    assert_eq!(deep.it.queue.purge(&mut deep.it.out), 39);
    assert_eq!((deep.it.counts(), deep.shelf.positions()), ((0, 1), vec![0]));
    deep.check();
    deep.number(40..60);
    deep.it.requeue(&[0]);
    let mut all = vec!["000".to_owned() + " again"];
    all.extend(numbers(40..60));
    assert_eq!(deep.get_all(), all);
    deep.end();
}

/// What is read while a purge comes is of no use to anybody, and does not stand in the way.
#[test]
fn a_purge_outdates_what_is_being_read() {
    let mut deep = Deep::new(3);
    let reader = consumer();
    deep.number(0..40);
    deep.it.add(&reader);
    let page = deep.read().unwrap();
    reader.received();
    deep.it.queue.purge(&mut deep.it.out);
    deep.it.remove(deep.it.handle(0));
    deep.number(40..80);
    deep.it.add(&reader);
    assert_eq!(reader.received(), numbers(40..43));
    assert!(deep.read().is_none(), "one page at a time");
    deep.give(page);
    deep.answer();
    assert_eq!(reader.received(), numbers(43..80));
    deep.end();
}

/// Whoever waits for a message that was purged meanwhile hears of it.
#[test]
fn a_get_that_waits_is_told_of_a_purge() {
    let mut deep = Deep::new(1);
    deep.number(0..10);
    deep.get(true);
    let sink = Arc::new(Sink::default());
    assert!(matches!(deep.it.try_get(false, &sink), Get::Later));
    deep.it.queue.purge(&mut deep.it.out);
    let page = deep.read().unwrap();
    deep.give(page);
    assert_eq!((*sink.tries.lock(), deep.get(true)), (1, None));
    deep.end();
}

#[test]
fn a_queue_is_deleted_while_the_store_reads_for_it() {
    let mut deep = Deep::new(1);
    deep.number(0..10);
    deep.get(true);
    let sink = Arc::new(Sink::default());
    assert!(matches!(deep.it.try_get(false, &sink), Get::Later));
    let page = deep.read().unwrap();
    assert_eq!(deep.it.queue.delete(&mut deep.it.out), 9);
    assert_eq!(*sink.tries.lock(), 1);
    deep.give(page);
    assert_eq!((deep.in_memory(), deep.it.counts()), (0, (0, 0)));
    assert!(deep.shelf.is_removed());
}

/// Where all live equally long they die in order, though nobody looks at them: the queue reads what it
/// needs to know when.
#[test]
fn messages_die_in_the_store() {
    let mut deep = Deep::with(3, |settings| settings.message_ttl = Some(100));
    for batch in 0..10 {
        deep.number(batch * 4..batch * 4 + 4);
        deep.pass(10);
    }
    // The first ones were published 100 milliseconds ago.
    for left in (0..10).rev() {
        assert_eq!(deep.it.counts().0, 4 * left);
        deep.pass(10);
    }
    assert_eq!(deep.it.dropped(DeathReason::Expired), 40);
    assert_eq!((deep.in_memory(), deep.shelf.positions()), (0, vec![]));
    deep.end();
}

/// A message that dies before those ahead of it stays in memory, dies in time, and is not read again.
#[test]
fn a_message_that_dies_early_does_not_come_back() {
    let mut deep = Deep::new(2);
    deep.number(0..10);
    deep.send((10..20).map(|number| draft(format!("{number:03}")).ttl(50)));
    deep.number(20..30);
    assert_eq!(deep.in_memory(), 13, "a window, one at the tail, and those that die early");
    deep.pass(49);
    assert_eq!(deep.it.counts().0, 30);
    deep.pass(1);
    assert_eq!((deep.it.counts().0, deep.it.dropped(DeathReason::Expired)), (20, 10));
    let expected = [numbers(0..10), numbers(20..30)].concat();
    assert_eq!(deep.get_all(), expected);
    deep.end();
}

/// The same while it is being read, and while a dead letter exchange has yet to take it: a purge leaves
/// what is on its way.
#[test]
fn a_dead_letter_outlives_a_purge() {
    let mut deep = Deep::with(2, |settings| settings.dead_letter = dead_letter_exchange());
    deep.number(0..10);
    deep.send((10..12).map(|number| draft(format!("{number:03}")).ttl(50)));
    deep.number(12..30);
    deep.it.pass(50);
    assert_eq!(deep.it.letters(9).len(), 2);
    assert_eq!(deep.it.queue.purge(&mut deep.it.out), 28);
    assert_eq!(deep.shelf.positions(), [10, 11]);
    deep.it.queue.dead_letters_moved(&[], deep.it.now, &mut deep.it.out);
    assert_eq!(deep.shelf.positions(), [0; 0]);
    deep.end();
}

/// What died before the messages around it went to the store, and is on its way still, is not read with
/// them.
#[test]
fn a_dead_letter_is_not_read_again() {
    for early in [false, true] {
        let mut deep = Deep::with(3, |settings| settings.dead_letter = dead_letter_exchange());
        deep.number(0..4);
        deep.send([draft("eee").ttl(5)]);
        deep.it.pass(5);
        deep.number(5..20);
        let reader = consumer().prefetch(4);
        deep.it.add(&reader);
        let page = if early { deep.read() } else { None };
        assert_eq!(deep.it.bury().len(), 1);
        page.into_iter().for_each(|page| deep.give(page));
        deep.answer();
        deep.it.remove(deep.it.handle(0));
        let mut got = reader.received();
        got.extend(deep.get_all());
        assert_eq!(got, numbers((0..4).chain(5..20)));
        deep.end();
    }
}

/// The first behind the head dies early, so it stays at hand: it is delivered once, and not once more
/// when what was around it is read.
#[test]
fn what_is_at_hand_is_not_read_again() {
    for ahead in 2..6 {
        let mut deep = Deep::new(2);
        deep.number(0..ahead);
        deep.send([draft("eee").ttl(9000)]);
        deep.number(10..20);
        let mut expected = numbers(0..ahead);
        expected.push("eee".to_owned());
        expected.extend(numbers(10..20));
        let got: Vec<String> = std::iter::from_fn(|| deep.get(false)).collect();
        assert_eq!(got, expected);
        assert_eq!(deep.it.counts(), (0, got.len()));
        deep.end();
    }
}

/// The same with a purge after it was delivered: who holds it still does.
#[test]
fn a_purge_leaves_what_was_delivered_from_among_the_paged() {
    let mut deep = Deep::new(2);
    deep.number(0..2);
    deep.send([draft("eee").ttl(9000)]);
    deep.number(3..20);
    assert_eq!([deep.get(true), deep.get(true)].map(Option::unwrap), ["000", "001"]);
    assert_eq!(deep.get(false).unwrap(), "eee");
    deep.it.queue.purge(&mut deep.it.out);
    assert_eq!((deep.it.counts(), deep.shelf.positions()), ((0, 1), vec![2]));
    deep.it.ack(&[2]);
    deep.end();
}

/// Behind the last that was in the store some stand that were at hand all the time.
#[test]
fn nobody_waits_for_a_store_that_has_nothing_left() {
    let mut deep = Deep::new(2);
    deep.number(0..6);
    deep.send((6..9).map(|number| draft(format!("{number:03}")).ttl(9000)));
    deep.number(9..12);
    assert_eq!(deep.get_all(), numbers(0..12));
    deep.end();
}

/// What comes back stands where it stood, before all that is in the store.
#[test]
fn what_comes_back_is_before_what_is_in_the_store() {
    let mut deep = Deep::new(2);
    deep.number(0..20);
    for _ in 0..7 {
        deep.get(false);
    }
    deep.it.requeue(&[5, 1, 3]);
    let again = ["001 again", "003 again", "005 again"].map(str::to_owned);
    let expected = [again.to_vec(), numbers(7..20)].concat();
    assert_eq!(deep.get_all(), expected);
    assert_eq!(deep.it.counts(), (0, 4));
    deep.it.requeue(&[0, 2, 4, 6]);
    assert_eq!(deep.get_all(), ["000 again", "002 again", "004 again", "006 again"]);
    deep.end();
}

/// The oldest go first when there are too many, in memory or not.
#[test]
fn the_oldest_are_dropped_from_the_store() {
    let mut deep = Deep::new(3);
    deep.number(0..40);
    deep.it.reconfigure(|settings| settings.max_length = Some(10));
    deep.answer();
    assert_eq!((deep.it.counts().0, deep.it.dropped(DeathReason::MaxLength)), (10, 30));
    deep.number(40..45);
    deep.answer();
    assert_eq!(deep.it.counts().0, 10);
    deep.it.reconfigure(|settings| {
        (settings.max_length, settings.max_length_bytes) = (None, Some(12));
    });
    deep.answer();
    assert_eq!(deep.get_all(), numbers(41..45));
    deep.end();
}

/// A message that does not outlive the process leaves memory only where that is short.
#[test]
fn transient_messages_stay_while_there_is_memory() {
    let mut deep = Deep::new(2);
    let transient = |number| draft(format!("{number:03}")).transient();
    deep.send((0..20).map(transient));
    assert_eq!((deep.in_memory(), deep.shelf.positions()), (20, vec![]));
    deep.gauge.add(501);
    deep.it.queue.relieve(deep.it.now, &mut deep.it.out);
    assert_eq!((deep.in_memory(), deep.shelf.positions().len()), (3, 17));
    deep.send((20..30).map(transient));
    assert_eq!((deep.in_memory(), deep.it.counts().0), (3, 30));
    deep.gauge.release(501);
    // There is room, but the order stays.
    deep.send((30..40).map(transient));
    assert_eq!(deep.in_memory(), 13);
    assert_eq!(deep.get(false).unwrap(), "000");
    deep.it.requeue(&[0]);
    assert_eq!(deep.get(true).unwrap(), "000 again");
    assert_eq!(deep.get_all(), numbers(1..40));
    assert_eq!(deep.shelf.positions(), [0; 0], "what was left there is forgotten");
    deep.end();
}

/// One that may not leave stands behind one that need not.
#[test]
fn a_message_that_stays_holds_up_nobody() {
    let mut deep = Deep::new(2);
    deep.number(0..2);
    deep.send([draft("eee").ttl(9000)]);
    deep.send((3..9).map(|number| draft(format!("{number:03}")).transient()));
    let all = deep.get_all();
    assert_eq!((all.len(), &*all[2], &*all[8]), (9, "eee", "008"));

    deep.number(9..11);
    deep.send([draft("eee").ttl(5)]);
    deep.send((12..18).map(|number| draft(format!("{number:03}")).transient()));
    deep.it.pass(5);
    assert_eq!(deep.get_all(), numbers((9..11).chain(12..18)), "also once that has died");
    deep.end();
}

/// Short memory makes no window wider.
#[test]
fn a_window_is_never_wider_where_memory_is_short() {
    let mut deep = Deep::new(2);
    deep.gauge.add(501);
    deep.number(0..20);
    assert_eq!(deep.in_memory(), 3);
    deep.end();
}

/// Once those that are queued are purged, wherever they lie, others like them may come; one that
/// somebody holds still counts.
#[test]
fn a_purge_forgets_duplicates_in_the_store() {
    let mut deep = Deep::with(2, |settings| {
        settings.deduplication = Some(QueueDeduplication::WhileQueued);
    });
    let keyed = |n: u32| draft(format!("{n:03}")).header(DEDUPLICATION, FieldValue::I64(n.into()));
    deep.send((0..20).map(keyed));
    deep.send((0..20).map(keyed));
    assert_eq!(deep.it.counts().0, 20);
    deep.get(false);
    deep.it.queue.purge(&mut deep.it.out);
    deep.send((0..20).map(keyed));
    assert_eq!(deep.it.counts(), (19, 1));
    deep.end();
}

/// What the store can't read any more does not count for ever.
#[test]
fn what_the_store_lost_is_gone() {
    let mut deep = Deep::new(2);
    deep.number(0..20);
    deep.shelf.lose(7);
    deep.shelf.lose(12);
    let all = deep.get_all();
    assert_eq!((all.len(), deep.it.counts(), deep.it.queue.totals().purged), (18, (0, 0), 2));
    deep.end();
}
