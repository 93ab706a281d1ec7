//! Delivery tags: which deliveries of a channel the client still owes an answer for.

use std::collections::VecDeque;

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
///
/// Clients settle mostly from the oldest on, which costs O(1); a tag in the middle is found by
/// bisection. Holes are closed once they are more than half, so that one delivery left unsettled for
/// a week does not hold the place of all that came after it.
#[derive(Debug)]
pub struct UnackedLedger<T> {
    last_tag: u64,
    deliveries: VecDeque<(u64, Option<T>)>,
    holes: usize,
}

impl<T> Default for UnackedLedger<T> {
    fn default() -> Self {
        Self { last_tag: 0, deliveries: VecDeque::new(), holes: 0 }
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
        self.deliveries.push_back((tag, Some(delivery)));
        tag
    }

    /// How many are outstanding.
    pub fn len(&self) -> usize {
        self.deliveries.len() - self.holes
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
                let delivery = self.take_one(tag).ok_or(UnknownDeliveryTag(tag))?;
                taken.push((tag, delivery));
            }
            Settled::UpTo(tag) => {
                let index = self.position(tag).ok_or(UnknownDeliveryTag(tag))?;
                let taken_from = taken.len();
                taken.extend(self.deliveries.drain(..=index).filter_map(outstanding));
                self.holes -= index + 1 - (taken.len() - taken_from);
                self.close_holes();
            }
        }
        Ok(())
    }

    /// Takes everything, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        self.holes = 0;
        std::mem::take(&mut self.deliveries).into_iter().filter_map(outstanding)
    }

    /// Puts deliveries back under the tags they had: their settlement was taken back.
    pub fn restore(&mut self, settled: impl IntoIterator<Item = (u64, T)>) {
        let mut deliveries: Vec<(u64, Option<T>)> =
            self.drain().map(|(tag, d)| (tag, Some(d))).collect();
        deliveries.extend(settled.into_iter().map(|(tag, delivery)| (tag, Some(delivery))));
        deliveries.sort_by_key(|(tag, _)| *tag);
        self.deliveries = deliveries.into();
    }

    fn take_one(&mut self, tag: u64) -> Option<T> {
        let index = self.position(tag)?;
        let delivery = self.deliveries[index].1.take()?;
        self.holes += 1;
        self.close_holes();
        Some(delivery)
    }

    /// Where an outstanding tag stands.
    fn position(&self, tag: u64) -> Option<usize> {
        let index = match self.deliveries.front() {
            Some((first, _)) if *first == tag => 0,
            _ => self.deliveries.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?,
        };
        self.deliveries[index].1.is_some().then_some(index)
    }

    fn close_holes(&mut self) {
        const FEW: usize = 64;
        while self.deliveries.front().is_some_and(|(_, delivery)| delivery.is_none()) {
            self.deliveries.pop_front();
            self.holes -= 1;
        }
        if self.holes > FEW && self.holes > self.deliveries.len() / 2 {
            self.deliveries.retain(|(_, delivery)| delivery.is_some());
            self.deliveries.shrink_to(self.deliveries.len() * 2);
            self.holes = 0;
        }
    }
}

fn outstanding<T>((tag, delivery): (u64, Option<T>)) -> Option<(u64, T)> {
    delivery.map(|delivery| (tag, delivery))
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

    /// The oldest delivery stays out while a hundred thousand later ones come and go.
    #[test]
    fn one_old_delivery_does_not_hold_the_place_of_later_ones() {
        let mut ledger = ledger(1);
        for _ in 0..100_000 {
            let tag = ledger.last_tag + 1;
            ledger.push(tag);
            assert!(take(&mut ledger, Settled::One(tag)).is_ok());
        }
        assert!(ledger.deliveries.len() < 256, "{}", ledger.deliveries.len());
        assert_eq!(take(&mut ledger, Settled::All), Ok(vec![1]));
    }
}
