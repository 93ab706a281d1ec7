//! What is in a vhost, for those who look at all of it.

use amqp_codec::ShortString;

use super::VHost;
use crate::broker::binding::Binding;
use crate::broker::definition::ExchangeDefinition;
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};

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

    /// What an exchange was declared with, if there is one of this name.
    pub fn exchange_properties(&self, name: &ShortString) -> Option<ExchangeProperties> {
        self.topology.read().find(name).map(|exchange| exchange.properties.clone())
    }

    /// All bindings but those of the default exchange, in no particular order. Cost: a clone of each.
    pub fn bindings(&self) -> Vec<Binding> {
        self.topology.read().bindings().cloned().collect()
    }
}
