//! The part of the topology that stands still, so that every route is known in advance.

/// What clients may do to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Only acknowledged consumption: no message may ever be missing.
    Strict,
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
}

const fn queue(name: &'static str, durable: bool, kind: QueueKind) -> QueuePlan {
    QueuePlan { name, durable, auto_delete: false, kind }
}

pub(crate) const QUEUES: [QueuePlan; 9] = [
    queue("s0", true, QueueKind::Strict),
    queue("s1", false, QueueKind::Strict),
    queue("s2", true, QueueKind::Strict),
    queue("s3", true, QueueKind::Strict),
    queue("l0", true, QueueKind::Lossy),
    queue("l1", false, QueueKind::Lossy),
    queue("w0", true, QueueKind::Wild),
    queue("w1", false, QueueKind::Wild),
    QueuePlan { name: "auto", durable: false, auto_delete: true, kind: QueueKind::Wild },
];

/// The queue of this name; exclusive ones are made as they are needed, and wild.
pub(crate) fn queue_plan(name: &str) -> Option<&'static QueuePlan> {
    QUEUES.iter().find(|queue| queue.name == name)
}

/// Exchange, type, alternate exchange.
pub(crate) const EXCHANGES: [(&str, &str, Option<&str>); 4] = [
    ("x.direct", "direct", None),
    ("x.fanout", "fanout", None),
    ("x.topic", "topic", None),
    ("x.front", "direct", Some("x.fanout")),
];

/// Queue, exchange, key.
pub(crate) const BINDINGS: [(&str, &str, &str); 8] = [
    ("s0", "x.direct", "a"),
    ("s1", "x.direct", "a"),
    ("s2", "x.direct", "b"),
    ("s1", "x.fanout", ""),
    ("s3", "x.fanout", ""),
    ("l0", "x.fanout", ""),
    ("s0", "x.topic", "t.#"),
    ("s2", "x.topic", "*.b"),
];

/// Source, destination, key.
pub(crate) const EXCHANGE_BINDINGS: [(&str, &str, &str); 1] = [("x.front", "x.topic", "t.b")];

/// Where wild queues may be bound: exchange, key.
pub(crate) const WILD_BINDINGS: [(&str, &str); 4] =
    [("x.direct", "a"), ("x.direct", "wild"), ("x.fanout", ""), ("x.topic", "*.z")];

/// Something to publish to: exchange, key, and the queues that stand still and get it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) exchange: &'static str,
    pub(crate) key: &'static str,
    pub(crate) queues: &'static [&'static str],
    /// Queues that come and go may get it too.
    pub(crate) wild: bool,
}

const fn target(
    exchange: &'static str,
    key: &'static str,
    queues: &'static [&'static str],
    wild: bool,
) -> Target {
    Target { exchange, key, queues, wild }
}

pub(crate) const TARGETS: [Target; 20] = [
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
];
