//! Carries out what calls on queues left to do, once no queue is locked.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::ShortString;
use rustc_hash::FxBuildHasher;

use super::host::Host;
use super::timers::address;
use crate::broker::dead_letter::Obituary;
use crate::broker::effect::{Effects, Position};
use crate::broker::message::Message;
use crate::broker::queue::{DeadLetter, DeadLetters};
use crate::broker::queue_cell::QueueCell;
use crate::broker::queue_settings::DeadLetterTarget;
use crate::broker::requester::INTERNAL_USER;
use crate::broker::routing::{Publication, QueueSet, Router};
use crate::broker::time::Timestamp;
use crate::broker::vhost::{DeleteConditions, VHost};

/// Dead letters that are moved at a time.
const LETTERS_MAX: usize = 256;

/// Batches that one caller moves before it leaves the rest to the timers: a client that rejects a
/// message does not wait for everybody else's.
const BATCHES_MAX: usize = 16;

/// Queues that are looked at in one go when their time has come.
const DUE_MAX: usize = 8;

impl Host {
    /// Carries out what a call on a queue left to do. Most calls leave nothing but memory to free.
    pub(super) fn carry_out(&self, queue: &Arc<QueueCell>, effects: &mut Effects, now: Instant) {
        self.carry_out_here(queue, effects, now);
        if std::mem::take(&mut effects.dead_letters) {
            self.move_dead_letters(Arc::clone(queue), now);
        }
    }

    /// All but dead letters.
    fn carry_out_here(&self, queue: &Arc<QueueCell>, effects: &mut Effects, now: Instant) {
        effects.wakeups.wake();
        self.account(effects);
        if let Some(at) = effects.alarm.take() {
            self.timers.set(at, queue);
        }
        if let Some(wanted) = effects.wanted.take() {
            self.fetch(queue, wanted);
        }
        if std::mem::take(&mut effects.deleted) {
            self.timers.forget(queue);
        }
        let (unused, expired) =
            (std::mem::take(&mut effects.unused), std::mem::take(&mut effects.expired));
        if unused || expired {
            // Somebody may have come back meanwhile: then the queue stays.
            let conditions = DeleteConditions {
                if_unused: true,
                if_expired: (!unused).then_some(now),
                ..DeleteConditions::default()
            };
            self.delete_unused(queue, conditions);
        }
    }

    /// Counts what is in memory now. What was taken and freed in one call never was there.
    pub(super) fn account(&self, effects: &mut Effects) {
        let (taken, freed) =
            (std::mem::take(&mut effects.taken), std::mem::take(&mut effects.freed));
        if taken > freed {
            self.use_memory(taken - freed);
        } else {
            self.free_memory(freed - taken);
        }
    }

    fn delete_unused(&self, queue: &Arc<QueueCell>, conditions: DeleteConditions) {
        let Some(vhost) = self.vhost(&queue.vhost) else { return };
        let mut effects = Effects::default();
        // It goes with its bindings, or not at all.
        let _unit = self.store.nested_unit();
        let _ = vhost.delete_for(queue, conditions, INTERNAL_USER, &mut effects);
        self.account(&mut effects);
        if effects.deleted {
            self.timers.forget(queue);
        }
    }

    /// Drops a message of a queue that waits for its time; `false` if there is none at this position.
    pub fn cancel_scheduled(
        &self,
        queue: &Arc<QueueCell>,
        position: Position,
        now: Instant,
    ) -> bool {
        let mut effects = Effects::default();
        let cancelled = queue.state.lock().cancel_scheduled(position, now, &mut effects);
        self.carry_out(queue, &mut effects, now);
        cancelled
    }

