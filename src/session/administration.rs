//! Queues, exchanges, bindings and messages in the hands of an administrator: what clients do on a
//! channel, done from outside of any connection.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{BasicProperties, ShortString};
use bytes::Bytes;
use smallvec::SmallVec;

use super::facts::{Facts, Sender};
use super::host::Host;
use super::publish::message;
use crate::auth::LoginRefused;
use crate::broker::binding::{Binding, Destination};
use crate::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use crate::broker::error::BrokerError;
use crate::broker::exchange::ExchangeProperties;
use crate::broker::message::Message;
use crate::broker::policy::QueueKind;
use crate::broker::queue::{Fetched, Get, Holder, Return};
use crate::broker::queue_cell::{ConnectionId, QueueCell, QueueProperties};
use crate::broker::routing::{Publication, Route, Router};
use crate::broker::traffic::PublishTotals;
use crate::broker::vhost::{DeleteConditions, VHost};
use crate::protocol::content::{Content, INLINE_BODY_MAX};
use crate::protocol::exception::Exception;
use crate::store::Confirmation;

/// Nobody's connection: an administrator owns no exclusive queue.
const NOBODY: ConnectionId = ConnectionId(0);

/// A message to be published from outside of any connection.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Where to; the empty name is the default exchange.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Bytes,
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Some queue was found for it.
    pub routed: bool,
    /// Every queue that was found took it.
    pub accepted: bool,
}

/// Why a message could not be published: a reply code and RabbitMQ's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PublishRefused {
    /// The reply code of AMQP: 404 for a missing exchange, 406 for properties that make no sense.
    pub code: u16,
    /// `NOT_FOUND - no exchange 'x' in vhost '/'`.
    pub text: String,
}

impl From<Exception> for PublishRefused {
    fn from(exception: Exception) -> Self {
        Self {
            code: exception.code.code(),
            text: exception.reply_text().to_str_lossy().into_owned(),
        }
    }
}

impl Host {
    /// Checks a user's password.
    ///
    /// # Errors
    /// [`LoginRefused`], with the reason for the log.
    pub fn check_login(
        &self,
        user: &str,
        password: &[u8],
        from_loopback: bool,
    ) -> Result<(), LoginRefused> {
        self.users.check(user, password, from_loopback)
    }

    /// Calls `then` once all that was changed before will last: at once or later, on this thread or
    /// another.
    pub fn when_durable(&self, then: Box<dyn FnOnce() + Send>) {
        if self.store.keeps_messages() {
            self.store.when_durable(Box::new(Then(then)));
        } else {
            then();
        }
    }

    /// Declares a queue. One that is there as it should be is fine.
    ///
    /// # Errors
    /// As [`VHost::declare_queue`].
    pub fn declare_queue(
        &self,
        vhost: &VHost,
        name: &ShortString,
        properties: QueueProperties,
        now: Instant,
    ) -> Result<Arc<QueueCell>, BrokerError> {
        let queue = vhost.declare_queue(name, properties, NOBODY, now)?;
        let mut effects = Effects::default();
        queue.state.lock().declared(now, &mut effects);
        self.carry_out(&queue, &mut effects, now);
        Ok(queue)
    }

    /// Deletes a queue; how many messages were ready.
    ///
    /// # Errors
    /// As [`VHost::delete_queue`].
    pub fn delete_queue(
        &self,
        vhost: &VHost,
        queue: &Arc<QueueCell>,
        conditions: DeleteConditions,
        now: Instant,
    ) -> Result<usize, BrokerError> {
        let mut effects = Effects::default();
        let deleted = {
            // It goes with its bindings, or not at all.
            let _unit = self.store.unit();
            vhost.delete_queue(queue, conditions, NOBODY, &mut effects)
        };
        self.carry_out(queue, &mut effects, now);
        deleted
    }

    /// Drops all messages of a queue that are ready; how many there were.
    ///
    /// # Errors
    /// 405 for another connection's exclusive queue.
    pub fn purge_queue(&self, queue: &Arc<QueueCell>, now: Instant) -> Result<usize, BrokerError> {
        queue.check_access(NOBODY)?;
        let mut effects = Effects::default();
        let count = queue.state.lock().purge(&mut effects);
        self.carry_out(queue, &mut effects, now);
        Ok(count)
    }

