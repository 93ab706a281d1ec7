//! The hot path, message by message: what a publish costs to read and a delivery to write.
//!
//! `cargo bench -p amqp-codec`

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use amqp_codec::method::{basic, queue};
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, FieldTable, FieldValue, Frame, FrameKind, Method,
    PropertiesRef, RawContentHeader, RawTable, ShortString, decode_frame, encode_frame, method_ids,
    split_frame, write_ack, write_body, write_content_header, write_deliver,
};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const CHANNEL: ChannelId = ChannelId(1);
const FRAME_MAX: u32 = 131_072;

fn text(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn headers() -> FieldTable {
    FieldTable::from_iter([
        (text("x-retries"), FieldValue::I32(3)),
        (text("trace-id"), "4bf92f3577b34da6a3ce929d0e0e4736".into()),
        (text("tags"), FieldValue::Array(vec!["a".into(), "b".into(), FieldValue::Void])),
        (text("nested"), FieldTable::from_iter([(text("ok"), FieldValue::Bool(true))]).into()),
    ])
}

fn full_properties() -> BasicProperties {
    BasicProperties {
        content_type: Some(text("application/json")),
        headers: Some(headers()),
        delivery_mode: Some(2),
        priority: Some(4),
        correlation_id: Some(text("a7c7b0a2-0d1a-4b71-9d0c-3f1c2d9f5c11")),
        reply_to: Some(text("amq.rabbitmq.reply-to")),
        expiration: Some(text("60000")),
        message_id: Some(text("8d9c")),
        timestamp: Some(1_714_979_289),
        ..BasicProperties::default()
    }
}

/// A publish with its content, as a client sends it.
fn publish_bytes(properties: BasicProperties, body: &'static [u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let publish = basic::Publish {
        exchange: text("logs"),
        routing_key: text("kern.critical"),
        mandatory: false,
        immediate: false,
    };
    let header = ContentHeader { class_id: 60, body_size: body.len() as u64, properties };
    encode_frame(&Frame::Method(CHANNEL, publish.into()), &mut out);
    encode_frame(&Frame::Header(CHANNEL, Box::new(header)), &mut out);
    encode_frame(&Frame::Body(CHANNEL, body.into()), &mut out);
    out
}

/// What a broker does with the three frames of a publish: everything but the body's copy.
fn read_publish(mut input: &[u8]) -> (Option<basic::PublishRef<'_>>, u64, Option<u8>, usize) {
    let mut publish = None;
    let mut size = 0;
    let mut mode = None;
    let mut body = 0;
    while let Some((frame, len)) = split_frame(input, FRAME_MAX).expect("well-formed") {
        match frame.kind {
            FrameKind::Method => {
                assert_eq!(method_ids(frame.payload), Ok((60, 40)));
                publish = basic::PublishRef::decode(&frame.payload[4..]).ok();
            }
            FrameKind::Header => {
                let header = RawContentHeader::parse(frame.payload).expect("well-formed");
                let properties = PropertiesRef::parse(header.properties).expect("well-formed");
                (size, mode) = (header.body_size, properties.delivery_mode);
            }
            FrameKind::Body => body += frame.payload.len(),
            FrameKind::Heartbeat => {}
        }
        input = &input[len..];
    }
    (publish, size, mode, body)
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    let persistent = BasicProperties { delivery_mode: Some(2), ..BasicProperties::default() };
    let cases = [
        ("none", BasicProperties::default()),
        ("persistent", persistent),
        ("full", full_properties()),
    ];
    for (name, properties) in cases {
        let input = publish_bytes(properties.clone(), b"hello, world");
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("publish, raw, properties {name}"), |b| {
            b.iter(|| read_publish(black_box(&input)));
        });
        let mut raw = BytesMut::new();
        properties.encode(&mut raw);
        group.bench_function(format!("properties {name}"), |b| {
            b.iter(|| PropertiesRef::parse(black_box(&raw)));
        });
    }
    let (method, _) = split_frame(&publish_bytes(full_properties(), b""), FRAME_MAX)
        .expect("well-formed")
        .map(|(frame, len)| (frame.payload.to_vec(), len))
        .expect("whole");
    group.bench_function("basic::Publish::decode", |b| {
        b.iter(|| basic::Publish::decode(black_box(&method[4..])));
    });
    group.bench_function("Method::decode of a publish", |b| {
        b.iter(|| Method::decode(black_box(&method)));
    });
    let mut ack = BytesMut::new();
    write_ack(&mut ack, CHANNEL, 5, false);
    group.bench_function("basic::PublishRef::decode", |b| {
        b.iter(|| basic::PublishRef::decode(black_box(&method[4..])));
    });
    group.bench_function("ack, split and decode", |b| {
        b.iter(|| {
            let (frame, _) = split_frame(black_box(&ack), FRAME_MAX).ok()??;
            basic::Ack::decode(&frame.payload[4..]).ok()
        });
    });
    let mut table = BytesMut::new();
    headers().encode(&mut table);
    group.bench_function("headers table, 4 entries", |b| {
        b.iter(|| FieldTable::decode(black_box(&table)));
    });
    group.bench_function("a header that is not there, of 4", |b| {
        b.iter(|| RawTable(black_box(&table[4..])).get("CC"));
    });
    let input = publish_bytes(full_properties(), b"hello, world");
    group.bench_function("publish, decode_frame, properties full", |b| {
        b.iter_batched_ref(
            || input.clone(),
            |input| {
                while let Ok(Some(frame)) = decode_frame(input, FRAME_MAX) {
                    black_box(frame);
                }
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Elements(1));
    let mut out = BytesMut::with_capacity(64 * 1024);
    group.bench_function("delivery of 12 octets", |b| {
        b.iter(|| {
            // A batch of deliveries fills a buffer, as in a connection's writer.
            if out.len() > 60 * 1024 {
                out.clear();
            }
            let (tag, exchange, key) =
                black_box((b"ctag1.0".as_slice(), b"logs".as_slice(), b"kern.critical".as_slice()));
            write_deliver(&mut out, CHANNEL, tag, 42, false, exchange, key);
            write_content_header(&mut out, CHANNEL, 60, 12, black_box(&[0x10, 0, 2]));
            write_body(&mut out, CHANNEL, black_box(b"hello, world"));
        });
    });
    group.bench_function("ack", |b| {
        b.iter(|| {
            out.clear();
            write_ack(&mut out, CHANNEL, black_box(42), false);
        });
    });
    let declare = Method::from(queue::Declare {
        queue: text("tasks"),
        durable: true,
        arguments: headers(),
        ..queue::Declare::default()
    });
    group.bench_function("queue.declare", |b| {
        b.iter(|| {
            out.clear();
            black_box(&declare).encode(CHANNEL, &mut out);
        });
    });
    group.finish();
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
