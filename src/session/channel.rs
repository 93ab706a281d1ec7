//! What a session remembers of one channel.

use std::collections::HashMap;
use std::sync::Arc;

use amqp_codec::ShortString;
use foldhash::fast::RandomState;

use super::remembered_routes::RememberedRoutes;
use super::reply_to::ReplyConsumer;
use super::source::Sources;
use super::stats::ChannelStats;
use crate::broker::credit::ChannelCredit;
use crate::broker::message::Message;
use crate::broker::queue::Return;
use crate::broker::routing::{Route, Router};
use crate::protocol::confirm::ConfirmLedger;
use crate::protocol::unacked::UnackedLedger;

/// A delivery that the client has not settled: where it came from, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) slot: u32,
    pub(super) number: u64,
}

impl Delivered {
    /// The queue took it back. The client may settle it still, which does nothing.
    pub(super) const TAKEN_BACK: Self = Self { slot: u32::MAX, number: 0 };
}

/// What the client decided about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Acknowledged.
    Ack,
    /// Rejected for good.
    Discard,
    /// Given back, to be delivered again.
    Requeue(Return),
}

/// How publishes and acknowledgements on a channel are treated.
#[derive(Debug, Default)]
pub(super) enum Mode {
    /// At once, and without an answer.
    #[default]
    Plain,
    /// Publishes are confirmed.
    Confirm(ConfirmLedger),
    /// Everything waits for `tx.commit`.
    Transaction(Transaction),
}

/// What waits for `tx.commit`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) publishes: Vec<TransactedPublish>,
    /// Bytes of memory in these.
    pub(super) bytes: usize,
    /// In the order of the acknowledgements, with their delivery tags.
    pub(super) settled: Vec<(u64, Delivered, Verdict)>,
}

/// A publish that waits for `tx.commit`: routed already, as in RabbitMQ.
#[derive(Debug)]
pub(super) struct TransactedPublish {
    pub(super) message: Message,
    pub(super) route: Arc<Route>,
    pub(super) mandatory: bool,
}

/// A channel's state.
#[derive(Debug, Default)]
pub(super) struct SessionChannel {
    /// Tells apart the channels that have the same number one after the other.
    pub(super) serial: u32,
    pub(super) sources: Sources,
    /// The slots of its consumers by tag.
    pub(super) consumers: HashMap<ShortString, u32, RandomState>,
    pub(super) unacked: UnackedLedger<Delivered>,
    /// How many of these the queues took back.
    pub(super) unanswered: u32,
    /// Where replies go that are meant for it.
    pub(super) reply_consumer: Option<ReplyConsumer>,
    pub(super) mode: Mode,
    /// What it did, but for what its sources count.
    pub(super) stats: ChannelStats,
    /// `basic.qos` for consumers to come.
    pub(super) prefetch: u16,
    /// `basic.qos` with `global`.
    pub(super) credit: Arc<ChannelCredit>,
    /// The queue that an empty name stands for.
    pub(super) last_queue: Option<ShortString>,
    /// Its client is told that it closes: nothing more is written for it.
    pub(super) closing: bool,
    pub(super) router: Router,
    pub(super) routes: RememberedRoutes,
    /// The exchange that was published to last, and the permissions that allowed it.
    pub(super) writable: Option<(u64, ShortString)>,
}
