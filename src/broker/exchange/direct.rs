//! Direct exchanges: a binding matches when its key equals the routing key, byte for byte.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Target, target_set::TargetSet};

/// The bindings of a direct exchange, by binding key.
///
/// Peers choose the keys, so the map is seeded at random: nobody can aim for one bucket.
///
/// Spec: amqp0-9-1.pdf section 3.1.3.1, "The Direct Exchange Type".
#[derive(Debug, Clone)]
pub struct DirectMatcher<T> {
    by_key: HashMap<Box<[u8]>, TargetSet<T>, RandomState>,
    len: usize,
}

impl<T> Default for DirectMatcher<T> {
    fn default() -> Self {
        Self { by_key: HashMap::default(), len: 0 }
    }
}

impl<T: Target> DirectMatcher<T> {
    /// Adds a binding; false if it was there. One hash lookup.
    pub fn insert(&mut self, key: &[u8], target: T) -> bool {
        let added = if let Some(targets) = self.by_key.get_mut(key) {
            targets.insert(target)
        } else {
            self.by_key.insert(key.into(), TargetSet::One(target));
            true
        };
        self.len += usize::from(added);
        added
    }

    /// Removes a binding; false if there was none. One hash lookup.
    pub fn remove(&mut self, key: &[u8], target: T) -> bool {
        let Some(targets) = self.by_key.get_mut(key) else { return false };
        let removed = targets.remove(target);
        if targets.is_empty() {
            self.by_key.remove(key);
        }
        self.len -= usize::from(removed);
        removed
    }

    /// Calls `visit` once with each target bound with `key`, in no particular order. One hash
    /// lookup.
    #[inline]
    pub fn matches(&self, key: &[u8], visit: &mut impl FnMut(T)) {
        if let Some(targets) = self.by_key.get(key) {
            targets.visit(visit);
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(matcher: &DirectMatcher<u32>, key: &[u8]) -> Vec<u32> {
        let mut targets = Vec::new();
        matcher.matches(key, &mut |target| targets.push(target));
        targets.sort_unstable();
        targets
    }

    #[test]
    fn only_bindings_with_the_very_same_key_match() {
        let mut matcher = DirectMatcher::default();
        matcher.insert(b"orders", 1);
        matcher.insert(b"orders", 2);
        matcher.insert(b"orders.eu", 3);
        matcher.insert(b"", 4);
        assert_eq!(visited(&matcher, b"orders"), [1, 2]);
        assert_eq!(visited(&matcher, b"orders.eu"), [3]);
        assert_eq!(visited(&matcher, b""), [4]);
        assert!(visited(&matcher, b"Orders").is_empty());
        assert_eq!(matcher.len(), 4);
    }

    #[test]
    fn wildcards_mean_nothing_to_a_direct_exchange() {
        let mut matcher = DirectMatcher::default();
        matcher.insert(b"#", 1);
        matcher.insert(b"*", 2);
        assert!(visited(&matcher, b"orders").is_empty());
        assert_eq!(visited(&matcher, b"#"), [1]);
    }

    #[test]
    fn inserting_a_binding_twice_keeps_one() {
        let mut matcher = DirectMatcher::default();
        assert!(matcher.insert(b"k", 1));
        assert!(!matcher.insert(b"k", 1));
        assert_eq!((visited(&matcher, b"k"), matcher.len()), (vec![1], 1));
    }

    #[test]
    fn removing_the_last_binding_of_a_key_forgets_the_key() {
        let mut matcher = DirectMatcher::default();
        matcher.insert(b"k", 1);
        assert!(!matcher.remove(b"k", 2));
        assert!(!matcher.remove(b"other", 1));
        assert!(matcher.remove(b"k", 1));
        assert!(!matcher.remove(b"k", 1));
        assert!(matcher.is_empty() && matcher.by_key.is_empty());
    }
}
