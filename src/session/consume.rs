//! Consumers, `basic.get`, and deliveries on their way out.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{
    BasicProperties, ChannelId, FieldTable, FieldValue, PropertiesRef, ReplyCode, ShortString,
    write_ack, write_deliver, write_nack,
};
use bytes::Buf;

use super::channel::{Delivered, Mode, SessionChannel};
use super::client::{AnnouncedUse, Answer, Session};
use super::outbox::{Item, Outbox, Publisher};
use super::publish::outgoing;
use super::reply_to::REPLY_TO;
use super::source::{ConsumerRequest, SourceConsumer};
use crate::broker::credit::OutboxBound;
use crate::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use crate::broker::error::BrokerError;
use crate::broker::message::Message;
use crate::broker::policy::QueueKind;
use crate::broker::queue::{
    ConsumeRefused, ConsumerHandle, ConsumerOptions, Fetched, Get, Prefetch,
};
use crate::broker::queue_cell::QueueCell;
use crate::broker::queue_settings::TimeoutAction;
use crate::protocol::confirm::Outcome;
use crate::protocol::connection::Failure;
use crate::protocol::exception::Exception;
use crate::protocol::output::{OutgoingContent, Output};

/// Deliveries that a channel's consumers held for too long, and whose tags are known in case they are
/// answered after all. A consumer that never answers ends here.
const UNANSWERED_MAX: u32 = 100_000;

impl Session {
    /// `basic.consume`. The answer is written before the first delivery can be.
    ///
    /// # Errors
    /// 403, 404 and 405 for the queue; 530 for a consumer tag in use.
    pub(super) fn consume(
        &mut self,
        id: ChannelId,
        consume: basic::Consume,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        if consume.queue.as_bytes() == REPLY_TO {
            return self.consume_replies(id, &consume, output);
        }
        let queue = self.readable_queue(id, &consume.queue)?;
        queue.check_access(self.id)?;
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let tag = match &consume.consumer_tag {
            tag if tag.is_empty() => self.host.unique_name("amq.ctag-"),
            tag if channel.has_consumer(tag) => return Err(tag_in_use(tag)),
            tag => tag.clone(),
        };
        channel.check_room(self.host.capacity.consumers_per_channel)?;
        let arguments = ConsumeArguments::read(&queue, &consume.arguments)?;
        if queue.kind() == QueueKind::Quorum && channel.credit.is_limited() {
            let text = format!("{} does not support global qos", queue.resource());
            return Err(Exception::new(ReplyCode::NotImplemented, text));
        }
        let bound = Arc::new(OutboxBound::new(self.host.outbox_bytes_max));
        let slot = channel.sources.add(
            Arc::clone(&queue),
            Some(SourceConsumer {
                tag: tag.clone(),
                no_ack: consume.no_ack,
                request: ConsumerRequest {
                    exclusive: consume.exclusive,
                    prefetch: channel.prefetch,
                    arguments: consume.arguments.clone(),
                },
                bound: Arc::clone(&bound),
                handle: None,
            }),
        );
        let options = ConsumerOptions {
            subscription: Subscription { channel: id, slot },
            sink: Arc::clone(&self.outbox) as Arc<dyn DeliverySink>,
            outbox_bound: bound,
            channel_credit: Arc::clone(&channel.credit),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            prefetch: Prefetch::from(channel.prefetch),
            priority: arguments.priority,
            timeout: arguments.timeout,
            timeout_action: arguments.timeout_action,
        };
        let mut effects = Effects::default();
        let added = {
            let mut state = queue.state.lock();
            match state.announce_use() {
                Some(announcement) => Err(announcement),
                None => Ok(state.add_consumer(options, now, &mut effects)),
            }
        };
        let added = match added {
            Ok(added) => added,
            Err(announcement) => {
                channel.sources.retire(slot);
                let request = consume.into();
                self.announced = Some(AnnouncedUse { queue, announcement, request });
                return Ok(());
            }
        };
        self.host.carry_out(&queue, &mut effects, now);
        match added {
            Ok(handle) => channel.consume_from(slot, tag.clone(), handle),
            Err(refused) => {
                channel.sources.retire(slot);
                return Err(refusal(&queue, refused).into());
            }
        }
        self.tell_consumer_created(id, &queue.name, &consume, &tag);
        if !consume.no_wait {
            output.method(id, basic::ConsumeOk { consumer_tag: tag });
        }
        Ok(())
    }

