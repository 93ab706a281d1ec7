//! Queues hold no more than they may.

use super::super::*;
use super::support::*;

fn limited(max: u64, overflow: Overflow) -> Setting {
    Setting::with(|settings| {
        settings.max_length = Some(max);
        settings.overflow = overflow;
    })
}

/// When a queue is full, messages are dropped from its head, that is, the oldest: the newest stay.
#[test]
fn the_newest_messages_stay() {
    let mut it = limited(2, Overflow::DropHead);
    it.enqueue(&["0", "1", "2"]);
    it.enqueue(&["3"]);
    assert_eq!(it.take_all(), ["2", "3"]);
    assert_eq!(it.dropped(DeathReason::MaxLength), 2);
    assert_eq!(it.refused(), [0; 0]);
}

/// The limit in bytes counts the bodies, and a message that alone is too large goes as well.
#[test]
fn bytes_of_bodies_are_limited() {
    let mut it = Setting::with(|settings| settings.max_length_bytes = Some(6));
    it.enqueue(&["aaa", "bbb"]);
    assert_eq!(it.counts().0, 2);
    it.enqueue(&["c"]);
    assert_eq!(it.counts().0, 2, "3 and 1 bytes");
    it.enqueue(&["ddddddd"]);
    assert_eq!((it.counts().0, it.dropped(DeathReason::MaxLength)), (0, 4));
    it.enqueue(&["", "eee", "", "fff", ""]);
    assert_eq!(it.take_all(), ["", "eee", "", "fff", ""], "an empty body counts nothing");
}

/// Where both limits are set, whichever is hit first counts.
#[test]
fn the_limit_that_is_hit_first_counts() {
    let mut it = Setting::with(|settings| {
        (settings.max_length, settings.max_length_bytes) = (Some(3), Some(4));
    });
    it.enqueue(&["a", "b", "c", "d"]);
    assert_eq!(it.take_all(), ["b", "c", "d"]);
    it.enqueue(&["aa", "bb", "cc"]);
    assert_eq!(it.take_all(), ["bb", "cc"]);
}

/// Only ready messages count: what consumers have credit for never was too much.
#[test]
fn consumers_with_credit_get_theirs_before_anything_is_dropped() {
    let mut it = limited(1, Overflow::DropHead);
    let reader = consumer().prefetch(2);
    it.add(&reader);
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!(reader.received(), ["0", "1"]);
    assert_eq!(it.counts(), (1, 2));
    it.ack(&[0]);
    assert_eq!((reader.received(), it.counts()), (vec!["3".to_owned()], (0, 2)));
}

/// What comes back to a full queue goes, if it is the oldest.
#[test]
fn a_requeued_message_can_be_too_much() {
    let mut it = limited(1, Overflow::DropHead);
    it.enqueue(&["0"]);
    it.get(false);
    it.enqueue(&["1"]);
    it.requeue(&[0]);
    assert_eq!(it.take_all(), ["1"]);
}

/// With `reject-publish` the most recently published messages are the ones that go, and their
/// publishers are told which.
#[test]
fn new_messages_are_refused_by_name() {
    let mut it = limited(2, Overflow::RejectPublish);
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!(it.refused(), [2, 3]);
    it.get(true);
    it.enqueue(&["4", "5"]);
    assert_eq!(it.refused(), [1]);
    assert_eq!(it.take_all(), ["1", "4"]);
    let totals = it.queue.totals();
    assert_eq!((totals.accepted, totals.refused, totals.dropped.total()), (3, 3, 0));
    assert_eq!(it.out.freed, 6 * message("0").memory());
}

/// A message is refused by its own size: a smaller one behind it may still fit.
#[test]
fn a_smaller_message_may_fit_where_a_larger_did_not() {
    let mut it = Setting::with(|settings| {
        settings.max_length_bytes = Some(5);
        settings.overflow = Overflow::RejectPublish;
    });
    it.enqueue(&["aaa", "bbb", "cc", "", "d"]);
    assert_eq!(it.refused(), [1, 4]);
    assert_eq!(it.take_all(), ["aaa", "cc", ""]);
}

/// Nothing is refused that a consumer has credit for.
#[test]
fn consumers_with_credit_make_room_before_anything_is_refused() {
    let mut it = limited(1, Overflow::RejectPublish);
    let reader = consumer().prefetch(2);
    it.add(&reader);
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!((reader.received(), it.refused()), (vec!["0".to_owned(), "1".to_owned()], vec![3]));
}

