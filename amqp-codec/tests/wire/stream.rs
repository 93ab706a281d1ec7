//! A stream of frames, cut anywhere.

use amqp_codec::method::{basic, connection, queue};
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, DecodeError, FRAME_END, Frame, FrameHead, FrameKind,
    Method, RawContentHeader, RawFrame, body_frame_head, decode_frame, encode_frame,
    peek_frame_head, split_frame, write_ack, write_body, write_content, write_content_header,
    write_deliver, write_heartbeat, write_nack,
};
use bytes::{Bytes, BytesMut};

use crate::support::{Seeded, table, text};

const CHANNEL: ChannelId = ChannelId(0x0102);

fn conversation() -> Vec<Frame> {
    let properties = BasicProperties {
        headers: Some(table([("a", 1.into()), ("b", "c".into())])),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    let header = ContentHeader { class_id: 60, body_size: 3000, properties };
    let tune = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
    let declare = queue::Declare { queue: text("q"), ..queue::Declare::default() };
    let publish = basic::Publish { routing_key: text("q"), ..basic::Publish::default() };
    vec![
        Frame::Method(ChannelId::CONNECTION, tune.into()),
        Frame::Heartbeat(ChannelId::CONNECTION),
        Frame::Method(CHANNEL, declare.into()),
        Frame::Method(CHANNEL, publish.into()),
        Frame::Header(CHANNEL, Box::new(header)),
        Frame::Body(CHANNEL, Bytes::from(vec![0xce; 2000])),
        Frame::Body(CHANNEL, Bytes::from(vec![b'b'; 1000])),
        Frame::Body(CHANNEL, Bytes::new()),
    ]
}

fn encoded(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        encode_frame(frame, &mut out);
    }
    out
}

/// Feeds pieces of the sizes that `next_len` says, and takes every frame as soon as it is whole.
fn feed(stream: &[u8], mut next_len: impl FnMut() -> usize) -> Vec<Frame> {
    let (mut buffer, mut frames, mut rest) = (BytesMut::new(), Vec::new(), stream);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(next_len().clamp(1, rest.len()));
        buffer.extend_from_slice(piece);
        rest = after;
        while let Some(frame) = decode_frame(&mut buffer, 4096).expect("well-formed") {
            frames.push(frame);
        }
    }
    assert!(buffer.is_empty());
    frames
}

#[test]
fn octet_by_octet() {
    assert_eq!(feed(&encoded(&conversation()), || 1), conversation());
}

#[test]
fn in_pieces_of_any_size() {
    let stream = encoded(&conversation());
    for seed in 0..200 {
        let mut seeded = Seeded::new(seed);
        assert_eq!(feed(&stream, || seeded.below(700)), conversation());
    }
}

/// Goal: no part of a frame is ever taken for a whole one, and the raw and the comfortable way
/// see the same.
#[test]
fn a_cut_frame_asks_for_more() {
    for frame in conversation() {
        let bytes = encoded(std::slice::from_ref(&frame));
        for len in 0..bytes.len() {
            assert_eq!(split_frame(&bytes[..len], 4096), Ok(None));
            let head = peek_frame_head(&bytes[..len], 4096).unwrap();
            assert_eq!(head.is_some(), len >= 7);
        }
        let head = peek_frame_head(&bytes, 4096).unwrap().unwrap();
        assert_eq!(head.frame_len(), bytes.len());
        let (raw, len) = split_frame(&bytes, 4096).unwrap().unwrap();
        assert_eq!((raw.payload.len(), len), (head.payload_len as usize, bytes.len()));
    }
}

/// Goal: a body is a slice of the read buffer, not a copy.
#[test]
fn a_body_stays_where_it_was_read() {
    let mut buffer = encoded(&[Frame::Body(CHANNEL, Bytes::from_static(b"hello"))]);
    let read_at = buffer[7..].as_ptr();
    let Ok(Some(Frame::Body(_, body))) = decode_frame(&mut buffer, 4096) else {
        panic!("a body");
    };
    assert_eq!((body.as_ptr(), &body[..]), (read_at, b"hello".as_slice()));
}

/// RabbitMQ lets 8 octets more than are right pass, because some clients forget the overhead.
#[test]
fn the_head_decides_about_the_size() {
    let head = |size: u32| {
        let [s0, s1, s2, s3] = size.to_be_bytes();
        [3, 0, 1, s0, s1, s2, s3]
    };
    let body =
        |payload_len| FrameHead { kind: FrameKind::Body, channel: ChannelId(1), payload_len };
    assert_eq!(peek_frame_head(&head(8192), 8192), Ok(Some(body(8192))));
    let too_large = Err(DecodeError::FrameTooLarge { kind: 3, size: 8193, max: 8184 });
    assert_eq!(peek_frame_head(&head(8193), 8192), too_large);
    assert_eq!(split_frame(&head(8193), 8192).map(drop), too_large.map(drop));
    assert_eq!(peek_frame_head(&head(u32::MAX), 0), Ok(Some(body(u32::MAX))));
    assert_eq!(split_frame(&head(u32::MAX), 0), Ok(None));
}

