//! A queue of numbered items, some of which leave from the middle.

use std::collections::VecDeque;

/// Something with a number of its own.
pub trait Numbered {
    /// Its number. It never changes.
    fn number(&self) -> u64;
}

impl<T> Numbered for (u64, T) {
    fn number(&self) -> u64 {
        self.0
    }
}

/// Items in the order of their numbers, which grow.
///
/// Most items leave from the front, which costs O(1). One in the middle is found at once where no
/// number is missing, by bisection otherwise, and leaves a hole. Holes are closed once they are more
/// than half: an item that stays for a week does not hold the place of all that came after it.
#[derive(Debug, Clone)]
pub struct SparseDeque<T> {
    /// Neither the first nor the last is a hole.
    slots: VecDeque<Slot<T>>,
    holes: usize,
}

#[derive(Debug, Clone)]
enum Slot<T> {
    Item(T),
    Hole(u64),
}

impl<T> Default for SparseDeque<T> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), holes: 0 }
    }
}

impl<T: Numbered> SparseDeque<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.holes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Appends an item with the largest number yet.
    pub fn push_back(&mut self, item: T) {
        debug_assert!(self.slots.back().is_none_or(|last| last.number() < item.number()));
        self.slots.push_back(Slot::Item(item));
    }

    /// The item with the smallest number.
    pub fn front(&self) -> Option<&T> {
        self.slots.front().and_then(Slot::item)
    }

    /// The item with the largest number.
    pub fn back(&self) -> Option<&T> {
        self.slots.back().and_then(Slot::item)
    }

    /// Takes the item with the smallest number.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.slots.pop_front()?;
        if self.holes > 0 {
            self.trim();
        }
        self.shrink();
        first.into_item()
    }

    /// The item with this number.
    pub fn get(&self, number: u64) -> Option<&T> {
        self.slots.get(self.index(number)?).and_then(Slot::item)
    }

    /// The item with this number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.index(number)?;
        match &mut self.slots[index] {
            Slot::Item(item) => Some(item),
            Slot::Hole(_) => None,
        }
    }

    /// Takes the item with this number.
    pub fn take(&mut self, number: u64) -> Option<T> {
        let index = self.index(number)?;
        if index == 0 {
            return self.pop_front();
        }
        let taken = std::mem::replace(&mut self.slots[index], Slot::Hole(number)).into_item();
        self.holes += 1;
        self.trim();
        self.close_holes();
        taken
    }

    /// Takes all items up to the one with this number, smallest first; `None` if there is no such
    /// item.
    pub fn take_up_to(&mut self, number: u64) -> Option<Vec<T>> {
        let index = self.index(number)?;
        let taken: Vec<T> = self.slots.drain(..=index).filter_map(Slot::into_item).collect();
        self.holes -= index + 1 - taken.len();
        self.trim();
        self.shrink();
        Some(taken)
    }

    /// The item in this place, or the next one, where every hole still counts as a place.
    pub fn at_or_after(&self, place: usize) -> Option<&T> {
        self.slots.range(place.min(self.slots.len())..).find_map(Slot::item)
    }

    /// Takes all items from this place on, where every hole still counts as a place.
    #[must_use]
    pub fn split_off(&mut self, place: usize) -> Self {
        let slots = self.slots.split_off(place.min(self.slots.len()));
        let holes = slots.iter().filter(|slot| slot.item().is_none()).count();
        self.holes -= holes;
        let mut behind = Self { slots, holes };
        behind.trim();
        self.trim();
        behind
    }

    /// Appends items whose numbers are all larger than any here.
    pub fn append(&mut self, mut behind: Self) {
        debug_assert!(self.back().zip(behind.front()).is_none_or(|(a, b)| a.number() < b.number()));
        if self.is_empty() {
            *self = behind;
        } else {
            self.holes += behind.holes;
            self.slots.append(&mut behind.slots);
        }
    }

    /// Takes everything, smallest number first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.holes = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(Slot::into_item)
    }

    /// All items, smallest number first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(Slot::item)
    }

    /// The items with this number or a larger one, smallest first. O(log n) to the first of them.
    pub fn iter_from(&self, number: u64) -> impl Iterator<Item = &T> {
        let first = self.slots.partition_point(|slot| slot.number() < number);
        self.slots.range(first..).filter_map(Slot::item)
    }

    /// All items, smallest number first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Item(item) => Some(item),
            Slot::Hole(_) => None,
        })
    }

    /// Where an item stands.
    fn index(&self, number: u64) -> Option<usize> {
        let first = self.slots.front()?.number();
        let dense = usize::try_from(number.checked_sub(first)?).ok()?;
        let index = match self.slots.get(dense) {
            Some(slot) if slot.number() == number => dense,
            _ => self.slots.binary_search_by_key(&number, Slot::number).ok()?,
        };
        matches!(self.slots[index], Slot::Item(_)).then_some(index)
    }

    /// Holes at the ends stand for nothing.
    fn trim(&mut self) {
        while let Some(Slot::Hole(_)) = self.slots.front() {
            self.slots.pop_front();
            self.holes -= 1;
        }
        while let Some(Slot::Hole(_)) = self.slots.back() {
            self.slots.pop_back();
            self.holes -= 1;
        }
    }

    fn close_holes(&mut self) {
        const FEW: usize = 64;
        if self.holes > FEW && self.holes > self.slots.len() / 2 {
            self.slots.retain(|slot| matches!(slot, Slot::Item(_)));
            self.slots.shrink_to(self.slots.len() * 2);
            self.holes = 0;
        }
    }

    /// Gives memory back after a deep backlog has drained. Halving at a quarter full keeps the cost
    /// per item constant.
    fn shrink(&mut self) {
        const KEEP: usize = 1024;
        let capacity = self.slots.capacity();
        if capacity > KEEP && self.slots.len() < capacity / 4 {
            self.slots.shrink_to(capacity / 2);
        }
    }
}

