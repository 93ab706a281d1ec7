//! Users and permissions, as they are written down: in the form of RabbitMQ's definition files.

use std::sync::Arc;

use amqp_codec::ShortString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::control::{TopicPermissionsOf, UserPermissions};
use super::password::{HashingAlgorithm, InvalidHash, PasswordHash};
use super::permissions::{Permissions, TopicPermissions};
use super::user::{Tags, User, UserLimits};
use crate::name::Name;

/// The first octets of the keys. The numbers are written on disks and never change; those below 16 are the
/// broker's.
const USER: u8 = 16;
const PERMISSIONS: u8 = 17;
const TOPIC_PERMISSIONS: u8 = 18;

/// What the keys of these definitions start with, and no others.
pub const PREFIXES: [&[u8]; 3] = [&[USER], &[PERMISSIONS], &[TOPIC_PERMISSIONS]];

/// One thing that is written down of who may do what.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessDefinition {
    /// A user.
    User(Arc<User>),
    /// What a user may do in a vhost.
    Permissions(UserPermissions),
    /// What a user may do on a topic exchange.
    TopicPermissions(TopicPermissionsOf),
}

/// Why something that was written down can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored definition \"{}\": {reason}", key.escape_ascii())]
pub struct InvalidAccessDefinition {
    key: Vec<u8>,
    reason: String,
}

/// A user, as definition files have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserForm {
    /// The name.
    pub name: String,
    /// The password itself, for who writes such a file by hand.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// Its hash.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// How it was hashed.
    #[serde(default)]
    pub hashing_algorithm: Option<String>,
    /// The tags.
    #[serde(default)]
    pub tags: Tags,
    /// The limits.
    #[serde(default, deserialize_with = "object_or_list")]
    pub limits: UserLimits,
}

#[derive(Serialize, Deserialize)]
struct PermissionsForm {
    user: String,
    vhost: Name,
    configure: String,
    write: String,
    read: String,
}

#[derive(Serialize, Deserialize)]
struct TopicPermissionsForm {
    user: String,
    vhost: Name,
    exchange: Name,
    write: String,
    read: String,
}

