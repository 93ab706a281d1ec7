//! The end of a vhost.

use super::{DeleteConditions, QueueEffects, VHost};
use crate::broker::definition::Definition;
use crate::broker::effect::Effects;
use crate::broker::policy::Policy;

impl VHost {
    /// Deletes everything in it, and what was written down of it. Nothing can be declared any more, and
    /// nothing is written down any more; what its clients do otherwise leads nowhere.
    ///
    /// Cost: everything in it, each queue under its own lock.
    pub fn close(&self, by: &str, out: &mut QueueEffects) {
        self.topology.write().close();
        for queue in self.queues() {
            let mut effects = Effects::default();
            // Without conditions it can't be refused.
            let _ = self.delete_for(&queue, DeleteConditions::default(), by, &mut effects);
            out.push((queue, effects));
        }
        let mut topology = self.topology.write();
        topology.clear(by);
        let (policies, definitions) = (topology.policies(), topology.definitions());
        let of = |policy: &Policy| Policy::clone(policy);
        for policy in policies.policies().list() {
            definitions.remove(|| Definition::Policy(of(policy)));
        }
        for policy in policies.operator_policies().list() {
            definitions.remove(|| Definition::OperatorPolicy(of(policy)));
        }
        for parameter in self.parameters() {
            definitions.remove(|| Definition::Parameter(parameter));
        }
        definitions.remove(|| Definition::VHost(self.metadata().as_ref().clone()));
        topology.close_definitions();
        drop(topology);
        self.changed();
    }
}
