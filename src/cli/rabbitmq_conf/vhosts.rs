//! `default_limits.vhosts.*`, `default_policies.operator.*` and `default_users.*`: what new vhosts begin with.

use super::duration::milliseconds;
use super::known::words;
use super::meaning::Meaning;
use crate::cli::given::Given;

/// Something that new vhosts begin with: a line of `rabbitmq.conf`, and which others it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct OfNewVHosts {
    /// What the lines that belong together share: an id, or a name.
    pub(in crate::cli) name: String,
    pub(in crate::cli) part: Part,
}

/// What such a line says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Part {
    /// Limits are for vhosts whose names match.
    LimitPattern(String),
    MaxConnections(i64),
    MaxQueues(i64),
    /// A user may use vhosts whose names match.
    UserPattern(String),
    UserPassword(String),
    UserTags(Vec<String>),
    UserConfigure(String),
    UserWrite(String),
    UserRead(String),
    /// An operator policy is for vhosts whose names match.
    PolicyPattern(String),
    QueuePattern(String),
    ApplyTo(String),
    /// A key of the policy, as policies have it.
    Limit(String, i64),
}

/// What a key of these is; none for others.
pub(super) fn of_new_vhosts(key: &str, value: &str) -> Option<Meaning> {
    let words = words(key);
    let (name, part) = match words[..] {
        ["default_limits", "vhosts", id, what] => (id, limit(what, value)?),
        ["default_users", name, what] => (name, user(what, value)?),
        ["default_policies", "operator", name, what] => (name, policy(what, value)?),
        _ => return None,
    };
    Some(match part {
        Ok(part) => Meaning::OfNewVHosts(OfNewVHosts { name: name.replace("\\.", "."), part }),
        Err(expects) => Meaning::Wrong(expects),
    })
}

/// What it says, or what it must be; none where there is no such key.
type Said = Option<Result<Part, &'static str>>;

fn limit(what: &str, value: &str) -> Said {
    let number = || value.parse::<i64>().map_err(|_| "a number");
    Some(match what {
        "pattern" => Ok(Part::LimitPattern(value.to_owned())),
        "max_connections" => number().map(Part::MaxConnections),
        "max_queues" => number().map(Part::MaxQueues),
        _ => return None,
    })
}

fn user(what: &str, value: &str) -> Said {
    let value = value.to_owned();
    Some(Ok(match what {
        "vhost_pattern" => Part::UserPattern(value),
        "password" => Part::UserPassword(value),
        "tags" => Part::UserTags(Given::Text(value).list().unwrap_or_default()),
        "configure" => Part::UserConfigure(value),
        "write" => Part::UserWrite(value),
        "read" => Part::UserRead(value),
        _ => return None,
    }))
}

fn policy(what: &str, value: &str) -> Said {
    let limit = match what {
        "vhost_pattern" => return Some(Ok(Part::PolicyPattern(value.to_owned()))),
        "queue_pattern" => return Some(Ok(Part::QueuePattern(value.to_owned()))),
        "apply_to" => return Some(Ok(Part::ApplyTo(value.to_owned()))),
        "expires" | "message_ttl" => {
            milliseconds(value).ok_or("a time such as 1h, or milliseconds")
        }
        "max_length_bytes" | "max_in_memory_bytes" => {
            let bytes = Given::Text(value.to_owned()).bytes(0..=i64::MAX);
            bytes.ok_or("a number of bytes, such as 50MB")
        }
        "max_length" | "max_in_memory_length" | "delivery_limit" => {
            value.parse().map_err(|_| "a number")
        }
        _ => return None,
    };
    Some(limit.map(|limit| Part::Limit(what.replace('_', "-"), limit)))
}
