//! What changed in one block.

use std::collections::BTreeMap;

use super::super::block::Entry;
use super::super::place::{Location, Place};
use super::bits::Bits;
use super::live::LiveCounts;
use super::slots::{Slot, Slots};
use crate::broker::time::Timestamp;

/// Changes of a block's entries since the last checkpoint, to be laid over what the block held then.
///
/// What the block held is not known here. So there are entries that are here as a whole (`set`), and
/// changes of entries that may or may not be there. Laying it over twice gives what once gives: a
/// checkpoint that stopped half way is repeated.
#[derive(Debug, Default)]
pub(super) struct BlockDelta {
    /// There is nothing, whatever there was. No other field says anything of these.
    gone: Bits,
    /// Gone unless they wait for their moment, which only the block knows.
    cleared: Bits,
    /// What they were does not count: their slots say what they are.
    set: Bits,
    /// Delivered since they last came back.
    delivered: Bits,
    /// What entered; a slot counts if its position is `set`.
    slots: Slots,
    /// Whatever else happened to an entry. Few have one.
    patches: BTreeMap<u16, Patch>,
    /// Which have one.
    patched: Bits,
}

#[derive(Debug, Default, Clone, Copy)]
struct Patch {
    /// It came back: how often, and what it waits for.
    returned: Option<(u32, Option<Timestamp>)>,
    /// It lies elsewhere. Only of what is not `set`.
    location: Option<Location>,
}

impl BlockDelta {
    /// A block of which everything is gone, or everything that does not wait for its moment.
    pub(super) fn swept(sweep: Sweep) -> Self {
        match sweep {
            Sweep::Gone => Self { gone: Bits::FULL, ..Self::default() },
            Sweep::Cleared => Self { cleared: Bits::FULL, ..Self::default() },
        }
    }

    pub(super) fn entered(&mut self, number: u16, place: &Place, live: &mut LiveCounts) {
        if self.set.contains(number) || self.patched.contains(number) {
            self.settled_one(number, live);
        }
        self.gone.remove(number);
        self.cleared.remove(number);
        self.set.insert(number);
        *self.slots.slot_mut(number) = Slot::new(place);
        live.add(place.location);
        if place.returns > 0 || place.due.is_some() {
            self.patch(number).returned = Some((place.returns, place.due));
        }
        if place.delivered {
            self.delivered(Bits::one(number));
        } else {
            self.delivered.remove(number);
        }
    }

    /// An entry is known to be there, as `place` says but for what happened to it since.
    pub(super) fn found(&mut self, number: u16, place: &Place, live: &mut LiveCounts) {
        if self.gone.contains(number) || self.cleared.contains(number) && place.due.is_none() {
            return;
        }
        if self.set.contains(number) {
            return self.moved(number, place.location, live);
        }
        let (delivered, before) = (self.delivered.contains(number), self.patches.get(&number));
        let returned = before.and_then(|patch| patch.returned);
        self.entered(number, place, live);
        if let Some(returned) = returned {
            self.patch(number).returned = Some(returned);
        }
        if delivered {
            self.delivered(Bits::one(number));
        }
    }

    /// What else happened to an entry.
    fn patch(&mut self, number: u16) -> &mut Patch {
        self.patched.insert(number);
        self.patches.entry(number).or_default()
    }

    /// Has what entered take less room, as it is likely to stay.
    pub(super) fn pack(&mut self) {
        if !self.set.is_empty() {
            self.slots.pack(self.set);
        }
    }

    pub(super) fn settled(&mut self, numbers: Bits, live: &mut LiveCounts) {
        for number in (numbers & self.set).iter() {
            live.subtract(self.slots.slot_mut(number).location);
        }
        for number in (numbers & self.patched).iter() {
            if let Some(Patch { location: Some(location), .. }) = self.patches.remove(&number) {
                live.subtract(location);
            }
        }
        self.patched &= !numbers;
        self.gone |= numbers;
        self.cleared &= !numbers;
        self.set &= !numbers;
        self.delivered &= !numbers;
        self.free_slots();
    }

