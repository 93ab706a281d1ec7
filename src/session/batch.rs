//! Publishes of one connection that have not been handed to their queues yet.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::outbox::Publisher;
use crate::broker::message::Message;
use crate::broker::routing::Route;
use crate::protocol::confirm::Outcome;

/// A queue is handed so many messages at a time at most: its lock is not held for longer than it takes
/// to enqueue them.
const MESSAGES_MAX: usize = 1024;

/// The same in bytes of message memory, of all queues together.
const BYTES_MAX: usize = 1024 * 1024;

/// Queues that messages are gathered for at a time.
const SHARES_MAX: usize = 256;

/// Up to so many, looking through them costs less than hashing.
const FEW: usize = 8;

/// Publishes of one connection, as one read brought them.
///
/// A publisher may send its messages to one queue after the other in turn; each queue's share is gathered
/// and handed over in one go. That only one queue gets a message is what makes it right: a queue sees them in
/// the order they were published in, and between queues there is none. What goes to several queues, or is
/// recorded by its exchange, is gathered alone.
#[derive(Debug, Default)]
pub(super) struct PublishBatch {
    /// In use are the first `open`; the others are kept for their memory.
    shares: Vec<Share>,
    open: usize,
    /// The shares by the address of their queue, once there are more than [`FEW`].
    by_queue: HashMap<usize, u32, FxBuildHasher>,
    /// Messages in all of them.
    len: u32,
    /// Messages in the largest.
    largest: usize,
    bytes: usize,
    /// Some of it is stored, so its confirms wait for the store.
    pub(super) stored: bool,
    /// The publishes of the batch that await their confirm, in runs.
    awaiting: Vec<Run>,
}

/// What goes the same way.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The way of its first message.
    route: Option<Arc<Route>>,
    pub(super) messages: Vec<Message>,
    /// Which messages of the batch they are.
    numbers: Vec<u32>,
}

/// Consecutive publishes of a channel that await their confirm.
#[derive(Debug)]
pub(super) struct Run {
    publisher: Publisher,
    sequences: RangeInclusive<u64>,
    /// Where the first of them stands among the messages of the batch; `None` if no queue gets them.
    first: Option<u32>,
}

/// Whether a message goes to one queue and no further, so that others may be on their way beside it.
fn is_plain(route: &Route) -> bool {
    route.queues.len() == 1 && !route.is_once()
}

/// Tells the queue that a plain route leads to from all others.
fn address(route: &Route) -> Option<usize> {
    route.queues.first().map(|queue| Arc::as_ptr(queue).addr())
}

impl Share {
    fn has_route(&self, route: &Arc<Route>) -> bool {
        self.route.as_ref().is_some_and(|own| Arc::ptr_eq(own, route))
    }

    /// Whether it goes to the one queue that a plain route leads to.
    fn leads_to_queue_of(&self, route: &Route) -> bool {
        let own = self.route.as_ref().filter(|own| is_plain(own));
        let queues = own.and_then(|own| own.queues.first()).zip(route.queues.first());
        queues.is_some_and(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// The way it goes, which is forgotten.
    pub(super) fn take_route(&mut self) -> Option<Arc<Route>> {
        self.route.take()
    }

    /// Which messages of the batch stand at these places of the share.
    pub(super) fn numbers_of(&self, places: Vec<usize>) -> impl Iterator<Item = u32> {
        places.into_iter().filter_map(|place| self.numbers.get(place).copied())
    }

    /// Its messages are with their queues.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.numbers.clear();
    }
}

impl PublishBatch {
    /// Whether it is to be handed over before anything joins it.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX || self.largest >= MESSAGES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Adds a message, unless the others have to be handed over before it may join them: then it comes
    /// back. An empty batch takes any.
    pub(super) fn add(
        &mut self,
        route: Arc<Route>,
        message: Message,
    ) -> Result<(), (Arc<Route>, Message)> {
        let stored = route.durable && message.is_persistent();
        let share = match self.share_of(&route) {
            Some(share) => share,
            None if self.may_open_for(&route) => self.open_share(route),
            None => return Err((route, message)),
        };
        self.stored |= stored;
        self.bytes += message.memory();
        let share = &mut self.shares[share];
        share.messages.push(message);
        share.numbers.push(self.len);
        self.largest = self.largest.max(share.messages.len());
        self.len += 1;
        Ok(())
    }

