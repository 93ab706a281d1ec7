//! Messages whose places stay in memory while the store has the rest.

use super::super::*;
use super::deep::{Deep, numbers};
use super::support::*;
use crate::broker::queue_settings::{DelayedRetry, QueueDeduplication, RetryKind};

/// A queue with priorities, a window of so many messages, and little memory.
fn prioritised(window: usize) -> Deep {
    let deep = Deep::with(window, |settings| settings.max_priority = Some(9));
    deep.run_short();
    deep
}

/// A message with a number and a priority.
fn important(number: u32, priority: u8) -> Draft {
    draft(format!("{number:03}")).priority(priority)
}

/// Persistent or not, what does not fit leaves memory, and comes back in the order of the priorities.
#[test]
fn what_left_memory_comes_back_by_priority() {
    for window in [1, 3, 7, 1000] {
        let mut deep = prioritised(window);
        let mut sent = Vec::new();
        for number in 0..60 {
            let priority = (number * 7 % 10) as u8;
            let draft = important(number, priority);
            deep.send([if number % 3 == 0 { draft.transient() } else { draft }]);
            sent.push((9 - priority, number));
            assert_eq!(deep.it.counts().0, sent.len());
            assert_eq!(deep.it.queue.ready.bytes(), 3 * sent.len() as u64);
            assert!(deep.in_memory() <= window, "{} in memory", deep.in_memory());
        }
        assert_eq!(deep.stubs(), 60_usize.saturating_sub(window));
        sent.sort_unstable();
        let expected = numbers(sent.iter().map(|(_, number)| *number));
        let reader = consumer().prefetch(2);
        deep.it.add(&reader);
        let mut received = Vec::new();
        for (_, number) in sent {
            deep.answer();
            received.extend(reader.received());
            // What was there first, what is read, and half as much that was read before.
            let most = 2 * window + window / 2 + 3;
            assert!(deep.in_memory() <= most, "{} in memory", deep.in_memory());
            deep.it.ack(&[number.into()]);
            deep.check();
        }
        assert_eq!((received, deep.stubs()), (expected, 0));
        assert_eq!(deep.shelf.positions(), [0; 0]);
        deep.end();
    }
}

/// There is nothing to wait for where memory is not short, and what somebody takes at once never leaves.
#[test]
fn only_what_waits_leaves_and_only_where_memory_is_short() {
    let mut deep = Deep::with(2, |settings| settings.max_priority = Some(9));
    deep.send((0..20).map(|number| important(number, 1)));
    assert_eq!((deep.in_memory(), deep.stubs()), (20, 0));
    deep.run_short();
    deep.send((20..30).map(|number| important(number, 1)));
    assert_eq!((deep.in_memory(), deep.stubs()), (20, 10));
    deep.gauge.release(501);
    deep.send((30..40).map(|number| important(number, 1)));
    assert_eq!((deep.in_memory(), deep.stubs()), (30, 10));
    assert_eq!(deep.get_all(), numbers(0..40));
    deep.run_short();
    let reader = consumer().no_ack();
    deep.it.add(&reader);
    deep.send((40..60).map(|number| important(number, 1)));
    assert_eq!((reader.received(), deep.stubs()), (numbers(40..60), 0));
    assert!(deep.read().is_none(), "nobody has to read");
    deep.end();
}

/// A message that arrives while a page is read, and is more important, is not overtaken.
#[test]
fn what_arrives_meanwhile_is_first_if_it_is_more_important() {
    let mut deep = prioritised(1);
    deep.send((0..6).map(|number| important(number, 1)));
    let reader = consumer().prefetch(2);
    deep.it.add(&reader);
    assert_eq!(reader.received(), ["000"]);
    let page = deep.read().unwrap();
    deep.send([important(6, 2), important(7, 2)]);
    assert_eq!(reader.received(), ["006"], "it never left");
    deep.give(page);
    assert_eq!((reader.received(), deep.it.counts()), (vec![], (6, 2)));
    deep.it.ack(&[0, 6]);
    deep.answer();
    assert_eq!(reader.received(), ["007", "001"]);
    deep.end();
}

