//! Users, and their limits.

use std::sync::Arc;

use serde_json::Value;

use super::{Acting, AdminError};
use crate::auth::{
    AccessDefinition, HashingAlgorithm, PasswordHash, Put, Tags, UnknownUser, User, UserLimits,
};
use crate::broker::parameter::{limit, unknown_limit};
use crate::session::host::Host;
use crate::session::one_line::OneLine;

/// A user who is to be made, or to be changed.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: NewPassword,
    /// The tags.
    pub tags: Tags,
}

/// What becomes of a user's password.
#[derive(Clone)]
pub enum NewPassword {
    /// It is this one, to be hashed.
    Plain(Vec<u8>),
    /// It is the one with this hash.
    Hashed(PasswordHash),
    /// There is none: the user can't log in with a password.
    None,
    /// It stays as it is; a new user has none.
    Unchanged,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(***)",
            Self::Hashed(_) => "Hashed(***)",
            Self::None => "None",
            Self::Unchanged => "Unchanged",
        })
    }
}

impl Host {
    /// All users, by name.
    pub fn users(&self) -> Vec<Arc<User>> {
        self.access.control().users().map(Arc::clone).collect()
    }

    /// The user of this name, if there is one.
    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        self.access.control().user(name).map(Arc::clone)
    }

    /// How new passwords are hashed, unless somebody says so.
    pub fn password_hashing(&self) -> HashingAlgorithm {
        self.password_hashing
    }

    /// Hashes a password, with a salt of its own.
    pub fn hash_password(&self, password: &[u8], algorithm: HashingAlgorithm) -> PasswordHash {
        PasswordHash::new(password, self.random(), algorithm)
    }
}

impl Acting<'_> {
    /// Makes a user, or changes the one of this name, who keeps permissions and limits. Connections that are
    /// open stay open.
    ///
    /// # Errors
    /// [`AdminError::EmptyName`].
    pub fn put_user(&self, user: NewUser) -> Result<Put, AdminError> {
        let NewUser { name, password, tags } = user;
        if name.is_empty() {
            return Err(AdminError::EmptyName);
        }
        let password = match password {
            NewPassword::Plain(password) => {
                Some(self.hash_password(&password, self.password_hashing))
            }
            NewPassword::Hashed(hash) => Some(hash),
            NewPassword::None => Some(PasswordHash::none()),
            NewPassword::Unchanged => None,
        };
        let put = self.access.put(|control| {
            let before = control.user(&name).map(|user| User::clone(user));
            let mut user = before.unwrap_or_else(|| User::new(name.as_str()));
            user.tags = tags;
            user.password = password.unwrap_or(user.password);
            let (put, user) = control.put_user(user);
            ((put, Arc::clone(&user)), Some(AccessDefinition::User(user)))
        });
        let (put, user) = put;
        let key = match put {
            Put::Created => "user.created",
            Put::Replaced => "user.password.changed",
        };
        self.tell_named(key, &name, None);
        self.tell_tags(&name, &user.tags);
        let name = OneLine(name);
        match put {
            Put::Created => tracing::info!("Created user '{name}'"),
            Put::Replaced => tracing::info!("Changed password or tags of user '{name}'"),
        }
        Ok(put)
    }

    /// Deletes a user with all permissions, and closes the connections that are open as this user; `false`
    /// where there is none of this name.
    pub fn delete_user(&self, name: &str) -> bool {
        let deleted = {
            let _unit = self.store.unit();
            self.access.remove(|control| control.remove_user(name))
        };
        if deleted {
            let reason = format!("user '{name}' is deleted");
            self.registry.force_close(|_, open| open.user == name, &reason);
            tracing::info!("Deleted user '{}'", OneLine(name));
            self.tell_named("user.deleted", name, None);
        }
        deleted
    }

    /// Sets all limits of a user. What is open already stays open.
    ///
    /// # Errors
    /// [`AdminError::UnknownUser`].
    pub fn set_user_limits(&self, name: &str, limits: UserLimits) -> Result<(), AdminError> {
        self.change_limits(name, |_| limits)
    }

    /// Sets one limit of a user by its name, as the API has it, or takes it away.
    ///
    /// # Errors
    /// [`AdminError::Parameter`], for a limit that nobody knows and for what is no number;
    /// [`AdminError::UnknownUser`].
    pub fn set_user_limit(
        &self,
        name: &str,
        key: &str,
        value: Option<&Value>,
    ) -> Result<(), AdminError> {
        let new = value.map(|value| limit(key, value)).transpose();
        match key {
            "max-connections" => {
                let max_connections = new?;
                self.change_limits(name, |limits| UserLimits { max_connections, ..limits })
            }
            "max-channels" => {
                let max_channels = new?;
                self.change_limits(name, |limits| UserLimits { max_channels, ..limits })
            }
            _ => Err(unknown_limit(key, value.unwrap_or(&Value::Null), "user-limits").into()),
        }
    }

    fn change_limits(
        &self,
        name: &str,
        change: impl FnOnce(UserLimits) -> UserLimits,
    ) -> Result<(), AdminError> {
        let limits = self.access.put(|control| {
            let Some(user) = control.user(name) else {
                return (Err(UnknownUser(name.to_owned())), None);
            };
            let limits = change(user.limits);
            let user = User { limits, ..User::clone(user) };
            let (_, user) = control.put_user(user);
            (Ok(limits), Some(AccessDefinition::User(user)))
        })?;
        self.tell_user_limits(name, limits);
        Ok(())
    }
}
