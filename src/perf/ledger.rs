//! Which messages have arrived where, and what was wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use amqp_codec::ShortString;
use serde::Serialize;

use super::mark::Mark;

/// What the inspection of all arrivals found. `Display` says what is wrong, in one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Arrivals that were looked at.
    pub checked: u64,
    /// Messages that were neither refused nor returned, and never came to a queue they should be in.
    pub lost: u64,
    /// Arrivals of what the same queue had delivered before.
    pub duplicated: u64,
    /// Arrivals of a message that the broker had from the same publisher before one that came earlier: of the
    /// same queue, priority and consumer.
    pub out_of_order: u64,
    /// Arrivals whose checksum was wrong.
    pub damaged: u64,
    /// Arrivals that another run had left in a queue.
    pub foreign: u64,
}

impl Verified {
    /// Whether the broker did what it should.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.damaged == 0
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, lost, duplicated, out_of_order, damaged, foreign } = self;
        write!(
            f,
            "{checked} checked, {lost} lost, {duplicated} twice, {out_of_order} out of order, {damaged} damaged"
        )?;
        if *foreign > 0 {
            write!(f, ", {foreign} of another run")?;
        }
        Ok(())
    }
}

/// Which messages have arrived where, of all consumers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    queues: HashMap<ShortString, u32>,
    /// By queue, publisher and stream. What a peer sends are keys here: the map's hashes are seeded.
    arrived: HashMap<(u32, u32, u32), Numbers>,
    found: Verified,
}

impl Ledger {
    /// A number for a queue, the same whoever asks.
    pub(super) fn queue(&mut self, name: &ShortString) -> u32 {
        let next = self.queues.len() as u32;
        *self.queues.entry(name.clone()).or_insert(next)
    }

    /// Notes a message that is sound.
    pub(super) fn arrive(&mut self, queue: u32, mark: Mark, in_order: bool) {
        self.found.checked += 1;
        self.found.out_of_order += u64::from(!in_order);
        let numbers = self.arrived.entry((queue, mark.publisher, mark.stream)).or_default();
        self.found.duplicated += u64::from(!numbers.insert(mark.number));
    }

    /// Notes one that is not.
    pub(super) fn damaged(&mut self) {
        self.found.checked += 1;
        self.found.damaged += 1;
    }

    /// Notes another run's.
    pub(super) fn foreign(&mut self) {
        self.found.foreign += 1;
    }

    /// What was found, if there were to be so many arrivals.
    pub(super) fn verified(&self, expected: u64) -> Verified {
        let arrived: u64 = self.arrived.values().map(Numbers::len).sum();
        Verified { lost: expected.saturating_sub(arrived), ..self.found }
    }
}

/// Numbers that were seen: ranges of them, by their starts. Where nothing is missing there is one.
#[derive(Debug, Default)]
struct Numbers {
    /// From the start to what is behind the end.
    ranges: BTreeMap<u32, u32>,
}

impl Numbers {
    /// Whether it is new.
    fn insert(&mut self, number: u32) -> bool {
        let before = self.ranges.range_mut(..=number).next_back();
        let end = number.saturating_add(1);
        let start = match before {
            Some((_, before)) if *before > number => return false,
            Some((start, before)) if *before == number => {
                *before = end;
                *start
            }
            _ => {
                self.ranges.insert(number, end);
                number
            }
        };
        if let Some(behind) = self.ranges.remove(&end) {
            self.ranges.insert(start, behind);
        }
        true
    }

    fn len(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| u64::from(end - start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_order_become_one_range() {
        let mut numbers = Numbers::default();
        for number in [0, 1, 5, 3, 4, 2, 9, 7, 8, 6] {
            assert!(numbers.insert(number), "{number}");
            assert!(!numbers.insert(number), "{number}");
        }
        assert_eq!((numbers.ranges.len(), numbers.len()), (1, 10));
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let mut ledger = Ledger::default();
        let queue = ledger.queue(&ShortString::from_static("q"));
        assert_eq!(ledger.queue(&ShortString::from_static("q")), queue);
        let other = ledger.queue(&ShortString::from_static("other"));
        let mark = |number| Mark { publisher: 0, stream: 0, number };
        ledger.arrive(queue, mark(0), true);
        ledger.arrive(other, mark(0), true);
        assert!(ledger.verified(2).is_clean());
        ledger.arrive(queue, mark(2), true);
        ledger.arrive(queue, mark(2), false);
        ledger.damaged();
        ledger.foreign();
        let found = ledger.verified(4);
        assert_eq!(
            found.to_string(),
            "5 checked, 1 lost, 1 twice, 1 out of order, 1 damaged, 1 of another run"
        );
        assert!(!found.is_clean());
    }
}
