//! A document comes into force.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;

use super::document::{Definitions, InvalidDefinitions, VHostEntry};
use crate::auth::{Permissions, TopicPermissionsOf, UserPermissions};
use crate::broker::binding::{Binding, Destination};
use crate::broker::definition::BindingDefinition;
use crate::broker::error::BrokerError;
use crate::broker::parameter::{Parameter, ParameterError};
use crate::broker::vhost::{VHost, VHostMetadata};
use crate::session::admin::AdminError;
use crate::session::host::Host;
use crate::session::one_line::OneLine;

/// Why definitions are not, or not all, in force.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// The document is malformed. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] InvalidDefinitions),
    /// The document names a vhost that is neither in it nor there. Nothing was changed.
    #[error("vhost '{0}' is neither defined nor there")]
    UnknownVHost(String),
    /// The document names a user who is neither in it nor there. Nothing was changed.
    #[error("user '{0}' is neither defined nor there")]
    UnknownUser(String),
    /// One of the definitions can't be in force. Those before it are.
    #[error("{what}: {error}")]
    Refused {
        /// Which.
        what: String,
        /// Why.
        error: AdminError,
    },
}

impl Host {
    /// Puts definitions in force: what is new is added, users, permissions, parameters and policies of the
    /// same name are replaced, and nothing is deleted. A queue, exchange or binding that is there stays as
    /// it is.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import_definitions(
        &self,
        definitions: Definitions,
        now: Instant,
    ) -> Result<(), ImportError> {
        self.check_references(&definitions)?;
        let Definitions { users, vhosts, permissions, topic_permissions, .. } = definitions;
        for (user, limits) in users {
            let name = user.name.clone();
            let put = self.put_user(user).and_then(|_| self.set_user_limits(&name, limits));
            put.map_err(|error| refused("user", &name, error))?;
        }
        for vhost in vhosts {
            self.import_vhost(vhost)?;
        }
        for UserPermissions { user, vhost, permissions } in permissions {
            let permissions = Permissions::clone(&permissions);
            let set = self.set_permissions(&user, &vhost.to_str_lossy(), permissions);
            set.map_err(|error| refused("permissions of user", &user, error))?;
        }
        for TopicPermissionsOf { user, vhost, exchange, permissions } in topic_permissions {
            let (vhost, exchange) = (vhost.to_str_lossy(), exchange.to_str_lossy());
            let set = self.set_topic_permissions(&user, &vhost, &exchange, permissions);
            set.map_err(|error| refused("topic permissions of user", &user, error))?;
        }
        for (vhost, parameter) in definitions.parameters {
            self.import_parameter(&vhost, parameter, now)?;
        }
        for parameter in definitions.global_parameters {
            self.put_global_parameter(parameter);
        }
        for (vhost, policy) in definitions.policies {
            let vhost = self.vhost_of_import(&vhost)?;
            self.set_policy(&vhost, policy, now);
        }
        for (vhost, name, properties) in definitions.exchanges {
            // The default exchange is there.
            if !name.is_empty() {
                let declared = self.vhost_of_import(&vhost)?.declare_exchange(&name, properties);
                unless_there(declared, "exchange", &name)?;
            }
        }
        for (vhost, name, properties) in definitions.queues {
            let vhost = self.vhost_of_import(&vhost)?;
            let declared = self.declare_queue(&vhost, &name, properties, now);
            unless_there(declared.map(|_| ()), "queue", &name)?;
        }
        for (vhost, binding) in definitions.bindings {
            self.import_binding(&vhost, binding, now)?;
        }
        Ok(())
    }

    /// What the document names is there, or will be.
    fn check_references(&self, definitions: &Definitions) -> Result<(), ImportError> {
        let Definitions { permissions, topic_permissions, parameters, policies, .. } = definitions;
        let vhosts: HashSet<&ShortString> = definitions.vhosts.iter().map(|it| &it.name).collect();
        let named = (permissions.iter().map(|of| &of.vhost))
            .chain(topic_permissions.iter().map(|of| &of.vhost))
            .chain(parameters.iter().map(|(vhost, _)| vhost))
            .chain(policies.iter().map(|(vhost, _)| vhost))
            .chain(definitions.queues.iter().map(|(vhost, ..)| vhost))
            .chain(definitions.exchanges.iter().map(|(vhost, ..)| vhost))
            .chain(definitions.bindings.iter().map(|(vhost, _)| vhost));
        for vhost in named {
            if !vhosts.contains(vhost) && self.vhost(vhost).is_none() {
                return Err(ImportError::UnknownVHost(vhost.to_string()));
            }
        }
        let users: HashSet<&str> =
            definitions.users.iter().map(|(user, _)| user.name.as_str()).collect();
        let named = permissions.iter().map(|of| &of.user);
        for user in named.chain(topic_permissions.iter().map(|of| &of.user)) {
            if !users.contains(user.as_str()) && self.user(user).is_none() {
                return Err(ImportError::UnknownUser(user.clone()));
            }
        }
        Ok(())
    }

    fn import_vhost(&self, vhost: VHostEntry) -> Result<(), ImportError> {
        let VHostEntry { name, metadata, limits } = vhost;
        let metadata = metadata.or_else(|| {
            // One that is there is known better.
            self.vhost(&name).is_none().then(VHostMetadata::default)
        });
        if let Some(metadata) = metadata {
            let put = self.put_vhost(&name.to_str_lossy(), metadata);
            put.map_err(|error| refused("vhost", &name, error))?;
        }
        if let Some(limits) = limits {
            self.vhost_of_import(&name)?.set_limits(limits);
        }
        Ok(())
    }

    /// A parameter of a plugin that nobody here knows is kept, for who exports it again.
    fn import_parameter(
        &self,
        vhost: &ShortString,
        parameter: Parameter,
        now: Instant,
    ) -> Result<(), ImportError> {
        let name = format!("{} {}", parameter.component, parameter.name);
        match self.put_parameter(&vhost.to_str_lossy(), parameter.clone(), now) {
            Ok(_) => Ok(()),
            Err(AdminError::Parameter(ParameterError::UnknownComponent(component))) => {
                tracing::warn!(
                    "parameter '{}' of the unknown component '{}' is kept, and not acted on",
                    OneLine(&parameter.name),
                    OneLine(&component)
                );
                self.vhost_of_import(vhost)?.set_parameter(parameter);
                Ok(())
            }
            Err(error) => Err(refused("parameter", &name, error)),
        }
    }

    fn import_binding(
        &self,
        vhost: &ShortString,
        binding: BindingDefinition,
        now: Instant,
    ) -> Result<(), ImportError> {
        let vhost = self.vhost_of_import(vhost)?;
        let BindingDefinition { source, to_queue, destination, routing_key, arguments } = binding;
        let what = format!("{source} -> {destination}");
        let destination = match to_queue {
            false => Ok(Destination::Exchange(destination)),
            true => vhost.queue(&destination).map(Destination::Queue),
        };
        let bound = destination.and_then(|destination| {
            let binding = Binding { source, destination, routing_key, arguments };
            self.bind(&vhost, binding, now)
        });
        bound.map_err(|error| refused("binding", &what, error.into()))
    }

    /// A vhost that was checked to be there. It may be deleted meanwhile.
    fn vhost_of_import(&self, name: &ShortString) -> Result<Arc<VHost>, ImportError> {
        self.vhost(name).ok_or_else(|| ImportError::UnknownVHost(name.to_string()))
    }
}

/// What is there with other properties stays, as with RabbitMQ.
fn unless_there(
    declared: Result<(), BrokerError>,
    what: &str,
    name: &ShortString,
) -> Result<(), ImportError> {
    match declared {
        Ok(()) => Ok(()),
        Err(error @ (BrokerError::Inequivalent { .. } | BrokerError::Locked(_))) => {
            tracing::warn!("{what} '{name}' stays as it is: {error}");
            Ok(())
        }
        Err(error) => Err(refused(what, name, error.into())),
    }
}

fn refused(what: &str, name: &impl std::fmt::Display, error: AdminError) -> ImportError {
    ImportError::Refused { what: format!("{what} '{name}'"), error }
}
