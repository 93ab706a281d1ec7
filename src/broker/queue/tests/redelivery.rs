//! What comes back, and how often it may.

use super::super::*;
use super::support::*;

/// Requeued messages go back to where they stood, if that is possible, and are flagged as
/// redelivered.
#[test]
fn requeued_messages_return_to_their_place_and_are_flagged() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2", "3"]);
    for expected in ["0", "1", "2"] {
        assert_eq!(it.get(false).map(|(body, _)| body).as_deref(), Some(expected));
    }
    it.requeue(&[2, 0]);
    it.enqueue(&["4"]);
    let reader = consumer();
    it.add(&reader);
    assert_eq!(reader.received(), ["0 again", "2 again", "3", "4"]);
    assert_eq!(it.counts(), (0, 5));
}

/// What a cancelled consumer holds unacknowledged stays with its channel.
#[test]
fn what_a_consumer_holds_outlives_it() {
    let mut it = Setting::new();
    let gone = consumer();
    let handle = it.add(&gone);
    it.enqueue(&["0", "1"]);
    it.queue.remove_consumer(handle, it.now, &mut it.out);
    it.ack(&[0]);
    it.requeue(&[1]);
    assert_eq!((it.counts(), it.get(true)), ((1, 0), Some(("1".to_owned(), 0))));
}

/// A message may come back as often as `x-delivery-limit` says; the next time it is given up.
#[test]
fn a_message_comes_back_as_often_as_it_may() {
    let mut it = Setting::with(|settings| {
        settings.delivery_limit = Some(2);
        settings.dead_letter = dead_letter_exchange();
    });
    let reader = consumer();
    it.add(&reader);
    it.enqueue(&["0"]);
    for why in [Return::Nacked, Return::Rejected, Return::Released] {
        it.give_back(&[0], why);
    }
    assert_eq!(reader.received(), ["0", "0 again", "0 again"]);
    assert_eq!(it.bury(), [("0".to_owned(), DeathReason::DeliveryLimit)]);
}

/// With a limit of 0 a message is delivered once.
#[test]
fn a_limit_of_nothing_means_once() {
    let mut it = Setting::with(|settings| settings.delivery_limit = Some(0));
    it.enqueue(&["0"]);
    it.get(false);
    it.requeue(&[0]);
    assert_eq!((it.counts(), it.dropped(DeathReason::DeliveryLimit)), ((0, 0), 1));
}

/// A channel that closes gives back what it holds, and that counts.
#[test]
fn what_an_abandoned_consumer_held_counts_as_returned() {
    let mut it = Setting::with(|settings| settings.delivery_limit = Some(1));
    it.enqueue(&["0"]);
    for _ in 0..2 {
        let handle = it.add(&consumer());
        it.abandon(handle);
    }
    assert_eq!((it.counts(), it.dropped(DeathReason::DeliveryLimit)), ((0, 0), 1));
}

/// A limit that a policy sets later counts the returns that were before.
#[test]
fn a_limit_that_comes_later_counts_what_was_before() {
    let mut it = Setting::new();
    it.enqueue(&["0"]);
    for _ in 0..3 {
        it.get(false);
        it.requeue(&[0]);
    }
    it.reconfigure(|settings| settings.delivery_limit = Some(3));
    assert_eq!(it.counts(), (1, 0), "it did not come back once more");
    it.get(false);
    it.requeue(&[0]);
    assert_eq!((it.counts(), it.dropped(DeathReason::DeliveryLimit)), ((0, 0), 1));
}

/// Every delivery tells how often the message came back before.
#[test]
fn a_delivery_tells_how_often_it_came_back() {
    let mut it = Setting::new();
    it.enqueue(&["0"]);
    for returns in 0..4 {
        let got = it.fetch(false).expect("it is there");
        assert_eq!((got.entry.returns, got.entry.is_redelivered()), (returns, returns > 0));
        it.queue.requeue(Holder::Fetched, [got.number], Return::Nacked, it.now, &mut it.out);
    }
    let totals = it.queue.totals();
    assert_eq!((totals.delivered, totals.redelivered), (4, 3));
}

/// In whatever order messages come back, they stand where they stood.
#[test]
fn whatever_the_order_of_return_the_order_of_the_queue_stays() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2", "3", "4", "5"]);
    for _ in 0..5 {
        it.get(false);
    }
    it.ack(&[2]);
    it.requeue(&[4]);
    it.requeue(&[0]);
    it.requeue(&[3, 1]);
    assert_eq!(it.take_all(), ["0", "1", "3", "4", "5"]);
}

/// Numbers that a holder does not hold are passed over.
#[test]
fn an_answer_to_what_nobody_holds_does_nothing() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.ack(&[0]);
    it.ack(&[0]);
    it.requeue(&[0]);
    it.reject(&[0]);
    it.queue.acknowledge(Holder::Fetched, [99], it.now, &mut it.out);
    assert_eq!((it.counts(), it.queue.totals().acknowledged), ((1, 0), 1));
    assert_eq!(it.out.freed, message("0").memory());
}

/// A number names a delivery, not a message: a late answer to one that came back does nothing to the
/// next delivery of the same message to the same consumer.
#[test]
fn a_late_answer_does_not_settle_the_next_delivery() {
    let mut it = Setting::new();
    let reader = consumer();
    it.add(&reader);
    it.enqueue(&["0"]);
    let (holder, late) = it.delivery(0);
    it.requeue(&[0]);
    it.queue.acknowledge(holder, [late], it.now, &mut it.out);
    it.queue.reject(holder, [late], it.now, &mut it.out);
    assert_eq!((it.counts(), reader.received()), ((0, 1), vec!["0".into(), "0 again".into()]));
    it.ack(&[0]);
    assert_eq!(it.counts(), (0, 0));
}
