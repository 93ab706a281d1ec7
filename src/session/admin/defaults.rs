//! What an empty broker begins with.

use std::time::Instant;

use serde_json::Value;

use super::{Acting, AdminError, Definitions, ImportError, NewPassword, NewUser};
use crate::auth::{Permissions, Tags};
use crate::broker::parameter::GlobalParameter;
use crate::broker::vhost::VHostMetadata;
use crate::session::host::Host;
use crate::session::one_line::OneLine;

/// The parameter that tells a store which was in use before from an empty one. RabbitMQ has it, too, from
/// its first start on.
const CLUSTER_ID: &str = "internal_cluster_id";

/// What an empty broker begins with: a user who may do everything, and a vhost.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: NewPassword,
    /// The user's tags.
    pub tags: Tags,
    /// What the user may do in all vhosts that are there at the time.
    pub permissions: Permissions,
    /// The vhost.
    pub vhost: String,
}

impl Defaults {
    /// With these, and a user who may do everything everywhere.
    pub fn new(user: &str, password: &str, vhost: &str) -> Self {
        let password = NewPassword::Plain(password.as_bytes().to_vec());
        let tags = Tags::from_iter([Tags::ADMINISTRATOR]);
        let (user, vhost) = (user.to_owned(), vhost.to_owned());
        Self { user, password, tags, permissions: Permissions::all(), vhost }
    }
}

impl Host {
    fn is_begun(&self) -> bool {
        self.global_parameter(CLUSTER_ID).is_some()
    }
}

impl Acting<'_> {
    /// Makes a user and a vhost where there never were any. What was there once and was deleted is not made
    /// again.
    ///
    /// # Errors
    /// [`AdminError`], for names that can't be.
    pub fn make_defaults(&self, defaults: Defaults) -> Result<(), AdminError> {
        if self.is_begun() {
            return Ok(());
        }
        let _unit = self.store.unit();
        // A new vhost may bring users.
        let has_users = !self.users().is_empty();
        self.make_default_vhost(&defaults)?;
        if !has_users {
            self.make_default_user(defaults)?;
        }
        self.begun();
        Ok(())
    }

    /// The same, and puts definitions in force. What they bring takes the place of the defaults: where they
    /// have users there is no default user, and where they have vhosts no default vhost. Where they have
    /// none there is.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn begin_with(
        &self,
        definitions: Definitions,
        defaults: Defaults,
        now: Instant,
    ) -> Result<(), ImportError> {
        if self.is_begun() {
            return self.import_definitions(definitions, now).map(|_| ());
        }
        let refused = |error| ImportError::Refused { what: "the defaults".to_owned(), error };
        let has_users = definitions.has_users() || !self.users().is_empty();
        if !definitions.has_vhosts() {
            self.make_default_vhost(&defaults).map_err(refused)?;
        }
        self.import_definitions(definitions, now)?;
        match has_users {
            false => self.make_default_user(defaults).map_err(refused)?,
            true => tracing::info!(
                "the definitions have users: the default user '{}' is not made",
                OneLine(&defaults.user)
            ),
        }
        self.begun();
        Ok(())
    }

    fn begun(&self) {
        if !self.is_begun() {
            let id = self.unique_name("rabbitmq-cluster-id-").to_string();
            let (name, value) = (CLUSTER_ID.to_owned(), Value::String(id));
            self.put_global_parameter(GlobalParameter { name, value });
        }
    }

    fn make_default_vhost(&self, defaults: &Defaults) -> Result<(), AdminError> {
        if self.vhosts().is_empty() {
            self.put_vhost(&defaults.vhost, VHostMetadata::default())?;
        }
        Ok(())
    }

    fn make_default_user(&self, defaults: Defaults) -> Result<(), AdminError> {
        let Defaults { user: name, password, tags, permissions, .. } = defaults;
        self.put_user(NewUser { name: name.clone(), password, tags })?;
        for vhost in self.vhosts() {
            self.set_permissions(&name, &vhost.name().to_str_lossy(), permissions.clone())?;
        }
        Ok(())
    }
}
