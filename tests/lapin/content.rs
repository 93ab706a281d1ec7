//! Bodies and properties arrive as they were sent.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, DecimalValue, FieldTable};

use super::support::*;

#[test]
fn bodies_from_nothing_to_many_frames() {
    run(async {
        let (_broker, connection, channel) = client().await;
        declare(&channel, "q").await;
        confirm_select(&channel).await;
        let frame = usize::try_from(connection.configuration().frame_max()).unwrap();
        let mut consumer = consume(&channel, "q").await;
        // Around what fits into one frame and into two, each with 8 bytes around it; and 8 MiB.
        for length in [0, 1, frame - 9, frame - 8, frame - 7, 2 * (frame - 8), 8 << 20] {
            let body: Vec<u8> = (0..length).map(|place| (place % 251).to_le_bytes()[0]).collect();
            publish(&channel, "", "q", &body).await.unwrap();
            let delivery = next(&mut consumer).await;
            assert!(delivery.data == body, "{length} bytes, got {}", delivery.data.len());
        }
    });
}

#[test]
fn every_property_and_every_type_of_header() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        declare(&channel, "q").await;
        let mut nested = FieldTable::default();
        nested.insert("inner".into(), AMQPValue::Boolean(false));
        let values = [
            AMQPValue::Boolean(true),
            AMQPValue::ShortShortInt(i8::MIN),
            AMQPValue::ShortShortUInt(u8::MAX),
            AMQPValue::ShortInt(i16::MIN),
            AMQPValue::ShortUInt(u16::MAX),
            AMQPValue::LongInt(i32::MIN),
            AMQPValue::LongUInt(u32::MAX),
            AMQPValue::LongLongInt(i64::MIN),
            AMQPValue::Float(1.5),
            AMQPValue::Double(-0.1),
            AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 }),
            AMQPValue::LongString("long \u{20ac} string".into()),
            AMQPValue::LongString(vec![0, 255, 1].into()),
            AMQPValue::FieldArray(vec![AMQPValue::Void, AMQPValue::LongInt(1)].into()),
            AMQPValue::Timestamp(1_700_000_000),
            AMQPValue::FieldTable(nested),
            AMQPValue::ByteArray(vec![0, 1, 2, 255].into()),
            AMQPValue::Void,
        ];
        let headers: BTreeMap<_, _> =
            (0..).zip(values).map(|(number, value)| (format!("h{number}").into(), value)).collect();
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("identity".into())
            .with_headers(headers.into())
            .with_delivery_mode(2)
            .with_priority(9)
            .with_correlation_id("correlation".into())
            .with_reply_to("reply".into())
            .with_expiration("60000".into())
            .with_message_id("message".into())
            .with_timestamp(1_700_000_001)
            .with_type("type".into())
            .with_user_id("guest".into())
            .with_app_id("app".into())
            .with_cluster_id("cluster".into());
        publish_with(&channel, "", "q", b"x", properties.clone()).await.unwrap();
        assert_eq!(get(&channel, "q").await.unwrap().properties, properties);

        publish(&channel, "", "q", b"none").await.unwrap();
        let bare = get(&channel, "q").await.unwrap();
        assert_eq!(bare.properties, BasicProperties::default());
    });
}

#[test]
fn a_wrong_user_id_is_refused() {
    run(async {
        let (_broker, _connection, channel) = client().await;
        confirm_select(&channel).await;
        let properties = BasicProperties::default().with_user_id("somebody".into());
        let expected = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated \
                        user was 'guest'";
        let published = publish_with(&channel, "", "q", b"x", properties).await;
        assert_eq!(refusal(published), (406, expected.to_owned()));
    });
}
