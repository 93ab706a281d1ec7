//! No message is lost, and none is counted twice.

use super::super::*;
use super::support::*;
use crate::broker::queue_settings::{DelayedRetry, RetryKind};

/// Whether all that came in is either there or left in some way that is counted.
fn adds_up(it: &Setting) -> bool {
    let (counts, totals) = (it.queue.counts(), it.queue.totals());
    let there = counts.ready + counts.unacked + counts.scheduled + counts.departing;
    let dropped = totals.dropped.total();
    let left = totals.acknowledged + totals.dead_lettered + dropped + totals.purged;
    totals.accepted == there as u64 + left
}

/// Something of everything, over a second.
fn live(it: &mut Setting) {
    let reader = consumer().prefetch(5);
    let handle = it.add(&reader);
    for round in 0..40_u64 {
        let drafts = (0..4).map(|n| draft("m").group(&(n % 3).to_string()));
        it.send(drafts.clone());
        it.send(drafts.map(|draft| draft.ttl(30)));
        it.send([draft("later").due(25 * round + 40), draft("high").priority(7)]);
        assert!(adds_up(it));
        let first = it.fetch(false);
        it.get(round % 2 == 0);
        assert!(adds_up(it));
        if let Some(Fetched { number, .. }) = first {
            match round % 4 {
                0 => it.queue.acknowledge(Holder::Fetched, [number], it.now, &mut it.out),
                1 => it.queue.reject(Holder::Fetched, [number], it.now, &mut it.out),
                2 => {
                    let why = Return::Rejected;
                    it.queue.requeue(Holder::Fetched, [number], why, it.now, &mut it.out);
                }
                _ => {}
            }
        }
        assert!(adds_up(it));
        it.pass(25);
        assert!(adds_up(it));
        if round == 20 {
            it.abandon(handle);
            it.queue.purge(&mut it.out);
        }
        if round % 8 == 0 {
            it.bury();
        }
        assert!(adds_up(it));
    }
}

/// What was accepted is always the sum of what is there and of what left, acknowledged, dead-lettered,
/// dropped or purged; and when all is over, all memory is given back.
#[test]
fn what_came_in_is_there_or_has_left() {
    type Change = fn(&mut QueueSettings);
    let changes: [Change; 6] = [
        |_| {},
        |settings| settings.max_length = Some(10),
        |settings| settings.max_priority = Some(9),
        |settings| settings.single_active_consumer = true,
        grouped,
        |settings| {
            settings.max_length = Some(5);
            settings.overflow = Overflow::RejectPublish;
        },
    ];
    for (change, dead_letters) in changes.iter().flat_map(|it| [(it, false), (it, true)]) {
        let mut it = Setting::with(|settings| {
            settings.delivery_limit = Some(2);
            settings.consumer_timeout = Some(60);
            settings.retry = Some(DelayedRetry { kind: RetryKind::All, min: 10, max: 20 });
            settings.dead_letter = dead_letter_exchange().filter(|_| dead_letters);
            change(settings);
        });
        live(&mut it);
        let totals = it.queue.totals();
        assert_eq!(totals.dead_lettered > 0, dead_letters);
        it.queue.delete(&mut it.out);
        assert!(adds_up(&it));
        let QueueCounts { ready, unacked, scheduled, departing, consumers } = it.queue.counts();
        assert_eq!([ready, unacked, scheduled, departing, consumers], [0; 5]);
        let sizes = ["m", "later", "high"].map(|body| message(body).memory());
        assert!(it.out.freed >= 40 * sizes.iter().sum::<usize>());
    }
}

/// Memory is given back for each message once, whichever way it leaves.
#[test]
fn every_way_out_gives_the_memory_back_once() {
    let mut it = Setting::with(|settings| {
        settings.dead_letter = dead_letter_exchange();
        settings.delivery_limit = Some(0);
    });
    it.enqueue(&["0", "1", "2", "3"]);
    it.send([draft("4").ttl(10), draft("5").due(20), draft("6").due(90), draft("7").due(95)]);
    for _ in 0..3 {
        it.get(false);
    }
    it.ack(&[0]);
    it.reject(&[1]);
    it.requeue(&[2]);
    it.get(true);
    it.pass(20);
    it.queue.purge(&mut it.out);
    it.queue.cancel_scheduled(Position(6), it.now, &mut it.out);
    assert_eq!(it.bury().len(), 3);
    it.queue.delete(&mut it.out);
    assert_eq!(it.out.freed, 8 * message("0").memory());
    assert!(adds_up(&it));
}
