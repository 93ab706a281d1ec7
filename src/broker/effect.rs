//! What leaves a queue: deliveries into a consumer's sink while the queue's lock is held, and
//! everything else as values for the caller to carry out afterwards.

use std::fmt;
use std::sync::Arc;

use amqp_codec::ChannelId;
use smallvec::SmallVec;

use super::message::Message;
use super::time::Timestamp;

/// The place of a message in its queue: grows with every message enqueued, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Which of a client's subscriptions a delivery belongs to: the channel, and the slot in that
/// channel's table. The pair is the client's own; a queue only hands it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The channel that consumes.
    pub channel: ChannelId,
    /// The slot in the channel's table of sources.
    pub slot: u32,
}

/// One message on its way to one consumer.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where it goes.
    pub subscription: Subscription,
    /// What the consumer calls it when it settles it: counts up with its deliveries.
    pub number: u64,
    /// Where it stood in the queue.
    pub position: Position,
    /// What it carries.
    pub message: Message,
    /// Times it was delivered before, and came back.
    pub returns: u32,
    /// It was delivered before, or may have been by a process that crashed.
    pub redelivered: bool,
}

/// Where a queue puts the deliveries for one client. Called while the queue's lock is held, so that
/// two publishers can't reorder one queue's deliveries: an implementation takes a leaf lock at most,
/// and never calls back into the broker.
pub trait DeliverySink: Send + Sync + fmt::Debug {
    /// Takes all of `deliveries`, leaving it empty; whether [`DeliverySink::wake`] is to be called.
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool;

    /// Has the client look at what it was given. Called without the lock, and perhaps a little later:
    /// what is given to it until then costs no wake-up of its own.
    fn wake(&self);

    /// The queue dropped this subscription of its own accord (it was deleted).
    fn cancelled(&self, subscription: Subscription);

    /// The queue took deliveries back, by their numbers: they were held for too long. The client may
    /// still answer them, which does nothing.
    fn taken_back(&self, subscription: Subscription, numbers: Vec<u64>);

    /// A delivery was held for longer than `timeout` milliseconds: the channel is to be closed, or, if
    /// the queue `dropped` the subscription, its client told.
    fn timed_out(&self, subscription: Subscription, timeout: u64, dropped: bool);

    /// A `basic.get` that found its message on disk can be tried again.
    fn try_again(&self);
}

/// Sinks that were given something and are to be woken, which happens when this is dropped at the latest.
#[derive(Debug, Default)]
pub struct Wakeups(SmallVec<[Arc<dyn DeliverySink>; 1]>);

impl Wakeups {
    /// Adds one.
    pub fn push(&mut self, sink: Arc<dyn DeliverySink>) {
        self.0.push(sink);
    }

    /// Adds all of `others`, leaving it empty.
    pub fn append(&mut self, others: &mut Self) {
        self.0.append(&mut others.0);
    }

    /// Wakes all of them.
    pub fn wake(&mut self) {
        self.0.drain(..).for_each(|sink| sink.wake());
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Messages that a queue left to the store, and wants back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Those that stand ready side by side.
    Run(WantedRun),
    /// Those at these positions, whatever they wait for.
    Places(Vec<Position>),
}

/// Messages that stand ready side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedRun {
    /// The first position that may be one of them.
    pub from: Position,
    /// The first that is not.
    pub to: Position,
    /// How many at most.
    pub messages_max: usize,
    /// How many bytes of bodies, one message more or less.
    pub bytes_max: u64,
}

/// What the store had for a queue.
#[derive(Debug)]
pub struct Page {
    /// What was asked for.
    pub part: Part,
    /// What is there of it, in the order of the positions.
    pub entries: Vec<StoredEntry>,
}

impl Page {
    /// Bytes of memory that its messages account for.
    pub fn memory(&self) -> usize {
        self.entries.iter().map(|entry| entry.message.memory()).sum()
    }
}

/// Which part of a queue a [`Page`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What stands ready side by side ([`Wanted::Run`]).
    Run {
        /// As in [`WantedRun`].
        from: Position,
        /// From where on there may be more.
        next: Position,
    },
    /// What stands at some positions ([`Wanted::Places`]).
    Places,
}

/// A message as the store gives it back.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// Where it stands.
    pub position: Position,
    /// The message.
    pub message: Message,
    /// From when on it is dead.
    pub expires: Timestamp,
    /// Times it was delivered and came back.
    pub returns: u32,
    /// Somebody had it when the process ended.
    pub delivered: bool,
    /// It ends with the process.
    pub transient: bool,
}

/// What a call on a queue asks its caller to do, once the queue's lock is released.
///
/// The caller owns the buffer and reuses it.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes of message memory that nothing holds any more.
    pub freed: usize,
    /// Bytes of memory that the queue took, to remember what it left to the store. They come back as
    /// `freed`.
    pub taken: usize,
    /// The last consumer left a queue that is to go with it (`auto-delete`).
    pub unused: bool,
    /// The queue was unused for as long as it may be (`x-expires`).
    pub expired: bool,
    /// The queue is deleted: what was asked for it is over.
    pub deleted: bool,
    /// The queue has dead letters to be moved: [`Queue::take_dead_letters`](super::queue::Queue::take_dead_letters).
    pub dead_letters: bool,
    /// Call [`Queue::handle_timeout`](super::queue::Queue::handle_timeout) at this moment.
    pub alarm: Option<Timestamp>,
    /// The messages that the queue refused (`x-overflow`), by their place among those it was given.
    pub refused: Vec<usize>,
    /// Ask the store for these, and hand them to
    /// [`Queue::paged_in`](super::queue::Queue::paged_in).
    pub wanted: Option<Wanted>,
    /// Messages that were handed to consumers, and how often a consumer was handed some.
    pub handed: Handed,
    /// Those of them that do not know it yet.
    pub wakeups: Wakeups,
}

/// What consumers were handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handed {
    /// Deliveries.
    pub deliveries: u64,
    /// Consumers, each as often as it was handed some.
    pub receivers: u64,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.freed == 0
            && self.taken == 0
            && !(self.unused || self.expired || self.deleted || self.dead_letters)
            && self.alarm.is_none()
            && self.wanted.is_none()
            && self.refused.is_empty()
    }
}
