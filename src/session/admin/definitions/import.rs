//! A document comes into force.

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
use crate::session::admin::{Acting, AdminError};
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
    /// One of the definitions can never be in force: an argument that its type does not take, or a binding that
    /// leads from or to nothing. Nothing was changed.
    #[error("{what}: {error}")]
    Impossible {
        /// Which.
        what: String,
        /// Why.
        error: BrokerError,
    },
    /// One of the definitions can't be in force here and now: a limit is reached, or what it needs was deleted
    /// meanwhile. Those before it are.
    #[error("{what}: {error}")]
    Refused {
        /// Which.
        what: String,
        /// Why.
        error: AdminError,
    },
}

impl Host {
    /// A vhost that was checked to be there. It may be deleted meanwhile.
    fn vhost_of_import(&self, name: &ShortString) -> Result<Arc<VHost>, ImportError> {
        self.vhost(name).ok_or_else(|| ImportError::UnknownVHost(name.to_string()))
    }
}

/// What an import has to say beside that definitions are in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// What is not quite as the document has it: queues of types that are not known here, objects that stayed
    /// as they were, parameters that nobody acts on.
    pub warnings: Vec<String>,
}

impl Imported {
    fn warn(&mut self, warning: String) {
        tracing::warn!("{}", OneLine(&warning));
        self.warnings.push(warning);
    }
}

impl Acting<'_> {
    /// Puts definitions in force: what is new is added, users, permissions, parameters and policies of the
    /// same name are replaced, and nothing is deleted. A queue, exchange or binding that is there stays as
    /// it is. Queues and exchanges of types that are not known here are skipped, with their bindings and a warning.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import_definitions(
        &self,
        definitions: Definitions,
        now: Instant,
    ) -> Result<Imported, ImportError> {
        self.check_definitions(&definitions)?;
        let mut imported = Imported::default();
        definitions.skipped.into_iter().for_each(|it| imported.warn(it.to_string()));
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
            self.import_parameter(&vhost, parameter, &mut imported, now)?;
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
                let vhost = self.vhost_of_import(&vhost)?;
                let declared = vhost.declare_exchange(&name, properties, self.user());
                unless_there(declared, "exchange", &name, &mut imported)?;
            }
        }
        for (vhost, name, properties) in definitions.queues {
            let vhost = self.vhost_of_import(&vhost)?;
            let declared = self.declare_queue(&vhost, &name, properties, now);
            unless_there(declared.map(|_| ()), "queue", &name, &mut imported)?;
        }
        for (vhost, binding) in definitions.bindings {
            self.import_binding(&vhost, binding, now)?;
        }
        Ok(imported)
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
        imported: &mut Imported,
        now: Instant,
    ) -> Result<(), ImportError> {
        let name = format!("{} {}", parameter.component, parameter.name);
        match self.put_parameter(&vhost.to_str_lossy(), parameter.clone(), now) {
            Ok(_) => {
                if Parameter::OF_PLUGINS.contains(&parameter.component.as_str()) {
                    // The log has it already.
                    imported.warnings.push(format!("parameter '{name}' is kept, and not acted on"));
                }
                Ok(())
            }
            Err(AdminError::Parameter(ParameterError::UnknownComponent(component))) => {
                imported.warn(format!(
                    "parameter '{}' of the unknown component '{component}' is kept, and not acted on",
                    parameter.name
                ));
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
        let what = name_of(&source, &destination);
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
}

/// How error texts name a binding.
pub(super) fn name_of(source: &ShortString, destination: &ShortString) -> String {
    format!("{source} -> {destination}")
}

/// What is there with other properties stays, as with RabbitMQ.
fn unless_there(
    declared: Result<(), BrokerError>,
    what: &str,
    name: &ShortString,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    match declared {
        Ok(()) => Ok(()),
        Err(error @ (BrokerError::Inequivalent { .. } | BrokerError::Locked(_))) => {
            imported.warn(format!("{what} '{name}' stays as it is: {error}"));
            Ok(())
        }
        Err(error) => Err(refused(what, name, error.into())),
    }
}

fn refused(what: &str, name: &impl std::fmt::Display, error: AdminError) -> ImportError {
    ImportError::Refused { what: format!("{what} '{name}'"), error }
}
