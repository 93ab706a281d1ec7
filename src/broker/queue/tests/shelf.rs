//! A store that keeps what a queue records, and holds the queue to its word.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use super::super::*;
use crate::broker::effect::{Page, Part, StoredEntry, Wanted, WantedRun};
use crate::broker::persist::QueueRecord;

/// What a store knows of a queue.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<Position, Kept>,
    /// Those that left for good.
    gone: BTreeSet<Position>,
    removed: bool,
    /// What the queue put under keys.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    expires: Timestamp,
    returns: u32,
    due: Option<Timestamp>,
    /// Somebody has it.
    delivered: bool,
    /// Somebody had it when an earlier process ended.
    was_delivered: bool,
    transient: bool,
}

impl Kept {
    fn is_redelivered(&self) -> bool {
        self.delivered || self.was_delivered
    }
}

impl Shelf {
    /// What is there, in order.
    pub(super) fn positions(&self) -> Vec<u64> {
        self.0.lock().kept.keys().map(|position| position.0).collect()
    }

    pub(super) fn is_removed(&self) -> bool {
        self.0.lock().removed
    }

    /// What a store reads when it is asked.
    pub(super) fn page(&self, wanted: Wanted) -> Page {
        match wanted {
            Wanted::Run(run) => self.run(run),
            Wanted::Places(positions) => {
                assert!(positions.is_sorted(), "{positions:?}");
                let state = self.0.lock();
                let entry = |it: Position| state.kept.get(&it).map(|kept| stored(it, kept));
                let entries = positions.into_iter().filter_map(entry).collect();
                Page { part: Part::Places, entries }
            }
        }
    }

    fn run(&self, wanted: WantedRun) -> Page {
        let WantedRun { from, to, messages_max, bytes_max } = wanted;
        let state = self.0.lock();
        let (mut bytes, mut next) = (0, from);
        let mut entries = Vec::new();
        for (&position, kept) in state.kept.range(from..to).filter(|(_, kept)| kept.due.is_none()) {
            if entries.len() == messages_max || bytes > bytes_max {
                // There may be more from here on, and may be not.
                return Page { part: Part::Run { from, next }, entries };
            }
            bytes += kept.message.body_len();
            entries.push(stored(position, kept));
            next = Position(position.0 + 1);
        }
        Page { part: Part::Run { from, next: to }, entries }
    }

    /// The process ends. What a later one finds: what is ready, and what it is told of the queue.
    pub(super) fn restart(&self) -> (Vec<StoredEntry>, Restored) {
        let mut state = self.0.lock();
        state.kept.retain(|_, kept| !kept.transient);
        for kept in state.kept.values_mut() {
            kept.was_delivered |= std::mem::take(&mut kept.delivered);
        }
        let entries = |(&position, kept)| (stored(position, kept), kept);
        let (scheduled, ready): (Vec<_>, Vec<_>) =
            state.kept.iter().map(entries).partition(|(_, kept)| kept.due.is_some());
        let scheduled = scheduled.into_iter().filter_map(|(it, kept)| Some((kept.due?, it)));
        let last = [state.kept.last_key_value().map(|(last, _)| last), state.gone.last()];
        let ready: Vec<StoredEntry> = ready.into_iter().map(|(it, _)| it).collect();
        let restored = Restored {
            next_position: last.into_iter().flatten().max().map_or(0, |last| last.0 + 1),
            first: ready.first().map(|it| it.position).unwrap_or_default(),
            ready: ready.len(),
            bytes: ready.iter().map(|it| it.message.body_len()).sum(),
            scheduled: scheduled.collect(),
        };
        (ready, restored)
    }

    /// Which messages an earlier process may have delivered without a word.
    pub(super) fn in_doubt(&self) -> Option<Position> {
        let state = self.0.lock();
        state.values.get(&in_doubt::key(QueueId(7))).map(|it| in_doubt::decode(it).unwrap())
    }

    /// The process is killed before it has written down who has what.
    pub(super) fn forget_deliveries(&self) {
        self.0.lock().kept.values_mut().for_each(|kept| kept.delivered = false);
    }

    /// The store can't read a message any more.
    pub(super) fn lose(&self, position: u64) {
        self.0.lock().kept.remove(&Position(position)).expect("it is there");
    }
}

fn stored(position: Position, kept: &Kept) -> StoredEntry {
    let message = kept.message.duplicate();
    message.enter(1);
    let &Kept { expires, returns, transient, .. } = kept;
    let delivered = kept.is_redelivered();
    StoredEntry { position, message, expires, returns, delivered, transient }
}

impl State {
    fn add(&mut self, position: Position, kept: Kept) {
        assert!(!kept.message.is_stub(), "{position:?} is here already");
        assert!(!self.gone.contains(&position), "{position:?} was taken before");
        assert!(self.kept.insert(position, kept).is_none(), "{position:?} is taken twice");
    }

    fn kept(&mut self, position: Position) -> &mut Kept {
        self.kept.get_mut(&position).unwrap_or_else(|| panic!("{position:?} is not there"))
    }

    fn record(&mut self, record: QueueRecord) {
        assert!(!self.removed, "{record:?} of a queue that is gone");
        let kept = |message, expires, due, transient| {
            let (returns, delivered, was_delivered) = (0, false, false);
            Kept { message, expires, returns, due, delivered, was_delivered, transient }
        };
        match record {
            QueueRecord::Entered { position, message, expires, due } => {
                self.add(position, kept(message, expires, due, false));
            }
            QueueRecord::PagedOut { position, message, expires, due } => {
                self.add(position, kept(message, expires, due, true));
            }
            QueueRecord::Delivered(position) => {
                let kept = self.kept(position);
                assert!(kept.due.is_none() && !kept.is_redelivered(), "{position:?}: {kept:?}");
                kept.delivered = true;
            }
            QueueRecord::Returned { position, returns, due } => {
                let kept = self.kept(position);
                assert!(kept.is_redelivered() || kept.due.is_some(), "{position:?} was here");
                (kept.returns, kept.due) = (returns, due);
                (kept.delivered, kept.was_delivered) = (false, false);
            }
            QueueRecord::Settled(position) => {
                self.kept.remove(&position).unwrap_or_else(|| panic!("{position:?} is gone"));
                self.gone.insert(position);
            }
            QueueRecord::Cleared(from, to) => {
                assert!(from < to);
                let gone = self.kept.extract_if(from..to, |_, kept| kept.due.is_none());
                for (position, kept) in gone {
                    assert!(!kept.delivered, "{position:?} is cleared while somebody has it");
                    self.gone.insert(position);
                }
            }
        }
    }
}

impl Persist for Shelf {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        let mut state = self.0.lock();
        records.drain(..).for_each(|record| state.record(record));
    }

    fn remove_queue(&self, _queue: QueueId) {
        let mut state = self.0.lock();
        assert!(!std::mem::replace(&mut state.removed, true), "it is removed once");
    }

    fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        self.0.lock().values.insert(key, value);
    }

    fn remove(&self, key: Vec<u8>) {
        self.0.lock().values.remove(&key);
    }

    fn keeps_messages(&self) -> bool {
        true
    }
}
