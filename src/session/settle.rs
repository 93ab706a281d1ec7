//! Acknowledgements, rejections and requeues: from delivery tags to queues, in batches.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ChannelId;

use super::channel::{Delivered, Mode, Verdict};
use super::client::Session;
use crate::broker::effect::Effects;
use crate::broker::queue::{ConsumerHandle, Holder};
use crate::broker::queue_cell::QueueCell;
use crate::protocol::exception::Exception;
use crate::protocol::unacked::{Settled, UnknownDeliveryTag};

/// Consecutive settlements that are alike.
#[derive(Debug, Default)]
pub(super) struct SettleBatch {
    to: Option<Settlement>,
    numbers: Vec<u64>,
}

/// Whom settlements concern, and what they say.
#[derive(Debug)]
struct Settlement {
    queue: Arc<QueueCell>,
    holder: Holder,
    verdict: Verdict,
}

impl SettleBatch {
    /// Whether these are settlements of one of these queues' messages.
    pub(super) fn is_of(&self, queues: &[Arc<QueueCell>]) -> bool {
        self.to.as_ref().is_some_and(|to| queues.iter().any(|queue| queue.id == to.queue.id))
    }
}

/// A batch is handed to its queue at this size at the latest.
const BATCH_MAX: usize = 256;

impl From<UnknownDeliveryTag> for Exception {
    fn from(unknown: UnknownDeliveryTag) -> Self {
        Self::precondition_failed(unknown.to_string())
    }
}

impl Session {
    /// Settles deliveries of a channel, or, in a transaction, notes that they are to be.
    ///
    /// # Errors
    /// 406 for a delivery tag that is not outstanding.
    pub(super) fn settle(
        &mut self,
        id: ChannelId,
        which: Settled,
        verdict: Verdict,
        now: Instant,
    ) -> Result<(), Exception> {
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let mut taken = std::mem::take(&mut self.taken);
        let result = channel.unacked.take(which, &mut taken);
        if let Mode::Transaction(transaction) = &mut channel.mode {
            let settled = taken.drain(..).map(|(tag, delivered)| (tag, delivered, verdict));
            transaction.settled.extend(settled);
        } else {
            for (_, delivered) in taken.drain(..) {
                self.settle_one(id, delivered, verdict, now);
            }
        }
        self.taken = taken;
        Ok(result?)
    }

    /// Adds one settlement to the batch, and gives its credit back to the channel.
    pub(super) fn settle_one(
        &mut self,
        id: ChannelId,
        delivered: Delivered,
        verdict: Verdict,
        now: Instant,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let acknowledged = u64::from(verdict == Verdict::Ack);
        if delivered == Delivered::TAKEN_BACK {
            channel.stats.acknowledged += acknowledged;
            channel.unanswered = channel.unanswered.saturating_sub(1);
            return;
        }
        let Some(source) = channel.sources.get(delivered.slot) else { return };
        source.acknowledged += acknowledged;
        let holder = source.holder();
        let same = self.settlements.to.as_ref().is_some_and(|to| {
            to.verdict == verdict && to.holder == holder && to.queue.id == source.queue.id
        });
        let next = if same { None } else { Some(Arc::clone(&source.queue)) };
        channel.sources.settled(delivered.slot, 1);
        if holder != Holder::Fetched && channel.credit.give_back(1) {
            self.starved.push(id);
        }
        if let Some(queue) = next {
            self.flush_settlements(now);
            self.settlements.to = Some(Settlement { queue, holder, verdict });
        }
        self.settlements.numbers.push(delivered.number);
        if self.settlements.numbers.len() >= BATCH_MAX {
            self.flush_settlements(now);
        }
    }

    /// Hands the batch to its queue, and lets consumers go on that waited for their channel's credit.
    pub(super) fn flush_settlements(&mut self, now: Instant) {
        if self.settlements.to.is_some() {
            // A client that publishes what it made of a message and then acknowledges that one has not
            // lost both if the broker ends in between.
            self.flush_publishes(now);
        }
        if let Some(Settlement { queue, holder, verdict }) = self.settlements.to.take() {
            let mut effects = Effects::default();
            let numbers = self.settlements.numbers.drain(..);
            let mut state = queue.state.lock();
            match verdict {
                Verdict::Ack => state.acknowledge(holder, numbers, now, &mut effects),
                Verdict::Discard => state.reject(holder, numbers, now, &mut effects),
                Verdict::Requeue(why) => state.requeue(holder, numbers, why, now, &mut effects),
            }
            drop(state);
            self.host.carry_out(&queue, &mut effects, now);
        }
        self.resume_starved(now);
    }

    /// Lets the consumers go on for which their channel has credit again.
    pub(super) fn resume_starved(&mut self, now: Instant) {
        while let Some(id) = self.starved.pop() {
            self.resume_consumers(id, now);
        }
    }

    /// Lets all consumers of a channel take turns again.
    pub(super) fn resume_consumers(&mut self, id: ChannelId, now: Instant) {
        let Some(channel) = self.channels.get(&id) else { return };
        let mut waiting: Vec<(Arc<QueueCell>, ConsumerHandle)> = channel
            .sources
            .active()
            .filter_map(|source| Some((Arc::clone(&source.queue), source.handle()?)))
            .collect();
        waiting.sort_by_key(|(queue, _)| queue.id);
        for of_queue in waiting.chunk_by(|(a, _), (b, _)| a.id == b.id) {
            let queue = &of_queue[0].0;
            let mut effects = Effects::default();
            let handles = of_queue.iter().map(|(_, handle)| *handle);
            queue.state.lock().resume(handles, now, &mut effects);
            self.host.carry_out(queue, &mut effects, now);
        }
    }
}
