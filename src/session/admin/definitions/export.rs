//! What is configured, as a document.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::auth::AccessDefinition;
use crate::broker::binding::{Binding, Destination};
use crate::broker::definition::Definition;
use crate::broker::policy::Policy;
use crate::broker::vhost::VHost;
use crate::protocol::handshake::RABBITMQ_VERSION;
use crate::session::admin::AdminError;
use crate::session::host::Host;

/// What has its exact octets in the store, and no place in RabbitMQ's documents.
const EXACT: [&str; 2] = ["arguments_amqp", "definition_amqp"];

impl Host {
    /// The definitions of the whole broker: all that an empty one needs to be configured the same. Queues
    /// that belong to a connection are left out, and what RabbitMQ always has.
    pub fn export_definitions(&self) -> Map<String, Value> {
        let mut document = versions();
        let vhosts = self.vhosts();
        let of_vhosts = |vhost: &Arc<VHost>| {
            Definition::VHost(vhost.metadata().as_ref().clone()).to_json(vhost.name())
        };
        document.insert("vhosts".to_owned(), vhosts.iter().map(of_vhosts).collect());
        let users = self.users().into_iter().map(AccessDefinition::User);
        let permissions = self.permissions().into_iter().map(AccessDefinition::Permissions);
        let topics = self.topic_permissions().into_iter().map(AccessDefinition::TopicPermissions);
        document.insert("users".to_owned(), users.map(|it| it.to_json()).collect());
        document.insert("permissions".to_owned(), permissions.map(|it| it.to_json()).collect());
        document.insert("topic_permissions".to_owned(), topics.map(|it| it.to_json()).collect());
        let globals = self.global_parameters().into_iter();
        let globals = globals.map(|it| json!({ "name": it.name, "value": it.value }));
        document.insert("global_parameters".to_owned(), globals.collect());
        for (list, definitions) in LISTS {
            let all = vhosts.iter().flat_map(|vhost| {
                let definitions = definitions(self, vhost).into_iter();
                definitions.map(|definition| plain(&definition, vhost))
            });
            document.insert(list.to_owned(), all.collect());
        }
        document
    }

    /// The definitions of one vhost, without its name.
    ///
    /// # Errors
    /// [`AdminError::UnknownVHost`].
    pub fn export_vhost_definitions(&self, vhost: &str) -> Result<Map<String, Value>, AdminError> {
        let vhost = self.existing_vhost(vhost)?;
        let mut document = versions();
        for (list, definitions) in LISTS {
            let all = definitions(self, &vhost).into_iter().map(|definition| {
                let mut object = plain(&definition, &vhost);
                // RabbitMQ has it for parameters and policies.
                if !matches!(list, "parameters" | "policies") {
                    object.remove("vhost");
                }
                object
            });
            document.insert(list.to_owned(), all.collect());
        }
        Ok(document)
    }
}

/// A list of the document, and what of a vhost is in it.
type List = (&'static str, fn(&Host, &VHost) -> Vec<Definition>);

const LISTS: [List; 5] = [
    ("parameters", |host, vhost| {
        host.parameters(vhost).into_iter().map(Definition::Parameter).collect()
    }),
    ("policies", |_, vhost| {
        let policies = vhost.policies();
        policies.iter().map(|policy| Definition::Policy(Policy::clone(policy))).collect()
    }),
    ("queues", |_, vhost| {
        let mut queues = vhost.queues();
        queues.retain(|queue| queue.properties.owner.is_none());
        queues.sort_by(|one, other| one.name.cmp(&other.name));
        queues.iter().map(|queue| Definition::from(&**queue)).collect()
    }),
    ("exchanges", |_, vhost| {
        let mut exchanges = vhost.exchanges();
        exchanges.retain(|exchange| !exchange.name.as_bytes().starts_with(b"amq."));
        exchanges.sort_by(|one, other| one.name.cmp(&other.name));
        exchanges.into_iter().map(Definition::Exchange).collect()
    }),
    ("bindings", |_, vhost| {
        let mut bindings = vhost.bindings();
        bindings.retain(|binding| !leads_to_exclusive(binding));
        bindings.sort_by(|one, other| {
            let key = |binding: &Binding| (binding.source.clone(), binding.routing_key.clone());
            key(one).cmp(&key(other))
        });
        bindings.iter().map(Definition::from).collect()
    }),
];

fn leads_to_exclusive(binding: &Binding) -> bool {
    match &binding.destination {
        Destination::Queue(queue) => queue.properties.owner.is_some(),
        Destination::Exchange(_) => false,
    }
}

fn plain(definition: &Definition, vhost: &VHost) -> Map<String, Value> {
    let mut object = definition.to_json(vhost.name());
    EXACT.into_iter().for_each(|key| drop(object.remove(key)));
    object
}

/// RabbitMQ reads the version, to know which form a document has.
fn versions() -> Map<String, Value> {
    let versions = [
        ("rabbit_version", RABBITMQ_VERSION),
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("product_name", "leveret"),
        ("product_version", env!("CARGO_PKG_VERSION")),
    ];
    versions.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}
