//! What a user may do in a vhost.

use std::fmt;

use crate::pattern::{InvalidPattern, Pattern};

/// What somebody wants to do with an exchange or a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Make, or delete.
    Configure,
    /// Put messages in.
    Write,
    /// Take messages out.
    Read,
}

/// In the word of RabbitMQ's error texts.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// A pattern that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{pattern}' is not a regular expression: {reason}")]
pub struct InvalidPermission {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: InvalidPattern,
}

/// The names that one permission is for. Most users have all of them or none, which costs no matching.
#[derive(Debug, Clone)]
pub enum Right {
    /// None: the empty pattern. RabbitMQ takes it for `^$`.
    Nothing,
    /// All of them: `.*`.
    Everything,
    /// Those in which the pattern is found somewhere.
    Matching(Box<Pattern>),
}

impl Right {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidPermission`].
    pub fn new(pattern: &str) -> Result<Self, InvalidPermission> {
        match pattern {
            "" => Ok(Self::Nothing),
            ".*" => Ok(Self::Everything),
            _ => match Pattern::new(pattern) {
                Ok(pattern) => Ok(Self::Matching(Box::new(pattern))),
                Err(reason) => Err(InvalidPermission { pattern: pattern.to_owned(), reason }),
            },
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Everything => ".*",
            Self::Matching(pattern) => pattern.as_str(),
        }
    }

    /// Whether it is for this name.
    pub fn covers(&self, name: &[u8]) -> bool {
        match self {
            Self::Nothing => name.is_empty(),
            Self::Everything => true,
            Self::Matching(pattern) => pattern.matches(name),
        }
    }
}

impl PartialEq for Right {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// What a user may do in a vhost.
#[derive(Debug, Clone, PartialEq)]
pub struct Permissions {
    /// What the user may make and delete.
    pub configure: Right,
    /// What the user may put messages into.
    pub write: Right,
    /// What the user may take messages from.
    pub read: Right,
}

impl Permissions {
    /// Reads three patterns.
    ///
    /// # Errors
    /// [`InvalidPermission`], for the first that is none.
    pub fn new(configure: &str, write: &str, read: &str) -> Result<Self, InvalidPermission> {
        let (configure, write, read) =
            (Right::new(configure)?, Right::new(write)?, Right::new(read)?);
        Ok(Self { configure, write, read })
    }

    /// Everything is allowed.
    pub fn all() -> Self {
        let everything = || Right::Everything;
        Self { configure: everything(), write: everything(), read: everything() }
    }

    /// What one of them is for.
    pub fn right(&self, permission: Permission) -> &Right {
        match permission {
            Permission::Configure => &self.configure,
            Permission::Write => &self.write,
            Permission::Read => &self.read,
        }
    }
}

/// What a user may do on a topic exchange, by routing key. In the patterns `{username}` and `{vhost}` stand
/// for the user's and the vhost's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPermissions {
    write: String,
    read: String,
}

impl TopicPermissions {
    /// Reads two patterns: for routing keys to publish with, and for binding keys.
    ///
    /// # Errors
    /// [`InvalidPermission`], for the first that is none.
    pub fn new(
        write: impl Into<String>,
        read: impl Into<String>,
    ) -> Result<Self, InvalidPermission> {
        let permissions = Self { write: write.into(), read: read.into() };
        for pattern in [&permissions.write, &permissions.read] {
            // What stands for a name has no meaning in a pattern, so any names will do.
            expand(pattern, "username", "vhost")?;
        }
        Ok(permissions)
    }

    /// The pattern for routing keys to publish with.
    pub fn write(&self) -> &str {
        &self.write
    }

    /// The pattern for binding keys.
    pub fn read(&self) -> &str {
        &self.read
    }

    /// The same for a user in a vhost. A pattern that is too large with these names covers nothing.
    pub(super) fn expand(&self, username: &str, vhost: &str) -> TopicRights {
        let expand = |pattern: &str| expand(pattern, username, vhost).unwrap_or(Right::Nothing);
        TopicRights { write: expand(&self.write), read: expand(&self.read) }
    }
}

/// What one user may do on a topic exchange.
#[derive(Debug, Clone)]
pub(super) struct TopicRights {
    write: Right,
    read: Right,
}

impl TopicRights {
    pub(super) fn covers(&self, permission: Permission, routing_key: &[u8]) -> bool {
        match permission {
            Permission::Configure => true,
            Permission::Write => self.write.covers(routing_key),
            Permission::Read => self.read.covers(routing_key),
        }
    }
}

/// Puts names in the place of variables, as text: a user who is called `.*` matches `.*` alone. A variable
/// without a value here stands for itself.
fn expand(pattern: &str, username: &str, vhost: &str) -> Result<Right, InvalidPermission> {
    let expanded = pattern
        .replace("{username}", &regex::escape(username))
        .replace("{vhost}", &regex::escape(vhost))
        .replace("{client_id}", "\\{client_id\\}");
    let right = Right::new(&expanded);
    right.map_err(|refused| InvalidPermission { pattern: pattern.to_owned(), ..refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_anywhere_in_a_name() {
        let right = |pattern| Right::new(pattern).unwrap();
        assert!(right("q").covers(b"a.q.b"));
        assert!(!right("^q$").covers(b"a.q.b"));
        assert!(right(".*").covers(b"") && right(".*").covers(b"\xFF\n"));
        assert!(right("").covers(b"") && !right("").covers(b"q"), "as ^$");
        assert!(right("^(?!amq\\.)").covers(b"mine") && !right("^(?!amq\\.)").covers(b"amq.topic"));
        let refused = Permissions::new(".*", "[", ".*").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "'[' is not a regular expression: unclosed character class"
        );
    }

    #[test]
    fn variables_stand_for_names_and_for_nothing_else() {
        let topics = TopicPermissions::new("^{username}\\.", "^{vhost}-{client_id}$").unwrap();
        let rights = topics.expand("a.b", "/");
        assert!(rights.covers(Permission::Write, b"a.b.c"));
        assert!(!rights.covers(Permission::Write, b"axb.c"), "a dot in a name is a dot");
        assert!(rights.covers(Permission::Read, b"/-{client_id}"));
        let refused = TopicPermissions::new("", "({username}").unwrap_err();
        assert_eq!(refused.pattern, "({username}");
    }

    #[test]
    fn a_name_can_not_add_variables() {
        let rights = TopicPermissions::new("^{username}$", "").unwrap().expand("{vhost}", "v");
        assert!(rights.covers(Permission::Write, b"{vhost}"));
    }
}
