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
