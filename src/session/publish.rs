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
    /// Publishes a message; its buffer comes back to be used again.
    ///
    /// # Errors
    /// 540 for `immediate`; 404 or 403 for the exchange; 406 for properties that make no sense.
    pub(super) fn publish(
        &mut self,
        id: ChannelId,
        content: Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<Vec<u8>, Exception> {
        let blamed = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
        self.accept(id, &content, output, now).map_err(|exception| exception.blame(blamed))?;
        Ok(content.bytes)
    }

    fn accept(
        &mut self,
        id: ChannelId,
        content: &Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        if content.publish.immediate {
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
        let facts = match Facts::read(content.properties(), sender, now) {
            Ok(facts) => facts,
            Err(exception) => {
                // What is wrong with the exchange is told before what is wrong with the message.
                caller.check_exchange(Permission::Write, &content.publish.exchange)?;
                caller.check_routing_keys(&content.publish, std::iter::empty())?;
                self.vhost.check_target(&content.publish.exchange)?;
                return Err(exception);
            }
        };
        if is_reply(&content.publish) {
            caller.check_exchange(Permission::Write, &content.publish.exchange)?;
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
                let message = store(content, facts);
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
                    mandatory: content.publish.mandatory,
                });
                return Ok(());
            }
        };
        if self.settlements.is_of(&route.queues) {
            // A queue sees what its client does in order: a message that replaces one just settled is
            // no duplicate of it.
            self.flush(now);
        }
        if route.queues.is_empty() {
            if content.publish.mandatory && route.is_unroutable() {
                return_unroutable(id, content, output);
            }
            // What confirms a duplicate is that the first one is safe.
            self.batch.stored |= route.duplicate && facts.persistent;
            if route.is_recorded() {
                let message = store(content, facts);
                route.record(&message, &message.routing_keys());
            }
            if let Some(sequence) = sequence {
                // Confirmed like any other, in its turn.
                self.batch.await_confirm(publisher, sequence, false);
            }
            return Ok(());
        }
        let message = store(content, facts);
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
        let delivered = self.reply(&content.publish.routing_key, store(content, facts));
        if !delivered && content.publish.mandatory {
            return_unroutable(id, content, output);
        }
        if let Some(channel) = self.channels.get_mut(&id)
            && let Mode::Confirm(ledger) = &mut channel.mode
        {
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
        for share in &mut shares {
            let Some(route) = share.take_route() else { continue };
            let of_share = self.enter_queues_of(&route, &share.messages, now);
            refused.extend(share.numbers_of(of_share));
            share.clear();
        }
        self.batch.give_back(shares);
        refused.sort_unstable();
        refused
    }

    /// The messages that some queue refused, by their places.
    fn enter_queues_of(&self, route: &Route, messages: &[Message], now: Instant) -> Vec<usize> {
        let queues = u32::try_from(route.queues.len()).unwrap_or(u32::MAX);
        for message in messages {
            message.enter(queues);
        }
        let mut refused = Vec::new();
        for queue in &route.queues {
            let mut effects = Effects::default();
            queue.state.lock().enqueue(messages, now, &mut effects);
            refused.append(&mut effects.refused);
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
    /// The queues for a message: those of an earlier one with the same exchange and key, unless
    /// something was declared, bound or deleted since, or permissions changed.
    fn route(
        &mut self,
        caller: Caller<'_>,
        content: &Content,
        facts: &Facts,
        now: Instant,
    ) -> Result<Arc<Route>, Exception> {
        let basic::Publish { exchange, routing_key, .. } = &content.publish;
        let (rights, vhost) = (caller.rights.version(), caller.vhost);
        let as_of = AsOf { topology: vhost.version(), rights };
        if facts.has_one_key()
            && let Some(route) = self.routes.find(as_of, exchange, routing_key)
        {
            return Ok(Arc::clone(route));
        }
        if self.writable.as_ref().is_none_or(|(as_of, name)| *as_of != rights || name != exchange) {
            caller.check_exchange(Permission::Write, exchange)?;
            self.writable = Some((rights, exchange.clone()));
        }
        caller.check_routing_keys(&content.publish, facts.more_keys())?;
        let more = facts.more_keys().map(ShortString::as_bytes);
        let keys: SmallVec<[&[u8]; 1]> =
            std::iter::once(routing_key.as_bytes()).chain(more).collect();
        let publication =
            Publication { exchange, routing_keys: &keys, properties: content.properties(), now };
        let route = Arc::new(vhost.route(&mut self.router, &publication)?);
        if route.by_key_alone {
            // It may have been found in a later topology.
            let as_of = AsOf { topology: route.version, rights };
            self.routes.remember(as_of, exchange, routing_key, &route);
        }
        Ok(route)
    }
}

/// Keeps a message, with its properties as receivers are to see them.
fn store(content: &Content, facts: Facts) -> Message {
    let basic::Publish { exchange, routing_key, .. } = &content.publish;
    let Facts { persistent, priority, extras, rewritten } = facts;
    let mut parts = MessageParts {
        exchange_len: exchange.wire_len(),
        routing_key_len: routing_key.wire_len(),
        properties_len: content.properties_len,
        bytes: &content.bytes,
        segments: &content.segments,
        persistent,
        priority,
        extras,
    };
    let Some(properties) = rewritten else { return Message::new(parts) };
    let head = exchange.as_bytes().len() + routing_key.as_bytes().len();
    let body = &content.bytes[head + content.properties_len as usize..];
    let bytes = [&content.bytes[..head], &properties, body].concat();
    parts.properties_len = u32::try_from(properties.len()).unwrap_or(u32::MAX);
    parts.bytes = &bytes;
    Message::new(parts)
}

fn no_route(exchange: ShortString, routing_key: ShortString) -> basic::Return {
    let reply_text = ShortString::truncated(ReplyCode::NoRoute.name());
    basic::Return { reply_code: ReplyCode::NoRoute.code(), reply_text, exchange, routing_key }
}

fn return_unroutable(id: ChannelId, content: &Content, output: &mut Output) {
    let basic::Publish { exchange, routing_key, .. } = &content.publish;
    output.method(id, no_route(exchange.clone(), routing_key.clone()));
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
