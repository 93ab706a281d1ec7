//! A set of positions within a block.

use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};

use super::super::block::BLOCK_POSITIONS;

const WORDS: usize = 8;

/// A set of numbers below 512.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) const FULL: Self = Self([u64::MAX; WORDS]);

    pub(super) fn one(number: u16) -> Self {
        let mut bits = Self::default();
        bits.insert(number);
        bits
    }

    /// The numbers from `first` to `last`, both included.
    pub(super) fn range(first: u16, last: u16) -> Self {
        let mut bits = Self::default();
        for (word, start) in bits.0.iter_mut().zip((0..).step_by(64)) {
            let (first, last) = (first.max(start), last.min(start + 63));
            if first <= last {
                *word = (u64::MAX >> (63 - (last - first))) << (first - start);
            }
        }
        bits
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.0[usize::from(number / 64) % WORDS] >> (number % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, number: u16) {
        self.0[usize::from(number / 64) % WORDS] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: u16) {
        self.0[usize::from(number / 64) % WORDS] &= !(1 << (number % 64));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Its numbers, the smallest first.
    pub(super) fn iter(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().zip((0..).step_by(64)).flat_map(|(mut word, start)| {
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let number = word.trailing_zeros();
                word &= word - 1;
                u16::try_from(number).ok().map(|number| start + number)
            })
        })
    }
}

impl BitAnd for Bits {
    type Output = Self;

    fn bitand(mut self, other: Self) -> Self {
        self &= other;
        self
    }
}

impl BitAndAssign for Bits {
    fn bitand_assign(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
    }
}

impl BitOr for Bits {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self |= other;
        self
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }
}

impl Not for Bits {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

/// The block a position is in, and its number there.
pub(super) fn split(position: u64) -> (u64, u16) {
    let number = u16::try_from(position % BLOCK_POSITIONS).unwrap_or_default();
    (position / BLOCK_POSITIONS, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_across_words() {
        for (first, last) in [(0, 0), (0, 511), (63, 64), (1, 200), (448, 511), (130, 130)] {
            let expected: Vec<u16> = (first..=last).collect();
            assert_eq!(Bits::range(first, last).iter().collect::<Vec<_>>(), expected);
        }
        assert!(Bits::range(0, 511) == Bits::FULL);
        assert!((Bits::range(3, 90) & !Bits::FULL).is_empty());
    }

    #[test]
    fn single_numbers() {
        let mut bits = Bits::one(511);
        bits.insert(64);
        assert!(bits.contains(64) && bits.contains(511) && !bits.contains(63));
        bits.remove(511);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [64]);
    }
}
