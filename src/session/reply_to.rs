//! Direct reply-to: replies that go straight to the channel that asked, through no queue.
//!
//! <https://www.rabbitmq.com/docs/direct-reply-to>.

use std::sync::{Arc, Weak};

use amqp_codec::method::{basic, queue};
use amqp_codec::{ChannelId, ReplyCode, ShortString, write_deliver};
use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::client::{Answer, Session};
use super::consume::tag_in_use;
use super::outbox::{Outbox, Publisher};
use super::publish::outgoing;
use crate::broker::credit::OutboxBound;
use crate::broker::message::Message;
use crate::protocol::exception::Exception;
use crate::protocol::output::Output;

/// What a requester consumes from, and puts into `reply-to`.
pub(super) const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

/// What the names begin with that requesters' addresses get, with 22 characters that nobody guesses.
const ADDRESS_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// A channel's reply consumer.
#[derive(Debug)]
pub(super) struct ReplyConsumer {
    pub(super) tag: ShortString,
    /// What `reply-to` becomes in its requests.
    pub(super) address: ShortString,
    bound: Arc<OutboxBound>,
}

/// Where an address leads.
#[derive(Debug)]
struct Requester {
    channel: Publisher,
    outbox: Weak<Outbox>,
    bound: Arc<OutboxBound>,
}

/// The reply consumers of all channels, by address.
#[derive(Debug, Default)]
pub(super) struct ReplyAddresses(DashMap<ShortString, Requester, RandomState>);

impl ReplyAddresses {
    fn contains(&self, address: &ShortString) -> bool {
        self.0.contains_key(address)
    }

    /// Hands a reply over; `false` if nobody waits for it any more. A requester that does not read
    /// its replies loses those beyond what may wait for a consumer.
    fn deliver(&self, address: &ShortString, message: Message) -> bool {
        let requester = self.0.get(address).map(|requester| {
            (requester.channel, requester.outbox.upgrade(), Arc::clone(&requester.bound))
        });
        let Some((channel, Some(outbox), bound)) = requester else { return false };
        if bound.is_stalled() {
            tracing::warn!("a reply is dropped: the requester does not read those before it");
            return true;
        }
        bound.add(message.memory());
        outbox.reply(channel, bound, message);
        true
    }
}

/// Whether a name stands for a reply consumer, or for the place where one is made.
pub(super) fn is_reply_to(name: &ShortString) -> bool {
    name.as_bytes().starts_with(REPLY_TO)
}

/// Whether a publish goes to a requester rather than to queues.
pub(super) fn is_reply(exchange: &[u8], routing_key: &[u8]) -> bool {
    exchange.is_empty() && routing_key.starts_with(ADDRESS_PREFIX.as_bytes())
}

impl Session {
    /// `basic.consume` from `amq.rabbitmq.reply-to`.
    ///
    /// # Errors
    /// 406 for a second one on the channel, and for one that would acknowledge.
    pub(super) fn consume_replies(
        &mut self,
        id: ChannelId,
        consume: &basic::Consume,
        output: &mut Output,
    ) -> Result<(), Exception> {
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        if channel.reply_consumer.is_some() {
            return Err(Exception::precondition_failed("reply consumer already set"));
        }
        if !consume.no_ack {
            return Err(Exception::precondition_failed("reply consumer cannot acknowledge"));
        }
        let tag = match &consume.consumer_tag {
            tag if tag.is_empty() => self.host.unique_name("amq.ctag-"),
            tag if channel.has_consumer(tag) => return Err(tag_in_use(tag)),
            tag => tag.clone(),
        };
        let address = self.host.unique_name(ADDRESS_PREFIX);
        let bound = Arc::new(OutboxBound::new(self.host.outbox_bytes_max));
        let requester = Requester {
            channel: Publisher { channel: id, serial: channel.serial },
            outbox: Arc::downgrade(&self.outbox),
            bound: Arc::clone(&bound),
        };
        self.host.replies.0.insert(address.clone(), requester);
        channel.reply_consumer = Some(ReplyConsumer { tag: tag.clone(), address, bound });
        if !consume.no_wait {
            output.method(id, basic::ConsumeOk { consumer_tag: tag });
        }
        Ok(())
    }

    /// Whether a channel's reply consumer has this tag.
    pub(super) fn is_reply_consumer(&self, id: ChannelId, tag: &ShortString) -> bool {
        let consumer = self.channels.get(&id).and_then(|channel| channel.reply_consumer.as_ref());
        consumer.is_some_and(|consumer| consumer.tag == *tag)
    }

    /// Takes away a channel's reply consumer, if it has one.
    pub(super) fn cancel_replies(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some(consumer) = channel.reply_consumer.take() {
            self.host.replies.0.remove(&consumer.address);
        }
    }

    /// `queue.declare` of a reply consumer's name, which only ever looks.
    ///
    /// # Errors
    /// 404, where nobody waits for replies.
    pub(super) fn declare_reply_to(&self, declare: &queue::Declare) -> Result<Answer, Exception> {
        let name = &declare.queue;
        if name.as_bytes() != REPLY_TO && !self.host.replies.contains(name) {
            let text = format!("no queue '{name}' in vhost '{}'", self.vhost.name());
            return Err(Exception::new(ReplyCode::NotFound, text));
        }
        let ok = queue::DeclareOk { queue: name.clone(), message_count: 0, consumer_count: 1 };
        Ok((!declare.no_wait).then(|| ok.into()))
    }

    /// Hands a reply to its requester; `false` if there is none any more.
    pub(super) fn reply(&self, address: &ShortString, message: Message) -> bool {
        self.host.replies.deliver(address, message)
    }

    /// Writes a reply that arrived.
    pub(super) fn write_reply(
        &mut self,
        to: Publisher,
        bound: &Arc<OutboxBound>,
        message: &Message,
        output: &mut Output,
    ) {
        // It waits no more, whether or not its consumer is still there.
        bound.remove(message.memory());
        let Publisher { channel: id, serial } = to;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.serial != serial || channel.closing {
            return;
        }
        let same = |consumer: &&ReplyConsumer| Arc::ptr_eq(&consumer.bound, bound);
        let Some(consumer) = channel.reply_consumer.as_ref().filter(same) else { return };
        write_deliver(
            output.buffer(),
            id,
            consumer.tag.as_bytes(),
            channel.unacked.pass(),
            false,
            message.exchange(),
            message.routing_key(),
        );
        output.content(id, outgoing(message));
    }
}
