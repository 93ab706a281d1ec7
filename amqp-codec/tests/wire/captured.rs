//! What real clients put on the wire, recorded by `record.py` from pika 1.4.4 and py-amqp 5.4.2,
//! and what this crate makes of it. Some values that no client sends are by hand, after the spec.

use amqp_codec::method::{basic, channel, confirm, connection, exchange, queue, tx};
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, FieldTable, FieldValue, Frame, Method,
    ProtocolHeader, decode_frame, encode_frame,
};
use bytes::{Bytes, BytesMut};

use crate::support::{hex, table, text};

const CHANNEL: ChannelId = ChannelId(1);

/// A content header with [`python_table`] for its headers, by pika.
const HEADERS: &str = "020001000000a3003c0000000000000000000520000000009106737472696e67530000000574\
             c3a47874056279746573780000000200ff04626f6f6c740103696e7449fffffffb046c6f6e67\
             6c000001000000000007646563696d616c4402ffffff830474696d655400000000663881d905\
             7461626c65460000000b05696e6e65724600000000046c697374410000001349000000015300\
             00000374776f410000000156046e6f6e6556ce";

/// Checks both directions: the bytes are this frame, and this frame is the bytes.
#[track_caller]
fn assert_wire(hexadecimal: &str, frame: &Frame) {
    let mut input = BytesMut::from(&hex(hexadecimal)[..]);
    assert_eq!(decode_frame(&mut input, 4096), Ok(Some(frame.clone())));
    assert!(input.is_empty());
    let mut output = BytesMut::new();
    encode_frame(frame, &mut output);
    assert_eq!(output[..], hex(hexadecimal)[..]);
}

fn header(properties: BasicProperties) -> Frame {
    Frame::Header(CHANNEL, Box::new(ContentHeader { class_id: 60, body_size: 5, properties }))
}

