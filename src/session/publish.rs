//! The publish path: checks, route, confirm number, and into the queues in batches.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{ChannelId, ReplyCode, ShortString};
use smallvec::SmallVec;

use super::channel::{Mode, SessionChannel, TransactedPublish};
use super::client::Session;
use super::facts::{Facts, Sender};
use super::firehose::Traced;
use super::outbox::{BatchConfirmation, Publisher};
use super::remembered_routes::AsOf;
use super::reply_to::is_reply;
use super::rights::Caller;
use super::stats::{ChurnCounters, Tally};
use crate::auth::Permission;
use crate::broker::effect::Effects;
use crate::broker::message::{Message, MessageParts};
use crate::broker::routing::{Publication, QueueSet, Route};
use crate::protocol::content::Content;
use crate::protocol::exception::Exception;
use crate::protocol::output::{OutgoingContent, Output};
use crate::store::Confirmation;

/// A transaction is written as a whole, so it has an end.
const TRANSACTION_BYTES_MAX: usize = 512 * 1024 * 1024;

impl Session {
    /// Publishes a message.
    ///
    /// # Errors
    /// 540 for `immediate`; 404 or 403 for the exchange; 406 for properties that make no sense.
    pub(super) fn publish(
        &mut self,
        id: ChannelId,
        content: &Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        let blamed = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
        self.accept(id, content, output, now).map_err(|exception| exception.blame(blamed))
    }

