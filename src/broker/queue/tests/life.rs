//! Consumers come and go, and so does the queue.

use super::super::*;
use super::support::*;

/// An exclusive consumer has the queue for itself, and can be none where there are others.
#[test]
fn an_exclusive_consumer_is_alone() {
    let mut it = Setting::new();
    let alone = it.add(&consumer().exclusive());
    let other = consumer();
    let refused = it.queue.add_consumer(other.options.clone(), it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
    it.queue.remove_consumer(alone, it.now, &mut it.out);
    it.add(&other);
    let late = consumer().exclusive();
    let refused = it.queue.add_consumer(late.options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::ExclusiveUse));
}

/// An auto-delete queue goes when its last consumer leaves.
#[test]
fn an_auto_delete_queue_is_unused_when_its_last_consumer_leaves() {
    let mut it = Setting::auto_delete();
    let [first, second] = [it.add(&consumer()), it.add(&consumer())];
    it.queue.remove_consumer(first, it.now, &mut it.out);
    assert!(!it.out.unused);
    it.queue.remove_consumer(second, it.now, &mut it.out);
    assert!(it.out.unused);
}

/// A handle stays harmless after its consumer is gone.
#[test]
fn a_handle_that_is_out_of_date_does_nothing() {
    let mut it = Setting::auto_delete();
    let old = it.add(&consumer());
    it.queue.remove_consumer(old, it.now, &mut it.out);
    it.out.unused = false;
    let reader = consumer();
    it.add(&reader);
    it.queue.remove_consumer(old, it.now, &mut it.out);
    it.queue.resume([old], it.now, &mut it.out);
    it.enqueue(&["0"]);
    assert_eq!((reader.received(), it.out.unused), (vec!["0".to_owned()], false));
}

/// Purging drops ready messages only.
#[test]
fn purging_leaves_what_is_delivered() {
    let mut it = Setting::new();
    it.enqueue(&["0", "1", "2"]);
    it.get(false);
    assert_eq!(it.queue.purge(&mut it.out), 2);
    assert_eq!((it.counts(), it.out.freed), ((0, 1), 2 * message("0").memory()));
}

/// Deletion drops the messages, tells the consumers, and turns every later call into a no-op.
#[test]
fn a_deleted_queue_tells_its_consumers_and_keeps_nothing() {
    let mut it = Setting::new();
    let reader = consumer().prefetch(1);
    it.add(&reader);
    it.enqueue(&["0", "1", "2"]);
    assert_eq!(it.queue.delete(&mut it.out), 2);
    assert_eq!(*reader.sink.cancelled.lock(), [reader.options.subscription]);
    it.enqueue(&["3"]);
    assert_eq!(it.out.freed, 4 * message("0").memory());
    it.ack(&[0]);
    it.requeue(&[0]);
    assert_eq!(it.out.freed, 4 * message("0").memory(), "nothing is given back twice");
    assert_eq!((it.counts(), it.get(true), it.queue.purge(&mut it.out)), ((0, 0), None, 0));
    let refused = it.queue.add_consumer(consumer().options, it.now, &mut it.out);
    assert_eq!(refused, Err(ConsumeRefused::Deleted));
}

/// The memory of a message in many queues is counted exactly once.
#[test]
fn a_message_in_several_queues_gives_its_memory_back_once() {
    let shared = message("0");
    shared.enter(3);
    let mut freed = Vec::new();
    let mut queues = [Setting::new(), Setting::new(), Setting::new()];
    for it in &mut queues {
        it.queue.enqueue([&shared], it.now, &mut it.out);
    }
    let [a, b, c] = &mut queues;
    a.get(true);
    freed.push(a.out.freed);
    b.queue.purge(&mut b.out);
    freed.push(b.out.freed);
    c.queue.delete(&mut c.out);
    freed.push(c.out.freed);
    assert_eq!(freed, [0, 0, shared.memory()]);
}

/// The store is told when a persistent message takes its place, who has it, when it comes back and when
/// it has left for good. What is acknowledged as it is delivered was nobody's in between.
#[test]
fn a_durable_queue_records_what_becomes_of_its_messages() {
    let (mut it, record) = Setting::durable(|_| {});
    it.enqueue(&["0", "1", "2"]);
    it.get(false);
    it.requeue(&[0]);
    it.get(false);
    it.ack(&[0]);
    it.get(true);
    it.queue.purge(&mut it.out);
    assert_eq!(
        record.take(),
        [
            (0, "entered"),
            (1, "entered"),
            (2, "entered"),
            (0, "delivered"),
            (0, "returned"),
            (0, "delivered"),
            (0, "settled"),
            (1, "settled"),
            (2, "settled"),
        ]
    );
}
