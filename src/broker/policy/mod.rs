//! Policies: settings for every queue and exchange whose name matches a pattern.

mod pattern;
mod target;

use amqp_codec::{FieldTable, FieldValue};

pub use pattern::Pattern;
pub use target::{ApplyTo, QueueKind};

/// Settings for every object that its pattern matches: a policy, or an operator policy.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    pattern: Pattern,
    apply_to: ApplyTo,
    priority: i32,
    definition: FieldTable,
}

impl Policy {
    /// Its name, once in its vhost.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which names it matches.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What it is for.
    pub fn apply_to(&self) -> ApplyTo {
        self.apply_to
    }

    /// Of several that match, the one with the highest is in force.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Everything it sets.
    pub fn definition(&self) -> &FieldTable {
        &self.definition
    }

    /// What it sets for one key.
    pub fn get(&self, key: &str) -> Option<&FieldValue> {
        self.definition.get(key)
    }
}
