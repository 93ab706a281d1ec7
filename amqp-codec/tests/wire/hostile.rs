//! Bytes from someone who means harm, or has a bad cable: an error is fine, a panic is not.
//!
//! The fuzz targets in `fuzz/` go further; these few hundred thousand inputs run with every test.

use amqp_codec::method::basic::PublishRef;
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, DecodeError, FieldTable, Frame, Method,
    PropertiesRef, ProtocolHeader, RawContentHeader, RawTable, decode_frame, encode_frame,
    method_ids, peek_frame_head, split_frame,
};
use bytes::BytesMut;

use crate::captured::recorded_frames;
use crate::support::Seeded;

/// Every way into the crate.
fn enter_everywhere(input: &[u8]) {
    let _ = ProtocolHeader::parse(input);
    let _ = peek_frame_head(input, 4096);
    let _ = split_frame(input, 0);
    let _ = method_ids(input);
    let _ = PublishRef::decode(input);
    let _ = BasicProperties::decode(input);
    let _ = ContentHeader::decode(input);
    let _ = RawContentHeader::parse(input);
    let _ = FieldTable::decode(input);
    let _ = FieldTable::decode_entries(input);
    for (_, value) in RawTable(input).iter().flatten() {
        let _ = value.decode();
    }
    if let Ok(method) = Method::decode(input) {
        assert_written_again(&Frame::Method(ChannelId(1), method));
    }
    if let Ok(properties) = PropertiesRef::parse(input) {
        let _ = properties.headers();
    }
    let mut buffer = BytesMut::from(input);
    while let Ok(Some(frame)) = decode_frame(&mut buffer, 4096) {
        assert_written_again(&frame);
    }
}

/// What was accepted can be written, and is read back as something that is written the same.
/// (Not compared as values, because of NaN.)
fn assert_written_again(frame: &Frame) {
    let mut written = BytesMut::new();
    encode_frame(frame, &mut written);
    let again = decode_frame(&mut written.clone(), 0).expect("own frames decode").expect("whole");
    let mut rewritten = BytesMut::new();
    encode_frame(&again, &mut rewritten);
    assert_eq!(written, rewritten);
}

#[test]
fn random_octets() {
    for seed in 0..200_000 {
        let mut seeded = Seeded::new(seed);
        let len = seeded.below(64);
        enter_everywhere(&seeded.bytes(len));
    }
}

/// Random octets behind the ids of a real method, and behind the flags of real properties.
#[test]
fn random_arguments() {
    for seed in 0..100_000 {
        let mut seeded = Seeded::new(seed);
        let class = [10, 20, 30, 40, 50, 60, 85, 90][seeded.below(8)];
        let method = [10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 70, 71, 72, 80, 120];
        let mut payload = vec![0, class, 0, method[seeded.below(method.len())]];
        let len = seeded.below(40);
        payload.extend(seeded.bytes(len));
        enter_everywhere(&payload);
    }
}

/// Recorded frames with a few octets changed, cut out or doubled.
#[test]
fn mutated_frames() {
    let recorded = recorded_frames();
    for seed in 0..200_000 {
        let mut seeded = Seeded::new(seed);
        let mut bytes = recorded[seeded.below(recorded.len())].clone();
        for _ in 0..=seeded.below(4) {
            mutate(&mut bytes, &mut seeded);
        }
        enter_everywhere(&bytes);
        enter_everywhere(bytes.get(7..).unwrap_or_default());
        enter_everywhere(bytes.get(11..).unwrap_or_default());
    }
}

fn mutate(bytes: &mut Vec<u8>, seeded: &mut Seeded) {
    let at = seeded.below(bytes.len());
    let interesting = [0, 1, 0x7f, 0x80, 0xff, 0xce, b'F', b'A', b'S', b'V', b'x'];
    match seeded.below(6) {
        _ if bytes.is_empty() => {}
        0 => bytes[at] = (seeded.next() >> 56) as u8,
        1 => bytes[at] = interesting[seeded.below(interesting.len())],
        2 => bytes[at] ^= 1 << seeded.below(8),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, interesting[seeded.below(interesting.len())]),
        _ => bytes.truncate(at),
    }
}

/// Tables or arrays inside each other, as deep as a frame of 180 KiB allows: each is a tag and the
/// length of all that is inside, and a table's entries have names (here empty ones).
fn depth_bomb(tag: u8) -> Vec<u8> {
    let level_len = if tag == b'F' { 6 } else { 5 };
    let mut bytes = vec![];
    for levels_inside in (0..30_000_u32).rev() {
        if tag == b'F' || bytes.is_empty() {
            bytes.push(0);
        }
        bytes.push(tag);
        bytes.extend((levels_inside * level_len).to_be_bytes());
    }
    bytes
}

/// Goal: such a bomb is refused without using up the stack, here a small one.
#[test]
fn a_depth_bomb_fits_a_small_stack() {
    let decode = || {
        for tag in [b'F', b'A'] {
            assert_eq!(FieldTable::decode_entries(&depth_bomb(tag)), Err(DecodeError::TooDeep));
        }
    };
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(decode);
    thread.unwrap().join().unwrap();
}
