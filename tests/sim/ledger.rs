//! What became of every message, as the clients saw it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::plan::{QueueKind, Target, queue_plan};

/// Numbers a message.
pub(crate) type MessageId = u64;

/// Tells apart the channels of all connections, the closed ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChannelUid(pub(crate) u64);

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its publisher has written it; the broker has not read all of it.
    Written,
    /// The broker has read it, and has it for good.
    Published,
    /// It waits for `tx.commit`.
    InTransaction,
    /// It was rolled back.
    RolledBack,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) publisher: ChannelUid,
    pub(crate) target: Target,
    pub(crate) body_len: usize,
    pub(crate) mandatory: bool,
    pub(crate) returned: bool,
    pub(crate) fate: Fate,
}

/// One message in one queue.
#[derive(Debug, Default)]
struct Copy {
    /// Some client has read it.
    seen: bool,
    /// The broker has read a client's word that it is done with it.
    settled: bool,
}

/// A delivery, as a client reads it.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) id: MessageId,
    pub(crate) queue: &'a str,
    pub(crate) redelivered: bool,
    pub(crate) no_ack: bool,
    /// The broker may have taken it back already, as far as the client knows.
    pub(crate) stale: bool,
    pub(crate) exchange: &'a str,
    pub(crate) key: &'a str,
    pub(crate) body: &'a [u8],
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: Vec<Message>,
    copies: BTreeMap<(String, MessageId), Copy>,
    next_channel: u64,
    pub(crate) stats: Stats,
}

macro_rules! stats {
    ($($name:ident,)*) => {
        /// What a run has exercised.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct Stats {
            $(pub(crate) $name: u64,)*
        }

        impl Stats {
            pub(crate) fn total(runs: &[Self]) -> Self {
                Self { $($name: runs.iter().map(|run| run.$name).sum(),)* }
            }

            /// A simulation in which something never happens tests less than it seems to.
            pub(crate) fn assert_everything_happened(&self) {
                $(assert!(self.$name > 0, "{} never happened", stringify!($name));)*
            }
        }
    };
}

stats! {
    published,
    delivered,
    redelivered,
    settled,
    confirmed,
    returned,
    committed,
    channel_errors,
    dropped,
    blocked,
    unblocked,
    heartbeat_deaths,
    cancelled_by_broker,
}

impl Ledger {
    pub(crate) fn new_channel(&mut self) -> ChannelUid {
        self.next_channel += 1;
        ChannelUid(self.next_channel)
    }

    pub(crate) fn write(&mut self, message: Message) -> MessageId {
        self.messages.push(message);
        self.messages.len() as MessageId - 1
    }

    pub(crate) fn message(&mut self, id: MessageId) -> &mut Message {
        let index = usize::try_from(id).expect("message numbers are indexes");
        self.messages.get_mut(index).expect("a message that somebody published")
    }

    /// The broker has taken a message in for good.
    pub(crate) fn published(&mut self, id: MessageId) {
        self.stats.published += 1;
        let message = self.message(id);
        message.fate = Fate::Published;
        for &queue in message.target.queues {
            self.copies.entry((queue.to_owned(), id)).or_default();
        }
    }

    pub(crate) fn delivered(&mut self, delivered: &Delivered<'_>) {
        let Delivered { id, queue, .. } = *delivered;
        let message = self.message(id);
        assert_eq!(message.fate, Fate::Published, "delivery of {id} from {queue}");
        assert_eq!(delivered.exchange, message.target.exchange, "message {id}");
        assert_eq!(delivered.key, message.target.key, "message {id}");
        assert_eq!(delivered.body.len(), message.body_len, "message {id}");
        assert!(delivered.body == body(id, message.body_len), "the body of message {id}");
        if queue_plan(queue).is_some_and(|plan| plan.kind != QueueKind::Wild) {
            assert!(message.target.queues.contains(&queue), "message {id} is not for {queue}");
        }
        let copy = self.copies.entry((queue.to_owned(), id)).or_default();
        if !delivered.stale {
            assert!(!copy.settled, "message {id} came from {queue} after it was settled");
            assert!(
                delivered.redelivered || !copy.seen,
                "message {id} came from {queue} twice without the redelivered flag"
            );
        }
        copy.seen = true;
        copy.settled |= delivered.no_ack;
        self.stats.delivered += 1;
        self.stats.redelivered += u64::from(delivered.redelivered);
    }

    /// The broker has read a client's acknowledgement, or rejection for good.
    pub(crate) fn settled(&mut self, queue: &str, id: MessageId) {
        let copy = self.copies.get_mut(&(queue.to_owned(), id)).expect("it was delivered");
        assert!(!copy.settled, "message {id} of {queue} is settled once");
        copy.settled = true;
        self.stats.settled += 1;
    }

    /// At the end, when all queues are drained: what was taken in was delivered and settled.
    pub(crate) fn check_nothing_is_lost(&self) {
        for ((queue, id), copy) in &self.copies {
            if queue_plan(queue).is_some_and(|plan| plan.kind == QueueKind::Strict) {
                assert!(copy.seen, "message {id} never came from {queue}");
                assert!(copy.settled, "message {id} of {queue} was never settled");
            }
        }
    }
}

/// Bodies are cut out of noise, each message's at another place.
pub(crate) fn body(id: MessageId, len: usize) -> &'static [u8] {
    static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..512 * 1024).map(|_| next()).collect()
    });
    let start = usize::try_from(id % 1021).expect("small");
    &NOISE[start..start + len]
}
