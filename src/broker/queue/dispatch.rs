//! Ready messages to consumers with credit.

use super::super::effect::{Delivery, Effects};
use super::super::time::Timestamp;
use super::{ConsumerHandle, DeathReason, Queue};

/// What one call drops at most, of what is too old or too much: no caller waits for a million.
const DROPS_MAX: usize = 1024;

impl Queue {
    /// What every call ends with: hands out what consumers have credit for, drops what is too much
    /// or too old, and asks the caller to come back in time.
    pub(super) fn run(&mut self, now: Timestamp, out: &mut Effects) {
        if self.deleted {
            return;
        }
        self.dispatch(now, out);
        self.backlog = !self.drop_head(now, out);
        self.backlog |= !self.drop_expired(now, out);
        out.dead_letters |= self.departures.is_ready(now);
        self.ask_for_alarm(out);
    }

    /// Pairs ready messages with consumers in turn. Each consumer's share is handed over in one go:
    /// its sink is locked once a dispatch, not once a message.
    ///
    /// What was dead before `now` is never delivered; what dies this very moment may be, so that a
    /// time to live of 0 means "now or never".
    pub(super) fn dispatch(&mut self, now: Timestamp, out: &mut Effects) {
        if self.ready.next_expiry().is_some_and(|expires| expires < now) {
            return;
        }
        while self.ready.is_deliverable() {
            let Some((handle, consumer)) = self.consumers.take_turn() else { break };
            let Some(entry) = self.ready.pop() else { break };
            if consumer.batch.is_empty() {
                self.touched.push(handle);
            }
            let has_room = consumer.options.outbox_bound.add(entry.message.memory());
            let mut delivery = Delivery {
                subscription: consumer.options.subscription,
                number: 0,
                position: entry.position,
                message: entry.message.clone(),
                returns: entry.returns,
            };
            self.totals.delivered += 1;
            self.totals.redelivered += u64::from(entry.returns > 0);
            if consumer.options.no_ack {
                delivery.number = consumer.held.pass();
                consumer.batch.push(delivery);
                self.acknowledged(&entry, out);
            } else {
                self.unacked += 1;
                let first = consumer.held.is_empty();
                delivery.number = consumer.held.add(entry, now);
                consumer.batch.push(delivery);
                if first {
                    self.watch(handle);
                }
            }
            if has_room {
                self.consumers.restore(handle);
            }
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        for handle in self.touched.drain(..) {
            if let Some(consumer) = self.consumers.get(handle) {
                consumer.options.sink.deliver(&mut consumer.batch);
            }
        }
    }

    /// Has a consumer looked at when its oldest delivery is overdue.
    pub(super) fn watch(&mut self, handle: ConsumerHandle) {
        let of_queue = self.settings.consumer_timeout;
        let Some(consumer) = self.consumers.get(handle) else { return };
        let timeout = consumer.options.timeout.or(of_queue).filter(|&timeout| timeout > 0);
        if let (Some(oldest), Some(timeout)) = (consumer.held.oldest(), timeout) {
            self.consumers.watch(handle, oldest.after(timeout));
        }
    }

    /// Drops the oldest as long as there are too many; `false` if there are still.
    fn drop_head(&mut self, now: Timestamp, out: &mut Effects) -> bool {
        if !self.settings.drops_head() {
            return true;
        }
        for _ in 0..DROPS_MAX {
            let (messages, bytes) = (self.ready.len() as u64, self.ready.bytes());
            if !self.settings.is_exceeded_by(messages, bytes) {
                return true;
            }
            let Some(entry) = self.ready.drop_head() else { return true };
            self.bury(entry, DeathReason::MaxLength, now, out);
        }
        false
    }

    /// Drops what is dead; `false` if there is more.
    pub(super) fn drop_expired(&mut self, now: Timestamp, out: &mut Effects) -> bool {
        for _ in 0..DROPS_MAX {
            let Some(entry) = self.ready.pop_expired(now) else { return true };
            self.bury(entry, DeathReason::Expired, now, out);
        }
        false
    }
}
