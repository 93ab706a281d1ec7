//! A store that is a map.

use std::collections::BTreeMap;

use leveret::broker::effect::{Page, Part, Position, StoredEntry, Wanted, WantedRun};
use leveret::broker::persist::{Persist, QueueRecord};
use leveret::broker::queue_cell::QueueId;
use parking_lot::Mutex;

/// What a queue recorded, as far as it is still true.
#[derive(Debug, Default)]
pub(crate) struct MapStore(Mutex<BTreeMap<Position, StoredEntry>>);

impl MapStore {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn page(&self, wanted: Wanted) -> Page {
        let entries = self.0.lock();
        let read = |stored: &StoredEntry| {
            // Counted on its own when it comes back.
            let message = stored.message.duplicate();
            message.enter(1);
            StoredEntry { message, ..stored.clone() }
        };
        match wanted {
            Wanted::Run(WantedRun { from, to, messages_max, .. }) => {
                let mut ready = entries.range(from..to);
                let page = ready.by_ref().take(messages_max).map(|(_, stored)| read(stored));
                let page = page.collect();
                let next = ready.next().map_or(to, |(position, _)| *position);
                Page { part: Part::Run { from, next }, entries: page }
            }
            Wanted::Places(positions) => {
                let found = positions.iter().filter_map(|position| entries.get(position));
                Page { part: Part::Places, entries: found.map(read).collect() }
            }
        }
    }
}

impl Persist for MapStore {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        let mut entries = self.0.lock();
        for record in records.drain(..) {
            match record {
                QueueRecord::Entered { position, message, expires, .. }
                | QueueRecord::PagedOut { position, message, expires, .. } => {
                    assert!(!message.is_stub(), "{position:?} is known");
                    let (returns, delivered, transient) = (0, false, !message.is_persistent());
                    let stored =
                        StoredEntry { position, message, expires, returns, delivered, transient };
                    assert!(entries.insert(position, stored).is_none(), "{position:?} is known");
                }
                QueueRecord::Delivered(position) => {
                    let entry = entries.get_mut(&position).expect("what is delivered is there");
                    assert!(!entry.delivered, "{position:?} is delivered to one at a time");
                    entry.delivered = true;
                }
                QueueRecord::Returned { position, returns, .. } => {
                    let entry = entries.get_mut(&position).expect("what comes back is there");
                    assert!(entry.delivered, "{position:?} comes back from somebody");
                    (entry.delivered, entry.returns) = (false, returns);
                }
                QueueRecord::Settled(position) => {
                    assert!(entries.remove(&position).is_some(), "{position:?} is settled once");
                }
                QueueRecord::Cleared(from, to) => {
                    for (position, entry) in entries.extract_if(from..to, |_, _| true) {
                        assert!(!entry.delivered, "{position:?} is cleared, and somebody has it");
                    }
                }
            }
        }
    }

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        true
    }
}
