//! The log's unit: what one commit wrote, whole or not at all.
//!
//! ```text
//!  0  marker    u32   drawn by lot for each segment, and in its header
//!  4  length    u32   bytes in the payload, at least 1
//!  8  sequence  u64   counts the frames of a log, from 1
//! 16  unsynced  u32   how many frames right before this one were not known to be on the disk when it
//!                     was written
//! 20  checksum  u32   CRC-32C of the 20 bytes before, and of the payload
//! 24  payload         records
//! ```
//!
//! All numbers are little endian.
//!
//! `unsynced` tells damage from what a power loss leaves: of several frames that nobody synced, the last
//! may be on the disk and the first one not. Such frames were promised to nobody. But a bad frame that
//! was synced before a later one was written is damage.
//!
//! The marker is unknown to clients, so that no message can hold what looks like a later frame.

use super::encoding::Input;

/// Bytes before the payload.
pub const FRAME_HEADER_LEN: usize = 24;

/// The most bytes in a frame, header included: what it holds has 32-bit offsets in the segment's file.
pub const FRAME_LEN_MAX: usize = 1 << 31;

const CHECKSUM_AT: usize = 20;

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) marker: u32,
    pub(super) length: u32,
    pub(super) sequence: u64,
    pub(super) unsynced: u32,
}

impl FrameHeader {
    /// Bytes in the whole frame.
    pub(super) fn frame_len(&self) -> u64 {
        FRAME_HEADER_LEN as u64 + u64::from(self.length)
    }

    /// Whether that frame was on the disk when this one was written.
    pub(super) fn proves(&self, sequence: u64) -> bool {
        sequence < self.sequence.saturating_sub(self.unsynced.into())
    }

    /// What the bytes say, right or wrong; `None` if there are too few.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        Some(Self {
            marker: input.u32().ok()?,
            length: input.u32().ok()?,
            sequence: input.u64().ok()?,
            unsynced: input.u32().ok()?,
        })
    }
}

/// Fills in the header of a frame: the first [`FRAME_HEADER_LEN`] of these bytes.
pub(super) fn seal(frame: &mut [u8], marker: u32, sequence: u64, unsynced: u32) {
    // Longer ones are refused before: see `FRAME_LEN_MAX`.
    let length = u32::try_from(frame.len() - FRAME_HEADER_LEN).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&marker.to_le_bytes());
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..CHECKSUM_AT].copy_from_slice(&unsynced.to_le_bytes());
    let checksum = checksum(frame);
    frame[CHECKSUM_AT..FRAME_HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether a frame is as it was written. The bytes are those of the whole frame.
pub(super) fn is_intact(frame: &[u8]) -> bool {
    let stored = frame.get(CHECKSUM_AT..).and_then(|bytes| Input(bytes).u32().ok());
    frame.len() > FRAME_HEADER_LEN && stored == Some(checksum(frame))
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..CHECKSUM_AT]), &frame[FRAME_HEADER_LEN..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(payload: &[u8], sequence: u64, unsynced: u32) -> Vec<u8> {
        let mut frame = vec![0; FRAME_HEADER_LEN];
        frame.extend_from_slice(payload);
        seal(&mut frame, 0xfeed, sequence, unsynced);
        frame
    }

    #[test]
    fn a_header_says_what_it_was_sealed_with() {
        let frame = sealed(b"payload", 17, 3);
        let header = FrameHeader { marker: 0xfeed, length: 7, sequence: 17, unsynced: 3 };
        assert_eq!(FrameHeader::read(&frame), Some(header));
        assert_eq!(header.frame_len(), frame.len() as u64);
        assert!(header.proves(13) && !header.proves(14), "14 to 16 were not synced");
        assert_eq!(FrameHeader::read(&frame[..19]), None);
    }

    #[test]
    fn a_frame_with_any_bit_flipped_is_not_intact() {
        let frame = sealed(b"payload", 17, 0);
        assert!(is_intact(&frame));
        for bit in 0..frame.len() * 8 {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&frame), "bit {bit}");
        }
        assert!(!is_intact(&sealed(b"", 1, 0)), "a frame says something");
        assert!(!is_intact(&[0; 30]) && !is_intact(&[]));
    }
}
