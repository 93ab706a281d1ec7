//! Messages of a group don't overtake each other.

use amqp_codec::{FieldValue, ShortString};

use super::super::*;
use super::support::*;
use crate::broker::queue_settings::{DelayedRetry, GroupProperty, MessageGroup, RetryKind};

/// A queue with these messages, named by group and number, and a consumer that may have them all.
fn delivering(bodies: &[&str], change: impl FnOnce(&mut QueueSettings)) -> (Setting, TestConsumer) {
    let mut it = Setting::with(|settings| {
        grouped(settings);
        change(settings);
    });
    let reader = consumer();
    it.add(&reader);
    it.send(bodies.iter().map(|body| draft(*body).group(&body[..1])));
    (it, reader)
}

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

/// Of each group one message is delivered at a time; groups don't wait for each other.
#[test]
fn one_message_of_each_group_is_out_at_a_time() {
    let (mut it, reader) = delivering(&["a0", "a1", "b2", "a3", "c4", "b5"], |_| {});
    assert_eq!(reader.received(), ["a0", "b2", "c4"]);
    it.ack(&[2]);
    assert_eq!(reader.received(), ["b5"]);
    it.ack(&[0]);
    it.ack(&[1]);
    assert_eq!(reader.received(), ["a1", "a3"]);
    assert_eq!(it.counts(), (0, 3));
}

/// A large group holds up nobody: groups take turns.
#[test]
fn groups_take_turns() {
    let mut it = Setting::with(grouped);
    let bodies = ["a0", "a1", "a2", "b3", "b4", "c5"];
    it.send(bodies.map(|body| draft(body).group(&body[..1])));
    assert_eq!(it.take_all(), ["a0", "b3", "c5", "a1", "b4", "a2"]);
}

/// Within a group messages are delivered in the order they came, also to several consumers, and
/// however the one before came back.
#[test]
fn a_group_keeps_its_order_whatever_comes_back() {
    let (mut it, first) = delivering(&["a0", "a1", "a2"], |_| {});
    let second = consumer();
    let handle = it.add(&second);
    it.requeue(&[0]);
    it.requeue(&[0]);
    assert_eq!(
        (first.received(), second.received().len()),
        (vec!["a0".into(), "a0 again".into()], 1)
    );
    it.abandon(handle);
    assert_eq!(first.received(), ["a0 again"]);
    it.give_back(&[0], Return::Rejected);
    it.ack(&[0]);
    it.requeue(&[1]);
    it.ack(&[1]);
    assert_eq!(first.received(), ["a0 again", "a1", "a1 again", "a2"]);
}

/// A group goes on when its delivery is rejected for good, when it came back too often, and when it
/// was held for too long.
#[test]
fn a_group_goes_on_however_its_delivery_ends() {
    let (mut it, reader) = delivering(&["a0", "a1", "a2", "a3"], |settings| {
        settings.dead_letter = dead_letter_exchange();
        settings.delivery_limit = Some(0);
        settings.consumer_timeout = Some(10);
    });
    it.reject(&[0]);
    it.requeue(&[1]);
    it.pass(10);
    it.ack(&[3]);
    assert_eq!(reader.received(), ["a0", "a1", "a2", "a3"]);
    let reasons = [DeathReason::Rejected, DeathReason::DeliveryLimit, DeathReason::DeliveryLimit];
    assert_eq!(it.bury().iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), reasons);
    assert_eq!((it.counts(), it.queue.ready.groups()), ((0, 0), 0));
}

/// What `basic.get` took keeps its group busy as any delivery does.
#[test]
fn a_fetched_message_keeps_its_group_busy() {
    let mut it = Setting::with(grouped);
    it.send(["a0", "a1", "b2"].map(|body| draft(body).group(&body[..1])));
    let got = [it.get(false), it.get(false), it.get(false)];
    assert_eq!(got, [Some(("a0".into(), 2)), Some(("b2".into(), 1)), None]);
    it.ack(&[0]);
    assert_eq!(it.get(true), Some(("a1".into(), 0)));
}

/// Without acknowledgements nothing keeps a group busy.
#[test]
fn without_acknowledgements_a_group_flows() {
    let mut it = Setting::with(grouped);
    let fast = consumer().no_ack();
    it.add(&fast);
    it.send(["a0", "a1", "b2", "a3"].map(|body| draft(body).group(&body[..1])));
    assert_eq!(fast.received(), ["a0", "b2", "a1", "a3"]);
    assert_eq!(it.queue.ready.groups(), 0);
}

