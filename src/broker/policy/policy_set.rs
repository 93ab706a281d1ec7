//! All policies of one kind in a vhost, and which of them is in force where.

use std::sync::Arc;

use super::{Policy, QueueKind};

/// The policies of a vhost, or its operator policies. Cheap to copy: the policies are shared.
///
/// Of several that match, the one with the highest priority is in force, alone; of equal ones, that whose
/// name sorts first. (RabbitMQ says that it is undefined then, and follows a hash table.)
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// From the strongest to the weakest.
    strongest_first: Vec<Arc<Policy>>,
}

impl PolicySet {
    /// Adds a policy, in the place of the one with its name.
    pub fn set(&mut self, policy: Policy) -> Arc<Policy> {
        self.delete(policy.name());
        let policy = Arc::new(policy);
        self.strongest_first.push(Arc::clone(&policy));
        self.strongest_first.sort_by(|one, other| {
            (other.priority(), one.name()).cmp(&(one.priority(), other.name()))
        });
        policy
    }

    /// Removes the policy of this name; `false` where there is none.
    pub fn delete(&mut self, name: &str) -> bool {
        let before = self.strongest_first.len();
        self.strongest_first.retain(|policy| policy.name() != name);
        self.strongest_first.len() < before
    }

    /// All of them, from the strongest to the weakest.
    pub fn list(&self) -> &[Arc<Policy>] {
        &self.strongest_first
    }

    /// The policy of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Policy>> {
        self.strongest_first.iter().find(|policy| policy.name() == name)
    }

    /// The one that is in force for a queue. Cost: at most one match for each policy.
    pub fn for_queue(&self, name: &[u8], kind: QueueKind) -> Option<&Arc<Policy>> {
        self.strongest_first.iter().find(|policy| policy.is_for_queue(name, kind))
    }

    /// The one that is in force for an exchange. Cost: at most one match for each policy.
    pub fn for_exchange(&self, name: &[u8]) -> Option<&Arc<Policy>> {
        self.strongest_first.iter().find(|policy| policy.is_for_exchange(name))
    }
}
