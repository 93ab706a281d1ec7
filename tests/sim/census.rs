//! Where all messages are: what queues say of themselves, against what the store was told and what clients
//! know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use leveret::broker::queue::{DeathReason, QueueCounts, Totals};
use leveret::broker::queue_cell::{QueueCell, QueueId};

use crate::channel::{Verdict, short};
use crate::discipline::Overflow;
use crate::plan::{QueueKind, QueuePlan, queue_plan};
use crate::world::Shared;

/// All queues that ever were.
#[derive(Debug, Default)]
pub(crate) struct Census {
    queues: BTreeMap<QueueId, Counted>,
    /// The vhost's when its queues were looked up.
    version: Option<u64>,
}

#[derive(Debug)]
struct Counted {
    queue: Arc<QueueCell>,
    plan: Option<&'static QueuePlan>,
    last: Option<(QueueCounts, Totals, Instant)>,
}

impl Census {
    /// Counts all messages, between two calls.
    pub(crate) fn take(&mut self, shared: &mut Shared) {
        let vhost = shared.host.vhost(&short("/")).expect("the vhost is there");
        let version = Some(vhost.version());
        let looked_up = std::mem::replace(&mut self.version, version) == version;
        let queues = if looked_up { Vec::new() } else { vhost.queues() };
        for queue in queues {
            self.queues.entry(queue.id).or_insert_with(|| {
                let plan = queue_plan(&queue.name.to_str_lossy());
                Counted { queue, plan, last: None }
            });
        }
        for counted in self.queues.values_mut() {
            counted.take(shared);
        }
        shared.store.check_all_have_moved();
    }

    /// How many queues are gone.
    pub(crate) fn gone(&self) -> u64 {
        let gone = self.queues.values().filter(|it| it.queue.state.lock().is_deleted());
        gone.count() as u64
    }

    /// In the end nothing is left, and it is known of every message what became of it.
    pub(crate) fn close(&self, shared: &mut Shared) {
        for Counted { queue, plan, .. } in self.queues.values() {
            let (counts, totals) = {
                let state = queue.state.lock();
                (state.counts(), state.totals())
            };
            let left = counts.ready + counts.unacked + counts.scheduled + counts.departing;
            assert_eq!(left, 0, "{}: {counts:?}", queue.name);
            if let Some(plan) = plan.filter(|plan| plan.kind == QueueKind::Disciplined) {
                check_ways_in(plan, queue.id, &totals, shared);
                check_ways_out(plan, queue.id, &totals, shared);
            }
            note(&totals, shared);
        }
    }
}

impl Counted {
    fn take(&mut self, shared: &mut Shared) {
        let (counts, totals) = {
            let state = self.queue.state.lock();
            if state.is_deleted() && self.last.is_some_and(|(last, ..)| last.departing > 0) {
                shared.ledger.stats.deleted_while_kept += 1;
            }
            (state.counts(), state.totals())
        };
        let seen = Some((counts, totals, shared.now));
        if self.last == seen {
            return;
        }
        self.last = seen;
        let name = &self.queue.name;
        // Every message is in exactly one place.
        let here = counts.ready + counts.unacked + counts.scheduled + counts.departing;
        let left =
            totals.acknowledged + totals.dead_lettered + totals.dropped.total() + totals.purged;
        // What is to go may have to be read first, and what was refused meanwhile waits behind it to be
        // dead-lettered, though it never was accepted.
        let reads = shared.store.is_reading(self.queue.id);
        let refused = if reads { counts.departing.min(totals.refused as usize) } else { 0 };
        let all = here as u64 + left;
        let accepted = totals.accepted..=totals.accepted + refused as u64;
        assert!(accepted.contains(&all), "{name}: {counts:?}, {totals:?}");
        let Some(plan) = self.plan.filter(|plan| plan.kind == QueueKind::Disciplined) else {
            return;
        };
        let discipline = plan.discipline;
        // The store knows of those that are here, and of no others.
        let live = here - (all - totals.accepted) as usize;
        assert_eq!(live, shared.store.live(self.queue.id), "{name}: {counts:?}");
        // What is dead of age is not ready.
        let alive = shared.store.not_expired(self.queue.id);
        assert!(counts.ready <= alive || reads, "{name}: {counts:?}, but {alive} are alive");
        if discipline.overflow == Overflow::DropHead
            && let Some(max) = discipline.max_length
        {
            assert!(counts.ready as u64 <= max || reads, "{name} is over its length: {counts:?}");
        }
        // A dead letter stays only where it may not be lost, or until it is read.
        let stays = discipline.at_least_once || reads;
        assert!(counts.departing == 0 || stays, "{name}: {counts:?}");
        shared.ledger.stats.kept_for_target += counts.departing as u64;
    }
}

