//! Delivery tags: which deliveries of a channel the client still owes an answer for.

use crate::sparse::SparseDeque;

/// Which deliveries `basic.ack`, `basic.nack` or `basic.reject` speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The one with this tag.
    One(u64),
    /// All up to the one with this tag, and that one.
    UpTo(u64),
    /// All there are.
    All,
}

impl Settled {
    /// Reads the two fields of a method. A tag of 0 with `multiple` is everything.
    pub fn new(delivery_tag: u64, multiple: bool) -> Self {
        match (delivery_tag, multiple) {
            (0, true) => Self::All,
            (tag, true) => Self::UpTo(tag),
            (tag, false) => Self::One(tag),
        }
    }
}

/// The tag is not outstanding: 406, and the channel closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown delivery tag {0}")]
pub struct UnknownDeliveryTag(pub u64);

/// The unacknowledged deliveries of a channel by tag. `T` is whatever the session needs to settle
/// one.
#[derive(Debug)]
pub struct UnackedLedger<T> {
    last_tag: u64,
    deliveries: SparseDeque<(u64, T)>,
}

impl<T> Default for UnackedLedger<T> {
    fn default() -> Self {
        Self { last_tag: 0, deliveries: SparseDeque::default() }
    }
}

impl<T> UnackedLedger<T> {
    /// The tag for a delivery that needs no answer.
    pub fn pass(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// The tag for a delivery that needs an answer.
    pub fn push(&mut self, delivery: T) -> u64 {
        let tag = self.pass();
        self.deliveries.push_back((tag, delivery));
        tag
    }

    /// How many are outstanding.
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// All that are outstanding, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.deliveries.iter_mut().map(|(_, delivery)| delivery)
    }

    /// Removes the deliveries that a client settled and appends them to `taken` with their tags,
    /// oldest first.
    ///
    /// # Errors
    /// [`UnknownDeliveryTag`] if the tag is not outstanding (never used, or settled before), and
    /// nothing is taken.
    pub fn take(
        &mut self,
        which: Settled,
        taken: &mut Vec<(u64, T)>,
    ) -> Result<(), UnknownDeliveryTag> {
        match which {
            Settled::All => taken.extend(self.drain()),
            Settled::One(tag) => {
                taken.push(self.deliveries.take(tag).ok_or(UnknownDeliveryTag(tag))?);
            }
            Settled::UpTo(tag) => {
                taken.extend(self.deliveries.take_up_to(tag).ok_or(UnknownDeliveryTag(tag))?);
            }
        }
        Ok(())
    }

    /// Takes everything, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        self.deliveries.drain()
    }

    /// Puts deliveries back under the tags they had: their settlement was taken back.
    pub fn restore(&mut self, settled: impl IntoIterator<Item = (u64, T)>) {
        let mut deliveries: Vec<(u64, T)> = self.drain().collect();
        deliveries.extend(settled);
        deliveries.sort_by_key(|(tag, _)| *tag);
        for delivery in deliveries {
            self.deliveries.push_back(delivery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(count: u64) -> UnackedLedger<u64> {
        let mut ledger = UnackedLedger::default();
        for expected in 1..=count {
            assert_eq!(ledger.push(expected), expected);
        }
        ledger
    }

    fn take(ledger: &mut UnackedLedger<u64>, which: Settled) -> Result<Vec<u64>, u64> {
        let mut taken = Vec::new();
        let result = ledger.take(which, &mut taken);
        assert!(taken.iter().all(|(tag, delivery)| tag == delivery));
        result
            .map(|()| taken.into_iter().map(|(tag, _)| tag).collect())
            .map_err(|UnknownDeliveryTag(tag)| tag)
    }

    #[test]
    fn single_multiple_and_all_take_what_they_name() {
        let mut ledger = ledger(6);
        assert_eq!(take(&mut ledger, Settled::new(2, false)), Ok(vec![2]));
        assert_eq!(take(&mut ledger, Settled::new(4, true)), Ok(vec![1, 3, 4]));
        assert_eq!(take(&mut ledger, Settled::new(0, true)), Ok(vec![5, 6]));
        assert_eq!(take(&mut ledger, Settled::new(0, true)), Ok(vec![]));
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_tag_that_is_not_outstanding_is_unknown_and_takes_nothing() {
        let mut ledger = ledger(3);
        assert_eq!(take(&mut ledger, Settled::One(2)), Ok(vec![2]));
        for which in [Settled::One(2), Settled::UpTo(2)] {
            assert_eq!(take(&mut ledger, which), Err(2));
        }
        assert_eq!(take(&mut ledger, Settled::One(0)), Err(0));
        assert_eq!(take(&mut ledger, Settled::UpTo(9)), Err(9));
        assert_eq!(ledger.len(), 2);
    }

    #[test]
    fn tags_go_on_counting_past_deliveries_without_acknowledgement() {
        let mut ledger = UnackedLedger::default();
        assert_eq!(
            (ledger.pass(), ledger.push('a'), ledger.pass(), ledger.push('b')),
            (1, 2, 3, 4)
        );
        assert_eq!(ledger.len(), 2);
    }

    #[test]
    fn deliveries_whose_settlement_was_taken_back_stand_where_they_stood() {
        let mut ledger = ledger(4);
        let mut taken = Vec::new();
        assert_eq!(ledger.take(Settled::One(2), &mut taken), Ok(()));
        assert_eq!(ledger.take(Settled::One(1), &mut taken), Ok(()));
        ledger.restore(taken);
        assert_eq!(take(&mut ledger, Settled::UpTo(3)), Ok(vec![1, 2, 3]));
        assert_eq!(ledger.push(5), 5);
        assert_eq!(take(&mut ledger, Settled::All), Ok(vec![4, 5]));
    }
}
