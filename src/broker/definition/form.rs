//! Definitions as JSON.
//!
//! A table is its AMQP encoding in base64, because JSON has fewer types than AMQP, and the ones a client
//! declared with are compared when it declares again.

use amqp_codec::{FieldTable, RawTable, ShortString};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{BindingDefinition, Definition, ExchangeDefinition, QueueDefinition};
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::parameter::{GlobalParameter, Parameter};
use crate::broker::policy::{ApplyTo, Policy};
use crate::broker::queue_cell::{QueueId, QueueProperties};
use crate::broker::stored_key::Kind;
use crate::broker::vhost::VHostMetadata;
use crate::name::Name;

#[derive(Serialize, Deserialize)]
struct VHostForm {
    vhost: Name,
    #[serde(flatten)]
    metadata: VHostMetadata,
}

#[derive(Serialize, Deserialize)]
struct ParameterForm {
    vhost: Name,
    component: String,
    name: String,
    value: Value,
}

#[derive(Serialize, Deserialize)]
struct GlobalParameterForm {
    name: String,
    value: Value,
}

#[derive(Serialize, Deserialize)]
struct ExchangeForm {
    vhost: Name,
    name: Name,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    arguments: Table,
}

#[derive(Serialize, Deserialize)]
struct QueueForm {
    vhost: Name,
    name: Name,
    id: u64,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    arguments: Table,
}

