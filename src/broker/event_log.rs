//! What happened in the broker, for whoever listens.

use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use amqp_codec::{FieldTable, FieldValue, ShortString};
use bytes::Bytes;
use parking_lot::Mutex;

use super::binding::{Binding, Destination};
use super::exchange::Exchange;
use super::queue_cell::{ConnectionId, QueueCell};

/// The exchange that events are published to, in the vhost [`EVENT_VHOST`].
pub const EVENT_EXCHANGE: &str = "amq.rabbitmq.event";

/// The vhost that has it, as in RabbitMQ.
pub const EVENT_VHOST: &str = "/";

/// Events that may wait to be published. Whoever makes more of them at once does without the rest.
const PENDING_MAX: usize = 16 * 1024;

/// What their headers may take: arguments are as large as who declares something makes them.
const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its routing key: `queue.created`.
    pub key: &'static str,
    /// What there is to say of it.
    pub headers: FieldTable,
}

#[derive(Debug, Default)]
struct Pending {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Pending {
    /// `false` where it finds no room.
    fn add(&mut self, event: Event) -> bool {
        let bytes = self.bytes + event.weight();
        if self.events.len() >= PENDING_MAX || bytes > PENDING_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.events.push_back(event);
        true
    }

    fn take(&mut self, max: usize) -> Vec<Event> {
        let taken: Vec<Event> = self.events.drain(..self.events.len().min(max)).collect();
        self.bytes -= taken.iter().map(Event::weight).sum::<usize>();
        taken
    }
}

impl Event {
    /// About what it takes in memory.
    fn weight(&self) -> usize {
        size_of::<Self>() + weight_of_table(&self.headers)
    }
}

fn weight_of_table(table: &FieldTable) -> usize {
    table
        .iter()
        .map(|(name, value)| size_of_val(name) + name.as_bytes().len() + weight(value))
        .sum()
}

fn weight(value: &FieldValue) -> usize {
    let inside = match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => bytes.len(),
        FieldValue::Table(table) => weight_of_table(table),
        FieldValue::Array(values) => values.iter().map(weight).sum(),
        _ => 0,
    };
    size_of_val(value) + inside
}

