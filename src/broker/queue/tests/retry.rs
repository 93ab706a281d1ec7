//! Rejected messages that are tried again later.

use super::super::*;
use super::support::*;
use crate::broker::queue_settings::{DelayedRetry, RetryKind};

fn retrying(kind: RetryKind) -> Setting {
    Setting::with(|settings| settings.retry = Some(DelayedRetry { kind, min: 100, max: 250 }))
}

/// A message that came back waits the minimum times the number of times it came back, but no longer
/// than the maximum.
#[test]
fn each_retry_waits_longer_up_to_the_maximum() {
    let mut it = retrying(RetryKind::All);
    let reader = consumer();
    it.add(&reader);
    it.enqueue(&["0"]);
    for wait in [100, 200, 250, 250] {
        reader.received();
        it.requeue(&[0]);
        assert_eq!((it.counts(), it.queue.counts().scheduled), ((0, 0), 1));
        it.pass(wait - 1);
        assert_eq!(reader.received(), [""; 0]);
        it.pass(1);
        assert_eq!(reader.received(), ["0 again"]);
    }
}

/// `all` delays whatever comes back, `failed` what clients reject and what is left over when they go,
/// `returned` what they nack.
#[test]
fn what_waits_depends_on_why_it_came_back() {
    for (kind, rejected, nacked) in
        [(RetryKind::All, 1, 1), (RetryKind::Failed, 1, 0), (RetryKind::Returned, 0, 1)]
    {
        let reasons =
            [(Return::Rejected, rejected), (Return::Nacked, nacked), (Return::Released, rejected)];
        for (why, waits) in reasons {
            let mut it = retrying(kind);
            it.enqueue(&["0"]);
            it.get(false);
            it.give_back(&[0], why);
            assert_eq!(it.queue.counts().scheduled, waits, "{kind:?} {why:?}");
            assert_eq!(it.counts().0, 1 - waits);
        }
    }
}

/// A retry goes to where the message stood.
#[test]
fn a_retry_stands_where_it_stood() {
    let mut it = retrying(RetryKind::All);
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.requeue(&[0]);
    it.enqueue(&["2"]);
    it.pass(100);
    assert_eq!(it.take_all(), ["0", "1", "2"]);
}

/// The delivery limit goes before the delay.
#[test]
fn a_message_that_came_back_too_often_waits_no_more() {
    let mut it = retrying(RetryKind::All);
    it.reconfigure(|settings| settings.delivery_limit = Some(1));
    it.enqueue(&["0"]);
    it.get(false);
    it.requeue(&[0]);
    it.pass(100);
    it.get(false);
    it.requeue(&[0]);
    assert_eq!(it.queue.counts().scheduled, 0);
    assert_eq!(it.dropped(DeathReason::DeliveryLimit), 1);
}

/// A message keeps its expiry while it waits for its retry.
#[test]
fn a_retry_after_its_expiry_is_dead() {
    let mut it = retrying(RetryKind::All);
    it.send([draft("0").ttl(50), draft("1").ttl(150)]);
    it.get(false);
    it.get(false);
    it.requeue(&[0, 1]);
    it.pass(100);
    assert_eq!((it.counts().0, it.dropped(DeathReason::Expired)), (1, 1));
    it.pass(50);
    assert_eq!(it.dropped(DeathReason::Expired), 2);
}

/// A retry is seen among what waits, with the times it came back, and can be cancelled; the store
/// then forgets it.
#[test]
fn a_retry_can_be_cancelled() {
    let (mut it, record) = Setting::durable(|settings| {
        settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 250 });
    });
    it.enqueue(&["0"]);
    it.get(false);
    it.requeue(&[0]);
    let seen = it.queue.scheduled(9);
    assert_eq!((seen.len(), seen[0].returns, seen[0].due), (1, 1, at(100)));
    assert!(it.queue.cancel_scheduled(Position(0), it.now, &mut it.out));
    let told = [(0, "entered"), (0, "delivered"), (0, "returned for later"), (0, "settled")];
    assert_eq!(record.take(), told);
    it.pass(1000);
    assert_eq!(it.counts(), (0, 0));
}

/// A wait of no time is none.
#[test]
fn a_minimum_of_nothing_is_no_delay() {
    let mut it = retrying(RetryKind::All);
    it.reconfigure(|settings| settings.retry.as_mut().unwrap().min = 0);
    it.enqueue(&["0"]);
    it.get(false);
    it.requeue(&[0]);
    assert_eq!((it.counts(), it.queue.counts().scheduled), ((1, 0), 0));
}

/// A group waits while its first message waits for its retry: the next may not overtake it.
#[test]
fn a_group_waits_with_its_first_message() {
    let mut it = Setting::with(|settings| {
        settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 250 });
        grouped(settings);
    });
    let reader = consumer();
    it.add(&reader);
    it.send([draft("0").group("a"), draft("1").group("a"), draft("2").group("b")]);
    it.requeue(&[0]);
    assert_eq!(reader.received(), ["0", "2"]);
    it.pass(1000);
    assert_eq!(reader.received(), ["0 again"]);
    it.requeue(&[0]);
    it.queue.cancel_scheduled(Position(0), it.now, &mut it.out);
    assert_eq!(reader.received(), ["1"], "the first is gone");
}
