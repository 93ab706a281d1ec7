//! What a queue gives up waits until it is elsewhere.

use std::time::Duration;

use super::super::*;
use super::support::*;

/// A queue that keeps its dead letters until another has them.
fn at_least_once() -> Setting {
    Setting::with(|settings| {
        settings.dead_letter = dead_letter_exchange();
        settings.dead_letter.as_mut().unwrap().at_least_once = true;
    })
}

fn with_exchange() -> Setting {
    Setting::with(|settings| settings.dead_letter = dead_letter_exchange())
}

fn departing(it: &Setting) -> usize {
    it.queue.counts().departing
}

/// Says that all arrived but those at these positions.
fn moved_but(it: &mut Setting, refused: &[u64]) {
    let refused: Vec<Position> = refused.iter().map(|&position| Position(position)).collect();
    it.queue.dead_letters_moved(&refused, it.now, &mut it.out);
}

fn names(letters: &[(String, DeathReason)]) -> Vec<&str> {
    letters.iter().map(|(body, _)| &body[..]).collect()
}

/// Messages are dead-lettered when they are rejected without being requeued, when they expire, when
/// the queue is too long, and when they came back too often; in the order they died.
#[test]
fn messages_die_of_four_reasons_and_leave_in_order() {
    let mut it = Setting::with(|settings| {
        settings.dead_letter = dead_letter_exchange();
        settings.max_length = Some(3);
        settings.delivery_limit = Some(0);
    });
    it.enqueue(&["too many", "rejected", "returned"]);
    it.send([draft("expired").ttl(5)]);
    it.get(false);
    it.get(false);
    it.reject(&[1]);
    it.requeue(&[2]);
    it.pass(5);
    assert!(it.out.dead_letters);
    let reasons = [
        ("too many", DeathReason::MaxLength),
        ("rejected", DeathReason::Rejected),
        ("returned", DeathReason::DeliveryLimit),
        ("expired", DeathReason::Expired),
    ];
    assert_eq!(it.bury(), reasons.map(|(body, reason)| (body.to_owned(), reason)));
    assert_eq!((departing(&it), it.queue.totals().dead_lettered), (0, 4));
}

/// The moment of death is told with the letter.
#[test]
fn a_letter_tells_when_it_died() {
    let mut it = with_exchange();
    it.send([draft("0").ttl(30)]);
    it.pass(70);
    let letters = it.queue.take_dead_letters(9, it.now).letters;
    let told: Vec<_> = letters.iter().map(|it| (it.position, it.reason, it.at)).collect();
    assert_eq!(told, [(Position(0), DeathReason::Expired, at(30))]);
}

/// Dead letters are for one caller at a time: until it is through there are none for others. They
/// stay the queue's as long.
#[test]
fn one_caller_at_a_time_moves_them() {
    let mut it = with_exchange();
    it.enqueue(&["0", "1", "2", "3"]);
    for _ in 0..3 {
        it.get(false);
    }
    it.reject(&[0, 1, 2]);
    let before = it.out.freed;
    assert_eq!(names(&it.letters(2)), ["0", "1"]);
    assert_eq!(it.letters(9), []);
    it.get(false);
    it.reject(&[3]);
    assert!(!it.out.dead_letters, "somebody is at it");
    assert_eq!((it.letters(9), departing(&it), it.out.freed), (vec![], 4, before));
    moved_but(&mut it, &[]);
    assert!(it.out.dead_letters, "there are more");
    assert_eq!((departing(&it), it.out.freed - before), (2, 2 * message("0").memory()));
    assert_eq!(names(&it.letters(9)), ["2", "3"]);
    moved_but(&mut it, &[]);
    assert_eq!((departing(&it), it.out.dead_letters), (0, false));
}

/// A message that no queue took is tried again, in its place, after a second, then after two, four
/// and so on up to a minute.
#[test]
fn what_nobody_takes_is_tried_again_later() {
    let mut it = at_least_once();
    it.enqueue(&["0", "1", "2"]);
    for _ in 0..3 {
        it.get(false);
    }
    it.reject(&[0, 1]);
    assert_eq!(it.letters(9).len(), 2);
    moved_but(&mut it, &[0]);
    it.reject(&[2]);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert!(!it.out.dead_letters && it.letters(9).is_empty(), "it is not time yet");
        let (before, due) = (it.now, it.out.alarm.expect("it waits"));
        assert!(it.fire(it.now + Duration::from_secs(60)));
        assert!(it.out.dead_letters, "at {due:?}");
        waits.push((it.now - before).as_secs());
        assert_eq!(names(&it.letters(9)), ["0", "2"]);
        moved_but(&mut it, &[0, 2]);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    it.pass(60_000);
    assert_eq!(names(&it.bury()), ["0", "2"]);
    let totals = it.queue.totals();
    assert_eq!((departing(&it), totals.dead_lettered), (0, 3));
}

