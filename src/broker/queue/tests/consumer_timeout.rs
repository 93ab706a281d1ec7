//! Deliveries that are held for too long.

use super::super::*;
use super::support::*;
use crate::broker::queue_settings::TimeoutAction;

fn timing_out(milliseconds: u64, action: TimeoutAction) -> Setting {
    Setting::with(|settings| {
        (settings.consumer_timeout, settings.timeout_action) = (Some(milliseconds), action);
    })
}

fn taken_back(consumer: &TestConsumer) -> Vec<u64> {
    std::mem::take(&mut *consumer.sink.taken_back.lock())
}

fn timed_out(consumer: &TestConsumer) -> Vec<(u64, bool)> {
    std::mem::take(&mut *consumer.sink.timed_out.lock())
}

/// A delivery that is held for too long goes back to the queue, the consumer is told its number, and
/// the next consumer gets it.
#[test]
fn an_overdue_delivery_goes_to_another_consumer() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    let (slow, other) = (consumer().prefetch(1), consumer());
    it.add(&slow);
    it.enqueue(&["0"]);
    it.add(&other);
    it.pass(99);
    assert_eq!((slow.received(), other.received()), (vec!["0".to_owned()], vec![]));
    it.pass(1);
    assert_eq!((taken_back(&slow), other.received()), (vec![1], vec!["0 again".to_owned()]));
    assert_eq!((timed_out(&slow), it.counts()), (vec![], (0, 1)));
}

/// A late answer to what was taken back does nothing.
#[test]
fn a_late_answer_does_nothing() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    let (slow, other) = (consumer().prefetch(1), consumer());
    it.add(&slow);
    it.enqueue(&["0"]);
    let (holder, number) = it.delivery(0);
    it.add(&other);
    it.pass(100);
    it.queue.acknowledge(holder, [number], it.now, &mut it.out);
    it.queue.requeue(holder, [number], Return::Nacked, it.now, &mut it.out);
    it.queue.reject(holder, [number], it.now, &mut it.out);
    assert_eq!((it.counts(), it.queue.totals().acknowledged), ((0, 1), 0));
    it.ack(&[0]);
    assert_eq!(it.queue.totals().acknowledged, 1);
}

/// The same holds where the message went to the same consumer again: its second delivery has a number
/// of its own.
#[test]
fn a_late_answer_does_not_settle_the_redelivery_to_the_same_consumer() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    let alone = consumer().prefetch(1);
    it.add(&alone);
    it.enqueue(&["0"]);
    let (holder, late) = it.delivery(0);
    it.pass(100);
    assert_eq!(alone.received(), ["0", "0 again"]);
    it.queue.acknowledge(holder, [late], it.now, &mut it.out);
    assert_eq!(it.counts(), (0, 1));
    it.ack(&[0]);
    assert_eq!(it.counts(), (0, 0));
}

/// Each delivery has its own time: only those go back that are overdue.
#[test]
fn each_delivery_has_its_own_time() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    let slow = consumer().prefetch(3);
    it.add(&slow);
    it.enqueue(&["0"]);
    it.pass(40);
    it.enqueue(&["1", "2"]);
    it.ack(&[1]);
    it.pass(60);
    assert_eq!(taken_back(&slow), [1]);
    it.pass(39);
    assert_eq!(taken_back(&slow), [0; 0]);
    it.pass(1);
    assert_eq!(taken_back(&slow), [3]);
}

/// Who answers in time holds nothing for too long.
#[test]
fn answers_in_time_are_never_late() {
    let mut it = timing_out(100, TimeoutAction::CloseChannel);
    let reader = consumer();
    it.add(&reader);
    for position in 0..20 {
        it.enqueue(&["0"]);
        it.pass(99);
        it.ack(&[position]);
    }
    it.pass(1000);
    assert_eq!((timed_out(&reader), taken_back(&reader)), (vec![], vec![]));
}

/// With `close-channel` the client is told once, and what it holds stays until the channel is closed.
#[test]
fn the_channel_can_be_closed_instead() {
    let mut it = timing_out(100, TimeoutAction::CloseChannel);
    let (slow, other) = (consumer().prefetch(2), consumer());
    let handle = it.add(&slow);
    it.enqueue(&["0", "1"]);
    it.add(&other);
    it.pass(1000);
    assert_eq!((timed_out(&slow), it.counts()), (vec![(100, false)], (0, 2)));
    it.abandon(handle);
    assert_eq!(other.received(), ["0 again", "1 again"]);
}

/// With `cancel` the consumer is dropped and told, and all that it holds goes back.
#[test]
fn the_consumer_can_be_cancelled_instead() {
    let mut it = timing_out(100, TimeoutAction::Cancel);
    let slow = consumer().prefetch(2);
    it.add(&slow);
    it.enqueue(&["0"]);
    it.pass(60);
    it.enqueue(&["1", "2"]);
    it.pass(40);
    assert_eq!((taken_back(&slow), timed_out(&slow)), (vec![1, 2], vec![(100, true)]));
    assert_eq!((it.counts(), it.queue.counts().consumers), ((3, 0), 0));
    assert_eq!(it.take_all(), ["0", "1", "2"]);
}

