//! The messages of a queue as a store keeps them, to be read back.

use std::collections::{BTreeMap, BTreeSet};

use leveret::broker::effect::{Page, Part, Position, StoredEntry, Wanted, WantedRun};
use leveret::broker::message::Message;
use leveret::broker::persist::QueueRecord;
use leveret::broker::queue::Restored;
use leveret::broker::time::Timestamp;

/// What the store knows of a queue's messages.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shelf {
    kept: BTreeMap<Position, Kept>,
    /// Those that were here only to spare memory.
    transient: BTreeSet<Position>,
}

#[derive(Debug, Clone)]
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
            QueueRecord::PagedOut { position, ref message, expires, due } => {
                self.transient.insert(position);
                self.add(position, message, expires, due);
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
        assert!(!message.is_stub(), "{position:?} is here already");
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

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.kept.keys().copied()
    }

    /// What is left of it after a crash, if nothing were to die of age.
    pub(crate) fn after_crash(&self) -> Self {
        let mut left = self.clone();
        left.kept.retain(|position, _| !self.transient.contains(position));
        left.kept.values_mut().for_each(|kept| kept.expires = Timestamp::NEVER);
        left
    }

    /// What a queue is told of it: what is ready, in order, and the rest.
    pub(crate) fn restored(&self) -> (Vec<StoredEntry>, Restored) {
        let all =
            || self.kept.iter().map(|(&position, kept)| (kept.due, self.stored(position, kept)));
        let scheduled = all().filter_map(|(due, entry)| Some((due?, entry))).collect();
        let ready = all().filter(|(due, _)| due.is_none());
        let ready: Vec<StoredEntry> = ready.map(|(_, entry)| entry).collect();
        let restored = Restored {
            next_position: self.kept.last_key_value().map_or(0, |(last, _)| last.0 + 1),
            first: ready.first().map(|entry| entry.position).unwrap_or_default(),
            ready: ready.len(),
            bytes: ready.iter().map(|entry| entry.message.body_len()).sum(),
            scheduled,
        };
        (ready, restored)
    }

    fn stored(&self, position: Position, kept: &Kept) -> StoredEntry {
        let &Kept { ref message, expires, returns, delivered, .. } = kept;
        let (message, transient) = (message.duplicate(), self.was_transient(position));
        StoredEntry { position, message, expires, returns, delivered, transient }
    }

    pub(crate) fn page(&self, wanted: &Wanted) -> Page {
        match wanted {
            Wanted::Run(run) => self.run(*run),
            Wanted::Places(positions) => {
                let entry = |&it: &Position| self.kept.get(&it).map(|kept| self.stored(it, kept));
                let entries = positions.iter().filter_map(entry).collect();
                Page { part: Part::Places, entries }
            }
        }
    }

    fn run(&self, wanted: WantedRun) -> Page {
        let WantedRun { from, to, messages_max, .. } = wanted;
        let ready = self.kept.range(from..to).filter(|(_, kept)| kept.due.is_none());
        let entries: Vec<StoredEntry> =
            ready.take(messages_max).map(|(&position, kept)| self.stored(position, kept)).collect();
        let full = entries.len() == messages_max;
        let last = entries.last().map(|entry| Position(entry.position.0 + 1));
        let next = last.filter(|_| full).unwrap_or(to);
        Page { part: Part::Run { from, next }, entries }
    }
}