/// A group has one delivery at a time, and takes its turns, whether its messages are in memory or not.
#[test]
fn groups_take_turns_with_what_is_read() {
    let mut deep = Deep::with(1, grouped);
    let mut roomy = Deep::with(1, grouped);
    deep.run_short();
    let drafts = || {
        (0..40_u32)
            .map(|number| draft(format!("{number:03}")).group(["a", "b", "c"][number as usize % 3]))
    };
    for it in [&mut deep, &mut roomy] {
        it.send(drafts());
        it.send([draft("aaa"), draft("bbb")]);
    }
    assert_eq!((deep.stubs(), roomy.stubs()), (41, 0));
    let readers = [consumer().prefetch(2), consumer().prefetch(2)];
    deep.it.add(&readers[0]);
    roomy.it.add(&readers[1]);
    let mut count = 0;
    while count < 42 {
        deep.answer();
        let received = readers.each_ref().map(TestConsumer::received);
        assert_eq!(received[0], received[1]);
        assert!(!received[0].is_empty(), "{count} were delivered");
        count += received[0].len();
        let position = |body: &String| match body.as_str() {
            "aaa" => 40,
            "bbb" => 41,
            number => number.parse().unwrap(),
        };
        let positions: Vec<u64> = received[0].iter().map(position).collect();
        deep.it.ack(&positions);
        roomy.it.ack(&positions);
    }
    deep.end();
    roomy.end();
}

/// What expires, what is dropped, and what is purged goes without being read.
#[test]
fn stubs_die_where_they_stand() {
    let mut deep = Deep::with(2, |settings| settings.max_priority = Some(9));
    deep.run_short();
    deep.send((0..10).map(|number| important(number, 1).ttl(50)));
    deep.send((10..30).map(|number| important(number, 2)));
    deep.it.pass(50);
    assert_eq!((deep.it.counts().0, deep.it.dropped(DeathReason::Expired)), (20, 10));
    deep.it.reconfigure(|settings| settings.max_length = Some(15));
    assert_eq!((deep.it.counts().0, deep.it.dropped(DeathReason::MaxLength)), (15, 5));
    assert!(deep.read().is_none(), "nobody has to read");
    assert_eq!(deep.get(true).unwrap(), "015");
    assert_eq!(deep.it.queue.purge(&mut deep.it.out), 14);
    assert_eq!((deep.stubs(), deep.in_memory(), deep.shelf.positions()), (0, 0, vec![]));
    deep.end();
}

/// What somebody is about to get is not one too many.
#[test]
fn what_is_read_for_somebody_is_not_dropped() {
    let mut deep = Deep::with(1, |settings| {
        settings.max_priority = Some(9);
        settings.max_length = Some(2);
    });
    deep.run_short();
    let reader = consumer().prefetch(1);
    deep.it.add(&reader);
    deep.send([important(0, 1)]);
    deep.send([important(1, 1)]);
    deep.send([important(2, 2)]);
    deep.it.requeue(&[0]);
    deep.answer();
    assert_eq!(
        (reader.received(), deep.it.counts()),
        (vec!["000".to_owned(), "002".to_owned()], (2, 1))
    );
    assert_eq!(deep.it.dropped(DeathReason::MaxLength), 0);
    deep.end();
}

/// Dead letters are read before they are handed out, in the order they died.
#[test]
fn dead_letters_are_whole() {
    let mut deep = Deep::with(2, |settings| {
        settings.max_priority = Some(9);
        settings.dead_letter = dead_letter_exchange();
    });
    deep.run_short();
    deep.send((0..10).map(|number| important(number, 1).ttl(50)));
    deep.it.pass(50);
    assert_eq!((deep.it.queue.counts().departing, deep.stubs()), (10, 8));
    let mut moved = Vec::new();
    while deep.it.queue.counts().departing > 0 {
        let letters = deep.it.letters(3);
        assert!(letters.iter().all(|(body, _)| body.len() == 3), "{letters:?}");
        assert!(deep.it.letters(3).is_empty() || letters.is_empty());
        moved.extend(letters.into_iter().map(|(body, _)| body));
        deep.it.queue.dead_letters_moved(&[], deep.it.now, &mut deep.it.out);
        deep.answer();
    }
    assert_eq!((moved, deep.shelf.positions()), (numbers(0..10), vec![]));
    deep.end();
}

