//! One header of a message, read where it lies.

use amqp_codec::{FieldValue, PropertiesRef, RawTable};

/// The first header of this name among raw properties. The others are stepped over, not decoded.
pub(super) fn header(properties: &[u8], name: impl AsRef<[u8]>) -> Option<FieldValue> {
    let headers = PropertiesRef::parse(properties).ok()?.headers?;
    // Headers were validated on arrival.
    RawTable(headers).get(name).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::properties;
    use super::*;

    #[test]
    fn the_first_of_a_name_counts_and_none_is_none() {
        let raw = properties(&[("a", 1_i32.into()), ("b", "x".into()), ("a", 2_i32.into())]);
        assert_eq!(header(&raw, "a"), Some(FieldValue::I32(1)));
        assert_eq!(header(&raw, "b"), Some("x".into()));
        assert_eq!(header(&raw, "c"), None);
        assert_eq!(header(&[0, 0], "a"), None);
    }
}
