//! What becomes of deliveries: acknowledged, rejected, or back in the queue.

use std::time::Instant;

use super::super::effect::Effects;
use super::super::queue_settings::RetryKind;
use super::super::time::Timestamp;
use super::{ConsumerHandle, DeathReason, Entry, Queue};

/// Who holds a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A consumer, cancelled or not.
    Consumer(ConsumerHandle),
    /// Whoever took it with `basic.get`.
    Fetched,
}

/// Why a delivery comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `basic.reject`: it could not be processed.
    Rejected,
    /// `basic.nack` or `basic.recover`: not now, or not here.
    Nacked,
    /// Its channel closed, or it was held for too long: its processing failed, as far as anyone
    /// knows.
    Released,
}

impl Queue {
    /// Acknowledges deliveries. Numbers that the holder does not hold are passed over: the delivery
    /// was taken back, say, or the queue deleted and declared anew.
    pub fn acknowledge(
        &mut self,
        holder: Holder,
        numbers: impl IntoIterator<Item = u64>,
        now: Instant,
        out: &mut Effects,
    ) {
        for number in numbers {
            if let Some(entry) = self.take_held(holder, number) {
                self.acknowledged(&entry, out);
            }
        }
        self.released(holder, self.epoch.timestamp(now), out);
    }

    /// Gives deliveries up that were rejected for good: to the dead-letter exchange, if there is one.
    pub fn reject(
        &mut self,
        holder: Holder,
        numbers: impl IntoIterator<Item = u64>,
        now: Instant,
        out: &mut Effects,
    ) {
        let now = self.epoch.timestamp(now);
        for number in numbers {
            if let Some(entry) = self.take_held(holder, number) {
                self.ready.settled(&entry);
                self.bury(entry, DeathReason::Rejected, now, out);
            }
        }
        self.released(holder, now, out);
    }

    /// Takes deliveries back to where they stood, or lets them wait for their retry.
    pub fn requeue(
        &mut self,
        holder: Holder,
        numbers: impl IntoIterator<Item = u64>,
        why: Return,
        now: Instant,
        out: &mut Effects,
    ) {
        let now = self.epoch.timestamp(now);
        for number in numbers {
            if let Some(entry) = self.take_held(holder, number) {
                self.take_back(entry, why, now, out);
            }
        }
        self.released(holder, now, out);
    }

    /// Removes consumers and takes back all that they hold, in one step: none of them is delivered what
    /// another one held, and nobody a later message before these. A no-op for those that are gone.
    pub fn abandon(&mut self, handles: &[ConsumerHandle], now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        for &handle in handles {
            self.cancel(handle, now, out);
        }
        for &handle in handles {
            self.give_up(handle, now, out);
        }
        self.run(now, out);
        self.end_use_if_over();
    }

    /// Takes back what a consumer holds, without handing it out again yet; the numbers of what it held.
    pub(super) fn give_up(
        &mut self,
        handle: ConsumerHandle,
        now: Timestamp,
        out: &mut Effects,
    ) -> Vec<u64> {
        let Some(consumer) = self.consumers.get(handle) else { return Vec::new() };
        let held: Vec<(u64, Entry)> = consumer.held.drain().collect();
        self.cancel(handle, now, out);
        self.consumers.forget_if_done(handle);
        self.unacked -= held.len();
        let numbers = held.iter().map(|(number, _)| *number).collect();
        for (_, entry) in held {
            self.take_back(entry, Return::Released, now, out);
        }
        numbers
    }

    /// A delivery comes back from its holder.
    pub(super) fn take_back(
        &mut self,
        mut entry: Entry,
        why: Return,
        now: Timestamp,
        out: &mut Effects,
    ) {
        entry.returns += 1;
        if self.settings.delivery_limit.is_some_and(|limit| entry.returns > limit) {
            self.ready.settled(&entry);
            return self.bury(entry, DeathReason::DeliveryLimit, now, out);
        }
        let retry = self.settings.retry.filter(|retry| waits(retry.kind, why));
        match retry.map(|retry| retry.delay(entry.returns)) {
            Some(delay) if delay > 0 => {
                let due = now.after(delay);
                self.journal.returned(&entry, Some(due));
                self.thin_scheduled(&mut entry, due, out);
                self.schedule.add(due, entry);
            }
            _ => {
                self.journal.returned(&entry, None);
                self.note_ready(&entry);
                self.ready.put_back(entry);
            }
        }
    }

    fn take_held(&mut self, holder: Holder, number: u64) -> Option<Entry> {
        let entry = match holder {
            Holder::Consumer(handle) => self.consumers.get(handle)?.held.take(number),
            Holder::Fetched => self.fetched.take(number),
        }?;
        self.unacked -= 1;
        Some(entry)
    }

    /// A holder holds less than before.
    fn released(&mut self, holder: Holder, now: Timestamp, out: &mut Effects) {
        if let Holder::Consumer(handle) = holder {
            self.consumers.restore(handle);
            self.consumers.forget_if_done(handle);
        }
        self.run(now, out);
        self.end_use_if_over();
    }
}

/// Whether a message that came back for this reason waits before it is delivered again.
fn waits(kind: RetryKind, why: Return) -> bool {
    match why {
        Return::Rejected | Return::Released => kind != RetryKind::Returned,
        Return::Nacked => kind != RetryKind::Failed,
    }
}
