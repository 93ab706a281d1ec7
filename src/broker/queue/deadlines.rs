//! What a queue does when its time has come.

use std::time::Instant;

use super::super::effect::Effects;
use super::super::queue_settings::TimeoutAction;
use super::super::time::Timestamp;
use super::{ConsumerHandle, Entry, Queue, Return};

/// Messages that become due in one call at most.
const DUE_MAX: usize = 1024;

impl Queue {
    /// Does what is due, as far as one call may: what expired goes, what is scheduled becomes ready,
    /// what is held for too long comes back. `fired` is the moment the queue asked for
    /// ([`Effects::alarm`]); a moment it no longer waits for is passed over.
    pub fn handle_timeout(&mut self, fired: Timestamp, now: Instant, out: &mut Effects) {
        if self.deleted {
            return;
        }
        if self.alarm != Some(fired) {
            // The one it waits for may have made way for this one.
            out.alarm = self.alarm;
            return;
        }
        self.alarm = None;
        let now = self.epoch.timestamp(now);
        out.expired |= self.expires_at().is_some_and(|at| at <= now);
        self.time_out(now, out);
        self.release_due(now);
        self.run(now, out);
    }

    /// Whether nobody has used it for as long as `x-expires` says.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at().is_some_and(|at| at <= self.epoch.timestamp(now))
    }

    /// Asks the caller to come back, unless it will be here by then.
    pub(super) fn ask_for_alarm(&mut self, now: Timestamp, out: &mut Effects) {
        // What is overdue waits its turn behind other queues that are due already.
        let next =
            if self.backlog { Some(now) } else { self.next_deadline(now).map(|it| it.max(now)) };
        if let Some(next) = next
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            out.alarm = Some(next);
        }
    }

    /// When there is something to do though nobody calls.
    fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let fetched = self.settings.consumer_timeout.zip(self.fetched.oldest());
        [
            self.ready.next_expiry(),
            self.schedule.next_due(now),
            self.consumers.next_deadline(),
            fetched.map(|(timeout, oldest)| oldest.after(timeout)),
            self.departures.next_retry(),
            self.expires_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn expires_at(&self) -> Option<Timestamp> {
        let expires = self.settings.expires.filter(|_| self.consumers.is_empty())?;
        Some(self.last_used.after(expires))
    }

    /// Messages whose time has come become ready, as far as they are in memory.
    pub(super) fn release_due(&mut self, now: Timestamp) {
        for _ in 0..DUE_MAX {
            let Some(entry) = self.schedule.pop_due(now) else { return };
            if entry.came_back() {
                // A retry goes to where it stood.
                self.journal.returned(&entry, None);
                self.note_ready(&entry);
                self.ready.put_back(entry);
            } else {
                self.arrive(&entry, now);
            }
        }
    }

    /// A message that was published with a delay takes its place as if it were published now.
    fn arrive(&mut self, scheduled: &Entry, now: Timestamp) {
        let entry = Entry::new(self.position(), scheduled.message.clone(), Timestamp::NEVER);
        let entry = Entry { in_doubt: scheduled.in_doubt, ..entry };
        if entry.in_doubt {
            self.in_doubt.moved_to(entry.position);
        }
        // In this order: for a moment the store may know it twice, and never not at all.
        self.append(entry, now);
        self.journal.settled(scheduled);
    }

    /// Takes back what is held for too long, as far as one call may, or has the holder's channel closed.
    fn time_out(&mut self, now: Timestamp, out: &mut Effects) {
        let mut left = DUE_MAX;
        while left > 0
            && let Some(handle) = self.consumers.pop_due(now)
        {
            left -= 1;
            self.look_at(handle, now, &mut left, out);
        }
        if let Some(timeout) = self.settings.consumer_timeout {
            let before = Timestamp(now.0.saturating_sub(timeout));
            while left > 0
                && let Some((_, entry)) = self.fetched.take_older(before)
            {
                left -= 1;
                self.unacked -= 1;
                self.take_back(entry, Return::Released, now, out);
            }
        }
    }

    /// A consumer's oldest delivery may be overdue; `left` are to be taken back at most.
    fn look_at(
        &mut self,
        handle: ConsumerHandle,
        now: Timestamp,
        left: &mut usize,
        out: &mut Effects,
    ) {
        let of_queue = (self.settings.consumer_timeout, self.settings.timeout_action);
        let Some(consumer) = self.consumers.get(handle) else { return };
        let options = &consumer.options;
        let Some(timeout) = options.timeout.or(of_queue.0).filter(|&it| it > 0) else { return };
        let action = options.timeout_action.unwrap_or(of_queue.1);
        if consumer.held.oldest().is_none_or(|oldest| oldest.after(timeout) > now) {
            return self.watch(handle);
        }
        let (sink, subscription) = (options.sink.clone(), options.subscription);
        match action {
            TimeoutAction::CloseChannel => sink.timed_out(subscription, timeout, false),
            TimeoutAction::Cancel => {
                let known = !consumer.is_cancelled();
                let numbers = self.give_up(handle, now, out);
                sink.taken_back(subscription, numbers);
                if known {
                    sink.timed_out(subscription, timeout, true);
                }
            }
            TimeoutAction::Requeue => {
                let before = Timestamp(now.0.saturating_sub(timeout));
                let mut overdue = Vec::new();
                while *left > 0
                    && let Some(delivery) = consumer.held.take_older(before)
                {
                    *left -= 1;
                    overdue.push(delivery);
                }
                self.unacked -= overdue.len();
                sink.taken_back(subscription, overdue.iter().map(|(number, _)| *number).collect());
                for (_, entry) in overdue {
                    self.take_back(entry, Return::Released, now, out);
                }
                self.watch(handle);
                self.consumers.restore(handle);
                self.consumers.forget_if_done(handle);
            }
        }
    }
}