/// A message dies while it is read: the dead letter gets it.
#[test]
fn a_message_dies_while_it_is_read() {
    for is_purged in [false, true] {
        let mut deep = Deep::with(1, |settings| {
            settings.max_priority = Some(9);
            settings.dead_letter = dead_letter_exchange();
        });
        deep.run_short();
        deep.send((0..3).map(|number| important(number, 1).ttl(50)));
        let reader = consumer().no_ack();
        deep.it.add(&reader);
        let page = deep.read().unwrap();
        deep.it.pass(50);
        assert_eq!((reader.received(), deep.it.queue.counts().departing), (numbers(0..1), 2));
        if is_purged {
            assert_eq!(deep.it.queue.purge(&mut deep.it.out), 0);
        }
        assert!(!deep.it.out.dead_letters, "the first has to be read");
        deep.give(page);
        let mut letters = Vec::new();
        while std::mem::take(&mut deep.it.out.dead_letters) {
            letters.extend(deep.it.bury().into_iter().map(|(body, _)| body));
            deep.answer();
        }
        assert_eq!(letters, numbers(1..3));
        deep.end();
    }
}

/// What waits for its time is read when that has come, in every queue, and only then takes its place.
#[test]
fn delayed_messages_are_read_when_they_are_due() {
    for max_priority in [None, Some(3)] {
        let mut deep = Deep::with(2, |settings| settings.max_priority = max_priority);
        deep.run_short();
        let delayed = |number: u32| draft(format!("{number:03}")).due(100 + u64::from(number / 4));
        deep.send((0..20).map(|number| {
            let draft = delayed(number);
            if number % 2 == 0 { draft.transient() } else { draft }
        }));
        assert_eq!((deep.in_memory(), deep.stubs()), (2, 18));
        assert_eq!(deep.it.queue.counts().scheduled, 20);
        let reader = consumer().no_ack();
        deep.it.add(&reader);
        deep.pass(99);
        assert_eq!(reader.received(), [""; 0]);
        deep.it.pass(5);
        assert_eq!(reader.received(), numbers(0..2), "the others are to be read");
        let alarm = deep.it.alarm();
        assert!(alarm.is_none_or(|alarm| alarm > 104), "nobody is woken in vain: {alarm:?}");
        deep.answer();
        assert_eq!(reader.received(), numbers(2..20));
        assert_eq!((deep.stubs(), deep.shelf.positions()), (0, vec![]));
        deep.end();
    }
}

/// A retry stands where it stood, and a deep queue's run is read in turn with it.
#[test]
fn retries_are_read_when_they_are_due() {
    let mut deep = Deep::with(1, |settings| {
        settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 100 });
    });
    deep.run_short();
    deep.number(0..10);
    let got: Vec<String> = std::iter::from_fn(|| deep.get(false)).take(6).collect();
    assert_eq!(got, numbers(0..6));
    deep.it.requeue(&[0, 1, 2, 3, 4, 5]);
    assert_eq!((deep.it.queue.counts().scheduled, deep.stubs()), (6, 5));
    deep.pass(100);
    let reader = consumer().no_ack();
    deep.it.add(&reader);
    deep.answer();
    let mut expected: Vec<String> = numbers(0..6).iter().map(|it| format!("{it} again")).collect();
    expected.extend(numbers(6..10));
    assert_eq!((reader.received(), deep.stubs()), (expected, 0));
    deep.end();
}

