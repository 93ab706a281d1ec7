//! A published message: stored once, shared by every queue it entered.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use amqp_codec::ShortString;
use bytes::Bytes;
use smallvec::SmallVec;
use triomphe::ThinArc;

use super::time::Timestamp;

/// The longest time to live in milliseconds, of a message or a queue: RabbitMQ's ten years.
pub const EXPIRY_MS_MAX: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// What a message costs beyond its bytes: its head, the allocation, its entry in a queue.
pub(super) const MESSAGE_OVERHEAD: usize = 96;

const _: () = assert!(size_of::<Head>() == 32);

/// One published message, immutable and shared.
///
/// The exchange, the routing key, the raw property list and a small body lie in a single allocation;
/// a large body is kept as the slices of the read buffers it arrived in. Properties are never decoded
/// and encoded again: they go out as they came in.
///
/// Cloning is one atomic increment.
#[derive(Clone)]
pub struct Message(ThinArc<Head, u8>);

/// In front of every small message: 32 bytes.
struct Head {
    body_len: u64,
    /// Most messages have none of it.
    rest: Option<Box<Rest>>,
    /// A content header fits one frame, so 32 bits are plenty.
    properties_len: u32,
    /// Queue entries that still hold this message; see [`Message::release`].
    entries: AtomicU32,
    exchange_len: u8,
    routing_key_len: u8,
    priority: u8,
    persistent: bool,
    /// All but this head lies in the store.
    stub: bool,
}

/// What small messages without special wishes lack.
#[derive(Debug, Clone, Default)]
struct Rest {
    extras: MessageExtras,
    /// Empty for a body that lies inline.
    segments: Vec<Bytes>,
}

/// The parts of a message as they were taken off the wire.
///
/// `bytes` holds, one after the other: exchange, routing key, raw properties (flags and list), and
/// then either the whole body or nothing, in which case `segments` holds it.
#[derive(Debug, Clone)]
pub struct MessageParts<'a> {
    /// Length of the exchange's name at the start of `bytes`.
    pub exchange_len: u8,
    /// Length of the routing key behind it.
    pub routing_key_len: u8,
    /// Length of the raw property flags and list behind that.
    pub properties_len: u32,
    /// Everything that is kept inline.
    pub bytes: &'a [u8],
    /// The body, when it is too large to be copied.
    pub segments: &'a [Bytes],
    /// `delivery-mode` was 2.
    pub persistent: bool,
    /// `priority`; 0 if there was none.
    pub priority: u8,
    /// What few messages have.
    pub extras: Option<Box<MessageExtras>>,
}

/// What the broker acts on beside the routing key, and few messages have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageExtras {
    /// `expiration`: how long it lives in a queue, in milliseconds.
    pub time_to_live: Option<u64>,
    /// Not to be delivered before (`x-delay`, `x-deliver-at`).
    pub due: Option<Timestamp>,
    /// Routing keys of the header `CC`: its dead letters go there as well.
    pub copies: Vec<ShortString>,
    /// Those of the header `BCC`, which receivers don't see.
    pub blind_copies: Vec<ShortString>,
}

/// What most messages have.
static NO_EXTRAS: MessageExtras =
    MessageExtras { time_to_live: None, due: None, copies: Vec::new(), blind_copies: Vec::new() };

impl Message {
    /// Stores a message. One allocation and one copy, whatever the number of queues.
    pub fn new(parts: MessageParts<'_>) -> Self {
        let inline = parts.exchange_len as usize
            + parts.routing_key_len as usize
            + parts.properties_len as usize;
        debug_assert!(inline <= parts.bytes.len(), "the lengths describe `bytes`");
        let inline_body = parts.bytes.len() - inline;
        let large_body: usize = parts.segments.iter().map(Bytes::len).sum();
        let head = Head {
            exchange_len: parts.exchange_len,
            routing_key_len: parts.routing_key_len,
            properties_len: parts.properties_len,
            persistent: parts.persistent,
            priority: parts.priority,
            rest: rest(parts.extras, parts.segments),
            body_len: (inline_body + large_body) as u64,
            stub: false,
            entries: AtomicU32::new(0),
        };
        Self(ThinArc::from_header_and_slice(head, parts.bytes))
    }

