//! What became of every message, as the clients saw it.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use leveret::broker::effect::Position;

use crate::channel::{Held, Verdict};
use crate::discipline::Discipline;
use crate::life::Life;
use crate::plan::{DEAD_BY_POLICY, QueueKind, QueuePlan, Target, queue_plan};
use crate::store::SimStore;

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

/// What a message for disciplined queues says of itself. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traits {
    pub(crate) priority: u8,
    pub(crate) expiration: Option<u64>,
    pub(crate) delay: Option<u64>,
    pub(crate) group: Option<u8>,
}

/// Tells apart consumers of all channels.
pub(crate) type ConsumerUid = (ChannelUid, u32);

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) publisher: ChannelUid,
    pub(crate) target: Target,
    pub(crate) traits: Traits,
    pub(crate) written_at: Instant,
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
    /// It waits for its retry until then.
    not_before: Option<Instant>,
}

/// A delivery, as a client reads it.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) life: Life,
    /// Where it died last.
    pub(crate) died_in: Option<&'a str>,
    /// How often it came back before.
    pub(crate) returns: Option<i64>,
    /// When the client read it.
    pub(crate) at: Instant,
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
    copies: BTreeMap<(String, Life), Copy>,
    /// How often clients said what, for each queue and verdict.
    answers: BTreeMap<(String, &'static str), u64>,
    /// What consumers of a queue with a single active one got: the first and the last place.
    shares: BTreeMap<String, BTreeMap<ConsumerUid, (Position, Position)>>,
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
    nacked,
    partial_commits,
    delayed,
    retried,
    late_answers,
    overtaken,
    priorities_respected,
    groups_held_back,
    actives_changed,
    expired,
    over_length,
    rejected,
    delivery_limited,
    dropped_expired,
    dropped_over_length,
    refused,
    refused_dead_letters,
    dead_lettered,
    cycles_cut,
    dead_lettered_nowhere,
    purged,
    kept_for_target,
    deleted_while_kept,
    died_twice,
    queues_expired,
    policies_changed,
    pages_read,
    restored,
    restored_again,
    transient_paged_out,
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

    /// The group that a message names.
    pub(crate) fn group(&self, id: MessageId) -> Option<u8> {
        self.messages[usize::try_from(id).expect("message numbers are indexes")].traits.group
    }

    /// The broker has taken a message in for good.
    pub(crate) fn published(&mut self, id: MessageId) {
        self.stats.published += 1;
        let message = self.message(id);
        message.fate = Fate::Published;
        for &queue in message.target.queues {
            if queue_plan(queue).is_some_and(|plan| plan.kind != QueueKind::Disciplined) {
                self.copies.entry((queue.to_owned(), Life::first(id))).or_default();
            }
        }
    }

    pub(crate) fn delivered(&mut self, delivered: &Delivered<'_>) {
        let Delivered { life, queue, .. } = *delivered;
        let plan = queue_plan(queue);
        let message = self.message(life.id);
        assert_eq!(message.fate, Fate::Published, "delivery of {life:?} from {queue}");
        assert_eq!(delivered.body.len(), message.body_len, "{life:?}");
        assert!(delivered.body == body(life.id, message.body_len), "the body of {life:?}");
        check_way(message, plan, delivered);
        let due = message.written_at + Duration::from_millis(message.traits.delay.unwrap_or(0));
        // One that was refused died before its time.
        let in_time = delivered.at >= due || life.deaths > 0;
        assert!(in_time, "{life:?} came from {queue} before it was due");
        let delayed = message.traits.delay.is_some();
        let taken_back = plan.is_some_and(|plan| plan.discipline.takes_back());
        let copy = self.copies.entry((queue.to_owned(), life)).or_default();
        if !delivered.stale && !taken_back {
            assert!(!copy.settled, "{life:?} came from {queue} after it was settled");
            assert!(
                delivered.redelivered || !copy.seen,
                "{life:?} came from {queue} twice without the redelivered flag"
            );
        }
        if let Some(not_before) = copy.not_before {
            assert!(delivered.at >= not_before, "{life:?} came from {queue} before its retry");
            self.stats.retried += 1;
        }
        copy.seen = true;
        copy.settled |= delivered.no_ack;
        self.stats.delivered += 1;
        self.stats.redelivered += u64::from(delivered.redelivered);
        self.stats.delayed += u64::from(delayed);
        self.stats.died_twice += u64::from(life.deaths > 1);
    }

    /// The broker has read a client's answer to a delivery.
    pub(crate) fn settled(
        &mut self,
        held: &Held,
        verdict: Verdict,
        store: &SimStore,
        now: Instant,
    ) {
        let Held { queue, life, .. } = held;
        let plan = queue_plan(queue);
        let discipline = plan.map(|plan| plan.discipline);
        let disciplined = plan.is_some_and(|plan| plan.kind == QueueKind::Disciplined);
        *self.answers.entry((queue.clone(), verdict.name())).or_default() += 1;
        let place = store.place_in(queue, *life);
        let is_live = place.as_ref().is_some_and(|place| place.live);
        if discipline.is_some_and(|it| it.takes_back()) {
            // Whoever answers too late has said nothing.
            self.stats.late_answers += u64::from(is_live && !verdict.is_requeue());
            return;
        }
        let copy = self.copies.get_mut(&(queue.clone(), *life)).expect("it was delivered");
        assert!(!copy.settled, "{life:?} of {queue} is settled once");
        if let Verdict::Requeue { rejected } = verdict {
            copy.not_before = retry_at(discipline, rejected, now);
            return;
        }
        // Somewhere else a dead letter may wait where it died; or behind one that has to be read.
        let waits =
            |it: Discipline| it.at_least_once || it.dead.is_some() && store.reads_for(queue);
        let may_wait = discipline.is_some_and(waits) && verdict != Verdict::Ack;
        assert!(!is_live || may_wait || !disciplined, "{life:?} is still in {queue}: {verdict:?}");
        // What is acknowledged is nowhere else.
        let moved = place.is_some_and(|place| place.moved);
        assert!(!moved || verdict != Verdict::Ack, "{life:?} of {queue} lives on");
        copy.settled = true;
        self.stats.settled += 1;
    }

    /// How often clients gave an answer that the broker read, for the deliveries of a queue.
    pub(crate) fn answers(&self, queue: &str, verdict: Verdict) -> u64 {
        self.answers.get(&(queue.to_owned(), verdict.name())).copied().unwrap_or(0)
    }

    /// Messages for a queue that the broker has read, whether it took them in or not.
    pub(crate) fn published_to(&self, queue: &str) -> u64 {
        let to_it = self.messages.iter().filter(|message| {
            message.fate == Fate::Published && message.target.queues.contains(&queue)
        });
        to_it.count() as u64
    }

    /// One consumer at a time gets everything: what it got lies together.
    pub(crate) fn check_alone(&mut self, queue: &str, consumer: ConsumerUid, position: Position) {
        let shares = self.shares.entry(queue.to_owned()).or_default();
        let (first, last) = shares.get(&consumer).copied().unwrap_or((position, position));
        let (first, last) = (first.min(position), last.max(position));
        for (other, (begin, end)) in shares.iter().filter(|(other, _)| **other != consumer) {
            assert!(
                last < *begin || *end < first,
                "{queue}: {consumer:?} and {other:?} take turns at {position:?}"
            );
        }
        shares.insert(consumer, (first, last));
        self.stats.actives_changed += u64::from(shares.len() > 1);
    }

    /// At the end, when all queues are drained: what was taken in was delivered and settled.
    pub(crate) fn check_nothing_is_lost(&self) {
        for ((queue, life), copy) in &self.copies {
            if queue_plan(queue).is_some_and(|plan| plan.kind == QueueKind::Strict) {
                assert!(copy.seen, "{life:?} never came from {queue}");
                assert!(copy.settled, "{life:?} of {queue} was never settled");
            }
        }
    }
}