    fn accept(
        &mut self,
        id: ChannelId,
        content: &Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        if content.immediate {
            return Err(Exception::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        self.rights.refresh(&self.host, &self.user, &self.vhost);
        let caller = Caller { rights: &self.rights, user: &self.user, vhost: &self.vhost };
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let reply_consumer = channel.reply_consumer.as_ref();
        let sender = Sender {
            user: &self.user,
            may_impersonate: self.rights.may_impersonate(),
            reply_address: reply_consumer.map(|consumer| &consumer.address),
            epoch: self.host.epoch,
        };
        let mut facts = Facts::default();
        if let Err(exception) = facts.read(content.properties(), sender, now) {
            // What is wrong with the exchange is told before what is wrong with the message.
            let exchange = ShortString::truncated(content.exchange());
            caller.check_exchange(Permission::Write, &exchange)?;
            caller.check_routing_keys(&exchange, content.routing_key(), std::iter::empty())?;
            self.vhost.check_target(&exchange)?;
            return Err(exception);
        }
        if is_reply(content.exchange(), content.routing_key()) {
            caller.check_exchange(Permission::Write, &ShortString::default())?;
            self.publish_reply(id, content, facts, output, now);
            return Ok(());
        }
        let route = channel.route(caller, content, &facts, now)?;
        if self.vhost.is_traced() {
            // The channel is in use.
            let (host, vhost, peer, user) = (&self.host, &self.vhost, &self.peer, &self.user);
            let traced = Traced { host, vhost, peer, user, channel: id };
            traced.published(content, &facts, &route.queues, now);
        }
        let publisher = Publisher { channel: id, serial: channel.serial };
        let sequence = match &mut channel.mode {
            Mode::Confirm(ledger) => Some(ledger.publish()),
            Mode::Plain => None,
            Mode::Transaction(transaction) => {
                let message = message(content, facts);
                if transaction.bytes + message.memory() > TRANSACTION_BYTES_MAX {
                    return Err(Exception::precondition_failed(
                        "transaction is larger than 512 MiB",
                    ));
                }
                transaction.bytes += message.memory();
                self.host.use_memory(message.memory());
                self.published = true;
                transaction.publishes.push(TransactedPublish {
                    message,
                    route,
                    mandatory: content.mandatory,
                });
                return Ok(());
            }
        };
        channel.count(&route, content.mandatory, &mut self.tally, &self.host.churn);
        if self.settlements.is_of(&route.queues) {
            // A queue sees what its client does in order: a message that replaces one just settled is
            // no duplicate of it.
            self.flush(now);
        }
        if route.queues.is_empty() {
            if content.mandatory && route.is_unroutable() {
                return_unroutable(id, content, output);
            }
            // What confirms a duplicate is that the first one is safe.
            self.batch.stored |= route.duplicate && facts.persistent;
            if route.is_recorded() {
                let message = message(content, facts);
                route.record(&message, &message.routing_keys());
            }
            if let Some(sequence) = sequence {
                // Confirmed like any other, in its turn.
                self.batch.await_confirm(publisher, sequence, false);
            }
            return Ok(());
        }
        let message = message(content, facts);
        if route.is_recorded() {
            route.record(&message, &message.routing_keys());
        }
        if let Err((route, message)) = self.batch.add(route, message) {
            self.flush_publishes(now);
            let _ = self.batch.add(route, message);
        }
        if let Some(sequence) = sequence {
            self.batch.await_confirm(publisher, sequence, true);
        }
        if self.batch.is_full() {
            self.flush_publishes(now);
        }
        Ok(())
    }

    /// A reply goes to the channel that asked, at once, transaction or not. It is confirmed in its
    /// turn.
    fn publish_reply(
        &mut self,
        id: ChannelId,
        content: &Content,
        facts: Facts,
        output: &mut Output,
        now: Instant,
    ) {
        if self.vhost.is_traced() {
            self.traced(id).published(content, &facts, &QueueSet::new(), now);
        }
        let delivered =
            self.reply(&ShortString::truncated(content.routing_key()), message(content, facts));
        if !delivered && content.mandatory {
            return_unroutable(id, content, output);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        self.host.churn.publishers_seen.add_once(channel.stats.published == 0);
        channel.stats.published += 1;
        self.tally.replied(matches!(channel.mode, Mode::Confirm(_)));
        if let Mode::Confirm(ledger) = &mut channel.mode {
            let publisher = Publisher { channel: id, serial: channel.serial };
            self.batch.await_confirm(publisher, ledger.publish(), false);
        }
    }

    /// Hands the batch to its queues, then its confirms to the store. How many messages some queue
    /// refused.
    pub(super) fn flush_publishes(&mut self, now: Instant) -> usize {
        let store = Arc::clone(&self.host.store);
        // What goes to several queues is in all of them after a crash, or in none; and it was seen
        // before only if it is there.
        let _unit = self.batch.is_recorded_together().then(|| store.unit());
        self.flush_publishes_of_unit(now)
    }

    /// As [`Session::flush_publishes`], for those who hold a unit of records together already.
    pub(super) fn flush_publishes_of_unit(&mut self, now: Instant) -> usize {
        self.tally.flush(self.vhost.traffic());
        let refused = self.enter_queues(now);
        let stored = std::mem::take(&mut self.batch.stored);
        if !self.batch.awaits_confirms() {
            return refused.len();
        }
        let settled = self.batch.settle(&refused);
        let outbox = Arc::clone(&self.outbox);
        let confirmation = Box::new(BatchConfirmation { outbox, settled });
        if stored {
            self.host.store.when_durable(confirmation);
        } else {
            confirmation.durable();
        }
        refused.len()
    }

    /// Hands all messages to their queues. Those that some queue refused, by their numbers in the batch, in
    /// order.
    fn enter_queues(&mut self, now: Instant) -> Vec<u32> {
        let mut refused = Vec::new();
        if self.batch.is_empty() {
            return refused;
        }
        let (mut shares, bytes) = self.batch.take();
        self.host.use_memory(bytes);
        self.published = true;
        self.handed.receivers = 0;
        for share in &mut shares {
            let Some(route) = share.take_route() else { continue };
            let of_share = self.enter_queues_of(&route, &mut share.messages, now);
            refused.extend(share.numbers_of(of_share));
            share.clear();
        }
        self.batch.give_back(shares);
        refused.sort_unstable();
        refused
    }

    /// The messages that some queue refused, by their places.
    fn enter_queues_of(
        &mut self,
        route: &Route,
        messages: &mut Vec<Message>,
        now: Instant,
    ) -> Vec<usize> {
        let queues = u32::try_from(route.queues.len()).unwrap_or(u32::MAX);
        for message in &*messages {
            message.enter(queues);
        }
        let mut refused = Vec::new();
        for (queue, left) in route.queues.iter().zip((0..route.queues.len()).rev()) {
            let mut effects = Effects::default();
            if left == 0 && !route.is_once() {
                // The last of them may have what nobody asks for any more.
                queue.state.lock().enqueue(messages.drain(..), now, &mut effects);
            } else {
                queue.state.lock().enqueue(&*messages, now, &mut effects);
            }
            refused.append(&mut effects.refused);
            self.handed.deliveries += effects.handed.deliveries;
            self.handed.receivers += effects.handed.receivers;
            self.wakeups.append(&mut effects.wakeups);
            self.host.carry_out(queue, &mut effects, now);
        }
        refused.sort_unstable();
        refused.dedup();
        if route.is_once() {
            for (index, message) in messages.iter().enumerate() {
                match refused.binary_search(&index) {
                    Ok(_) => route.forget(message),
                    Err(_) => route.write_down(message),
                }
            }
        }
        refused
    }
}

impl SessionChannel {
    /// Counts a message that was published along a route.
    pub(super) fn count(
        &mut self,
        route: &Route,
        mandatory: bool,
        tally: &mut Tally,
        churn: &ChurnCounters,
    ) {
        churn.publishers_seen.add_once(self.stats.published == 0);
        self.stats.published += 1;
        tally.published(route, matches!(self.mode, Mode::Confirm(_)));
        if route.is_unroutable() {
            self.stats.returned += u64::from(mandatory);
            self.stats.dropped += u64::from(!mandatory);
            tally.unroutable(mandatory);
        }
    }

    /// The queues for a message: those of an earlier one with the same exchange and key, unless
    /// something was declared, bound or deleted since, or permissions changed.
    fn route(
        &mut self,
        caller: Caller<'_>,
        content: &Content,
        facts: &Facts,
        now: Instant,
    ) -> Result<Arc<Route>, Exception> {
        let (exchange, routing_key) = (content.exchange(), content.routing_key());
        let (rights, vhost) = (caller.rights.version(), caller.vhost);
        let as_of = AsOf { topology: vhost.version(), rights };
        if facts.has_one_key()
            && let Some(route) = self.routes.find(as_of, exchange, routing_key)
        {
            return Ok(Arc::clone(route));
        }
        let exchange = &ShortString::truncated(exchange);
        if self.writable.as_ref().is_none_or(|(as_of, name)| *as_of != rights || name != exchange) {
            caller.check_exchange(Permission::Write, exchange)?;
            self.writable = Some((rights, exchange.clone()));
        }
        caller.check_routing_keys(exchange, routing_key, facts.more_keys())?;
        let more = facts.more_keys().map(ShortString::as_bytes);
        let keys: SmallVec<[&[u8]; 1]> = std::iter::once(routing_key).chain(more).collect();
        let publication =
            Publication { exchange, routing_keys: &keys, properties: content.properties(), now };
        let route = Arc::new(vhost.route(&mut self.router, &publication)?);
        if route.by_key_alone {
            // It may have been found in a later topology.
            let as_of = AsOf { topology: route.version, rights };
            self.routes.remember(as_of, exchange.as_bytes(), routing_key, &route);
        }
        Ok(route)
    }
}

/// Keeps a message, with its properties as receivers are to see them.
pub(super) fn message(content: &Content, facts: Facts) -> Message {
    let Facts { persistent, priority, extras, rewritten } = facts;
    let mut parts = MessageParts {
        exchange_len: content.exchange_len,
        routing_key_len: content.routing_key_len,
        properties_len: content.properties_len,
        bytes: &content.bytes,
        segments: &content.segments,
        persistent,
        priority,
        extras,
    };
    let Some(properties) = rewritten else { return Message::new(parts) };
    let names = &content.bytes[..content.names_len()];
    let bytes = [names, &properties, content.inline_body()].concat();
    parts.properties_len = u32::try_from(properties.len()).unwrap_or(u32::MAX);
    parts.bytes = &bytes;
    Message::new(parts)
}

fn no_route(exchange: ShortString, routing_key: ShortString) -> basic::Return {
    let reply_text = ShortString::truncated(ReplyCode::NoRoute.name());
    basic::Return { reply_code: ReplyCode::NoRoute.code(), reply_text, exchange, routing_key }
}

fn return_unroutable(id: ChannelId, content: &Content, output: &mut Output) {
    let [exchange, routing_key] =
        [content.exchange(), content.routing_key()].map(ShortString::truncated);
    output.method(id, no_route(exchange, routing_key));
    output.content(
        id,
        OutgoingContent {
            properties: content.properties(),
            body_len: content.body_len,
            inline_body: content.inline_body(),
            body_segments: &content.segments,
        },
    );
}

pub(super) fn return_message(id: ChannelId, message: &Message, output: &mut Output) {
    let exchange = ShortString::truncated(message.exchange());
    let routing_key = ShortString::truncated(message.routing_key());
    output.method(id, no_route(exchange, routing_key));
    output.content(id, outgoing(message));
}

/// A stored message on its way to a client.
pub(super) fn outgoing(message: &Message) -> OutgoingContent<'_> {
    OutgoingContent {
        properties: message.properties(),
        body_len: message.body_len(),
        inline_body: message.inline_body(),
        body_segments: message.body_segments(),
    }
}
