//! When two header values are the same.

use std::hash::{Hash, Hasher};

use amqp_codec::FieldValue;

/// Whether two values are the same to a headers exchange.
///
/// As in RabbitMQ the type on the wire does not matter: numbers are equal by value whatever their
/// width, strings and byte arrays by their octets. It does matter inside arrays and tables.
pub(super) fn equal(one: &FieldValue, other: &FieldValue) -> bool {
    use FieldValue as V;
    match (one, other) {
        (V::LongString(one) | V::ByteArray(one), V::LongString(other) | V::ByteArray(other)) => {
            one == other
        }
        (V::Array(one), V::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (V::Table(one), V::Table(other)) => {
            let same_entry =
                |((a, one), (b, other)): (&(_, _), &(_, _))| a == b && same(one, other);
            one.len() == other.len() && one.iter().zip(other).all(same_entry)
        }
        _ => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
    }
}

/// Equality inside arrays and tables: type and value.
fn same(one: &FieldValue, other: &FieldValue) -> bool {
    one.type_name() == other.type_name() && equal(one, other)
}

/// Feeds a hasher with the same for [`equal`] values.
pub(super) fn hash(value: &FieldValue, state: &mut impl Hasher) {
    match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => {
            state.write_u8(1);
            state.write(bytes);
        }
        FieldValue::Bool(value) => state.write_u8(2 + u8::from(*value)),
        FieldValue::Array(values) => {
            state.write_u8(4);
            values.iter().for_each(|value| hash(value, state));
        }
        FieldValue::Table(table) => {
            state.write_u8(5);
            for (name, value) in table {
                state.write(name.as_bytes());
                hash(value, state);
            }
        }
        FieldValue::Decimal { scale, value } => {
            state.write_u8(6);
            (scale, value).hash(state);
        }
        FieldValue::Void => state.write_u8(7),
        number => {
            state.write_u8(8);
            Number::of(number).hash(state);
        }
    }
}

/// A number of any type, in the one form that equal numbers share.
#[derive(PartialEq, Eq, Hash)]
enum Number {
    Integer(i128),
    /// The bits of a float that is no integer, or too large to be one of the wire's.
    Float(u64),
}

impl Number {
    fn of(value: &FieldValue) -> Option<Self> {
        let integer = match *value {
            FieldValue::F32(value) => return Some(Self::of_float(value.into())),
            FieldValue::F64(value) => return Some(Self::of_float(value)),
            FieldValue::Timestamp(seconds) => seconds.into(),
            ref other => other.as_integer()?.into(),
        };
        Some(Self::Integer(integer))
    }

    fn of_float(value: f64) -> Self {
        let is_whole = value.fract() == 0.0 && value.abs() < 2_f64.powi(100);
        // Exact: whole, and within the range of i128.
        if is_whole { Self::Integer(value as i128) } else { Self::Float(value.to_bits()) }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use amqp_codec::{FieldTable, ShortString};
    use foldhash::fast::FixedState;

    use super::*;

    fn text(text: &'static str) -> FieldValue {
        FieldValue::LongString(text.into())
    }

    /// Compares both ways, and checks that the hash agrees.
    #[track_caller]
    fn are_equal(one: &FieldValue, other: &FieldValue) -> bool {
        let hash_of = |value| {
            let mut state = FixedState::default().build_hasher();
            hash(value, &mut state);
            state.finish()
        };
        let equals = equal(one, other);
        assert_eq!(equals, equal(other, one));
        assert!(!equals || hash_of(one) == hash_of(other), "{one:?} {other:?}");
        equals
    }

    #[test]
    fn numbers_are_equal_by_value_whatever_their_type() {
        let fives = [
            FieldValue::I8(5),
            FieldValue::U16(5),
            FieldValue::I32(5),
            FieldValue::I64(5),
            FieldValue::Timestamp(5),
            FieldValue::F32(5.0),
            FieldValue::F64(5.0),
        ];
        for five in &fives {
            for other in &fives {
                assert!(are_equal(five, other), "{five:?} {other:?}");
            }
            assert!(!are_equal(five, &FieldValue::I32(6)));
            assert!(!are_equal(five, &FieldValue::F64(5.5)));
            assert!(!are_equal(five, &text("5")));
            assert!(!are_equal(five, &FieldValue::Bool(true)));
        }
        assert!(are_equal(&FieldValue::F64(0.5), &FieldValue::F32(0.5)));
        assert!(are_equal(&FieldValue::F64(-0.0), &FieldValue::I32(0)));
    }

    #[test]
    fn large_integers_are_not_rounded_to_floats() {
        let float = FieldValue::F64(9_007_199_254_740_992.0);
        assert!(are_equal(&float, &FieldValue::I64(1 << 53)));
        assert!(!are_equal(&float, &FieldValue::I64((1 << 53) + 1)));
    }

    #[test]
    fn strings_and_byte_arrays_are_equal_by_their_octets() {
        assert!(are_equal(&text("pdf"), &FieldValue::ByteArray("pdf".into())));
        assert!(!are_equal(&text("pdf"), &text("PDF")));
        assert!(!are_equal(&text("true"), &FieldValue::Bool(true)));
    }

    #[test]
    fn inside_arrays_and_tables_types_and_order_matter() {
        let table = |entries: &[(&'static str, FieldValue)]| -> FieldValue {
            let mut table = FieldTable::new();
            for (name, value) in entries {
                table.push(ShortString::from_static(name), value.clone());
            }
            FieldValue::Table(table)
        };
        let (int, long) = (FieldValue::I32(1), FieldValue::I64(1));
        let array = |value: &FieldValue| FieldValue::Array(vec![value.clone()]);
        assert!(are_equal(&array(&int), &array(&int)));
        assert!(!are_equal(&array(&int), &array(&long)));
        assert!(!are_equal(&array(&int), &FieldValue::Array(Vec::new())));
        let a = ("a", int.clone());
        let b = ("b", int);
        assert!(are_equal(&table(&[a.clone(), b.clone()]), &table(&[a.clone(), b.clone()])));
        assert!(!are_equal(&table(&[a.clone(), b.clone()]), &table(&[b, a.clone()])));
        assert!(!are_equal(&table(&[a]), &table(&[("a", long)])));
    }
}
