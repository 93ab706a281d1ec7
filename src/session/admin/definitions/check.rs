//! Whether a document can be in force: asked before any of it is.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use amqp_codec::ShortString;

use super::document::Definitions;
use super::import::{ImportError, name_of};
use crate::broker::definition::BindingDefinition;
use crate::broker::error::{BrokerError, Resource, ResourceKind};
use crate::broker::exchange::ExchangeProperties;
use crate::broker::policy::QueueKind;
use crate::broker::queue_cell::QueueProperties;
use crate::broker::topology::{check_not_default, is_reserved, predeclared};
use crate::session::host::Host;

/// The exchanges and queues that there will be: those that are there, and those of a document.
struct Outlook<'a> {
    host: &'a Host,
    exchanges: HashMap<(&'a ShortString, &'a ShortString), &'a ExchangeProperties>,
    queues: HashMap<(&'a ShortString, &'a ShortString), &'a QueueProperties>,
}

impl Host {
    /// # Errors
    /// [`ImportError`], for what the document names and is not there, and for what can't be declared or bound.
    pub(super) fn check_definitions(&self, definitions: &Definitions) -> Result<(), ImportError> {
        self.check_references(definitions)?;
        let outlook = Outlook::of(self, definitions);
        for (vhost, name, properties) in &definitions.exchanges {
            let checked = outlook.check_exchange(vhost, name, properties);
            checked.map_err(|error| impossible("exchange", name, error))?;
        }
        for (vhost, name, properties) in &definitions.queues {
            let checked = outlook.check_queue(vhost, name, properties);
            checked.map_err(|error| impossible("queue", name, error))?;
        }
        for (vhost, binding) in &definitions.bindings {
            let checked = outlook.check_binding(vhost, binding);
            checked.map_err(|error| {
                impossible("binding", name_of(&binding.source, &binding.destination), error)
            })?;
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
}

impl<'a> Outlook<'a> {
    fn of(host: &'a Host, definitions: &'a Definitions) -> Self {
        let (mut exchanges, mut queues) = (HashMap::new(), HashMap::new());
        // Of two with one name the first is declared, and the second finds it there.
        for (vhost, name, properties) in &definitions.exchanges {
            exchanges.entry((vhost, name)).or_insert(properties);
        }
        for (vhost, name, properties) in &definitions.queues {
            queues.entry((vhost, name)).or_insert(properties);
        }
        Self { host, exchanges, queues }
    }

    /// What is there stays as it is, whatever the document says of it.
    fn check_exchange(
        &self,
        vhost: &ShortString,
        name: &ShortString,
        properties: &ExchangeProperties,
    ) -> Result<(), BrokerError> {
        // The default exchange is there, too.
        if name.is_empty() || self.present_exchange(vhost, name).is_some() {
            return Ok(());
        }
        let kind = ResourceKind::Exchange;
        if is_reserved(name) {
            return Err(BrokerError::ReservedName { kind, name: name.clone() });
        }
        properties.check(&Resource { kind, name: name.clone(), vhost: vhost.clone() })
    }

    fn check_queue(
        &self,
        vhost: &ShortString,
        name: &ShortString,
        properties: &QueueProperties,
    ) -> Result<(), BrokerError> {
        if self.present_queue(vhost, name).is_some() {
            return Ok(());
        }
        let kind = ResourceKind::Queue;
        properties.check(&Resource { kind, name: name.clone(), vhost: vhost.clone() })
    }

    fn check_binding(
        &self,
        vhost: &ShortString,
        binding: &BindingDefinition,
    ) -> Result<(), BrokerError> {
        let destination = &binding.destination;
        let queue = match binding.to_queue {
            true => Some(self.queue(vhost, destination)?),
            false => None,
        };
        check_not_default(&binding.source)?;
        if !binding.to_queue {
            check_not_default(destination)?;
            self.exchange(vhost, destination)?;
        }
        self.exchange(vhost, &binding.source)?.check_binding(binding, queue)
    }

    /// What will be of this name.
    fn exchange(
        &self,
        vhost: &ShortString,
        name: &ShortString,
    ) -> Result<Cow<'_, ExchangeProperties>, BrokerError> {
        if let Some(properties) = self.present_exchange(vhost, name) {
            return Ok(Cow::Owned(properties));
        }
        let defined =
            self.exchanges.get(&(vhost, name)).map(|properties| Cow::Borrowed(*properties));
        defined.ok_or_else(|| not_found(ResourceKind::Exchange, vhost, name))
    }

    fn queue(&self, vhost: &ShortString, name: &ShortString) -> Result<QueueKind, BrokerError> {
        let defined = || self.queues.get(&(vhost, name)).map(|properties| properties.kind());
        let kind = self.present_queue(vhost, name).or_else(defined);
        kind.ok_or_else(|| not_found(ResourceKind::Queue, vhost, name))
    }

    /// What is there, or is with every vhost.
    fn present_exchange(
        &self,
        vhost: &ShortString,
        name: &ShortString,
    ) -> Option<ExchangeProperties> {
        match self.host.vhost(vhost) {
            Some(vhost) => vhost.exchange_properties(name),
            None => predeclared(vhost, name),
        }
    }

    fn present_queue(&self, vhost: &ShortString, name: &ShortString) -> Option<QueueKind> {
        Some(self.host.vhost(vhost)?.queue(name).ok()?.kind())
    }
}

fn not_found(kind: ResourceKind, vhost: &ShortString, name: &ShortString) -> BrokerError {
    BrokerError::NotFound(Resource { kind, name: name.clone(), vhost: vhost.clone() })
}

fn impossible(what: &str, name: impl std::fmt::Display, error: BrokerError) -> ImportError {
    ImportError::Impossible { what: format!("{what} '{name}'"), error }
}
