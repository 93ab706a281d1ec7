//! What is written down of a vhost, and of the broker: what is to be there again after a restart.
//!
//! A definition is a key and a value. The key is binary and tells definitions apart; the value is JSON,
//! for people to read and for later versions to add to: what this version does not know is passed over,
//! and what an earlier one did not write has its default.

mod document;
mod error;
mod form;
mod json;
mod recovered;
mod writer;

use amqp_codec::{FieldTable, ShortString};

pub use self::document::{PREFIXES, document};
pub use self::error::DefinitionError;
pub use self::recovered::{Recovered, Seen, SeenKeys, VHostDefinitions};
pub(super) use self::writer::DefinitionWriter;
use super::binding::{Binding, BindingKey, Destination};
use super::exchange::ExchangeProperties;
use super::parameter::{GlobalParameter, Parameter};
use super::policy::Policy;
use super::queue_cell::{QueueCell, QueueId, QueueProperties};
use super::stored_key::{Kind, StoredKey};
use super::vhost::VHostMetadata;

/// One thing that is written down.
#[derive(Debug, Clone)]
pub enum Definition {
    /// The vhost itself.
    VHost(VHostMetadata),
    /// A durable exchange.
    Exchange(ExchangeDefinition),
    /// A durable queue.
    Queue(QueueDefinition),
    /// A binding with two durable ends.
    Binding(BindingDefinition),
    /// A policy.
    Policy(Policy),
    /// An operator policy.
    OperatorPolicy(Policy),
    /// A parameter.
    Parameter(Parameter),
    /// A parameter of the whole broker: of no vhost, for which the empty name stands.
    GlobalParameter(GlobalParameter),
}

/// An exchange, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeDefinition {
    /// Its name.
    pub name: ShortString,
    /// What it was declared with.
    pub properties: ExchangeProperties,
}

/// A queue, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDefinition {
    /// Its name.
    pub name: ShortString,
    /// The number under which its messages are stored.
    pub id: QueueId,
    /// What it was declared with. It has no owner: what belongs to a connection ends with it.
    pub properties: QueueProperties,
}

/// A binding, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingDefinition {
    /// The exchange it leads from.
    pub source: ShortString,
    /// Whether it leads to a queue, or else to an exchange.
    pub to_queue: bool,
    /// The queue or exchange it leads to.
    pub destination: ShortString,
    /// The routing key, or pattern.
    pub routing_key: ShortString,
    /// Its arguments.
    pub arguments: FieldTable,
}

impl Definition {
    /// What tells it from all other definitions of all vhosts.
    pub fn key(&self, vhost: &ShortString) -> Vec<u8> {
        let key = |kind| StoredKey::new(kind).name(vhost);
        match self {
            Self::VHost(_) => key(Kind::VHost).end(),
            Self::Exchange(exchange) => key(Kind::Exchange).name(&exchange.name).end(),
            Self::Queue(queue) => key(Kind::Queue).name(&queue.name).end(),
            Self::Binding(binding) => {
                let BindingDefinition { to_queue, destination, routing_key, arguments, .. } =
                    binding;
                let destination = (*to_queue, destination);
                let binding_key = BindingKey::of_names(destination, routing_key, arguments);
                binding_key.put(key(Kind::Binding).name(&binding.source))
            }
            Self::Policy(policy) => key(Kind::Policy).rest(policy.name().as_bytes()),
            Self::OperatorPolicy(policy) => {
                key(Kind::OperatorPolicy).rest(policy.name().as_bytes())
            }
            Self::Parameter(Parameter { component, name, .. }) => {
                let component = ShortString::truncated(component);
                key(Kind::Parameter).name(&component).rest(name.as_bytes())
            }
            Self::GlobalParameter(parameter) => {
                StoredKey::new(Kind::GlobalParameter).rest(parameter.name.as_bytes())
            }
        }
    }

    /// All of it, as JSON.
    pub fn value(&self, vhost: &ShortString) -> Vec<u8> {
        form::encode(self, vhost)
    }

    /// Reads what [`Definition::key`] and [`Definition::value`] gave, and the vhost it is of.
    ///
    /// # Errors
    /// [`DefinitionError`], for what is not that.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<(ShortString, Self), DefinitionError> {
        let refused = |reason: String| DefinitionError::new(key, reason);
        let kind = Kind::of(key).ok_or_else(|| refused("of an unknown kind".to_owned()))?;
        let (vhost, definition) = form::decode(kind, value).map_err(refused)?;
        if definition.key(&vhost) != key {
            return Err(refused("its value belongs to another key".to_owned()));
        }
        Ok((vhost, definition))
    }
}

impl From<&QueueCell> for Definition {
    fn from(queue: &QueueCell) -> Self {
        let QueueCell { id, name, properties, .. } = queue;
        let (name, properties) = (name.clone(), properties.clone());
        Self::Queue(QueueDefinition { name, id: *id, properties })
    }
}

impl From<&Binding> for Definition {
    fn from(binding: &Binding) -> Self {
        let (to_queue, destination) = match &binding.destination {
            Destination::Queue(queue) => (true, queue.name.clone()),
            Destination::Exchange(name) => (false, name.clone()),
        };
        Self::Binding(BindingDefinition {
            source: binding.source.clone(),
            to_queue,
            destination,
            routing_key: binding.routing_key.clone(),
            arguments: binding.arguments.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