    /// The same for one position, as most leave.
    pub(super) fn settled_one(&mut self, number: u16, live: &mut LiveCounts) {
        if self.set.contains(number) {
            live.subtract(self.slots.slot_mut(number).location);
            self.set.remove(number);
        }
        if self.patched.contains(number) {
            return self.settled(Bits::one(number), live);
        }
        self.gone.insert(number);
        self.cleared.remove(number);
        self.delivered.remove(number);
        self.free_slots();
    }

    /// Nothing is left of what entered. Most that enters a busy queue leaves it soon, and much of that
    /// is never written: the block would keep its memory until the next checkpoint.
    fn free_slots(&mut self) {
        if self.set.is_empty() {
            self.slots = Slots::default();
        }
    }

    /// All of these that do not wait for their moment are gone.
    pub(super) fn cleared(&mut self, numbers: Bits, live: &mut LiveCounts) {
        let mut known = self.set | self.delivered;
        let mut due = Bits::default();
        for number in (numbers & self.patched).iter() {
            if let Some((_, moment)) = self.patches.get(&number).and_then(|patch| patch.returned) {
                known.insert(number);
                if moment.is_some() {
                    due.insert(number);
                }
            }
        }
        let unknown = numbers & !known & !self.gone;
        self.settled(numbers & known & !due, live);
        self.cleared |= unknown;
    }

    /// These are with consumers: an entry of which that is said was still there, and waits no more.
    pub(super) fn delivered(&mut self, numbers: Bits) {
        let numbers = numbers & !self.gone;
        self.delivered |= numbers;
        self.cleared &= !numbers;
        for number in (numbers & self.patched).iter() {
            if let Some((_, due)) = &mut self.patch(number).returned {
                *due = None;
            }
        }
    }

    pub(super) fn returned(&mut self, number: u16, returns: u32, due: Option<Timestamp>) {
        if !self.gone.contains(number) {
            self.delivered.remove(number);
            self.cleared.remove(number);
            self.patch(number).returned = Some((returns, due));
        }
    }

    pub(super) fn moved(&mut self, number: u16, location: Location, live: &mut LiveCounts) {
        if self.gone.contains(number) {
            return;
        }
        let before = if self.set.contains(number) {
            let slot = self.slots.slot_mut(number);
            Some(std::mem::replace(&mut slot.location, location))
        } else {
            self.patch(number).location.replace(location)
        };
        if let Some(before) = before {
            live.subtract(before);
        }
        live.add(location);
    }

    /// Lays the changes over what the block held.
    pub(super) fn apply(&self, entries: &mut Vec<Entry>) {
        if self.set.is_empty() {
            entries.retain_mut(|(number, place)| self.change(*number, place));
            return;
        }
        let mut before = std::mem::take(entries).into_iter().peekable();
        let mut keep = |mut entry: Entry| {
            if self.change(entry.0, &mut entry.1) {
                entries.push(entry);
            }
        };
        for (number, place) in self.slots.entries(self.set) {
            while let Some(entry) = before.next_if(|(other, _)| *other < number) {
                keep(entry);
            }
            before.next_if(|(other, _)| *other == number);
            keep((number, place));
        }
        before.for_each(keep);
    }

    /// Makes the changes of one entry; says whether it is still there.
    fn change(&self, number: u16, place: &mut Place) -> bool {
        if self.gone.contains(number) || self.cleared.contains(number) && place.due.is_none() {
            return false;
        }
        if let Some(patch) = self.patches.get(&number) {
            if let Some((returns, due)) = patch.returned {
                place.returns = returns;
                place.due = due;
                place.delivered = false;
            }
            if let Some(location) = patch.location {
                place.location = location;
            }
        }
        if self.delivered.contains(number) {
            place.delivered = true;
            place.due = None;
        }
        true
    }

    /// Whether it makes an entry wait for its moment.
    pub(super) fn schedules(&self) -> bool {
        self.patches.values().any(|patch| patch.returned.is_some_and(|(_, due)| due.is_some()))
    }
}

/// What happened to whole blocks at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sweep {
    /// Everything is gone.
    Gone,
    /// What does not wait for its moment is gone.
    Cleared,
}

impl Sweep {
    pub(super) fn apply(self, entries: &mut Vec<Entry>) {
        match self {
            Self::Gone => entries.clear(),
            Self::Cleared => entries.retain(|(_, place)| place.due.is_some()),
        }
    }
}
