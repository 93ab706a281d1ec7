//! Random exchanges: every message goes to one binding, each as likely as the others. Binding keys
//! play no part, so a queue that is bound twice gets twice its share.

use std::sync::atomic::{AtomicU64, Ordering};

use super::stable_hash::{mix, place};
use super::{Target, target_set::TargetSet};

/// What separates two states of the generator: the increment of splitmix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The bindings of a random exchange.
#[derive(Debug)]
pub struct RandomMatcher<T> {
    targets: TargetSet<T>,
    /// Splitmix64, which any number of threads can step without a lock.
    state: AtomicU64,
}

impl<T: Target> RandomMatcher<T> {
    /// An exchange without bindings. The same seed gives the same picks.
    pub fn new(seed: u64) -> Self {
        Self { targets: TargetSet::Empty, state: AtomicU64::new(seed) }
    }

    /// Adds a binding; false if it was there.
    pub fn insert(&mut self, target: T) -> bool {
        self.targets.insert(target)
    }

    /// Removes a binding; false if there was none.
    pub fn remove(&mut self, target: T) -> bool {
        self.targets.remove(target)
    }

    /// Calls `visit` with one target, if there is any.
    pub fn matches(&self, visit: &mut impl FnMut(T)) {
        let targets = self.targets.as_slice();
        let random = mix(self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP));
        if let Some(target) = targets.get(place(random, targets.len())) {
            visit(*target);
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(matcher: &RandomMatcher<u32>) -> Option<u32> {
        let mut targets = Vec::new();
        matcher.matches(&mut |target| targets.push(target));
        assert!(targets.len() <= 1);
        targets.first().copied()
    }

    #[test]
    fn every_binding_is_as_likely_as_the_others() {
        let mut matcher = RandomMatcher::new(7);
        assert_eq!(reached(&matcher), None);
        for target in 0..5 {
            assert!(matcher.insert(target));
        }
        let mut counts = [0; 5];
        for _ in 0..50_000 {
            counts[reached(&matcher).unwrap() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_seed_decides_and_a_removed_binding_is_reached_no_more() {
        let of_seed = |seed| {
            let mut matcher = RandomMatcher::new(seed);
            (0..10).for_each(|target| assert!(matcher.insert(target)));
            assert!(matcher.remove(3) && !matcher.remove(3));
            assert_eq!(matcher.len(), 9);
            (0..200).map(|_| reached(&matcher).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
        assert!(!of_seed(1).contains(&3));
    }
}