    /// Declares an exchange. One that is there as it should be is fine.
    ///
    /// # Errors
    /// As [`VHost::declare_exchange`].
    pub fn declare_exchange(
        &self,
        vhost: &VHost,
        name: &ShortString,
        properties: ExchangeProperties,
    ) -> Result<(), BrokerError> {
        vhost.declare_exchange(name, properties)
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As [`VHost::delete_exchange`].
    pub fn delete_exchange(
        &self,
        vhost: &VHost,
        name: &ShortString,
        if_unused: bool,
    ) -> Result<(), BrokerError> {
        // It goes with its bindings, or not at all.
        let _unit = self.store.unit();
        vhost.delete_exchange(name, if_unused)
    }

    /// Adds a binding, and enqueues what a recent-history exchange has for the destination.
    ///
    /// # Errors
    /// As [`VHost::bind`].
    pub fn bind(&self, vhost: &VHost, binding: Binding, now: Instant) -> Result<(), BrokerError> {
        for replay in vhost.bind(binding, NOBODY, now)? {
            for message in &replay.messages {
                message.enter(1);
                self.use_memory(message.memory());
            }
            self.enqueue(&replay.queue, &replay.messages, now);
        }
        Ok(())
    }

    /// Removes a binding; a missing one is fine.
    ///
    /// # Errors
    /// As [`VHost::unbind`], and 405 for another connection's exclusive queue.
    pub fn unbind(&self, vhost: &VHost, binding: &Binding) -> Result<(), BrokerError> {
        if let Destination::Queue(queue) = &binding.destination {
            queue.check_access(NOBODY)?;
        }
        // An auto-delete exchange goes with its last binding.
        let _unit = self.store.unit();
        let Binding { source, destination, routing_key, arguments } = binding;
        vhost.unbind(source, destination, routing_key, arguments)
    }

    /// Publishes a message. That it will last is known when [`Host::when_durable`] says so.
    ///
    /// # Errors
    /// As publishing on a channel.
    pub fn publish(
        &self,
        vhost: &VHost,
        publish: Publish,
        user: &str,
        now: Instant,
    ) -> Result<Published, PublishRefused> {
        let content = content(publish);
        vhost.check_target(&content.publish.exchange).map_err(Exception::from)?;
        let sender = Sender { user, reply_address: None, epoch: self.epoch };
        let facts = Facts::read(content.properties(), sender, now)?;
        let route = route(vhost, &content, &facts, now)?;
        count(vhost, &route);
        let message = message(&content, facts);
        if route.is_recorded() {
            route.record(&message, &message.routing_keys());
        }
        if route.queues.is_empty() {
            return Ok(Published { routed: false, accepted: true });
        }
        let accepted = self.enter_queues(&route, &message, now);
        Ok(Published { routed: true, accepted })
    }

    /// Whether all queues of a route took a message.
    fn enter_queues(&self, route: &Route, message: &Message, now: Instant) -> bool {
        // It is in all queues after a crash, or in none; and it was seen before only if it is there.
        let together = route.queues.len() > 1 || route.is_once();
        let _unit = together.then(|| self.store.unit());
        message.enter(u32::try_from(route.queues.len()).unwrap_or(u32::MAX));
        self.use_memory(message.memory());
        let mut accepted = true;
        for queue in &route.queues {
            accepted &= self.enqueue(queue, std::slice::from_ref(message), now);
        }
        if route.is_once() {
            if accepted { route.write_down(message) } else { route.forget(message) }
        }
        accepted
    }

    /// Whether a queue took all of these messages.
    fn enqueue(&self, queue: &Arc<QueueCell>, messages: &[Message], now: Instant) -> bool {
        let mut effects = Effects::default();
        queue.state.lock().enqueue(messages, now, &mut effects);
        let accepted = std::mem::take(&mut effects.refused).is_empty();
        self.carry_out(queue, &mut effects, now);
        accepted
    }

    /// Gets messages from a queue, for somebody to look at before it is decided what becomes of them.
    ///
    /// # Errors
    /// 405 for another connection's exclusive queue, and for a quorum queue with a single active consumer.
    pub fn look_at(self: &Arc<Self>, queue: &Arc<QueueCell>) -> Result<Fetch, BrokerError> {
        queue.check_access(NOBODY)?;
        let alone = queue.state.lock().settings().single_active_consumer;
        if alone && queue.kind() == QueueKind::Quorum {
            return Err(BrokerError::GetFromSingleActive(queue.resource()));
        }
        let (host, queue) = (Arc::clone(self), Arc::clone(queue));
        Ok(Fetch { host, queue, taken: Vec::new(), last_taken: None })
    }
}

fn route(
    vhost: &VHost,
    content: &Content,
    facts: &Facts,
    now: Instant,
) -> Result<Route, Exception> {
    let basic::Publish { exchange, routing_key, .. } = &content.publish;
    let more = facts.more_keys().map(ShortString::as_bytes);
    let keys: SmallVec<[&[u8]; 1]> = std::iter::once(routing_key.as_bytes()).chain(more).collect();
    let publication =
        Publication { exchange, routing_keys: &keys, properties: content.properties(), now };
    Ok(vhost.route(&mut Router::default(), &publication)?)
}

/// As clients' messages are counted that are to be confirmed: this one's publisher is told as well.
fn count(vhost: &VHost, route: &Route) {
    if let Some(exchange) = &route.traffic {
        exchange.count(1, route.queues.len() as u64);
    }
    let unroutable = u64::from(route.is_unroutable());
    vhost.traffic().published(&PublishTotals {
        published: 1,
        published_for_confirm: 1,
        routed: u64::from(!route.queues.is_empty()),
        confirmed: 1,
        returned: unroutable,
        dropped: 0,
    });
}

/// The message as it would have come from a client.
fn content(publish: Publish) -> Content {
    let Publish { exchange, routing_key, properties, body } = publish;
    let properties = properties.to_vec();
    let body_len = body.len() as u64;
    let mut bytes = [exchange.as_bytes(), routing_key.as_bytes(), &properties].concat();
    let mut segments = Vec::new();
    if body_len <= INLINE_BODY_MAX {
        bytes.extend_from_slice(&body);
    } else {
        segments.push(body);
    }
    Content {
        publish: basic::Publish { exchange, routing_key, mandatory: true, immediate: false },
        properties_len: u32::try_from(properties.len()).unwrap_or(u32::MAX),
        bytes,
        segments,
        body_len,
    }
}

/// Messages that somebody got and looks at. Dropped, it puts them back.
#[derive(Debug)]
pub struct Fetch {
    host: Arc<Host>,
    queue: Arc<QueueCell>,
    taken: Vec<Fetched>,
    last_taken: Option<Instant>,
}

/// How far [`Fetch::take`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There are as many as there should be, or no more.
    All,
    /// The store was asked for the next one.
    Later,
}

