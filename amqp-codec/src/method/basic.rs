//! Class basic: messages, in and out.

use super::table::class;
use crate::primitive as p;
use crate::{DecodeError, FieldTable, ShortString};

class! {
    60;

    /// limits how much may be unacknowledged.
    10 "basic.qos" Qos {
        /// The limit in octets; 0 for none. RabbitMQ takes nothing else.
        prefetch_size: u32,
        /// The limit in messages; 0 for none.
        prefetch_count: u16,
        /// In RabbitMQ: for the whole channel instead of each consumer to come.
        global: bool,
    };

    /// the limit is in force.
    11 "basic.qos-ok" QosOk {};

    /// starts a consumer.
    20 "basic.consume" Consume reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// The consumer's name on the channel; empty to have the server choose one.
        consumer_tag: ShortString,
        /// No messages published on this connection. RabbitMQ ignores it.
        no_local: bool,
        /// Deliveries count as acknowledged when sent.
        no_ack: bool,
        /// No other consumer on the queue.
        exclusive: bool,
        /// Send no answer.
        no_wait: bool,
        /// Such as `x-priority`.
        arguments: FieldTable,
    };

    /// the consumer is there.
    21 "basic.consume-ok" ConsumeOk {
        /// The consumer's name.
        consumer_tag: ShortString,
    };

    /// ends a consumer. RabbitMQ also sends it to clients that announced
    /// `consumer_cancel_notify`.
    30 "basic.cancel" Cancel {
        /// The consumer's name.
        consumer_tag: ShortString,
        /// Send no answer.
        no_wait: bool,
    };

    /// the consumer is gone.
    31 "basic.cancel-ok" CancelOk {
        /// The consumer's name.
        consumer_tag: ShortString,
    };

    /// sends a message to an exchange.
    40 "basic.publish" Publish reserved(u16) {
        /// The exchange's name; empty for the default one.
        exchange: ShortString,
        /// What the exchange routes by.
        routing_key: ShortString,
        /// Return the message if it reaches no queue.
        mandatory: bool,
        /// Return the message if no consumer is ready. RabbitMQ refuses it.
        immediate: bool,
    } with content;

    /// gives back a message that was mandatory and reached no queue.
    50 "basic.return" Return {
        /// A [`ReplyCode`](crate::ReplyCode), usually 312.
        reply_code: u16,
        /// The reason in words.
        reply_text: ShortString,
        /// Where it was published to.
        exchange: ShortString,
        /// What it was published with.
        routing_key: ShortString,
    } with content;

    /// hands a message to a consumer.
    60 "basic.deliver" Deliver {
        /// The consumer's name.
        consumer_tag: ShortString,
        /// What to acknowledge it by, on this channel.
        delivery_tag: u64,
        /// It may have been handed out before.
        redelivered: bool,
        /// Where it was published to.
        exchange: ShortString,
        /// What it was published with.
        routing_key: ShortString,
    } with content;

    /// asks for one message.
    70 "basic.get" Get reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// It counts as acknowledged when sent.
        no_ack: bool,
    };

    /// one message, as asked for.
    71 "basic.get-ok" GetOk {
        /// What to acknowledge it by, on this channel.
        delivery_tag: u64,
        /// It may have been handed out before.
        redelivered: bool,
        /// Where it was published to.
        exchange: ShortString,
        /// What it was published with.
        routing_key: ShortString,
        /// The messages still ready in the queue.
        message_count: u32,
    } with content;

    /// there is no message.
    72 "basic.get-empty" GetEmpty reserved(ShortString) {};

    /// settles deliveries; from RabbitMQ, confirms publishes.
    80 "basic.ack" Ack {
        /// Which one; 0 with `multiple` for all so far.
        delivery_tag: u64,
        /// And all before it.
        multiple: bool,
    };

    /// gives a delivery back or drops it.
    90 "basic.reject" Reject {
        /// Which one.
        delivery_tag: u64,
        /// Back into the queue.
        requeue: bool,
    };

    /// asks for all unacknowledged deliveries again, without an answer. Deprecated.
    100 "basic.recover-async" RecoverAsync {
        /// Any consumer may get them. RabbitMQ takes nothing else.
        requeue: bool,
    };

    /// asks for all unacknowledged deliveries again.
    110 "basic.recover" Recover {
        /// Any consumer may get them. RabbitMQ takes nothing else.
        requeue: bool,
    };

    /// they are back in their queues.
    111 "basic.recover-ok" RecoverOk {};

    /// gives deliveries back or drops them; to a client, refuses publishes (RabbitMQ's).
    120 "basic.nack" Nack {
        /// Which one; 0 with `multiple` for all so far.
        delivery_tag: u64,
        /// And all before it.
        multiple: bool,
        /// Back into the queue.
        requeue: bool,
    };
}

/// The arguments of a `basic.publish`, where they were read: [`Publish`] for the hot path. It costs
/// a tenth, because no name is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishRef<'a> {
    /// The exchange's name; empty for the default one.
    pub exchange: &'a [u8],
    /// What the exchange routes by.
    pub routing_key: &'a [u8],
    /// Return the message if it reaches no queue.
    pub mandatory: bool,
    /// Return the message if no consumer is ready. RabbitMQ refuses it.
    pub immediate: bool,
}

impl<'a> PublishRef<'a> {
    /// Reads the arguments, as [`Publish::decode`] does.
    ///
    /// # Errors
    /// If an argument runs past the end, or octets are left over.
    #[inline]
    pub fn decode(args: &'a [u8]) -> Result<Self, DecodeError> {
        let (rest, _reserved) = p::short(args)?;
        let (rest, exchange) = p::short_string(rest)?;
        let (rest, routing_key) = p::short_string(rest)?;
        let (rest, bits) = p::octet(rest)?;
        p::at_end(rest)?;
        Ok(Self { exchange, routing_key, mandatory: bits & 1 != 0, immediate: bits & 2 != 0 })
    }
}
