//! Tables: what they keep, what comes back, and what a hostile peer can do with them.

use proptest::prelude::*;

use super::*;
use crate::strategy;

fn name(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn encoded(table: &FieldTable) -> BytesMut {
    let mut out = BytesMut::new();
    table.encode(&mut out);
    out
}

/// `depth` tables or arrays inside each other, without the outermost length: `A` is an array in
/// the table, `F` a table in the table.
fn nested(tag: u8, depth: usize) -> Vec<u8> {
    let mut inside = Vec::new();
    for level in (0..depth).rev() {
        let named = tag == b'F' || level == 0;
        let mut entry = if named { vec![0, tag] } else { vec![tag] };
        entry.extend((inside.len() as u32).to_be_bytes());
        entry.extend(&inside);
        inside = entry;
    }
    inside
}

#[test]
fn keeps_order_and_duplicates() {
    let mut table = FieldTable::new();
    table.push(name("b"), 1);
    table.push(name("a"), true);
    table.push(name("b"), "second");
    assert_eq!(table.get("b"), Some(&FieldValue::I32(1)));
    assert_eq!(table.insert(name("b"), 2), Some(FieldValue::I32(1)));
    assert_eq!(table.insert(name("c"), 3), None);
    table.push_front(name("z"), FieldValue::Void);
    let names: Vec<_> = table.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["z", "b", "a", "b", "c"]);
    assert_eq!(table.remove("b"), Some(FieldValue::I32(2)));
    assert_eq!((table.len(), table.contains("b"), table.remove(b"b")), (3, false, None));
}

#[test]
fn integers_of_every_width_are_integers() {
    let integers: [FieldValue; 7] = [
        (-1_i8).into(),
        255_u8.into(),
        i16::MIN.into(),
        u16::MAX.into(),
        i32::MIN.into(),
        u32::MAX.into(),
        i64::MIN.into(),
    ];
    let read: Vec<_> = integers.iter().filter_map(FieldValue::as_integer).collect();
    assert_eq!(read, [-1, 255, -32_768, 65_535, -2_147_483_648, 4_294_967_295, i64::MIN]);
    assert_eq!(FieldValue::Timestamp(1).as_integer(), None);
}

/// RabbitMQ's names, which its error texts show to users.
#[test]
fn types_are_called_as_in_rabbitmq() {
    let read = |bytes: &[u8]| {
        let (rest, value) = FieldValue::parse(bytes, &mut Budget::default()).unwrap();
        assert!(rest.is_empty());
        value.type_name()
    };
    let zeros = [0; 8];
    for (tag, len, expected) in [
        (b't', 1, "bool"),
        (b'b', 1, "byte"),
        (b'B', 1, "unsignedbyte"),
        (b's', 2, "short"),
        (b'u', 2, "unsignedshort"),
        (b'I', 4, "signedint"),
        (b'i', 4, "unsignedint"),
        (b'l', 8, "long"),
        (b'L', 8, "long"),
        (b'f', 4, "float"),
        (b'd', 8, "double"),
        (b'D', 5, "decimal"),
        (b'S', 4, "longstr"),
        (b'x', 4, "binary"),
        (b'A', 4, "array"),
        (b'T', 8, "timestamp"),
        (b'F', 4, "table"),
        (b'V', 0, "void"),
    ] {
        assert_eq!(read(&[&[tag], &zeros[..len]].concat()), expected);
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    for tag in [b'A', b'F'] {
        assert!(FieldTable::decode_entries(&nested(tag, NESTING_MAX)).is_ok());
        for depth in [NESTING_MAX + 1, 10_000] {
            assert_eq!(FieldTable::decode_entries(&nested(tag, depth)), Err(DecodeError::TooDeep));
        }
    }
}

/// Siblings do not add up to depth.
#[test]
fn levels_are_given_back() {
    let mut entries = Vec::new();
    for _ in 0..10 {
        entries.extend(nested(b'F', NESTING_MAX));
    }
    assert_eq!(FieldTable::decode_entries(&entries).map(|table| table.len()), Ok(10));
}

#[test]
fn values_are_counted_over_all_levels() {
    let array_of = |voids: usize| {
        let mut entries = vec![0, b'A'];
        entries.extend((voids as u32).to_be_bytes());
        entries.resize(entries.len() + voids, b'V');
        entries
    };
    assert!(FieldTable::decode_entries(&array_of(TABLE_VALUES_MAX - 1)).is_ok());
    let full = array_of(TABLE_VALUES_MAX);
    assert_eq!(FieldTable::decode_entries(&full), Err(DecodeError::TooManyValues));
}

/// Goal: a length that the input does not hold is refused before anything is allocated by it.
#[test]
fn lengths_beyond_the_input_are_refused() {
    for tag in *b"SxAF" {
        let entries = [0, tag, 0xff, 0xff, 0xff, 0xff, b'V'];
        assert_eq!(FieldTable::decode_entries(&entries), Err(DecodeError::Truncated));
    }
    assert_eq!(FieldTable::decode(&[0xff; 4]), Err(DecodeError::Truncated));
    assert_eq!(FieldTable::decode_entries(&[9, b'a']), Err(DecodeError::Truncated));
}

/// An inner table may not read on into what follows it.
#[test]
fn an_inner_length_is_a_wall() {
    let entries = [0, b'F', 0, 0, 0, 3, 0, b'I', 0, 0, 0, 1];
    assert_eq!(FieldTable::decode_entries(&entries), Err(DecodeError::Truncated));
}

#[test]
fn every_other_type_octet_is_refused() {
    let known = b"tbBsuIilLfdDSxATFV";
    for tag in (0..=255).filter(|tag| !known.contains(tag)) {
        let entries = [&[0, tag], [0; 16].as_slice()].concat();
        assert_eq!(FieldTable::decode_entries(&entries), Err(DecodeError::UnknownFieldType(tag)));
    }
}

#[test]
fn nan_keeps_its_bits() {
    let entries = b"\0\0\0\x0a\x00d\x7f\xf8\0\0\0\0\x12\x34";
    assert_eq!(encoded(&FieldTable::decode(entries).unwrap())[..], entries[..]);
}

proptest! {
    #[test]
    fn comes_back_as_it_was(table in strategy::field_table()) {
        prop_assert_eq!(FieldTable::decode(&encoded(&table)), Ok(table));
    }

    #[test]
    fn every_cut_is_an_error(table in strategy::field_table()) {
        let bytes = encoded(&table);
        for len in 0..bytes.len() {
            prop_assert_eq!(FieldTable::decode(&bytes[..len]), Err(DecodeError::Truncated));
        }
    }

    /// What is accepted is written again as it was read, but for `L`, written `l`, and any true
    /// but 1.
    #[test]
    fn what_decodes_encodes_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(table) = FieldTable::decode_entries(&bytes) {
            let mut out = BytesMut::new();
            put_entries(&table, &mut out);
            prop_assert_eq!(out.len(), bytes.len());
            let mut again = BytesMut::new();
            put_entries(&FieldTable::decode_entries(&out).unwrap(), &mut again);
            prop_assert_eq!(out, again);
        }
    }
}