#[test]
fn a_frame_out_of_step_is_an_error() {
    let no_end = Err(DecodeError::MissingFrameEnd { kind: 8, found: 0 });
    assert_eq!(split_frame(&[8, 0, 0, 0, 0, 0, 0, 0], 4096), no_end);
    assert_eq!(split_frame(b"G", 4096), Err(DecodeError::UnknownFrameKind { kind: b'G' }));
    let heartbeat = Err(DecodeError::HeartbeatNotEmpty { size: 1 });
    assert_eq!(split_frame(&[8, 0, 0, 0, 0, 0, 1], 4096), heartbeat);
    let weight = [0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(RawContentHeader::parse(&weight), Err(DecodeError::NonZeroWeight { weight: 1 }));
}

/// Goal: after an error the buffer is as it was, so that it can be logged.
#[test]
fn an_error_takes_nothing_from_the_buffer() {
    let bytes = [1, 0, 0, 0, 0, 0, 4, 0, 60, 0, 99, FRAME_END];
    let mut buffer = BytesMut::from(&bytes[..]);
    let unknown = Err(DecodeError::UnknownMethod { class_id: 60, method_id: 99 });
    assert_eq!(decode_frame(&mut buffer, 4096), unknown);
    assert_eq!(buffer[..], bytes);
}

/// Goal: the hot path's writers put down the same octets as the comfortable encoder.
#[test]
fn borrowed_parts_make_the_same_frames() {
    let mut fast = BytesMut::new();
    write_deliver(&mut fast, CHANNEL, b"ctag", 1 << 33, true, b"x", b"key");
    write_content_header(&mut fast, CHANNEL, 60, 5, &[0x10, 0, 2]);
    write_body(&mut fast, CHANNEL, b"hello");
    write_ack(&mut fast, CHANNEL, 7, true);
    write_nack(&mut fast, CHANNEL, 8, false, true);
    write_nack(&mut fast, CHANNEL, 9, true, false);
    write_heartbeat(&mut fast);

    let deliver = basic::Deliver {
        consumer_tag: text("ctag"),
        delivery_tag: 1 << 33,
        redelivered: true,
        exchange: text("x"),
        routing_key: text("key"),
    };
    let properties = BasicProperties { delivery_mode: Some(2), ..BasicProperties::default() };
    let header = ContentHeader { class_id: 60, body_size: 5, properties };
    let slow = encoded(&[
        Frame::Method(CHANNEL, deliver.into()),
        Frame::Header(CHANNEL, Box::new(header)),
        Frame::Body(CHANNEL, Bytes::from_static(b"hello")),
        Frame::Method(CHANNEL, basic::Ack { delivery_tag: 7, multiple: true }.into()),
        Frame::Method(
            CHANNEL,
            Method::from(basic::Nack { delivery_tag: 8, multiple: false, requeue: true }),
        ),
        Frame::Method(
            CHANNEL,
            Method::from(basic::Nack { delivery_tag: 9, multiple: true, requeue: false }),
        ),
        Frame::Heartbeat(ChannelId::CONNECTION),
    ]);
    assert_eq!(fast, slow);
}

/// Goal: a body is split so that each frame, its overhead included, is as large as may be.
#[test]
fn a_large_body_is_split() {
    let frames_of = |body: &[u8], frame_max| {
        let mut out = BytesMut::new();
        write_content(&mut out, CHANNEL, 60, &[0, 0], body, frame_max);
        let mut lens = Vec::new();
        while let Some((frame, len)) = split_frame(&out, frame_max).unwrap() {
            lens.push((frame.kind, frame.payload.len()));
            let _ = out.split_to(len);
        }
        lens
    };
    let (header, body) = ((FrameKind::Header, 14), |len| (FrameKind::Body, len));
    assert_eq!(frames_of(&[1; 9000], 4096), [header, body(4088), body(4088), body(824)]);
    assert_eq!(frames_of(&[1; 4088], 4096), [header, body(4088)]);
    assert_eq!(frames_of(&[1; 9000], 0), [header, body(9000)]);
    assert_eq!(frames_of(&[], 4096), [header]);
}

/// Names are cut rather than let a length and its octets disagree.
#[test]
fn a_name_too_long_is_cut() {
    let mut out = BytesMut::new();
    write_deliver(&mut out, CHANNEL, &[b't'; 300], 1, false, b"", &[b'k'; 256]);
    let (frame, len) = split_frame(&out, 4096).unwrap().unwrap();
    let deliver = basic::Deliver::decode(&frame.payload[4..]).unwrap();
    assert_eq!((deliver.consumer_tag.len(), deliver.routing_key.len()), (255, 255));
    assert_eq!(len, out.len());
}

#[test]
fn a_body_frame_can_be_written_in_three_parts() {
    let parts = [&body_frame_head(CHANNEL, 2), b"hi".as_slice(), &[FRAME_END]].concat();
    let frame = RawFrame { kind: FrameKind::Body, channel: CHANNEL, payload: b"hi" };
    assert_eq!(split_frame(&parts, 4096), Ok(Some((frame, parts.len()))));
}

/// Goal: what a broker passes on without decoding it comes out as it came in.
#[test]
fn raw_properties_pass_through_unchanged() {
    let mut header = BytesMut::new();
    // With a flag that no property has, and its value.
    let properties = [0x10, 0x02, 2, b'?'];
    write_content_header(&mut header, CHANNEL, 60, 9, &properties);
    let (frame, _) = split_frame(&header, 4096).unwrap().unwrap();
    let raw = RawContentHeader::parse(frame.payload).unwrap();
    assert_eq!(raw, RawContentHeader { class_id: 60, body_size: 9, properties: &properties });
    assert_eq!(ContentHeader::decode(frame.payload).unwrap().properties.delivery_mode, Some(2));
}
