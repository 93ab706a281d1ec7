//! A field table left where it was read, for looking up a header or two.

use crate::field_table::{Budget, FieldTable, TABLE_VALUES_MAX};
use crate::primitive::{self as p, Parsed};
use crate::{DecodeError, FieldValue};

/// The entries of a table, without the four octets of its length, as
/// [`PropertiesRef::headers`](crate::PropertiesRef::headers) has them.
///
/// Looking for `CC` in the headers of every message must not decode the rest of them: entries are
/// stepped over by their lengths, and only what is asked for allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTable<'a>(pub &'a [u8]);

/// One value, where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'a> {
    /// The type octet and the value.
    bytes: &'a [u8],
}

impl<'a> RawTable<'a> {
    /// The entries in order. After an error there are no more.
    #[must_use]
    pub fn iter(&self) -> RawEntries<'a> {
        RawEntries { rest: self.0 }
    }

    /// Checks that the whole table can be decoded. Allocates only for tables and arrays inside it.
    ///
    /// # Errors
    /// As [`FieldTable::decode_entries`].
    pub fn validate(&self) -> Result<(), DecodeError> {
        let mut values = 0;
        for entry in self.iter() {
            let (_, value) = entry?;
            if matches!(value.tag(), b'F' | b'A') {
                return FieldTable::decode_entries(self.0).map(|_| ());
            }
            values += 1;
        }
        if values > TABLE_VALUES_MAX { Err(DecodeError::TooManyValues) } else { Ok(()) }
    }

    /// Decodes the first value of this name.
    ///
    /// # Errors
    /// If the entries up to there are malformed. Those after it are not looked at.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<FieldValue>, DecodeError> {
        let name = name.as_ref();
        for entry in self.iter() {
            let (key, value) = entry?;
            if key == name {
                return value.decode().map(Some);
            }
        }
        Ok(None)
    }
}

impl<'a> IntoIterator for RawTable<'a> {
    type Item = Result<(&'a [u8], RawValue<'a>), DecodeError>;
    type IntoIter = RawEntries<'a>;

    fn into_iter(self) -> RawEntries<'a> {
        self.iter()
    }
}

impl<'a> RawValue<'a> {
    /// The type octet and the value, as they came: equal for equal values of one type.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The type octet, such as `b'S'`.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(b'V')
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// If something inside a nested table or array is malformed or beyond the limits.
    pub fn decode(&self) -> Result<FieldValue, DecodeError> {
        let (rest, value) = FieldValue::parse(self.bytes, &mut Budget::default())?;
        p::at_end(rest)?;
        Ok(value)
    }
}

/// The entries of a [`RawTable`].
#[derive(Debug, Clone)]
pub struct RawEntries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = Result<(&'a [u8], RawValue<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match entry(self.rest) {
            Ok((rest, entry)) => {
                self.rest = rest;
                Ok(entry)
            }
            Err(error) => {
                self.rest = &[];
                Err(error.into())
            }
        })
    }
}

/// Reads a name, and finds where its value ends.
fn entry(input: &[u8]) -> Parsed<'_, (&[u8], RawValue<'_>)> {
    let (value, name) = p::short_string(input)?;
    let (after_tag, tag) = p::octet(value)?;
    let (rest, ()) = skip(tag, after_tag)?;
    let bytes = &value[..value.len() - rest.len()];
    Ok((rest, (name, RawValue { bytes })))
}

/// Steps over a value of the type that `tag` names.
fn skip(tag: u8, input: &[u8]) -> Parsed<'_, ()> {
    fn ignore<T>(parsed: Parsed<'_, T>) -> Parsed<'_, ()> {
        parsed.map(|(rest, _)| (rest, ()))
    }
    match tag {
        b'S' | b'x' | b'F' | b'A' => ignore(p::long_string(input)),
        b't' | b'b' | b'B' => ignore(p::octet(input)),
        b's' | b'u' => ignore(p::short(input)),
        b'I' | b'i' | b'f' => ignore(p::long(input)),
        b'l' | b'L' | b'd' | b'T' => ignore(p::longlong(input)),
        b'D' => {
            let (rest, _scale) = p::octet(input)?;
            ignore(p::long(rest))
        }
        b'V' => Ok((input, ())),
        _ => Err(nom::Err::Failure(DecodeError::UnknownFieldType(tag))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field_table::put_entries;
    use crate::{ShortString, strategy};

    fn raw(table: &FieldTable) -> bytes::BytesMut {
        let mut out = bytes::BytesMut::new();
        put_entries(table, &mut out);
        out
    }

    #[test]
    fn what_comes_after_the_one_sought_may_be_broken() {
        let mut table = FieldTable::new();
        table.push(ShortString::from_static("CC"), vec!["a".into()]);
        let bytes = [&raw(&table), b"\x01x?".as_slice()].concat();
        let raw = RawTable(&bytes);
        assert_eq!(raw.get("CC"), Ok(Some(FieldValue::Array(vec!["a".into()]))));
        assert_eq!(raw.get("BCC"), Err(DecodeError::UnknownFieldType(b'?')));
        assert_eq!(raw.iter().count(), 2);
    }

    proptest! {
        #[test]
        fn has_the_entries_of_the_decoded_table(table in strategy::field_table()) {
            let bytes = raw(&table);
            let entries: FieldTable = RawTable(&bytes)
                .iter()
                .map(|entry| {
                    let (name, value) = entry.unwrap();
                    let decoded = value.decode().unwrap();
                    (ShortString::new(name).unwrap(), decoded)
                })
                .collect();
            prop_assert_eq!(&entries, &table);
            for (name, _) in &table {
                prop_assert_eq!(RawTable(&bytes).get(name).unwrap(), table.get(name).cloned());
            }
        }

        #[test]
        fn validates_exactly_what_can_be_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(RawTable(&bytes).validate().is_ok(), FieldTable::decode_entries(&bytes).is_ok());
        }

        #[test]
        fn accepts_no_less_than_decoding_does(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let walked = RawTable(&bytes).iter().all(|entry| entry.is_ok());
            prop_assert!(walked || FieldTable::decode_entries(&bytes).is_err());
        }
    }
}
