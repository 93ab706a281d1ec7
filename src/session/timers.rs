//! When queues are to be looked at though no client asks for it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::outbox::Wake;
use crate::broker::queue_cell::QueueCell;
use crate::broker::time::Timestamp;

/// The alarms that queues asked for, one for each queue at most. Its lock is a leaf.
#[derive(Default)]
pub(super) struct Timers {
    alarms: Mutex<Alarms>,
    wake: OnceLock<Wake>,
}

#[derive(Debug, Default)]
struct Alarms {
    /// By time, then in the order they were asked for.
    by_time: BTreeMap<(Timestamp, u64), Weak<QueueCell>>,
    of_queue: HashMap<usize, (Timestamp, u64), FxBuildHasher>,
    asked: u64,
    /// Queues whose dead letters are to be moved by whoever comes next, each once.
    dead_letters: VecDeque<Arc<QueueCell>>,
    with_dead_letters: HashSet<usize, FxBuildHasher>,
}

/// Queues that are due, with the moment each asked for.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) alarms: Vec<(Timestamp, Arc<QueueCell>)>,
    pub(super) dead_letters: Vec<Arc<QueueCell>>,
}

/// What tells a queue from every other one that somebody holds.
pub(super) fn address(queue: &Arc<QueueCell>) -> usize {
    Arc::as_ptr(queue).addr()
}

impl Timers {
    /// `wake` is called, from any thread, when the next alarm is earlier than it was.
    pub(super) fn on_change(&self, wake: Wake) {
        // There is one driver; a second one would find nothing to do.
        let _ = self.wake.set(wake);
    }

    /// Has a queue looked at, unless it is to be looked at earlier.
    pub(super) fn set(&self, at: Timestamp, queue: &Arc<QueueCell>) {
        let is_first = {
            let mut alarms = self.alarms.lock();
            let asked = alarms.of_queue.get(&address(queue)).copied();
            if asked.is_some_and(|(asked, _)| asked <= at) {
                return;
            }
            if let Some(later) = asked {
                alarms.by_time.remove(&later);
            }
            let key = (at, alarms.asked);
            alarms.asked += 1;
            alarms.of_queue.insert(address(queue), key);
            alarms.by_time.insert(key, Arc::downgrade(queue));
            alarms.by_time.first_key_value().is_some_and(|(first, _)| *first == key)
        };
        if is_first {
            self.wake();
        }
    }

    /// A queue was deleted: nobody has to look at it.
    pub(super) fn forget(&self, queue: &Arc<QueueCell>) {
        let mut alarms = self.alarms.lock();
        if let Some(key) = alarms.of_queue.remove(&address(queue)) {
            alarms.by_time.remove(&key);
        }
    }

    /// Leaves a queue's dead letters to whoever comes next.
    pub(super) fn leave_dead_letters(&self, queue: Arc<QueueCell>) {
        {
            let mut alarms = self.alarms.lock();
            if !alarms.with_dead_letters.insert(address(&queue)) {
                return;
            }
            alarms.dead_letters.push_back(queue);
        }
        self.wake();
    }

    /// When the next queue is to be looked at.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let alarms = self.alarms.lock();
        if !alarms.dead_letters.is_empty() {
            return Some(Timestamp(0));
        }
        alarms.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes what is due, `max` queues of each kind at most.
    pub(super) fn take_due(&self, now: Timestamp, max: usize) -> Due {
        let mut alarms = self.alarms.lock();
        let mut due = Due::default();
        for _ in 0..max {
            let Some(first) = alarms.by_time.first_entry() else { break };
            let (at, _) = *first.key();
            if at > now {
                break;
            }
            let queue = first.remove();
            alarms.of_queue.remove(&queue.as_ptr().addr());
            due.alarms.extend(queue.upgrade().map(|queue| (at, queue)));
        }
        for _ in 0..max {
            let Some(queue) = alarms.dead_letters.pop_front() else { break };
            alarms.with_dead_letters.remove(&address(&queue));
            due.dead_letters.push(queue);
        }
        due
    }

    /// Has the driver look again.
    pub(super) fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("alarms", &self.alarms).finish_non_exhaustive()
    }
}
