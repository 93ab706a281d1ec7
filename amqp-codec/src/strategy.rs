//! Made-up values for the round-trip tests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{BasicProperties, FieldTable, FieldValue, ShortString};

/// Mostly text; sometimes any octets, or more than fit in place.
pub(crate) fn short_string() -> impl Strategy<Value = ShortString> {
    prop_oneof![
        4 => "[a-zä.#*]{0,12}".prop_map(ShortString::truncated),
        1 => vec(any::<u8>(), 0..=255).prop_map(ShortString::truncated),
    ]
}

pub(crate) fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

/// Tables of every type of value, a few levels deep.
pub(crate) fn field_table() -> impl Strategy<Value = FieldTable> {
    vec((short_string(), field_value()), 0..6).prop_map(FieldTable::from_iter)
}

pub(crate) fn field_value() -> impl Strategy<Value = FieldValue> {
    simple_value().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(FieldValue::Array),
            vec((short_string(), inner), 0..5)
                .prop_map(|entries| FieldValue::Table(entries.into_iter().collect())),
        ]
    })
}

fn simple_value() -> impl Strategy<Value = FieldValue> {
    use proptest::num::{f32, f64};
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        // All but NaN, which is not equal to itself; `field_table::tests` has it.
        (f32::NORMAL | f32::ZERO | f32::INFINITE).prop_map(FieldValue::F32),
        (f64::NORMAL | f64::ZERO | f64::INFINITE).prop_map(FieldValue::F64),
        any::<(u8, i32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        bytes().prop_map(FieldValue::LongString),
        bytes().prop_map(FieldValue::ByteArray),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ]
}

pub(crate) fn properties() -> impl Strategy<Value = BasicProperties> {
    use proptest::option::of;
    let text = || of(short_string());
    (
        (text(), text(), of(field_table()), of(any::<u8>()), of(any::<u8>())),
        (text(), text(), text(), text(), of(any::<u64>())),
        (text(), text(), text(), text()),
    )
        .prop_map(
            |(
                (content_type, content_encoding, headers, delivery_mode, priority),
                (correlation_id, reply_to, expiration, message_id, timestamp),
                (kind, user_id, app_id, cluster_id),
            )| BasicProperties {
                content_type,
                content_encoding,
                headers,
                delivery_mode,
                priority,
                correlation_id,
                reply_to,
                expiration,
                message_id,
                timestamp,
                kind,
                user_id,
                app_id,
                cluster_id,
            },
        )
}
