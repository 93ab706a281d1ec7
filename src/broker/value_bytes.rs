//! A field value as bytes: what is hashed, and what a message is recognised by.

use amqp_codec::FieldValue;
use bytes::{BufMut, BytesMut};

/// Bytes that are equal exactly for equal values.
///
/// The width of an integer does not matter, nor whether text came as a string or as a byte array;
/// the number `1` and the text `1` differ. The bytes mean the same in every version and on every
/// machine, so they may be stored.
pub fn value_bytes(value: &FieldValue) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(value, &mut out);
    out.into()
}

fn put(value: &FieldValue, out: &mut BytesMut) {
    match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => {
            out.put_u8(b'S');
            put_bytes(bytes, out);
        }
        FieldValue::Bool(value) => out.put_slice(&[b't', u8::from(*value)]),
        FieldValue::F32(value) => put_float(f64::from(*value), out),
        FieldValue::F64(value) => put_float(*value, out),
        FieldValue::Timestamp(seconds) => {
            out.put_u8(b'l');
            out.put_i128(i128::from(*seconds));
        }
        FieldValue::Decimal { scale, value } => {
            out.put_slice(&[b'D', *scale]);
            out.put_i128(i128::from(*value));
        }
        FieldValue::Array(values) => {
            out.put_u8(b'A');
            out.put_u64(values.len() as u64);
            values.iter().for_each(|value| put(value, out));
        }
        FieldValue::Table(table) => {
            out.put_u8(b'F');
            out.put_u64(table.len() as u64);
            for (name, value) in table {
                put_bytes(name.as_bytes(), out);
                put(value, out);
            }
        }
        FieldValue::Void => out.put_u8(b'V'),
        integer => {
            out.put_u8(b'l');
            out.put_i128(integer.as_integer().unwrap_or_default().into());
        }
    }
}

/// The length goes first, so that what follows can't be taken for a part of it.
fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    out.put_u64(bytes.len() as u64);
    out.put_slice(bytes);
}

fn put_float(value: f64, out: &mut BytesMut) {
    out.put_u8(b'd');
    out.put_u64(value.to_bits());
}

#[cfg(test)]
mod tests {
    use amqp_codec::FieldTable;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn equal_values_have_equal_bytes_whatever_their_type_on_the_wire() {
        let long = value_bytes(&FieldValue::I64(7));
        for same in [FieldValue::U8(7), FieldValue::I16(7), FieldValue::Timestamp(7)] {
            assert_eq!(value_bytes(&same), long, "{same:?}");
        }
        let text = FieldValue::LongString(Bytes::from_static(b"7"));
        let octets = FieldValue::ByteArray(Bytes::from_static(b"7"));
        assert_eq!(value_bytes(&text), value_bytes(&octets));
    }

    #[test]
    fn different_values_have_different_bytes() {
        let values = [
            FieldValue::I32(1),
            FieldValue::F64(1.0),
            FieldValue::Bool(true),
            "1".into(),
            "".into(),
            FieldValue::Void,
            FieldValue::Array(vec!["a".into(), "b".into()]),
            FieldValue::Array(vec!["ab".into()]),
            FieldValue::Array(vec![FieldValue::Array(vec!["a".into()]), "b".into()]),
            FieldTable::default().into(),
        ];
        let mut bytes: Vec<Vec<u8>> = values.iter().map(value_bytes).collect();
        bytes.sort();
        bytes.dedup();
        assert_eq!(bytes.len(), values.len());
    }
}
