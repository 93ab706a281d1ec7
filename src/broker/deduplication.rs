//! The keys that were seen lately, so that a message which was published before is recognised.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use slab::Slab;

/// All keys of one window together are no longer than this, whatever number of them is allowed: a
/// key may be as long as a header.
const KEY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many old keys each new one has looked at, to drop those whose time is over.
const SWEPT_PER_INSERT: usize = 2;

/// A bounded set of keys, each with its own time to live. When it is full, the oldest goes first.
///
/// Every operation takes constant time: keys are linked in the order of their coming, and a hash map,
/// seeded at random because peers choose the keys, finds them. Keys whose time is over are found out
/// when they are asked for, when they are the oldest, and by a sweep that moves on with every
/// insertion, so live keys don't make room for dead ones for long.
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
}

/// One key, linked to those that came before and after it.
#[derive(Debug, Clone)]
struct Entry {
    key: Arc<[u8]>,
    expires: Option<Instant>,
    older: Option<usize>,
    newer: Option<usize>,
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
        }
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
        while self.entries.len() >= self.capacity
            || (self.key_bytes + key.len() > self.key_bytes_max && !self.is_empty())
        {
            let Some(oldest) = self.oldest else { break };
            self.unlink(oldest);
        }
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

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self { key_bytes_max: self.key_bytes_max, ..Self::new(self.capacity) };
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
    /// end. This is what a store keeps, and [`restore`](Self::restore) takes back.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (&[u8], Option<Duration>)> {
        let links = std::iter::successors(self.oldest, |place| self.entries[*place].newer);
        links.map(|place| &self.entries[place]).filter(move |entry| !entry.is_over(now)).map(
            move |entry| (&*entry.key, entry.expires.map(|expires| expires.duration_since(now))),
        )
    }

    /// Notes what [`iter`](Self::iter) gave, in its order.
    pub fn restore<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = (K, Option<Duration>)>,
        now: Instant,
    ) {
        for (key, ttl) in keys {
            self.insert(key.as_ref(), ttl, now);
        }
    }

    /// Drops the oldest keys as long as their time is over, and looks at a few others in turn.
    fn drop_expired(&mut self, now: Instant) {
        while let Some(oldest) = self.oldest
            && self.entries[oldest].is_over(now)
        {
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

    fn link(&mut self, key: Arc<[u8]>, expires: Option<Instant>) {
        self.key_bytes += key.len();
        let entry = Entry { key: Arc::clone(&key), expires, older: self.newest, newer: None };
        let place = self.entries.insert(entry);
        match self.newest.replace(place) {
            Some(before) => self.entries[before].newer = Some(place),
            None => self.oldest = Some(place),
        }
        self.by_key.insert(key, place);
    }

    fn unlink(&mut self, place: usize) {
        let Entry { key, older, newer, .. } = self.entries.remove(place);
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
