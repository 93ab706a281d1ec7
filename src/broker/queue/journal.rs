//! A queue's line to the store.

use std::sync::Arc;

use super::super::effect::Position;
use super::super::persist::{Persist, QueueRecord};
use super::super::queue_cell::QueueId;
use super::super::time::Timestamp;
use super::entry::Entry;

/// What happened in the queue and was not handed to the store yet: that is done once a call, not once a
/// message.
#[derive(Debug, Default)]
pub(super) struct Journal {
    line: Option<Line>,
    records: Vec<QueueRecord>,
}

#[derive(Debug)]
struct Line {
    queue: QueueId,
    store: Arc<dyn Persist>,
    /// Persistent messages outlive the process.
    durable: bool,
    /// The store knows something of the queue.
    used: bool,
}

impl Journal {
    /// A line to a store that keeps messages.
    pub(super) fn new(queue: QueueId, store: Arc<dyn Persist>, durable: bool) -> Self {
        Self { line: Some(Line { queue, store, durable, used: false }), records: Vec::new() }
    }

    /// Whether messages can be left to the store.
    pub(super) fn can_page(&self) -> bool {
        self.line.is_some()
    }

    /// A message takes its place: the store knows it from now on, if it is to outlive the process.
    pub(super) fn entered(&mut self, entry: &mut Entry, due: Option<Timestamp>) {
        if self.line.as_ref().is_some_and(|line| line.durable) && entry.message.is_persistent() {
            entry.stored = true;
            let &mut Entry { position, expires, .. } = entry;
            let message = entry.message.clone();
            self.records.push(QueueRecord::Entered { position, message, expires, due });
        }
    }

    /// A message leaves memory. One that the store does not know yet it is given now.
    pub(super) fn paged_out(&mut self, entry: &mut Entry, due: Option<Timestamp>) {
        if !entry.stored {
            entry.stored = true;
            let &mut Entry { position, expires, .. } = entry;
            let message = entry.message.clone();
            self.records.push(QueueRecord::PagedOut { position, message, expires, due });
        }
    }

    /// Somebody has it now.
    pub(super) fn delivered(&mut self, entry: &Entry) {
        if entry.stored {
            self.records.push(QueueRecord::Delivered(entry.position));
        }
    }

    /// It came back.
    pub(super) fn returned(&mut self, entry: &Entry, due: Option<Timestamp>) {
        if entry.stored {
            let &Entry { position, returns, .. } = entry;
            self.records.push(QueueRecord::Returned { position, returns, due });
        }
    }

    /// It left for good.
    pub(super) fn settled(&mut self, entry: &Entry) {
        if entry.stored {
            self.records.push(QueueRecord::Settled(entry.position));
        }
    }

    /// All that was left to the store between these positions left for good.
    pub(super) fn cleared(&mut self, from: Position, to: Position) {
        self.records.push(QueueRecord::Cleared(from, to));
    }

    /// The store knows the queue from an earlier process.
    pub(super) fn restored(&mut self) {
        if let Some(line) = &mut self.line {
            line.used = true;
        }
    }

    /// Hands over what happened.
    pub(super) fn flush(&mut self) {
        if let Some(line) = &mut self.line
            && !self.records.is_empty()
        {
            line.used = true;
            line.store.record(line.queue, &mut self.records);
        }
    }

    /// The queue is gone, and all that was recorded of it. Nothing is recorded any more.
    pub(super) fn close(&mut self) {
        self.records = Vec::new();
        if let Some(line) = self.line.take()
            && line.used
        {
            line.store.remove_queue(line.queue);
        }
    }
}
