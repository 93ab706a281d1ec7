//! Policies: settings for every queue and exchange whose name matches a pattern.
//!
//! <https://www.rabbitmq.com/docs/policies>

mod applied;
mod error;
mod key;
mod parameter;
mod policy_set;
mod target;
mod term;

use amqp_codec::{FieldTable, FieldValue, ShortString};

pub use applied::{AppliedPolicies, EffectiveDefinition, Policies};
pub use error::PolicyError;
use key::Key;
pub use policy_set::PolicySet;
pub use target::{ApplyTo, QueueKind};

use crate::pattern::InvalidPattern;
pub use crate::pattern::Pattern;

/// Settings for every object that its pattern matches: a policy, or an operator policy.
///
/// ```
/// use leveret::{ApplyTo, Policy};
///
/// let policy = Policy::new("short-lived", "^tmp\\.", [("message-ttl", 60_000), ("max-length", 1000)])?
///     .with_apply_to(ApplyTo::Queues)
///     .with_priority(5);
/// assert!(policy.pattern().matches(b"tmp.mails"));
///
/// let refused = Policy::new("short-lived", "^tmp\\.", [("message-ttl", -1)]).unwrap_err();
/// assert_eq!(refused.to_string(), "-1 is not a valid message TTL");
/// # Ok::<(), leveret::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    pattern: Pattern,
    apply_to: ApplyTo,
    priority: i32,
    definition: FieldTable,
}

impl Policy {
    /// A policy for queues and exchanges alike, of priority 0.
    ///
    /// The definition is whatever gives names and values; [`Policy::from_table`] takes a table.
    ///
    /// # Errors
    /// [`PolicyError`], for a pattern that is no regular expression and for a definition with nothing in it,
    /// or with unknown keys or wrong values.
    pub fn new<K: AsRef<[u8]>, V: Into<FieldValue>>(
        name: impl Into<String>,
        pattern: &str,
        definition: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, PolicyError> {
        let mut table = FieldTable::new();
        for (key, value) in definition {
            let value = value.into();
            let name = ShortString::new(key.as_ref()).map_err(|_| unknown(key.as_ref(), &value))?;
            table.push(name, value);
        }
        Self::from_table(name, pattern, table)
    }

    /// The same, from a table.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub fn from_table(
        name: impl Into<String>,
        pattern: &str,
        definition: FieldTable,
    ) -> Result<Self, PolicyError> {
        let pattern = Pattern::new(pattern);
        let pattern =
            pattern.map_err(|InvalidPattern(reason)| PolicyError::InvalidPattern(reason))?;
        let definition = validated(definition)?;
        let (apply_to, priority) = (ApplyTo::All, 0);
        Ok(Self { name: name.into(), pattern, apply_to, priority, definition })
    }

    /// For these objects alone.
    #[must_use]
    pub fn with_apply_to(mut self, apply_to: ApplyTo) -> Self {
        self.apply_to = apply_to;
        self
    }

    /// Of another priority than 0.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Its name: one of each in a vhost.
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

    /// Everything it sets, in order of the keys' names.
    pub fn definition(&self) -> &FieldTable {
        &self.definition
    }

    /// What it sets for one key.
    pub fn get(&self, key: &str) -> Option<&FieldValue> {
        self.definition.get(key)
    }

    /// Whether it is for a queue of this name and type.
    ///
    /// As in RabbitMQ, one key that this type of queue has not is enough to say no.
    pub fn is_for_queue(&self, name: &[u8], kind: QueueKind) -> bool {
        let has = |key: &[u8]| Key::find(key).is_some_and(|key| key.is_for(kind));
        self.apply_to.covers_queue(kind)
            && self.pattern.matches(name)
            && self.definition.iter().all(|(key, _)| has(key.as_bytes()))
    }

    /// Whether it is for an exchange of this name. Keys that mean nothing to an exchange do not count.
    pub fn is_for_exchange(&self, name: &[u8]) -> bool {
        self.apply_to.covers_exchanges() && self.pattern.matches(name)
    }

