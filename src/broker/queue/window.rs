//! How much of a deep queue is in memory.

/// What a queue keeps in memory at its head, and a quarter of it at its tail once it has more than twice
/// as much. The rest it leaves to the store, if that keeps messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: usize,
    /// Bytes of their bodies: large messages make the window narrower.
    pub bytes: u64,
}

/// Messages that are read for a queue that nobody consumes from: enough to know when the first expires.
const GLANCE: usize = 16;

/// Messages in a window at least, however large they are: one to be delivered, and the next.
const LEAST: usize = 2;

impl Window {
    /// Some milliseconds of work for a fast consumer, half of which are left when more is read.
    pub const WIDE: Self = Self { messages: 8 * 1024, bytes: 16 * 1024 * 1024 };

    /// Where memory is short.
    pub const NARROW: Self = Self { messages: 256, bytes: 1024 * 1024 };

    /// The same, where memory is short.
    pub(super) fn narrowed(self) -> Self {
        let Self { messages, bytes } = Self::NARROW;
        Self { messages: self.messages.min(messages), bytes: self.bytes.min(bytes) }
    }

    /// Messages that stay at the tail, behind those in the store: it will be long before they are next.
    pub(super) fn tail(self) -> usize {
        (self.messages / 4).max(1)
    }

    /// Whether so much fills it.
    pub(super) fn is_filled_by(self, messages: usize, bytes: u64) -> bool {
        messages >= self.messages || bytes >= self.bytes
    }

    /// As wide as its bytes allow, for messages of this many bytes each.
    pub(super) fn fitted(self, messages: usize, bytes: u64) -> Self {
        let each = (bytes / (messages as u64).max(1)).max(1);
        let fit = usize::try_from(self.bytes / each).unwrap_or(usize::MAX);
        Self { messages: self.messages.min(fit.max(LEAST)), bytes: self.bytes }
    }

    /// How many more messages a head of this length wants, by whether anybody waits for them.
    pub(super) fn wanted(self, head: usize, demand: bool) -> usize {
        match (demand, head) {
            (true, _) if head <= self.messages / 2 => self.messages - head,
            (false, 0) => GLANCE.min(self.messages),
            _ => 0,
        }
    }
}
