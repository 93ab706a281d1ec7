//! All users and all that they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use amqp_codec::ShortString;

use super::definition::AccessDefinition;
use super::grant::Grant;
use super::password::{HashingAlgorithm, PasswordHash};
use super::permissions::{Permissions, TopicPermissions};
use super::user::{Tags, User};

/// Users, and their permissions in vhosts.
#[derive(Debug)]
pub struct AccessControl {
    accounts: BTreeMap<String, Account>,
    /// Verified in place of a password of nobody's, so that the time taken does not tell who is a user.
    nobody: PasswordHash,
}

#[derive(Debug)]
struct Account {
    user: Arc<User>,
    permissions: BTreeMap<ShortString, Arc<Permissions>>,
    topics: BTreeMap<ShortString, BTreeMap<ShortString, TopicPermissions>>,
}

/// Whether something was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Created,
    /// It took the place of another one.
    Replaced,
}

impl Put {
    /// By whether there was something.
    pub fn over(something: bool) -> Self {
        if something { Self::Replaced } else { Self::Created }
    }
}

/// What was removed, for who wrote it down.
pub type Removed = Vec<AccessDefinition>;

/// There is no user of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user '{0}' does not exist")]
pub struct UnknownUser(pub String);

/// What a user may do in a vhost.
#[derive(Debug, Clone, PartialEq)]
pub struct UserPermissions {
    /// The user.
    pub user: String,
    /// The vhost.
    pub vhost: ShortString,
    /// What the user may do there.
    pub permissions: Arc<Permissions>,
}

/// What a user may do on a topic exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPermissionsOf {
    /// The user.
    pub user: String,
    /// The vhost.
    pub vhost: ShortString,
    /// The exchange, which need not be there.
    pub exchange: ShortString,
    /// What the user may do there.
    pub permissions: TopicPermissions,
}

/// Why a login was refused; for the log, never for the client. In RabbitMQ's words, behind the user's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// No such user, or another password.
    #[error(" - invalid credentials")]
    InvalidCredentials,
    /// The user may not come from elsewhere.
    #[error(" can only connect via localhost")]
    LoopbackOnly,
    /// Too many attempts with a wrong password: nobody looks at this one.
    #[error(" - too many failed attempts from this address")]
    Throttled,
}

impl Default for AccessControl {
    fn default() -> Self {
        let nobody = PasswordHash::new(b"", [0; 4], HashingAlgorithm::default());
        Self { accounts: BTreeMap::new(), nobody }
    }
}

impl AccessControl {
    /// The vhosts that are open to a user, by name.
    pub fn vhosts_of(&self, user: &str) -> Vec<ShortString> {
        let account = self.accounts.get(user);
        account.map_or_else(Vec::new, |account| account.permissions.keys().cloned().collect())
    }

