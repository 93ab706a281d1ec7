//! Messages in the hands of an administrator: published, and got from a queue to be looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use amqp_codec::{BasicProperties, ReplyCode, ShortString};
use bytes::Bytes;
use smallvec::SmallVec;

use super::topology::NOBODY;
use super::visitor::{Refused, Visitor};
use crate::auth::Permission;
use crate::broker::effect::{Delivery, DeliverySink, Effects, Position, Subscription};
use crate::broker::error::BrokerError;
use crate::broker::message::Message;
use crate::broker::policy::QueueKind;
use crate::broker::queue::{Announcement, Fetched, Get, Holder, Peeked, Return, ScheduledMessage};
use crate::broker::queue_cell::QueueCell;
use crate::broker::routing::{Publication, Route, Router};
use crate::broker::traffic::PublishTotals;
use crate::broker::vhost::VHost;
use crate::protocol::content::{Content, INLINE_BODY_MAX};
use crate::protocol::exception::Exception;
use crate::session::facts::{Facts, Sender};
use crate::session::host::Host;
use crate::session::publish::message;
use crate::session::rights::Caller;

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

impl Visitor<'_> {
    /// Publishes a message. That it will last is known when [`Host::when_durable`] says so.
    ///
    /// # Errors
    /// As publishing on a channel.
    pub fn publish(&self, publish: Publish, now: Instant) -> Result<Published, Refused> {
        let caller = self.caller();
        caller.check_exchange(Permission::Write, &publish.exchange)?;
        self.vhost.check_target(&publish.exchange)?;
        self.check_room(publish.body.len() as u64)?;
        let content = content(publish);
        let may_impersonate = caller.rights.may_impersonate();
        let sender = Sender {
            user: self.user,
            may_impersonate,
            reply_address: None,
            epoch: self.host.epoch,
        };
        let mut facts = Facts::default();
        facts.read(content.properties(), sender, now)?;
        let route = route(caller, &content, &facts, now)?;
        count(self.vhost, &route);
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

    /// What a client's publishes wait for, nobody can wait for here.
    fn check_room(&self, body_len: u64) -> Result<(), Exception> {
        let max = self.host.connection.body_max;
        if body_len > max {
            let text = format!("message size {body_len} is larger than configured max size {max}");
            return Err(Exception::precondition_failed(text));
        }
        if self.host.holds_publishers() {
            let why = self.host.alarm().unwrap_or("the disk is behind");
            return Err(Exception::new(ReplyCode::ResourceError, why));
        }
        Ok(())
    }

    /// Whether all queues of a route took a message.
    fn enter_queues(&self, route: &Route, message: &Message, now: Instant) -> bool {
        // It is in all queues after a crash, or in none; and it was seen before only if it is there.
        let together = route.queues.len() > 1 || route.is_once();
        let _unit = together.then(|| self.host.store.unit());
        message.enter(u32::try_from(route.queues.len()).unwrap_or(u32::MAX));
        self.host.use_memory(message.memory());
        let mut accepted = true;
        for queue in &route.queues {
            accepted &= self.host.enqueue(queue, std::slice::from_ref(message), now);
        }
        if route.is_once() {
            if accepted { route.write_down(message) } else { route.forget(message) }
        }
        accepted
    }

    /// Looks at the messages of a queue that wait for a consumer, as [`Queue::peek`](crate::broker::queue::Queue::peek)
    /// does.
    ///
    /// # Errors
    /// As `basic.get`.
    pub fn peek(
        &self,
        queue: &QueueCell,
        from: Position,
        max: (usize, u64),
        now: Instant,
    ) -> Result<Vec<Peeked>, Refused> {
        self.may_read(queue)?;
        Ok(queue.state.lock().peek(from, max, self.host.epoch.timestamp(now)))
    }

    /// The messages of a queue that wait for their time, the first to come first.
    ///
    /// # Errors
    /// As `basic.get`.
    pub fn scheduled(
        &self,
        queue: &QueueCell,
        max: usize,
    ) -> Result<Vec<ScheduledMessage>, Refused> {
        self.may_read(queue)?;
        Ok(queue.state.lock().scheduled(max))
    }

    /// Drops a message that waits for its time; `false` if there is none at this position.
    ///
    /// # Errors
    /// As `queue.purge`.
    pub fn cancel_scheduled(
        &self,
        queue: &Arc<QueueCell>,
        position: Position,
        now: Instant,
    ) -> Result<bool, Refused> {
        self.may_read(queue)?;
        Ok(self.host.cancel_scheduled(queue, position, now))
    }

    fn may_read(&self, queue: &QueueCell) -> Result<(), Refused> {
        self.caller().check_queue(Permission::Read, &queue.name)?;
        Ok(queue.check_access(NOBODY)?)
    }

    /// Gets messages from a queue, for somebody to look at before it is decided what becomes of them.
    ///
    /// # Errors
    /// As `basic.get`.
    pub fn look_at(&self, queue: &ShortString) -> Result<Fetch, Refused> {
        self.caller().check_queue(Permission::Read, queue)?;
        let queue = self.vhost.queue(queue)?;
        queue.check_access(NOBODY)?;
        let alone = queue.state.lock().settings().single_active_consumer;
        if alone && queue.kind() == QueueKind::Quorum {
            return Err(BrokerError::GetFromSingleActive(queue.resource()).into());
        }
        let host = Arc::clone(self.host);
        Ok(Fetch {
            host,
            queue,
            taken: Vec::new(),
            taken_bytes: 0,
            last_taken: None,
            announced: None,
        })
    }
}