    /// `basic.cancel`. What was delivered before goes out first: nothing follows the answer.
    pub(super) fn cancel(
        &mut self,
        id: ChannelId,
        cancel: &basic::Cancel,
        output: &mut Output,
        now: Instant,
    ) {
        if self.is_reply_consumer(id, &cancel.consumer_tag) {
            // Replies that came before go out before the answer, too.
            self.settle_outbox(output, now);
            self.cancel_replies(id);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let slot = channel.consumers.remove(&cancel.consumer_tag);
        if let Some(slot) = slot
            && let Some(source) = channel.sources.get(slot)
        {
            let queue = Arc::clone(&source.queue);
            let handle = source.handle();
            let mut effects = Effects::default();
            if let Some(handle) = handle {
                queue.state.lock().remove_consumer(handle, now, &mut effects);
            }
            self.settle_outbox(output, now);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.sources.retire(slot);
            }
            self.carry_out(&queue, &mut effects, now);
            self.tell_consumer_deleted(id, &queue.name, &cancel.consumer_tag);
        }
        if !cancel.no_wait {
            let consumer_tag = cancel.consumer_tag.clone();
            output.method(id, basic::CancelOk { consumer_tag });
        }
    }

    /// `basic.get`.
    ///
    /// # Errors
    /// 403, 404 and 405 for the queue.
    pub(super) fn get(
        &mut self,
        id: ChannelId,
        get: &basic::Get,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        let queue = self.readable_queue(id, &get.queue)?;
        queue.check_access(self.id)?;
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let mut effects = Effects::default();
        let got = {
            let mut state = queue.state.lock();
            if state.settings().single_active_consumer && queue.kind() == QueueKind::Quorum {
                return Err(BrokerError::GetFromSingleActive(queue.resource()).into());
            }
            if let Some(announcement) = state.announce_use() {
                drop(state);
                let request = get.clone().into();
                self.announced = Some(AnnouncedUse { queue, announcement, request });
                return Ok(());
            }
            let sink: Arc<dyn DeliverySink> = Arc::<Outbox>::clone(&self.outbox);
            state.get(get.no_ack, &sink, now, &mut effects)
        };
        self.host.carry_out(&queue, &mut effects, now);
        let Fetched { entry, number, behind } = match got {
            Get::Message(fetched) => fetched,
            Get::Empty => {
                channel.stats.empty_gets += 1;
                output.method(id, basic::GetEmpty {});
                return Ok(());
            }
            Get::Later => {
                self.get_later = Some(get.clone());
                return Ok(());
            }
        };
        channel.stats.redelivered += u64::from(entry.is_redelivered());
        let delivery_tag = if get.no_ack {
            channel.stats.fetched_automatically += 1;
            channel.unacked.pass()
        } else {
            channel.stats.fetched += 1;
            let slot = channel.sources.for_get(&queue);
            channel.owe(slot, Delivered { slot, number })
        };
        output.method(
            id,
            basic::GetOk {
                delivery_tag,
                redelivered: entry.is_redelivered(),
                exchange: ShortString::truncated(entry.message.exchange()),
                routing_key: ShortString::truncated(entry.message.routing_key()),
                message_count: u32::try_from(behind).unwrap_or(u32::MAX),
            },
        );
        write_content(output, id, &entry.message, entry.returns);
        if self.vhost.is_traced() {
            let redelivered = entry.is_redelivered();
            self.traced(id).delivered(&queue.name, &entry.message, redelivered, now);
        }
        Ok(())
    }

