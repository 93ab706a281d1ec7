//! Queues of an earlier process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::host::Host;
use crate::broker::effect::{Effects, Page, Part, Position, Wanted, WantedRun};
use crate::broker::queue::Restored;
use crate::broker::queue_cell::{QueueCell, QueueId};
use crate::store::StoreError;

/// Reads messages of a queue.
type ReadPage<'a> = &'a dyn Fn(QueueId, &Wanted) -> Result<Page, StoreError>;

/// What is read at a time, for queues that are read at once.
const PAGE_MESSAGES: usize = 8192;
const PAGE_BYTES: u64 = 16 * 1024 * 1024;

impl Host {
    /// Gives queues back what the store has for them. What belongs to none is removed from it.
    ///
    /// # Errors
    /// What `read` says.
    pub fn restore(
        &self,
        restored: Vec<(QueueId, Restored)>,
        read: ReadPage<'_>,
        now: Instant,
    ) -> Result<(), StoreError> {
        let vhosts = self.vhosts();
        let queues = vhosts.iter().flat_map(|vhost| vhost.queues());
        let queues: HashMap<QueueId, Arc<QueueCell>> =
            queues.map(|queue| (queue.id, queue)).collect();
        let mut messages = 0;
        let mut left_to_do = Vec::new();
        for (id, restored) in restored {
            let Some(queue) = queues.get(&id) else {
                // It was only there to spare memory, or its deletion came between two records.
                self.store.remove_queue(id);
                continue;
            };
            messages += restored.ready + restored.scheduled.len();
            let mut effects = Effects::default();
            self.restore_queue(queue, restored, read, now, &mut effects)?;
            left_to_do.push((queue, effects));
        }
        if self.store.keeps_messages() {
            tracing::info!(queues = queues.len(), messages, "restored");
        }
        for queue in queues.values() {
            queue.state.lock().all_restored();
        }
        // Not before: what one queue gives up another one gets, which has to know where its own end is.
        for (queue, mut effects) in left_to_do {
            self.carry_out(queue, &mut effects, now);
        }
        self.relieve(now);
        Ok(())
    }

    fn restore_queue(
        &self,
        queue: &Arc<QueueCell>,
        restored: Restored,
        read: ReadPage<'_>,
        now: Instant,
        out: &mut Effects,
    ) -> Result<(), StoreError> {
        let (mut from, to) = (restored.first, Position(restored.next_position));
        let scheduled = restored.scheduled.iter();
        self.use_memory(scheduled.map(|(_, entry)| entry.message.memory()).sum());
        let mut state = queue.state.lock();
        state.restore(restored, now, out);
        self.account(out);
        while state.is_restored_at_once() && from < to {
            let (messages_max, bytes_max) = (PAGE_MESSAGES, PAGE_BYTES);
            let wanted = WantedRun { from, to, messages_max, bytes_max };
            let page = read(queue.id, &Wanted::Run(wanted))?;
            from = match page.part {
                Part::Run { next, .. } => next,
                Part::Places => to,
            };
            self.use_memory(page.memory());
            state.restore_ready(page.entries, now, out);
            self.account(out);
        }
        Ok(())
    }
}
