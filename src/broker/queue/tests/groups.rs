//! Messages of a group don't overtake each other.

use super::support::*;

/// A group with a delivery that is not settled waits, whatever becomes of its later messages.
#[test]
fn dropping_the_oldest_does_not_free_a_group_that_is_busy() {
    let mut it = Setting::with(grouped);
    let reader = consumer();
    it.add(&reader);
    it.send(["0", "1", "2"].map(|body| draft(body).group("a")));
    it.reconfigure(|settings| settings.max_length = Some(1));
    assert_eq!((reader.received(), it.counts()), (vec!["0".to_owned()], (1, 1)));
    it.send([draft("3").group("b")]);
    assert_eq!(reader.received(), ["3"], "2 is in the group of 0");
    it.requeue(&[0]);
    assert_eq!(reader.received(), ["0 again"]);
}

/// What has left is forgotten: groups whose messages all expired cost no memory, though the one ahead
/// of them is never read.
#[test]
fn groups_that_expired_are_forgotten() {
    let mut it = Setting::with(grouped);
    it.send([draft("stays").group("first")]);
    for round in 0..100 {
        it.send((0..100).map(|n| draft("goes").group(&format!("{round}-{n}")).ttl(10)));
        it.pass(10);
    }
    assert_eq!(it.counts(), (1, 0));
    let groups = it.queue.ready.groups();
    assert!(groups <= 200, "{groups} groups for one message");
}