    /// What is left in memory of a message that one queue leaves to the store: the length of its body,
    /// its priority, and whether it is persistent. Names, properties and body are empty, and what few
    /// messages have is forgotten.
    #[must_use]
    pub fn stub(&self) -> Self {
        let &Head { persistent, priority, body_len, .. } = self.head();
        let head = Head {
            exchange_len: 0,
            routing_key_len: 0,
            properties_len: 0,
            persistent,
            priority,
            body_len,
            rest: None,
            stub: true,
            entries: AtomicU32::new(0),
        };
        Self(ThinArc::from_header_and_slice(head, &[]))
    }

    /// Whether most of it lies in the store ([`Message::stub`]): then it has to be read before anybody
    /// gets it.
    pub fn is_stub(&self) -> bool {
        self.head().stub
    }

    /// The exchange it was published to; empty for the default exchange.
    pub fn exchange(&self) -> &[u8] {
        &self.0.slice[..self.properties_start() - self.head().routing_key_len as usize]
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &[u8] {
        let start = self.head().exchange_len as usize;
        &self.0.slice[start..start + self.head().routing_key_len as usize]
    }

    /// All routing keys: the one it was published with, then those of `CC` and `BCC`.
    pub fn routing_keys(&self) -> SmallVec<[&[u8]; 1]> {
        let MessageExtras { copies, blind_copies, .. } = self.extras();
        let more = copies.iter().chain(blind_copies).map(ShortString::as_bytes);
        std::iter::once(self.routing_key()).chain(more).collect()
    }

    /// The property flags and list of the content header, verbatim.
    pub fn properties(&self) -> &[u8] {
        let start = self.properties_start();
        &self.0.slice[start..start + self.head().properties_len as usize]
    }

    /// The body where it lies inline; empty when [`Message::body_segments`] holds it.
    pub fn inline_body(&self) -> &[u8] {
        &self.0.slice[self.properties_start() + self.head().properties_len as usize..]
    }

    /// The body of a large message, in the pieces it arrived in; empty for a small one.
    pub fn body_segments(&self) -> &[Bytes] {
        self.head().rest.as_ref().map_or(&[], |rest| &rest.segments)
    }

    /// Bytes in the body.
    pub fn body_len(&self) -> u64 {
        self.head().body_len
    }

    /// The publisher asked for it to survive a restart (`delivery-mode` 2).
    pub fn is_persistent(&self) -> bool {
        self.head().persistent
    }

    /// Its `priority`.
    pub fn priority(&self) -> u8 {
        self.head().priority
    }

    /// What few messages have.
    pub fn extras(&self) -> &MessageExtras {
        self.head().rest.as_ref().map_or(&NO_EXTRAS, |rest| &rest.extras)
    }

    /// Bytes of memory this message accounts for while any queue holds it.
    pub fn memory(&self) -> usize {
        let large: usize = self.body_segments().iter().map(Bytes::len).sum();
        self.0.slice.len() + large + MESSAGE_OVERHEAD
    }

    /// The same message once more, for queues that get it later than others did: it is counted on
    /// its own. The head and a small body are copied, a large body is shared.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let &Head { exchange_len, routing_key_len, properties_len, persistent, priority, .. } =
            self.head();
        Self::new(MessageParts {
            exchange_len,
            routing_key_len,
            properties_len,
            bytes: &self.0.slice,
            segments: self.body_segments(),
            persistent,
            priority,
            extras: self.head().rest.as_ref().map(|rest| Box::new(rest.extras.clone())),
        })
    }

    /// Notes that `queues` queues are about to hold the message. Called once, by the publisher,
    /// before the first of them is told.
    pub fn enter(&self, queues: u32) {
        self.head().entries.store(queues, Ordering::Relaxed);
    }

