//! Who waits for what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::broker::effect::Position;

/// Counts those that were told.
#[derive(Default)]
struct Told(Arc<AtomicUsize>);

struct Waiting(Arc<AtomicUsize>);

impl Confirmation for Waiting {
    fn durable(self: Box<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Told {
    fn waiting(&self) -> Box<dyn Confirmation> {
        Box::new(Waiting(Arc::clone(&self.0)))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn settled(position: u64) -> Vec<QueueRecord> {
    vec![QueueRecord::Settled(Position(position))]
}

fn record(inbox: &Inbox, position: u64) {
    inbox.record(QueueId(1), &mut settled(position));
}

fn put(bytes: usize) -> InboxRecord {
    InboxRecord::Put(Vec::new(), vec![0; bytes])
}

#[test]
fn who_waits_for_nothing_is_told_at_once() {
    let (inbox, told) = (Inbox::default(), Told::default());
    inbox.when_safe(told.waiting());
    assert_eq!(told.count(), 1);
    assert!(inbox.take_now().confirmations.is_empty());
}

#[test]
fn who_waits_is_taken_together_with_what_was_recorded_before() {
    let (inbox, told) = (Inbox::default(), Told::default());
    record(&inbox, 1);
    inbox.when_safe(told.waiting());
    record(&inbox, 2);
    inbox.when_safe(told.waiting());
    let gathered = inbox.take_now();
    assert_eq!((gathered.records.len(), gathered.confirmations.len(), told.count()), (2, 2, 0));
    // What is in hand is not safe yet.
    inbox.when_safe(told.waiting());
    assert_eq!(told.count(), 0);
    let gathered = inbox.take_now();
    assert_eq!((gathered.records.len(), gathered.confirmations.len()), (0, 1));
}

#[test]
fn what_is_written_may_be_waited_for_until_it_is_safe() {
    let (inbox, told) = (Inbox::default(), Told::default());
    record(&inbox, 1);
    inbox.take_now();
    inbox.written(false);
    inbox.when_safe(told.waiting());
    assert_eq!((told.count(), inbox.take_now().confirmations.len()), (0, 1));
    inbox.written(true);
    inbox.when_safe(told.waiting());
    assert_eq!(told.count(), 1);
}

#[test]
fn a_unit_is_taken_whole() {
    let inbox = Arc::new(Inbox::default());
    let unit = inbox.unit();
    record(&inbox, 1);
    let taker = {
        let inbox = Arc::clone(&inbox);
        std::thread::spawn(move || inbox.take(Duration::ZERO, Expected::default()).records.len())
    };
    {
        let _nested = inbox.nested_unit();
        record(&inbox, 2);
    }
    record(&inbox, 3);
    drop(unit);
    assert_eq!(taker.join().unwrap(), 3);
}

#[test]
fn publishers_wait_while_too_much_is_not_written() {
    let inbox = Inbox::default();
    inbox.change(put(BYTES_MAX - 2 * RECORD_BYTES));
    assert!(!inbox.is_congested());
    inbox.change(put(RECORD_BYTES));
    assert!(inbox.is_congested());
    inbox.take_now();
    assert!(inbox.is_congested(), "what is in hand is not written");
    inbox.change(put(BYTES_LOW));
    assert!(!inbox.written(true) && inbox.is_congested(), "too much has gathered meanwhile");
    inbox.take_now();
    assert!(inbox.written(true) && !inbox.is_congested());
    assert!(!inbox.written(true), "they are told once");
}

#[test]
fn what_was_recorded_before_the_end_is_taken() {
    let (inbox, told) = (Inbox::default(), Told::default());
    record(&inbox, 1);
    inbox.when_safe(told.waiting());
    inbox.close();
    let gathered = inbox.take(Duration::MAX, Expected::default());
    assert!(gathered.closed);
    assert_eq!((gathered.records.len(), gathered.confirmations.len()), (1, 1));
    assert!(
        inbox.take(Duration::MAX, Expected::default()).closed && inbox.sleep(Duration::MAX),
        "it stays closed"
    );
}

#[test]
fn after_a_failure_nobody_is_told() {
    let (inbox, told) = (Inbox::default(), Told::default());
    record(&inbox, 1);
    inbox.when_safe(told.waiting());
    inbox.fail();
    record(&inbox, 2);
    inbox.when_safe(told.waiting());
    let gathered = inbox.take(Duration::MAX, Expected::default());
    assert!(gathered.closed && gathered.records.is_empty() && gathered.confirmations.is_empty());
    inbox.written(true);
    inbox.when_safe(told.waiting());
    assert_eq!(told.count(), 0);
}
