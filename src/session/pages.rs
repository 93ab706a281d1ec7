//! Messages on their way back from the store to their queues.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::host::Host;
use crate::broker::effect::{Effects, Page, Wanted};
use crate::broker::queue_cell::QueueCell;
use crate::store::Requester;

/// Pages that are taken in one go.
const PAGES_MAX: usize = 8;

/// What was read, and waits to be given to its queue by whoever knows the time; and whether queues are
/// to leave more to the store.
#[derive(Debug, Default)]
pub(super) struct Pages {
    arrived: Mutex<VecDeque<(Arc<QueueCell>, Page)>>,
    relief: AtomicBool,
    /// Bytes in use from which on all queues are asked again.
    relieved_at: AtomicUsize,
}

impl Pages {
    pub(super) fn is_waiting(&self) -> bool {
        self.relief.load(Ordering::Relaxed) || !self.arrived.lock().is_empty()
    }
}

/// A queue that asked the store for messages.
struct QueueRequester {
    host: Weak<Host>,
    queue: Arc<QueueCell>,
}

impl fmt::Debug for QueueRequester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueRequester").field("queue", &self.queue.name).finish_non_exhaustive()
    }
}

impl Requester for QueueRequester {
    fn arrived(self: Box<Self>, page: Page) {
        let Some(host) = self.host.upgrade() else { return };
        host.pages.arrived.lock().push_back((self.queue, page));
        host.timers.wake();
    }
}

impl Host {
    /// Asks the store for messages of a queue.
    pub(super) fn fetch(&self, queue: &Arc<QueueCell>, wanted: Wanted) {
        let requester = QueueRequester { host: Weak::clone(&self.this), queue: Arc::clone(queue) };
        self.store.fetch(queue.id, wanted, Box::new(requester));
    }

    /// Gives queues what the store has read for them.
    pub(super) fn take_pages(&self, now: Instant) {
        for _ in 0..PAGES_MAX {
            let Some((queue, page)) = self.pages.arrived.lock().pop_front() else { break };
            self.use_memory(page.memory());
            let mut effects = Effects::default();
            queue.state.lock().paged_in(page, now, &mut effects);
            self.carry_out(&queue, &mut effects, now);
        }
        if self.pages.relief.swap(false, Ordering::Relaxed) {
            self.relieve(now);
        }
    }

    /// Has queues leave messages to the store soon, those that nobody uses as well, if memory has become
    /// short since they were last asked.
    pub(super) fn note_memory(&self) {
        if !self.store.keeps_messages() || !self.memory.is_short() {
            return;
        }
        let relieved_at = self.pages.relieved_at.load(Ordering::Relaxed);
        if self.memory.used() > relieved_at && !self.pages.relief.swap(true, Ordering::Relaxed) {
            self.timers.wake();
        }
    }

    /// Has all queues do what is due, and leave to the store what is too much for memory.
    pub(super) fn relieve(&self, now: Instant) {
        for vhost in self.vhosts() {
            for queue in vhost.queues() {
                let mut effects = Effects::default();
                queue.state.lock().relieve(now, &mut effects);
                self.carry_out(&queue, &mut effects, now);
            }
        }
        let next = if self.memory.is_short() { self.memory.used() + self.memory.step() } else { 0 };
        self.pages.relieved_at.store(next, Ordering::Relaxed);
    }
}
