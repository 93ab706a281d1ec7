//! Policies of a vhost: set and deleted, and in force at once for everything that is there.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;

use super::VHost;
use crate::broker::definition::{Definition, DefinitionWriter};
use crate::broker::effect::Effects;
use crate::broker::error::BrokerError;
use crate::broker::policy::{AppliedPolicies, EffectiveDefinition, Policies, Policy, PolicyError};
use crate::broker::queue_cell::QueueCell;

/// What queues ask their caller to do after a change that concerned many of them.
pub type QueueEffects = Vec<(Arc<QueueCell>, Effects)>;

impl VHost {
    /// Sets a policy, in the place of the one with its name. Queues and exchanges that are there follow
    /// before this returns.
    ///
    /// Cost: every policy's pattern on every name, in the worst case.
    pub fn set_policy(&self, policy: Policy, now: Instant, out: &mut QueueEffects) {
        let set = self.change_policies(now, out, |policies, definitions| {
            let set = policies.set(policy);
            definitions.put(|| Definition::Policy(Policy::clone(&set)));
            set
        });
        self.log_set(&set);
    }

    /// Deletes a policy; `false` where there is none of this name.
    pub fn delete_policy(&self, name: &str, now: Instant, out: &mut QueueEffects) -> bool {
        self.change_policies(now, out, |policies, definitions| {
            let policy = policies.policies().get(name).cloned();
            if let Some(policy) = &policy {
                definitions.remove(|| Definition::Policy(Policy::clone(policy)));
            }
            policies.delete(name)
        })
    }

    /// All policies, from the strongest to the weakest.
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        self.topology.read().policies().policies().list().to_vec()
    }

    /// Sets an operator policy, as [`VHost::set_policy`] does a policy.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKeys`], for keys that only a policy can set.
    pub fn set_operator_policy(
        &self,
        policy: Policy,
        now: Instant,
        out: &mut QueueEffects,
    ) -> Result<(), PolicyError> {
        let set = self.change_policies(now, out, |policies, definitions| {
            let set = policies.set_operator(policy)?;
            definitions.put(|| Definition::OperatorPolicy(Policy::clone(&set)));
            Ok(set)
        })?;
        self.log_set(&set);
        Ok(())
    }

    /// Sets operator policies of a vhost that nobody can find yet: there is no queue that would follow.
    ///
    /// # Errors
    /// As [`VHost::set_operator_policy`].
    pub fn begin_with_operator_policies(
        &self,
        begin: impl IntoIterator<Item = Policy>,
    ) -> Result<(), PolicyError> {
        let mut topology = self.topology.write();
        let mut policies = topology.policies().clone();
        for policy in begin {
            let set = policies.set_operator(policy)?;
            topology.definitions().put(|| Definition::OperatorPolicy(Policy::clone(&set)));
            self.log_set(&set);
        }
        topology.set_policies(policies);
        Ok(())
    }

    /// Deletes an operator policy; `false` where there is none of this name.
    pub fn delete_operator_policy(&self, name: &str, now: Instant, out: &mut QueueEffects) -> bool {
        self.change_policies(now, out, |policies, definitions| {
            let policy = policies.operator_policies().get(name).cloned();
            if let Some(policy) = &policy {
                definitions.remove(|| Definition::OperatorPolicy(Policy::clone(policy)));
            }
            policies.delete_operator(name)
        })
    }

    /// All operator policies, from the strongest to the weakest.
    pub fn operator_policies(&self) -> Vec<Arc<Policy>> {
        self.topology.read().policies().operator_policies().list().to_vec()
    }

    /// What is in force for an exchange.
    ///
    /// # Errors
    /// 404, where there is none.
    pub fn exchange_policies(
        &self,
        name: &ShortString,
    ) -> Result<EffectiveDefinition, BrokerError> {
        let topology = self.topology.read();
        topology.exchange(name).map(|exchange| exchange.policies().effective_definition())
    }

    /// In RabbitMQ's words, and in our own what it can't expect of us.
    fn log_set(&self, policy: &Policy) {
        let (name, apply_to, vhost) = (policy.name(), policy.apply_to(), self.name());
        tracing::info!(
            "Successfully set policy '{name}' matching {apply_to} names in virtual host '{vhost}' \
             using pattern '{}'",
            policy.pattern().as_str()
        );
        for key in policy.not_acted_on() {
            tracing::warn!(
                "policy '{name}': '{key}' is kept, and not acted on by this version of leveret"
            );
        }
    }

    /// What is declared after the topology's lock is given back has the new policies from the start; what
    /// was declared before is among the queues that follow.
    fn change_policies<T>(
        &self,
        now: Instant,
        out: &mut QueueEffects,
        change: impl FnOnce(&mut Policies, &DefinitionWriter) -> T,
    ) -> T {
        let _one_at_a_time = self.policy_change.lock();
        let mut topology = self.topology.write();
        let mut policies = topology.policies().clone();
        let outcome = change(&mut policies, topology.definitions());
        let routes_changed = topology.set_policies(policies.clone());
        drop(topology);
        if routes_changed {
            self.changed();
        }
        self.apply_policies_to_queues(&policies, now, out);
        outcome
    }

    /// Puts policies in force for every queue, one after the other: no two of their locks at once.
    fn apply_policies_to_queues(&self, policies: &Policies, now: Instant, out: &mut QueueEffects) {
        for queue in self.queues() {
            let applied: AppliedPolicies = policies.for_queue(queue.name.as_bytes(), queue.kind());
            let mut effects = Effects::default();
            queue.reconfigure(applied, &self.options.queue_defaults, now, &mut effects);
            if !effects.is_empty() {
                out.push((queue, effects));
            }
        }
    }
}

#[cfg(test)]
mod tests;
