//! A vhost takes up what an earlier process wrote down.

use std::time::Instant;

use super::VHost;
use crate::broker::binding::{Binding, Destination};
use crate::broker::definition::{
    BindingDefinition, Definition, DefinitionError, ExchangeDefinition, QueueDefinition, Seen,
    SeenKeys, VHostDefinitions,
};
use crate::broker::error::BrokerError;
use crate::broker::policy::Policies;
use crate::broker::topology::Topology;

impl VHost {
    /// Makes everything that was written down, and does not write it down again. What its
    /// deduplication windows saw is taken out of `seen`. The messages of its queues come afterwards
    /// ([`Queue::restore`](crate::broker::queue::Queue::restore)).
    ///
    /// For a vhost that nobody has used yet.
    ///
    /// # Errors
    /// [`DefinitionError`], for the first definition that can't be in force.
    pub fn restore(
        &self,
        definitions: VHostDefinitions,
        seen: &mut SeenKeys,
        now: Instant,
    ) -> Result<(), DefinitionError> {
        let VHostDefinitions { policies, operator_policies, exchanges, queues, bindings, .. } =
            definitions;
        self.take_up(definitions.metadata.unwrap_or_default());
        self.restore_parameters(definitions.parameters);
        let mut topology = self.topology.write();
        let mut in_force = Policies::default();
        for policy in policies {
            in_force.set(policy);
        }
        for policy in operator_policies {
            let set = in_force.set_operator(policy.clone());
            set.map_err(|error| self.refused(&Definition::OperatorPolicy(policy), &error))?;
        }
        topology.set_policies(in_force);
        for ExchangeDefinition { name, properties } in exchanges {
            let seen = seen.exchanges.remove(&(self.name.clone(), name.clone()));
            let seen = seen.unwrap_or_default().into_iter().map(Seen::into_kept).collect();
            let restored = topology.restore_exchange(&name, properties.clone(), seen, now);
            restored.map_err(|error| {
                let definition = ExchangeDefinition { name, properties };
                self.refused(&Definition::Exchange(definition), &error)
            })?;
        }
        for queue in queues {
            self.restore_queue(&topology, queue, seen, now);
        }
        for binding in bindings {
            self.restore_binding(&mut topology, binding)?;
        }
        self.changed();
        Ok(())
    }

    /// Its life begins anew: `x-expires` counts from now on.
    fn restore_queue(
        &self,
        topology: &Topology,
        definition: QueueDefinition,
        seen: &mut SeenKeys,
        now: Instant,
    ) {
        let QueueDefinition { name, id, properties } = definition;
        self.options.queue_ids.skip(id);
        let queue = self.new_queue(topology, (name.clone(), id), properties, now);
        if let Some(seen) = seen.queues.remove(&id) {
            let kept = seen.into_iter().map(Seen::into_kept).collect();
            queue.state.lock().restore_seen(kept, now);
        }
        self.queues.insert(name, queue);
        self.options.census.queues.add(1);
    }

    /// A binding that has lost an end is no binding any more: it is forgotten.
    fn restore_binding(
        &self,
        topology: &mut Topology,
        definition: BindingDefinition,
    ) -> Result<(), DefinitionError> {
        let BindingDefinition { source, to_queue, destination, routing_key, arguments } =
            definition.clone();
        let queue = to_queue.then(|| self.find_queue(destination.as_bytes()));
        let destination = match queue {
            None => Some(Destination::Exchange(destination)),
            Some(queue) => queue.map(Destination::Queue),
        };
        let restored = match destination {
            None => Ok(false),
            Some(destination) => {
                topology.restore_binding(Binding { source, destination, routing_key, arguments })
            }
        };
        match restored {
            Ok(true) => Ok(()),
            Ok(false) | Err(BrokerError::NotFound(_)) => {
                let BindingDefinition { source, destination, .. } = &definition;
                tracing::warn!(
                    "vhost '{}': a stored binding from '{source}' to '{destination}' is dropped: \
                     one of them is gone",
                    self.name
                );
                topology.definitions().remove(|| Definition::Binding(definition));
                Ok(())
            }
            Err(error) => Err(self.refused(&Definition::Binding(definition), &error)),
        }
    }

    fn refused(&self, definition: &Definition, error: &impl std::fmt::Display) -> DefinitionError {
        DefinitionError::new(&definition.key(&self.name), error.to_string())
    }
}

#[cfg(test)]
mod tests;