    /// `basic.qos`: for consumers to come, or for the whole channel at once.
    ///
    /// # Errors
    /// 540 for a limit in bytes.
    pub(super) fn qos(
        &mut self,
        id: ChannelId,
        qos: &basic::Qos,
        now: Instant,
    ) -> Result<Answer, Exception> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(Exception::new(ReplyCode::NotImplemented, text));
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            if !qos.global {
                channel.prefetch = qos.prefetch_count;
            } else if channel.credit.set_limit(qos.prefetch_count) {
                self.resume_consumers(id, now);
            }
        }
        Ok(Some(basic::QosOk {}.into()))
    }

    /// Writes what waits in the outbox, as long as less than `output_max` bytes wait in the output.
    /// `true` if everything was written.
    pub(super) fn drain_outbox(
        &mut self,
        output: &mut Output,
        output_max: usize,
        now: Instant,
    ) -> bool {
        loop {
            let all = self.write_arrived(output, output_max, now);
            // Deliveries that were taken back leave credit for others.
            self.resume_starved(now);
            if !all {
                return false;
            }
            if !self.refill_arrived() {
                return true;
            }
        }
    }

    /// Takes what the outbox holds; `false` if that is nothing.
    pub(super) fn refill_arrived(&mut self) -> bool {
        let mut items = Vec::new();
        self.outbox.take(&mut items);
        self.arrived = items.into_iter();
        self.arrived.len() > 0
    }

    /// Writes all that has arrived so far, so that what follows is not overtaken by it.
    pub(super) fn settle_outbox(&mut self, output: &mut Output, now: Instant) {
        self.write_arrived(output, usize::MAX, now);
        // Once: what arrives because of this may go on without end.
        self.refill_arrived();
        self.write_arrived(output, usize::MAX, now);
        self.write_confirms(output);
    }

    /// Writes what was taken out of the outbox, up to the same bound; `true` if that was all.
    pub(super) fn write_arrived(
        &mut self,
        output: &mut Output,
        output_max: usize,
        now: Instant,
    ) -> bool {
        while output.remaining() < output_max {
            let Some(item) = self.arrived.next() else { return true };
            self.arrived_item(item, output, now);
        }
        false
    }

    fn arrived_item(&mut self, item: Item, output: &mut Output, now: Instant) {
        match item {
            Item::Delivery(delivery) => self.deliver(&delivery, output, now),
            Item::Cancelled(subscription) => self.cancelled(subscription, output),
            Item::TakenBack(subscription, numbers) => {
                self.taken_back(subscription, &numbers, now);
            }
            Item::TimedOut { subscription, timeout, dropped } => {
                self.timed_out(subscription, timeout, dropped, output);
            }
            Item::Settled(publisher, first, last, outcome) => {
                self.confirm(publisher, first..=last, outcome);
            }
            Item::Reply(to, bound, message) => self.write_reply(to, &bound, &message, output),
            Item::Unblocked => self.unblocked = true,
            Item::Committed => self.committed = true,
            Item::TryAgain => self.try_again = true,
        }
    }

    fn deliver(&mut self, delivery: &Delivery, output: &mut Output, now: Instant) {
        let Delivery { subscription: Subscription { channel: id, slot }, number, .. } = *delivery;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(source) = channel.sources.get(slot) else { return };
        let Some(consumer) = &source.consumer else { return };
        let stalled = consumer.bound.remove(delivery.message.memory());
        let resume =
            consumer.handle.filter(|_| stalled).map(|handle| (Arc::clone(&source.queue), handle));
        let traced = self.vhost.is_traced() && !channel.closing;
        let from = traced.then(|| Arc::clone(&source.queue));
        write_delivery(channel, id, slot, Delivered { slot, number }, delivery, output);
        if let Some(queue) = from {
            self.traced(id).delivered(&queue.name, &delivery.message, delivery.redelivered, now);
        }
        if let Some((queue, handle)) = resume {
            let mut effects = Effects::default();
            queue.state.lock().resume([handle], now, &mut effects);
            self.host.carry_out(&queue, &mut effects, now);
        }
    }

    /// A queue went away under a consumer: the client is told if it wants to know.
    fn cancelled(&mut self, subscription: Subscription, output: &mut Output) {
        let Subscription { channel: id, slot } = subscription;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(source) = channel.sources.get(slot) else { return };
        let Some(tag) = source.consumer.as_ref().map(|consumer| consumer.tag.clone()) else {
            return;
        };
        let queue = Arc::clone(&source.queue);
        channel.sources.retire(slot);
        let known = channel.consumers.remove(&tag).is_some() && !channel.closing;
        if known {
            self.tell_consumer_deleted(id, &queue.name, &tag);
        }
        if known && self.capabilities.consumer_cancel_notify {
            output.method(id, basic::Cancel { consumer_tag: tag, no_wait: true });
        }
    }

    /// Deliveries were held for too long. The client may still answer them.
    fn taken_back(&mut self, subscription: Subscription, numbers: &[u64], now: Instant) {
        let Subscription { channel: id, slot } = subscription;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let SessionChannel { unacked, sources, credit, unanswered, .. } = &mut **channel;
        let mut taken_back = 0;
        for delivered in unacked.iter_mut() {
            if delivered.slot == slot && numbers.binary_search(&delivered.number).is_ok() {
                *delivered = Delivered::TAKEN_BACK;
                taken_back += 1;
            }
        }
        sources.settled(slot, taken_back);
        *unanswered += taken_back;
        if *unanswered > UNANSWERED_MAX {
            let text = format!("more than {UNANSWERED_MAX} deliveries were held for too long");
            let exception = Exception::precondition_failed(text);
            self.failures.push(Failure { channel: id, exception });
        }
        if credit.give_back(taken_back) {
            // No method of the client's may follow that would do it.
            self.resume_consumers(id, now);
        }
    }

    /// A consumer held a delivery for too long: its channel closes. Where its queue dropped it
    /// instead, a client that understands is told just that.
    fn timed_out(
        &mut self,
        subscription: Subscription,
        timeout: u64,
        dropped: bool,
        output: &mut Output,
    ) {
        if dropped {
            self.cancelled(subscription, output);
            if self.capabilities.consumer_cancel_notify {
                return;
            }
        }
        let id = subscription.channel;
        let text = format!(
            "delivery acknowledgement on channel {id} timed out. Timeout value used: {timeout} ms. \
             This timeout value can be configured, see consumers doc guide to learn more"
        );
        let exception = Exception::precondition_failed(text);
        self.failures.push(Failure { channel: id, exception });
    }

    fn confirm(&mut self, publisher: Publisher, range: RangeInclusive<u64>, outcome: Outcome) {
        let Publisher { channel: id, serial } = publisher;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.serial != serial || channel.closing {
            return;
        }
        if let Mode::Confirm(ledger) = &mut channel.mode {
            if outcome == Outcome::Acked {
                let count = range.end() + 1 - range.start();
                channel.stats.confirmed += count;
                self.tally.confirmed(count);
            }
            for sequence in range {
                ledger.settle(sequence, outcome);
            }
            if !self.to_confirm.contains(&id) {
                self.to_confirm.push(id);
            }
        }
    }

    /// Writes the confirms that have become due: one method for the longest run.
    pub(super) fn write_confirms(&mut self, output: &mut Output) {
        if !self.to_confirm.is_empty() {
            // Who is told can see that it is counted.
            self.tally.flush(self.vhost.traffic());
        }
        for id in self.to_confirm.drain(..) {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let Mode::Confirm(ledger) = &mut channel.mode else { continue };
            while let Some(confirm) = ledger.next_confirm() {
                let (tag, multiple) = (confirm.delivery_tag, confirm.multiple);
                match confirm.outcome {
                    Outcome::Acked => write_ack(output.buffer(), id, tag, multiple),
                    Outcome::Nacked => {
                        write_nack(output.buffer(), id, tag, multiple, false);
                    }
                }
            }
        }
    }
}