    /// When [`Host::handle_timeouts`] is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let is_waiting = self.pages.is_waiting() || self.vhost_options.events.is_pending();
        let waiting = is_waiting.then_some(Timestamp(0));
        waiting.or_else(|| self.timers.next()).and_then(|at| self.epoch.instant(at))
    }

    /// `wake` is called, from any thread, when [`Host::next_deadline`] comes nearer.
    pub fn on_deadline_change(&self, wake: super::Wake) {
        self.timers.on_change(wake);
    }

    /// Does what is due in queues, as far as one call may; [`Host::next_deadline`] tells whether there
    /// is more.
    pub fn handle_timeouts(&self, now: Instant) {
        self.take_pages(now);
        self.publish_events(now);
        let due = self.timers.take_due(self.epoch.timestamp(now), DUE_MAX);
        for (at, queue) in due.alarms {
            let mut effects = Effects::default();
            queue.state.lock().handle_timeout(at, now, &mut effects);
            self.carry_out(&queue, &mut effects, now);
        }
        for queue in due.dead_letters {
            self.move_dead_letters(queue, now);
        }
    }

    /// Moves the dead letters of a queue, and of those queues that this fills in turn.
    ///
    /// A message leaves its queue only after the others have it. It may be in both for a moment, and
    /// is never in neither.
    fn move_dead_letters(&self, queue: Arc<QueueCell>, now: Instant) {
        let mut work = Work::default();
        work.add(queue);
        let mut router = Router::default();
        for _ in 0..BATCHES_MAX {
            let Some(queue) = work.next() else { return };
            let Some(vhost) = self.vhost(&queue.vhost) else { continue };
            let store = Arc::clone(&self.store);
            // They arrive and leave together.
            let _unit = store.nested_unit();
            let batch = queue.state.lock().take_dead_letters(LETTERS_MAX, now);
            if batch.letters.is_empty() {
                continue;
            }
            let mut mover = Mover { host: self, vhost: &vhost, router: &mut router, now, work };
            let refused = mover.move_all(&queue, &batch);
            work = mover.work;
            let mut effects = Effects::default();
            queue.state.lock().dead_letters_moved(&refused, now, &mut effects);
            self.carry_out_here(&queue, &mut effects, now);
            if effects.dead_letters {
                work.add(queue);
            }
        }
        for queue in work.queues {
            self.timers.leave_dead_letters(queue);
        }
    }
}

/// Moves one batch of dead letters.
struct Mover<'a> {
    host: &'a Host,
    vhost: &'a VHost,
    router: &'a mut Router,
    now: Instant,
    /// Queues that have dead letters of their own now.
    work: Work,
}

/// Queues with dead letters to be moved, each once.
#[derive(Debug, Default)]
struct Work {
    queues: VecDeque<Arc<QueueCell>>,
    known: HashSet<usize, FxBuildHasher>,
}

impl Work {
    fn add(&mut self, queue: Arc<QueueCell>) {
        if self.known.insert(address(&queue)) {
            self.queues.push_back(queue);
        }
    }

    fn next(&mut self) -> Option<Arc<QueueCell>> {
        let queue = self.queues.pop_front()?;
        self.known.remove(&address(&queue));
        Some(queue)
    }
}

impl Mover<'_> {
    /// The positions of those that are to be tried again.
    fn move_all(&mut self, from: &QueueCell, batch: &DeadLetters) -> Vec<Position> {
        let Some(target) = &batch.target else { return Vec::new() };
        let mut refused = Vec::new();
        for letter in &batch.letters {
            let arrived = self.move_one(letter, &from.name, target);
            if target.at_least_once && !arrived {
                refused.push(letter.position);
            }
        }
        refused
    }

    /// Whether every queue that should have it took it, and there is one.
    fn move_one(
        &mut self,
        letter: &DeadLetter,
        from: &ShortString,
        target: &DeadLetterTarget,
    ) -> bool {
        let obituary = Obituary::new(letter, from, target);
        let keys: Vec<&[u8]> = obituary.routing_keys.iter().map(ShortString::as_bytes).collect();
        let publication = Publication {
            exchange: &obituary.exchange,
            routing_keys: &keys,
            properties: &obituary.properties,
            now: self.now,
        };
        let mut route = self.vhost.route_as_broker(self.router, &publication);
        route.queues.retain(|queue| {
            let may_enter = obituary.may_enter(&queue.name);
            if !may_enter {
                tracing::warn!(
                    "message dropped: '{from}' would dead-letter it to '{}', where it was before",
                    queue.name
                );
            }
            may_enter
        });
        let message = obituary.message(&letter.message);
        let taken = !route.queues.is_empty() && self.enter(&route.queues, &message);
        if taken {
            route.write_down(&message);
        } else {
            route.forget(&message);
        }
        // A duplicate has arrived: the first time.
        taken || (route.queues.is_empty() && route.duplicate)
    }

    fn enter(&mut self, queues: &QueueSet, message: &Message) -> bool {
        message.enter(u32::try_from(queues.len()).unwrap_or(u32::MAX));
        self.host.use_memory(message.memory());
        let mut taken = true;
        for queue in queues {
            let mut effects = Effects::default();
            queue.state.lock().enqueue([message], self.now, &mut effects);
            self.host.carry_out_here(queue, &mut effects, self.now);
            taken &= effects.refused.is_empty();
            if effects.dead_letters {
                self.work.add(Arc::clone(queue));
            }
        }
        taken
    }
}
