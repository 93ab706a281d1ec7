//! A set of targets that is tiny when it holds one, and never scanned when it holds many.

use rustc_hash::FxHashMap;

use super::Target;

/// From this many targets on a set keeps an index, so that removing one is not a scan.
const INDEX_FROM: usize = 16;

/// A set of targets: most binding keys have exactly one, so one costs no allocation.
#[derive(Debug, Clone, Default)]
pub(super) enum TargetSet<T> {
    #[default]
    Empty,
    One(T),
    Many(Box<Many<T>>),
}

/// Two targets or more, contiguous for visiting.
#[derive(Debug, Clone)]
pub(super) struct Many<T> {
    targets: Vec<T>,
    /// Where each target stands in `targets`. Empty while a scan is as cheap.
    places: FxHashMap<T, u32>,
}

impl<T: Target> TargetSet<T> {
    /// Adds a target; false if it was there. Constant time.
    pub(super) fn insert(&mut self, target: T) -> bool {
        match self {
            Self::Empty => *self = Self::One(target),
            Self::One(only) if *only == target => return false,
            Self::One(only) => {
                let targets = vec![*only, target];
                *self = Self::Many(Box::new(Many { targets, places: FxHashMap::default() }));
            }
            Self::Many(many) => return many.insert(target),
        }
        true
    }

    /// Removes a target; false if it was not there. Constant time; the last target takes its place.
    pub(super) fn remove(&mut self, target: T) -> bool {
        match self {
            Self::Empty => false,
            Self::One(only) if *only == target => {
                *self = Self::Empty;
                true
            }
            Self::One(_) => false,
            Self::Many(many) => {
                let removed = many.remove(target);
                if let [only] = many.targets[..] {
                    *self = Self::One(only);
                }
                removed
            }
        }
    }

    /// Calls `visit` once with each target, in no particular order.
    #[inline]
    pub(super) fn visit(&self, visit: &mut impl FnMut(T)) {
        self.as_slice().iter().copied().for_each(visit);
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::Empty => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(many) => &many.targets,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl<T: Target> Many<T> {
    fn insert(&mut self, target: T) -> bool {
        if self.place(target).is_some() {
            return false;
        }
        self.targets.push(target);
        if self.targets.len() == INDEX_FROM {
            self.places =
                (0..).zip(&self.targets).map(|(place, target)| (*target, place)).collect();
        } else if self.targets.len() > INDEX_FROM {
            self.places.insert(target, place_number(self.targets.len() - 1));
        }
        true
    }

    fn remove(&mut self, target: T) -> bool {
        let Some(place) = self.place(target) else { return false };
        self.targets.swap_remove(place);
        if self.targets.len() < INDEX_FROM {
            self.places = FxHashMap::default();
            self.targets.shrink_to(INDEX_FROM);
        } else {
            self.places.remove(&target);
            if let Some(moved) = self.targets.get(place) {
                self.places.insert(*moved, place_number(place));
            }
        }
        true
    }

    fn place(&self, target: T) -> Option<usize> {
        if self.targets.len() < INDEX_FROM {
            self.targets.iter().position(|held| *held == target)
        } else {
            self.places.get(&target).map(|place| *place as usize)
        }
    }
}

fn place_number(place: usize) -> u32 {
    u32::try_from(place).expect("an exchange has fewer than 2^32 bindings")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_of_small_targets_takes_two_words() {
        assert!(size_of::<TargetSet<u32>>() <= 16);
    }

    proptest! {
        /// Goal: the set behaves as a set across the sizes where its form changes.
        #[test]
        fn inserting_and_removing_behaves_like_a_plain_set(
            steps in prop::collection::vec((any::<bool>(), 0_u32..24), 0..200),
        ) {
            let mut set = TargetSet::default();
            let mut model = BTreeSet::new();
            for (insert, target) in steps {
                if insert {
                    prop_assert_eq!(set.insert(target), model.insert(target));
                } else {
                    prop_assert_eq!(set.remove(target), model.remove(&target));
                }
                let held: BTreeSet<u32> = set.as_slice().iter().copied().collect();
                prop_assert_eq!(&held, &model);
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
        }
    }
}
