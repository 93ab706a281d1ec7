//! Numbers and bytes as the log's records hold them.
//!
//! A varint is a number in groups of seven bits, the lowest first; the highest bit of each byte but the
//! last is set.

/// What could not be read: not a bug, but damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

const ENDS: Malformed = Malformed("it ends in the middle");

/// Appends a varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The bytes that are still to be read. Nothing here trusts a length that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.0.split_first().ok_or(ENDS)?;
        self.0 = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ENDS)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ENDS)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ENDS)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than 64 bits"))
    }

    /// A varint that counts bytes or things in memory.
    pub(super) fn size(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?).map_err(|_| ENDS)
    }

    /// What [`put_bytes`] wrote.
    pub(super) fn sized_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.size()?;
        self.bytes(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_bytes_are_read_as_they_were_written(number: u64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            put_bytes(&mut out, &bytes);
            let mut input = Input(&out);
            prop_assert_eq!(input.varint(), Ok(number));
            prop_assert_eq!(input.sized_bytes(), Ok(&bytes[..]));
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn what_ends_early_or_is_too_large_is_refused() {
        assert_eq!(Input(&[0x80]).varint(), Err(ENDS));
        assert_eq!(Input(&[5, 1, 2]).sized_bytes(), Err(ENDS));
        assert!(Input(&[0xff; 10]).varint().is_err(), "70 bits");
        let mut two_to_the_64 = [0x80; 10];
        two_to_the_64[9] = 2;
        assert!(Input(&two_to_the_64).varint().is_err());
        assert_eq!(Input(&[1, 2, 3]).u32(), Err(ENDS));
        assert_eq!(Input(&[1, 2, 3]).u64(), Err(ENDS));
    }
}
