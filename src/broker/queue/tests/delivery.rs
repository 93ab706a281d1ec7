//! Whose turn it is, and who has credit.

use std::sync::Arc;

use super::support::*;
use crate::broker::credit::ChannelCredit;

/// Consumers take turns, from one batch to the next.
#[test]
fn consumers_take_turns() {
    let mut it = Setting::new();
    let consumers = [consumer(), consumer(), consumer()];
    for consumer in &consumers {
        it.add(consumer);
    }
    it.enqueue(&["1", "2", "3", "4"]);
    it.enqueue(&["5"]);
    let received = consumers.each_ref().map(TestConsumer::received);
    assert_eq!(received, [vec!["1", "4"], vec!["2", "5"], vec!["3"]]);
}

/// A consumer gets at most as many deliveries as its prefetch limit leaves unacknowledged; the others
/// get what it has no credit for.
#[test]
fn a_consumer_without_credit_is_passed_over_until_it_acknowledges() {
    let mut it = Setting::new();
    let (limited, greedy) = (consumer().prefetch(1), consumer());
    it.add(&limited);
    it.add(&greedy);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(
        (limited.received(), greedy.received()),
        (vec!["0".into()], vec!["1".into(), "2".into()])
    );
    it.ack(&[0]);
    it.enqueue(&["3", "4"]);
    assert_eq!((limited.received(), greedy.received()), (vec!["4".into()], vec!["3".into()]));
}

/// Messages wait while nobody has credit, and each acknowledgement fetches the next.
#[test]
fn messages_wait_while_nobody_has_credit() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2"]);
    let limited = consumer().prefetch(2);
    it.add(&limited);
    assert_eq!(limited.received(), ["0", "1"]);
    assert_eq!(it.counts(), (1, 2));
    it.ack(&[1]);
    assert_eq!(limited.received(), ["2"]);
}

/// With `no-ack` a delivery counts as acknowledged once sent: no limit on unacknowledged ones holds.
#[test]
fn without_acknowledgements_no_limit_holds_and_memory_is_free_at_once() {
    let mut it = Setting::new();
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(1);
    let fast = consumer().no_ack().prefetch(1).on_channel(&credit);
    it.add(&fast);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(fast.received(), ["0", "1", "2"]);
    assert_eq!((it.counts(), it.out.freed), ((0, 0), 3 * message("0").memory()));
}

/// `basic.get` asks for one message, whatever the limits, and is told how many are left.
#[test]
fn get_tells_how_many_wait_behind_and_passes_by_all_limits() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1"]);
    assert_eq!(it.get(false), Some(("0".to_owned(), 1)));
    assert_eq!(it.get(true), Some(("1".to_owned(), 0)));
    assert_eq!(it.get(true), None);
    assert_eq!(it.counts(), (0, 1));
}

/// A limit with `global` set is shared by the consumers of a channel.
#[test]
fn consumers_of_a_channel_share_its_limit_and_go_on_when_resumed() {
    let mut it = Setting::new();
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(2);
    let [a, b] = [consumer().on_channel(&credit), consumer().on_channel(&credit)];
    let handles = [it.add(&a), it.add(&b)];
    it.enqueue(&["0", "1", "2", "3"]);
    assert_eq!((a.received(), b.received()), (vec!["0".to_owned()], vec!["1".to_owned()]));
    assert!(credit.give_back(1), "somebody was refused");
    it.ack(&[0]);
    for handle in handles {
        it.queue.resume([handle], it.now, &mut it.out);
    }
    assert_eq!((a.received(), it.counts()), (vec!["2".to_owned()], (1, 2)));
}

/// A slow reader costs its own turn, and nobody else's.
#[test]
fn a_stalled_consumer_leaves_its_turn_to_others_until_it_has_read() {
    let mut it = Setting::new();
    let size = message("0").memory();
    let (slow, fast) = (consumer().outbox_max(2 * size), consumer());
    let slow_handle = it.add(&slow);
    it.add(&fast);
    it.enqueue(&["0", "1", "2", "3", "4", "5"]);
    assert_eq!(fast.received(), ["1", "3", "4", "5"]);
    it.ack(&[0]);
    it.enqueue(&["6"]);
    assert_eq!(fast.received(), ["6"], "an acknowledgement does not read its outbox");
    assert_eq!(slow.received(), ["0", "2"]);
    assert!(slow.bound.remove(size), "it is half empty");
    it.queue.resume([slow_handle], it.now, &mut it.out);
    it.enqueue(&["7", "8"]);
    assert_eq!((slow.received(), fast.received()), (vec!["8".to_owned()], vec!["7".to_owned()]));
}

/// One delivery always fits, however large.
#[test]
fn one_message_fits_any_outbox() {
    let mut it = Setting::new();
    let tiny = consumer().outbox_max(1);
    let handle = it.add(&tiny);
    it.enqueue(&["0", "1"]);
    assert_eq!(tiny.received(), ["0"]);
    assert!(tiny.bound.remove(message("0").memory()));
    it.queue.resume([handle], it.now, &mut it.out);
    assert_eq!(tiny.received(), ["1"]);
}