    /// The keys that have no effect in this version of leveret.
    pub fn not_acted_on(&self) -> impl Iterator<Item = &'static str> + '_ {
        key::NOT_ACTED_ON.iter().copied().filter(|key| self.get(key).is_some())
    }

    /// Checks that an operator policy may set all of this.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKeys`], with those that it may not.
    pub fn check_operator(&self) -> Result<(), PolicyError> {
        let allowed = |key: &[u8]| Key::find(key).is_some_and(|key| key.operator);
        unless_empty(self.definition.iter().filter(|(key, _)| !allowed(key.as_bytes())))
    }
}

/// In RabbitMQ's order: values first, in order of the keys, then whether all keys are known.
fn validated(definition: FieldTable) -> Result<FieldTable, PolicyError> {
    let mut entries: Vec<(ShortString, FieldValue)> = definition.into_iter().collect();
    if entries.is_empty() {
        return Err(PolicyError::NoDefinition);
    }
    entries.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(PolicyError::DuplicateKey(pair[0].0.to_str_lossy().into_owned()));
    }
    let definition: FieldTable = entries.into_iter().collect();
    for (name, value) in &definition {
        if let Some(key) = Key::find(name.as_bytes()) {
            key.check(value)?;
        }
    }
    check_mirrors(&definition)?;
    check_upstreams(&definition)?;
    unless_empty(definition.iter().filter(|(key, _)| Key::find(key.as_bytes()).is_none()))?;
    Ok(definition)
}

/// The keys of classic mirrors make sense only together. They change nothing here, where a queue has one
/// copy, but the policies of RabbitMQ 3 are full of them.
fn check_mirrors(definition: &FieldTable) -> Result<(), PolicyError> {
    let invalid = |text: String| Err(PolicyError::InvalidValue(text));
    let params = definition.get("ha-params");
    match definition.get("ha-mode").and_then(FieldValue::as_str) {
        None if definition.iter().any(|(key, _)| key.as_bytes().starts_with(b"ha-")) => {
            Err(PolicyError::NoHaMode)
        }
        Some("all") if params.is_some() => {
            invalid("ha-mode=\"all\" does not take parameters".to_owned())
        }
        Some("exactly") => match params {
            Some(params) if params.as_integer().is_some() => Ok(()),
            Some(other) => invalid(format!(
                "ha-mode=\"exactly\" takes an integer, {} given",
                term::term(other)
            )),
            None => invalid("ha-mode=\"exactly\" takes an integer, none given".to_owned()),
        },
        Some("nodes") => match params.and_then(FieldValue::as_array) {
            Some([]) => invalid("ha-mode=\"nodes\" list must be non-empty".to_owned()),
            Some(_) => Ok(()),
            None => invalid("ha-mode=\"nodes\" takes a list".to_owned()),
        },
        _ => Ok(()),
    }
}

fn check_upstreams(definition: &FieldTable) -> Result<(), PolicyError> {
    let upstream = |(key, _): &&(ShortString, FieldValue)| {
        key.as_bytes().starts_with(b"federation-upstream") && Key::find(key.as_bytes()).is_some()
    };
    if definition.iter().filter(upstream).count() > 1 {
        return Err(PolicyError::SeveralUpstreams);
    }
    Ok(())
}

/// Refuses what is left over.
fn unless_empty<'a>(
    unknown: impl Iterator<Item = &'a (ShortString, FieldValue)>,
) -> Result<(), PolicyError> {
    let unknown: FieldTable = unknown.cloned().collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(PolicyError::UnknownKeys(term::pairs(&unknown)))
}

/// A name that is too long for a key is no key.
fn unknown(key: &[u8], value: &FieldValue) -> PolicyError {
    let key = term::term(&FieldValue::LongString(key.to_vec().into()));
    PolicyError::UnknownKeys(format!("[{{{key},{}}}]", term::term(value)))
}

#[cfg(test)]
mod tests;
