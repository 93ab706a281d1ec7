//! Headers exchanges: bindings are matched by message headers, not by routing key.
//!
//! A binding's arguments are its conditions: "header `format` is `pdf`", or, for a void value,
//! "there is a header `format`". `x-match` says whether all of them must hold (the default) or any.
//! Arguments whose names start with `x-` are not conditions, unless `x-match` is `all-with-x` or
//! `any-with-x`; `x-match` itself never is. Without conditions `all` matches every message and
//! `any` none.
//!
//! # How
//!
//! Each distinct condition is kept once, in a hash map. A message looks up each of its headers
//! there, which gives the conditions it meets. A binding that needs all of its conditions is listed
//! under one of them, the one with the shortest list so far; one that needs any is listed under
//! each. So only those bindings are looked at that at least one header speaks for, and what is
//! compared then is numbers. Bindings that ask for the same are one rule.
//!
//! Spec: <https://www.rabbitmq.com/docs/exchanges#headers>.

mod condition;
mod rule;
mod value;
mod x_match;

use amqp_codec::FieldTable;
use smallvec::SmallVec;

use super::{Target, target_set::TargetSet};
use condition::{ConditionId, ConditionIds, Conditions};
use rule::{RuleId, RuleKey, Rules};
pub use x_match::{InvalidXMatch, Term, XMatch};

/// The bindings of a headers exchange, by their arguments.
///
/// Two bindings are the same here if their targets are, and what they ask of a message. RabbitMQ
/// also counts the routing key and arguments that are no conditions: a target for each binding
/// keeps them apart.
#[derive(Debug, Clone)]
pub struct HeadersMatcher<T> {
    /// Targets bound without conditions and with `x-match: all`.
    unconditional: TargetSet<T>,
    conditions: Conditions,
    rules: Rules<T>,
    len: usize,
}

impl<T> Default for HeadersMatcher<T> {
    fn default() -> Self {
        Self {
            unconditional: TargetSet::Empty,
            conditions: Conditions::default(),
            rules: Rules::default(),
            len: 0,
        }
    }
}

impl<T: Target> HeadersMatcher<T> {
    /// Adds a binding; false if it was there. Cost: two hash lookups for each argument.
    ///
    /// # Errors
    /// [`InvalidXMatch`] (406, closes the channel) if `x-match` is none of the four words.
    pub fn insert(&mut self, args: &FieldTable, target: T) -> Result<bool, InvalidXMatch> {
        let x_match = XMatch::of(args)?;
        let known = self.conditions.of_args(args, |name| x_match.compares(name));
        let key = known.map(|conditions| rule_key(&conditions, x_match));
        let added = if key.as_ref().is_some_and(holds_always) {
            self.unconditional.insert(target)
        } else if let Some(id) = key.and_then(|key| self.rules.find(&key)) {
            self.rules[id].targets.insert(target)
        } else {
            let conditions = self.conditions.acquire(args, |name| x_match.compares(name));
            self.add_rule(rule_key(&conditions, x_match), target);
            true
        };
        self.len += usize::from(added);
        Ok(added)
    }

    /// Removes a binding; false if there was none.
    pub fn remove(&mut self, args: &FieldTable, target: T) -> bool {
        let Ok(x_match) = XMatch::of(args) else { return false };
        let known = self.conditions.of_args(args, |name| x_match.compares(name));
        let Some(key) = known.map(|conditions| rule_key(&conditions, x_match)) else {
            return false;
        };
        let removed = if holds_always(&key) {
            self.unconditional.remove(target)
        } else if let Some(id) = self.rules.find(&key) {
            let targets = &mut self.rules[id].targets;
            let removed = targets.remove(target);
            if targets.is_empty() {
                self.remove_rule(&key);
            }
            removed
        } else {
            false
        };
        self.len -= usize::from(removed);
        removed
    }

    /// Calls `visit` once with the target of each binding whose conditions `headers` meet, in no
    /// particular order. Of several headers of one name the first counts.
    ///
    /// Cost: a hash lookup for each header (two while some binding asks for mere presence), and for
    /// each binding found so, a number comparison for each of its conditions. No allocation up to
    /// 16 headers and 64 matching bindings with `x-match: any`.
    pub fn matches(&self, headers: &FieldTable, visit: &mut impl FnMut(T)) {
        self.unconditional.visit(visit);
        if self.conditions.is_empty() {
            return;
        }
        let met = self.conditions.met_by(headers);
        for id in &met {
            for rule in self.conditions[*id].all.as_slice() {
                let rule = &self.rules[*rule];
                if rule.conditions.iter().all(|condition| met.binary_search(condition).is_ok()) {
                    rule.targets.visit(visit);
                }
            }
        }
        self.visit_any(&met, visit);
    }

    /// Visits the rules for which one of the conditions met is enough.
    fn visit_any(&self, met: &ConditionIds, visit: &mut impl FnMut(T)) {
        let mut lists = met.iter().map(|id| &self.conditions[*id].any).filter(|l| !l.is_empty());
        let Some(first) = lists.next() else { return };
        let mut found: SmallVec<[RuleId; 64]> = SmallVec::from_slice(first.as_slice());
        let first = found.len();
        lists.for_each(|list| found.extend_from_slice(list.as_slice()));
        if found.len() > first {
            // A rule found by several headers is still one. Lists are mostly in order already,
            // and sorting such runs is merging them.
            found.sort();
            found.dedup();
        }
        for id in found {
            self.rules[id].targets.visit(visit);
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

    fn add_rule(&mut self, key: RuleKey, target: T) {
        let conditions = key.conditions.clone();
        let listed_under = if key.needs_all { self.least_used(&conditions) } else { None };
        let id = self.rules.add(key, listed_under, target);
        match listed_under {
            Some(condition) => {
                self.conditions[condition].all.insert(id);
            }
            None => {
                for condition in conditions {
                    self.conditions[condition].any.insert(id);
                }
            }
        }
    }

    fn remove_rule(&mut self, key: &RuleKey) {
        let Some((id, rule)) = self.rules.remove(key) else { return };
        for condition in &key.conditions {
            if rule.listed_under.is_none() {
                self.conditions[*condition].any.remove(id);
            } else if rule.listed_under == Some(*condition) {
                self.conditions[*condition].all.remove(id);
            }
            self.conditions.release(*condition);
        }
    }

    /// The condition under which the fewest rules are listed: "format is pdf" may be part of every
    /// binding, "customer is 4711" of one.
    fn least_used(&self, conditions: &[ConditionId]) -> Option<ConditionId> {
        conditions.iter().copied().min_by_key(|id| {
            let condition = &self.conditions[*id];
            // Of two equally used, mere presence is met by more messages.
            (condition.all.len(), condition.is_presence())
        })
    }
}

fn rule_key(conditions: &ConditionIds, x_match: XMatch) -> RuleKey {
    // One condition out of one is all conditions.
    let needs_all = x_match.needs_all() || conditions.len() == 1;
    RuleKey { conditions: conditions.as_slice().into(), needs_all }
}

/// Whether every message meets these conditions, because there are none.
fn holds_always(key: &RuleKey) -> bool {
    key.needs_all && key.conditions.is_empty()
}

#[cfg(test)]
mod tests;
