//! The part of the topology that stands still, so that every route is known in advance.

use crate::discipline::{DeadTo, Discipline, Overflow, PLAIN, Retry};

/// What clients may do to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Only acknowledged consumption: no message may ever be missing.
    Strict,
    /// Only acknowledged consumption, of persistent messages that the queue may give up by its own rules.
    Disciplined,
    /// Automatic acknowledgement and purges too: messages may go down with a connection.
    Lossy,
    /// Declared, bound, unbound and deleted at any time.
    Wild,
}

/// A queue of the simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePlan {
    pub(crate) name: &'static str,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) kind: QueueKind,
    pub(crate) discipline: Discipline,
}

const fn queue(name: &'static str, durable: bool, kind: QueueKind) -> QueuePlan {
    QueuePlan { name, durable, auto_delete: false, kind, discipline: PLAIN }
}

const fn disciplined(name: &'static str, discipline: Discipline) -> QueuePlan {
    QueuePlan { discipline, ..queue(name, true, QueueKind::Disciplined) }
}

const fn dead_to(queue: &'static str) -> Option<DeadTo> {
    Some(DeadTo { exchange: "x.dead", queue })
}

const fn dead_by_name(queue: &'static str) -> Option<DeadTo> {
    Some(DeadTo { exchange: "", queue })
}

/// Where policies send dead letters.
pub(crate) const DEAD_BY_POLICY: DeadTo = DeadTo { exchange: "x.dead", queue: "dead" };

pub(crate) const QUEUES: [QueuePlan; 32] = [
    queue("s0", true, QueueKind::Strict),
    queue("s1", false, QueueKind::Strict),
    queue("s2", true, QueueKind::Strict),
    queue("s3", true, QueueKind::Strict),
    queue("l0", true, QueueKind::Lossy),
    queue("l1", false, QueueKind::Lossy),
    queue("w0", true, QueueKind::Wild),
    queue("w1", false, QueueKind::Wild),
    QueuePlan { auto_delete: true, ..queue("auto", false, QueueKind::Wild) },
    QueuePlan {
        discipline: Discipline { expires: Some(5_000), ..PLAIN },
        ..queue("unused", true, QueueKind::Wild)
    },
    // It may be deleted while its dead letters wait for room.
    QueuePlan {
        discipline: Discipline {
            ttl: Some(1_000),
            max_length: Some(5),
            overflow: Overflow::Reject,
            dead: dead_to("full"),
            at_least_once: true,
            ..PLAIN
        },
        ..queue("waits", true, QueueKind::Wild)
    },
    // A chain, and what leads into it.
    disciplined("dead", Discipline { ttl: Some(10_000), dead: dead_to("grave"), ..PLAIN }),
    disciplined("grave", Discipline { max_length: Some(30), ..PLAIN }),
    disciplined("ttl", Discipline { ttl: Some(3_000), dead: dead_to("dead"), ..PLAIN }),
    disciplined("short", Discipline { max_length: Some(5), ..PLAIN }),
    disciplined(
        "over",
        Discipline {
            max_length: Some(4),
            max_length_bytes: Some(3_000),
            dead: dead_to("dead"),
            ..PLAIN
        },
    ),
    disciplined(
        "lost",
        Discipline {
            max_length: Some(2),
            dead: Some(DeadTo { exchange: "x.missing", queue: "" }),
            ..PLAIN
        },
    ),
    disciplined("full", Discipline { max_length: Some(4), overflow: Overflow::Reject, ..PLAIN }),
    disciplined(
        "spill",
        Discipline {
            max_length: Some(3),
            overflow: Overflow::RejectDeadLetter,
            dead: dead_to("dead"),
            ..PLAIN
        },
    ),
    // What it gives up is its own until there is room.
    disciplined(
        "sure",
        Discipline {
            ttl: Some(4_000),
            max_length: Some(6),
            overflow: Overflow::Reject,
            dead: dead_to("full"),
            at_least_once: true,
            delivery_limit: Some(2),
            quorum: true,
            ..PLAIN
        },
    ),
    // A cycle.
    disciplined("c0", Discipline { ttl: Some(2_000), dead: dead_by_name("c1"), ..PLAIN }),
    disciplined("c1", Discipline { ttl: Some(2_500), dead: dead_by_name("c0"), ..PLAIN }),
    disciplined(
        "prio",
        Discipline {
            max_priority: Some(5),
            max_length: Some(20),
            dead: dead_to("dead"),
            lossy: true,
            ..PLAIN
        },
    ),
    disciplined("single", Discipline { single_active: true, delivery_limit: Some(3), ..PLAIN }),
    disciplined(
        "group",
        Discipline {
            grouped: true,
            dead: dead_to("dead"),
            delivery_limit: Some(3),
            retry: Some(Retry { kind: "all", min: 500, max: 2_000 }),
            ..PLAIN
        },
    ),
    // Groups whose messages die in between.
    disciplined(
        "groupx",
        Discipline {
            grouped: true,
            ttl: Some(5_000),
            max_length: Some(6),
            retry: Some(Retry { kind: "returned", min: 800, max: 800 }),
            lossy: true,
            ..PLAIN
        },
    ),
    disciplined(
        "retry",
        Discipline {
            retry: Some(Retry { kind: "failed", min: 1_000, max: 3_000 }),
            delivery_limit: Some(4),
            ..PLAIN
        },
    ),
    disciplined(
        "timed",
        Discipline { consumer_timeout: Some(1_500), dead: dead_to("dead"), ..PLAIN },
    ),
    disciplined(
        "timedx",
        Discipline {
            consumer_timeout: Some(900),
            timeout_action: "cancel",
            delivery_limit: Some(2),
            grouped: true,
            ..PLAIN
        },
    ),
    // As much as goes together; a quorum queue with a single active consumer could not be got from.
    disciplined(
        "mix",
        Discipline {
            grouped: true,
            single_active: true,
            ttl: Some(4_000),
            max_length: Some(8),
            overflow: Overflow::RejectDeadLetter,
            dead: dead_to("dead"),
            delivery_limit: Some(2),
            retry: Some(Retry { kind: "all", min: 300, max: 500 }),
            ..PLAIN
        },
    ),
    disciplined(
        "mixp",
        Discipline {
            max_priority: Some(3),
            ttl: Some(5_000),
            max_length: Some(10),
            overflow: Overflow::Reject,
            dead: dead_to("grave"),
            delivery_limit: Some(3),
            retry: Some(Retry { kind: "all", min: 200, max: 1_000 }),
            ..PLAIN
        },
    ),
    disciplined("policed", Discipline { policies: true, ..PLAIN }),
];

