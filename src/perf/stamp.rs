//! The first twelve bytes of a body: which message it is, and when it was sent.
//!
//! ```text
//! 0          4        6               12
//! +----------+--------+----------------+
//! | sequence |  run   |  nanoseconds   |   big endian; nanoseconds since the run began
//! +----------+--------+----------------+
//! ```
//!
//! The run tells messages apart that another process left in the queue: their time means nothing here.

use super::clock::Nanos;

/// The bytes that a stamp takes of a body; a smaller body has none.
pub(super) const STAMP_SIZE: usize = 12;

/// 48 bits of nanoseconds are three days.
const NANOS_MASK: u64 = (1 << 48) - 1;

/// Writes a stamp over the start of a body.
#[inline]
pub(super) fn write_stamp(body: &mut [u8; STAMP_SIZE], sequence: u64, run: u16, sent: Nanos) {
    body[..4].copy_from_slice(&(sequence as u32).to_be_bytes());
    let time = u64::from(run) << 48 | sent & NANOS_MASK;
    body[4..].copy_from_slice(&time.to_be_bytes());
}

/// When a message of this run was sent; nothing for another's.
#[inline]
pub(super) fn read_stamp(body: &[u8; STAMP_SIZE], run: u16) -> Option<Nanos> {
    let [_, _, _, _, time @ ..] = *body;
    let time = u64::from_be_bytes(time);
    (time >> 48 == u64::from(run)).then_some(time & NANOS_MASK)
}

/// Which of its publisher's messages it is; the numbers start again after 2^32.
#[inline]
pub(super) fn read_sequence(body: &[u8; STAMP_SIZE]) -> u32 {
    let [a, b, c, d, ..] = *body;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_runs_stamp_has_no_time() {
        let mut body = [0; STAMP_SIZE];
        write_stamp(&mut body, 7, 0xbeef, 123_456);
        assert_eq!(body[..4], [0, 0, 0, 7]);
        assert_eq!(read_stamp(&body, 0xbeef), Some(123_456));
        assert_eq!(read_stamp(&body, 0xbeee), None);
    }
}
