//! Acknowledgements, rejections and requeues: from delivery tags to queues, in batches.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::{ChannelId, ReplyCode};

use super::channel::{Delivered, Mode, Verdict};
use super::client::Session;
use crate::broker::effect::{Effects, Position};
use crate::broker::queue_cell::QueueCell;
use crate::protocol::exception::Exception;
use crate::protocol::unacked::{Settled, UnknownDeliveryTag};

/// Consecutive settlements that concern the same queue.
#[derive(Debug, Default)]
pub(super) struct SettleBatch {
    queue: Option<Arc<QueueCell>>,
    requeue: bool,
    positions: Vec<Position>,
}

/// A batch is handed to its queue at this size at the latest.
const BATCH_MAX: usize = 256;

impl From<UnknownDeliveryTag> for Exception {
    fn from(unknown: UnknownDeliveryTag) -> Self {
        Self::new(ReplyCode::PreconditionFailed, unknown.to_string())
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
        let Some(source) = channel.sources.get(delivered.slot) else { return };
        let requeue = verdict == Verdict::Requeue;
        let same = self.settlements.requeue == requeue
            && self.settlements.queue.as_ref().is_some_and(|queue| queue.id == source.queue.id);
        let next = if same { None } else { Some(Arc::clone(&source.queue)) };
        let from_consumer = source.consumer.is_some();
        channel.sources.settled(delivered.slot, 1);
        if from_consumer && channel.credit.give_back(1) {
            self.starved.push(id);
        }
        if let Some(queue) = next {
            self.flush_settlements(now);
            self.settlements.queue = Some(queue);
            self.settlements.requeue = requeue;
        }
        self.settlements.positions.push(delivered.position);
        if self.settlements.positions.len() >= BATCH_MAX {
            self.flush_settlements(now);
        }
    }

    /// Hands the batch to its queue, and lets consumers go on that waited for their channel's credit.
    pub(super) fn flush_settlements(&mut self, now: Instant) {
        if let Some(queue) = self.settlements.queue.take() {
            let mut effects = Effects::default();
            let positions = self.settlements.positions.drain(..);
            if self.settlements.requeue {
                queue.state.lock().requeue(positions, now, &mut effects);
            } else {
                queue.state.lock().settle(positions, now, &mut effects);
            }
            self.host.carry_out(&mut effects);
        }
        while let Some(id) = self.starved.pop() {
            self.resume_consumers(id, now);
        }
    }

    /// Lets all consumers of a channel take turns again.
    pub(super) fn resume_consumers(&mut self, id: ChannelId, now: Instant) {
        let Some(channel) = self.channels.get(&id) else { return };
        let mut effects = Effects::default();
        for source in channel.sources.active() {
            if let Some(handle) = source.handle() {
                source.queue.state.lock().resume(handle, now, &mut effects);
            }
        }
        self.host.carry_out(&mut effects);
    }
}
