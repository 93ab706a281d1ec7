//! What a queue is declared with: how messages expire, are limited, dead-lettered, delayed,
//! prioritised, grouped and taken back.

use amqp_codec::{FieldTable, FieldValue};
use bytes::Bytes;

use crate::channel::short;

/// What happens to a message that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    DropHead,
    Reject,
    RejectDeadLetter,
}

/// Where dead letters go: to one queue, so that a message stays one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeadTo {
    pub(crate) exchange: &'static str,
    /// The name of the queue they end up in.
    pub(crate) queue: &'static str,
}

/// `x-delayed-retry-*`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) kind: &'static str,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// The arguments of a queue. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discipline {
    pub(crate) ttl: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead: Option<DeadTo>,
    pub(crate) at_least_once: bool,
    pub(crate) delivery_limit: Option<u64>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active: bool,
    pub(crate) grouped: bool,
    pub(crate) retry: Option<Retry>,
    pub(crate) consumer_timeout: Option<u64>,
    pub(crate) timeout_action: &'static str,
    pub(crate) expires: Option<u64>,
    pub(crate) quorum: bool,
    /// Policies come and go: nothing is certain but that nothing is lost.
    pub(crate) policies: bool,
    /// Purges and automatic acknowledgements: clients do not know of every message that left.
    pub(crate) lossy: bool,
}

/// A queue without any.
pub(crate) const PLAIN: Discipline = Discipline {
    ttl: None,
    max_length: None,
    max_length_bytes: None,
    overflow: Overflow::DropHead,
    dead: None,
    at_least_once: false,
    delivery_limit: None,
    max_priority: None,
    single_active: false,
    grouped: false,
    retry: None,
    consumer_timeout: None,
    timeout_action: "requeue",
    expires: None,
    quorum: false,
    policies: false,
    lossy: false,
};

/// The header that names a message's group.
pub(crate) const GROUP_HEADER: &str = "group";

impl Discipline {
    pub(crate) fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::new();
        let mut add = |name, value| arguments.push(short(name), value);
        let numbers = [
            ("x-message-ttl", self.ttl),
            ("x-max-length", self.max_length),
            ("x-max-length-bytes", self.max_length_bytes),
            ("x-delivery-limit", self.delivery_limit),
            ("x-max-priority", self.max_priority.map(u64::from)),
            ("x-consumer-timeout", self.consumer_timeout),
            ("x-expires", self.expires),
            ("x-delayed-retry-min", self.retry.map(|retry| retry.min)),
            ("x-delayed-retry-max", self.retry.map(|retry| retry.max)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                add(name, FieldValue::I64(i64::try_from(number).expect("small")));
            }
        }
        let overflow = match self.overflow {
            Overflow::DropHead => None,
            Overflow::Reject => Some("reject-publish"),
            Overflow::RejectDeadLetter => Some("reject-publish-dlx"),
        };
        let timeout_action = self.consumer_timeout.map(|_| self.timeout_action);
        let texts = [
            ("x-overflow", overflow),
            ("x-dead-letter-exchange", self.dead.map(|dead| dead.exchange)),
            ("x-dead-letter-routing-key", self.dead.map(|dead| dead.queue)),
            ("x-dead-letter-strategy", self.at_least_once.then_some("at-least-once")),
            ("x-delayed-retry-type", self.retry.map(|retry| retry.kind)),
            ("x-consumer-timeout-action", timeout_action),
            ("x-message-group-header", self.grouped.then_some(GROUP_HEADER)),
            ("x-queue-type", self.quorum.then_some("quorum")),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                add(name, text(value));
            }
        }
        if self.single_active {
            add("x-single-active-consumer", FieldValue::Bool(true));
        }
        arguments
    }

    /// A client may hold a delivery that the queue took back long ago.
    pub(crate) fn takes_back(&self) -> bool {
        self.consumer_timeout.is_some()
    }
}

pub(crate) fn text(value: &'static str) -> FieldValue {
    FieldValue::LongString(Bytes::from_static(value.as_bytes()))
}
