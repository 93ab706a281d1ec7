//! Fanout exchanges: every binding matches every message.

use super::{Target, target_set::TargetSet};

/// The bindings of a fanout exchange. Binding keys and arguments play no part in routing.
///
/// Spec: amqp0-9-1.pdf section 3.1.3.2, "The Fanout Exchange Type".
#[derive(Debug, Clone)]
pub struct FanoutMatcher<T> {
    targets: TargetSet<T>,
}

impl<T> Default for FanoutMatcher<T> {
    fn default() -> Self {
        Self { targets: TargetSet::Empty }
    }
}

impl<T: Target> FanoutMatcher<T> {
    /// Adds a binding; false if it was there. Constant time.
    pub fn insert(&mut self, target: T) -> bool {
        self.targets.insert(target)
    }

    /// Removes a binding; false if there was none. Constant time.
    pub fn remove(&mut self, target: T) -> bool {
        self.targets.remove(target)
    }

    /// Calls `visit` once with each target, in no particular order.
    #[inline]
    pub fn matches(&self, visit: &mut impl FnMut(T)) {
        self.targets.visit(visit);
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

    fn visited(matcher: &FanoutMatcher<u32>) -> Vec<u32> {
        let mut targets = Vec::new();
        matcher.matches(&mut |target| targets.push(target));
        targets.sort_unstable();
        targets
    }

    #[test]
    fn every_target_is_visited_once() {
        let mut matcher = FanoutMatcher::default();
        assert!(matcher.is_empty());
        for target in 0..100 {
            assert!(matcher.insert(target));
        }
        assert!(!matcher.insert(7), "the same binding again changes nothing");
        assert_eq!(visited(&matcher), (0..100).collect::<Vec<_>>());
        assert_eq!(matcher.len(), 100);
    }

    #[test]
    fn a_removed_target_is_visited_no_more() {
        let mut matcher = FanoutMatcher::default();
        for target in 0..100 {
            matcher.insert(target);
        }
        for target in (0..100).step_by(2) {
            assert!(matcher.remove(target));
        }
        assert!(!matcher.remove(0));
        assert_eq!(visited(&matcher), (1..100).step_by(2).collect::<Vec<_>>());
    }
}
