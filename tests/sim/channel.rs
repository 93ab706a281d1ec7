//! What a simulated client knows of one of its channels.

use std::collections::{BTreeMap, BTreeSet};

use amqp_codec::method::basic;
use amqp_codec::{ContentHeader, ShortString};
use leveret::broker::effect::Position;

use crate::ledger::{ChannelUid, Message, MessageId};
use crate::life::Life;
use crate::plan::queue_plan;

/// A request whose answer the client waits for; it sends nothing else on the channel meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Waiting {
    Open,
    Select,
    Commit,
    Rollback,
    Qos,
    Consume(SimConsumer),
    Cancel(String),
    Get {
        queue: String,
        no_ack: bool,
    },
    Recover,
    /// Declare, bind, unbind, purge, delete.
    Topology,
    Close,
}

impl Waiting {
    /// The broker may close the channel instead of answering.
    pub(crate) fn may_fail(&self) -> bool {
        matches!(self, Self::Consume(_) | Self::Get { .. } | Self::Topology)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SimConsumer {
    /// Tells apart consumers that had the same tag one after the other.
    pub(crate) serial: u32,
    pub(crate) queue: String,
    pub(crate) prefetch: u16,
    pub(crate) no_ack: bool,
    pub(crate) priority: i32,
    /// It is alone with its queue, so that redelivered messages come in order too.
    pub(crate) alone: bool,
    last_fresh: BTreeMap<(ChannelUid, Lane), MessageId>,
    last_position: BTreeMap<Lane, Position>,
    last_priority: Option<u8>,
}

/// Messages of a queue that come in order: those of a priority, or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Fifo,
    Priority(u8),
    Group(u8),
    /// No group: each for itself.
    Own(MessageId),
}

impl Lane {
    pub(crate) fn of(queue: &str, id: MessageId, message: &Message) -> Self {
        let discipline = queue_plan(queue).map(|plan| plan.discipline);
        let grouped = discipline.is_some_and(|it| it.grouped);
        match (discipline.and_then(|it| it.max_priority), message.traits.group) {
            (Some(max), _) => Self::Priority(message.traits.priority.min(max)),
            (None, Some(group)) if grouped => Self::Group(group),
            (None, None) if grouped => Self::Own(id),
            _ => Self::Fifo,
        }
    }
}

/// What a consumer's next delivery says about order.
#[derive(Debug)]
pub(crate) struct InOrder {
    pub(crate) life: Life,
    pub(crate) lane: Lane,
    pub(crate) publisher: ChannelUid,
    pub(crate) position: Option<Position>,
    pub(crate) redelivered: bool,
    /// It took its place later than others that were published after it.
    pub(crate) delayed: bool,
}

impl SimConsumer {
    pub(crate) fn new(serial: u32, queue: &str, prefetch: u16, no_ack: bool, alone: bool) -> Self {
        Self {
            serial,
            queue: queue.to_owned(),
            prefetch,
            no_ack,
            priority: 0,
            alone,
            last_fresh: BTreeMap::new(),
            last_position: BTreeMap::new(),
            last_priority: None,
        }
    }

    /// What was never delivered before comes in the order of its publisher, and of the queue; in a queue
    /// with priorities or groups each of them has its own order. Whether one overtook an older one of
    /// another lane.
    pub(crate) fn check_order(&mut self, next: &InOrder) -> bool {
        let InOrder { life, lane, publisher, position, .. } = *next;
        if let Lane::Priority(priority) = lane
            && self.alone
        {
            // Nothing is published meanwhile.
            let last = self.last_priority.replace(priority);
            assert!(
                last.is_none_or(|last| priority <= last),
                "{life:?}: {priority} after {last:?}"
            );
        }
        if next.redelivered && !self.alone {
            return false;
        }
        if life.deaths == 0 && !next.delayed {
            let last = self.last_fresh.insert((publisher, lane), life.id);
            assert!(last < Some(life.id), "{}: {life:?} after {last:?}", self.queue);
        }
        let Some(position) = position else { return false };
        let overtakes =
            self.last_position.iter().any(|(other, last)| *other != lane && *last > position);
        let last = self.last_position.insert(lane, position);
        assert!(last < Some(position), "{}: {position:?} after {last:?}", self.queue);
        overtakes
    }
}

/// A delivery that the client owes an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) queue: String,
    pub(crate) life: Life,
    /// The serial of the consumer; `None` for `basic.get`.
    pub(crate) consumer: Option<u32>,
}

