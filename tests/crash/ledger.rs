//! What was published, confirmed, delivered and acknowledged, and what may be there after a crash.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::message::Id;
use super::shelf::{SHELVES, Shelf};

/// A dead letter's move is written down with the next frame. One that a crash undid is made again, and the
/// message is new in the queue that it comes to.
const UNWRITTEN_MAX: Duration = Duration::from_secs(5);

/// Messages of this publisher are not persistent.
pub(crate) const TRANSIENT: u16 = 20;

/// Messages of this publisher only tell that what was before them has come.
pub(crate) const SENTINEL: u16 = 21;

/// Copies of a message on a shelf.
#[derive(Debug, Default, Clone, Copy)]
struct Copies {
    /// So many were promised to be there.
    confirmed: u64,
    /// So many were published.
    published: u64,
    /// So many were acknowledged, whether or not the broker has written that down.
    acked: u64,
}

impl Copies {
    fn least(self) -> u64 {
        self.confirmed.saturating_sub(self.acked)
    }
}

/// What a consumer, `basic.get` or a census found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) shelf: Shelf,
    pub(crate) queue: &'static str,
    pub(crate) id: Id,
    pub(crate) redelivered: bool,
}

/// How much was seen, for the summary.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) published: u64,
    pub(crate) confirmed: u64,
    pub(crate) acked: u64,
    /// Messages that were found after a restart.
    pub(crate) found: u64,
    /// Of these, such as no confirm had come for.
    pub(crate) found_unconfirmed: u64,
    /// Of those published, such as were neither confirmed nor there.
    pub(crate) lost_unconfirmed: u64,
    /// Acknowledgements that a crash undid.
    pub(crate) acks_undone: u64,
    /// Found after they had been delivered before.
    pub(crate) delivered_before: u64,
}

/// The books of a run, over all its rounds.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    copies: BTreeMap<Shelf, HashMap<Id, Copies>>,
    /// When each was delivered first, by its queue.
    delivered: HashMap<(Shelf, &'static str, Id), Instant>,
    /// Unconfirmed publishes to several shelves: on all, or on none.
    units: HashMap<u64, Vec<(Shelf, Id)>>,
    next_unit: u64,
    sequences: HashMap<u16, u64>,
    pub(crate) deep: Deep,
    pub(crate) figures: Figures,
    /// The broker is about to close connections, one after the other: what one client has not read yet goes
    /// to the next one, and is read by both.
    pub(crate) stopping: bool,
    /// What should not have happened.
    pub(crate) violations: Vec<String>,
}

/// What became of the deep queue, in the order of publishing.
#[derive(Debug, Default)]
pub(crate) struct Deep {
    /// Sequence numbers that are there, in order: from, to.
    pub(crate) there: Vec<(u64, u64)>,
    /// Published since the last census: from, confirmed up to, to.
    pub(crate) latest: (u64, u64, u64),
}

impl Deep {
    pub(crate) fn known(&self) -> u64 {
        self.there.iter().map(|(from, to)| to - from).sum()
    }
}

impl Ledger {
    /// The next message of a publisher.
    pub(crate) fn next_id(&mut self, publisher: u16) -> Id {
        let sequence = self.sequences.entry(publisher).or_default();
        *sequence += 1;
        Id::new(publisher, *sequence)
    }

    /// A message is about to be published.
    pub(crate) fn published(&mut self, shelf: Shelf, id: Id) {
        self.copies.entry(shelf).or_default().entry(id).or_default().published += 1;
        self.figures.published += 1;
    }

    /// Messages are about to be published that are to be there together.
    pub(crate) fn published_as_one(&mut self, members: Vec<(Shelf, Id)>) -> u64 {
        for (shelf, id) in &members {
            self.published(*shelf, *id);
        }
        self.next_unit += 1;
        self.units.insert(self.next_unit, members);
        self.next_unit
    }

    /// The broker promised to keep it.
    pub(crate) fn confirmed(&mut self, shelf: Shelf, id: Id) {
        self.copies.entry(shelf).or_default().entry(id).or_default().confirmed += 1;
        self.figures.confirmed += 1;
    }

    pub(crate) fn confirmed_as_one(&mut self, unit: u64) {
        let Some(members) = self.units.remove(&unit) else { return };
        for (shelf, id) in members {
            self.confirmed(shelf, id);
        }
    }

    /// An acknowledgement is about to be sent.
    pub(crate) fn acked(&mut self, shelf: Shelf, id: Id) {
        if let Some(copies) = self.copies.entry(shelf).or_default().get_mut(&id) {
            copies.acked += 1;
            self.figures.acked += 1;
        }
    }

    /// A message came while the broker ran.
    pub(crate) fn delivered(&mut self, found: Found, now: Instant) {
        let Found { shelf, queue, id, redelivered } = found;
        let copies = self.copies.entry(shelf).or_default().get(&id).copied().unwrap_or_default();
        if copies.published <= copies.acked && !self.stopping {
            self.violate(format!("{queue}: {id:?} came, though it was gone: {copies:?}"));
        }
        let before = self.seen(&found, now);
        if before.is_some() && !redelivered && shelf.holds_one_copy() {
            self.violate(format!("{queue}: {id:?} came again, and is not flagged as redelivered"));
        }
    }

    pub(crate) fn violate(&mut self, text: String) {
        self.violations.push(text);
    }

    /// The broker is gone: what it never promised to keep is, too.
    pub(crate) fn stopped(&mut self) {
        self.stopping = false;
        for copies in self.copies.values_mut() {
            copies.retain(|id, _| id.publisher() != TRANSIENT);
        }
    }

