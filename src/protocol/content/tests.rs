//! Contents in all the pieces they may come in.

use amqp_codec::{BasicProperties, ContentHeader};
use proptest::prelude::*;

use super::*;

const PUBLISH: PublishRef<'static> =
    PublishRef { exchange: b"ex", routing_key: b"key", mandatory: true, immediate: false };

fn header_of(class_id: u16, body_size: u64) -> BytesMut {
    let mut payload = BytesMut::new();
    let properties = BasicProperties { priority: Some(7), ..BasicProperties::default() };
    ContentHeader { class_id, body_size, properties }.encode(&mut payload);
    payload
}

fn body_of(content: &Content) -> Vec<u8> {
    let mut body = content.inline_body().to_vec();
    content.segments.iter().for_each(|segment| body.extend_from_slice(segment));
    body
}

/// Announces a content and gives its body in frames of these sizes; what is complete then.
fn assemble<'a>(
    assembler: &'a mut ContentAssembler,
    body: &[u8],
    frames: &[usize],
) -> Option<&'a Content> {
    assembler.method(PUBLISH).unwrap();
    let size = body.len() as u64;
    let mut is_complete = assembler.header(&header_of(60, size), u64::MAX).unwrap();
    let mut rest = body;
    for &frame in frames {
        let (now, later) = rest.split_at(frame.min(rest.len()));
        rest = later;
        let payload = if now.len() >= SLICE_MIN {
            Payload::Owned(Bytes::copy_from_slice(now))
        } else {
            Payload::Borrowed(now)
        };
        assert!(!is_complete, "nothing comes behind a complete content");
        is_complete = assembler.body(payload).unwrap();
    }
    is_complete.then(|| assembler.content())
}

#[test]
fn an_empty_body_needs_no_frame() {
    let mut assembler = ContentAssembler::default();
    let content = assemble(&mut assembler, b"", &[]).unwrap();
    assert_eq!((body_of(content), content.body_len), (vec![], 0));
    assert_eq!((content.exchange(), content.routing_key()), (&b"ex"[..], &b"key"[..]));
    assert!(content.mandatory && !content.immediate);
    assert_eq!(content.properties(), &header_of(60, 0)[12..], "as they came");
}

#[test]
fn an_empty_frame_inside_of_a_body_counts_for_nothing() {
    let mut assembler = ContentAssembler::default();
    let content = assemble(&mut assembler, b"abc", &[0, 3]).unwrap();
    assert_eq!(body_of(content), b"abc");
}

/// Goal: a large body in tiny frames costs about its own size: its pieces are gathered.
#[test]
fn a_large_body_in_tiny_frames_is_gathered() {
    let body: Vec<u8> = (0..100_000_u32).map(|index| index.to_be_bytes()[3]).collect();
    let mut assembler = ContentAssembler::default();
    let content = assemble(&mut assembler, &body, &vec![10; 10_000]).unwrap();
    assert_eq!(body_of(content), body);
    assert!(content.segments.len() <= 4, "{} segments", content.segments.len());
}

#[test]
fn a_large_frame_is_kept_without_a_copy() {
    let mut assembler = ContentAssembler::default();
    assembler.method(PUBLISH).unwrap();
    assembler.header(&header_of(60, 40_000), u64::MAX).unwrap();
    let frame = Bytes::from(vec![1; 40_000]);
    assert!(assembler.body(Payload::Owned(frame.clone())).unwrap());
    assert_eq!(assembler.content().segments[0].as_ptr(), frame.as_ptr());
}

#[test]
fn what_is_held_is_counted_until_the_body_is_complete() {
    let mut assembler = ContentAssembler::default();
    assert_eq!(assembler.held(), 0);
    assert!(assemble(&mut assembler, &[0; 20_000], &[15_000]).is_none());
    // The body so far, and the eight bytes of names and properties.
    assert_eq!(assembler.held(), 15_000 + 8);
    assert!(assembler.body(Payload::Borrowed(&[0; 5_000])).unwrap());
    assert_eq!(assembler.held(), 0);
}

