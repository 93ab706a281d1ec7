//! The broker's keys of a store, read: what is defined, and which queue has which number.

use std::collections::BTreeMap;

use amqp_codec::ShortString;

use crate::auth::AccessDefinition;
use crate::broker::definition::{Definition, QueueDefinition, Recovered};
use crate::broker::queue_cell::{QueueId, QueueProperties};
use crate::broker::vhost::VHostMetadata;

/// Keys and values, as a store has them.
type Pair = (Vec<u8>, Vec<u8>);

/// What the keys of a store say.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Definitions in the order of their keys: vhosts, exchanges, queues, bindings, policies.
    pub(super) definitions: Vec<(ShortString, Definition)>,
    /// Users, and what they may do.
    pub(super) access: Vec<AccessDefinition>,
    /// Keys by which duplicates are recognised.
    pub(super) seen: u64,
    /// What can't be read.
    pub(super) problems: Vec<String>,
}

impl Stored {
    pub(super) fn read(pairs: &[Pair]) -> Self {
        let mut stored = Self::default();
        for pair in pairs {
            if AccessDefinition::owns(&pair.0) {
                match AccessDefinition::decode(&pair.0, &pair.1) {
                    Ok(definition) => stored.access.push(definition),
                    Err(error) => stored.problems.push(error.to_string()),
                }
                continue;
            }
            match Definition::decode(&pair.0, &pair.1) {
                Ok(found) => stored.definitions.push(found),
                Err(_) => match Recovered::read([pair.clone()]) {
                    Ok(_) => stored.seen += 1,
                    Err(error) => stored.problems.push(error.to_string()),
                },
            }
        }
        stored
    }

    /// How many there are of each kind.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        let kinds = self.definitions.iter().map(|(_, definition)| definition.kind());
        for kind in kinds.chain(self.access.iter().map(AccessDefinition::kind)) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// The queues, in the order of their vhosts and names.
    pub(super) fn queues(&self) -> Vec<(&ShortString, &QueueDefinition)> {
        let queues = self.definitions.iter().filter_map(|(vhost, definition)| match definition {
            Definition::Queue(queue) => Some((vhost, queue)),
            _ => None,
        });
        let mut queues: Vec<_> = queues.collect();
        queues.sort_by_key(|(vhost, queue)| (vhost.as_bytes(), queue.name.as_bytes()));
        queues
    }
}

/// The numbers of the queues that are defined.
pub(super) fn numbers(pairs: &[Pair]) -> Vec<QueueId> {
    Stored::read(pairs).queues().iter().map(|(_, queue)| queue.id).collect()
}

/// Defines a queue of which only the number is known.
pub(super) fn adopt(id: QueueId) -> Vec<Pair> {
    let vhost = ShortString::from_static("/");
    let name = ShortString::truncated(adopted_name(id));
    let properties = QueueProperties { durable: true, ..QueueProperties::default() };
    let definitions = [
        Definition::VHost(VHostMetadata::default()),
        Definition::Queue(QueueDefinition { name, id, properties }),
    ];
    definitions.map(|definition| (definition.key(&vhost), definition.value(&vhost))).to_vec()
}

/// What such a queue is called.
pub(super) fn adopted_name(QueueId(id): QueueId) -> String {
    format!("recovered-{id}")
}
