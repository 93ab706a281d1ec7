//! Queues and bindings that no client asks for.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;

use super::Acting;
use crate::broker::binding::Binding;
use crate::broker::effect::Effects;
use crate::broker::error::BrokerError;
use crate::broker::queue_cell::{ConnectionId, QueueCell, QueueProperties};
use crate::broker::replay::Replay;
use crate::broker::vhost::VHost;
use crate::session::admin::AdminError;
use crate::session::admin::permissions::short;

/// Stands for whoever is no client: exclusive queues are never its own.
pub(super) const NOBODY: ConnectionId = ConnectionId(0);

impl Acting<'_> {
    /// Declares a queue exactly as it is given: of no other type than its arguments say, and with any name.
    ///
    /// # Errors
    /// As [`VHost::declare_named`].
    pub fn declare_queue(
        &self,
        vhost: &VHost,
        name: &ShortString,
        properties: QueueProperties,
        now: Instant,
    ) -> Result<Arc<QueueCell>, BrokerError> {
        let queue = vhost.declare_named(name, properties, self.requester(), now)?;
        self.tell_declared(&queue, now);
        Ok(queue)
    }

    /// Declares a durable queue of the vhost's default type, as a client may. One that is there stays as it is.
    ///
    /// # Errors
    /// [`AdminError`] where the vhost is not there, the name can't be, or a limit is reached.
    pub fn declare_durable_queue(
        &self,
        vhost: &str,
        name: &str,
        now: Instant,
    ) -> Result<(), AdminError> {
        let vhost = self.existing_vhost(vhost)?;
        let name = short(name)?;
        if name.is_empty() {
            return Err(AdminError::EmptyName);
        }
        if vhost.queue(&name).is_ok() {
            return Ok(());
        }
        let properties = QueueProperties { durable: true, ..QueueProperties::default() };
        let queue = vhost.declare_queue(&name, properties, self.requester(), now)?;
        self.tell_declared(&queue, now);
        Ok(())
    }

    fn tell_declared(&self, queue: &Arc<QueueCell>, now: Instant) {
        let mut effects = Effects::default();
        queue.state.lock().declared(now, &mut effects);
        self.carry_out(queue, &mut effects, now);
    }

    /// Binds, and enqueues what a recent-history exchange has for the destination.
    ///
    /// # Errors
    /// As [`VHost::bind`].
    pub fn bind(&self, vhost: &VHost, binding: Binding, now: Instant) -> Result<(), BrokerError> {
        for Replay { queue, messages } in vhost.bind(binding, self.requester(), now)? {
            for message in &messages {
                message.enter(1);
                self.use_memory(message.memory());
            }
            let mut effects = Effects::default();
            queue.state.lock().enqueue(&messages, now, &mut effects);
            self.carry_out(&queue, &mut effects, now);
        }
        Ok(())
    }
}