#[test]
fn a_buffer_is_used_again_and_starts_empty() {
    let mut assembler = ContentAssembler::default();
    let first = assemble(&mut assembler, b"first", &[5]).unwrap();
    let (at, capacity) = (first.bytes.as_ptr(), first.bytes.capacity());
    assembler.recycle();
    let second = assemble(&mut assembler, b"2nd", &[3]).unwrap();
    assert_eq!((second.bytes.as_ptr(), second.bytes.capacity()), (at, capacity));
    assert_eq!(body_of(second), b"2nd");
}

/// As measured on RabbitMQ 3.10.
#[test]
fn frames_out_of_order_are_refused_in_rabbitmqs_words() {
    let text = |result: Result<(), Exception>| {
        let exception = result.unwrap_err();
        assert_eq!(exception.code, ReplyCode::UnexpectedFrame);
        (exception.text, (exception.class_id, exception.method_id))
    };
    let no_method = "expected method frame, got non method frame instead";
    let no_header = "expected content header for class 60, got non content header frame instead";
    let other_class = "expected content header for class 60, got one for class 50 instead";
    let no_body = "expected content body, got non content body frame instead";
    let header = |assembler: &mut ContentAssembler, class| {
        assembler.header(&header_of(class, 3), 10).map(|_| ())
    };
    let body = |assembler: &mut ContentAssembler| assembler.body(Payload::Borrowed(b"abc"));

    let mut idle = ContentAssembler::default();
    assert_eq!(text(header(&mut idle, 60)), (no_method.to_owned(), (0, 0)));
    assert_eq!(text(body(&mut idle).map(|_| ())), (no_method.to_owned(), (0, 0)));
    let announced = || {
        let mut assembler = ContentAssembler::default();
        assembler.method(PUBLISH).unwrap();
        assembler
    };
    let blamed = (60, 40);
    assert_eq!(text(announced().expect_method()), (no_header.to_owned(), blamed));
    assert_eq!(text(body(&mut announced()).map(|_| ())), (no_header.to_owned(), blamed));
    assert_eq!(text(header(&mut announced(), 50)), (other_class.to_owned(), blamed));
    let mut begun = announced();
    header(&mut begun, 60).unwrap();
    assert_eq!(text(begun.expect_method()), (no_body.to_owned(), blamed));
    assert_eq!(text(header(&mut begun, 60)), (no_body.to_owned(), blamed));
    let mut long = announced();
    long.header(&header_of(60, 2), 10).unwrap();
    assert!(body(&mut long).is_err(), "longer than announced");
}

#[test]
fn a_body_that_is_too_large_closes_the_channel() {
    let mut assembler = ContentAssembler::default();
    assembler.method(PUBLISH).unwrap();
    let exception = assembler.header(&header_of(60, 11), 10).unwrap_err();
    assert_eq!(exception.code, ReplyCode::PreconditionFailed);
    assert_eq!(exception.text, "message size 11 is larger than configured max size 10");
}

proptest! {
    /// Goal: however a body is cut, it comes out whole.
    #[test]
    fn bodies_come_out_whole(
        body in prop_oneof![0_usize..100, 16_000_usize..17_000, 30_000_usize..200_000],
        frames in prop::collection::vec(1_usize..70_000, 1..20),
    ) {
        let body: Vec<u8> = (0..body).map(|index| index.to_le_bytes()[0]).collect();
        let mut left = body.len();
        let mut cuts = Vec::new();
        for &frame in frames.iter().cycle() {
            if left == 0 {
                break;
            }
            cuts.push(frame.min(left));
            left -= frame.min(left);
        }
        let mut assembler = ContentAssembler::default();
    let content = assemble(&mut assembler, &body, &cuts).unwrap();
        prop_assert_eq!(body_of(content), body);
    }
}
