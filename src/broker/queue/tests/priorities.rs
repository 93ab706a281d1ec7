//! Queues with message priorities.

use super::super::*;
use super::support::*;

fn up_to(max: u8) -> Setting {
    Setting::with(|settings| settings.max_priority = Some(max))
}

/// Messages of a higher priority are delivered first, those of one priority in the order they came.
#[test]
fn the_highest_priority_goes_first_and_within_it_the_oldest() {
    let mut it = up_to(10);
    let sent = [("a0", 0), ("b5", 5), ("c0", 0), ("d10", 10), ("e5", 5), ("f1", 1)];
    it.send(sent.map(|(body, priority)| draft(body).priority(priority)));
    assert_eq!(it.take_all(), ["d10", "b5", "e5", "f1", "a0", "c0"]);
}

/// Messages without a priority have 0; those above the queue's maximum are treated as if they had
/// the maximum.
#[test]
fn priorities_above_the_maximum_count_as_the_maximum() {
    let mut it = up_to(5);
    it.enqueue(&["none"]);
    it.send([5, 200, 4, 255, 5].map(|priority| draft(priority.to_string()).priority(priority)));
    assert_eq!(it.take_all(), ["5", "200", "255", "5", "4", "none"]);
}

/// Without `x-max-priority` priorities make no difference.
#[test]
fn a_queue_without_priorities_keeps_the_order_of_arrival() {
    let mut it = Setting::new();
    it.send([draft("0").priority(0), draft("1").priority(9)]);
    assert_eq!(it.take_all(), ["0", "1"]);
}

/// A message that comes back stands where it stood: in front of its priority, behind higher ones.
#[test]
fn a_returned_message_stands_where_it_stood() {
    let mut it = up_to(9);
    it.send([draft("a1").priority(1), draft("b1").priority(1), draft("c1").priority(1)]);
    it.get(false);
    it.get(false);
    it.send([draft("d9").priority(9), draft("e1").priority(1)]);
    it.requeue(&[1]);
    it.requeue(&[0]);
    assert_eq!(it.take_all(), ["d9", "a1", "b1", "c1", "e1"]);
}

/// A message keeps the maximum it was counted at when it comes back.
#[test]
fn a_returned_message_above_the_maximum_keeps_its_place() {
    let mut it = up_to(3);
    it.send([draft("a").priority(200), draft("b").priority(3)]);
    it.get(false);
    it.requeue(&[0]);
    assert_eq!(it.take_all(), ["a", "b"]);
}

/// Messages of every priority expire on time, also behind higher ones.
#[test]
fn messages_of_all_priorities_expire_on_time() {
    let mut it = up_to(255);
    it.send([
        draft("low, short").priority(1).ttl(10),
        draft("high, long").priority(255).ttl(100),
        draft("high, short").priority(255).ttl(20),
        draft("low, ever").priority(1),
    ]);
    let mut left = Vec::new();
    for milliseconds in [9, 1, 9, 1, 79, 1] {
        it.pass(milliseconds);
        left.push(it.counts().0);
    }
    assert_eq!(left, [4, 3, 3, 2, 2, 1]);
    assert_eq!(it.take_all(), ["low, ever"]);
}

/// A message with a time to live that comes back to its priority expires there on time.
#[test]
fn a_returned_message_expires_in_its_priority() {
    let mut it = up_to(9);
    it.send([draft("0").priority(3).ttl(50), draft("1").priority(3)]);
    it.get(false);
    it.pass(10);
    it.requeue(&[0]);
    it.pass(40);
    assert_eq!((it.take_all(), it.dropped(DeathReason::Expired)), (vec!["1".to_owned()], 1));
}

/// A purge takes the messages of all priorities.
#[test]
fn a_purge_takes_all_priorities() {
    let mut it = up_to(200);
    it.send([0, 63, 64, 127, 128, 200].map(|priority| draft("m").priority(priority).ttl(10)));
    assert_eq!((it.queue.purge(&mut it.out), it.counts().0), (6, 0));
    it.send([draft("next").priority(100)]);
    it.pass(100);
    assert_eq!((it.take_all(), it.dropped(DeathReason::Expired)), (vec!["next".to_owned()], 0));
}

/// Every operation finds its priority at once, whatever their number: many messages over all of them
/// cost no more than as many in one.
#[test]
fn many_messages_over_all_priorities_come_out_in_order() {
    const EACH: usize = 800;
    let mut it = up_to(255);
    let messages: Vec<Message> =
        (0..=255).map(|priority| draft("m").priority(priority).message()).collect();
    for _ in 0..EACH {
        it.queue.enqueue(&messages, it.now, &mut it.out);
    }
    let mut seen = Vec::new();
    while let Some(got) = it.fetch(true) {
        seen.push((got.entry.message.priority(), got.entry.position));
    }
    assert_eq!(seen.len(), 256 * EACH);
    assert!(seen.is_sorted_by_key(|&(priority, position)| (255 - priority, position)));
}