/// A message comes as it was published, from a queue that it was for; one that died comes from where the
/// dead letters of that queue go.
fn check_way(message: &Message, plan: Option<&QueuePlan>, delivered: &Delivered<'_>) {
    let Delivered { life, queue, exchange, key, .. } = *delivered;
    assert_eq!(delivered.returns.is_some(), delivered.redelivered, "{life:?} from {queue}");
    let limit = plan.and_then(|plan| plan.discipline.delivery_limit);
    if let (Some(limit), Some(returns)) = (limit, delivered.returns) {
        let returns = u64::try_from(returns).expect("positive");
        assert!(returns <= limit, "{life:?} came from {queue} after {returns} returns");
    }
    let Some(died_in) = delivered.died_in else {
        assert_eq!((exchange, key), (message.target.exchange, message.target.key), "{life:?}");
        if plan.is_some_and(|plan| plan.kind != QueueKind::Wild) {
            assert!(message.target.queues.contains(&queue), "{life:?} is not for {queue}");
        }
        return;
    };
    let source = queue_plan(died_in).expect("only queues that stand still have dead letters");
    let way = source.discipline.dead.unwrap_or(DEAD_BY_POLICY);
    assert_eq!((exchange, key), (way.exchange, way.queue), "{life:?} from {queue}");
    if plan.is_some_and(|plan| plan.kind != QueueKind::Wild) {
        assert_eq!(queue, way.queue, "{life:?}");
    }
}

/// When a message that was given back comes again, at the earliest.
fn retry_at(discipline: Option<Discipline>, rejected: bool, now: Instant) -> Option<Instant> {
    let retry = discipline?.retry?;
    let waits = retry.kind == "all" || rejected == (retry.kind == "failed");
    waits.then(|| now + Duration::from_millis(retry.min))
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