/// An auto-delete queue whose last consumer is cancelled for being late is unused.
#[test]
fn a_queue_can_lose_its_last_consumer_by_timeout() {
    let mut it = Setting::auto_delete();
    it.reconfigure(|settings| {
        (settings.consumer_timeout, settings.timeout_action) = (Some(10), TimeoutAction::Cancel);
    });
    it.add(&consumer());
    it.enqueue(&["0"]);
    it.pass(10);
    assert!(it.out.unused);
}

/// A consumer that was cancelled by its client before still holds what it got: with `cancel` that
/// goes back, and nobody is told of a cancellation again.
#[test]
fn what_a_cancelled_consumer_holds_is_overdue_too() {
    for action in [TimeoutAction::Requeue, TimeoutAction::Cancel] {
        let mut it = timing_out(100, action);
        let gone = consumer();
        let handle = it.add(&gone);
        it.enqueue(&["0"]);
        it.remove(handle);
        it.pass(100);
        assert_eq!((it.counts(), taken_back(&gone)), ((1, 0), vec![1]), "{action:?}");
        assert_eq!(timed_out(&gone), [], "{action:?}");
    }
}

/// What `basic.get` got goes back as well.
#[test]
fn fetched_messages_go_back() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    it.enqueue(&["0", "1"]);
    it.get(false);
    it.pass(50);
    it.get(false);
    it.pass(49);
    assert_eq!(it.counts(), (0, 2));
    it.pass(1);
    assert_eq!(it.counts(), (1, 1));
    it.ack(&[0]);
    assert_eq!(it.counts(), (1, 1), "it is too late");
    it.ack(&[1]);
    it.pass(1000);
    assert_eq!(it.take_all(), ["0"]);
}

/// A consumer's own timeout, and its own action, go before the queue's; 0 is for ever.
#[test]
fn a_consumer_can_have_a_timeout_of_its_own() {
    let mut it = timing_out(100, TimeoutAction::Requeue);
    let patient = consumer().prefetch(1).timeout(300).timeout_action(TimeoutAction::CloseChannel);
    let (ever, usual) = (consumer().prefetch(1).timeout(0), consumer().prefetch(1));
    for consumer in [&patient, &ever, &usual] {
        it.add(consumer);
    }
    it.enqueue(&["0", "1", "2"]);
    it.pass(100);
    assert_eq!([&patient, &ever, &usual].map(taken_back), [vec![], vec![], vec![1]]);
    it.ack(&[2]);
    it.pass(199);
    assert_eq!(timed_out(&patient), []);
    it.pass(1);
    assert_eq!(timed_out(&patient), [(300, false)]);
    it.pass(100_000);
    assert_eq!((taken_back(&ever), timed_out(&ever)), (vec![], vec![]));
}

/// A consumer's own timeout holds where the queue has none.
#[test]
fn a_timeout_of_its_own_needs_none_of_the_queue() {
    let mut it = Setting::new();
    let strict = consumer().timeout(10).prefetch(1);
    it.add(&strict);
    it.enqueue(&["0"]);
    it.pass(10);
    assert_eq!(taken_back(&strict), [1]);
}

/// A policy changes the timeout of what is held already.
#[test]
fn another_timeout_holds_at_once() {
    let mut it = Setting::new();
    let slow = consumer().prefetch(1);
    it.add(&slow);
    it.enqueue(&["0", "fetched"]);
    it.get(false);
    it.pass(1000);
    it.reconfigure(|settings| settings.consumer_timeout = Some(5000));
    it.pass(3999);
    assert_eq!(taken_back(&slow), [0; 0]);
    it.reconfigure(|settings| settings.consumer_timeout = None);
    it.pass(10_000);
    assert_eq!((taken_back(&slow), it.counts()), (vec![], (0, 2)));
    it.reconfigure(|settings| settings.consumer_timeout = Some(1));
    it.pass(0);
    assert_eq!(taken_back(&slow), [1]);
}

/// Without acknowledgements nothing is held.
#[test]
fn without_acknowledgements_nothing_is_late() {
    let mut it = timing_out(10, TimeoutAction::CloseChannel);
    let reader = consumer().no_ack();
    it.add(&reader);
    it.enqueue(&["0"]);
    it.pass(1000);
    assert_eq!((timed_out(&reader), it.alarm()), (vec![], None));
}

/// A timeout is a return: it counts against the delivery limit.
#[test]
fn a_timeout_counts_as_a_return() {
    let mut it = timing_out(10, TimeoutAction::Requeue);
    it.reconfigure(|settings| settings.delivery_limit = Some(2));
    let slow = consumer();
    it.add(&slow);
    it.enqueue(&["0"]);
    it.pass(30);
    assert_eq!((slow.received().len(), taken_back(&slow)), (3, vec![1, 2, 3]));
    assert_eq!(it.dropped(DeathReason::DeliveryLimit), 1);
}
