//! When the consumers of what a client published are woken.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A consumer of the queue `tasks`, and how often it was woken.
fn consumer(host: &Arc<Host>) -> (TestClient, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let wake = {
        let wakes = Arc::clone(&wakes);
        Box::new(move || {
            wakes.fetch_add(1, Ordering::SeqCst);
        })
    };
    let mut client = TestClient::connect_woken_by(host, 0, wake);
    client.declare("tasks");
    client.consume("tasks", "tag");
    wakes.store(0, Ordering::SeqCst);
    (client, wakes)
}

#[test]
fn a_consumer_is_woken_once_for_what_a_turn_brings() {
    let host = plain_host();
    let (mut consumer, wakes) = consumer(&host);
    let mut publisher = TestClient::connect(&host);
    publisher.publish(1, "tasks", b"one");
    publisher.publish(1, "tasks", b"two");
    let wakeups = publisher.client.take_wakeups();
    assert_eq!(wakes.load(Ordering::SeqCst), 0, "the turn goes on");
    drop(wakeups);
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    assert_eq!(consumer.read(), ["1 deliver 1", "'one'", "1 deliver 2", "'two'"]);
}

#[test]
fn a_consumer_is_woken_when_the_publisher_goes() {
    let host = plain_host();
    let (_consumer, wakes) = consumer(&host);
    let mut publisher = TestClient::connect(&host);
    publisher.publish(1, "tasks", b"one");
    publisher.client.disconnect(publisher.now);
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
}

#[test]
fn what_comes_back_wakes_its_next_consumer_at_once() {
    let host = plain_host();
    let mut first = TestClient::connect(&host);
    first.declare("tasks");
    first.publish(1, "tasks", b"one");
    assert_eq!(first.consume("tasks", "tag").last().map(String::as_str), Some("'one'"));
    let (_second, wakes) = consumer(&host);
    first.client.disconnect(first.now);
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
}
