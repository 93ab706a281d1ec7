//! What a queue may be declared with, and what may happen to it.

use leveret::broker::queue_settings::Overflow;
use proptest::prelude::*;

use crate::CHANNELS;

/// What the queue is declared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) time_to_live: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letters: bool,
    pub(crate) max_priority: Option<u8>,
    pub(crate) delivery_limit: Option<u32>,
    pub(crate) single_active: bool,
    pub(crate) groups: bool,
    /// What of it is kept in memory; `None` is everything.
    pub(crate) paging: Option<Paging>,
}

impl Rules {
    /// Whether messages have a time to live of their own. In groups they leave from the middle (see
    /// [`rules`]); and where the head is to be dropped and has to be read for it, what dies meanwhile
    /// makes room.
    pub(crate) fn is_mortal(&self) -> bool {
        let drops = self.max_length.is_some() && self.overflow == Overflow::DropHead;
        let may_wait = drops && self.paging.is_some();
        !(self.groups || may_wait)
    }
}

/// How a queue leaves messages to its store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paging {
    /// Messages in each window.
    pub(crate) window: usize,
    /// Memory is short: messages go that do not outlive the process, too.
    pub(crate) short: bool,
    /// For so many steps the store may keep the queue waiting, if nothing depends on it.
    pub(crate) patience: usize,
    /// It reads when it is asked, not when it answers.
    pub(crate) early: bool,
}

/// A message to be published.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) len: u8,
    pub(crate) time_to_live: Option<u64>,
    pub(crate) priority: u8,
    pub(crate) group: Option<u8>,
    pub(crate) persistent: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Settlement {
    Acknowledge,
    Reject,
    Requeue,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Enqueue(Vec<Draft>),
    Get {
        no_ack: bool,
    },
    AddConsumer {
        channel: usize,
        prefetch: u16,
        no_ack: bool,
        exclusive: bool,
        priority: i64,
    },
    RemoveConsumer(usize),
    /// Takes deliveries out of a consumer's outbox.
    Read {
        consumer: usize,
        count: usize,
    },
    Settle {
        of: Vec<usize>,
        how: Settlement,
    },
    SetLimit {
        channel: usize,
        limit: u16,
    },
    /// Some of the dead letters arrive.
    MoveDeadLetters(usize),
    /// So many milliseconds.
    Pass(u64),
    Purge,
    Delete,
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let overflow = prop_oneof![
        2 => Just(Overflow::DropHead),
        1 => Just(Overflow::RejectPublish),
        1 => Just(Overflow::RejectPublishDeadLetter),
    ];
    let some = prop::option::weighted::<std::ops::Range<u64>>;
    (
        (some(0.4, 0..8), some(0.4, 0..5), overflow, any::<bool>()),
        (prop::option::weighted(0.3, 1_u8..6), prop::option::weighted(0.4, 0_u32..3)),
        (prop::bool::weighted(0.3), prop::bool::weighted(0.3)),
        prop::option::weighted(0.7, paging()),
    )
        .prop_map(
            |(limits, (max_priority, delivery_limit), (single_active, groups), paging)| {
                let (time_to_live, max_length, overflow, dead_letters) = limits;
                // Where messages leave groups from the middle, whose turn is next depends on when the
                // queue tidies up: not a matter of one list.
                let refuses = overflow != Overflow::DropHead;
                let rules = Rules {
                    time_to_live: None,
                    max_length: max_length.filter(|_| !groups || refuses),
                    overflow,
                    dead_letters,
                    max_priority: max_priority.filter(|_| !groups),
                    delivery_limit,
                    single_active,
                    groups,
                    paging,
                };
                Rules { time_to_live: time_to_live.filter(|_| rules.is_mortal()), ..rules }
            },
        )
}

fn paging() -> impl Strategy<Value = Paging> {
    let window = prop_oneof![3 => Just(1), 3 => Just(3), 1 => Just(20), 1 => Just(1000)];
    (window, any::<bool>(), 0_usize..12, any::<bool>())
        .prop_map(|(window, short, patience, early)| Paging { window, short, patience, early })
}

pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    (
        0_u8..100,
        prop::option::weighted(0.3, 0_u64..8),
        0_u8..8,
        prop::option::weighted(0.8, 0_u8..3),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(len, time_to_live, priority, group, persistent)| Draft {
            len,
            time_to_live,
            priority,
            group,
            persistent,
        })
}

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let settlement = prop_oneof![
        3 => Just(Settlement::Acknowledge),
        3 => Just(Settlement::Requeue),
        1 => Just(Settlement::Reject),
    ];
    let operation = prop_oneof![
        8 => prop::collection::vec(draft(), 1..4).prop_map(Operation::Enqueue),
        2 => any::<bool>().prop_map(|no_ack| Operation::Get { no_ack }),
        3 => (
            (0..CHANNELS, 0_u16..4),
            (prop::bool::weighted(0.2), prop::bool::weighted(0.1)),
            -1_i64..2,
        )
            .prop_map(|((channel, prefetch), (no_ack, exclusive), priority)| {
                Operation::AddConsumer { channel, prefetch, no_ack, exclusive, priority }
            }),
        1 => any::<usize>().prop_map(Operation::RemoveConsumer),
        4 => (any::<usize>(), 1_usize..6)
            .prop_map(|(consumer, count)| Operation::Read { consumer, count }),
        6 => (prop::collection::vec(any::<usize>(), 1..4), settlement)
            .prop_map(|(of, how)| Operation::Settle { of, how }),
        3 => (0_u64..6).prop_map(Operation::Pass),
        2 => (0_usize..4).prop_map(Operation::MoveDeadLetters),
        1 => (0..CHANNELS, 0_u16..5)
            .prop_map(|(channel, limit)| Operation::SetLimit { channel, limit }),
        1 => Just(Operation::Purge),
    ];
    let last = prop_oneof![3 => Just(None), 1 => Just(Some(Operation::Delete))];
    (prop::collection::vec(operation, 0..80), last, 0_usize..4).prop_map(
        |(mut operations, last, after)| {
            // A deleted queue takes the operations behind its deletion, and does nothing.
            let at = operations.len().saturating_sub(after);
            operations.splice(at..at, last);
            operations
        },
    )
}