impl<T: Numbered> Slot<T> {
    fn number(&self) -> u64 {
        match self {
            Self::Item(item) => item.number(),
            Self::Hole(number) => *number,
        }
    }
}

impl<T> Slot<T> {
    fn item(&self) -> Option<&T> {
        match self {
            Self::Item(item) => Some(item),
            Self::Hole(_) => None,
        }
    }

    fn into_item(self) -> Option<T> {
        match self {
            Self::Item(item) => Some(item),
            Self::Hole(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn deque(numbers: impl IntoIterator<Item = u64>) -> SparseDeque<(u64, u64)> {
        let mut deque = SparseDeque::default();
        for number in numbers {
            deque.push_back((number, number));
        }
        deque
    }

    /// The oldest item stays while a hundred thousand later ones come and go.
    #[test]
    fn one_old_item_does_not_hold_the_place_of_later_ones() {
        let mut deque = deque([0]);
        for number in 1..100_000 {
            deque.push_back((number, number));
            deque.push_back((number + 1_000_000, number));
            assert!(deque.take(number).is_some());
            assert!(deque.take(number + 1_000_000).is_some());
        }
        assert!(deque.slots.len() < 256, "{}", deque.slots.len());
        assert_eq!(deque.pop_front(), Some((0, 0)));
        assert!(deque.is_empty());
    }

    #[test]
    fn a_drained_backlog_gives_its_memory_back() {
        let mut deque = deque(0..100_000);
        while deque.len() > 10 {
            deque.pop_front();
        }
        assert!(deque.slots.capacity() < 4096, "{}", deque.slots.capacity());
    }

    #[derive(Debug, Clone)]
    enum Operation {
        Push(u64),
        Pop,
        Take(usize),
        TakeUpTo(usize),
        TakeMissing(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (1_u64..4).prop_map(Operation::Push),
            2 => Just(Operation::Pop),
            4 => any::<usize>().prop_map(Operation::Take),
            1 => any::<usize>().prop_map(Operation::TakeUpTo),
            1 => (0_u64..600).prop_map(Operation::TakeMissing),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does(operations in prop::collection::vec(operation(), 0..400)) {
            let mut deque = SparseDeque::default();
            let mut map = BTreeMap::new();
            let mut last = 0;
            let nth = |map: &BTreeMap<u64, u64>, nth: usize| {
                map.keys().nth(nth % map.len().max(1)).copied()
            };
            for operation in operations {
                match operation {
                    Operation::Push(step) => {
                        last += step;
                        deque.push_back((last, last));
                        map.insert(last, last);
                    }
                    Operation::Pop => prop_assert_eq!(deque.pop_front(), map.pop_first()),
                    Operation::Take(index) => {
                        let Some(number) = nth(&map, index) else { continue };
                        prop_assert_eq!(deque.take(number).map(|it| it.1), map.remove(&number));
                    }
                    Operation::TakeUpTo(index) => {
                        let Some(number) = nth(&map, index) else { continue };
                        let later = map.split_off(&(number + 1));
                        let taken = std::mem::replace(&mut map, later);
                        prop_assert_eq!(
                            deque.take_up_to(number),
                            Some(taken.into_iter().collect::<Vec<_>>())
                        );
                    }
                    Operation::TakeMissing(number) => {
                        let expected = map.remove(&number);
                        prop_assert_eq!(deque.get(number).map(|it| it.1), expected);
                        prop_assert_eq!(deque.take(number).map(|it| it.1), expected);
                    }
                }
                prop_assert_eq!(deque.len(), map.len());
                prop_assert_eq!(deque.is_empty(), map.is_empty());
                prop_assert_eq!(deque.front().map(|it| it.0), map.keys().next().copied());
                prop_assert_eq!(deque.back().map(|it| it.0), map.keys().next_back().copied());
                prop_assert!(deque.iter().map(|it| it.0).eq(map.keys().copied()));
            }
        }
    }
}
