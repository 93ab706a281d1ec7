//! The ordered map in memory, which can lose what was not flushed.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;

use parking_lot::Mutex;

use super::{Batch, KeyValue, Pair, Pairs, StoreError};

/// An ordered map in memory: the simulated twin of the one on disk.
///
/// A crash loses batches that were not flushed, from the end; each batch is there as a whole or not at all.
#[derive(Debug, Default)]
pub struct MemoryKeyValue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// As of the last flush.
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Applied since.
    pending: Vec<Batch>,
    /// Both together.
    current: BTreeMap<Vec<u8>, Vec<u8>>,
    /// So many batches and flushes succeed before one fails.
    calls_to_fault: Option<u64>,
    /// So many of them fail from there on, for want of room; 0 is one, for another reason.
    calls_full: u64,
}

impl MemoryKeyValue {
    /// Lets one call fail: the first batch or flush after `calls` that succeed.
    pub fn fail_after(&self, calls: u64) {
        self.state.lock().calls_to_fault = Some(calls);
    }

    /// Lets calls fail for want of room: so many after `calls` that succeed. What was not flushed before
    /// the first of them is lost, as where a database has to be opened again.
    pub fn full_after(&self, calls: u64, count: u64) {
        let mut state = self.state.lock();
        (state.calls_to_fault, state.calls_full) = (Some(calls), count);
    }

    /// What another process finds after a crash. `choice` selects how many of the batches that were not
    /// flushed are there: all of them, some of the first, or none.
    #[must_use]
    pub fn crash(&self, choice: u64) -> Self {
        let state = self.state.lock();
        let mut found = state.durable.clone();
        let kept = choice % (state.pending.len() as u64 + 1);
        for batch in state.pending.iter().take(usize::try_from(kept).unwrap_or(usize::MAX)) {
            apply(&mut found, batch.clone());
        }
        let state = State { durable: found.clone(), current: found, ..State::default() };
        Self { state: Mutex::new(state) }
    }
}

impl State {
    fn count_call(&mut self) -> Result<(), StoreError> {
        match &mut self.calls_to_fault {
            Some(0) if self.calls_full > 0 => {
                self.calls_full -= 1;
                self.calls_to_fault = (self.calls_full > 0).then_some(0);
                self.pending.clear();
                self.current = self.durable.clone();
                let full = io::Error::from(io::ErrorKind::StorageFull);
                Err(StoreError::io("use the index in", "memory", full))
            }
            Some(0) => {
                self.calls_to_fault = None;
                let what = "the simulated disk failed".to_owned();
                Err(StoreError::Index { path: "memory".into(), what })
            }
            Some(calls) => {
                *calls -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn apply(pairs: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: Batch) {
    for (key, value) in batch.changes {
        match value {
            Some(value) => pairs.insert(key, value),
            None => pairs.remove(&key),
        };
    }
}

impl KeyValue for MemoryKeyValue {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state.lock().current.get(key).cloned())
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.count_call()?;
        apply(&mut state.current, batch.clone());
        state.pending.push(batch);
        Ok(())
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        let mut from = Bound::Included(from.to_vec());
        let to = to.to_vec();
        Box::new(std::iter::from_fn(move || {
            let pair = first_in(&self.state.lock().current, &from, &to)?;
            from = Bound::Excluded(pair.0.clone());
            Some(Ok(pair))
        }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.count_call()?;
        state.pending.clear();
        state.durable = state.current.clone();
        Ok(())
    }
}

fn first_in(pairs: &BTreeMap<Vec<u8>, Vec<u8>>, from: &Bound<Vec<u8>>, to: &[u8]) -> Option<Pair> {
    let from = from.as_ref().map(Vec::as_slice);
    if let Bound::Included(from) | Bound::Excluded(from) = from
        && from >= to
    {
        return None;
    }
    let (key, value) = pairs.range::<[u8], _>((from, Bound::Excluded(to))).next()?;
    Some((key.clone(), value.clone()))
}
