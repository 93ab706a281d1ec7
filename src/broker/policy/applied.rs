//! The policies that are in force for one object.

use std::sync::Arc;

use amqp_codec::{FieldTable, FieldValue, ShortString};

use super::{Policy, PolicyError, PolicySet, QueueKind};
use crate::broker::effective::Sources;

/// The policies and operator policies of a vhost. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    policies: PolicySet,
    operator_policies: PolicySet,
}

impl Policies {
    /// The policies.
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The operator policies.
    pub fn operator_policies(&self) -> &PolicySet {
        &self.operator_policies
    }

    /// Sets a policy.
    pub fn set(&mut self, policy: Policy) -> Arc<Policy> {
        self.policies.set(policy)
    }

    /// Sets an operator policy.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKeys`], for keys that only a policy can set.
    pub fn set_operator(&mut self, policy: Policy) -> Result<Arc<Policy>, PolicyError> {
        policy.check_operator()?;
        Ok(self.operator_policies.set(policy))
    }

    /// Deletes a policy; `false` where there is none.
    pub fn delete(&mut self, name: &str) -> bool {
        self.policies.delete(name)
    }

    /// Deletes an operator policy; `false` where there is none.
    pub fn delete_operator(&mut self, name: &str) -> bool {
        self.operator_policies.delete(name)
    }

    /// What is in force for a queue.
    pub fn for_queue(&self, name: &[u8], kind: QueueKind) -> AppliedPolicies {
        AppliedPolicies {
            policy: self.policies.for_queue(name, kind).map(Arc::clone),
            operator: self.operator_policies.for_queue(name, kind).map(Arc::clone),
        }
    }

    /// What is in force for an exchange.
    pub fn for_exchange(&self, name: &[u8]) -> AppliedPolicies {
        AppliedPolicies {
            policy: self.policies.for_exchange(name).map(Arc::clone),
            operator: self.operator_policies.for_exchange(name).map(Arc::clone),
        }
    }
}

/// The policy and the operator policy that are in force for a queue or an exchange.
#[derive(Debug, Clone, Default)]
pub struct AppliedPolicies {
    /// The policy.
    pub policy: Option<Arc<Policy>>,
    /// The operator policy.
    pub operator: Option<Arc<Policy>>,
}

impl AppliedPolicies {
    /// These, beside the arguments of a declaration: what settings are read from.
    pub fn sources<'a>(&'a self, arguments: &'a FieldTable) -> Sources<'a> {
        let (policy, operator) = (self.policy.as_deref(), self.operator.as_deref());
        Sources { arguments, policy, operator }
    }

    /// Whether these are the same two policies, not only policies with the same names.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<Policy>>, other: &Option<Arc<Policy>>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same(&self.policy, &other.policy) && same(&self.operator, &other.operator)
    }

    /// What an administrator is shown.
    pub fn effective_definition(&self) -> EffectiveDefinition {
        let name = |policy: &Option<Arc<Policy>>| policy.as_ref().map(|it| it.name().to_owned());
        EffectiveDefinition {
            policy: name(&self.policy),
            operator_policy: name(&self.operator),
            definition: self.merged(),
        }
    }

    /// Both definitions in one, in order of the keys' names: of numbers the smaller one, of anything else
    /// the operator's.
    fn merged(&self) -> FieldTable {
        let Some(policy) = &self.policy else {
            return self.operator.as_ref().map(|it| it.definition().clone()).unwrap_or_default();
        };
        let mut merged = policy.definition().clone();
        for (key, operators) in self.operator.iter().flat_map(|it| it.definition()) {
            let value =
                merged.get(key).map_or(operators, |own| stronger(key, own, operators)).clone();
            merged.insert(key.clone(), value);
        }
        let mut entries: Vec<_> = merged.into_iter().collect();
        entries.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        entries.into_iter().collect()
    }
}

/// A negative number is "no limit", and gives way to any. A version is a number, but no limit.
fn stronger<'a>(
    key: &ShortString,
    own: &'a FieldValue,
    operators: &'a FieldValue,
) -> &'a FieldValue {
    match (own.as_integer(), operators.as_integer()) {
        _ if key.as_bytes() == b"queue-version" => operators,
        (Some(one), Some(other)) if one >= 0 && (other < 0 || one < other) => own,
        _ => operators,
    }
}

/// What is in force for a queue or an exchange, as an administrator is shown it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EffectiveDefinition {
    /// The policy's name: `policy` in RabbitMQ's HTTP API.
    pub policy: Option<String>,
    /// The operator policy's name: `operator_policy`.
    pub operator_policy: Option<String>,
    /// Both merged, without the arguments: `effective_policy_definition`.
    pub definition: FieldTable,
}
