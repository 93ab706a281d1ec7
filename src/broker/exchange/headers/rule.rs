//! Rules: bindings of a headers exchange that ask for the same.

use rustc_hash::FxHashMap;
use slab::Slab;

use super::super::{Target, target_set::TargetSet};
use super::condition::ConditionId;

/// A rule's place among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RuleId(u32);

/// What makes two bindings the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RuleKey {
    /// In ascending order, each once.
    pub(super) conditions: Box<[ConditionId]>,
    pub(super) needs_all: bool,
}

/// Conditions, and what is bound with exactly these.
#[derive(Debug, Clone)]
pub(super) struct Rule<T> {
    /// The conditions that must hold, in ascending order; only if all must.
    pub(super) conditions: Box<[ConditionId]>,
    /// The one condition that a rule which needs all is found by.
    pub(super) listed_under: Option<ConditionId>,
    pub(super) targets: TargetSet<T>,
}

/// All rules.
#[derive(Debug, Clone)]
pub(super) struct Rules<T> {
    rules: Slab<Rule<T>>,
    by_key: FxHashMap<RuleKey, RuleId>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { rules: Slab::new(), by_key: FxHashMap::default() }
    }
}

impl<T: Target> Rules<T> {
    pub(super) fn find(&self, key: &RuleKey) -> Option<RuleId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn add(
        &mut self,
        key: RuleKey,
        listed_under: Option<ConditionId>,
        target: T,
    ) -> RuleId {
        let conditions: &[ConditionId] = if key.needs_all { &key.conditions } else { &[] };
        let rule =
            Rule { conditions: conditions.into(), listed_under, targets: TargetSet::One(target) };
        let id = RuleId(u32::try_from(self.rules.insert(rule)).expect("fewer than 2^32 bindings"));
        self.by_key.insert(key, id);
        id
    }

    pub(super) fn remove(&mut self, key: &RuleKey) -> Option<(RuleId, Rule<T>)> {
        let id = self.by_key.remove(key)?;
        let rule = self.rules.remove(id.0 as usize);
        if self.rules.is_empty() {
            // A burst of bindings must not keep its memory for ever.
            *self = Self::default();
        }
        Some((id, rule))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl<T> std::ops::Index<RuleId> for Rules<T> {
    type Output = Rule<T>;

    #[inline]
    fn index(&self, id: RuleId) -> &Rule<T> {
        &self.rules[id.0 as usize]
    }
}

impl<T> std::ops::IndexMut<RuleId> for Rules<T> {
    fn index_mut(&mut self, id: RuleId) -> &mut Rule<T> {
        &mut self.rules[id.0 as usize]
    }
}
