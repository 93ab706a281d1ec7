//! A document of definitions that was read: nothing in it is malformed.

use amqp_codec::{FieldTable, FieldValue, ShortString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::skipped::Skipped;
use crate::auth::{
    AccessDefinition, PasswordHash, Tags, TopicPermissionsOf, UserForm, UserLimits, UserPermissions,
};
use crate::broker::definition::BindingDefinition;
use crate::broker::error::{BrokerError, ResourceKind};
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::json::from_json;
use crate::broker::parameter::{GlobalParameter, Parameter, VHostLimits};
use crate::broker::policy::{Policy, QueueKind};
use crate::broker::queue_cell::QueueProperties;
use crate::broker::vhost::VHostMetadata;
use crate::name::Name;
use crate::session::admin::{NewPassword, NewUser};

/// The definitions of a broker, or of one vhost.
#[derive(Debug, Default)]
pub struct Definitions {
    pub(super) users: Vec<(NewUser, UserLimits)>,
    pub(super) vhosts: Vec<VHostEntry>,
    pub(super) permissions: Vec<UserPermissions>,
    pub(super) topic_permissions: Vec<TopicPermissionsOf>,
    pub(super) parameters: Vec<(ShortString, Parameter)>,
    pub(super) global_parameters: Vec<GlobalParameter>,
    pub(super) policies: Vec<(ShortString, Policy)>,
    pub(super) queues: Vec<(ShortString, ShortString, QueueProperties)>,
    pub(super) exchanges: Vec<(ShortString, ShortString, ExchangeProperties)>,
    pub(super) bindings: Vec<(ShortString, BindingDefinition)>,
    /// What is in the document and can't be here; its bindings are none of those above.
    pub(super) skipped: Vec<Skipped>,
}

/// A queue or an exchange with its vhost and name, or one of a type that is not known here.
type Entry<T> = Result<(ShortString, ShortString, T), Skipped>;

/// A vhost, and what the document says of it.
#[derive(Debug)]
pub(super) struct VHostEntry {
    pub(super) name: ShortString,
    /// `None`: what is known of one that is there stays.
    pub(super) metadata: Option<VHostMetadata>,
    pub(super) limits: Option<VHostLimits>,
}

/// Why a document is none of definitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct InvalidDefinitions {
    /// Where, as `queues[3]`.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

impl Definitions {
    /// Reads the definitions of a whole broker. Lists that nobody knows are passed over, as RabbitMQ does.
    ///
    /// # Errors
    /// [`InvalidDefinitions`], for the first entry that is malformed.
    pub fn read(json: &Value) -> Result<Self, InvalidDefinitions> {
        let document = Document::of(json, None)?;
        Ok(Self {
            users: document.list("users", user)?,
            vhosts: document.list("vhosts", vhost)?,
            permissions: document.list("permissions", AccessDefinition::permissions_from_json)?,
            topic_permissions: document
                .list("topic_permissions", AccessDefinition::topic_permissions_from_json)?,
            global_parameters: document.list("global_parameters", global_parameter)?,
            ..document.of_vhosts()?
        })
    }

    /// Whether there are users among them.
    pub(in crate::session) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether there are vhosts among them.
    pub(in crate::session) fn has_vhosts(&self) -> bool {
        !self.vhosts.is_empty()
    }

    /// Reads the definitions of one vhost. What is not in a vhost is passed over, and so is the name of the
    /// vhost that the document may have.
    ///
    /// # Errors
    /// [`InvalidDefinitions`], for the first entry that is malformed.
    pub fn read_for_vhost(json: &Value, vhost: &ShortString) -> Result<Self, InvalidDefinitions> {
        Document::of(json, Some(vhost))?.of_vhosts()
    }
}

struct Document<'a> {
    lists: &'a Map<String, Value>,
    /// The vhost that everything is for.
    vhost: Option<&'a ShortString>,
}

impl<'a> Document<'a> {
    fn of(json: &'a Value, vhost: Option<&'a ShortString>) -> Result<Self, InvalidDefinitions> {
        let lists = json.as_object().ok_or_else(|| InvalidDefinitions {
            place: "definitions".to_owned(),
            reason: "not a JSON object".to_owned(),
        })?;
        Ok(Self { lists, vhost })
    }

    fn of_vhosts(&self) -> Result<Definitions, InvalidDefinitions> {
        let mut definitions = Definitions {
            parameters: self.list("parameters", |json| self.parameter(json))?,
            policies: self.list("policies", |json| self.policy(json))?,
            bindings: self.list("bindings", |json| self.binding(json))?,
            ..Definitions::default()
        };
        let Definitions { queues, exchanges, bindings, skipped, .. } = &mut definitions;
        for entry in self.list("queues", |json| self.queue(json))? {
            entry.map_or_else(|unknown| skipped.push(unknown), |queue| queues.push(queue));
        }
        for entry in self.list("exchanges", |json| self.exchange(json))? {
            entry.map_or_else(|unknown| skipped.push(unknown), |exchange| exchanges.push(exchange));
        }
        Skipped::take_bindings(skipped, bindings);
        Ok(definitions)
    }

    fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Vec<T>, InvalidDefinitions> {
        let entries = match self.lists.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                let (place, reason) = (name.to_owned(), "not a list".to_owned());
                return Err(InvalidDefinitions { place, reason });
            }
        };
        let entries = entries.iter().enumerate().map(|(index, entry)| {
            let refused = |reason| InvalidDefinitions { place: format!("{name}[{index}]"), reason };
            read(entry).map_err(refused)
        });
        entries.collect()
    }

    /// The vhost of an entry.
    fn vhost(&self, own: Option<Name>) -> Result<ShortString, String> {
        let own = own.map(|Name(name)| name);
        self.vhost.cloned().or(own).ok_or_else(|| "missing field `vhost`".to_owned())
    }

    fn parameter(&self, json: &Value) -> Result<(ShortString, Parameter), String> {
        let ParameterForm { vhost, component, name, value } = form(json)?;
        let parameter = Parameter { component, name, value };
        let Parameter { component, name, value } = &parameter;
        let checked = match component.as_str() {
            "policy" | "operator_policy" => {
                Policy::from_parameter(name, value).map(|_| ()).map_err(|error| error.to_string())
            }
            of_limits if of_limits == Parameter::VHOST_LIMITS.0 => {
                VHostLimits::from_json(value).map(|_| ()).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        };
        checked?;
        Ok((self.vhost(vhost)?, parameter))
    }

    fn policy(&self, json: &Value) -> Result<(ShortString, Policy), String> {
        let PolicyForm { vhost, name } = form(json)?;
        let policy = Policy::from_parameter(&name, json).map_err(|error| error.to_string())?;
        Ok((self.vhost(vhost)?, policy))
    }

    fn queue(&self, json: &Value) -> Result<Entry<QueueProperties>, String> {
        let QueueForm { vhost, name: Name(name), kind, durable, auto_delete, arguments } =
            form(json)?;
        let (vhost, mut arguments) = (self.vhost(vhost)?, table(&arguments)?);
        if let Some(of_type) = unknown_queue_type(kind.as_deref(), &arguments) {
            return Ok(Err(Skipped {
                kind: ResourceKind::Queue,
                name,
                vhost,
                of_type,
                bindings: 0,
            }));
        }
        if let Some(kind) = kind.as_deref().and_then(queue_kind)
            && kind != QueueKind::Classic
            && !arguments.contains("x-queue-type")
        {
            let kind = FieldValue::LongString(kind.name().into());
            arguments.insert(ShortString::from_static("x-queue-type"), kind);
        }
        let properties = QueueProperties { durable, auto_delete, owner: None, arguments };
        Ok(Ok((vhost, name, properties)))
    }

    fn exchange(&self, json: &Value) -> Result<Entry<ExchangeProperties>, String> {
        let ExchangeForm { vhost, name, kind, durable, auto_delete, internal, arguments } =
            form(json)?;
        let (vhost, Name(name), arguments) = (self.vhost(vhost)?, name, table(&arguments)?);
        let delayed = match arguments.get("x-delayed-type").and_then(FieldValue::as_str) {
            Some(delayed) if kind == ExchangeKind::DelayedMessage.name() => delayed,
            _ => &kind,
        };
        let (delayed, kind) = (exchange_kind(delayed)?, exchange_kind(&kind)?);
        let kind = match delayed.and(kind) {
            Ok(kind) => kind,
            Err(of_type) => {
                let kind = ResourceKind::Exchange;
                return Ok(Err(Skipped { kind, name, vhost, of_type, bindings: 0 }));
            }
        };
        let properties = ExchangeProperties { kind, durable, auto_delete, internal, arguments };
        Ok(Ok((vhost, name, properties)))
    }

    fn binding(&self, json: &Value) -> Result<(ShortString, BindingDefinition), String> {
        let BindingForm { vhost, source, destination, destination_type, routing_key, arguments } =
            form(json)?;
        let binding = BindingDefinition {
            source: source.0,
            to_queue: match destination_type {
                DestinationType::Queue => true,
                DestinationType::Exchange => false,
            },
            destination: destination.0,
            routing_key: routing_key.0,
            arguments: table(&arguments)?,
        };
        Ok((self.vhost(vhost)?, binding))
    }
}

#[derive(Deserialize)]
struct VHostForm {
    name: Name,
    #[serde(default)]
    metadata: Option<Value>,
    #[serde(default)]
    limits: Option<Value>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    default_queue_type: Option<String>,
}

#[derive(Deserialize)]
struct MetadataForm {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    default_queue_type: Option<String>,
    #[serde(default)]
    protected_from_deletion: bool,
    #[serde(default)]
    tracing: bool,
}

#[derive(Deserialize)]
struct ParameterForm {
    vhost: Option<Name>,
    component: String,
    name: String,
    value: Value,
}