impl Held {
    fn may_be_taken_back(&self) -> bool {
        queue_plan(&self.queue).is_some_and(|plan| plan.discipline.takes_back())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    Discard,
    Requeue { rejected: bool },
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Discard => "discard",
            Self::Requeue { .. } => "requeue",
        }
    }

    pub(crate) fn is_requeue(self) -> bool {
        matches!(self, Self::Requeue { .. })
    }
}

#[derive(Debug)]
pub(crate) enum Mode {
    Plain,
    Confirm { published: Vec<MessageId>, open: BTreeSet<u64> },
    Tx { publishes: Vec<MessageId>, settled: BTreeMap<u64, (Held, Verdict)> },
}

/// A method that announced a content, and what has come of it.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) method: ContentMethod,
    pub(crate) header: Option<Box<ContentHeader>>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum ContentMethod {
    Deliver(basic::Deliver),
    GetOk(basic::GetOk),
    Return,
}

#[derive(Debug)]
pub(crate) struct SimChannel {
    pub(crate) uid: ChannelUid,
    pub(crate) mode: Mode,
    pub(crate) waiting: Option<Waiting>,
    /// Something was sent for which the broker will close the channel.
    pub(crate) poisoned: bool,
    pub(crate) consumers: BTreeMap<String, SimConsumer>,
    pub(crate) held: BTreeMap<u64, Held>,
    pub(crate) last_tag: u64,
    pub(crate) prefetch: u16,
    pub(crate) global_limit: u16,
    /// The largest limit that deliveries on their way may obey; `None` is no limit.
    pub(crate) global_max: Option<u16>,
    pub(crate) partial: Option<Partial>,
    pub(crate) next_serial: u32,
}

impl SimChannel {
    pub(crate) fn new(uid: ChannelUid) -> Self {
        Self {
            uid,
            mode: Mode::Plain,
            waiting: Some(Waiting::Open),
            poisoned: false,
            consumers: BTreeMap::new(),
            held: BTreeMap::new(),
            last_tag: 0,
            prefetch: 0,
            global_limit: 0,
            global_max: None,
            partial: None,
            next_serial: 0,
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.waiting.is_none() && !self.poisoned
    }

    /// Whether deliveries may have been taken back already.
    pub(crate) fn is_stale(&self) -> bool {
        // A commit that is refused in part closes the channel, too.
        let uncertain = |waiting: &Waiting| {
            waiting.may_fail() || matches!(waiting, Waiting::Recover | Waiting::Commit)
        };
        self.poisoned || self.waiting.as_ref().is_some_and(uncertain)
    }

    /// Everything that counts against prefetch limits: in a transaction what is settled counts until
    /// the commit.
    pub(crate) fn owed(&self) -> impl Iterator<Item = &Held> {
        let uncommitted = match &self.mode {
            Mode::Tx { settled, .. } => Some(settled.values().map(|(held, _)| held)),
            _ => None,
        };
        self.held.values().chain(uncommitted.into_iter().flatten())
    }

    pub(crate) fn owed_to(&self, serial: u32) -> usize {
        self.owed().filter(|held| held.consumer == Some(serial)).count()
    }

    pub(crate) fn owed_to_consumers(&self) -> usize {
        self.owed().filter(|held| held.consumer.is_some()).count()
    }

    /// The limits that hold for a consumer allow one more.
    pub(crate) fn has_credit(&self, consumer: &SimConsumer) -> bool {
        let below = |owed: usize, limit: u16| limit == 0 || owed < usize::from(limit);
        consumer.no_ack
            || (below(self.owed_to(consumer.serial), consumer.prefetch)
                && below(self.owed_to_consumers(), self.global_limit))
    }

    pub(crate) fn check_limits(&self, consumer: &SimConsumer) {
        if self.owed().any(Held::may_be_taken_back) {
            // It owes less than it knows.
            return;
        }
        let owed = self.owed_to(consumer.serial);
        let limit = usize::from(consumer.prefetch);
        assert!(limit == 0 || owed <= limit, "{owed} deliveries with prefetch {limit}");
        if let Some(max) = self.global_max {
            let owed = self.owed_to_consumers();
            assert!(owed <= usize::from(max), "{owed} deliveries, {max} for the channel");
        }
    }

    pub(crate) fn unconfirmed(&self) -> usize {
        match &self.mode {
            Mode::Confirm { open, .. } => open.len(),
            _ => 0,
        }
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        self.next_serial += 1;
        self.next_serial
    }
}

pub(crate) fn short(text: &str) -> ShortString {
    ShortString::new(text).expect("names are short")
}

pub(crate) fn text(name: &ShortString) -> String {
    name.to_str_lossy().into_owned()
}