/// The queue of this name; exclusive ones are made as they are needed, and wild.
pub(crate) fn queue_plan(name: &str) -> Option<&'static QueuePlan> {
    QUEUES.iter().find(|queue| queue.name == name)
}

/// Exchange, type, alternate exchange.
pub(crate) const EXCHANGES: [(&str, &str, Option<&str>); 6] = [
    ("x.direct", "direct", None),
    ("x.fanout", "fanout", None),
    ("x.topic", "topic", None),
    ("x.front", "direct", Some("x.fanout")),
    ("x.dead", "direct", None),
    ("x.many", "fanout", None),
];

/// Queue, exchange, key.
pub(crate) const BINDINGS: [(&str, &str, &str); 16] = [
    ("s0", "x.direct", "a"),
    ("s1", "x.direct", "a"),
    ("s2", "x.direct", "b"),
    ("s1", "x.fanout", ""),
    ("s3", "x.fanout", ""),
    ("l0", "x.fanout", ""),
    ("s0", "x.topic", "t.#"),
    ("s2", "x.topic", "*.b"),
    ("dead", "x.dead", "dead"),
    ("grave", "x.dead", "grave"),
    ("full", "x.dead", "full"),
    ("ttl", "x.many", ""),
    ("full", "x.many", ""),
    ("short", "x.many", ""),
    ("groupx", "x.many", ""),
    ("single", "x.many", ""),
];

/// Source, destination, key.
pub(crate) const EXCHANGE_BINDINGS: [(&str, &str, &str); 1] = [("x.front", "x.topic", "t.b")];

/// Where wild queues may be bound: exchange, key.
pub(crate) const WILD_BINDINGS: [(&str, &str); 5] = [
    ("x.direct", "a"),
    ("x.direct", "wild"),
    ("x.fanout", ""),
    ("x.topic", "*.z"),
    ("x.dead", "dead"),
];

/// Something to publish to: exchange, key, and the queues that stand still and get it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) exchange: &'static str,
    pub(crate) key: &'static str,
    pub(crate) queues: &'static [&'static str],
    /// Queues that come and go may get it too.
    pub(crate) wild: bool,
    /// All of its queues are: messages have priorities, groups and times of their own.
    pub(crate) disciplined: bool,
}

const fn target(
    exchange: &'static str,
    key: &'static str,
    queues: &'static [&'static str],
    wild: bool,
) -> Target {
    Target { exchange, key, queues, wild, disciplined: false }
}

const fn to_disciplined(queue: &'static [&'static str; 1]) -> Target {
    Target { disciplined: true, ..target("", queue[0], queue, false) }
}

pub(crate) const TARGETS: [Target; 42] = [
    target("", "s0", &["s0"], false),
    target("", "s1", &["s1"], false),
    target("", "s2", &["s2"], false),
    target("", "s3", &["s3"], false),
    target("", "l0", &["l0"], false),
    target("", "l1", &["l1"], false),
    target("", "w0", &[], true),
    target("", "w1", &[], true),
    target("", "auto", &[], true),
    target("", "missing", &[], false),
    target("x.direct", "a", &["s0", "s1"], true),
    target("x.direct", "b", &["s2"], false),
    target("x.direct", "wild", &[], true),
    target("x.direct", "nowhere", &[], false),
    target("x.fanout", "any", &["s1", "s3", "l0"], true),
    target("x.topic", "t.a", &["s0"], false),
    target("x.topic", "t.b", &["s0", "s2"], false),
    target("x.topic", "y.z", &[], true),
    target("x.front", "t.b", &["s0", "s2"], false),
    target("x.front", "else", &["s1", "s3", "l0"], true),
    target("", "unused", &[], true),
    Target { disciplined: true, ..target("", "waits", &[], true) },
    to_disciplined(&["ttl"]),
    to_disciplined(&["short"]),
    to_disciplined(&["over"]),
    to_disciplined(&["lost"]),
    to_disciplined(&["full"]),
    to_disciplined(&["spill"]),
    to_disciplined(&["sure"]),
    to_disciplined(&["c0"]),
    to_disciplined(&["c1"]),
    to_disciplined(&["prio"]),
    to_disciplined(&["single"]),
    to_disciplined(&["group"]),
    to_disciplined(&["groupx"]),
    to_disciplined(&["retry"]),
    to_disciplined(&["timed"]),
    to_disciplined(&["timedx"]),
    to_disciplined(&["mix"]),
    to_disciplined(&["mixp"]),
    to_disciplined(&["policed"]),
    Target {
        disciplined: true,
        ..target("x.many", "any", &["ttl", "full", "short", "groupx", "single"], false)
    },
];