#[derive(Deserialize)]
struct GlobalParameterForm {
    name: String,
    value: Value,
}

/// The rest of a policy is its parameter.
#[derive(Deserialize)]
struct PolicyForm {
    vhost: Option<Name>,
    name: String,
}

#[derive(Deserialize)]
struct QueueForm {
    vhost: Option<Name>,
    name: Name,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
struct ExchangeForm {
    vhost: Option<Name>,
    name: Name,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
struct BindingForm {
    vhost: Option<Name>,
    source: Name,
    destination: Name,
    destination_type: DestinationType,
    #[serde(default)]
    routing_key: Name,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DestinationType {
    Queue,
    Exchange,
}

fn yes() -> bool {
    true
}

fn form<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}

/// Arguments. An Erlang broker writes none as `[]` at times.
fn table(json: &Value) -> Result<FieldTable, String> {
    match json {
        Value::Null => Ok(FieldTable::new()),
        Value::Array(none) if none.is_empty() => Ok(FieldTable::new()),
        Value::Object(entries) => from_json(entries).map_err(|error| error.to_string()),
        _ => Err("arguments are not an object".to_owned()),
    }
}

fn user(json: &Value) -> Result<(NewUser, UserLimits), String> {
    let form: UserForm = form(json)?;
    let algorithm = form.hashing_algorithm().map_err(|error| error.to_string())?;
    let password = match (form.password, form.password_hash.as_deref()) {
        (Some(_), Some(hash)) if !hash.is_empty() => {
            return Err("both a password and a password_hash".to_owned());
        }
        (Some(password), _) => NewPassword::Plain(password.into_bytes()),
        (None, None | Some("")) => NewPassword::None,
        (None, Some(hash)) => {
            let hash = PasswordHash::parse(hash, algorithm).map_err(|error| error.to_string())?;
            NewPassword::Hashed(hash)
        }
    };
    Ok((NewUser { name: form.name, password, tags: form.tags }, form.limits))
}

fn vhost(json: &Value) -> Result<VHostEntry, String> {
    let VHostForm { name, metadata, limits, description, tags, default_queue_type } = form(json)?;
    let nested: Option<MetadataForm> = match metadata {
        Some(metadata @ Value::Object(_)) => Some(form(&metadata)?),
        _ => None,
    };
    let is_known =
        nested.is_some() || description.is_some() || tags.is_some() || default_queue_type.is_some();
    let nested = nested.unwrap_or(MetadataForm {
        description: None,
        tags: None,
        default_queue_type: None,
        protected_from_deletion: false,
        tracing: false,
    });
    let tags = nested.tags.or(tags).unwrap_or_default();
    let kind = nested.default_queue_type.or(default_queue_type);
    let metadata = is_known.then(|| VHostMetadata {
        description: nested.description.or(description).unwrap_or_default(),
        tags: tags.iter().map(str::to_owned).collect(),
        default_queue_type: kind.as_deref().and_then(queue_kind),
        protected_from_deletion: nested.protected_from_deletion,
        tracing: nested.tracing,
    });
    let limits = limits.map(|limits| VHostLimits::from_json(&limits)).transpose();
    let limits = limits.map_err(|error| error.to_string())?;
    let limits = limits.filter(|limits| *limits != VHostLimits::default());
    Ok(VHostEntry { name: name.0, metadata, limits })
}

/// A type of queues by its name, or by that of RabbitMQ's module for it. `undefined` is none.
fn queue_kind(name: &str) -> Option<QueueKind> {
    let name = name.strip_prefix("rabbit_").unwrap_or(name);
    QueueKind::parse(name.strip_suffix("_queue").unwrap_or(name))
}

/// The type of a queue, where it is a word that is none here: streams, and what plugins have. What is no word at
/// all is wrong, which the arguments' check says.
fn unknown_queue_type(named: Option<&str>, arguments: &FieldTable) -> Option<String> {
    let (name, kind) = match arguments.get("x-queue-type") {
        Some(argument) => {
            let name = argument.as_str()?;
            (name, QueueKind::parse(name))
        }
        None => {
            let name = named.filter(|name| *name != "undefined")?;
            (name, queue_kind(name))
        }
    };
    match kind {
        Some(QueueKind::Classic | QueueKind::Quorum) => None,
        Some(QueueKind::Stream) | None => Some(name.to_owned()),
    }
}

/// The type of exchanges of this name, or the name, where none here has it.
///
/// # Errors
/// A text, where no type can have such a name.
fn exchange_kind(name: &str) -> Result<Result<ExchangeKind, String>, String> {
    let short = ShortString::new(name).map_err(|error| error.to_string())?;
    match ExchangeKind::parse(&short) {
        Ok(kind) => Ok(Ok(kind)),
        Err(BrokerError::UnknownExchangeType(_)) => Ok(Err(name.to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

fn global_parameter(json: &Value) -> Result<GlobalParameter, String> {
    let GlobalParameterForm { name, value } = form(json)?;
    Ok(GlobalParameter { name, value })
}
