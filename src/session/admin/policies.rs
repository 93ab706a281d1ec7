//! Policies, set and deleted from outside of any client.

use std::time::Instant;

use super::Acting;
use crate::broker::policy::{Policy, PolicyError};
use crate::broker::vhost::{QueueEffects, VHost};

impl Acting<'_> {
    /// Sets a policy: [`VHost::set_policy`], and what queues have to do then is done.
    pub fn set_policy(&self, vhost: &VHost, policy: Policy, now: Instant) {
        let set = policy.clone();
        self.changing(now, |out| vhost.set_policy(policy, now, out));
        self.tell_policy(vhost.name(), &set);
    }

    /// Deletes a policy; `false` where there is none of this name.
    pub fn delete_policy(&self, vhost: &VHost, name: &str, now: Instant) -> bool {
        let deleted = self.changing(now, |out| vhost.delete_policy(name, now, out));
        if deleted {
            self.tell_named("policy.cleared", name, Some(vhost.name()));
        }
        deleted
    }

    /// Sets an operator policy, as [`Acting::set_policy`] does a policy.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKeys`], for keys that only a policy can set.
    pub fn set_operator_policy(
        &self,
        vhost: &VHost,
        policy: Policy,
        now: Instant,
    ) -> Result<(), PolicyError> {
        let set = policy.clone();
        self.changing(now, |out| vhost.set_operator_policy(policy, now, out))?;
        self.tell_operator_policy(vhost.name(), &set);
        Ok(())
    }

    /// Deletes an operator policy; `false` where there is none of this name.
    pub fn delete_operator_policy(&self, vhost: &VHost, name: &str, now: Instant) -> bool {
        let deleted = self.changing(now, |out| vhost.delete_operator_policy(name, now, out));
        if deleted {
            self.tell_operator_policy_cleared(vhost, name);
        }
        deleted
    }

    fn changing<T>(&self, now: Instant, change: impl FnOnce(&mut QueueEffects) -> T) -> T {
        let mut changed = QueueEffects::new();
        let outcome = change(&mut changed);
        for (queue, mut effects) in changed {
            self.carry_out(&queue, &mut effects, now);
        }
        outcome
    }
}
