//! Declare, bind, unbind, purge, delete.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::{exchange, queue};
use amqp_codec::{ChannelId, FieldTable, ReplyCode, ShortString};

use super::client::{Answer, Session};
use super::reply_to::is_reply_to;
use crate::auth::Permission;
use crate::broker::binding::{Binding, Destination};
use crate::broker::effect::Effects;
use crate::broker::error::BrokerError;
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::policy::QueueKind;
use crate::broker::queue_cell::{QueueCell, QueueProperties};
use crate::broker::replay::Replay;
use crate::broker::requester::Requester;
use crate::broker::vhost::{DeleteConditions, VHost};
use crate::protocol::exception::Exception;

impl From<BrokerError> for Exception {
    fn from(error: BrokerError) -> Self {
        Self::new(error.reply_code(), error.to_string())
    }
}

impl Session {
    pub(super) fn declare_exchange(
        &mut self,
        declare: exchange::Declare,
    ) -> Result<Answer, Exception> {
        let name = without_line_ends(declare.exchange);
        if declare.passive {
            self.vhost.check_exchange(&name)?;
        } else {
            let kind = ExchangeKind::parse(&declare.kind)?;
            self.caller().may_declare_exchange(&name, &declare.arguments)?;
            let properties = ExchangeProperties {
                kind,
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: declare.arguments,
            };
            self.must_last = properties.durable;
            self.vhost.declare_exchange(&name, properties, &self.user)?;
        }
        Ok((!declare.no_wait).then(|| exchange::DeclareOk {}.into()))
    }

    pub(super) fn delete_exchange(
        &mut self,
        delete: exchange::Delete,
    ) -> Result<Answer, Exception> {
        let name = without_line_ends(delete.exchange);
        self.vhost.check_deletable(&name)?;
        self.caller().check_exchange(Permission::Configure, &name)?;
        self.must_last = true;
        // It goes with its bindings, or not at all.
        let _unit = self.host.store.unit();
        self.vhost.delete_exchange(&name, delete.if_unused, &self.user)?;
        Ok((!delete.no_wait).then(|| exchange::DeleteOk {}.into()))
    }

    pub(super) fn bind_exchange(
        &mut self,
        bind: exchange::Bind,
        now: Instant,
    ) -> Result<Answer, Exception> {
        let destination = without_line_ends(bind.destination);
        let source = without_line_ends(bind.source);
        self.caller().may_bind_exchange(&source, &destination, &bind.routing_key)?;
        let binding = Binding {
            source,
            destination: Destination::Exchange(destination),
            routing_key: bind.routing_key,
            arguments: bind.arguments,
        };
        self.must_last = true;
        self.bind(binding, now)?;
        Ok((!bind.no_wait).then(|| exchange::BindOk {}.into()))
    }

    pub(super) fn unbind_exchange(
        &mut self,
        unbind: exchange::Unbind,
    ) -> Result<Answer, Exception> {
        let source = without_line_ends(unbind.source);
        let destination = without_line_ends(unbind.destination);
        self.caller().may_bind_exchange(&source, &destination, &unbind.routing_key)?;
        let destination = Destination::Exchange(destination);
        self.must_last = true;
        // An auto-delete exchange goes with its last binding.
        let _unit = self.host.store.unit();
        let (key, arguments) = (&unbind.routing_key, &unbind.arguments);
        self.vhost.unbind(&source, &destination, key, arguments, &self.user)?;
        Ok((!unbind.no_wait).then(|| exchange::UnbindOk {}.into()))
    }

