//! Messages that a queue has seen before.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::FieldValue;
use foldhash::fast::RandomState;

use super::super::deduplication::{DeduplicationWindow, KeptKey, KeptKeys};
use super::super::message::Message;
use super::super::message_header::header;
use super::super::persist::Persist;
use super::super::queue_cell::QueueId;
use super::super::queue_settings::QueueDeduplication;
use super::super::stored_key::{Kind, StoredKey};
use super::super::time::Epoch;
use super::super::value_bytes::value_bytes;

/// Keys that a window remembers at most; the oldest goes first.
const WINDOW_KEYS_MAX: usize = 1_000_000;

/// The keys, by the header `x-deduplication-header`, that a queue does not take once more. Messages
/// without the header always pass.
#[derive(Debug)]
pub(super) enum Duplicates {
    /// Of the messages that have not left the queue.
    WhileQueued(HashSet<Box<[u8]>, RandomState>),
    /// Of those that came lately.
    Window(Box<LatelySeen>),
}

/// The keys of messages that came lately.
#[derive(Debug)]
pub(super) struct LatelySeen {
    window: DeduplicationWindow,
    time_to_live: Duration,
    /// Those that came with the call that runs, to be stored after their messages.
    unwritten: Vec<Vec<u8>>,
}

impl Duplicates {
    pub(super) fn new(rule: QueueDeduplication) -> Self {
        match rule {
            QueueDeduplication::WhileQueued => Self::WhileQueued(HashSet::default()),
            QueueDeduplication::Window(milliseconds) => Self::Window(Box::new(LatelySeen {
                window: DeduplicationWindow::new(WINDOW_KEYS_MAX),
                time_to_live: Duration::from_millis(milliseconds),
                unwritten: Vec::new(),
            })),
        }
    }

    /// Has a window's keys outlive the process.
    pub(super) fn keep(&mut self, queue: QueueId, store: Arc<dyn Persist>, epoch: Epoch) {
        if let Self::Window(seen) = self {
            let prefix = StoredKey::new(Kind::SeenByQueue).number(queue.0);
            seen.window.keep(KeptKeys::new(prefix, store, epoch));
        }
    }

    /// Takes up the keys of a window that an earlier process left in the store.
    pub(super) fn restore(&mut self, keys: Vec<KeptKey>, now: Instant) {
        if let Self::Window(seen) = self {
            seen.window.restore(keys, now);
        }
    }

    /// Notes a message that comes; `false` if it came before.
    pub(super) fn is_new(&mut self, message: &Message, now: Instant) -> bool {
        let Some(key) = key(message) else { return true };
        match self {
            Self::WhileQueued(keys) => keys.insert(key.into()),
            Self::Window(seen) => {
                let own = header(message.properties(), "x-cache-ttl");
                let own = own.as_ref().and_then(FieldValue::as_integer);
                let own = own.and_then(|own| u64::try_from(own).ok()).map(Duration::from_millis);
                let is_new = seen.window.insert(&key, Some(own.unwrap_or(seen.time_to_live)), now);
                if is_new && seen.window.is_kept() {
                    seen.unwritten.push(key);
                }
                is_new
            }
        }
    }

    /// The messages that came with this call are recorded, and so may their keys be.
    pub(super) fn write_down(&mut self) {
        if let Self::Window(seen) = self {
            seen.unwritten.drain(..).for_each(|key| seen.window.write_down(&key));
        }
    }

    /// The queue is gone, and with it what it has seen.
    pub(super) fn clear(&mut self) {
        match self {
            Self::WhileQueued(keys) => *keys = HashSet::default(),
            Self::Window(seen) => seen.window.clear(),
        }
    }

    /// Whether they are those of the messages in the queue.
    pub(super) fn are_those_queued(&self) -> bool {
        matches!(self, Self::WhileQueued(_))
    }

    /// Notes a message that was in the queue in an earlier process.
    pub(super) fn restored(&mut self, message: &Message) {
        if let Self::WhileQueued(keys) = self
            && let Some(key) = key(message)
        {
            keys.insert(key.into());
        }
    }

    /// No other messages than these are in the queue.
    pub(super) fn keep_only<'a>(&mut self, messages: impl Iterator<Item = &'a Message>) {
        if let Self::WhileQueued(keys) = self {
            *keys = messages.filter_map(key).map(Into::into).collect();
        }
    }

    /// A message left the queue: one like it may come again.
    pub(super) fn left(&mut self, message: &Message) {
        if let Self::WhileQueued(keys) = self
            && let Some(key) = key(message)
        {
            keys.remove(&key[..]);
        }
    }
}

fn key(message: &Message) -> Option<Vec<u8>> {
    header(message.properties(), "x-deduplication-header").map(|value| value_bytes(&value))
}
