//! Definitions as RabbitMQ's definition files have them.

use amqp_codec::{FieldTable, ShortString};
use serde_json::{Map, Value, json};

use super::{BindingDefinition, Definition};
use crate::broker::json::{name, table, table_bytes};
use crate::broker::parameter::{GlobalParameter, Parameter};
use crate::broker::policy::Policy;
use crate::broker::vhost::VHostMetadata;

impl Definition {
    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VHost(_) => "vhost",
            Self::Exchange(_) => "exchange",
            Self::Queue(_) => "queue",
            Self::Binding(_) => "binding",
            Self::Policy(_) => "policy",
            Self::OperatorPolicy(_) => "operator_policy",
            Self::Parameter(_) => "parameter",
            Self::GlobalParameter(_) => "global_parameter",
        }
    }

    /// The object that RabbitMQ's definition files have for it. Where a table has what JSON lacks, its
    /// AMQP encoding stands beside it: `arguments_amqp`, or `definition_amqp`.
    pub fn to_json(&self, vhost: &ShortString) -> Map<String, Value> {
        let mut object = match self {
            Self::VHost(metadata) => return vhost_json(metadata, vhost),
            Self::GlobalParameter(GlobalParameter { name, value }) => {
                return fields(json!({ "name": name, "value": value }));
            }
            Self::Exchange(exchange) => {
                let properties = &exchange.properties;
                let mut object = fields(json!({
                    "name": name(exchange.name.as_bytes()),
                    "type": properties.kind.name(),
                    "durable": properties.durable,
                    "auto_delete": properties.auto_delete,
                    "internal": properties.internal,
                }));
                put_table(&mut object, "arguments", &properties.arguments);
                object
            }
            Self::Queue(queue) => {
                let properties = &queue.properties;
                let mut object = fields(json!({
                    "name": name(queue.name.as_bytes()),
                    "durable": properties.durable,
                    "auto_delete": properties.auto_delete,
                }));
                put_table(&mut object, "arguments", &properties.arguments);
                object
            }
            Self::Binding(binding) => binding_json(binding),
            Self::Policy(policy) | Self::OperatorPolicy(policy) => policy_json(policy),
            Self::Parameter(Parameter { component, name, value }) => {
                fields(json!({ "component": component, "name": name, "value": value }))
            }
        };
        object.insert("vhost".to_owned(), name(vhost.as_bytes()));
        object
    }
}

fn vhost_json(metadata: &VHostMetadata, vhost: &ShortString) -> Map<String, Value> {
    let mut object = fields(json!({ "name": name(vhost.as_bytes()) }));
    if *metadata != VHostMetadata::default() {
        object.insert("metadata".to_owned(), json!(metadata));
    }
    object
}

fn binding_json(binding: &BindingDefinition) -> Map<String, Value> {
    let mut object = fields(json!({
        "source": name(binding.source.as_bytes()),
        "destination": name(binding.destination.as_bytes()),
        "destination_type": if binding.to_queue { "queue" } else { "exchange" },
        "routing_key": name(binding.routing_key.as_bytes()),
    }));
    put_table(&mut object, "arguments", &binding.arguments);
    object
}

fn policy_json(policy: &Policy) -> Map<String, Value> {
    let mut object = fields(json!({
        "name": policy.name(),
        "pattern": policy.pattern().as_str(),
        "apply-to": policy.apply_to().name(),
        "priority": policy.priority(),
    }));
    put_table(&mut object, "definition", policy.definition());
    object
}

fn put_table(object: &mut Map<String, Value>, key: &str, entries: &FieldTable) {
    let shown = table(entries);
    object.insert(key.to_owned(), shown.json);
    if !shown.is_exact {
        object.insert(format!("{key}_amqp"), table_bytes(entries).into());
    }
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