fn route(
    caller: Caller<'_>,
    content: &Content,
    facts: &Facts,
    now: Instant,
) -> Result<Route, Exception> {
    let (exchange, routing_key) =
        (&ShortString::truncated(content.exchange()), content.routing_key());
    caller.check_routing_keys(exchange, routing_key, facts.more_keys())?;
    let more = facts.more_keys().map(ShortString::as_bytes);
    let keys: SmallVec<[&[u8]; 1]> = std::iter::once(routing_key).chain(more).collect();
    let publication =
        Publication { exchange, routing_keys: &keys, properties: content.properties(), now };
    Ok(caller.vhost.route(&mut Router::default(), &publication)?)
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
        exchange_len: exchange.wire_len(),
        routing_key_len: routing_key.wire_len(),
        mandatory: true,
        immediate: false,
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
    taken_bytes: u64,
    last_taken: Option<Instant>,
    /// What the store is to know before anything is taken, and whether it does.
    announced: Option<(Announcement, Arc<AtomicBool>)>,
}

/// How far [`Fetch::take`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There are as many as there should be, or no more.
    All,
    /// The store was asked for the next one, or told that somebody takes.
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
    /// Gets messages until there are `max`, or their bodies have more than `bytes_max` bytes. Where one has to
    /// be read from the store first, `again` is called, from any thread, when it makes sense to call this again.
    pub fn take(
        &mut self,
        max: usize,
        bytes_max: u64,
        again: impl Fn() + Send + Sync + 'static,
        now: Instant,
    ) -> Taken {
        let again = Arc::new(Again(again));
        let sink: Arc<dyn DeliverySink> = Arc::<Again<_>>::clone(&again);
        while self.taken.len() < max && self.taken_bytes <= bytes_max {
            let mut effects = Effects::default();
            let got = {
                let mut state = self.queue.state.lock();
                if let Some((announcement, is_safe)) = self.announced.take()
                    && is_safe.load(Ordering::Acquire)
                {
                    state.use_is_safe(announcement);
                }
                if let Some(announcement) = state.announce_use() {
                    drop(state);
                    self.await_use(announcement, again);
                    return Taken::Later;
                }
                state.get(false, &sink, now, &mut effects)
            };
            self.host.carry_out(&self.queue, &mut effects, now);
            match got {
                Get::Message(fetched) => {
                    self.taken_bytes += fetched.entry.message.body_len();
                    self.taken.push(fetched);
                    self.last_taken = Some(now);
                }
                Get::Empty => return Taken::All,
                Get::Later => return Taken::Later,
            }
        }
        Taken::All
    }

    fn await_use(
        &mut self,
        announcement: Announcement,
        again: Arc<Again<impl Fn() + Send + Sync + 'static>>,
    ) {
        let is_safe = Arc::new(AtomicBool::new(false));
        self.announced = Some((announcement, Arc::clone(&is_safe)));
        self.host.when_durable(move || {
            is_safe.store(true, Ordering::Release);
            again.try_again();
        });
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
    fn deliver(&self, _: &mut Vec<Delivery>) -> bool {
        false
    }

    fn wake(&self) {}
    fn cancelled(&self, _: Subscription) {}
    fn taken_back(&self, _: Subscription, _: Vec<u64>) {}
    fn timed_out(&self, _: Subscription, _: u64, _: bool) {}

    fn try_again(&self) {
        (self.0)();
    }
}
