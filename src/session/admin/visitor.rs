//! A user in a vhost without a connection: what clients do on a channel, done from outside, with the same
//! rights.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::{ReplyCode, ShortString};

use super::Acting;
use super::topology::NOBODY;
use crate::auth::Permission;
use crate::broker::binding::{Binding, Destination};
use crate::broker::effect::Effects;
use crate::broker::error::BrokerError;
use crate::broker::exchange::ExchangeProperties;
use crate::broker::message::Message;
use crate::broker::queue_cell::{QueueCell, QueueProperties};
use crate::broker::vhost::{DeleteConditions, VHost};
use crate::protocol::exception::Exception;
use crate::session::host::Host;
use crate::session::rights::{Caller, Rights};

/// Why something can't be done to an exchange, a queue or a binding, as a client on a channel is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The reply code.
    pub code: ReplyCode,
    /// RabbitMQ's text, without the name of the code in front.
    pub text: String,
}

impl Refused {
    /// The text as a client is told it: `NOT_FOUND - no queue 'q' in vhost '/'`.
    pub fn reply_text(&self) -> String {
        format!("{} - {}", self.code.name(), self.text)
    }
}

impl From<Exception> for Refused {
    fn from(Exception { code, text, .. }: Exception) -> Self {
        Self { code, text }
    }
}

impl From<BrokerError> for Refused {
    fn from(error: BrokerError) -> Self {
        Exception::from(error).into()
    }
}

/// A user in a vhost, without a connection. What it does is asked of its rights as they are now.
#[derive(Debug)]
pub struct Visitor<'a> {
    pub(super) host: &'a Arc<Host>,
    rights: Rights,
    pub(super) user: &'a str,
    pub(super) vhost: &'a VHost,
}

impl Host {
    /// A user in a vhost.
    pub fn visitor<'a>(self: &'a Arc<Self>, user: &'a str, vhost: &'a VHost) -> Visitor<'a> {
        let mut rights = Rights::default();
        rights.refresh(self, user, vhost);
        Visitor { host: self, rights, user, vhost }
    }

    /// Somebody who may do everything in a vhost.
    pub fn unrestricted_visitor<'a>(
        self: &'a Arc<Self>,
        user: &'a str,
        vhost: &'a VHost,
    ) -> Visitor<'a> {
        Visitor { host: self, rights: Rights::everything(), user, vhost }
    }

    /// Whether a queue took all of these messages.
    pub(super) fn enqueue(
        &self,
        queue: &Arc<QueueCell>,
        messages: &[Message],
        now: Instant,
    ) -> bool {
        let mut effects = Effects::default();
        queue.state.lock().enqueue(messages, now, &mut effects);
        let accepted = std::mem::take(&mut effects.refused).is_empty();
        self.carry_out(queue, &mut effects, now);
        accepted
    }
}

impl Visitor<'_> {
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { rights: &self.rights, user: self.user, vhost: self.vhost }
    }

    fn acting(&self) -> Acting<'_> {
        self.host.acting_as(self.user)
    }

    /// Declares a queue. One that is there as it should be is fine.
    ///
    /// # Errors
    /// As `queue.declare`.
    pub fn declare_queue(
        &self,
        name: &ShortString,
        properties: QueueProperties,
        now: Instant,
    ) -> Result<Arc<QueueCell>, Refused> {
        VHost::check_queue_name(name)?;
        self.caller().may_declare_queue(name, &properties.arguments)?;
        let queue = self.vhost.declare_queue(name, properties, self.acting().requester(), now)?;
        let mut effects = Effects::default();
        queue.state.lock().declared(now, &mut effects);
        self.host.carry_out(&queue, &mut effects, now);
        Ok(queue)
    }

    /// Deletes a queue; how many messages were ready.
    ///
    /// # Errors
    /// As `queue.delete`.
    pub fn delete_queue(
        &self,
        queue: &Arc<QueueCell>,
        conditions: DeleteConditions,
        now: Instant,
    ) -> Result<usize, Refused> {
        self.caller().check_queue(Permission::Configure, &queue.name)?;
        let mut effects = Effects::default();
        let deleted = {
            // It goes with its bindings, or not at all.
            let _unit = self.host.store.unit();
            self.vhost.delete_queue(queue, conditions, self.acting().requester(), &mut effects)
        };
        self.host.carry_out(queue, &mut effects, now);
        Ok(deleted?)
    }

    /// Drops all messages of a queue that are ready; how many there were.
    ///
    /// # Errors
    /// As `queue.purge`.
    pub fn purge_queue(&self, queue: &Arc<QueueCell>, now: Instant) -> Result<usize, Refused> {
        self.caller().check_queue(Permission::Read, &queue.name)?;
        queue.check_access(NOBODY)?;
        let mut effects = Effects::default();
        let count = queue.state.lock().purge(&mut effects);
        self.host.carry_out(queue, &mut effects, now);
        Ok(count)
    }

    /// Declares an exchange. One that is there as it should be is fine.
    ///
    /// # Errors
    /// As `exchange.declare`.
    pub fn declare_exchange(
        &self,
        name: &ShortString,
        properties: ExchangeProperties,
    ) -> Result<(), Refused> {
        self.caller().may_declare_exchange(name, &properties.arguments)?;
        Ok(self.vhost.declare_exchange(name, properties, self.user)?)
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As `exchange.delete`.
    pub fn delete_exchange(&self, name: &ShortString, if_unused: bool) -> Result<(), Refused> {
        self.vhost.check_deletable(name)?;
        self.caller().check_exchange(Permission::Configure, name)?;
        // It goes with its bindings, or not at all.
        let _unit = self.host.store.unit();
        Ok(self.vhost.delete_exchange(name, if_unused, self.user)?)
    }

    /// Adds a binding, and enqueues what a recent-history exchange has for the destination.
    ///
    /// # Errors
    /// As `queue.bind` and `exchange.bind`.
    pub fn bind(&self, binding: Binding, now: Instant) -> Result<(), Refused> {
        may_bind(self.caller(), &binding)?;
        Ok(self.acting().bind(self.vhost, binding, now)?)
    }

    /// Removes a binding; a missing one is fine.
    ///
    /// # Errors
    /// As `queue.unbind` and `exchange.unbind`.
    pub fn unbind(&self, binding: &Binding) -> Result<(), Refused> {
        may_bind(self.caller(), binding)?;
        if let Destination::Queue(queue) = &binding.destination {
            queue.check_access(NOBODY)?;
        }
        // An auto-delete exchange goes with its last binding.
        let _unit = self.host.store.unit();
        let Binding { source, destination, routing_key, arguments } = binding;
        Ok(self.vhost.unbind(source, destination, routing_key, arguments, self.user)?)
    }
}

fn may_bind(caller: Caller<'_>, binding: &Binding) -> Result<(), Exception> {
    let Binding { source, routing_key, .. } = binding;
    match &binding.destination {
        Destination::Queue(queue) => caller.may_bind_queue(source, &queue.name, routing_key),
        Destination::Exchange(name) => caller.may_bind_exchange(source, name, routing_key),
    }
}