#[derive(Serialize, Deserialize)]
struct BindingForm {
    vhost: Name,
    source: Name,
    destination: Name,
    destination_type: DestinationType,
    #[serde(default)]
    routing_key: Name,
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    arguments: Table,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum DestinationType {
    Queue,
    Exchange,
}

#[derive(Serialize, Deserialize)]
struct PolicyForm {
    vhost: Name,
    name: String,
    pattern: String,
    #[serde(rename = "apply-to", default = "everything")]
    apply_to: String,
    #[serde(default)]
    priority: i32,
    definition: Table,
}

/// What is written down is durable.
fn yes() -> bool {
    true
}

fn everything() -> String {
    ApplyTo::All.name().to_owned()
}

/// The value of a definition of a vhost.
pub(super) fn encode(definition: &Definition, vhost: &ShortString) -> Vec<u8> {
    let vhost = Name(vhost.clone());
    match definition {
        Definition::VHost(metadata) => json(&VHostForm { vhost, metadata: metadata.clone() }),
        Definition::Exchange(exchange) => json(&exchange_form(vhost, exchange)),
        Definition::Queue(queue) => json(&queue_form(vhost, queue)),
        Definition::Binding(binding) => json(&binding_form(vhost, binding)),
        Definition::Policy(policy) | Definition::OperatorPolicy(policy) => {
            json(&policy_form(vhost, policy))
        }
        Definition::Parameter(parameter) => {
            let Parameter { component, name, value } = parameter.clone();
            json(&ParameterForm { vhost, component, name, value })
        }
        Definition::GlobalParameter(parameter) => {
            let GlobalParameter { name, value } = parameter.clone();
            json(&GlobalParameterForm { name, value })
        }
    }
}

/// What a value says, and of which vhost; or else what is wrong with it.
pub(super) fn decode(kind: Kind, value: &[u8]) -> Result<(ShortString, Definition), String> {
    let (vhost, definition) = match kind {
        Kind::VHost => {
            let VHostForm { vhost, metadata } = read(value)?;
            (vhost, Definition::VHost(metadata))
        }
        Kind::Exchange => exchange(read(value)?)?,
        Kind::Queue => queue(read(value)?),
        Kind::Binding => binding(read(value)?),
        Kind::Policy => {
            let (vhost, policy) = policy(read(value)?)?;
            (vhost, Definition::Policy(policy))
        }
        Kind::OperatorPolicy => {
            let (vhost, policy) = policy(read(value)?)?;
            (vhost, Definition::OperatorPolicy(policy))
        }
        Kind::Parameter => {
            let ParameterForm { vhost, component, name, value } = read(value)?;
            (vhost, Definition::Parameter(Parameter { component, name, value }))
        }
        Kind::GlobalParameter => {
            let GlobalParameterForm { name, value } = read(value)?;
            (Name::default(), Definition::GlobalParameter(GlobalParameter { name, value }))
        }
        Kind::SeenByExchange | Kind::SeenByQueue => {
            return Err("what was seen is no definition".to_owned());
        }
        Kind::InDoubt => return Err("what is in doubt is no definition".to_owned()),
    };
    Ok((vhost.0, definition))
}

fn json(form: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(form).expect("forms have nothing that JSON lacks")
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

fn exchange_form(vhost: Name, exchange: &ExchangeDefinition) -> ExchangeForm {
    let ExchangeProperties { kind, durable, auto_delete, internal, arguments } =
        &exchange.properties;
    ExchangeForm {
        vhost,
        name: Name(exchange.name.clone()),
        kind: kind.name().to_owned(),
        durable: *durable,
        auto_delete: *auto_delete,
        internal: *internal,
        arguments: Table(arguments.clone()),
    }
}

fn exchange(form: ExchangeForm) -> Result<(Name, Definition), String> {
    let ExchangeForm { vhost, name, kind, durable, auto_delete, internal, arguments } = form;
    let kind = ExchangeKind::parse(&ShortString::truncated(kind));
    let kind = kind.map_err(|error| error.to_string())?;
    let arguments = arguments.0;
    let properties = ExchangeProperties { kind, durable, auto_delete, internal, arguments };
    Ok((vhost, Definition::Exchange(ExchangeDefinition { name: name.0, properties })))
}

fn queue_form(vhost: Name, queue: &QueueDefinition) -> QueueForm {
    let QueueProperties { durable, auto_delete, arguments, .. } = &queue.properties;
    QueueForm {
        vhost,
        name: Name(queue.name.clone()),
        id: queue.id.0,
        durable: *durable,
        auto_delete: *auto_delete,
        arguments: Table(arguments.clone()),
    }
}

fn queue(form: QueueForm) -> (Name, Definition) {
    let QueueForm { vhost, name, id, durable, auto_delete, arguments } = form;
    let properties = QueueProperties { durable, auto_delete, owner: None, arguments: arguments.0 };
    (vhost, Definition::Queue(QueueDefinition { name: name.0, id: QueueId(id), properties }))
}

fn binding_form(vhost: Name, binding: &BindingDefinition) -> BindingForm {
    let BindingDefinition { source, to_queue, destination, routing_key, arguments } = binding;
    BindingForm {
        vhost,
        source: Name(source.clone()),
        destination: Name(destination.clone()),
        destination_type: match to_queue {
            true => DestinationType::Queue,
            false => DestinationType::Exchange,
        },
        routing_key: Name(routing_key.clone()),
        arguments: Table(arguments.clone()),
    }
}

fn binding(form: BindingForm) -> (Name, Definition) {
    let BindingForm { vhost, source, destination, destination_type, routing_key, arguments } = form;
    let binding = BindingDefinition {
        source: source.0,
        to_queue: destination_type == DestinationType::Queue,
        destination: destination.0,
        routing_key: routing_key.0,
        arguments: arguments.0,
    };
    (vhost, Definition::Binding(binding))
}

fn policy_form(vhost: Name, policy: &Policy) -> PolicyForm {
    PolicyForm {
        vhost,
        name: policy.name().to_owned(),
        pattern: policy.pattern().as_str().to_owned(),
        apply_to: policy.apply_to().name().to_owned(),
        priority: policy.priority(),
        definition: Table(policy.definition().clone()),
    }
}

fn policy(form: PolicyForm) -> Result<(Name, Policy), String> {
    let PolicyForm { vhost, name, pattern, apply_to, priority, definition } = form;
    let apply_to = ApplyTo::parse(&apply_to);
    let policy = apply_to.and_then(|apply_to| {
        let policy = Policy::from_table(name, &pattern, definition.0)?;
        Ok(policy.with_apply_to(apply_to).with_priority(priority))
    });
    Ok((vhost, policy.map_err(|error| error.to_string())?))
}

/// Arguments, or the definition of a policy.
#[derive(Default)]
struct Table(FieldTable);

impl Table {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = BytesMut::new();
        self.0.encode(&mut bytes);
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let base64 = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(base64).map_err(D::Error::custom)?;
        table(&bytes).map(Self).map_err(D::Error::custom)
    }
}

/// Each entry is within a table's limits. All of them together need not be: the broker adds the type of a
/// queue to the arguments a client gave.
fn table(bytes: &[u8]) -> Result<FieldTable, String> {
    let (length, entries) = bytes.split_first_chunk().ok_or("a table without a length")?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(entries.len()) {
        return Err("a table of another length than it says".to_owned());
    }
    let mut table = FieldTable::new();
    for entry in RawTable(entries) {
        let decoded = entry.and_then(|(name, value)| Ok((name, value.decode()?)));
        let (name, value) = decoded.map_err(|error| error.to_string())?;
        table.push(ShortString::new(name).map_err(|error| error.to_string())?, value);
    }
    Ok(table)
}