/// A queue of length 0 holds nothing: what a consumer has credit for passes through it.
#[test]
fn a_queue_of_length_nothing_only_passes_on() {
    for overflow in [Overflow::DropHead, Overflow::RejectPublish] {
        let mut it = limited(0, overflow);
        it.enqueue(&["lost"]);
        assert_eq!(it.counts(), (0, 0));
        let reader = consumer().prefetch(1);
        it.add(&reader);
        it.enqueue(&["0"]);
        it.enqueue(&["lost"]);
        match overflow {
            Overflow::DropHead => {
                assert_eq!(reader.received(), ["0"]);
                assert_eq!(it.dropped(DeathReason::MaxLength), 2);
            }
            // It is full before the consumer is looked at.
            _ => assert_eq!((reader.received(), it.refused()), (vec![], vec![0, 0, 0])),
        }
    }
}

/// With `reject-publish-dlx` refused messages are dead-lettered, too.
#[test]
fn refused_messages_are_dead_lettered_where_that_is_asked_for() {
    let mut it = Setting::with(|settings| {
        settings.max_length = Some(1);
        settings.overflow = Overflow::RejectPublishDeadLetter;
        settings.dead_letter = dead_letter_exchange();
    });
    it.enqueue(&["0", "1", "2"]);
    assert_eq!((it.refused(), it.out.dead_letters), (vec![1, 2], true));
    let expected = ["1", "2"].map(|body| (body.to_owned(), DeathReason::MaxLength));
    assert_eq!(it.bury(), expected);
    assert_eq!((it.queue.totals().dead_lettered, it.take_all()), (0, vec!["0".to_owned()]));
    assert_eq!(it.out.freed, 3 * message("0").memory());
}

/// Without a dead-letter exchange `reject-publish-dlx` is `reject-publish`; and what was never taken
/// in, the store never hears of.
#[test]
fn refused_messages_are_unknown_to_the_store() {
    for target in [None, dead_letter_exchange()] {
        let (mut it, record) = Setting::durable(|settings| {
            settings.max_length = Some(1);
            settings.overflow = Overflow::RejectPublishDeadLetter;
            settings.dead_letter = target.clone();
        });
        it.enqueue(&["0", "1"]);
        assert_eq!(it.bury().len(), usize::from(target.is_some()));
        assert_eq!((it.refused(), record.take()), (vec![1], vec![(0, "entered")]));
    }
}

/// A limit that a policy sets later holds for what is there, in calls that drop 1024 at most.
#[test]
fn a_limit_that_comes_later_drops_the_excess_in_bounded_calls() {
    let mut it = Setting::new();
    let message = message("0");
    it.queue.enqueue(std::iter::repeat_n(&message, 5000), it.now, &mut it.out);
    it.reconfigure(|settings| settings.max_length = Some(100));
    let mut left = vec![it.counts().0];
    while it.fire(it.now) {
        left.push(it.counts().0);
    }
    assert_eq!(left, [3976, 2952, 1928, 904, 100]);
    it.enqueue(&["newest"]);
    assert_eq!((it.counts().0, it.alarm()), (100, None));
}

/// A limit that refuses drops nothing that is there when it comes.
#[test]
fn a_limit_that_refuses_leaves_what_is_there() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2"]);
    it.reconfigure(|settings| {
        settings.max_length = Some(1);
        settings.overflow = Overflow::RejectPublish;
    });
    it.enqueue(&["3"]);
    assert_eq!((it.refused(), it.take_all().len()), (vec![0], 3));
}

/// Of a full priority queue the message goes that is next, even where it has the highest priority.
#[test]
fn a_full_priority_queue_drops_what_is_next() {
    let mut it = Setting::with(|settings| {
        settings.max_length = Some(2);
        settings.max_priority = Some(9);
    });
    it.send([draft("low").priority(1), draft("high").priority(9), draft("middle").priority(5)]);
    assert_eq!(it.take_all(), ["middle", "low"]);
}

/// Of a full queue with groups the oldest message goes, whatever its group.
#[test]
fn a_full_queue_of_groups_drops_the_oldest() {
    let mut it = Setting::with(|settings| {
        settings.max_length = Some(3);
        grouped(settings);
    });
    let groups = [("0", "a"), ("1", "b"), ("2", "a"), ("3", "c"), ("4", "b"), ("5", "a")];
    it.send(groups.map(|(body, group)| draft(body).group(group)));
    assert_eq!(it.take_all(), ["5", "4", "3"], "in the turns of their groups");
    it.send(groups[..4].iter().map(|(body, group)| draft(*body).group(group)));
    it.send([draft("alone")]);
    assert_eq!((it.counts().0, it.dropped(DeathReason::MaxLength)), (3, 5));
    assert_eq!(it.take_all(), ["2", "3", "alone"]);
}