fn methods() -> Vec<(&'static str, Method)> {
    vec![
        (
            "01000100000083000a000b0000005f0770726f64756374530000001a50696b6120507974686f\
             6e20436c69656e74204c6962726172790c6361706162696c697469657346000000260a626173\
             69632e6e61636b740116636f6e73756d65725f63616e63656c5f6e6f74696679740105504c41\
             494e0000000c00677565737400677565737405656e5f5553ce",
            connection::StartOk {
                client_properties: table([
                    ("product", "Pika Python Client Library".into()),
                    (
                        "capabilities",
                        table([
                            ("basic.nack", true.into()),
                            ("consumer_cancel_notify", true.into()),
                        ])
                        .into(),
                    ),
                ]),
                mechanism: text("PLAIN"),
                response: Bytes::from_static(b"\0guest\0guest"),
                locale: text("en_US"),
            }
            .into(),
        ),
        (
            "0100010000000c000a001f07ff00020000003cce",
            connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 60 }.into(),
        ),
        ("01000100000008000a0028012f0001ce", connection::Open { virtual_host: text("/") }.into()),
        (
            "0100010000001a000a003200c80f4e6f726d616c2073687574646f776e00000000ce",
            connection::Close {
                reply_code: 200,
                reply_text: text("Normal shutdown"),
                class_id: 0,
                method_id: 0,
            }
            .into(),
        ),
        (
            "01000100000012000a003c0d6c6f77206f6e206d656d6f7279ce",
            connection::Blocked { reason: text("low on memory") }.into(),
        ),
        (
            "01000100000016000a0046000000067333637265740772656e6577616cce",
            connection::UpdateSecret {
                new_secret: Bytes::from_static(b"s3cret"),
                reason: text("renewal"),
            }
            .into(),
        ),
        ("010001000000050014000a00ce", channel::Open {}.into()),
        ("010001000000050014001401ce", channel::Flow { active: true }.into()),
        (
            "01000100000030001400280194254e4f545f464f554e44202d206e6f20717565756520277127\
             20696e2076686f737420272f27003c0014ce",
            channel::Close {
                reply_code: 404,
                reply_text: text("NOT_FOUND - no queue 'q' in vhost '/'"),
                class_id: 60,
                method_id: 20,
            }
            .into(),
        ),
        (
            "010001000000360028000a0000046c6f677305746f7069630a0000002012616c7465726e6174\
             652d65786368616e67655300000008756e726f75746564ce",
            exchange::Declare {
                exchange: text("logs"),
                kind: text("topic"),
                durable: true,
                internal: true,
                arguments: table([("alternate-exchange", "unrouted".into())]),
                ..exchange::Declare::default()
            }
            .into(),
        ),
        (
            "010001000000130028001e00000164017303612e2a0100000000ce",
            exchange::Bind {
                destination: text("d"),
                source: text("s"),
                routing_key: text("a.*"),
                no_wait: true,
                arguments: FieldTable::new(),
            }
            .into(),
        ),
        ("0100010000000400280033ce", exchange::UnbindOk {}.into()),
        (
            "0100010000003a0032000a0000057461736b730a000000290d782d6d6573736167652d74746c\
             490000ea600c782d71756575652d6d6f646553000000046c617a79ce",
            queue::Declare {
                queue: text("tasks"),
                durable: true,
                auto_delete: true,
                arguments: table([
                    ("x-message-ttl", 60_000.into()),
                    ("x-queue-mode", "lazy".into()),
                ]),
                ..queue::Declare::default()
            }
            .into(),
        ),
        (
            "010001000000120032000b057461736b730000000300000001ce",
            queue::DeclareOk { queue: text("tasks"), message_count: 3, consumer_count: 1 }.into(),
        ),
        (
            "0100010000002f003200140000057461736b73046c6f67730123000000001707782d6d617463\
             685300000003616e79016e4900000002ce",
            queue::Bind {
                queue: text("tasks"),
                exchange: text("logs"),
                routing_key: text("#"),
                no_wait: false,
                arguments: table([("x-match", "any".into()), ("n", 2.into())]),
            }
            .into(),
        ),
        (
            "0100010000000d003200280000057461736b7307ce",
            queue::Delete { queue: text("tasks"), if_unused: true, if_empty: true, no_wait: true }
                .into(),
        ),
        (
            "01000100000017003200320000057461736b73046c6f6773012300000000ce",
            queue::Unbind {
                queue: text("tasks"),
                exchange: text("logs"),
                routing_key: text("#"),
                arguments: FieldTable::new(),
            }
            .into(),
        ),
        (
            "0100010000000b003c000a00000000000a01ce",
            basic::Qos { prefetch_size: 0, prefetch_count: 10, global: true }.into(),
        ),
        (
            "01000100000029003c00140000057461736b730763746167312e3002000000100a782d707269\
             6f726974794900000005ce",
            basic::Consume {
                queue: text("tasks"),
                consumer_tag: text("ctag1.0"),
                no_ack: true,
                arguments: table([("x-priority", 5.into())]),
                ..basic::Consume::default()
            }
            .into(),
        ),
        (
            "0100010000000d003c001e0763746167312e3001ce",
            basic::Cancel { consumer_tag: text("ctag1.0"), no_wait: true }.into(),
        ),
        (
            "0100010000001a003c00280000046c6f67730d6b65726e2e637269746963616c01ce",
            basic::Publish {
                exchange: text("logs"),
                routing_key: text("kern.critical"),
                mandatory: true,
                immediate: false,
            }
            .into(),
        ),
        (
            "01000100000019003c00320138084e4f5f524f555445046c6f6773046b65726ece",
            basic::Return {
                reply_code: 312,
                reply_text: text("NO_ROUTE"),
                exchange: text("logs"),
                routing_key: text("kern"),
            }
            .into(),
        ),
        (
            "0100010000001f003c003c0763746167312e30000000000000010201046c6f6773046b65726e\
             ce",
            basic::Deliver {
                consumer_tag: text("ctag1.0"),
                delivery_tag: 258,
                redelivered: true,
                exchange: text("logs"),
                routing_key: text("kern"),
            }
            .into(),
        ),
        (
            "01000100000018003c004700000000000000010000057461736b7300000007ce",
            basic::GetOk {
                delivery_tag: 1,
                redelivered: false,
                exchange: text(""),
                routing_key: text("tasks"),
                message_count: 7,
            }
            .into(),
        ),
        ("01000100000005003c004800ce", basic::GetEmpty {}.into()),
        (
            "0100010000000d003c0050000001000000000001ce",
            basic::Ack { delivery_tag: 1 << 40, multiple: true }.into(),
        ),
        (
            "0100010000000d003c005a000000000000000301ce",
            basic::Reject { delivery_tag: 3, requeue: true }.into(),
        ),
        ("01000100000005003c006401ce", basic::RecoverAsync { requeue: true }.into()),
        (
            "0100010000000d003c0078000000000000000902ce",
            basic::Nack { delivery_tag: 9, multiple: false, requeue: true }.into(),
        ),
        ("010001000000050055000a00ce", confirm::Select { no_wait: false }.into()),
        ("01000100000004005a001ece", tx::Rollback {}.into()),
    ]
}

/// The recorded method frames, for others to spoil.
pub(crate) fn recorded_frames() -> Vec<Vec<u8>> {
    methods().iter().map(|(hexadecimal, _)| hex(hexadecimal)).chain([hex(HEADERS)]).collect()
}

