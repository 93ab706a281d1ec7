//! Output as a socket reads it.

use amqp_codec::method::basic;
use amqp_codec::{Frame, decode_frame};
use proptest::prelude::*;

use super::*;

const PROPERTIES: &[u8] = &[0, 0];

fn content<'a>(inline_body: &'a [u8], body_segments: &'a [Bytes]) -> OutgoingContent<'a> {
    let large: usize = body_segments.iter().map(Bytes::len).sum();
    let body_len = (inline_body.len() + large) as u64;
    OutgoingContent { properties: PROPERTIES, body_len, inline_body, body_segments }
}

fn read_all(output: &mut Output) -> BytesMut {
    let mut bytes = BytesMut::new();
    while output.has_remaining() {
        let chunk = output.chunk();
        bytes.extend_from_slice(chunk);
        let len = chunk.len();
        assert!(len > 0, "a chunk while bytes remain");
        output.advance(len);
    }
    bytes
}

/// The bodies of the frames, each with the size of its frame checked.
fn bodies(mut bytes: BytesMut, frame_max: u32) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some(frame) = decode_frame(&mut bytes, 0).unwrap() {
        if let Frame::Body(channel, body) = frame {
            assert_eq!(channel, ChannelId(3));
            assert!(frame_max == 0 || body.len() + FRAME_OVERHEAD <= frame_max as usize);
            bodies.push(body.to_vec());
        }
    }
    assert!(bytes.is_empty());
    bodies
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut output = Output::new(4096);
    output.content(ChannelId(3), content(b"", &[]));
    assert!(bodies(read_all(&mut output), 4096).is_empty());
}

#[test]
fn bodies_are_cut_to_the_negotiated_size_to_the_byte() {
    let payload = 4096 - FRAME_OVERHEAD;
    for (len, frames) in [(payload, vec![payload]), (payload + 1, vec![payload, 1])] {
        let mut output = Output::new(131_072);
        output.set_frame_max(4096);
        output.content(ChannelId(3), content(&vec![7; len], &[]));
        let sizes: Vec<usize> = bodies(read_all(&mut output), 4096).iter().map(Vec::len).collect();
        assert_eq!(sizes, frames);
    }
}

#[test]
fn without_a_limit_a_body_is_one_frame() {
    let mut output = Output::new(0);
    let segment = Bytes::from(vec![1; 300_000]);
    output.content(ChannelId(3), content(b"", &[segment]));
    assert_eq!(bodies(read_all(&mut output), 0), [vec![1; 300_000]]);
}

#[test]
fn a_large_piece_is_written_from_where_it_lies() {
    let mut output = Output::new(0);
    let segment = Bytes::from(vec![1; COPY_MAX]);
    output.content(ChannelId(3), content(b"", std::slice::from_ref(&segment)));
    let mut slices = [IoSlice::new(&[]); 8];
    let count = output.chunks_vectored(&mut slices);
    assert_eq!(count, 3, "what is before, the piece, the frame's end");
    assert_eq!(slices[1].as_ptr(), segment.as_ptr());
}

#[test]
fn more_chunks_than_slices_are_no_harm() {
    let mut output = Output::new(0);
    for _ in 0..3 {
        output.content(ChannelId(3), content(b"", &[Bytes::from(vec![1; COPY_MAX])]));
    }
    let mut slices = [IoSlice::new(&[]); 2];
    assert_eq!(output.chunks_vectored(&mut slices), 2);
    assert_eq!(output.chunks_vectored(&mut []), 0);
}

#[test]
fn a_drained_output_gives_its_memory_back() {
    let mut output = Output::new(0);
    output.content(ChannelId(3), content(&vec![1; 10_000], &[]));
    read_all(&mut output);
    output.shrink();
    assert_eq!((output.tail.capacity(), output.remaining()), (0, 0));
}

proptest! {
    /// Goal: in whatever steps and ways a socket takes the bytes, they are the same.
    #[test]
    fn reading_in_steps_gives_the_same_bytes(
        sizes in prop::collection::vec(prop_oneof![0_usize..50, 15_000_usize..40_000], 1..6),
        steps in prop::collection::vec((1_usize..30_000, any::<bool>()), 1..20),
    ) {
        let fill = || {
            let mut output = Output::new(8192 * 3);
            for (index, &size) in sizes.iter().enumerate() {
                output.method(ChannelId(3), basic::RecoverOk {});
                let body = vec![u8::try_from(index).unwrap(); size];
                if index % 2 == 0 {
                    output.content(ChannelId(3), content(&body, &[]));
                } else {
                    output.content(ChannelId(3), content(b"", &[Bytes::from(body)]));
                }
            }
            output
        };
        let expected = read_all(&mut fill());
        let mut output = fill();
        let mut read = Vec::new();
        for &(step, vectored) in steps.iter().cycle() {
            let step = step.min(output.remaining());
            prop_assert_eq!(output.remaining() + read.len(), expected.len());
            if step == 0 {
                break;
            }
            if vectored {
                let mut slices = [IoSlice::new(&[]); 3];
                let count = output.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let step = step.min(all.len());
                read.extend_from_slice(&all[..step]);
                output.advance(step);
            } else {
                read.extend_from_slice(&output.copy_to_bytes(step));
            }
        }
        prop_assert!(read == expected);
    }
}
