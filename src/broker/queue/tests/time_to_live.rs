//! Messages live as long as they may, and not a millisecond longer.

use super::super::*;
use super::support::*;

/// What is dead stands in nobody's way, however much of it there is.
#[test]
fn live_messages_are_delivered_once_the_dead_ones_ahead_are_gone() {
    let mut it = Setting::new();
    it.send((0..2500).map(|_| draft("dead").ttl(10)));
    it.enqueue(&["alive"]);
    it.pass_unnoticed(11);
    let reader = consumer();
    it.add(&reader);
    it.pass(0);
    assert_eq!(reader.received(), ["alive"]);
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((0, 1), 2500));
}

/// A message that has been in the queue for longer than `x-message-ttl` is dead: it goes at that
/// moment, and not a millisecond before.
#[test]
fn the_queues_time_to_live_ends_on_time() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    it.enqueue(&["0"]);
    it.pass(40);
    it.enqueue(&["1"]);
    it.pass(59);
    assert_eq!((it.counts(), it.alarm()), ((2, 0), Some(100)));
    it.pass(1);
    assert_eq!((it.counts(), it.alarm()), ((1, 0), Some(140)));
    it.pass(39);
    assert_eq!(it.counts(), (1, 0));
    it.pass(1);
    assert_eq!((it.counts(), it.alarm()), ((0, 0), None));
    assert_eq!(it.dropped(DeathReason::Expired), 2);
    assert_eq!(it.out.freed, 2 * message("0").memory());
}

/// Where both the queue and the message say how long it lives, the smaller one wins.
#[test]
fn the_smaller_time_to_live_wins() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    it.send([draft("shorter").ttl(30), draft("longer").ttl(500), draft("none")]);
    it.pass(30);
    assert_eq!(it.counts(), (2, 0));
    it.pass(69);
    assert_eq!(it.counts(), (2, 0));
    it.pass(1);
    assert_eq!(it.counts(), (0, 0));
}

/// A time to live of 0 means: at once to a consumer, or never.
#[test]
fn a_time_to_live_of_nothing_is_now_or_never() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(0));
    it.enqueue(&["nobody here"]);
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((0, 0), 1));
    let reader = consumer().prefetch(1);
    it.add(&reader);
    it.enqueue(&["0", "no credit"]);
    it.pass(1000);
    assert_eq!(reader.received(), ["0"]);
    it.requeue(&[1]);
    assert_eq!(reader.received(), [""; 0], "it was dead when it came back");
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((0, 0), 3));
}

/// A message without a time to live of its own is not touched by those of others: one that lives
/// shortly goes on time behind one that lives long, or for ever.
#[test]
fn a_short_life_behind_a_long_one_ends_on_time() {
    let mut it = Setting::new();
    it.send([
        draft("ever"),
        draft("long").ttl(1000),
        draft("short").ttl(10),
        draft("middle").ttl(500),
        draft("shortest").ttl(5),
        draft("ever too"),
        draft("long too").ttl(1000),
    ]);
    let mut left = Vec::new();
    for milliseconds in [5, 5, 490, 499, 1] {
        it.pass(milliseconds);
        left.push(it.counts().0);
    }
    assert_eq!(left, [6, 5, 4, 4, 2]);
    assert_eq!(it.take_all(), ["ever", "ever too"]);
}

/// A requeued message keeps the expiry it had: its life goes on where it was.
#[test]
fn a_requeued_message_keeps_its_expiry() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.pass(60);
    it.requeue(&[0]);
    it.pass(39);
    assert_eq!(it.counts(), (2, 0));
    it.pass(1);
    assert_eq!(it.counts(), (0, 0));
}

/// What is delivered does not expire; once it comes back too late, it is dead.
#[test]
fn a_message_that_comes_back_after_its_time_is_dead() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.get(false);
    it.pass(200);
    assert_eq!(it.counts(), (0, 2));
    it.ack(&[0]);
    it.requeue(&[1]);
    assert_eq!((it.counts(), it.get(true)), ((0, 0), None));
    assert_eq!(it.dropped(DeathReason::Expired), 1);
}

/// Nobody is delivered a dead message, however late the timer is.
#[test]
fn expired_messages_are_never_delivered() {
    let mut it = Setting::new();
    let busy = consumer().prefetch(1);
    it.add(&busy);
    it.send([draft("held"), draft("dead").ttl(10), draft("alive"), draft("dead").ttl(15)]);
    it.pass_unnoticed(20);
    it.ack(&[0]);
    assert_eq!(busy.received(), ["held", "alive"]);
    it.send([draft("dead").ttl(10), draft("got").ttl(100)]);
    it.pass_unnoticed(20);
    assert_eq!(it.get(true), Some(("got".to_owned(), 0)));
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((0, 1), 3));
}

/// However many messages die together, one call drops 1024 of them at most and asks to come back at
/// once; all memory is given back.
#[test]
fn a_million_messages_that_expire_together_go_in_bounded_calls() {
    const MESSAGES: u32 = 1_000_000;
    let mut it = Setting::with(|settings| settings.message_ttl = Some(1000));
    let message = message("0");
    message.enter(MESSAGES);
    it.queue.enqueue(std::iter::repeat_n(&message, MESSAGES as usize), it.now, &mut it.out);
    it.pass(999);
    assert_eq!(it.counts().0, MESSAGES as usize);
    let end = it.now + std::time::Duration::from_millis(1);
    let (mut calls, mut most) = (0, 0);
    loop {
        let before = it.counts().0;
        if !it.fire(end) {
            break;
        }
        calls += 1;
        most = most.max(before - it.counts().0);
    }
    assert_eq!((it.counts(), most, calls), ((0, 0), 1024, MESSAGES.div_ceil(1024)));
    assert_eq!(it.out.freed, message.memory());
    assert_eq!(it.dropped(DeathReason::Expired), u64::from(MESSAGES));
}

/// Messages keep the expiry they have when the queue's time to live changes.
#[test]
fn another_time_to_live_holds_for_new_messages() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    it.enqueue(&["before"]);
    it.reconfigure(|settings| settings.message_ttl = Some(10));
    it.enqueue(&["after"]);
    it.pass(10);
    assert_eq!(it.counts(), (1, 0));
    it.reconfigure(|settings| settings.message_ttl = None);
    it.enqueue(&["for ever"]);
    it.pass(1000);
    assert_eq!(it.take_all(), ["for ever"]);
}

/// A queue of messages that never expire asks for no alarm.
#[test]
fn without_times_nothing_is_asked_for() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.requeue(&[0]);
    assert_eq!(it.alarm(), None);
}

/// A message that comes back dead holds up nothing behind it.
#[test]
fn what_came_back_dead_holds_nothing_up() {
    let mut it = Setting::with(|settings| settings.message_ttl = Some(100));
    let reader = consumer().prefetch(1);
    it.add(&reader);
    it.enqueue(&["0"]);
    it.pass(150);
    it.enqueue(&["1", "2"]);
    assert_eq!(reader.received(), ["0"]);
    it.requeue(&[0]);
    assert_eq!(reader.received(), ["1"]);
    assert_eq!(it.queue.totals().dropped.count(DeathReason::Expired), 1);
}
