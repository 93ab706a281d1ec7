//! The keys under which a broker's state is stored. Those that begin with 16 or more are not the broker's:
//! users and permissions are among them.

use amqp_codec::ShortString;

/// What is stored under a key: its first octet. The numbers are written on disks and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    VHost = 1,
    Exchange = 2,
    Queue = 3,
    Binding = 4,
    Policy = 5,
    OperatorPolicy = 6,
    /// What a deduplication exchange has seen.
    SeenByExchange = 7,
    /// What a queue with a deduplication window has seen.
    SeenByQueue = 8,
    Parameter = 9,
    GlobalParameter = 10,
    /// Up to where a queue's messages may have been delivered without being marked so.
    InDoubt = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::VHost,
        Self::Exchange,
        Self::Queue,
        Self::Binding,
        Self::Policy,
        Self::OperatorPolicy,
        Self::SeenByExchange,
        Self::SeenByQueue,
        Self::Parameter,
        Self::GlobalParameter,
        Self::InDoubt,
    ];

    /// The kind of a key, if it is known.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.into_iter().find(|kind| *kind as u8 == first)
    }
}

/// A key in the making: parts that can't be mistaken for one another, because each says how long it is,
/// or always is as long.
#[derive(Debug, Clone)]
pub(super) struct StoredKey(Vec<u8>);

impl StoredKey {
    /// An empty key of this kind.
    pub(super) fn new(kind: Kind) -> Self {
        Self(vec![kind as u8])
    }

    /// Adds a name.
    #[must_use]
    pub(super) fn name(mut self, name: &ShortString) -> Self {
        self.0.push(name.wire_len());
        self.0.extend_from_slice(name.as_bytes());
        self
    }

    /// Adds a number.
    #[must_use]
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds one octet.
    #[must_use]
    pub(super) fn octet(mut self, octet: u8) -> Self {
        self.0.push(octet);
        self
    }

    /// The key, with these octets at its end.
    pub(super) fn rest(mut self, rest: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(rest);
        self.0
    }

    /// The key as it is.
    pub(super) fn end(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a key apart, behind its kind.
#[derive(Debug)]
pub(super) struct KeyParts<'a>(&'a [u8]);

impl<'a> KeyParts<'a> {
    pub(super) fn of(key: &'a [u8]) -> Self {
        Self(key.get(1..).unwrap_or_default())
    }

    pub(super) fn name(&mut self) -> Option<ShortString> {
        let (length, rest) = self.0.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        ShortString::new(name).ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}
