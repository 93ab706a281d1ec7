//! The keys that were seen lately, so that a message which was published before is recognised.

mod kept;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use slab::Slab;

pub use self::kept::{KeptKey, KeptKeys};

/// All keys of one window together are no longer than this, whatever number of them is allowed: a
/// key may be as long as a header.
const KEY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many old keys each new one has looked at, to drop those whose time is over.
const SWEPT_PER_INSERT: usize = 2;

/// How many of the oldest keys each new one drops at most, if their time is over.
const EXPIRED_PER_INSERT: usize = 16;

/// A bounded set of keys, each with its own time to live. When it is full, the oldest goes first.
///
/// Every operation takes constant time: keys are linked in the order of their coming, and a hash map,
/// seeded at random because peers choose the keys, finds them. Keys whose time is over are found out
/// when they are asked for, when they are the oldest, and by a sweep that moves on with every
/// insertion, so live keys don't make room for dead ones for long.
///
/// Where keys are to outlive the process (`keep`), a key is stored once its message is
/// ([`write_down`](Self::write_down)), and removed from the store when it leaves the window.
#[derive(Debug, Clone)]
pub struct DeduplicationWindow {
    capacity: usize,
    key_bytes_max: usize,
    entries: Slab<Entry>,
    by_key: HashMap<Arc<[u8]>, usize, RandomState>,
    oldest: Option<usize>,
    newest: Option<usize>,
    key_bytes: usize,
    /// Where the sweep goes on.
    swept: usize,
    kept: Option<KeptKeys>,
}

/// One key, linked to those that came before and after it.
#[derive(Debug, Clone)]
struct Entry {
    key: Arc<[u8]>,
    expires: Option<Instant>,
    older: Option<usize>,
    newer: Option<usize>,
    /// The store has it.
    kept: bool,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl DeduplicationWindow {
    /// A window for up to `capacity` keys; at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            key_bytes_max: KEY_BYTES_MAX,
            entries: Slab::new(),
            by_key: HashMap::default(),
            oldest: None,
            newest: None,
            key_bytes: 0,
            swept: 0,
            kept: None,
        }
    }

    /// Has keys outlive the process from now on.
    pub(super) fn keep(&mut self, kept: KeptKeys) {
        self.kept = Some(kept);
    }

    /// Whether keys outlive the process.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Notes a key; `true` if it is new. One that is there already keeps its time. `None` lives
    /// until newer ones push it out.
    pub fn insert(&mut self, key: &[u8], ttl: Option<Duration>, now: Instant) -> bool {
        if let Some(place) = self.by_key.get(key).copied() {
            if !self.entries[place].is_over(now) {
                return false;
            }
            self.unlink(place);
        }
        self.drop_expired(now);
        self.make_room(key.len());
        // A time beyond what the clock can show is for ever.
        self.link(key.into(), ttl.and_then(|ttl| now.checked_add(ttl)));
        true
    }

    /// Whether a key is known.
    pub fn contains(&self, key: &[u8], now: Instant) -> bool {
        self.by_key.get(key).is_some_and(|place| !self.entries[*place].is_over(now))
    }

    /// Forgets a key; whether it was held.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let place = self.by_key.get(key).copied();
        place.map(|place| self.unlink(place)).is_some()
    }

    /// The message of a key was recorded: now the key may outlive the process, too. One that was
    /// stored before its message could be all that is left after a crash, and would turn away the
    /// publisher's second attempt.
    pub fn write_down(&mut self, key: &[u8]) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(place) = self.by_key.get(key)
            && let Some(entry) = self.entries.get_mut(*place)
            && !entry.kept
        {
            entry.kept = true;
            kept.put(key, entry.expires);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        if let Some(kept) = &self.kept {
            let stored = self.entries.iter().filter(|(_, entry)| entry.kept);
            stored.for_each(|(_, entry)| kept.remove(&entry.key));
        }
        let (kept, key_bytes_max) = (self.kept.take(), self.key_bytes_max);
        *self = Self { kept, key_bytes_max, ..Self::new(self.capacity) };
    }

    /// How many keys are held, among them those whose time is over and was not looked at since.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys there may be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The keys that are known, the oldest first, and how long each has to live; `None` is without
    /// end.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (&[u8], Option<Duration>)> {
        let links = std::iter::successors(self.oldest, |place| self.entries[*place].newer);
        links.map(|place| &self.entries[place]).filter(move |entry| !entry.is_over(now)).map(
            move |entry| (&*entry.key, entry.expires.map(|expires| expires.duration_since(now))),
        )
    }

    /// Takes up what an earlier process left in the store that keys are kept in. Those whose time is
    /// over, and the oldest of too many, are removed from it.
    pub fn restore(&mut self, mut keys: Vec<KeptKey>, now: Instant) {
        keys.sort_by_key(|kept| kept.order);
        for found in keys {
            let Some(kept) = &mut self.kept else { return };
            let expires = kept.restored(&found);
            if found.expires <= kept.now(now) {
                kept.remove(&found.key);
                continue;
            }
            self.make_room(found.key.len());
            let place = self.link(found.key.into(), expires);
            self.entries[place].kept = true;
        }
    }

    /// Drops the oldest keys until one more of this length has a place.
    fn make_room(&mut self, key_len: usize) {
        while self.entries.len() >= self.capacity
            || (self.key_bytes + key_len > self.key_bytes_max && !self.is_empty())
        {
            let Some(oldest) = self.oldest else { break };
            self.unlink(oldest);
        }
    }

    /// Drops the oldest keys as long as their time is over, and looks at a few others in turn.
    fn drop_expired(&mut self, now: Instant) {
        for _ in 0..EXPIRED_PER_INSERT {
            let Some(oldest) = self.oldest else { break };
            if !self.entries[oldest].is_over(now) {
                break;
            }
            self.unlink(oldest);
        }
        for _ in 0..SWEPT_PER_INSERT {
            if self.swept >= self.entries.capacity() {
                self.swept = 0;
            }
            if self.entries.get(self.swept).is_some_and(|entry| entry.is_over(now)) {
                self.unlink(self.swept);
            }
            self.swept += 1;
        }
    }

    fn link(&mut self, key: Arc<[u8]>, expires: Option<Instant>) -> usize {
        self.key_bytes += key.len();
        let (key_again, older) = (Arc::clone(&key), self.newest);
        let entry = Entry { key: key_again, expires, older, newer: None, kept: false };
        let place = self.entries.insert(entry);
        match self.newest.replace(place) {
            Some(before) => self.entries[before].newer = Some(place),
            None => self.oldest = Some(place),
        }
        self.by_key.insert(key, place);
        place
    }

    fn unlink(&mut self, place: usize) {
        let Entry { key, older, newer, kept, .. } = self.entries.remove(place);
        if kept && let Some(store) = &self.kept {
            store.remove(&key);
        }
        match older {
            Some(older) => self.entries[older].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.entries[newer].older = older,
            None => self.newest = older,
        }
        self.by_key.remove(&key);
        self.key_bytes -= key.len();
        if self.entries.is_empty() {
            // A burst of keys must not keep its memory for ever.
            self.entries.shrink_to_fit();
            self.by_key.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
