//! Modulus-hash exchanges: every message goes to one binding, picked by the routing key's hash
//! modulo the number of bindings. Binding keys and weights play no part.
//!
//! Simple and perfectly even, but a binding more or less moves almost every key: see
//! [`ConsistentHashMatcher`](super::ConsistentHashMatcher) for the one that does not.

use super::Target;
use super::stable_hash::StableHasher;

/// The bindings of a modulus-hash exchange.
#[derive(Debug, Clone)]
pub struct ModulusHashMatcher<T> {
    /// In the order of their labels, so that the order of binding plays no part.
    targets: Vec<(Box<[u8]>, T)>,
}

impl<T> Default for ModulusHashMatcher<T> {
    fn default() -> Self {
        Self { targets: Vec::new() }
    }
}

impl<T: Target + Ord> ModulusHashMatcher<T> {
    /// Adds a binding; false if it was there. `label` says where it stands among the others.
    pub fn insert(&mut self, label: &[u8], target: T) -> bool {
        match self.place(label, target) {
            Ok(_) => false,
            Err(place) => {
                self.targets.insert(place, (label.into(), target));
                true
            }
        }
    }

    /// Removes a binding; false if there was none.
    pub fn remove(&mut self, label: &[u8], target: T) -> bool {
        let place = self.place(label, target);
        place.map(|place| self.targets.remove(place)).is_ok()
    }

    /// Calls `visit` with the one target that these routing keys lead to, if there is any.
    pub fn matches(&self, routing_keys: &[&[u8]], visit: &mut impl FnMut(T)) {
        if self.targets.is_empty() {
            return;
        }
        let mut hasher = StableHasher::default();
        routing_keys.iter().for_each(|key| hasher.write(key));
        let place = hasher.finish() % self.targets.len() as u64;
        visit(self.targets[place as usize].1);
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    fn place(&self, label: &[u8], target: T) -> Result<usize, usize> {
        self.targets.binary_search_by(|(held, id)| (&**held, *id).cmp(&(label, target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(matcher: &ModulusHashMatcher<u32>, key: &str) -> Option<u32> {
        let mut targets = Vec::new();
        matcher.matches(&[key.as_bytes()], &mut |target| targets.push(target));
        assert!(targets.len() <= 1);
        targets.first().copied()
    }

    #[test]
    fn a_key_always_leads_to_the_same_one_and_keys_spread_evenly() {
        let mut matcher = ModulusHashMatcher::default();
        assert_eq!(reached(&matcher, "k"), None);
        for (label, target) in [("c", 2), ("a", 0), ("b", 1)] {
            assert!(matcher.insert(label.as_bytes(), target));
        }
        let mut counts = [0; 3];
        for number in 0..30_000 {
            let key = number.to_string();
            let target = reached(&matcher, &key).unwrap();
            assert_eq!(reached(&matcher, &key), Some(target));
            counts[target as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_order_of_binding_plays_no_part() {
        let mut one = ModulusHashMatcher::default();
        let mut other = ModulusHashMatcher::default();
        for target in 0..10_u32 {
            one.insert(&target.to_be_bytes(), target);
            other.insert(&(9 - target).to_be_bytes(), 9 - target);
        }
        for key in ["a", "b", "orders.eu", ""] {
            assert_eq!(reached(&one, key), reached(&other, key));
        }
    }

    #[test]
    fn a_removed_binding_is_reached_no_more() {
        let mut matcher = ModulusHashMatcher::default();
        assert!(matcher.insert(b"a", 0) && matcher.insert(b"b", 1) && !matcher.insert(b"b", 1));
        assert!(matcher.remove(b"a", 0) && !matcher.remove(b"a", 0));
        assert_eq!((matcher.len(), reached(&matcher, "any")), (1, Some(1)));
        assert!(matcher.remove(b"b", 1) && matcher.is_empty());
    }
}
