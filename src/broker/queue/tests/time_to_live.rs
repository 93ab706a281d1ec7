//! Messages live as long as they may, and not a millisecond longer.

use super::super::*;
use super::support::*;

/// What is dead stands in nobody's way, however much of it there is.
#[test]
fn live_messages_are_delivered_once_the_dead_ones_ahead_are_gone() {
    let mut it = Setting::new();
    it.send((0..2500).map(|_| draft("dead").ttl(10)));
    it.enqueue(&["alive"]);
    it.pass_unnoticed(11);
    let reader = consumer();
    it.add(&reader);
    it.pass(0);
    assert_eq!(reader.received(), ["alive"]);
    assert_eq!((it.counts(), it.dropped(DeathReason::Expired)), ((0, 1), 2500));
}