/// An administrator sees that it is there, and may take it away.
#[test]
fn a_stub_can_be_cancelled() {
    let mut deep = Deep::new(1);
    deep.run_short();
    deep.send((0..4).map(|number| draft(format!("{number:03}")).due(100)));
    let shown: Vec<(u64, bool, u64)> = deep
        .it
        .queue
        .scheduled(9)
        .iter()
        .map(|it| (it.position.0, it.message.is_stub(), it.message.body_len()))
        .collect();
    assert_eq!(shown, [(0, false, 3), (1, true, 3), (2, true, 3), (3, true, 3)]);
    assert!(deep.it.queue.cancel_scheduled(Position(2), deep.it.now, &mut deep.it.out));
    deep.it.pass(100);
    let page = deep.read();
    assert!(deep.it.queue.cancel_scheduled(Position(1), deep.it.now, &mut deep.it.out));
    page.into_iter().for_each(|page| deep.give(page));
    deep.answer();
    assert_eq!(deep.get_all(), ["000", "003"]);
    assert_eq!((deep.stubs(), deep.shelf.positions()), (0, vec![]));
    deep.end();
}

/// Where a key counts as long as its message is in the queue, the message stays.
#[test]
fn messages_whose_keys_count_stay() {
    let mut deep = Deep::with(1, |settings| {
        settings.max_priority = Some(9);
        settings.deduplication = Some(QueueDeduplication::WhileQueued);
    });
    deep.run_short();
    deep.send((0..10).map(|number| important(number, 1)));
    deep.send((10..15).map(|number| important(number, 1).due(50)));
    assert_eq!((deep.in_memory(), deep.stubs()), (15, 0));
    deep.end();
}

/// The store has lost a message: nobody waits for it for ever.
#[test]
fn what_the_store_lost_is_gone() {
    let mut deep = prioritised(1);
    deep.send((0..5).map(|number| important(number, 1)));
    deep.send((5..7).map(|number| important(number, 1).due(50)));
    deep.shelf.lose(2);
    deep.shelf.lose(6);
    let reader = consumer().no_ack();
    deep.it.add(&reader);
    deep.answer();
    deep.pass(50);
    assert_eq!(reader.received(), numbers([0, 1, 3, 4, 5]));
    assert_eq!((deep.it.queue.totals().purged, deep.stubs()), (2, 0));
    deep.end();
}

/// A queue that is too deep for memory is too deep after a restart as well.
#[test]
fn a_restart_reads_no_more_than_fits() {
    let mut deep = prioritised(2);
    deep.send((0..20).map(|number| important(number, (number % 3) as u8)));
    deep.send((20..30).map(|number| important(number, 5).due(100)));
    assert_eq!(deep.get(false).unwrap(), "002");
    let mut deep = deep.restart_short(10);
    assert_eq!((deep.in_memory(), deep.stubs()), (4, 26), "two windows");
    deep.pass(90);
    let mut expected = numbers(20..30);
    expected.push("002 again".to_owned());
    expected.extend(numbers((5..20).step_by(3)));
    expected.extend(numbers((1..20).step_by(3)));
    expected.extend(numbers((0..20).step_by(3)));
    assert_eq!(deep.get_all(), expected);
    assert_eq!(deep.shelf.positions(), [0; 0]);
    deep.end();
}

/// Whoever waits for a stub hears of it when the queue is purged or deleted.
#[test]
fn a_get_that_waits_for_a_stub_is_told() {
    for is_deleted in [false, true] {
        let mut deep = prioritised(1);
        deep.send((0..5).map(|number| important(number, 1)));
        deep.get(true);
        let sink = Arc::new(Sink::default());
        assert!(matches!(deep.it.try_get(false, &sink), Get::Later));
        let page = deep.read().unwrap();
        if is_deleted {
            assert_eq!(deep.it.queue.delete(&mut deep.it.out), 4);
        } else {
            deep.it.queue.purge(&mut deep.it.out);
        }
        deep.give(page);
        assert_eq!((*sink.tries.lock(), deep.in_memory(), deep.stubs()), (1, 0, 0));
    }
}
