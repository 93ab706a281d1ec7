//! What a body has behind its stamp where arrivals are verified: whose message it is, and a checksum.
//!
//! ```text
//! 12          16       20       24         32
//! +-----------+--------+--------+----------+------+
//! | publisher | stream | number | checksum | rest |   big endian; four zeros follow the checksum
//! +-----------+--------+--------+----------+------+
//! ```
//!
//! A stream is what one publisher sends with one address and one priority; numbers count within it, from 0, so
//! that what a queue is to get of it has no gaps. The checksum is the CRC-32C of the rest, followed by what is
//! before the checksum: the rest is the same in all messages and not computed again.

use super::stamp::STAMP_SIZE;

/// Where the rest of a body begins; a smaller body cannot be verified.
pub(super) const MARK_END: usize = 32;

/// Where the checksum is.
const CHECKSUM_AT: usize = 24;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) publisher: u32,
    pub(super) stream: u32,
    /// Which of its stream.
    pub(super) number: u32,
}

impl Mark {
    /// Writes it behind a stamp, and the checksum of both and the rest.
    pub(super) fn write(self, head: &mut [u8; MARK_END], rest: Checksum) {
        head[STAMP_SIZE..16].copy_from_slice(&self.publisher.to_be_bytes());
        head[16..20].copy_from_slice(&self.stream.to_be_bytes());
        head[20..CHECKSUM_AT].copy_from_slice(&self.number.to_be_bytes());
        let checksum = rest.with(&head[..CHECKSUM_AT]).0;
        head[CHECKSUM_AT..28].copy_from_slice(&checksum.to_be_bytes());
        head[28..].copy_from_slice(&[0; 4]);
    }

    /// The mark of a body, if its checksum holds.
    pub(super) fn read(head: &[u8; MARK_END], rest: Checksum) -> Option<Self> {
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let holds = rest.with(&head[..CHECKSUM_AT]).0 == number(CHECKSUM_AT) && number(28) == 0;
        let mark = Self { publisher: number(12), stream: number(16), number: number(20) };
        holds.then_some(mark)
    }
}

/// The checksum of a body so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// With what follows.
    pub(super) fn with(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_anywhere_is_seen() {
        let rest = b"the rest of a body";
        let checksum = Checksum::default().with(rest);
        let mark = Mark { publisher: 3, stream: 70_000, number: 9 };
        let mut head = [7; MARK_END];
        mark.write(&mut head, checksum);
        assert_eq!(Mark::read(&head, checksum), Some(mark));
        for bit in 0..MARK_END * 8 {
            let mut damaged = head;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::read(&damaged, checksum), None, "bit {bit}");
        }
        let other = Checksum::default().with(b"the rest of a bodi");
        assert_eq!(Mark::read(&head, other), None);
    }

    #[test]
    fn a_checksum_does_not_depend_on_the_cuts() {
        let whole = Checksum::default().with(b"one two");
        assert_eq!(Checksum::default().with(b"one").with(b" two"), whole);
    }
}