    /// Whether more than one queue holds the message, as far as is known at this moment.
    pub fn is_shared(&self) -> bool {
        self.head().entries.load(Ordering::Relaxed) > 1
    }

    /// Tells messages apart while both of them are there: the same one in two queues has the same.
    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Notes that one queue let go of the message; the bytes that are free now: all of
    /// [`Message::memory`] for the last queue, otherwise none.
    ///
    /// This is how the memory of a message in many queues is counted exactly once.
    pub fn release(&self) -> usize {
        let entries = &self.head().entries;
        // The common case, one queue, needs no read-modify-write.
        let last =
            entries.load(Ordering::Acquire) <= 1 || entries.fetch_sub(1, Ordering::AcqRel) == 1;
        if last { self.memory() } else { 0 }
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn properties_start(&self) -> usize {
        self.head().exchange_len as usize + self.head().routing_key_len as usize
    }
}

impl From<&Self> for Message {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

fn rest(extras: Option<Box<MessageExtras>>, segments: &[Bytes]) -> Option<Box<Rest>> {
    if extras.is_none() && segments.is_empty() {
        return None;
    }
    let extras = extras.map(|extras| *extras).unwrap_or_default();
    Some(Box::new(Rest { extras, segments: segments.to_vec() }))
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &String::from_utf8_lossy(self.exchange()))
            .field("routing_key", &String::from_utf8_lossy(self.routing_key()))
            .field("body_len", &self.body_len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &'static [u8], segments: &[Bytes]) -> Message {
        Message::new(MessageParts {
            exchange_len: 2,
            routing_key_len: 3,
            properties_len: 4,
            bytes,
            segments,
            persistent: true,
            priority: 0,
            extras: None,
        })
    }

    #[test]
    fn a_small_message_keeps_its_parts_apart() {
        let message = message(b"exkeyPROPbody", &[]);
        assert_eq!(message.exchange(), b"ex");
        assert_eq!(message.routing_key(), b"key");
        assert_eq!(message.properties(), b"PROP");
        assert_eq!(message.inline_body(), b"body");
        assert_eq!((message.body_len(), message.is_persistent()), (4, true));
    }

    #[test]
    fn a_large_body_stays_in_the_slices_it_came_in() {
        let segments = [Bytes::from_static(b"first"), Bytes::from_static(b"second")];
        let message = message(b"exkeyPROP", &segments);
        assert_eq!(message.inline_body(), b"");
        assert_eq!(message.body_segments(), segments);
        assert_eq!(message.body_len(), 11);
    }

    #[test]
    fn a_duplicate_is_the_same_and_counted_on_its_own() {
        let message = message(b"exkeyPROPbody", &[]);
        message.enter(2);
        let duplicate = message.duplicate();
        duplicate.enter(1);
        assert_eq!(duplicate.routing_key(), b"key");
        assert_eq!((duplicate.inline_body(), duplicate.is_persistent()), (&b"body"[..], true));
        assert_eq!((duplicate.release(), message.release()), (message.memory(), 0));
    }

    #[test]
    fn a_stub_is_small_and_knows_what_queues_count() {
        let message = message(b"exkeyPROP", &[Bytes::from(vec![0; 100_000])]);
        message.enter(2);
        let stub = message.stub();
        assert_eq!((stub.is_stub(), message.is_stub()), (true, false));
        assert_eq!((stub.body_len(), stub.is_persistent(), stub.priority()), (100_000, true, 0));
        assert_eq!(
            (stub.exchange(), stub.properties(), stub.inline_body()),
            (&b""[..], &b""[..], &b""[..])
        );
        assert!(stub.memory() < 128);
        assert_eq!((stub.release(), message.release()), (stub.memory(), 0));
    }

    #[test]
    fn memory_is_given_back_by_the_last_queue_only() {
        let message = message(b"exkeyPROPbody", &[]);
        message.enter(3);
        assert_eq!((message.release(), message.release()), (0, 0));
        assert_eq!(message.release(), message.memory());
    }
}