    /// Compares all that is there after a restart with what has to be, and goes on from there.
    pub(crate) fn account(&mut self, found: &[Found], killed: Instant, now: Instant) {
        let mut there: BTreeMap<Shelf, HashMap<Id, u64>> = BTreeMap::new();
        for one in found {
            *there.entry(one.shelf).or_default().entry(one.id).or_default() += 1;
        }
        self.check_units(&there);
        self.check_work(&there);
        self.check_flags(found, killed, now);
        self.check_order(found);
        for shelf in SHELVES {
            self.account_for(shelf, there.remove(&shelf).unwrap_or_default());
        }
        // A crash may undo a message's way to another queue, which it then comes to as if for the first time.
        let places: HashSet<_> = found.iter().map(|one| (one.shelf, one.queue, one.id)).collect();
        self.delivered.retain(|place, _| places.contains(place));
    }

    fn account_for(&mut self, shelf: Shelf, there: HashMap<Id, u64>) {
        let known = self.copies.remove(&shelf).unwrap_or_default();
        let name = shelf.queue();
        for (id, copies) in &known {
            let got = there.get(id).copied().unwrap_or_default();
            if got < copies.least() {
                self.violate(format!("{name}: {id:?} is lost: {got} there, {copies:?}"));
            }
            if got > copies.published {
                self.violate(format!("{name}: {id:?} is there too often: {got}, {copies:?}"));
            }
            let unconfirmed = copies.published - copies.confirmed;
            self.figures.found_unconfirmed += got.min(unconfirmed);
            self.figures.lost_unconfirmed += unconfirmed.saturating_sub(got + copies.acked);
            let left = copies.published.saturating_sub(copies.acked);
            self.figures.acks_undone += got.saturating_sub(left);
        }
        for (id, got) in &there {
            if !known.contains_key(id) {
                self.violate(format!("{name}: {id:?} is there {got} times, and was gone"));
            }
        }
        self.figures.found += there.values().sum::<u64>();
        let settled = |(id, got)| (id, Copies { confirmed: got, published: got, acked: 0 });
        self.copies.insert(shelf, there.into_iter().map(settled).collect());
    }

    fn check_units(&mut self, there: &BTreeMap<Shelf, HashMap<Id, u64>>) {
        let is_there = |(shelf, id): &(Shelf, Id)| {
            there.get(shelf).is_some_and(|of_shelf| of_shelf.contains_key(id))
        };
        for members in std::mem::take(&mut self.units).into_values() {
            let (kept, gone): (Vec<_>, Vec<_>) = members.into_iter().partition(is_there);
            // Of what was acknowledged nobody knows whether it was there.
            let lost = gone.iter().find(|(shelf, id)| {
                let copies = self.copies.get(shelf).and_then(|of_shelf| of_shelf.get(id));
                copies.is_some_and(|copies| copies.acked == 0)
            });
            if let (Some(kept), Some(lost)) = (kept.first(), lost) {
                self.violate(format!("published as one, but {kept:?} is there, {lost:?} is not"));
            }
        }
    }

    /// A worker publishes what came of a message before it acknowledges the message.
    fn check_work(&mut self, there: &BTreeMap<Shelf, HashMap<Id, u64>>) {
        let is_there =
            |shelf: Shelf, id: &Id| there.get(&shelf).is_some_and(|all| all.contains_key(id));
        let no_copies = HashMap::new();
        let incoming = self.copies.get(&Shelf::WorkIn).unwrap_or(&no_copies);
        let outgoing = self.copies.get(&Shelf::WorkOut).unwrap_or(&no_copies);
        let is_lost = |id: &Id, copies: &Copies| {
            let is_done = outgoing.get(id).is_some_and(|done| done.acked > 0);
            copies.confirmed > 0
                && copies.acked > 0
                && !is_there(Shelf::WorkIn, id)
                && !is_there(Shelf::WorkOut, id)
                && !is_done
        };
        let lost = incoming.iter().filter(|(id, copies)| is_lost(id, copies));
        let lost: Vec<Id> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            self.violate(format!("{id:?} is neither in work-in nor in work-out"));
        }
    }

    fn check_flags(&mut self, found: &[Found], killed: Instant, now: Instant) {
        for one in found {
            let before = self.seen(one, now);
            let Found { shelf, queue, id, redelivered } = *one;
            let Some(before) = before.filter(|_| shelf.holds_one_copy()) else { continue };
            self.figures.delivered_before += 1;
            let age = killed.saturating_duration_since(before);
            let is_moved_anew = shelf.dead() == Some(queue) && age < UNWRITTEN_MAX;
            if !redelivered && !is_moved_anew {
                self.violate(format!(
                    "{queue}: {id:?} was delivered {age:.1?} before the kill, and is not flagged"
                ));
            }
        }
    }

    /// When it was delivered first, before this.
    fn seen(&mut self, found: &Found, now: Instant) -> Option<Instant> {
        match self.delivered.entry((found.shelf, found.queue, found.id)) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(first) => {
                first.insert(now);
                None
            }
        }
    }

    fn check_order(&mut self, found: &[Found]) {
        let mut lines = Lines::default();
        for found in found {
            if let Some(text) = lines.disorder(found) {
                self.violate(text);
            }
        }
    }
}

/// The last message of each line that has to be in order.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashMap<(&'static str, (u16, u64)), Id>);

impl Lines {
    /// What is wrong with this one, after those before.
    pub(crate) fn disorder(&mut self, found: &Found) -> Option<String> {
        let Found { shelf, queue, id, .. } = *found;
        let before = self.0.insert((queue, shelf.line(queue, id)?), id)?;
        (before >= id).then(|| format!("{queue}: {id:?} stands behind {before:?}"))
    }
}