impl SessionChannel {
    /// Whether a consumer has this tag, of a queue or of replies.
    pub(super) fn has_consumer(&self, tag: &ShortString) -> bool {
        self.consumers.contains_key(tag)
            || self.reply_consumer.as_ref().is_some_and(|consumer| consumer.tag == *tag)
    }

    /// Checks that one more consumer may be; 0 is no limit.
    ///
    /// # Errors
    /// 530.
    pub(super) fn check_room(&self, max: usize) -> Result<(), Exception> {
        let count = self.consumers.len() + usize::from(self.reply_consumer.is_some());
        if max == 0 || count < max {
            return Ok(());
        }
        let text = format!("reached maximum ({max}) of consumers per channel");
        Err(Exception::new(ReplyCode::NotAllowed, text))
    }

    fn consume_from(&mut self, slot: u32, tag: ShortString, handle: ConsumerHandle) {
        if let Some(consumer) = self.sources.get(slot).and_then(|source| source.consumer.as_mut()) {
            consumer.handle = Some(handle);
        }
        self.consumers.insert(tag, slot);
    }

    /// Notes a delivery that the client is to settle; its tag.
    fn owe(&mut self, slot: u32, delivered: Delivered) -> u64 {
        if let Some(source) = self.sources.get(slot) {
            source.unacked += 1;
        }
        self.unacked.push(delivered)
    }
}

