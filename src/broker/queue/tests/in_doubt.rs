//! Which messages are flagged as redelivered after a crash that forgot who had what.

use super::super::*;
use super::deep::Deep;
use super::support::*;

impl Deep {
    /// Somebody is about to use the queue, and the store knows.
    fn begin_use(&mut self) {
        let announcement = self.it.queue.announce_use().expect("it was not in use");
        self.it.queue.use_is_safe(announcement);
        assert_eq!(self.it.queue.announce_use(), None);
    }

    /// The process is killed before any delivery was written down.
    fn crash(self) -> Self {
        self.shelf.forget_deliveries();
        self.restart(1000)
    }
}

#[test]
fn what_a_crash_finds_in_use_may_have_been_delivered() {
    let mut deep = Deep::new(10);
    deep.number(1..=4);
    deep.begin_use();
    assert_eq!(deep.get(false).unwrap(), "001");
    let mut deep = deep.crash();
    deep.number(5..=5);
    assert_eq!(deep.get_all(), ["001 again", "002 again", "003 again", "004 again", "005"]);
}

#[test]
fn it_does_not_count_as_a_return() {
    let mut deep = Deep::with(10, |settings| settings.delivery_limit = Some(0));
    deep.number([1]);
    deep.begin_use();
    let mut deep = deep.crash();
    let sink = Arc::default();
    let Get::Later = deep.it.try_get(true, &sink) else { panic!("it is in the store") };
    deep.answer();
    let Get::Message(fetched) = deep.it.try_get(true, &sink) else { panic!("it is there") };
    assert_eq!((fetched.entry.returns, fetched.entry.is_redelivered()), (0, true));
}

#[test]
fn a_deep_queue_is_flagged_as_far_as_it_went() {
    let mut deep = Deep::new(2);
    deep.number(1..=9);
    deep.begin_use();
    let mut deep = deep.crash();
    deep.number(10..=19);
    let all = deep.get_all();
    assert_eq!(all.iter().filter(|it| it.ends_with(" again")).count(), 9);
    assert_eq!(all.len(), 19);
}

#[test]
fn a_queue_that_nobody_used_has_nothing_in_doubt() {
    let mut deep = Deep::new(10);
    deep.number([1]);
    assert_eq!(deep.crash().get_all(), ["001"]);
}

#[test]
fn an_announcement_alone_is_in_doubt_and_is_waited_for() {
    let mut deep = Deep::new(10);
    let first = deep.it.queue.announce_use();
    assert!(first.is_some() && deep.it.queue.announce_use() == first, "both wait for the same");
    assert_eq!(deep.shelf.in_doubt(), Some(Position(u64::MAX)));
    deep.it.queue.use_is_safe(first.unwrap());
    assert_eq!(deep.it.queue.announce_use(), None);
}

#[test]
fn an_announcement_of_an_earlier_use_says_nothing_of_a_later_one() {
    let mut deep = Deep::new(10);
    let first = deep.it.queue.announce_use().unwrap();
    deep.it.queue.rest();
    let second = deep.it.queue.announce_use().unwrap();
    deep.it.queue.use_is_safe(first);
    assert_eq!(deep.it.queue.announce_use(), Some(second));
}

#[test]
fn consumers_that_settled_everything_leave_no_doubt() {
    let mut deep = Deep::new(10);
    deep.number(1..=2);
    deep.begin_use();
    let consumer = deep.it.add(&consumer().prefetch(1));
    deep.answer();
    deep.it.remove(consumer);
    assert!(deep.shelf.in_doubt().is_some(), "it still has a message");
    deep.it.ack(&[0]);
    assert_eq!(deep.shelf.in_doubt(), None);
    assert_eq!(deep.crash().get_all(), ["002"]);
}

#[test]
fn consumers_whose_channel_closes_leave_no_doubt() {
    let mut deep = Deep::new(10);
    deep.number(1..=2);
    deep.begin_use();
    let consumer = deep.it.add(&consumer().prefetch(1));
    deep.it.abandon(consumer);
    assert_eq!(deep.shelf.in_doubt(), None);
    assert_eq!(deep.restart(1000).get_all(), ["001 again", "002"]);
}

#[test]
fn getting_ends_when_the_broker_is_stopped() {
    let mut deep = Deep::new(10);
    deep.number(1..=2);
    deep.begin_use();
    assert_eq!(deep.get(true).unwrap(), "001");
    assert!(deep.shelf.in_doubt().is_some());
    deep.it.queue.rest();
    assert_eq!(deep.shelf.in_doubt(), None);
    assert_eq!(deep.restart(1000).get_all(), ["002"]);
}

#[test]
fn what_is_in_doubt_stays_so_in_later_processes() {
    let mut deep = Deep::new(10);
    deep.number([1]);
    deep.begin_use();
    let mut deep = deep.crash();
    deep.number([2]);
    assert_eq!(deep.shelf.in_doubt(), Some(Position(1)), "and nothing that came later");
    let mut deep = deep.crash();
    deep.begin_use();
    deep.it.queue.rest();
    assert_eq!(deep.shelf.in_doubt(), Some(Position(1)));
    assert_eq!(deep.restart(1000).get_all(), ["001 again", "002"]);
}

#[test]
fn what_waits_for_its_time_was_not_delivered() {
    let mut deep = Deep::new(10);
    deep.send([draft("001").due(500), draft("002").due(5000)]);
    deep.begin_use();
    let mut deep = deep.crash();
    deep.pass(5000);
    assert_eq!(deep.get_all(), ["001 again", "002"]);
}

#[test]
fn what_is_in_doubt_stays_so_where_its_time_takes_it() {
    let mut deep = Deep::new(10);
    deep.send([draft("001").due(500), draft("002").due(5000)]);
    deep.begin_use();
    let mut deep = deep.crash();
    deep.pass(1);
    assert_eq!(deep.it.queue.counts().ready, 1, "it is due, and has another place");
    let mut deep = deep.crash();
    deep.pass(5000);
    assert_eq!(deep.get_all(), ["001 again", "002"]);
}

#[test]
fn a_queue_that_is_gone_has_nothing_in_doubt() {
    let mut deep = Deep::new(10);
    deep.begin_use();
    deep.it.queue.delete(&mut deep.it.out);
    assert_eq!(deep.shelf.in_doubt(), None);
    assert_eq!(deep.it.queue.announce_use(), None);
}
