//! Consumers with a priority.

use std::sync::Arc;

use super::support::*;
use crate::broker::credit::ChannelCredit;

/// Consumers with a higher priority receive messages as long as they have credit; only then the next
/// priority gets some.
#[test]
fn a_lower_priority_gets_what_the_higher_has_no_credit_for() {
    let mut it = Setting::new();
    let (low, high) = (consumer().priority(-1), consumer().priority(10).prefetch(2));
    it.add(&low);
    it.add(&high);
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!(high.received(), ["0", "1"]);
    assert_eq!(low.received(), ["2", "3"]);
    it.ack(&[1]);
    it.enqueue(&["4", "5"]);
    assert_eq!((high.received(), low.received()), (vec!["4".to_owned()], vec!["5".to_owned()]));
}

/// Where several consumers have the same priority they take turns; without one it is 0.
#[test]
fn consumers_of_one_priority_take_turns() {
    let mut it = Setting::new();
    let consumers = [consumer(), consumer().priority(0), consumer().priority(-5)];
    for consumer in &consumers {
        it.add(consumer);
    }
    it.enqueue(&["0", "1", "2"]);
    it.enqueue(&["3"]);
    let received = consumers.each_ref().map(TestConsumer::received);
    assert_eq!(received, [vec!["0", "2"], vec!["1", "3"], vec![]]);
}

/// A consumer that comes later goes first if its priority is higher, and its priority goes with it.
#[test]
fn a_priority_comes_and_goes_with_its_consumers() {
    let mut it = Setting::new();
    let (low, high) = (consumer(), consumer().priority(i64::MAX));
    let lowest = consumer().priority(i64::MIN);
    it.add(&lowest);
    it.add(&low);
    it.enqueue(&["0"]);
    let handle = it.add(&high);
    it.enqueue(&["1"]);
    it.remove(handle);
    it.enqueue(&["2"]);
    assert_eq!((low.received(), high.received()), (vec!["0".into(), "2".into()], vec!["1".into()]));
    assert_eq!(lowest.received(), [""; 0]);
}

/// A consumer whose channel is at its limit or whose client reads too slowly is passed over, whatever
/// its priority.
#[test]
fn a_high_priority_without_credit_holds_up_nobody() {
    let mut it = Setting::new();
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(1);
    let limited = consumer().priority(9).on_channel(&credit);
    let slow = consumer().priority(8).outbox_max(1);
    let low = consumer();
    let handles = [&limited, &slow, &low].map(|consumer| it.add(consumer));
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!((limited.received(), slow.received()), (vec!["0".into()], vec!["1".into()]));
    assert_eq!(low.received(), ["2", "3"]);
    assert!(credit.give_back(1) && slow.bound.remove(message("1").memory()));
    it.ack(&[0]);
    it.queue.resume([handles[0]], it.now, &mut it.out);
    it.queue.resume([handles[1]], it.now, &mut it.out);
    it.enqueue(&["4", "5", "6"]);
    let received = [limited, slow, low].map(|consumer| consumer.received());
    assert_eq!(received, [["4"], ["5"], ["6"]]);
}

/// What waits goes to the consumers in the order they come, whatever their priority.
#[test]
fn what_waits_is_for_whoever_comes_first() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1"]);
    let (low, high) = (consumer().priority(-1).prefetch(1), consumer().priority(1));
    it.add(&low);
    it.add(&high);
    assert_eq!((low.received(), high.received()), (vec!["0".to_owned()], vec!["1".to_owned()]));
}

/// Cancelling one of many costs the others nothing of their order.
#[test]
fn the_others_keep_their_turns_when_one_leaves() {
    let mut it = Setting::new();
    let consumers: Vec<_> = (0..4).map(|_| consumer()).collect();
    let handles: Vec<_> = consumers.iter().map(|consumer| it.add(consumer)).collect();
    it.enqueue(&["0"]);
    it.remove(handles[2]);
    it.enqueue(&["1", "2", "3"]);
    let received: Vec<_> = consumers.iter().map(TestConsumer::received).collect();
    assert_eq!(received, [vec!["0", "3"], vec!["1"], vec![], vec!["2"]]);
}