/// Events on their way to the exchange. While nobody is bound to it they are not even made.
///
/// Its lock is a leaf: it may be told of something under any other.
#[derive(Default)]
pub struct EventLog {
    /// What was there before the process started did not happen now.
    open: AtomicBool,
    /// Bindings that lead from the exchange.
    listeners: AtomicUsize,
    pending: Mutex<Pending>,
    dropped: AtomicU64,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl EventLog {
    /// From now on what happens is told. `wake` is called when something is there to be taken.
    pub fn open(&self, wake: impl Fn() + Send + Sync + 'static) {
        // It is opened once.
        let _ = self.wake.set(Box::new(wake));
        self.open.store(true, Ordering::Release);
    }

    /// Something happened: `headers` are asked for only if somebody listens.
    pub fn emit(&self, key: &'static str, headers: impl FnOnce() -> FieldTable) {
        if self.listeners.load(Ordering::Relaxed) == 0 || !self.open.load(Ordering::Acquire) {
            return;
        }
        let event = Event { key, headers: headers() };
        let was_empty = {
            let mut pending = self.pending.lock();
            if !pending.add(event) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            pending.events.len() == 1
        };
        if was_empty && let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Takes the oldest events, `max` of them at most.
    pub fn take(&self, max: usize) -> Vec<Event> {
        self.pending.lock().take(max)
    }

    /// Whether there are any to be taken.
    pub fn is_pending(&self) -> bool {
        !self.pending.lock().events.is_empty()
    }

    /// How many found no room since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    pub(super) fn bound(&self, vhost: &ShortString, binding: &Binding) {
        if is_listener(vhost, binding) {
            self.listeners.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn unbound(&self, vhost: &ShortString, binding: &Binding) {
        if is_listener(vhost, binding) {
            self.listeners.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listeners, pending, .. } = self;
        let mut shown = f.debug_struct("EventLog");
        shown.field("listeners", listeners).field("pending", &pending.lock().events.len());
        shown.finish_non_exhaustive()
    }
}

fn is_listener(vhost: &ShortString, binding: &Binding) -> bool {
    binding.source.as_bytes() == EVENT_EXCHANGE.as_bytes()
        && vhost.as_bytes() == EVENT_VHOST.as_bytes()
}

/// The header that says who did it.
const ACTING_USER: &str = "user_who_performed_action";

/// A table of these.
pub fn event_headers(entries: impl IntoIterator<Item = (&'static str, FieldValue)>) -> FieldTable {
    let entries = entries.into_iter();
    entries.map(|(name, value)| (ShortString::truncated(name), value)).collect()
}

/// The same of something that a user did.
pub fn event_headers_by(
    user: &str,
    entries: impl IntoIterator<Item = (&'static str, FieldValue)>,
) -> FieldTable {
    event_headers(entries.into_iter().chain([(ACTING_USER, event_text(user))]))
}

/// A name, or another text, as a header.
pub fn event_text(text: impl AsRef<[u8]>) -> FieldValue {
    FieldValue::LongString(Bytes::copy_from_slice(text.as_ref()))
}

pub(super) fn exchange_created(
    vhost: &ShortString,
    name: &ShortString,
    exchange: &Exchange,
    user: &str,
) -> FieldTable {
    let properties = &exchange.properties;
    let policy = exchange.policies().policy.as_ref().map_or("", |policy| policy.name());
    event_headers_by(
        user,
        [
            ("name", event_text(name.as_bytes())),
            ("vhost", event_text(vhost.as_bytes())),
            ("type", event_text(properties.kind.to_string())),
            ("durable", FieldValue::Bool(properties.durable)),
            ("auto_delete", FieldValue::Bool(properties.auto_delete)),
            ("internal", FieldValue::Bool(properties.internal)),
            ("policy", event_text(policy)),
            ("arguments", FieldValue::Table(properties.arguments.clone())),
        ],
    )
}

pub(super) fn queue_created(queue: &QueueCell, user: &str) -> FieldTable {
    let properties = &queue.properties;
    event_headers_by(
        user,
        [
            ("name", event_text(queue.name.as_bytes())),
            ("vhost", event_text(queue.vhost.as_bytes())),
            ("durable", FieldValue::Bool(properties.durable)),
            ("auto_delete", FieldValue::Bool(properties.auto_delete)),
            ("exclusive", FieldValue::Bool(properties.owner.is_some())),
            ("owner_pid", event_text(properties.owner.map(ConnectionId::pid).unwrap_or_default())),
            ("arguments", FieldValue::Table(properties.arguments.clone())),
        ],
    )
}

/// Something with a name in a vhost is gone.
pub(super) fn deleted(vhost: &ShortString, name: &ShortString, user: &str) -> FieldTable {
    let (name, vhost) = (event_text(name.as_bytes()), event_text(vhost.as_bytes()));
    event_headers_by(user, [("name", name), ("vhost", vhost)])
}

pub(super) fn binding_headers(vhost: &ShortString, binding: &Binding, user: &str) -> FieldTable {
    let (kind, destination) = match &binding.destination {
        Destination::Queue(queue) => ("queue", &queue.name),
        Destination::Exchange(name) => ("exchange", name),
    };
    event_headers_by(
        user,
        [
            ("source_name", event_text(binding.source.as_bytes())),
            ("source_kind", event_text("exchange")),
            ("destination_name", event_text(destination.as_bytes())),
            ("destination_kind", event_text(kind)),
            ("routing_key", event_text(binding.routing_key.as_bytes())),
            ("vhost", event_text(vhost.as_bytes())),
            ("arguments", FieldValue::Table(binding.arguments.clone())),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> Event {
        Event { key: "queue.created", headers: event_headers([("a", event_text(vec![0; bytes]))]) }
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes_and_taking_it_makes_room() {
        let mut pending = Pending::default();
        assert!(pending.add(event(PENDING_BYTES_MAX - 1024)));
        assert!(!pending.add(event(4096)));
        assert!(pending.add(event(1)));
        assert_eq!(pending.take(9).len(), 2);
        assert_eq!(pending.bytes, 0);
        assert!(pending.add(event(4096)));
    }

    #[test]
    fn what_waits_is_bounded_by_its_number() {
        let mut pending = Pending::default();
        let taken = (0..=PENDING_MAX).filter(|_| pending.add(event(0))).count();
        assert_eq!(taken, PENDING_MAX);
    }
}