/// What clients published and what died elsewhere came in, or was refused.
fn check_ways_in(plan: &QueuePlan, id: QueueId, totals: &Totals, shared: &mut Shared) {
    let name = plan.name;
    let published = shared.ledger.published_to(name);
    let entered = shared.store.entered(id);
    let moves = shared.store.moves(id);
    assert_eq!(totals.accepted, entered + moves.arrived, "{name}: {totals:?}, {moves:?}");
    if plan.discipline.overflow == Overflow::DropHead && !plan.discipline.policies {
        assert_eq!(totals.refused, 0, "{name} refuses nothing");
    }
    // Dead letters that were refused came again.
    let may_be_more = u64::MAX * u64::from(name == "full");
    let refused = published - entered;
    assert!(
        refused <= totals.refused && totals.refused <= refused.saturating_add(may_be_more),
        "{name}: {published} published, {entered} entered, {totals:?}"
    );
    if plan.discipline.overflow == Overflow::RejectDeadLetter {
        assert_eq!(totals.refused, moves.refused, "what {name} refuses, it dead-letters");
    }
    shared.ledger.stats.refused_dead_letters += moves.refused;
}

/// What clients acknowledged was acknowledged, what they rejected died of that, and what died went where
/// the dead letters go, if there is such a place.
fn check_ways_out(plan: &QueuePlan, id: QueueId, totals: &Totals, shared: &mut Shared) {
    let name = plan.name;
    let moves = shared.store.moves(id);
    let moved = |reason: DeathReason| moves.by_reason.get(reason.name()).copied().unwrap_or(0);
    let died = |reason| moved(reason) + totals.dropped.count(reason);
    let acks = shared.ledger.answers(name, Verdict::Ack);
    let discards = shared.ledger.answers(name, Verdict::Discard);
    let lossy = plan.discipline.lossy;
    if plan.discipline.takes_back() {
        assert!(totals.acknowledged <= acks, "{name}: {acks} acknowledged, {totals:?}");
        assert!(died(DeathReason::Rejected) <= discards, "{name}: {discards} rejected");
    } else {
        assert!(totals.acknowledged >= acks, "{name}: {acks} acknowledged, {totals:?}");
        assert!(lossy || totals.acknowledged == acks, "{name}: {acks} acknowledged, {totals:?}");
        let nowhere = plan.discipline.dead.is_some_and(|dead| dead.exchange == "x.missing");
        let rejected = died(DeathReason::Rejected);
        assert!(rejected == discards || nowhere, "{name}: {totals:?}, {moves:?}");
    }
    assert!(totals.purged == 0 || lossy, "nobody purges {name}");
    let may_be_cut =
        plan.discipline.dead.is_some_and(|dead| matches!(dead.exchange, "" | "x.missing"));
    let cut = totals.dead_lettered - moves.total();
    assert!(cut == 0 || may_be_cut, "{name}: {totals:?}, {moves:?}");
    if plan.discipline.dead.is_some() {
        assert_eq!(totals.dropped.total(), 0, "{name} has dead letters: {totals:?}");
    }
    let stats = &mut shared.ledger.stats;
    match plan.discipline.dead {
        Some(dead) if dead.exchange.is_empty() => stats.cycles_cut += cut,
        _ => stats.dead_lettered_nowhere += cut,
    }
    stats.dead_lettered += moves.total();
    stats.expired += moved(DeathReason::Expired);
    stats.over_length += moved(DeathReason::MaxLength);
    stats.rejected += moved(DeathReason::Rejected);
    stats.delivery_limited += died(DeathReason::DeliveryLimit);
}

fn note(totals: &Totals, shared: &mut Shared) {
    let stats = &mut shared.ledger.stats;
    stats.dropped_expired += totals.dropped.count(DeathReason::Expired);
    stats.dropped_over_length += totals.dropped.count(DeathReason::MaxLength);
    stats.refused += totals.refused;
    stats.purged += totals.purged;
}
