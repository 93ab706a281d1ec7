//! Publisher confirms: which publishes still await their outcome, and what may be told so far.

use std::collections::VecDeque;

/// What became of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker took responsibility for it.
    Acked,
    /// The broker refused or lost it.
    Nacked,
}

/// What to tell the publisher: `basic.ack` or `basic.nack` for everything up to `delivery_tag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// The last publish it covers.
    pub delivery_tag: u64,
    /// It covers more than that one.
    pub multiple: bool,
    /// What became of all of them.
    pub outcome: Outcome,
}

/// The publishes of a channel in confirm mode, numbered from 1.
///
/// Outcomes arrive in any order and are told in the order of publishing, the longest run at a time.
#[derive(Debug, Default)]
pub struct ConfirmLedger {
    /// Publishes told so far.
    told: u64,
    /// Those behind, in order; `None` is still open.
    open: VecDeque<Option<Outcome>>,
}

impl ConfirmLedger {
    /// Numbers a publish.
    pub fn publish(&mut self) -> u64 {
        self.open.push_back(None);
        self.told + self.open.len() as u64
    }

    /// Notes what became of a publish. One that was told already, or never made, is passed over.
    pub fn settle(&mut self, sequence: u64, outcome: Outcome) {
        let index =
            sequence.checked_sub(self.told + 1).and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.open.get_mut(index)) {
            *slot = Some(outcome);
        }
    }

    /// The next thing to tell: the longest run of equal outcomes that nothing open stands before.
    pub fn next_confirm(&mut self) -> Option<Confirm> {
        let outcome = (*self.open.front()?)?;
        let before = self.told;
        while self.open.front() == Some(&Some(outcome)) {
            self.open.pop_front();
            self.told += 1;
        }
        Some(Confirm { delivery_tag: self.told, multiple: self.told - before > 1, outcome })
    }

    /// Publishes whose outcome has not been told.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirm(delivery_tag: u64, multiple: bool, outcome: Outcome) -> Option<Confirm> {
        Some(Confirm { delivery_tag, multiple, outcome })
    }

    #[test]
    fn a_run_of_settled_publishes_is_told_at_once() {
        let mut ledger = ConfirmLedger::default();
        for expected in 1..=3 {
            assert_eq!(ledger.publish(), expected);
        }
        for sequence in 1..=3 {
            ledger.settle(sequence, Outcome::Acked);
        }
        assert_eq!(ledger.next_confirm(), confirm(3, true, Outcome::Acked));
        assert_eq!(ledger.next_confirm(), None);
    }

    #[test]
    fn nothing_is_told_before_what_was_published_earlier() {
        let mut ledger = ConfirmLedger::default();
        let first = ledger.publish();
        let second = ledger.publish();
        ledger.settle(second, Outcome::Acked);
        assert_eq!(ledger.next_confirm(), None);
        ledger.settle(first, Outcome::Nacked);
        assert_eq!(ledger.next_confirm(), confirm(1, false, Outcome::Nacked));
        assert_eq!(ledger.next_confirm(), confirm(2, false, Outcome::Acked));
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn a_publish_is_settled_once() {
        let mut ledger = ConfirmLedger::default();
        let first = ledger.publish();
        ledger.settle(first, Outcome::Acked);
        assert!(ledger.next_confirm().is_some());
        ledger.settle(first, Outcome::Nacked);
        ledger.settle(99, Outcome::Nacked);
        assert_eq!(ledger.next_confirm(), None);
    }
}
