//! One consumer at a time.

use super::super::*;
use super::support::*;

fn single() -> Setting {
    Setting::with(|settings| settings.single_active_consumer = true)
}

/// One consumer gets everything; when it leaves, the one that has waited longest takes over.
#[test]
fn consumers_take_over_in_the_order_they_came() {
    let mut it = single();
    let consumers = [consumer().no_ack(), consumer().no_ack(), consumer().no_ack()];
    let handles = consumers.each_ref().map(|consumer| it.add(consumer));
    it.enqueue(&["0", "1"]);
    it.remove(handles[0]);
    it.enqueue(&["2", "3"]);
    it.remove(handles[1]);
    it.enqueue(&["4"]);
    let late = consumer();
    it.add(&late);
    it.enqueue(&["5"]);
    let received = consumers.each_ref().map(TestConsumer::received);
    assert_eq!(received, [["0", "1"], ["2", "3"], ["4", "5"]]);
    assert_eq!((late.received(), it.queue.counts().consumers), (vec![], 2));
}

/// Among those that wait the one with the highest priority takes over; the active one is left alone.
#[test]
fn the_highest_priority_takes_over() {
    let mut it = single();
    let [active, low, high, also_high] = [0, -3, 5, 5].map(|it| consumer().priority(it));
    let handle = it.add(&active);
    for waiting in [&low, &high, &also_high] {
        it.add(waiting);
    }
    it.enqueue(&["0"]);
    it.remove(handle);
    it.enqueue(&["1"]);
    assert_eq!((active.received(), high.received()), (vec!["0".into()], vec!["1".into()]));
    assert_eq!((low.received(), also_high.received()), (vec![], vec![]));
}

/// The others get nothing, though the active consumer has no credit: what waits, waits.
#[test]
fn nobody_steps_in_for_an_active_consumer_without_credit() {
    let mut it = single();
    let (active, waiting) = (consumer().prefetch(1), consumer());
    let handle = it.add(&active);
    it.add(&waiting);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!((active.received(), waiting.received()), (vec!["0".to_owned()], vec![]));
    it.ack(&[0]);
    assert_eq!((active.received(), it.counts()), (vec!["1".to_owned()], (1, 1)));
    it.remove(handle);
    assert_eq!(waiting.received(), ["2"], "the one before keeps what it holds");
    it.requeue(&[1]);
    assert_eq!(waiting.received(), ["1 again"]);
}

/// When the active consumer's channel closes, the next gets what it held before anything later.
#[test]
fn what_an_abandoned_consumer_held_comes_before_later_messages() {
    let mut it = single();
    let (active, next) = (consumer().prefetch(2), consumer());
    let handle = it.add(&active);
    it.add(&next);
    it.enqueue(&["0", "1", "2", "3"]);
    it.abandon(handle);
    assert_eq!(active.received(), ["0", "1"]);
    assert_eq!(next.received(), ["0 again", "1 again", "2", "3"]);
}

/// A consumer that leaves while it waits is not activated later.
#[test]
fn one_that_left_while_it_waited_is_passed_over() {
    let mut it = single();
    let consumers = [consumer(), consumer(), consumer()];
    let handles = consumers.each_ref().map(|consumer| it.add(consumer));
    it.remove(handles[1]);
    it.remove(handles[0]);
    it.enqueue(&["0"]);
    assert_eq!(consumers.each_ref().map(|it| it.received().len()), [0, 0, 1]);
    it.remove(handles[2]);
    it.enqueue(&["1"]);
    assert_eq!((it.counts(), it.queue.counts().consumers), ((1, 1), 0));
}

/// Exclusive consumers and a single active one exclude each other.
#[test]
fn an_exclusive_consumer_is_refused() {
    let mut it = single();
    let refused = it.queue.add_consumer(consumer().exclusive().options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
    it.add(&consumer());
}
