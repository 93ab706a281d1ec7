//! The small values that everything else is made of.

use std::borrow::{Borrow, Cow};
use std::fmt;

use smallvec::SmallVec;

/// The number of a channel within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChannelId(pub u16);

impl ChannelId {
    /// Channel 0, where the methods of class connection and the heartbeats go.
    pub const CONNECTION: Self = Self(0);
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A string of at most 255 octets: names, routing keys, tags, most properties.
///
/// The octets are usually UTF-8, but nothing here requires it. Up to 24 octets are stored in
/// place; longer strings take one allocation.
///
/// Spec: section 4.2.5.3, `short-string`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortString(SmallVec<[u8; IN_PLACE_MAX]>);

/// The octets that a [`ShortString`] stores without an allocation; with them it has 32 in all.
const IN_PLACE_MAX: usize = 24;

/// A string has more than the 255 octets of a [`ShortString`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a short string of {len} octets; at most {} fit", ShortString::LEN_MAX)]
pub struct TooLong {
    /// The string's length in octets.
    pub len: usize,
}

impl ShortString {
    /// The most octets that fit: the length on the wire is one octet.
    pub const LEN_MAX: usize = 255;

    /// Copies `bytes`.
    ///
    /// # Errors
    /// [`TooLong`] if there are more than 255.
    #[inline]
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, TooLong> {
        let bytes = bytes.as_ref();
        if bytes.len() > Self::LEN_MAX {
            return Err(TooLong { len: bytes.len() });
        }
        Ok(Self::from_wire(bytes))
    }

    /// Copies a literal.
    ///
    /// # Panics
    /// If the literal is longer than 255 octets, which the first run of the code tells.
    #[must_use]
    #[track_caller]
    pub fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::LEN_MAX, "a short string literal of {} octets", text.len());
        Self::from_wire(text.as_bytes())
    }

    /// Copies as much of `bytes` as fits, for texts that may be cut, such as a reply text.
    ///
    /// UTF-8 is cut at the end of a character.
    #[must_use]
    pub fn truncated(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        if bytes.len() <= Self::LEN_MAX {
            return Self::from_wire(bytes);
        }
        let fits = &bytes[..Self::LEN_MAX];
        let fits = match std::str::from_utf8(fits) {
            // The cut went through a character: its first octets are valid but incomplete.
            Err(error) if error.error_len().is_none() => &fits[..error.valid_up_to()],
            _ => fits,
        };
        Self::from_wire(fits)
    }

    /// The octets, as they came.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The string, if it is UTF-8.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The string, with `U+FFFD` in place of what is not UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The number of octets, at most 255.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of octets as the wire has it, in one.
    #[must_use]
    #[inline]
    pub fn wire_len(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    /// Whether there are no octets.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies what a one-octet length announced, which cannot be too long.
    #[inline]
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= Self::LEN_MAX);
        if bytes.len() <= IN_PLACE_MAX {
            Self(SmallVec::from_buf_and_len(copy_in_place(bytes), bytes.len()))
        } else {
            Self(SmallVec::from_slice(bytes))
        }
    }
}

/// Copies at most [`IN_PLACE_MAX`] octets by a few moves of fixed size, which may overlap. A copy
/// of variable size is a call that takes longer than all the rest of decoding a name.
#[inline]
fn copy_in_place(bytes: &[u8]) -> [u8; IN_PLACE_MAX] {
    let mut copy = [0; IN_PLACE_MAX];
    let len = bytes.len();
    match len {
        16.. => {
            copy[..16].copy_from_slice(&bytes[..16]);
            copy[len - 8..len].copy_from_slice(&bytes[len - 8..]);
        }
        8.. => {
            copy[..8].copy_from_slice(&bytes[..8]);
            copy[len - 8..len].copy_from_slice(&bytes[len - 8..]);
        }
        4.. => {
            copy[..4].copy_from_slice(&bytes[..4]);
            copy[len - 4..len].copy_from_slice(&bytes[len - 4..]);
        }
        1.. => {
            copy[0] = bytes[0];
            copy[len / 2] = bytes[len / 2];
            copy[len - 1] = bytes[len - 1];
        }
        0 => {}
    }
    copy
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str_lossy())
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

// `Hash` and `Ord` of a SmallVec are those of its slice, as `Borrow` asks.
impl Borrow<[u8]> for ShortString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for ShortString {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        Self::new(text)
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<[u8]> for ShortString {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn refuses_256_octets() {
        assert!(ShortString::new([b'a'; 255]).is_ok());
        assert_eq!(ShortString::new([b'a'; 256]), Err(TooLong { len: 256 }));
    }

    #[test]
    fn every_length_is_copied_whole() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=255 {
            assert_eq!(ShortString::new(&bytes[..len]).unwrap().as_bytes(), &bytes[..len]);
        }
    }

    #[test]
    fn truncation_keeps_characters_whole() {
        let text = "ä".repeat(200);
        assert_eq!(ShortString::truncated(&text).to_str_lossy(), "ä".repeat(127));
        assert_eq!(ShortString::truncated([0xff; 300]).as_bytes(), [0xff; 255]);
        assert_eq!(ShortString::truncated("short"), "short");
        assert_eq!(ShortString::truncated("a".repeat(255)).len(), 255);
    }

    #[test]
    fn looks_like_a_string() {
        let text = ShortString::from_static("q");
        assert_eq!(format!("{text} {text:?} {text:>3}"), "q \"q\"   q");
        assert_eq!(ShortString::new([0xff]).unwrap().to_string(), "\u{fffd}");
    }

    #[test]
    fn is_found_by_its_bytes() {
        let names = HashSet::from([ShortString::from_static("a name longer than 24 octets, x")]);
        assert!(names.contains(b"a name longer than 24 octets, x".as_slice()));
    }
}
