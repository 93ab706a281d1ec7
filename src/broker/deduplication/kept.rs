//! Keys of a window that outlive the process.

use std::sync::Arc;
use std::time::Instant;

use super::super::persist::Persist;
use super::super::stored_key::StoredKey;
use super::super::time::{Epoch, Timestamp};

/// A window's line to the store.
///
/// Each key is stored under one of its own: what the window is, then the key. The value is its number in
/// the order of their coming and, if its time ever ends, when: eight octets each.
#[derive(Debug, Clone)]
pub struct KeptKeys {
    prefix: StoredKey,
    store: Arc<dyn Persist>,
    epoch: Epoch,
    next: u64,
}

/// A key, as a store gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// The key.
    pub key: Vec<u8>,
    /// It came after those with smaller numbers.
    pub order: u64,
    /// From when on it is new again.
    pub expires: Timestamp,
}

impl KeptKey {
    /// Reads the value of a key; `None` for what is none.
    pub(in crate::broker) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (order, expires) = value.split_first_chunk()?;
        let expires = match expires {
            [] => Timestamp::NEVER,
            expires => Timestamp(u64::from_be_bytes(expires.try_into().ok()?)),
        };
        Some(Self { key: key.to_vec(), order: u64::from_be_bytes(*order), expires })
    }

    fn value(&self) -> Vec<u8> {
        let mut value = self.order.to_be_bytes().to_vec();
        if self.expires != Timestamp::NEVER {
            value.extend_from_slice(&self.expires.0.to_be_bytes());
        }
        value
    }
}

impl KeptKeys {
    /// Stores keys behind this prefix.
    pub(in crate::broker) fn new(prefix: StoredKey, store: Arc<dyn Persist>, epoch: Epoch) -> Self {
        Self { prefix, store, epoch, next: 0 }
    }

    pub(super) fn put(&mut self, key: &[u8], expires: Option<Instant>) {
        let expires = expires.map_or(Timestamp::NEVER, |at| self.epoch.timestamp(at));
        let kept = KeptKey { key: key.to_vec(), order: self.next, expires };
        self.next += 1;
        self.store.put(self.prefix.clone().rest(key), kept.value());
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.store.remove(self.prefix.clone().rest(key));
    }

    /// When a restored key is new again; `None` is never. Those to come get greater numbers.
    pub(super) fn restored(&mut self, kept: &KeptKey) -> Option<Instant> {
        self.next = self.next.max(kept.order.saturating_add(1));
        self.epoch.instant(kept.expires)
    }

    pub(super) fn now(&self, now: Instant) -> Timestamp {
        self.epoch.timestamp(now)
    }
}
