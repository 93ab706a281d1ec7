//! A user.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::password::PasswordHash;

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: PasswordHash,
    /// What the user may do beside using vhosts.
    pub tags: Tags,
    /// How much the user may use.
    pub limits: UserLimits,
}

impl User {
    /// A user without a password, tags and limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: PasswordHash::none(),
            tags: Tags::default(),
            limits: UserLimits::default(),
        }
    }
}

/// What a user may do beside using vhosts: RabbitMQ's words, and an operator's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<String>);

impl Tags {
    /// May do everything.
    pub const ADMINISTRATOR: &str = "administrator";
    /// May see everything.
    pub const MONITORING: &str = "monitoring";
    /// May set policies and parameters of the vhosts it can use.
    pub const POLICYMAKER: &str = "policymaker";
    /// May use the management API.
    pub const MANAGEMENT: &str = "management";
    /// May publish in the name of others.
    pub const IMPERSONATOR: &str = "impersonator";

    /// Whether this is one of them.
    pub fn contains(&self, tag: &str) -> bool {
        self.0.iter().any(|own| own == tag)
    }

    /// Whether the management API is open to the user.
    pub fn may_manage(&self) -> bool {
        [Self::ADMINISTRATOR, Self::MONITORING, Self::POLICYMAKER, Self::MANAGEMENT]
            .into_iter()
            .any(|tag| self.contains(tag))
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Reads RabbitMQ's short form: tags with commas between them.
    pub fn parse(list: &str) -> Self {
        list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
    }
}

impl<S: Into<String>> FromIterator<S> for Tags {
    fn from_iter<I: IntoIterator<Item = S>>(tags: I) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }
}

/// With commas between them, as RabbitMQ's older tools show them.
impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A list, or a text with commas: there are files of both kinds.
impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrText;
        impl<'de> Visitor<'de> for ListOrText {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags, or a text with commas between them")
            }

            fn visit_str<E: serde::de::Error>(self, list: &str) -> Result<Tags, E> {
                Ok(Tags::parse(list))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = list.next_element::<String>()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_any(ListOrText)
    }
}

/// How much a user may use. Negative numbers are no limit, and are kept as they were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UserLimits {
    /// Connections open at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Channels open at a time, on all connections together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<i64>,
}

impl UserLimits {
    /// The limit on connections, if there is one.
    pub fn connections(self) -> Option<u64> {
        self.max_connections.and_then(|limit| u64::try_from(limit).ok())
    }

    /// The limit on channels, if there is one.
    pub fn channels(self) -> Option<u64> {
        self.max_channels.and_then(|limit| u64::try_from(limit).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_lists_and_from_texts() {
        for json in ["[\"administrator\",\"ours\"]", "\"administrator, ours\""] {
            let tags: Tags = serde_json::from_str(json).unwrap();
            assert_eq!(tags.iter().collect::<Vec<_>>(), ["administrator", "ours"]);
            assert_eq!(serde_json::to_string(&tags).unwrap(), "[\"administrator\",\"ours\"]");
            assert!(tags.may_manage() && !tags.contains(Tags::IMPERSONATOR));
        }
        assert!(serde_json::from_str::<Tags>("5").is_err());
        assert_eq!(Tags::parse(""), Tags::default());
        assert!(!Tags::parse("ours").may_manage());
    }

    #[test]
    fn a_negative_limit_is_none_and_stays_as_it_is() {
        let limits: UserLimits = serde_json::from_str("{\"max-connections\":-1}").unwrap();
        assert_eq!((limits.connections(), limits.channels()), (None, None));
        assert_eq!(serde_json::to_string(&limits).unwrap(), "{\"max-connections\":-1}");
        let limits: UserLimits = serde_json::from_str("{\"max-channels\":0}").unwrap();
        assert_eq!(limits.channels(), Some(0));
    }
}
