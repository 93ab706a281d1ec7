//! Consumers, `basic.get`, and deliveries on their way out.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{
    ChannelId, FieldValue, ReplyCode, ShortString, write_ack, write_deliver, write_nack,
};
use bytes::Buf;

use super::channel::{Delivered, Mode, SessionChannel};
use super::client::{Answer, Session};
use super::outbox::{Item, Publisher};
use super::publish::outgoing;
use super::source::SourceConsumer;
use crate::broker::credit::OutboxBound;
use crate::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use crate::broker::error::BrokerError;
use crate::broker::message::Message;
use crate::broker::queue::{ConsumeRefused, ConsumerHandle, ConsumerOptions, Prefetch};
use crate::broker::queue_cell::QueueCell;
use crate::protocol::confirm::Outcome;
use crate::protocol::exception::Exception;
use crate::protocol::output::Output;

impl Session {
    /// `basic.consume`. The answer is written before the first delivery can be.
    ///
    /// # Errors
    /// 404, 405 and 403 for the queue; 530 for a consumer tag in use.
    pub(super) fn consume(
        &mut self,
        id: ChannelId,
        consume: basic::Consume,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        let queue = self.named_queue(id, &consume.queue)?;
        queue.check_access(self.id)?;
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let tag = match consume.consumer_tag {
            tag if tag.is_empty() => self.host.unique_name("amq.ctag-"),
            tag if channel.consumers.contains_key(&tag) => {
                let text = format!("attempt to reuse consumer tag '{tag}'");
                return Err(Exception::new(ReplyCode::NotAllowed, text));
            }
            tag => tag,
        };
        check_priority(&queue, consume.arguments.get("x-priority"))?;
        let bound = Arc::new(OutboxBound::new(self.host.outbox_bytes_max));
        let slot = channel.sources.add(
            Arc::clone(&queue),
            Some(SourceConsumer {
                tag: tag.clone(),
                no_ack: consume.no_ack,
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
        };
        let mut effects = Effects::default();
        let added = queue.state.lock().add_consumer(options, now, &mut effects);
        self.host.carry_out(&mut effects);
        match added {
            Ok(handle) => channel.consume_from(slot, tag.clone(), handle),
            Err(refused) => {
                channel.sources.retire(slot);
                return Err(refusal(&queue, refused).into());
            }
        }
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
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let slot = channel.consumers.remove(&cancel.consumer_tag);
        if let Some(slot) = slot
            && let Some(source) = channel.sources.get(slot)
        {
            let queue = Arc::clone(&source.queue);
            let handle = source.handle();
            let mut effects = Effects::default();
            if let Some(handle) = handle {
                queue.state.lock().remove_consumer(handle, &mut effects);
            }
            self.settle_outbox(output, now);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.sources.retire(slot);
            }
            self.carry_out(&queue, &mut effects);
        }
        if !cancel.no_wait {
            let consumer_tag = cancel.consumer_tag.clone();
            output.method(id, basic::CancelOk { consumer_tag });
        }
    }

    /// `basic.get`.
    ///
    /// # Errors
    /// 404 and 405 for the queue.
    pub(super) fn get(
        &mut self,
        id: ChannelId,
        get: &basic::Get,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        let queue = self.named_queue(id, &get.queue)?;
        queue.check_access(self.id)?;
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let mut effects = Effects::default();
        let got = queue.state.lock().get(get.no_ack, now, &mut effects);
        self.host.carry_out(&mut effects);
        let Some((entry, behind)) = got else {
            output.method(id, basic::GetEmpty {});
            return Ok(());
        };
        let delivery_tag = if get.no_ack {
            channel.unacked.pass()
        } else {
            let slot = channel.sources.for_get(&queue);
            channel.owe(slot, Delivered { slot, position: entry.position })
        };
        output.method(
            id,
            basic::GetOk {
                delivery_tag,
                redelivered: entry.redelivered,
                exchange: ShortString::truncated(entry.message.exchange()),
                routing_key: ShortString::truncated(entry.message.routing_key()),
                message_count: u32::try_from(behind).unwrap_or(u32::MAX),
            },
        );
        output.content(id, outgoing(&entry.message));
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
        while self.write_arrived(output, output_max, now) {
            if !self.refill_arrived() {
                return true;
            }
        }
        false
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
            Item::Settled(publisher, range, outcome) => self.confirm(publisher, range, outcome),
            Item::Unblocked => self.unblocked = true,
        }
    }

    fn deliver(&mut self, delivery: &Delivery, output: &mut Output, now: Instant) {
        let Delivery { subscription: Subscription { channel: id, slot }, position, .. } = *delivery;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(source) = channel.sources.get(slot) else { return };
        let Some(consumer) = &source.consumer else { return };
        let stalled = consumer.bound.remove(delivery.message.memory());
        let resume =
            consumer.handle.filter(|_| stalled).map(|handle| (Arc::clone(&source.queue), handle));
        write_delivery(channel, id, slot, Delivered { slot, position }, delivery, output);
        if let Some((queue, handle)) = resume {
            let mut effects = Effects::default();
            queue.state.lock().resume(handle, now, &mut effects);
            self.host.carry_out(&mut effects);
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
        channel.sources.retire(slot);
        let known = channel.consumers.remove(&tag).is_some() && !channel.closing;
        if known && self.capabilities.consumer_cancel_notify {
            output.method(id, basic::Cancel { consumer_tag: tag, no_wait: true });
        }
    }

    fn confirm(&mut self, publisher: Publisher, range: RangeInclusive<u64>, outcome: Outcome) {
        let Publisher { channel: id, serial } = publisher;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.serial != serial || channel.closing {
            return;
        }
        if let Mode::Confirm(ledger) = &mut channel.mode {
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
    let SessionChannel { sources, unacked, closing, .. } = channel;
    let Some(source) = sources.get(slot) else { return };
    let Some(consumer) = &source.consumer else { return };
    let tag = if consumer.no_ack {
        unacked.pass()
    } else {
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
    output.content(id, outgoing(message));
}

fn refusal(queue: &QueueCell, refused: ConsumeRefused) -> BrokerError {
    match refused {
        ConsumeRefused::ExclusiveUse => BrokerError::ExclusiveUse(queue.resource()),
        ConsumeRefused::Deleted => BrokerError::NotFound(queue.resource()),
    }
}

/// `x-priority` is an integer of any width; any but the default is not supported yet.
fn check_priority(queue: &QueueCell, priority: Option<&FieldValue>) -> Result<(), BrokerError> {
    let (arg, resource) = ("x-priority", queue.resource());
    match priority.map(|value| (value, value.as_integer())) {
        None | Some((_, Some(0))) => Ok(()),
        Some((_, Some(_))) => Err(BrokerError::UnsupportedArg { arg, resource }),
        Some((value, None)) => {
            let reason = format!("\"expected integer, got {}\"", value.type_name());
            Err(BrokerError::InvalidArg { arg, resource, reason })
        }
    }
}