/// A message without the header or property is a group of its own.
#[test]
fn a_message_without_a_key_waits_for_nobody() {
    let mut it = Setting::with(grouped);
    let reader = consumer();
    it.add(&reader);
    it.send([draft("0"), draft("1"), draft("a2").group("a"), draft("3")]);
    assert_eq!(reader.received(), ["0", "1", "a2", "3"]);
    it.requeue(&[1]);
    it.ack(&[0, 1, 2, 3]);
    assert_eq!((reader.received(), it.queue.ready.groups()), (vec!["1 again".to_owned()], 0));
}

/// A header names the group with its type: the number 7 and the text "7" are two groups. Properties
/// other than the one that counts make no difference.
#[test]
fn a_group_is_named_by_its_header_or_property() {
    let mut it = Setting::with(|settings| {
        settings.group = Some(MessageGroup::Header(ShortString::from_static("key")));
    });
    let reader = consumer();
    it.add(&reader);
    let text = || FieldValue::LongString("7".into());
    it.send([
        draft("text").header("key", text()),
        draft("number").header("key", FieldValue::I32(7)),
        draft("text too").header("key", text()).header("other", FieldValue::I32(1)),
        draft("other").header("other", text()).group("x"),
        draft("other too").header("other", text()).group("x"),
        draft("nothing"),
    ]);
    assert_eq!(reader.received(), ["text", "number", "other", "other too", "nothing"]);
    let mut it = Setting::with(|settings| {
        settings.group = Some(MessageGroup::Property(GroupProperty::UserId));
    });
    let reader = consumer();
    it.add(&reader);
    it.send(["0", "1"].map(|body| draft(body).group("of another property")));
    assert_eq!(reader.received(), ["0", "1"]);
}

/// A message that expires leaves its group in order, whether it waits first or last, and a group
/// whose delivery is out stays busy.
#[test]
fn messages_of_a_group_expire_on_time() {
    let mut it = Setting::with(grouped);
    let reader = consumer();
    it.add(&reader);
    it.send([
        draft("out").group("a").ttl(10),
        draft("dies").group("a").ttl(10),
        draft("stays").group("a"),
        draft("dies too").group("a").ttl(5),
    ]);
    it.pass(10);
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((1, 1), 2));
    assert_eq!(reader.received(), ["out"]);
    it.requeue(&[0]);
    assert_eq!(reader.received(), ["out again"], "it dies this very moment");
    it.pass(1);
    it.requeue(&[0]);
    assert_eq!((reader.received(), it.dropped(DeathReason::Expired)), (vec!["stays".into()], 3));
}

/// A group waits with its first message while that waits for its retry, and goes on when it is there.
#[test]
fn a_retry_goes_first_in_its_group() {
    let (mut it, reader) = delivering(&["a0", "a1", "b2"], |settings| {
        settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 100, max: 100 });
    });
    it.requeue(&[0]);
    it.pass(99);
    it.queue.purge(&mut it.out);
    it.send([draft("a3").group("a")]);
    assert_eq!(reader.received(), ["a0", "b2"], "a purge does not free the group");
    it.pass(1);
    assert_eq!(reader.received(), ["a0 again"]);
    it.ack(&[0]);
    assert_eq!(reader.received(), ["a3"]);
}

/// A purge forgets the groups of what it drops, and keeps those busy that are.
#[test]
fn a_purge_keeps_busy_groups_busy() {
    let (mut it, reader) = delivering(&["a0", "a1", "a2"], |_| {});
    assert_eq!(it.queue.purge(&mut it.out), 2);
    it.send(["a3", "b4"].map(|body| draft(body).group(&body[..1])));
    assert_eq!(reader.received(), ["a0", "b4"]);
    it.ack(&[0]);
    assert_eq!(reader.received(), ["a3"]);
    it.ack(&[3, 4]);
    assert_eq!(it.queue.ready.groups(), 0);
}

/// Every operation costs the same, whatever the number of groups; when all is read, none is left.
#[test]
fn many_groups_are_no_burden() {
    const GROUPS: u32 = 100_000;
    let mut it = Setting::with(grouped);
    for group in 0..GROUPS {
        let message = draft("").group(&group.to_string()).message();
        it.queue.enqueue([&message], it.now, &mut it.out);
    }
    let mut next = 0;
    while let Some(got) = it.fetch(false) {
        assert_eq!(got.entry.position, Position(next));
        it.queue.acknowledge(Holder::Fetched, [got.number], it.now, &mut it.out);
        next += 1;
    }
    assert_eq!((next, it.queue.ready.groups()), (u64::from(GROUPS), 0));
}
