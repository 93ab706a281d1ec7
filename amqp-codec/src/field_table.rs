//! Field tables: named values in order, as in queue arguments and message headers.

use bytes::BytesMut;

use crate::primitive as p;
use crate::{DecodeError, FieldValue, ShortString};

/// How deep tables and arrays may nest inside a table.
///
/// RabbitMQ has no such limit, but decoding (and dropping) is recursive, so there must be one. Real
/// headers nest three or four deep (`x-death` is an array of tables with arrays); 64 levels are far
/// beyond that, and take less than 256 KiB of stack even in an unoptimized build.
pub const NESTING_MAX: usize = 64;

/// How many values a table may hold, those in nested tables and arrays included.
///
/// A void in an array is one octet on the wire and some 40 in memory. This bounds what a peer can
/// make of that to a few MiB even where frames are unlimited; 65 536 values of four octets or more
/// do not fit a frame of the usual 128 KiB anyway.
pub const TABLE_VALUES_MAX: usize = 65_536;

/// Named values. Keeps order and duplicates, because both came from a client and go back to one.
///
/// Lookups are linear: real tables have a handful of entries.
///
/// Spec: section 4.2.5.5, `field-table`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldTable(Vec<(ShortString, FieldValue)>);

impl FieldTable {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&FieldValue> {
        let name = name.as_ref();
        self.0.iter().find(|(key, _)| key.as_bytes() == name).map(|(_, value)| value)
    }

    /// The first value of this name, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, name: impl AsRef<[u8]>) -> Option<&mut FieldValue> {
        let name = name.as_ref();
        self.0.iter_mut().find(|(key, _)| key.as_bytes() == name).map(|(_, value)| value)
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Replaces the first value of this name and returns the old one, or adds an entry at the end.
    pub fn insert(
        &mut self,
        name: ShortString,
        value: impl Into<FieldValue>,
    ) -> Option<FieldValue> {
        let value = value.into();
        if let Some(old) = self.get_mut(name.as_bytes()) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((name, value));
        None
    }

    /// Adds an entry at the end, even if there is one of this name.
    pub fn push(&mut self, name: ShortString, value: impl Into<FieldValue>) {
        self.0.push((name, value.into()));
    }

    /// Adds an entry at the front, even if there is one of this name.
    pub fn push_front(&mut self, name: ShortString, value: impl Into<FieldValue>) {
        self.0.insert(0, (name, value.into()));
    }

    /// Removes every entry of this name and returns the value of the first.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Option<FieldValue> {
        let name = name.as_ref();
        let mut first = None;
        for (_, value) in self.0.extract_if(.., |(key, _)| key.as_bytes() == name) {
            first.get_or_insert(value);
        }
        first
    }

    /// The entries, in the order of the wire.
    pub fn iter(&self) -> std::slice::Iter<'_, (ShortString, FieldValue)> {
        self.0.iter()
    }

    /// The number of entries; nested ones do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a table with its four octets of length, which must take up the whole input.
    ///
    /// # Errors
    /// If the bytes are not a table, or one beyond [`NESTING_MAX`] or [`TABLE_VALUES_MAX`].
    pub fn decode(input: &[u8]) -> Result<Self, DecodeError> {
        let (rest, entries) = p::long_string(input)?;
        p::at_end(rest)?;
        Self::decode_entries(entries)
    }

    /// Reads a table without its length: entries until the input is used up.
    ///
    /// # Errors
    /// As [`FieldTable::decode`].
    pub fn decode_entries(input: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_entries(input, &mut Budget::default())
    }

    /// Writes the table with its four octets of length.
    pub fn encode(&self, out: &mut BytesMut) {
        p::put_with_length(out, |out| put_entries(self, out));
    }

    /// Reads entries until the input is used up.
    pub(crate) fn parse_entries(
        mut input: &[u8],
        budget: &mut Budget,
    ) -> Result<Self, DecodeError> {
        let mut entries = Vec::new();
        while !input.is_empty() {
            let (rest, name) = p::short_string(input)?;
            let (rest, value) = FieldValue::parse(rest, budget)?;
            entries.push((ShortString::from_wire(name), value));
            input = rest;
        }
        Ok(Self(entries))
    }
}

/// Writes the entries without the length before them.
pub(crate) fn put_entries(table: &FieldTable, out: &mut BytesMut) {
    for (name, value) in table {
        p::put_short_string(out, name.as_bytes());
        value.encode(out);
    }
}

/// What is left of the limits while a table is being read.
#[derive(Debug)]
pub(crate) struct Budget {
    levels: usize,
    values: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { levels: NESTING_MAX, values: TABLE_VALUES_MAX }
    }
}

impl Budget {
    /// Counts a value.
    #[inline]
    pub(crate) fn take_value(&mut self) -> Result<(), nom::Err<DecodeError>> {
        let left = self.values.checked_sub(1);
        self.values = left.ok_or(nom::Err::Failure(DecodeError::TooManyValues))?;
        Ok(())
    }

    /// Reads something one level further down.
    pub(crate) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, nom::Err<DecodeError>> {
        let above = self.levels;
        self.levels = above.checked_sub(1).ok_or(nom::Err::Failure(DecodeError::TooDeep))?;
        let inside = read(self).map_err(nom::Err::Failure)?;
        self.levels = above;
        Ok(inside)
    }
}

impl FromIterator<(ShortString, FieldValue)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (ShortString, FieldValue)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Extend<(ShortString, FieldValue)> for FieldTable {
    fn extend<I: IntoIterator<Item = (ShortString, FieldValue)>>(&mut self, entries: I) {
        self.0.extend(entries);
    }
}

impl IntoIterator for FieldTable {
    type Item = (ShortString, FieldValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldTable {
    type Item = &'a (ShortString, FieldValue);
    type IntoIter = std::slice::Iter<'a, (ShortString, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
