//! The messages of a queue as a store keeps them, to be read back.

use std::collections::{BTreeMap, BTreeSet};

use leveret::broker::effect::{Page, Position, StoredEntry, Wanted};
use leveret::broker::message::Message;
use leveret::broker::persist::QueueRecord;
use leveret::broker::time::Timestamp;

/// What the store knows of a queue's messages.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kept: BTreeMap<Position, Kept>,
    /// Those that were here only to spare memory.
    transient: BTreeSet<Position>,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    expires: Timestamp,
    returns: u32,
    due: Option<Timestamp>,
    /// Somebody has it.
    delivered: bool,
}

impl Shelf {
    pub(crate) fn keep(&mut self, record: &QueueRecord) {
        match *record {
            QueueRecord::Entered { position, ref message, expires, due } => {
                self.add(position, message, expires, due);
            }
            QueueRecord::PagedOut { position, ref message, expires } => {
                self.transient.insert(position);
                self.add(position, message, expires, None);
            }
            QueueRecord::Delivered(position) => {
                let kept = self.kept.get_mut(&position);
                let kept = kept.unwrap_or_else(|| panic!("{position:?} is delivered, and gone"));
                assert!(kept.due.is_none(), "{position:?} is delivered before its time");
                assert!(!kept.delivered, "{position:?} is delivered to two");
                kept.delivered = true;
            }
            QueueRecord::Returned { position, returns, due } => {
                let kept = self.kept.get_mut(&position);
                let kept = kept.unwrap_or_else(|| panic!("{position:?} came back, and is gone"));
                assert!(
                    kept.delivered || kept.due.is_some(),
                    "{position:?} comes back from nobody"
                );
                (kept.returns, kept.due, kept.delivered) = (returns, due, false);
            }
            QueueRecord::Settled(position) => {
                let gone = self.kept.remove(&position);
                assert!(gone.is_some(), "{position:?} is settled once, after it was enqueued");
            }
            QueueRecord::Cleared(from, to) => {
                let gone = self.kept.extract_if(from..to, |_, kept| kept.due.is_none());
                for (position, kept) in gone {
                    assert!(!kept.delivered, "{position:?} is cleared, and somebody has it");
                }
            }
        }
    }

    fn add(
        &mut self,
        position: Position,
        message: &Message,
        expires: Timestamp,
        due: Option<Timestamp>,
    ) {
        // Counted on its own when it comes back.
        let kept =
            Kept { message: message.duplicate(), expires, returns: 0, due, delivered: false };
        assert!(self.kept.insert(position, kept).is_none(), "{position:?} is taken twice");
    }

    pub(crate) fn holds(&self, position: Position) -> bool {
        self.kept.contains_key(&position)
    }

    /// Whether a message here was one that does not outlive the process.
    pub(crate) fn was_transient(&self, position: Position) -> bool {
        self.transient.contains(&position)
    }

    /// How many of them there were.
    pub(crate) fn transient(&self) -> u64 {
        self.transient.len() as u64
    }

    pub(crate) fn page(&self, wanted: Wanted) -> Page {
        let Wanted { from, to, messages_max, .. } = wanted;
        let ready = self.kept.range(from..to).filter(|(_, kept)| kept.due.is_none());
        let entries: Vec<StoredEntry> = ready
            .take(messages_max)
            .map(|(&position, kept)| StoredEntry {
                position,
                message: kept.message.duplicate(),
                expires: kept.expires,
                returns: kept.returns,
                delivered: kept.delivered,
                transient: self.was_transient(position),
            })
            .collect();
        let full = entries.len() == messages_max;
        let last = entries.last().map(|entry| Position(entry.position.0 + 1));
        Page { from, next: last.filter(|_| full).unwrap_or(to), entries }
    }
}