/// What becomes of messages that somebody looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// They are done with.
    Acknowledge,
    /// They are rejected for good: to the dead-letter exchange, if there is one.
    Reject,
    /// They go back to where they stood, for this reason.
    PutBack(Return),
}

impl Fetch {
    /// Gets messages until there are `max`. Where one has to be read from the store first, `again` is
    /// called, from any thread, when it makes sense to call this again.
    pub fn take(
        &mut self,
        max: usize,
        again: impl Fn() + Send + Sync + 'static,
        now: Instant,
    ) -> Taken {
        let sink: Arc<dyn DeliverySink> = Arc::new(Again(again));
        while self.taken.len() < max {
            let mut effects = Effects::default();
            let got = self.queue.state.lock().get(false, &sink, now, &mut effects);
            self.host.carry_out(&self.queue, &mut effects, now);
            match got {
                Get::Message(fetched) => {
                    self.taken.push(fetched);
                    self.last_taken = Some(now);
                }
                Get::Empty => return Taken::All,
                Get::Later => return Taken::Later,
            }
        }
        Taken::All
    }

    /// What was got, in order.
    pub fn taken(&self) -> &[Fetched] {
        &self.taken
    }

    /// Decides what becomes of them.
    pub fn decide(mut self, decision: Decision, now: Instant) {
        self.settle(decision, now);
    }

    fn settle(&mut self, decision: Decision, now: Instant) {
        if self.taken.is_empty() {
            return;
        }
        let numbers = self.taken.drain(..).map(|fetched| fetched.number);
        let mut effects = Effects::default();
        let mut state = self.queue.state.lock();
        let holder = Holder::Fetched;
        match decision {
            Decision::Acknowledge => state.acknowledge(holder, numbers, now, &mut effects),
            Decision::Reject => state.reject(holder, numbers, now, &mut effects),
            Decision::PutBack(why) => state.requeue(holder, numbers, why, now, &mut effects),
        }
        drop(state);
        self.host.carry_out(&self.queue, &mut effects, now);
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(now) = self.last_taken {
            self.settle(Decision::PutBack(Return::Released), now);
        }
    }
}

/// Waits for a message that the queue left to the store; it consumes nothing.
struct Again<F>(F);

impl<F> std::fmt::Debug for Again<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Again")
    }
}

impl<F: Fn() + Send + Sync> DeliverySink for Again<F> {
    fn deliver(&self, _: &mut Vec<Delivery>) {}
    fn cancelled(&self, _: Subscription) {}
    fn taken_back(&self, _: Subscription, _: Vec<u64>) {}
    fn timed_out(&self, _: Subscription, _: u64, _: bool) {}

    fn try_again(&self) {
        (self.0)();
    }
}

/// A call that waits for the store.
struct Then(Box<dyn FnOnce() + Send>);

impl Confirmation for Then {
    fn durable(self: Box<Self>) {
        (self.0)();
    }
}