    fn share_of(&self, route: &Arc<Route>) -> Option<usize> {
        let shares = &self.shares[..self.open];
        if shares.len() > FEW {
            // They are plain, or they were not so many.
            let queue = address(route).filter(|_| is_plain(route))?;
            return self.by_queue.get(&queue).map(|&share| share as usize);
        }
        let known = shares.iter().rposition(|share| share.has_route(route));
        known.or_else(|| {
            let to_same = || shares.iter().position(|share| share.leads_to_queue_of(route));
            if is_plain(route) { to_same() } else { None }
        })
    }

    fn may_open_for(&self, route: &Route) -> bool {
        let first = self.shares[..self.open].first().and_then(|share| share.route.as_deref());
        first.is_none_or(|first| is_plain(first) && is_plain(route) && self.open < SHARES_MAX)
    }

    fn open_share(&mut self, route: Arc<Route>) -> usize {
        if self.open == self.shares.len() {
            self.shares.push(Share::default());
        }
        self.shares[self.open].route = Some(route);
        self.open += 1;
        if self.open > FEW {
            // All of them when they become too many, and each new one then.
            let first = if self.open == FEW + 1 { 0 } else { self.open - 1 };
            for (share, index) in self.shares[first..self.open].iter().zip(first..) {
                let queue = share.route.as_deref().and_then(address);
                self.by_queue.extend(queue.zip(u32::try_from(index).ok()));
            }
        }
        self.open - 1
    }

    /// Whether more than one thing is recorded of each message: several queues have it, or an exchange
    /// has seen it.
    pub(super) fn is_recorded_together(&self) -> bool {
        let route = self.shares[..self.open].first().and_then(|share| share.route.as_ref());
        route.is_some_and(|route| route.queues.len() > 1 || route.is_once())
    }

    /// Notes that a publish awaits its confirm: one whose message was added last, if it is `routed`.
    /// Runs grow in place.
    pub(super) fn await_confirm(&mut self, publisher: Publisher, sequence: u64, routed: bool) {
        let number = routed.then(|| self.len.saturating_sub(1));
        if let Some(run) = self.awaiting.last_mut()
            && run.publisher == publisher
            && run.sequences.end() + 1 == sequence
            && run.first.map(|first| first + run.len()) == number
        {
            run.sequences = *run.sequences.start()..=sequence;
        } else {
            let sequences = sequence..=sequence;
            self.awaiting.push(Run { publisher, sequences, first: number });
        }
    }

    /// What is to be handed over, in the order of each share's first message, and its bytes. It is given
    /// back afterwards.
    pub(super) fn take(&mut self) -> (Vec<Share>, usize) {
        let mut shares = std::mem::take(&mut self.shares);
        // No larger memory is kept than what is in use.
        shares.truncate(self.open);
        (self.open, self.len, self.largest) = (0, 0, 0);
        self.by_queue.clear();
        (shares, std::mem::take(&mut self.bytes))
    }

    /// Takes shares back that were handed over, for their memory.
    pub(super) fn give_back(&mut self, shares: Vec<Share>) {
        self.shares = shares;
    }

    pub(super) fn awaits_confirms(&self) -> bool {
        !self.awaiting.is_empty()
    }

    /// The outcomes of all that await a confirm, where some queue refused the messages of these numbers, in
    /// order.
    pub(super) fn settle(
        &mut self,
        refused: &[u32],
    ) -> Vec<(Publisher, RangeInclusive<u64>, Outcome)> {
        let mut settled = Vec::with_capacity(self.awaiting.len());
        for run in self.awaiting.drain(..) {
            run.settle(refused, &mut settled);
        }
        settled
    }
}

impl Run {
    fn len(&self) -> u32 {
        u32::try_from(self.sequences.end() - self.sequences.start() + 1).unwrap_or(u32::MAX)
    }

    /// The outcome of each: nacked for those whose message is one of `refused`, in order.
    fn settle(self, refused: &[u32], settled: &mut Vec<(Publisher, RangeInclusive<u64>, Outcome)>) {
        let Self { publisher, sequences, first } = &self;
        let mut next = *sequences.start();
        if let Some(first) = *first {
            let from = refused.partition_point(|&number| number < first);
            let of_run = refused[from..].iter().take_while(|&&number| number < first + self.len());
            for number in of_run {
                let sequence = sequences.start() + u64::from(number - first);
                if next < sequence {
                    settled.push((*publisher, next..=sequence - 1, Outcome::Acked));
                }
                settled.push((*publisher, sequence..=sequence, Outcome::Nacked));
                next = sequence + 1;
            }
        }
        if next <= *sequences.end() {
            settled.push((*publisher, next..=*sequences.end(), Outcome::Acked));
        }
    }
}