#[test]
fn methods_of_a_client() {
    for (hexadecimal, method) in methods() {
        // pika sets the obsolete bit `insist`, which is not kept: that one is not written again.
        if matches!(method, Method::ConnectionOpen(_)) {
            let mut input = BytesMut::from(&hex(hexadecimal)[..]);
            let frame = decode_frame(&mut input, 4096).unwrap();
            assert_eq!(frame, Some(Frame::Method(CHANNEL, method)));
        } else {
            assert_wire(hexadecimal, &Frame::Method(CHANNEL, method));
        }
    }
}

#[test]
fn properties_of_a_client() {
    assert_wire(
        "0200010000000e003c000000000000000000050000ce",
        &header(BasicProperties::default()),
    );
    let persistent = BasicProperties { delivery_mode: Some(2), ..BasicProperties::default() };
    assert_wire("0200010000000f003c00000000000000000005100002ce", &header(persistent));
    let all = BasicProperties {
        content_type: Some(text("text/plain")),
        content_encoding: Some(text("utf-8")),
        headers: Some(table([("k", 1.into())])),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(text("c")),
        reply_to: Some(text("amq.rabbitmq.reply-to")),
        expiration: Some(text("60000")),
        message_id: Some(text("m")),
        timestamp: Some(1_714_979_289),
        kind: Some(text("t")),
        user_id: Some(text("guest")),
        app_id: Some(text("app")),
        cluster_id: Some(text("cl")),
    };
    assert_wire(
        "02000100000063003c00000000000000000005fffc0a746578742f706c61696e057574662d38\
             00000007016b49000000010209016315616d712e7261626269746d712e7265706c792d746f05\
             3630303030016d00000000663881d901740567756573740361707002636cce",
        &header(all),
    );
}

/// The table that `record.py` sends, as pika writes it.
fn python_table() -> FieldTable {
    let array = vec![1.into(), "two".into(), vec![FieldValue::Void].into()];
    table([
        ("string", "täxt".into()),
        ("bytes", FieldValue::ByteArray(Bytes::from_static(b"\0\xff"))),
        ("bool", true.into()),
        ("int", (-5).into()),
        ("long", (1_i64 << 40).into()),
        ("decimal", FieldValue::Decimal { scale: 2, value: -125 }),
        ("time", FieldValue::Timestamp(1_714_979_289)),
        ("table", table([("inner", FieldTable::new().into())]).into()),
        ("list", array.into()),
        ("none", FieldValue::Void),
    ])
}

#[test]
fn a_table_of_pika() {
    let properties =
        BasicProperties { headers: Some(python_table()), ..BasicProperties::default() };
    assert_wire(HEADERS, &header(properties));
}

/// py-amqp writes bytes as a long string and 64-bit integers as `L`, which is read as `l`.
#[test]
fn a_table_of_py_amqp() {
    let bytes = hex("000000a106737472696e67530000000574c3a47874056279746573530000000200ff04626f6f\
             6c740103696e7449fffffffb046c6f6e674c000001000000000007646563696d616c4402ffff\
             ff830474696d655400000000663881d9057461626c65460000000b05696e6e65724600000000\
             046c69737441000000134900000001530000000374776f410000000156046e6f6e655606646f\
             75626c65643fe0000000000000");
    let mut expected = python_table();
    expected.insert(text("bytes"), Bytes::from_static(b"\0\xff"));
    expected.push(text("double"), 0.5_f64);
    assert_eq!(FieldTable::decode(&bytes), Ok(expected));
}

/// By hand: the types that neither Python client writes.
#[test]
fn the_other_types_of_rabbitmq() {
    let bytes = hex(
        "00000024 0162 62ff 0142 42ff 0173 73fffe 0175 75fffe 0169 69fffffffe 0166 663fc00000 \
         0158 7400",
    );
    let expected = table([
        ("b", FieldValue::I8(-1)),
        ("B", FieldValue::U8(255)),
        ("s", FieldValue::I16(-2)),
        ("u", FieldValue::U16(65_534)),
        ("i", FieldValue::U32(4_294_967_294)),
        ("f", FieldValue::F32(1.5)),
        ("X", FieldValue::Bool(false)),
    ]);
    let mut written = BytesMut::new();
    expected.encode(&mut written);
    assert_eq!((FieldTable::decode(&bytes), &written[..]), (Ok(expected), &bytes[..]));
}

#[test]
fn bodies_heartbeats_and_the_first_eight_octets() {
    assert_wire("0300010000000568656c6c6fce", &Frame::Body(CHANNEL, Bytes::from_static(b"hello")));
    assert_wire("08000000000000ce", &Frame::Heartbeat(ChannelId::CONNECTION));
    assert_eq!(ProtocolHeader::parse(&hex("414d515000000901")), Some(ProtocolHeader::Amqp091));
}
