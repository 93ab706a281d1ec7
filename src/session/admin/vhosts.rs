//! Vhosts, which come and go while the broker runs.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;
use serde_json::Value;

use super::permissions::short;
use super::{Acting, AdminError};
use crate::auth::{AccessDefinition, Put};
use crate::broker::parameter::{VHostLimits, limit, unknown_limit};
use crate::broker::persist::Persist;
use crate::broker::vhost::{QueueEffects, VHost, VHostMetadata};
use crate::session::host::Host;
use crate::session::one_line::OneLine;
use crate::store::Store;

impl Host {
    /// The vhost of this name.
    ///
    /// # Errors
    /// [`AdminError::UnknownVHost`].
    pub fn existing_vhost(&self, name: &str) -> Result<Arc<VHost>, AdminError> {
        let found = short(name).ok().and_then(|name| self.vhost(&name));
        found.ok_or_else(|| AdminError::UnknownVHost(name.to_owned()))
    }

    /// How many connections are open to a vhost.
    pub fn vhost_connections(&self, vhost: &VHost) -> u64 {
        self.registry.of_vhost(vhost.name())
    }
}

impl Acting<'_> {
    /// Makes a vhost, or puts something else in the place of what is known of the one with this name.
    ///
    /// Nobody may use a new vhost before [`Acting::set_permissions`], unless [`NewVHosts`](super::NewVHosts) has users.
    ///
    /// # Errors
    /// [`AdminError::EmptyName`], [`AdminError::NameTooLong`] and [`AdminError::VHostLimit`].
    pub fn put_vhost(&self, name: &str, metadata: VHostMetadata) -> Result<Put, AdminError> {
        if name.is_empty() {
            return Err(AdminError::EmptyName);
        }
        let key = short(name)?;
        let mut vhosts = self.vhosts.write();
        if let Some(vhost) = vhosts.get(&key).map(Arc::clone) {
            drop(vhosts);
            self.tell_vhost("vhost.updated", name, &metadata);
            vhost.set_metadata(metadata);
            return Ok(Put::Replaced);
        }
        let limit = self.capacity.vhosts;
        if limit != 0 && vhosts.len() >= limit {
            return Err(AdminError::VHostLimit { name: name.to_owned(), limit });
        }
        let persist: Arc<dyn Persist> = Arc::<dyn Store>::clone(&self.store);
        let vhost = VHost::new(key.clone(), persist, self.vhost_options.clone());
        // Written down before anybody can find it.
        vhost.set_metadata(metadata.clone());
        self.begin_vhost(&vhost)?;
        vhosts.insert(key, Arc::new(vhost));
        drop(vhosts);
        tracing::info!("Adding vhost '{}'", OneLine(name));
        self.tell_vhost("vhost.created", name, &metadata);
        self.open_new_vhost(name)?;
        Ok(Put::Created)
    }

    /// Turns the firehose of a vhost on or off: while it is on, what is published and delivered there is
    /// copied to the exchange `amq.rabbitmq.trace`. It stays so over restarts.
    ///
    /// # Errors
    /// [`AdminError::UnknownVHost`].
    pub fn set_tracing(&self, vhost: &str, tracing: bool) -> Result<(), AdminError> {
        let found = self.existing_vhost(vhost)?;
        let metadata = VHostMetadata { tracing, ..(*found.metadata()).clone() };
        found.set_metadata(metadata);
        let verb = if tracing { "Enabling" } else { "Disabling" };
        tracing::info!("{verb} tracing for vhost '{}'", OneLine(vhost));
        Ok(())
    }

    /// Deletes a vhost with everything in it, and closes the connections that are open to it; `false` where
    /// there is none of this name.
    ///
    /// Cost: everything in it.
    ///
    /// # Errors
    /// [`AdminError::ProtectedVHost`].
    pub fn delete_vhost(&self, name: &str, now: Instant) -> Result<bool, AdminError> {
        let Ok(key) = short(name) else { return Ok(false) };
        let mut effects = QueueEffects::new();
        {
            // It goes as a whole, or not at all.
            let _unit = self.store.unit();
            let vhost = {
                let mut vhosts = self.vhosts.write();
                let Some(vhost) = vhosts.get(&key) else { return Ok(false) };
                if vhost.metadata().protected_from_deletion {
                    return Err(AdminError::ProtectedVHost(name.to_owned()));
                }
                let vhost = Arc::clone(vhost);
                vhosts.remove(&key);
                self.departed.lock().enter(Arc::clone(&vhost));
                vhost
            };
            self.forget_permissions(&key);
            let reason = format!("vhost '{name}' is deleted");
            self.registry.force_close(|_, open| open.vhost == key, &reason);
            vhost.close(self.user(), &mut effects);
        }
        for (queue, mut effects) in effects {
            self.carry_out(&queue, &mut effects, now);
        }
        tracing::info!("Deleted vhost '{}'", OneLine(name));
        self.tell_named("vhost.deleted", name, None);
        self.tell_vhost_down(name);
        Ok(true)
    }

    /// A vhost goes, and with it what users may do there.
    fn forget_permissions(&self, vhost: &ShortString) {
        let mut gone = Vec::new();
        self.access.remove(|control| {
            gone = control.forget_vhost(vhost);
            gone.clone()
        });
        for definition in &gone {
            match definition {
                AccessDefinition::Permissions(of) => {
                    self.tell_cleared("permission.deleted", &of.user, vhost);
                }
                AccessDefinition::TopicPermissions(of) => {
                    self.tell_cleared("topic.permission.deleted", &of.user, vhost);
                }
                AccessDefinition::User(_) => {}
            }
        }
    }

    /// Sets one limit of a vhost by its name, as the API has it, or takes it away.
    ///
    /// # Errors
    /// [`AdminError::Parameter`], for a limit that nobody knows and for what is no number;
    /// [`AdminError::UnknownVHost`].
    pub fn set_vhost_limit(
        &self,
        vhost: &str,
        key: &str,
        value: Option<&Value>,
    ) -> Result<(), AdminError> {
        let vhost = self.existing_vhost(vhost)?;
        let new = value.map(|value| limit(key, value)).transpose();
        match key {
            "max-connections" => {
                let max_connections = new?;
                vhost.change_limits(|limits| VHostLimits { max_connections, ..limits });
            }
            "max-queues" => {
                let max_queues = new?;
                vhost.change_limits(|limits| VHostLimits { max_queues, ..limits });
            }
            _ => return Err(unknown_limit(key, value.unwrap_or(&Value::Null), "limits").into()),
        }
        self.tell_vhost_limits(vhost.name(), vhost.limits());
        Ok(())
    }
}
