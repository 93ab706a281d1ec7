//! Ready messages to consumers with credit.

use std::sync::Arc;

use super::super::effect::Effects;
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
        self.backlog = !self.dispatch_and_drop(now, out);
        self.page(now, out);
        self.journal.flush();
        out.dead_letters |= self.departures.are_ready(now);
        self.ask_for_alarm(now, out);
    }

    /// Hands out messages, in between dropping what is in the way of the living and dropping what
    /// nobody wanted in time; `false` if there is more to drop.
    fn dispatch_and_drop(&mut self, now: Timestamp, out: &mut Effects) -> bool {
        let mut left = DROPS_MAX;
        let before = now.0.checked_sub(1).map(Timestamp);
        loop {
            if before.is_some_and(|before| !self.drop_dead_by(before, now, &mut left, out)) {
                return false;
            }
            self.dispatch(now, out);
            if !self.has_dead(now) {
                break;
            }
        }
        self.drop_head(now, &mut left, out) && self.drop_dead_by(now, now, &mut left, out)
    }

    /// Pairs ready messages with consumers in turn. Each consumer's share is handed over in one go:
    /// its sink is locked once a dispatch, not once a message.
    ///
    /// What was dead before `now` is never delivered; what dies this very moment may be, so that a
    /// time to live of 0 means "now or never".
    pub(super) fn dispatch(&mut self, now: Timestamp, out: &mut Effects) {
        // One that is dead may show only when those ahead of it have left.
        while !self.has_dead(now) && self.ready.is_deliverable() {
            let Some((handle, consumer)) = self.consumers.take_turn() else { break };
            let Some(entry) = self.ready.pop() else { break };
            if consumer.batch.is_empty() {
                self.touched.push(handle);
            }
            let has_room = consumer.count(entry.message.memory());
            let subscription = consumer.options.subscription;
            self.totals.count_delivery(&entry);
            if consumer.options.no_ack {
                self.totals.delivered_automatically += 1;
                let number = consumer.held.pass();
                self.acknowledged(&entry, out);
                if let Some(consumer) = self.consumers.get(handle) {
                    consumer.batch.push(entry.into_delivery(subscription, number));
                }
            } else {
                self.unacked += 1;
                self.journal.delivered(&entry);
                let first = consumer.held.is_empty();
                let mut delivery = entry.clone().into_delivery(subscription, 0);
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
        if !self.touched.is_empty() {
            // Whatever a consumer does once it has a message is written down after its delivery.
            self.journal.flush();
            self.hand_over(out);
        }
    }

    /// Whether something was dead before `now` that can be seen to be.
    fn has_dead(&self, now: Timestamp) -> bool {
        self.ready.next_expiry().is_some_and(|expires| expires < now)
    }

    fn hand_over(&mut self, out: &mut Effects) {
        for handle in self.touched.drain(..) {
            if let Some(consumer) = self.consumers.get(handle) {
                consumer.count_rest();
                out.handed.receivers += 1;
                out.handed.deliveries += consumer.batch.len() as u64;
                if consumer.options.sink.deliver(&mut consumer.batch) {
                    out.wakeups.push(Arc::clone(&consumer.options.sink));
                }
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

    /// Drops the oldest as long as there are too many, `left` at most; `false` if there are still.
    fn drop_head(&mut self, now: Timestamp, left: &mut usize, out: &mut Effects) -> bool {
        if !self.settings.drops_head() {
            return true;
        }
        loop {
            let (messages, bytes) = (self.ready.len() as u64, self.ready.bytes());
            if !self.settings.is_exceeded_by(messages, bytes) {
                return true;
            }
            if self.ready.is_next_stub() && self.consumers.is_anybody_in_turn() {
                // Once it is read somebody takes it, and then there may not be too many.
                return true;
            }
            if *left == 0 {
                return false;
            }
            *left -= 1;
            let Some(entry) = self.ready.drop_head() else { return true };
            self.bury(entry, DeathReason::MaxLength, now, out);
        }
    }

    /// Drops what is dead, as far as one call may; `false` if there is more.
    pub(super) fn drop_expired(&mut self, now: Timestamp, out: &mut Effects) -> bool {
        self.drop_dead_by(now, now, &mut { DROPS_MAX }, out)
    }

    /// Drops what was dead at `by`, `left` at most; `false` if there is more.
    fn drop_dead_by(
        &mut self,
        by: Timestamp,
        now: Timestamp,
        left: &mut usize,
        out: &mut Effects,
    ) -> bool {
        while self.ready.next_expiry().is_some_and(|expires| expires <= by) {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            let Some(entry) = self.ready.pop_expired(by) else { return true };
            self.bury(entry, DeathReason::Expired, now, out);
        }
        true
    }
}
