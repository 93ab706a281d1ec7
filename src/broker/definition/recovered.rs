//! What an earlier process wrote down, sorted.

use std::collections::{BTreeMap, HashMap};

use amqp_codec::ShortString;

use super::{BindingDefinition, Definition, DefinitionError, ExchangeDefinition, QueueDefinition};
use crate::broker::deduplication::KeptKey;
use crate::broker::effect::Position;
use crate::broker::parameter::{GlobalParameter, Parameter};
use crate::broker::policy::Policy;
use crate::broker::queue;
use crate::broker::queue_cell::QueueId;
use crate::broker::stored_key::{KeyParts, Kind};
use crate::broker::vhost::VHostMetadata;

/// Everything that was written down.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What every vhost has.
    pub vhosts: BTreeMap<ShortString, VHostDefinitions>,
    /// The parameters of the whole broker.
    pub global_parameters: Vec<GlobalParameter>,
    /// What was seen before, and is a duplicate when it comes again.
    pub seen: SeenKeys,
    /// Up to where messages of queues may have been delivered without being marked so.
    pub in_doubt: HashMap<QueueId, Position>,
}

/// What was written down of a vhost.
#[derive(Debug, Default)]
pub struct VHostDefinitions {
    /// What is known of it, if it was written down itself.
    pub metadata: Option<VHostMetadata>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// The operator policies.
    pub operator_policies: Vec<Policy>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// The durable exchanges, but for the predeclared ones.
    pub exchanges: Vec<ExchangeDefinition>,
    /// The durable queues.
    pub queues: Vec<QueueDefinition>,
    /// The bindings with durable ends.
    pub bindings: Vec<BindingDefinition>,
}

/// A key that a deduplication window noted: what was stored, as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The key in the store.
    pub stored_under: Vec<u8>,
    /// What the window is to know.
    pub kept: KeptKey,
}

impl Seen {
    /// What the window is to know.
    pub fn into_kept(self) -> KeptKey {
        self.kept
    }
}

/// What all deduplication windows noted.
#[derive(Debug, Default)]
pub struct SeenKeys {
    /// By vhost and exchange.
    pub exchanges: HashMap<(ShortString, ShortString), Vec<Seen>>,
    /// By queue.
    pub queues: HashMap<QueueId, Vec<Seen>>,
}

impl Recovered {
    /// Reads all keys and values that were put into a store and not removed since, in any order.
    ///
    /// # Errors
    /// [`DefinitionError`], for the first that can't be read.
    pub fn read(
        pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, DefinitionError> {
        let mut recovered = Self::default();
        for (key, value) in pairs {
            match Kind::of(&key) {
                Some(Kind::SeenByExchange | Kind::SeenByQueue) => {
                    recovered.seen.add(key, &value)?;
                }
                Some(Kind::InDoubt) => {
                    let queue = KeyParts::of(&key).number().map(QueueId);
                    let read = queue.zip(queue::decode_in_doubt(&value));
                    let refused = || DefinitionError::new(&key, "no position that is in doubt");
                    let (queue, until) = read.ok_or_else(refused)?;
                    recovered.in_doubt.insert(queue, until);
                }
                _ => {
                    let (vhost, definition) = Definition::decode(&key, &value)?;
                    match definition {
                        Definition::GlobalParameter(it) => recovered.global_parameters.push(it),
                        of_vhost => recovered.vhosts.entry(vhost).or_default().add(of_vhost),
                    }
                }
            }
        }
        Ok(recovered)
    }
}

impl VHostDefinitions {
    fn add(&mut self, definition: Definition) {
        match definition {
            Definition::VHost(metadata) => self.metadata = Some(metadata),
            Definition::Exchange(exchange) => self.exchanges.push(exchange),
            Definition::Queue(queue) => self.queues.push(queue),
            Definition::Binding(binding) => self.bindings.push(binding),
            Definition::Policy(policy) => self.policies.push(policy),
            Definition::OperatorPolicy(policy) => self.operator_policies.push(policy),
            Definition::Parameter(parameter) => self.parameters.push(parameter),
            // It is no vhost's.
            Definition::GlobalParameter(_) => {}
        }
    }
}

impl SeenKeys {
    fn add(&mut self, key: Vec<u8>, value: &[u8]) -> Result<(), DefinitionError> {
        let mut parts = KeyParts::of(&key);
        let owner = if Kind::of(&key) == Some(Kind::SeenByQueue) {
            parts.number().map(|id| self.queues.entry(QueueId(id)).or_default())
        } else {
            let names = parts.name().zip(parts.name());
            names.map(|names| self.exchanges.entry(names).or_default())
        };
        let kept = KeptKey::decode(parts.rest(), value);
        match owner.zip(kept) {
            Some((owner, kept)) => {
                owner.push(Seen { stored_under: key, kept });
                Ok(())
            }
            None => Err(DefinitionError::new(&key, "no key that was seen")),
        }
    }

    /// The keys in the store of all that is left here: of exchanges and queues that are gone.
    pub fn into_stored_keys(self) -> impl Iterator<Item = Vec<u8>> {
        let all = self.exchanges.into_values().chain(self.queues.into_values());
        all.flatten().map(|seen| seen.stored_under)
    }
}
