//! What entered in one block, until the next checkpoint.

use super::super::block::{self, Entry};
use super::super::place::{Location, Place, SegmentId};
use super::bits::Bits;
use crate::broker::time::Timestamp;

/// The places of what entered. Which of them count is not known here.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// As in the map on disk: about a byte for each, in place of 32. What entered some time ago and stays,
    /// as in a queue that nobody consumes. Empty, or else `slots` is.
    packed: Box<[u8]>,
    /// The position of the first slot.
    first: u16,
    /// One for each position from the first on.
    slots: Vec<Slot>,
}

/// A place as it entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) location: Location,
    transient: bool,
    body_len: u64,
    expires: Timestamp,
}

impl Slot {
    const NONE: Self = Self {
        location: Location { segment: SegmentId(0), offset: 0, length: 0 },
        transient: false,
        body_len: 0,
        expires: Timestamp::NEVER,
    };

    pub(super) fn new(place: &Place) -> Self {
        Self {
            location: place.location,
            transient: place.transient,
            body_len: place.body_len,
            expires: place.expires,
        }
    }

    fn place(&self) -> Place {
        Place {
            location: self.location,
            body_len: self.body_len,
            expires: self.expires,
            due: None,
            returns: 0,
            delivered: false,
            transient: self.transient,
        }
    }
}

impl Slots {
    /// The slot of a position, made if there is none yet.
    pub(super) fn slot_mut(&mut self, number: u16) -> &mut Slot {
        if !self.packed.is_empty() {
            self.loosen();
        }
        if self.slots.is_empty() {
            self.first = number;
        } else if number < self.first {
            let before = usize::from(self.first - number);
            self.slots.splice(0..0, std::iter::repeat_n(Slot::NONE, before));
            self.first = number;
        }
        let place = usize::from(number - self.first);
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::NONE);
        }
        &mut self.slots[place]
    }

    /// Packs those that count, which are all that can be asked for from now on.
    pub(super) fn pack(&mut self, counting: Bits) {
        if self.packed.is_empty() {
            self.packed = block::encode(&self.entries(counting)).into_boxed_slice();
            self.slots = Vec::new();
        }
    }

    fn loosen(&mut self) {
        for (number, place) in unpack(&std::mem::take(&mut self.packed)) {
            *self.slot_mut(number) = Slot::new(&place);
        }
    }

    /// Those that count, in their order.
    pub(super) fn entries(&self, counting: Bits) -> Vec<Entry> {
        if !self.packed.is_empty() {
            return unpack(&self.packed);
        }
        let slot = |number: u16| self.slots.get(usize::from(number.wrapping_sub(self.first)));
        let entry = |number| slot(number).map(|slot| (number, slot.place()));
        counting.iter().filter_map(entry).collect()
    }
}

/// Nobody else had these bytes since they were packed.
fn unpack(bytes: &[u8]) -> Vec<Entry> {
    block::decode(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u16) -> Place {
        Place {
            location: Location {
                segment: SegmentId(1 + u32::from(number / 200)),
                offset: 32 + 140 * u32::from(number % 200),
                length: 140,
            },
            body_len: 100,
            expires: if number.is_multiple_of(7) {
                Timestamp(number.into())
            } else {
                Timestamp::NEVER
            },
            due: None,
            returns: 0,
            delivered: false,
            transient: number.is_multiple_of(3),
        }
    }

    fn slots(numbers: impl IntoIterator<Item = u16>) -> Slots {
        let mut slots = Slots::default();
        for number in numbers {
            *slots.slot_mut(number) = Slot::new(&place(number));
        }
        slots
    }

    #[test]
    fn packed_slots_are_those_that_counted() {
        let mut slots = slots((10..500).rev());
        let mut counting = Bits::range(20, 30);
        counting.insert(499);
        let expected: Vec<_> = counting.iter().map(|number| (number, place(number))).collect();
        assert_eq!(slots.entries(counting), expected);
        slots.pack(counting);
        assert_eq!(slots.entries(counting), expected);
    }

    #[test]
    fn a_slot_of_packed_ones_can_be_changed() {
        let mut slots = slots(100..400);
        let mut counting = Bits::range(100, 399);
        slots.pack(counting);
        slots.slot_mut(200).location.offset = 7;
        *slots.slot_mut(50) = Slot::new(&place(50));
        counting.insert(50);
        let entries = slots.entries(counting);
        assert_eq!(entries.len(), 301);
        assert_eq!(entries[0], (50, place(50)));
        assert_eq!(entries[101].1.location.offset, 7);
        assert_eq!(entries[102], (201, place(201)));
    }

    #[test]
    fn messages_of_one_size_in_a_row_take_two_bytes_at_most() {
        let mut slots = Slots::default();
        for number in 0..512 {
            let place = place(0);
            let offset = 32 + 140 * u32::from(number);
            let location = Location { offset, ..place.location };
            let expires = Timestamp::NEVER;
            *slots.slot_mut(number) = Slot::new(&Place { location, expires, ..place });
        }
        slots.pack(Bits::FULL);
        let bytes = slots.packed.len();
        assert!((500..=1024 + 16).contains(&bytes) && slots.slots.is_empty(), "{bytes} bytes");
    }
}
