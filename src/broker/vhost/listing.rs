//! What is in a vhost, for those who look at all of it.

use amqp_codec::ShortString;

use super::VHost;
use crate::broker::definition::{BindingDefinition, Definition, ExchangeDefinition};
use crate::broker::exchange::ExchangeKind;
use crate::broker::queue_cell::QueueId;

impl VHost {
    /// All exchanges but the default one, in no particular order. Cost: a clone of each name and its
    /// arguments, under the topology's lock.
    pub fn exchanges(&self) -> Vec<ExchangeDefinition> {
        let topology = self.topology.read();
        let exchanges = topology.exchanges().map(|(name, exchange)| ExchangeDefinition {
            name: name.clone(),
            properties: exchange.properties.clone(),
        });
        exchanges.collect()
    }

    /// The type of an exchange, if there is one of this name.
    pub fn exchange_kind(&self, name: &ShortString) -> Option<ExchangeKind> {
        self.topology.read().find(name).map(|exchange| exchange.properties.kind)
    }

    /// All bindings but those of the default exchange, in no particular order. With the queue's number
    /// where one leads to a queue.
    pub fn bindings(&self) -> Vec<(BindingDefinition, Option<QueueId>)> {
        let topology = self.topology.read();
        let bindings = topology.bindings().map(|binding| {
            let queue = match &binding.destination {
                crate::broker::binding::Destination::Queue(queue) => Some(queue.id),
                crate::broker::binding::Destination::Exchange(_) => None,
            };
            (Definition::from(binding), queue)
        });
        let bindings = bindings.filter_map(|(definition, queue)| match definition {
            Definition::Binding(binding) => Some((binding, queue)),
            _ => None,
        });
        bindings.collect()
    }
}