impl AccessDefinition {
    /// Whether keys of this kind are of users and permissions.
    pub fn owns(key: &[u8]) -> bool {
        PREFIXES.into_iter().any(|prefix| key.starts_with(prefix))
    }

    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Permissions(_) => "permission",
            Self::TopicPermissions(_) => "topic_permission",
        }
    }

    /// The vhost that it is about, if it is about one.
    pub fn vhost(&self) -> Option<&ShortString> {
        match self {
            Self::User(_) => None,
            Self::Permissions(permissions) => Some(&permissions.vhost),
            Self::TopicPermissions(permissions) => Some(&permissions.vhost),
        }
    }

    /// What tells it from all other definitions.
    pub fn key(&self) -> Vec<u8> {
        let named = |kind, names: &[&ShortString], user: &str| {
            let mut key = vec![kind];
            for name in names {
                key.push(name.wire_len());
                key.extend_from_slice(name.as_bytes());
            }
            key.extend_from_slice(user.as_bytes());
            key
        };
        match self {
            Self::User(user) => named(USER, &[], &user.name),
            Self::Permissions(of) => named(PERMISSIONS, &[&of.vhost], &of.user),
            Self::TopicPermissions(of) => {
                named(TOPIC_PERMISSIONS, &[&of.vhost, &of.exchange], &of.user)
            }
        }
    }

    /// All of it: the octets of [`AccessDefinition::to_json`].
    pub fn value(&self) -> Vec<u8> {
        Value::Object(self.to_json()).to_string().into_bytes()
    }

    /// The object that RabbitMQ's definition files have for it.
    pub fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::User(user) => object(&UserForm::from(&**user)),
            Self::Permissions(of) => object(&PermissionsForm {
                user: of.user.clone(),
                vhost: Name(of.vhost.clone()),
                configure: of.permissions.configure.as_str().to_owned(),
                write: of.permissions.write.as_str().to_owned(),
                read: of.permissions.read.as_str().to_owned(),
            }),
            Self::TopicPermissions(of) => object(&TopicPermissionsForm {
                user: of.user.clone(),
                vhost: Name(of.vhost.clone()),
                exchange: Name(of.exchange.clone()),
                write: of.permissions.write().to_owned(),
                read: of.permissions.read().to_owned(),
            }),
        }
    }

    /// Reads what definition files have for the permissions of a user.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn permissions_from_json(json: &Value) -> Result<UserPermissions, String> {
        let form: PermissionsForm = read(json)?;
        let PermissionsForm { user, vhost: Name(vhost), configure, write, read } = form;
        let permissions = Permissions::new(&configure, &write, &read);
        let permissions = Arc::new(permissions.map_err(|error| error.to_string())?);
        Ok(UserPermissions { user, vhost, permissions })
    }

    /// Reads what definition files have for the topic permissions of a user.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn topic_permissions_from_json(json: &Value) -> Result<TopicPermissionsOf, String> {
        let form: TopicPermissionsForm = read(json)?;
        let TopicPermissionsForm { user, vhost: Name(vhost), exchange: Name(exchange), .. } = form;
        let permissions = TopicPermissions::new(form.write, form.read);
        let permissions = permissions.map_err(|error| error.to_string())?;
        Ok(TopicPermissionsOf { user, vhost, exchange, permissions })
    }

    /// Reads what [`AccessDefinition::key`] and [`AccessDefinition::value`] gave.
    ///
    /// # Errors
    /// [`InvalidAccessDefinition`], for what is not that.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, InvalidAccessDefinition> {
        let refused = |reason| InvalidAccessDefinition { key: key.to_vec(), reason };
        let json: Value =
            serde_json::from_slice(value).map_err(|error| refused(error.to_string()))?;
        let definition = match key.first() {
            Some(&USER) => read::<UserForm>(&json).and_then(|form| {
                let user = form.stored().map_err(|error| error.to_string())?;
                Ok(Self::User(Arc::new(user)))
            }),
            Some(&PERMISSIONS) => Self::permissions_from_json(&json).map(Self::Permissions),
            Some(&TOPIC_PERMISSIONS) => {
                Self::topic_permissions_from_json(&json).map(Self::TopicPermissions)
            }
            _ => Err("of an unknown kind".to_owned()),
        };
        let definition = definition.map_err(refused)?;
        if definition.key() != key {
            return Err(refused("its value belongs to another key".to_owned()));
        }
        Ok(definition)
    }
}

impl UserForm {
    /// The user without looking at a plain password.
    ///
    /// # Errors
    /// [`InvalidHash`].
    pub fn stored(&self) -> Result<User, InvalidHash> {
        let algorithm = self.hashing_algorithm()?;
        let password = match self.password_hash.as_deref() {
            None | Some("") => PasswordHash::none(),
            Some(base64) => PasswordHash::parse(base64, algorithm)?,
        };
        Ok(User { name: self.name.clone(), password, tags: self.tags.clone(), limits: self.limits })
    }

    /// How the password is hashed, or is to be.
    ///
    /// # Errors
    /// [`InvalidHash::UnknownAlgorithm`].
    pub fn hashing_algorithm(&self) -> Result<HashingAlgorithm, InvalidHash> {
        self.hashing_algorithm.as_deref().map_or(Ok(HashingAlgorithm::default()), str::parse)
    }
}

impl From<&User> for UserForm {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            password: None,
            password_hash: Some(user.password.to_base64()),
            hashing_algorithm: Some(user.password.algorithm().name().to_owned()),
            tags: user.tags.clone(),
            limits: user.limits,
        }
    }
}

fn object(form: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(form) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn read<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}

/// An Erlang broker writes a table without entries as `[]` at times.
fn object_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserLimits, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Array(none) if none.is_empty() => Ok(UserLimits::default()),
        limits => serde_json::from_value(limits).map_err(D::Error::custom),
    }
}
