//! A stream that arrives in two pieces: the frames are the same as in one, and what is accepted
//! can be written again.
#![no_main]

use amqp_codec::{Frame, decode_frame, encode_frame};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const FRAME_MAX: u32 = 4096;

/// Takes every whole frame; `false` after an error.
fn drain(buffer: &mut BytesMut, frames: &mut Vec<BytesMut>) -> bool {
    loop {
        match decode_frame(buffer, FRAME_MAX) {
            Ok(Some(frame)) => frames.push(encoded(&frame)),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn encoded(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    encode_frame(frame, &mut out);
    let again = decode_frame(&mut out.clone(), 0).expect("own frames decode").expect("whole");
    let mut rewritten = BytesMut::new();
    encode_frame(&again, &mut rewritten);
    assert_eq!(out, rewritten);
    out
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, stream) = input;
    let mut whole = Vec::new();
    drain(&mut BytesMut::from(stream), &mut whole);

    let (first, second) = stream.split_at(usize::from(cut).min(stream.len()));
    let mut pieces = Vec::new();
    let mut buffer = BytesMut::from(first);
    if drain(&mut buffer, &mut pieces) {
        buffer.extend_from_slice(second);
        drain(&mut buffer, &mut pieces);
    }
    assert_eq!(whole, pieces);
});
