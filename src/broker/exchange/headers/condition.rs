//! Conditions: what bindings ask of a message's headers. Each distinct one is kept once.

use std::hash::{BuildHasher, Hasher};

use amqp_codec::{FieldTable, FieldValue, ShortString};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;

use super::super::target_set::TargetSet;
use super::rule::RuleId;
use super::value;

/// A condition's number while some rule contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ConditionId(u32);

/// A few conditions, in ascending order.
pub(super) type ConditionIds = SmallVec<[ConditionId; 16]>;

/// One thing that rules ask for, and the rules that are found by it.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    hash: u64,
    name: ShortString,
    /// None: the header may have any value, but must be there.
    value: Option<FieldValue>,
    /// How many rules contain this condition.
    uses: u32,
    /// Rules of which this condition and all others must hold, if listed under this one.
    pub(super) all: TargetSet<RuleId>,
    /// Rules for which this condition is enough.
    pub(super) any: TargetSet<RuleId>,
}

impl Condition {
    pub(super) fn is_presence(&self) -> bool {
        self.value.is_none()
    }
}

/// Every condition that some rule contains.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    conditions: Slab<Condition>,
    by_hash: FxHashMap<u64, TargetSet<ConditionId>>,
    /// How many conditions ask for mere presence; mostly none, which halves the look-ups.
    presences: usize,
    /// Peers choose names and values; seeded at random, their hashes cannot be steered.
    hasher: RandomState,
}

/// What a header says: that it is there, and, if `value` is given, what it holds.
#[derive(Clone, Copy)]
struct Fact<'a> {
    hash: u64,
    name: &'a ShortString,
    value: Option<&'a FieldValue>,
}

/// A header or argument, with the hash of its name.
struct Named<'a> {
    name_hash: u64,
    name: &'a ShortString,
    value: &'a FieldValue,
}

impl Conditions {
    /// The conditions that a message with these headers meets. Of several headers of one name the
    /// first counts.
    pub(super) fn met_by(&self, headers: &FieldTable) -> ConditionIds {
        let mut met = ConditionIds::new();
        for named in self.first_of_each_name(headers) {
            met.extend(self.find(self.fact(&named, Some(named.value))));
            if self.presences > 0 {
                met.extend(self.find(self.fact(&named, None)));
            }
        }
        met.sort_unstable();
        met
    }

    /// The conditions that a binding's arguments stand for, or none if one of them is new.
    pub(super) fn of_args(
        &self,
        args: &FieldTable,
        is_compared: impl Fn(&[u8]) -> bool,
    ) -> Option<ConditionIds> {
        let compared = self.first_of_each_name(args);
        let compared = compared.iter().filter(|named| is_compared(named.name.as_bytes()));
        let mut ids =
            compared.map(|named| self.find(self.wish(named))).collect::<Option<ConditionIds>>()?;
        ids.sort_unstable();
        Some(ids)
    }

    /// The conditions that a new rule's arguments stand for; they stay until
    /// [released](Self::release).
    pub(super) fn acquire(
        &mut self,
        args: &FieldTable,
        is_compared: impl Fn(&[u8]) -> bool,
    ) -> ConditionIds {
        let mut ids = ConditionIds::new();
        for named in self.first_of_each_name(args) {
            if is_compared(named.name.as_bytes()) {
                let wish = self.wish(&named);
                let id = self.find(wish).unwrap_or_else(|| self.add(wish));
                self[id].uses += 1;
                ids.push(id);
            }
        }
        ids.sort_unstable();
        ids
    }

    /// Gives up one rule's use of a condition; the last one removes it.
    pub(super) fn release(&mut self, id: ConditionId) {
        self[id].uses -= 1;
        if self[id].uses > 0 {
            return;
        }
        let condition = self.conditions.remove(id.0 as usize);
        self.presences -= usize::from(condition.is_presence());
        if let Some(same_hash) = self.by_hash.get_mut(&condition.hash) {
            same_hash.remove(id);
            if same_hash.is_empty() {
                self.by_hash.remove(&condition.hash);
            }
        }
        if self.conditions.is_empty() {
            // A burst of bindings must not keep its memory for ever.
            *self = Self { hasher: self.hasher.clone(), ..Self::default() };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    fn find(&self, fact: Fact<'_>) -> Option<ConditionId> {
        let same_hash = self.by_hash.get(&fact.hash)?;
        same_hash.as_slice().iter().copied().find(|id| {
            let condition = &self[*id];
            condition.name == *fact.name
                && match (&condition.value, fact.value) {
                    (None, None) => true,
                    (Some(wanted), Some(value)) => value::equal(wanted, value),
                    _ => false,
                }
        })
    }

    fn add(&mut self, wish: Fact<'_>) -> ConditionId {
        let id = self.conditions.insert(Condition {
            hash: wish.hash,
            name: wish.name.clone(),
            value: wish.value.cloned(),
            uses: 0,
            all: TargetSet::Empty,
            any: TargetSet::Empty,
        });
        let id = ConditionId(u32::try_from(id).expect("fewer than 2^32 conditions fit in memory"));
        self.by_hash.entry(wish.hash).or_default().insert(id);
        self.presences += usize::from(wish.value.is_none());
        id
    }

    /// What an argument asks for: a value, or if it is void, presence.
    fn wish<'a>(&self, arg: &Named<'a>) -> Fact<'a> {
        self.fact(arg, (*arg.value != FieldValue::Void).then_some(arg.value))
    }

    #[inline]
    fn fact<'a>(&self, named: &Named<'a>, value: Option<&'a FieldValue>) -> Fact<'a> {
        let mut state = self.hasher.build_hasher();
        state.write_u64(named.name_hash);
        if let Some(value) = value {
            value::hash(value, &mut state);
        }
        Fact { hash: state.finish(), name: named.name, value }
    }

    /// A table's entries without those whose name came before.
    #[inline]
    fn first_of_each_name<'a>(&self, table: &'a FieldTable) -> SmallVec<[Named<'a>; 16]> {
        let mut entries: SmallVec<[Named<'a>; 16]> = table
            .iter()
            .map(|(name, value)| {
                let name_hash = self.hasher.hash_one(name.as_bytes());
                Named { name_hash, name, value }
            })
            .collect();
        // A stable sort: of equal names the first stays first.
        entries.sort_by_key(|entry| entry.name_hash);
        entries.dedup_by(|later, first| {
            later.name_hash == first.name_hash && later.name == first.name
        });
        entries
    }
}

impl std::ops::Index<ConditionId> for Conditions {
    type Output = Condition;

    #[inline]
    fn index(&self, id: ConditionId) -> &Condition {
        &self.conditions[id.0 as usize]
    }
}

impl std::ops::IndexMut<ConditionId> for Conditions {
    fn index_mut(&mut self, id: ConditionId) -> &mut Condition {
        &mut self.conditions[id.0 as usize]
    }
}