/// Once one has arrived, the next to fail waits a second again.
#[test]
fn success_makes_the_wait_short_again() {
    let mut it = at_least_once();
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.get(false);
    it.reject(&[0]);
    for wait in [1000, 2000] {
        it.letters(9);
        moved_but(&mut it, &[0]);
        it.pass(wait);
    }
    it.bury();
    it.reject(&[1]);
    it.letters(9);
    moved_but(&mut it, &[1]);
    it.pass(999);
    assert!(it.letters(9).is_empty());
    it.pass(1);
    assert_eq!(names(&it.letters(9)), ["1"]);
}

/// The end of the wait is told once, not over and over until somebody comes.
#[test]
fn the_end_of_the_wait_is_told_once() {
    let mut it = at_least_once();
    it.enqueue(&["0"]);
    it.get(false);
    it.reject(&[0]);
    it.letters(9);
    moved_but(&mut it, &[0]);
    let end = it.now + Duration::from_secs(1);
    assert!(it.fire(end) && it.out.dead_letters);
    assert_eq!(it.alarm(), None);
}

/// Without a dead-letter exchange messages are dropped, and counted by reason.
#[test]
fn without_an_exchange_the_reasons_are_counted() {
    let mut it = Setting::with(|settings| {
        settings.max_length = Some(3);
        settings.delivery_limit = Some(0);
    });
    it.enqueue(&["too many", "rejected", "returned"]);
    it.send([draft("expired").ttl(5)]);
    it.get(false);
    it.get(false);
    it.reject(&[1]);
    it.requeue(&[2]);
    it.pass(5);
    assert_eq!(DeathReason::ALL.map(|reason| it.dropped(reason)), [1; 4]);
    assert_eq!((it.queue.totals().dropped.total(), it.out.dead_letters), (4, false));
    assert_eq!((it.bury(), departing(&it)), (vec![], 0));
}

/// A queue can be deleted while its dead letters are being moved: each is given back once, and who
/// moves them changes nothing any more.
#[test]
fn a_queue_can_be_deleted_during_a_move() {
    let mut it = at_least_once();
    it.enqueue(&["0", "1", "2"]);
    it.get(false);
    it.get(false);
    it.reject(&[0, 1]);
    assert_eq!(it.letters(1).len(), 1);
    it.queue.delete(&mut it.out);
    let freed = it.out.freed;
    assert_eq!((freed, it.queue.totals().purged), (3 * message("0").memory(), 3));
    moved_but(&mut it, &[0]);
    moved_but(&mut it, &[]);
    assert_eq!((it.out.freed, departing(&it), it.letters(9)), (freed, 0, vec![]));
    assert_eq!((it.queue.totals().purged, it.queue.totals().dead_lettered), (3, 0));
}

/// A purge drops ready messages only, none that is on its way.
#[test]
fn a_purge_leaves_dead_letters_alone() {
    let mut it = with_exchange();
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.reject(&[0]);
    assert_eq!(it.queue.purge(&mut it.out), 1);
    assert_eq!(names(&it.bury()), ["0"]);
}

/// Where a policy takes the exchange away, what is on its way has nowhere to go and leaves.
#[test]
fn letters_without_an_exchange_have_no_target() {
    let mut it = with_exchange();
    it.enqueue(&["0"]);
    it.get(false);
    it.reject(&[0]);
    it.reconfigure(|settings| settings.dead_letter = None);
    let batch = it.queue.take_dead_letters(9, it.now);
    assert_eq!((batch.letters.len(), batch.target), (1, None));
    moved_but(&mut it, &[]);
    assert_eq!((departing(&it), it.queue.totals().dead_lettered), (0, 1));
}

/// A dead letter is the queue's until it has arrived: only then the store forgets it.
#[test]
fn the_store_forgets_a_letter_once_it_has_arrived() {
    let (mut it, record) = Setting::durable(|settings| {
        settings.dead_letter = dead_letter_exchange();
    });
    it.enqueue(&["0"]);
    it.get(false);
    it.reject(&[0]);
    it.letters(9);
    assert_eq!(record.take(), [(0, "entered"), (0, "delivered")]);
    moved_but(&mut it, &[]);
    assert_eq!(record.take(), [(0, "settled")]);
}

/// A full queue that refuses new messages counts the dead letters that it has to keep.
#[test]
fn kept_letters_count_against_the_limit() {
    for (kept, room) in [(true, 1), (false, 2)] {
        let mut it = at_least_once();
        it.reconfigure(|settings| {
            settings.max_length = Some(2);
            settings.overflow = Overflow::RejectPublish;
            settings.dead_letter.as_mut().unwrap().at_least_once = kept;
        });
        it.enqueue(&["0"]);
        it.get(false);
        it.reject(&[0]);
        it.enqueue(&["1", "2", "3"]);
        assert_eq!(it.counts().0, room);
    }
}

/// Messages that expire at the same moment leave in the order of the queue, and those that expired
/// earlier before them, however late the timer is.
#[test]
fn messages_that_expire_together_leave_in_order() {
    let mut it = with_exchange();
    it.send([
        draft("1").ttl(20),
        draft("ever"),
        draft("2").ttl(20),
        draft("3").ttl(20),
        draft("0").ttl(10),
        draft("4").ttl(30),
    ]);
    it.pass_unnoticed(30);
    it.pass(0);
    assert_eq!(names(&it.bury()), ["0", "1", "2", "3", "4"]);
}
