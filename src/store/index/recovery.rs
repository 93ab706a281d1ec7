//! What follows once the log was replayed.

use super::super::error::StoreError;
use super::super::place::{Place, SegmentId};
use super::Index;
use super::live::Summary;
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;

/// So many entries of a queue are looked at together.
const PAGE: usize = 8192;

impl Index {
    /// Ends the recovery, and says what the queues hold: counts are read, and only blocks that changed
    /// since the last checkpoint are looked at.
    ///
    /// What was in the log's segments before `boot`, the first of this process, only to spare memory is
    /// gone: queues that hold such messages are searched for them.
    pub fn finish_recovery(&self, boot: SegmentId) -> Result<Vec<(QueueId, Summary)>, StoreError> {
        let mut found = Vec::new();
        for queue in self.queues()? {
            let mut summary = self.summary(queue)?;
            if summary.transient > 0 {
                self.drop_transient(queue, boot)?;
                summary = self.summary(queue)?;
            }
            found.push((queue, summary));
        }
        Ok(found)
    }

    fn drop_transient(&self, queue: QueueId, boot: SegmentId) -> Result<(), StoreError> {
        self.drop_stale(queue, boot, &self.scheduled(queue)?);
        let mut from = Position(0);
        let to = Position(u64::MAX);
        while from < to {
            let page = self.read(queue, from, to, PAGE)?;
            self.drop_stale(queue, boot, &page.entries);
            from = page.next;
        }
        Ok(())
    }

    fn drop_stale(&self, queue: QueueId, boot: SegmentId, entries: &[(Position, Place)]) {
        let mut changes = self.changes();
        for (position, place) in entries {
            if place.transient && place.location.segment < boot {
                changes.settled(queue, *position, *position);
            }
        }
    }
}
