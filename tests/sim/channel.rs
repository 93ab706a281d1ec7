//! What a simulated client knows of one of its channels.

use std::collections::{BTreeMap, BTreeSet};

use amqp_codec::method::basic;
use amqp_codec::{ContentHeader, ShortString};
use leveret::broker::effect::Position;

use crate::ledger::{ChannelUid, MessageId};

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
    /// It is alone with its queue, so that redelivered messages come in order too.
    pub(crate) alone: bool,
    last_fresh: BTreeMap<ChannelUid, MessageId>,
    last_position: Option<Position>,
}

impl SimConsumer {
    pub(crate) fn new(serial: u32, queue: &str, prefetch: u16, no_ack: bool, alone: bool) -> Self {
        Self {
            serial,
            queue: queue.to_owned(),
            prefetch,
            no_ack,
            alone,
            last_fresh: BTreeMap::new(),
            last_position: None,
        }
    }

    /// What was never delivered before comes in the order of its publisher, and of the queue.
    pub(crate) fn check_order(
        &mut self,
        id: MessageId,
        publisher: ChannelUid,
        position: Option<Position>,
        redelivered: bool,
    ) {
        if redelivered && !self.alone {
            return;
        }
        let last = self.last_fresh.insert(publisher, id);
        assert!(last < Some(id), "{}: {id} after {last:?} of {publisher:?}", self.queue);
        if position.is_some() {
            let last = std::mem::replace(&mut self.last_position, position);
            assert!(last < position, "{}: {position:?} after {last:?}", self.queue);
        }
    }
}

/// A delivery that the client owes an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) queue: String,
    pub(crate) id: MessageId,
    /// The serial of the consumer; `None` for `basic.get`.
    pub(crate) consumer: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Requeue,
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
        let uncertain = |waiting: &Waiting| waiting.may_fail() || *waiting == Waiting::Recover;
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