    pub(super) fn declare_queue(
        &mut self,
        id: ChannelId,
        declare: queue::Declare,
        now: Instant,
    ) -> Result<Answer, Exception> {
        if is_reply_to(&declare.queue) {
            return self.declare_reply_to(&declare);
        }
        let no_wait = declare.no_wait;
        self.must_last = declare.durable && !declare.passive && !declare.exclusive;
        let queue = if declare.passive {
            let queue = self.vhost.queue(&without_line_ends(declare.queue))?;
            queue.check_access(self.id)?;
            queue
        } else {
            self.declare_active(declare, now)?
        };
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.last_queue = Some(queue.name.clone());
        }
        let mut effects = Effects::default();
        let counts = {
            let mut state = queue.state.lock();
            state.declared(now, &mut effects);
            state.counts()
        };
        self.host.carry_out(&queue, &mut effects, now);
        Ok((!no_wait).then(|| {
            let queue = queue.name.clone();
            let message_count = count(counts.ready);
            queue::DeclareOk { queue, message_count, consumer_count: count(counts.consumers) }
                .into()
        }))
    }

    fn declare_active(
        &mut self,
        declare: queue::Declare,
        now: Instant,
    ) -> Result<Arc<QueueCell>, Exception> {
        let name = without_line_ends(declare.queue);
        let owner = declare.exclusive.then_some(self.id);
        let properties = QueueProperties {
            // An exclusive queue goes with its connection: nothing of it is worth keeping on disk.
            durable: declare.durable && !declare.exclusive,
            auto_delete: declare.auto_delete,
            owner,
            arguments: declare.arguments,
        };
        let queue = if name.is_empty() {
            let kind = properties.kind();
            if kind != QueueKind::Classic {
                return Err(BrokerError::ServerNamed(kind).into());
            }
            let name = self.host.unique_name("amq.gen-");
            self.caller().may_declare_queue(&name, &properties.arguments)?;
            self.vhost.declare_named(&name, properties, self.requester(), now)?
        } else {
            VHost::check_queue_name(&name)?;
            self.caller().may_declare_queue(&name, &properties.arguments)?;
            self.vhost.declare_queue(&name, properties, self.requester(), now)?
        };
        if owner.is_some() && !self.exclusive_queues.iter().any(|known| known.id == queue.id) {
            self.own_exclusively(&queue);
        }
        Ok(queue)
    }

    fn requester(&self) -> Requester<'_> {
        Requester { connection: self.id, user: &self.user }
    }

    /// Remembers a queue that goes with the connection. Those that expired meanwhile are forgotten each
    /// time their number has doubled.
    fn own_exclusively(&mut self, queue: &Arc<QueueCell>) {
        const FEW: usize = 64;
        let owned = self.exclusive_queues.len();
        if owned >= FEW && owned.is_power_of_two() {
            self.exclusive_queues.retain(|queue| !queue.state.lock().is_deleted());
        }
        self.exclusive_queues.push(Arc::clone(queue));
    }

    pub(super) fn bind_queue(
        &mut self,
        id: ChannelId,
        bind: queue::Bind,
        now: Instant,
    ) -> Result<Answer, Exception> {
        let source = without_line_ends(bind.exchange);
        let (name, routing_key) = self.queue_and_key(id, bind.queue, bind.routing_key)?;
        self.caller().may_bind_queue(&source, &name, &routing_key)?;
        let queue = match self.vhost.queue(&name) {
            Ok(queue) => queue,
            // Where both ends are missing RabbitMQ names the exchange.
            Err(error) => {
                self.vhost.check_exchange(&source)?;
                return Err(error.into());
            }
        };
        self.must_last = queue.properties.durable;
        let destination = Destination::Queue(queue);
        let binding = Binding { source, destination, routing_key, arguments: bind.arguments };
        self.bind(binding, now)?;
        Ok((!bind.no_wait).then(|| queue::BindOk {}.into()))
    }

    /// Binds, and enqueues what a recent-history exchange has for the destination.
    fn bind(&mut self, binding: Binding, now: Instant) -> Result<(), BrokerError> {
        for Replay { queue, messages } in self.vhost.bind(binding, self.requester(), now)? {
            for message in &messages {
                message.enter(1);
                self.host.use_memory(message.memory());
            }
            self.published = true;
            let mut effects = Effects::default();
            queue.state.lock().enqueue(&messages, now, &mut effects);
            self.carry_out(&queue, &mut effects, now);
        }
        Ok(())
    }

    pub(super) fn unbind_queue(
        &mut self,
        id: ChannelId,
        unbind: queue::Unbind,
    ) -> Result<Answer, Exception> {
        let source = without_line_ends(unbind.exchange);
        let (name, routing_key) = self.queue_and_key(id, unbind.queue, unbind.routing_key)?;
        self.caller().may_bind_queue(&source, &name, &routing_key)?;
        if let Ok(queue) = self.vhost.queue(&name) {
            self.must_last = queue.properties.durable;
            self.unbind_found(&source, &queue, &routing_key, &unbind.arguments)?;
        }
        Ok(Some(queue::UnbindOk {}.into()))
    }

    /// Another connection's exclusive queue is refused only where there is a binding to remove.
    fn unbind_found(
        &mut self,
        source: &ShortString,
        queue: &Arc<QueueCell>,
        routing_key: &ShortString,
        arguments: &FieldTable,
    ) -> Result<(), BrokerError> {
        let destination = Destination::Queue(Arc::clone(queue));
        if self.vhost.has_binding(source, &destination, routing_key, arguments) {
            queue.check_access(self.id)?;
        }
        // An auto-delete exchange goes with its last binding.
        let _unit = self.host.store.unit();
        self.vhost.unbind(source, &destination, routing_key, arguments, &self.user)
    }

    pub(super) fn purge_queue(
        &mut self,
        id: ChannelId,
        purge: &queue::Purge,
        now: Instant,
    ) -> Result<Answer, Exception> {
        let queue = self.readable_queue(id, &purge.queue)?;
        queue.check_access(self.id)?;
        self.must_last = queue.properties.durable;
        let mut effects = Effects::default();
        let message_count = count(queue.state.lock().purge(&mut effects));
        self.host.carry_out(&queue, &mut effects, now);
        Ok((!purge.no_wait).then(|| queue::PurgeOk { message_count }.into()))
    }

    pub(super) fn delete_queue(
        &mut self,
        id: ChannelId,
        delete: queue::Delete,
        now: Instant,
    ) -> Result<Answer, Exception> {
        let name = self.queue_name(id, without_line_ends(delete.queue))?;
        self.caller().check_queue(Permission::Configure, &name)?;
        let message_count = match self.vhost.queue(&name) {
            Ok(queue) => {
                if queue.kind() == QueueKind::Quorum && (delete.if_unused || delete.if_empty) {
                    return Err(conditional_delete(&queue, delete.if_unused));
                }
                let conditions = DeleteConditions {
                    if_unused: delete.if_unused,
                    if_empty: delete.if_empty,
                    if_expired: None,
                };
                let mut effects = Effects::default();
                self.must_last = queue.properties.durable;
                let ready = {
                    // It goes with its bindings, or not at all.
                    let _unit = self.host.store.unit();
                    self.vhost.delete_queue(&queue, conditions, self.requester(), &mut effects)?
                };
                self.host.carry_out(&queue, &mut effects, now);
                self.exclusive_queues.retain(|owned| owned.id != queue.id);
                ready
            }
            Err(_) => 0,
        };
        let message_count = count(message_count);
        Ok((!delete.no_wait).then(|| queue::DeleteOk { message_count }.into()))
    }

    /// The queue of this name, for who takes messages from it; for the empty name the one that the channel
    /// declared last.
    ///
    /// # Errors
    /// 403 and 404.
    pub(super) fn readable_queue(
        &mut self,
        id: ChannelId,
        name: &ShortString,
    ) -> Result<Arc<QueueCell>, Exception> {
        let name = self.queue_name(id, name.clone())?;
        self.caller().check_queue(Permission::Read, &name)?;
        Ok(self.vhost.queue(&name)?)
    }

    /// A queue's name; for the empty one that of the queue which the channel declared last.
    ///
    /// # Errors
    /// 404.
    fn queue_name(&self, id: ChannelId, name: ShortString) -> Result<ShortString, Exception> {
        if !name.is_empty() {
            return Ok(name);
        }
        self.last_queue(id).ok_or_else(no_previous_queue)
    }

    fn last_queue(&self, id: ChannelId) -> Option<ShortString> {
        self.channels.get(&id).and_then(|channel| channel.last_queue.clone())
    }

    /// The shortcuts of `queue.bind`: no name is the last queue, and then no key is its name.
    fn queue_and_key(
        &self,
        id: ChannelId,
        name: ShortString,
        routing_key: ShortString,
    ) -> Result<(ShortString, ShortString), Exception> {
        let name = without_line_ends(name);
        if !name.is_empty() {
            return Ok((name, routing_key));
        }
        let last = self.last_queue(id).ok_or_else(no_previous_queue)?;
        let key = if routing_key.is_empty() { last.clone() } else { routing_key };
        Ok((last, key))
    }

    /// Carries out what a call on a queue left to do, which may delete an exclusive queue.
    pub(super) fn carry_out(
        &mut self,
        queue: &Arc<QueueCell>,
        effects: &mut Effects,
        now: Instant,
    ) {
        let unused = effects.unused;
        self.host.carry_out(queue, effects, now);
        if unused && queue.properties.owner.is_some() {
            self.exclusive_queues.retain(|owned| owned.id != queue.id);
        }
    }
}

/// In RabbitMQ's words.
fn conditional_delete(queue: &QueueCell, if_unused: bool) -> Exception {
    let condition = if if_unused { "if-unused flag set" } else { "if-empty flag set" };
    let text = format!(
        "cannot delete {}. queue.delete operations with {condition} are not supported by quorum queues",
        queue.resource()
    );
    Exception::new(ReplyCode::NotImplemented, text)
}

fn no_previous_queue() -> Exception {
    Exception::new(ReplyCode::NotFound, "no previously declared queue")
}

fn count(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}

/// RabbitMQ drops line ends from the names in declarations and bindings, and only there.
fn without_line_ends(name: ShortString) -> ShortString {
    if !name.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return name;
    }
    let kept: Vec<u8> =
        name.as_bytes().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    ShortString::truncated(kept)
}
