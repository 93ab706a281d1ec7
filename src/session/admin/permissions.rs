//! What users may do in vhosts, and on topic exchanges.

use std::sync::Arc;

use amqp_codec::ShortString;

use super::{Acting, AdminError};
use crate::auth::{
    AccessDefinition, Permissions, Put, TopicPermissions, TopicPermissionsOf, UserPermissions,
};
use crate::session::host::Host;
use crate::session::one_line::OneLine;

impl Host {
    /// What all users may do, by user and vhost.
    pub fn permissions(&self) -> Vec<UserPermissions> {
        self.access.control().all_permissions().collect()
    }

    /// The vhosts that are open to a user, by name.
    pub fn vhosts_of(&self, user: &str) -> Vec<ShortString> {
        self.access.control().vhosts_of(user)
    }

    /// What a user may do in a vhost.
    pub fn permissions_of(&self, user: &str, vhost: &str) -> Option<UserPermissions> {
        let vhost = ShortString::new(vhost).ok()?;
        let permissions = self.access.control().permissions(user, &vhost).map(Arc::clone)?;
        Some(UserPermissions { user: user.to_owned(), vhost, permissions })
    }

    /// What all users may do on topic exchanges, by user, vhost and exchange.
    pub fn topic_permissions(&self) -> Vec<TopicPermissionsOf> {
        self.access.control().all_topic_permissions().collect()
    }
}

impl Acting<'_> {
    /// Opens a vhost to a user, or changes what the user may do there. In force at once, for connections that
    /// are open as well.
    ///
    /// # Errors
    /// [`AdminError::UnknownUser`] and [`AdminError::UnknownVHost`].
    pub fn set_permissions(
        &self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> Result<Put, AdminError> {
        let vhost = self.existing_vhost(vhost)?.name().clone();
        let Permissions { configure, write, read } = &permissions;
        let shown = format!("'{}', '{}', '{}'", configure.as_str(), write.as_str(), read.as_str());
        let permissions = Arc::new(permissions);
        let put = self.access.put(|control| {
            match control.set_permissions(user, vhost.clone(), Arc::clone(&permissions)) {
                Ok(put) => {
                    let (user, vhost) = (user.to_owned(), vhost.clone());
                    let set = UserPermissions { user, vhost, permissions };
                    (Ok((put, set.clone())), Some(AccessDefinition::Permissions(set)))
                }
                Err(unknown) => (Err(unknown), None),
            }
        })?;
        if let Err(gone) = self.existing_vhost(&vhost.to_str_lossy()) {
            // It was deleted meanwhile: one that is made later under its name is open to nobody.
            self.access.remove(|control| control.clear_permissions(user, &vhost));
            return Err(gone);
        }
        let (put, set) = put;
        self.tell_permissions(&set);
        let user = OneLine(&user);
        tracing::info!(
            "Successfully set permissions for user '{user}' in virtual host '{vhost}' to {shown}"
        );
        Ok(put)
    }

    /// Closes a vhost to a user; `false` where it was. Connections that are open stay open, and nothing is
    /// allowed on them.
    pub fn clear_permissions(&self, user: &str, vhost: &str) -> bool {
        let Ok(vhost) = ShortString::new(vhost) else { return false };
        let cleared = self.access.remove(|control| control.clear_permissions(user, &vhost));
        if cleared {
            self.tell_cleared("permission.deleted", user, &vhost);
        }
        cleared
    }

    /// Has routing keys decide what a user may do on a topic exchange, which need not be there.
    ///
    /// # Errors
    /// [`AdminError::UnknownUser`], [`AdminError::UnknownVHost`], [`AdminError::NameTooLong`].
    pub fn set_topic_permissions(
        &self,
        user: &str,
        vhost: &str,
        exchange: &str,
        permissions: TopicPermissions,
    ) -> Result<Put, AdminError> {
        let vhost = self.existing_vhost(vhost)?.name().clone();
        let exchange = short(exchange)?;
        let set = TopicPermissionsOf { user: user.to_owned(), vhost, exchange, permissions };
        let put = self.access.put(|control| match control.set_topic_permissions(set.clone()) {
            Ok(put) => (Ok(put), Some(AccessDefinition::TopicPermissions(set.clone()))),
            Err(unknown) => (Err(unknown), None),
        })?;
        self.tell_topic_permissions(&set);
        Ok(put)
    }

    /// Has routing keys decide nothing any more, on one exchange or on all of a vhost; `false` where they did
    /// not.
    pub fn clear_topic_permissions(&self, user: &str, vhost: &str, exchange: Option<&str>) -> bool {
        let Ok(vhost) = ShortString::new(vhost) else { return false };
        let Ok(exchange) = exchange.map(ShortString::new).transpose() else { return false };
        let _unit = self.store.unit();
        let cleared = self
            .access
            .remove(|control| control.clear_topic_permissions(user, &vhost, exchange.as_ref()));
        if cleared {
            self.tell_cleared("topic.permission.deleted", user, &vhost);
        }
        cleared
    }
}

/// # Errors
/// [`AdminError::NameTooLong`].
pub(super) fn short(name: &str) -> Result<ShortString, AdminError> {
    ShortString::new(name).map_err(|_| AdminError::NameTooLong(name.to_owned()))
}
