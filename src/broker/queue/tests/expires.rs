//! Queues that nobody uses go.

use super::super::*;
use super::support::*;

fn unused_after(milliseconds: u64) -> Setting {
    let mut it = Setting::with(|settings| settings.expires = Some(milliseconds));
    it.queue.declared(it.now, &mut it.out);
    it
}

/// Whether the queue expires that many milliseconds from now, and not before.
fn expires_in(it: &mut Setting, milliseconds: u64) -> bool {
    it.pass(milliseconds - 1);
    let before = it.out.expired || it.queue.is_expired(it.now);
    it.pass(1);
    !before && it.out.expired && it.queue.is_expired(it.now)
}

/// A queue expires after a time in which it had no consumers, was not declared again, and nobody
/// called `basic.get` for it; messages in it make no difference.
#[test]
fn a_queue_expires_when_it_was_not_used_for_long_enough() {
    let mut it = unused_after(100);
    it.pass(50);
    it.enqueue(&["0"]);
    assert!(expires_in(&mut it, 50));
}

/// `basic.get` is a use, of an empty queue too.
#[test]
fn get_renews_the_lease() {
    let mut it = unused_after(100);
    it.pass(99);
    it.get(true);
    assert!(expires_in(&mut it, 100));
}

/// A declaration is a use.
#[test]
fn a_declaration_renews_the_lease() {
    let mut it = unused_after(100);
    it.pass(60);
    it.queue.declared(it.now, &mut it.out);
    assert!(expires_in(&mut it, 100));
}

/// A declaration does not renew the lease of a quorum queue.
#[test]
fn a_declaration_does_not_renew_the_lease_of_a_quorum_queue() {
    let mut it = Setting::with(|settings| {
        settings.kind = QueueKind::Quorum;
        settings.expires = Some(100);
    });
    it.queue.declared(it.now, &mut it.out);
    it.pass(60);
    it.queue.declared(it.now, &mut it.out);
    assert!(expires_in(&mut it, 40));
}

/// A queue never expires while it has a consumer; the time counts from when the last one left.
#[test]
fn a_queue_with_a_consumer_never_expires() {
    let mut it = unused_after(100);
    it.pass(60);
    let [first, second] = [it.add(&consumer()), it.add(&consumer())];
    it.pass(10_000);
    it.remove(first);
    it.pass(10_000);
    assert!(!it.out.expired && !it.queue.is_expired(it.now));
    it.abandon(second);
    assert!(expires_in(&mut it, 100));
}

/// A refused consumer is no use.
#[test]
fn a_consumer_that_is_refused_renews_nothing() {
    let mut it = Setting::with(|settings| {
        settings.expires = Some(100);
        settings.single_active_consumer = true;
    });
    it.queue.declared(it.now, &mut it.out);
    it.pass(60);
    let refused = it.queue.add_consumer(consumer().exclusive().options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
    assert!(expires_in(&mut it, 40));
}

/// A policy can give a queue a lease at any time: it counts from the last use, which may be past.
#[test]
fn a_lease_that_comes_later_counts_from_the_last_use() {
    let mut it = Setting::new();
    it.queue.declared(it.now, &mut it.out);
    it.pass(60);
    it.reconfigure(|settings| settings.expires = Some(100));
    assert!(expires_in(&mut it, 40));
    let mut it = Setting::new();
    it.pass(200);
    it.reconfigure(|settings| settings.expires = Some(100));
    it.pass(0);
    assert!(it.out.expired);
}

/// A policy that takes the lease away keeps the queue.
#[test]
fn a_lease_that_is_taken_away_ends_nothing() {
    let mut it = unused_after(100);
    it.reconfigure(|settings| settings.expires = None);
    it.pass(1000);
    assert!(!it.out.expired && !it.queue.is_expired(it.now));
}
