//! A vhost's exchanges and bindings as an administrator sees them.

use amqp_codec::{FieldTable, ShortString};

use super::{ExchangeTraffic, Topology, VHost, VHostTraffic};
use crate::broker::binding::Binding;
use crate::broker::exchange::{Exchange, ExchangeKind, ExchangeProperties};
use crate::broker::policy::EffectiveDefinition;
use crate::broker::queue_cell::QueueCell;

/// An exchange as an administrator sees it.
#[derive(Debug, Clone)]
pub struct ExchangeReport {
    /// Its name; empty for the default exchange.
    pub name: ShortString,
    /// What it was declared with.
    pub properties: ExchangeProperties,
    /// The policy that is in force for it.
    pub policies: EffectiveDefinition,
    /// Messages that clients published to it.
    pub published_in: u64,
    /// How often these went to queues.
    pub published_out: u64,
}

impl ExchangeReport {
    fn new(name: &ShortString, exchange: &Exchange) -> Self {
        let (published_in, published_out) = exchange.traffic().read();
        let (name, properties) = (name.clone(), exchange.properties.clone());
        let policies = exchange.policies().effective_definition();
        Self { name, properties, policies, published_in, published_out }
    }

    /// The exchange that every queue is bound to by its name.
    fn of_default(traffic: &ExchangeTraffic) -> Self {
        let (published_in, published_out) = traffic.read();
        let properties = ExchangeProperties {
            kind: ExchangeKind::Direct,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::default(),
        };
        let policies = EffectiveDefinition::default();
        let name = ShortString::default();
        Self { name, properties, policies, published_in, published_out }
    }
}

impl VHost {
    /// All exchanges, the default one included, in no particular order.
    pub fn exchange_reports(&self) -> Vec<ExchangeReport> {
        let topology = self.topology.read();
        let declared = topology.exchanges().map(|(name, it)| ExchangeReport::new(name, it));
        std::iter::once(ExchangeReport::of_default(&self.default_traffic)).chain(declared).collect()
    }

    /// The exchange of this name, if there is one.
    pub fn exchange_report(&self, name: &ShortString) -> Option<ExchangeReport> {
        if name.is_empty() {
            return Some(ExchangeReport::of_default(&self.default_traffic));
        }
        Some(ExchangeReport::new(name, self.topology.read().find(name)?))
    }

    /// How many exchanges there are, the default one included.
    pub fn exchange_count(&self) -> usize {
        self.topology.read().exchanges().count() + 1
    }

    /// How many queues there are.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// All bindings that clients made, in no particular order, with the queues they lead to.
    pub fn made_bindings(&self) -> Vec<Binding> {
        self.topology.read().bindings().cloned().collect()
    }

    /// The bindings that lead from an exchange.
    pub fn bindings_from(&self, exchange: &ShortString) -> Vec<Binding> {
        let topology = self.topology.read();
        let Some(source) = topology.find(exchange) else { return Vec::new() };
        source.binding_ids().filter_map(|id| topology.binding(id).cloned()).collect()
    }

    /// The bindings that lead to a queue.
    pub fn bindings_to_queue(&self, queue: &QueueCell) -> Vec<Binding> {
        cloned(&self.topology.read(), |topology| topology.bindings_to_queue(queue.id))
    }

    /// The bindings that lead to an exchange.
    pub fn bindings_to_exchange(&self, exchange: &ShortString) -> Vec<Binding> {
        cloned(&self.topology.read(), |topology| topology.bindings_to_exchange(exchange))
    }

    /// What came, and what came and went.
    pub fn traffic(&self) -> &VHostTraffic {
        &self.traffic
    }
}

fn cloned<'a, I: Iterator<Item = &'a Binding>>(
    topology: &'a Topology,
    find: impl FnOnce(&'a Topology) -> I,
) -> Vec<Binding> {
    find(topology).cloned().collect()
}
