//! Messages that say who they are, and whether they are whole.

use std::fmt;

/// Who published a message, and as which of all that one ever published.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u64);

const SEQUENCE_BITS: u32 = 40;

impl Id {
    pub(crate) fn new(publisher: u16, sequence: u64) -> Self {
        Self(u64::from(publisher) << SEQUENCE_BITS | sequence)
    }

    pub(crate) fn publisher(self) -> u16 {
        (self.0 >> SEQUENCE_BITS) as u16
    }

    pub(crate) fn sequence(self) -> u64 {
        self.0 & ((1 << SEQUENCE_BITS) - 1)
    }

    /// A number that looks drawn by lot, and is always the same.
    pub(crate) fn lot(self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A body that nobody else has: mostly small, now and then of several frames.
    pub(crate) fn body(self) -> Vec<u8> {
        let lot = self.lot();
        let filler = if lot.is_multiple_of(97) { 150_000 } else { (lot >> 8) % 600 };
        self.body_of(usize::try_from(filler).unwrap())
    }

    /// The same with so many bytes more than it needs.
    pub(crate) fn body_of(self, filler: usize) -> Vec<u8> {
        let mut body = self.0.to_be_bytes().to_vec();
        body.resize(8 + filler, self.lot() as u8);
        let checksum = crc32c::crc32c(&body);
        body.extend_from_slice(&checksum.to_be_bytes());
        body
    }

    /// Who a message is; `None` if it is not whole.
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let (content, checksum) = body.split_last_chunk::<4>()?;
        let id = content.first_chunk::<8>()?;
        let is_whole = crc32c::crc32c(content).to_be_bytes() == *checksum;
        is_whole.then(|| Self(u64::from_be_bytes(*id)))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.publisher(), self.sequence())
    }
}

#[test]
fn a_body_says_who_it_is_only_if_it_is_whole() {
    let id = Id::new(3, 1 << 33);
    let mut body = id.body();
    assert_eq!(Id::of(&body), Some(id));
    body[9] ^= 1;
    assert_eq!(Id::of(&body), None);
    assert_eq!(Id::of(&body[..8]), None);
}