fn write_delivery(
    channel: &mut SessionChannel,
    id: ChannelId,
    slot: u32,
    delivered: Delivered,
    delivery: &Delivery,
    output: &mut Output,
) {
    let SessionChannel { sources, unacked, closing, stats, .. } = channel;
    let Some(source) = sources.get(slot) else { return };
    let Some(consumer) = &source.consumer else { return };
    stats.redelivered += u64::from(delivery.redelivered);
    let tag = if consumer.no_ack {
        stats.delivered_automatically += 1;
        unacked.pass()
    } else {
        stats.delivered += 1;
        source.unacked += 1;
        unacked.push(delivered)
    };
    if *closing {
        return;
    }
    let message: &Message = &delivery.message;
    write_deliver(
        output.buffer(),
        id,
        consumer.tag.as_bytes(),
        tag,
        delivery.redelivered,
        message.exchange(),
        message.routing_key(),
    );
    write_content(output, id, message, delivery.returns);
}

/// 530: a channel's consumers have tags of their own.
pub(super) fn tag_in_use(tag: &ShortString) -> Exception {
    let text = format!("attempt to reuse consumer tag '{tag}'");
    Exception::new(ReplyCode::NotAllowed, text)
}

/// Writes a message; one that came back before says how often.
///
/// What the broker adds to headers may make them longer than a frame of the client's. Then it is left
/// out, or, of a dead letter, all headers: a message that can't be delivered whole is not to end one
/// connection after the other.
fn write_content(output: &mut Output, id: ChannelId, message: &Message, returns: u32) {
    let (raw, max) = (message.properties(), output.properties_max());
    let mut write = |properties: &[u8]| {
        output.content(id, OutgoingContent { properties, ..outgoing(message) });
    };
    if returns > 0 {
        let counted = with_delivery_count(raw, returns);
        if counted.len() <= max {
            return write(&counted);
        }
    }
    if raw.len() <= max {
        return write(raw);
    }
    tracing::warn!("headers of a message are left out: they fit no frame of {max} bytes");
    write(&without_headers(raw));
}

fn without_headers(raw: &[u8]) -> Vec<u8> {
    let parsed = PropertiesRef::parse(raw).and_then(|it| it.to_owned());
    BasicProperties { headers: None, ..parsed.unwrap_or_default() }.to_vec()
}

/// Properties with the header `x-delivery-count`. They were validated when they came; if they could
/// not be read they would go out as they are.
fn with_delivery_count(raw: &[u8], returns: u32) -> Vec<u8> {
    let Ok(mut properties) = PropertiesRef::parse(raw).and_then(|it| it.to_owned()) else {
        return raw.to_vec();
    };
    let headers = properties.headers.get_or_insert_default();
    headers.insert(ShortString::from_static("x-delivery-count"), FieldValue::I64(returns.into()));
    properties.to_vec()
}

fn refusal(queue: &QueueCell, refused: ConsumeRefused) -> BrokerError {
    match refused {
        ConsumeRefused::ExclusiveUse => BrokerError::ExclusiveUse(queue.resource()),
        ConsumeRefused::Deleted => BrokerError::NotFound(queue.resource()),
    }
}

/// What the arguments of `basic.consume` ask for.
struct ConsumeArguments {
    priority: i64,
    timeout: Option<u64>,
    timeout_action: Option<TimeoutAction>,
}

impl ConsumeArguments {
    /// # Errors
    /// 406, for a value of the wrong type or range.
    fn read(queue: &QueueCell, arguments: &FieldTable) -> Result<Self, BrokerError> {
        let refused =
            |arg, reason| BrokerError::InvalidArg { arg, resource: queue.resource(), reason };
        let integer = |arg| match arguments.get(arg) {
            None => Ok(None),
            Some(value) => value.as_integer().map(Some).ok_or_else(|| {
                refused(arg, format!("\"expected integer, got {}\"", value.type_name()))
            }),
        };
        let negative =
            |timeout: i64| refused("x-consumer-timeout", format!("{{value_negative,{timeout}}}"));
        let timeout = integer("x-consumer-timeout")?;
        let timeout = timeout.map(|it| u64::try_from(it).map_err(|_| negative(it))).transpose()?;
        let action = "x-consumer-timeout-action";
        let timeout_action = match arguments.get(action) {
            None => None,
            Some(FieldValue::LongString(name)) => match TimeoutAction::parse(name) {
                Some(parsed) => Some(parsed),
                None => return Err(refused(action, "invalid_timeout_action".to_owned())),
            },
            Some(other) => {
                let reason = format!("{{unacceptable_type,{}}}", other.type_name());
                return Err(refused(action, reason));
            }
        };
        Ok(Self { priority: integer("x-priority")?.unwrap_or(0), timeout, timeout_action })
    }
}
