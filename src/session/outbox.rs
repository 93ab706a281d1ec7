//! A connection's mailbox: what the rest of the broker has for its client.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use amqp_codec::ChannelId;
use parking_lot::Mutex;

use super::report::Answer;
use crate::broker::credit::OutboxBound;
use crate::broker::effect::{Delivery, DeliverySink, Subscription};
use crate::broker::message::Message;
use crate::protocol::confirm::Outcome;
use crate::store::Confirmation;

/// Called when something arrived in an outbox that was empty.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// One thing for the client.
#[derive(Debug)]
pub(super) enum Item {
    /// A message.
    Delivery(Delivery),
    /// A queue went away under its consumer.
    Cancelled(Subscription),
    /// A queue took deliveries back, by their numbers.
    TakenBack(Subscription, Vec<u64>),
    /// A delivery was held for longer than so many milliseconds, and the subscription perhaps
    /// dropped.
    TimedOut { subscription: Subscription, timeout: u64, dropped: bool },
    /// Publishes are settled, by their sequence numbers: from the first to the last.
    Settled(Publisher, u64, u64, Outcome),
    /// A reply to one of its requests, and what bounds those that wait.
    Reply(Publisher, Arc<OutboxBound>, Message),
    /// Publishers may go on.
    Unblocked,
    /// What its last request changed will last.
    Committed,
    /// A `basic.get` that had to wait for the store can be tried again.
    TryAgain,
}

/// A delivery becomes an item as it is, without a byte moved: others are no larger.
const _: () = assert!(size_of::<Item>() == size_of::<Delivery>());

/// A channel whose publishes are confirmed. Its number alone would not do: while confirms are on
/// their way it may be closed, and opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Publisher {
    pub(super) channel: ChannelId,
    pub(super) serial: u32,
}

/// The mailbox of one connection. Its lock is a leaf: nothing else is locked while it is held.
///
/// What consumers may put here is bounded by their [`OutboxBound`](crate::broker::credit::OutboxBound);
/// everything else is an answer to something the client did.
pub(super) struct Outbox {
    items: Mutex<Vec<Item>>,
    /// The client's publishes wait for memory.
    blocked: AtomicBool,
    /// Those who want to be told of the connection.
    questions: Mutex<Vec<Answer>>,
    /// There are some.
    is_asked: AtomicBool,
    /// Why its connection is to close, before anything else.
    closing: OnceLock<String>,
    wake: Wake,
}

impl Outbox {
    pub(super) fn new(wake: Wake) -> Self {
        Self {
            items: Mutex::new(Vec::new()),
            blocked: AtomicBool::new(false),
            questions: Mutex::new(Vec::new()),
            is_asked: AtomicBool::new(false),
            closing: OnceLock::new(),
            wake,
        }
    }

    /// Has the connection closed by the broker. It overtakes all that waits here: a client that does not
    /// read is not waited for.
    pub(super) fn force_close(&self, reason: &str) {
        if self.closing.set(reason.to_owned()).is_ok() {
            (self.wake)();
        }
    }

    /// Why the connection is to close, if it is.
    pub(super) fn close_reason(&self) -> Option<&str> {
        self.closing.get().map(String::as_str)
    }

    /// Swaps what has gathered for an empty buffer.
    pub(super) fn take(&self, taken: &mut Vec<Item>) {
        debug_assert!(taken.is_empty());
        std::mem::swap(&mut *self.items.lock(), taken);
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::SeqCst);
    }

    /// Tells a client that waits for memory, and no other, to go on.
    pub(super) fn unblock(&self) {
        if self.blocked.swap(false, Ordering::SeqCst) {
            self.push(|items| items.push(Item::Unblocked));
        }
    }

    pub(super) fn reply(&self, to: Publisher, bound: Arc<OutboxBound>, message: Message) {
        self.push(|items| items.push(Item::Reply(to, bound, message)));
    }

    /// Asks the connection to tell of itself. That does not wait behind what its client has not read.
    pub(super) fn ask(&self, answer: Answer) {
        self.questions.lock().push(answer);
        self.is_asked.store(true, Ordering::SeqCst);
        (self.wake)();
    }

    /// Those who asked; mostly nobody.
    pub(super) fn take_questions(&self) -> Vec<Answer> {
        if !self.is_asked.load(Ordering::Relaxed) || !self.is_asked.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.questions.lock())
    }

    fn push(&self, add: impl FnOnce(&mut Vec<Item>)) {
        if self.add(add) {
            (self.wake)();
        }
    }

    /// Whether it was empty: then its client is to be woken.
    fn add(&self, add: impl FnOnce(&mut Vec<Item>)) -> bool {
        let mut items = self.items.lock();
        let was_empty = items.is_empty();
        add(&mut items);
        was_empty
    }
}

impl DeliverySink for Outbox {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool {
        self.add(|items| items.extend(deliveries.drain(..).map(Item::Delivery)))
    }

    fn wake(&self) {
        (self.wake)();
    }

    fn cancelled(&self, subscription: Subscription) {
        self.push(|items| items.push(Item::Cancelled(subscription)));
    }

    fn taken_back(&self, subscription: Subscription, numbers: Vec<u64>) {
        self.push(|items| items.push(Item::TakenBack(subscription, numbers)));
    }

    fn timed_out(&self, subscription: Subscription, timeout: u64, dropped: bool) {
        self.push(|items| items.push(Item::TimedOut { subscription, timeout, dropped }));
    }

    fn try_again(&self) {
        self.push(|items| items.push(Item::TryAgain));
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// The confirms of one batch of publishes, on their way through the store.
#[derive(Debug)]
pub(super) struct BatchConfirmation {
    pub(super) outbox: Arc<Outbox>,
    pub(super) settled: Vec<(Publisher, RangeInclusive<u64>, Outcome)>,
}

impl Confirmation for BatchConfirmation {
    fn durable(self: Box<Self>) {
        let Self { outbox, settled } = *self;
        let settled = settled.into_iter();
        let items = settled.map(|(publisher, range, outcome)| {
            Item::Settled(publisher, *range.start(), *range.end(), outcome)
        });
        outbox.push(|waiting| waiting.extend(items));
    }
}

/// A request that is answered once what it changed will last.
#[derive(Debug)]
pub(super) struct RequestConfirmation(pub(super) Arc<Outbox>);

impl Confirmation for RequestConfirmation {
    fn durable(self: Box<Self>) {
        self.0.push(|items| items.push(Item::Committed));
    }
}