    /// Whether there is no user at all.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The users, by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.accounts.values().map(|account| &account.user)
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.accounts.get(name).map(|account| &account.user)
    }

    /// Adds a user, or changes the one of this name, who keeps all permissions.
    pub fn put_user(&mut self, user: User) -> (Put, Arc<User>) {
        let user = Arc::new(user);
        let put = match self.accounts.get_mut(&user.name) {
            Some(account) => {
                account.user = Arc::clone(&user);
                Put::Replaced
            }
            None => {
                let (permissions, topics) = (BTreeMap::new(), BTreeMap::new());
                let account = Account { user: Arc::clone(&user), permissions, topics };
                self.accounts.insert(user.name.clone(), account);
                Put::Created
            }
        };
        (put, user)
    }

    /// Removes a user with all permissions; nothing where there is none of this name.
    pub fn remove_user(&mut self, name: &str) -> Removed {
        let mut removed = self.permissions_where(|user, _| user == name);
        removed.extend(self.topics_where(|user, _| user == name));
        if let Some(account) = self.accounts.remove(name) {
            removed.push(AccessDefinition::User(account.user));
        }
        removed
    }

    /// Whether this user is right with this password, and who that is.
    ///
    /// # Errors
    /// [`LoginRefused::InvalidCredentials`].
    pub fn verify(&self, name: &str, password: &[u8]) -> Result<&Arc<User>, LoginRefused> {
        let user = self.user(name);
        let hash = user.map_or(&self.nobody, |user| &user.password);
        let is_right = hash.verify(password);
        user.filter(|_| is_right).ok_or(LoginRefused::InvalidCredentials)
    }

    /// What a user may do in a vhost, if it may be used at all.
    pub fn grant(&self, user: &str, vhost: &ShortString) -> Option<Grant> {
        let account = self.accounts.get(user)?;
        let permissions = Arc::clone(account.permissions.get(vhost)?);
        let topics = account.topics.get(vhost).into_iter().flatten();
        let may_impersonate = account.user.tags.contains(Tags::IMPERSONATOR);
        Some(Grant::new(permissions, topics, (user, vhost), may_impersonate))
    }

    /// Whether a user may use a vhost at all.
    pub fn may_use(&self, user: &str, vhost: &ShortString) -> bool {
        self.permissions(user, vhost).is_some()
    }

    /// What a user may do in a vhost, as it was set.
    pub fn permissions(&self, user: &str, vhost: &ShortString) -> Option<&Arc<Permissions>> {
        self.accounts.get(user)?.permissions.get(vhost)
    }

    /// What all users may do, by user and vhost.
    pub fn all_permissions(&self) -> impl Iterator<Item = UserPermissions> {
        self.accounts.iter().flat_map(|(user, account)| {
            account.permissions.iter().map(|(vhost, permissions)| UserPermissions {
                user: user.clone(),
                vhost: vhost.clone(),
                permissions: Arc::clone(permissions),
            })
        })
    }

    /// Allows a user what was not allowed before, or no longer.
    ///
    /// # Errors
    /// [`UnknownUser`].
    pub fn set_permissions(
        &mut self,
        user: &str,
        vhost: ShortString,
        permissions: Arc<Permissions>,
    ) -> Result<Put, UnknownUser> {
        let account = self.account(user)?;
        Ok(Put::over(account.permissions.insert(vhost, permissions).is_some()))
    }

    /// Closes a vhost to a user; nothing where it was closed before.
    pub fn clear_permissions(&mut self, user: &str, vhost: &ShortString) -> Removed {
        let account = self.accounts.get_mut(user);
        let permissions = account.and_then(|account| account.permissions.remove(vhost));
        let removed = permissions.map(|permissions| {
            let (user, vhost) = (user.to_owned(), vhost.clone());
            AccessDefinition::Permissions(UserPermissions { user, vhost, permissions })
        });
        removed.into_iter().collect()
    }

    /// What all users may do on topic exchanges, by user, vhost and exchange.
    pub fn all_topic_permissions(&self) -> impl Iterator<Item = TopicPermissionsOf> {
        self.accounts.iter().flat_map(|(user, account)| {
            account.topics.iter().flat_map(move |(vhost, exchanges)| {
                exchanges.iter().map(move |(exchange, permissions)| TopicPermissionsOf {
                    user: user.clone(),
                    vhost: vhost.clone(),
                    exchange: exchange.clone(),
                    permissions: permissions.clone(),
                })
            })
        })
    }

    /// Has routing keys decide on a topic exchange.
    ///
    /// # Errors
    /// [`UnknownUser`].
    pub fn set_topic_permissions(&mut self, set: TopicPermissionsOf) -> Result<Put, UnknownUser> {
        let TopicPermissionsOf { user, vhost, exchange, permissions } = set;
        let topics = self.account(&user)?.topics.entry(vhost).or_default();
        Ok(Put::over(topics.insert(exchange, permissions).is_some()))
    }

    /// Has routing keys decide nothing any more on one exchange, or on all of a vhost; nothing where they
    /// did not before.
    pub fn clear_topic_permissions(
        &mut self,
        user: &str,
        vhost: &ShortString,
        exchange: Option<&ShortString>,
    ) -> Removed {
        let is_meant = |exchange_of: &ShortString| exchange.is_none_or(|it| it == exchange_of);
        let mut removed = self.topics_where(|of, topics| {
            of == user && topics.vhost == *vhost && is_meant(&topics.exchange)
        });
        removed.retain(|definition| matches!(definition, AccessDefinition::TopicPermissions(_)));
        if let Some(account) = self.accounts.get_mut(user)
            && let Some(exchanges) = account.topics.get_mut(vhost)
        {
            exchanges.retain(|exchange, _| !is_meant(exchange));
            if exchanges.is_empty() {
                account.topics.remove(vhost);
            }
        }
        removed
    }

    /// A vhost is gone, and with it all that anybody may do there.
    pub fn forget_vhost(&mut self, vhost: &ShortString) -> Removed {
        let mut removed = self.permissions_where(|_, of| of.vhost == *vhost);
        removed.extend(self.topics_where(|_, of| of.vhost == *vhost));
        for account in self.accounts.values_mut() {
            account.permissions.remove(vhost);
            account.topics.remove(vhost);
        }
        removed
    }

    /// Puts back what was written down. What belongs to nobody any more is given back.
    ///
    /// Users come before what they may do.
    pub fn restore(&mut self, definitions: Vec<AccessDefinition>) -> Removed {
        let (users, rest): (Vec<_>, Vec<_>) = definitions
            .into_iter()
            .partition(|definition| matches!(definition, AccessDefinition::User(_)));
        let mut orphans = Vec::new();
        for definition in users.into_iter().chain(rest) {
            let restored = match definition.clone() {
                AccessDefinition::User(user) => {
                    self.put_user(User::clone(&user));
                    Ok(Put::Created)
                }
                AccessDefinition::Permissions(UserPermissions { user, vhost, permissions }) => {
                    self.set_permissions(&user, vhost, permissions)
                }
                AccessDefinition::TopicPermissions(set) => self.set_topic_permissions(set),
            };
            if restored.is_err() {
                orphans.push(definition);
            }
        }
        orphans
    }

    fn account(&mut self, user: &str) -> Result<&mut Account, UnknownUser> {
        self.accounts.get_mut(user).ok_or_else(|| UnknownUser(user.to_owned()))
    }

    fn permissions_where(&self, is_meant: impl Fn(&str, &UserPermissions) -> bool) -> Removed {
        let all = self.all_permissions().filter(|of| is_meant(&of.user, of));
        all.map(AccessDefinition::Permissions).collect()
    }

    fn topics_where(&self, is_meant: impl Fn(&str, &TopicPermissionsOf) -> bool) -> Removed {
        let all = self.all_topic_permissions().filter(|of| is_meant(&of.user, of));
        all.map(AccessDefinition::TopicPermissions).collect()
    }
}

#[cfg(test)]
mod tests;
