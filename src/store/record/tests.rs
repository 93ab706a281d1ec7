//! Records are read as they were written, and nothing else is taken for one.

use amqp_codec::ShortString;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::broker::message::{Message, MessageExtras, MessageParts};

/// A message to the exchange `ex` with the key `key`.
pub(in super::super) fn small_message(body: &[u8]) -> Message {
    let bytes = [b"exkey\0\0".as_slice(), body].concat();
    message_of(2, 3, 2, &bytes, &[], None)
}

fn message_of(
    exchange_len: u8,
    routing_key_len: u8,
    properties_len: u32,
    bytes: &[u8],
    segments: &[Bytes],
    extras: Option<MessageExtras>,
) -> Message {
    Message::new(MessageParts {
        exchange_len,
        routing_key_len,
        properties_len,
        bytes,
        segments,
        persistent: true,
        priority: 7,
        extras: extras.map(Box::new),
    })
}

/// Any message, with its body inline or in pieces.
fn messages() -> impl Strategy<Value = Message> {
    let names = (vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..40));
    let body = (vec(any::<u8>(), 0..300), vec(vec(any::<u8>(), 0..9000), 0..4));
    (names, body, option::of(extras())).prop_map(|((exchange, key, properties), body, extras)| {
        let (inline, segments) = body;
        let segments: Vec<Bytes> = segments.into_iter().map(Bytes::from).collect();
        let inline = if segments.is_empty() { inline } else { Vec::new() };
        let bytes = [&exchange[..], &key, &properties, &inline].concat();
        let (exchange, key, properties) = (exchange.len(), key.len(), properties.len());
        message_of(exchange as u8, key as u8, properties as u32, &bytes, &segments, extras)
    })
}

fn extras() -> impl Strategy<Value = MessageExtras> {
    let key = || vec(any::<u8>(), 0..40).prop_map(|key| ShortString::new(key).unwrap());
    let due = option::of(any::<u64>().prop_map(Timestamp));
    (option::of(any::<u64>()), due, vec(key(), 0..3), vec(key(), 0..3)).prop_map(
        |(time_to_live, due, copies, blind_copies)| MessageExtras {
            time_to_live,
            due,
            copies,
            blind_copies,
        },
    )
}

fn places() -> impl Strategy<Value = Vec<NewPlace>> {
    let due = || option::of(any::<u64>().prop_map(Timestamp));
    let expires = prop_oneof![Just(u64::MAX), any::<u64>()];
    let place = (any::<u64>(), any::<u64>(), expires, due());
    vec(place, 0..4).prop_map(|places| {
        let new = |(queue, position, expires, due)| NewPlace {
            queue: QueueId(queue),
            position: Position(position),
            expires: Timestamp(expires),
            due,
        };
        places.into_iter().map(new).collect()
    })
}

fn body(message: &Message) -> Vec<u8> {
    let segments = message.body_segments().iter().flat_map(|segment| segment.iter().copied());
    message.inline_body().iter().copied().chain(segments).collect()
}

fn assert_same(one: &Message, other: &Message) {
    assert_eq!(one.exchange(), other.exchange());
    assert_eq!(one.routing_key(), other.routing_key());
    assert_eq!(one.properties(), other.properties());
    assert_eq!(body(one), body(other));
    assert_eq!(one.body_len(), other.body_len());
    assert_eq!(one.is_persistent(), other.is_persistent());
    assert_eq!(one.priority(), other.priority());
    assert_eq!(one.extras(), other.extras());
}

/// The bytes of one record.
fn bytes_of(builder: &mut FrameBuilder, span: RecordSpan) -> Bytes {
    let (offset, length) = (span.offset as usize, span.length as usize);
    Bytes::copy_from_slice(&builder.frame_mut()[offset..offset + length])
}

fn records(builder: &mut FrameBuilder) -> Vec<Record<'_>> {
    let payload = &builder.frame_mut()[FRAME_HEADER_LEN..];
    Records::new(payload).collect::<Result<_, _>>().unwrap()
}

fn span_of(record: &Record<'_>) -> (MessageRecord<'static>, Vec<NewPlace>) {
    let (Record::Message(message) | Record::Moved(message)) = record else {
        panic!("a message: {record:?}");
    };
    let found = message.places.collect();
    let &MessageRecord { span, body_len, transient, .. } = message;
    (MessageRecord { span, body_len, transient, places: Places::none() }, found)
}

proptest! {
    #[test]
    fn messages_are_read_as_they_were_written(
        message in messages(),
        places in places(),
        moved_to in places(),
        transient: bool,
    ) {
        let mut builder = FrameBuilder::new();
        builder.put(b"key", b"value");
        let first = builder.message(&message, &places, transient);
        let original = bytes_of(&mut builder, first);
        let second = builder.moved(&original, &moved_to).unwrap();
        let copy = bytes_of(&mut builder, second);

        let found = records(&mut builder);
        prop_assert!(matches!(found[1], Record::Message(_)) && matches!(found[2], Record::Moved(_)));
        for (record, span, places) in [(&found[1], first, places), (&found[2], second, moved_to)] {
            let (record, found) = span_of(record);
            prop_assert_eq!(record.span, span);
            prop_assert_eq!(record.body_len, message.body_len());
            prop_assert_eq!(record.transient, transient);
            prop_assert_eq!(found, places);
        }
        assert_same(&decode_message(&original).unwrap(), &message);
        assert_same(&decode_message(&copy).unwrap(), &message);
    }

    #[test]
    fn positions_are_read_as_they_were_written(ranges in vec((any::<u64>(), 0..1000_u64), 0..20)) {
        let ranges: Vec<RangeInclusive<u64>> = ranges
            .into_iter()
            .map(|(first, more)| first..=first.saturating_add(more))
            .collect();
        let mut builder = FrameBuilder::new();
        builder.settled(QueueId(1), &ranges);
        builder.delivered(QueueId(u64::MAX), &ranges);
        let found = records(&mut builder);
        let Record::Settled { queue: QueueId(1), positions } = found[0] else { panic!() };
        prop_assert_eq!(positions.collect::<Vec<_>>(), ranges.clone());
        let Record::Delivered { queue: QueueId(u64::MAX), positions } = found[1] else { panic!() };
        prop_assert_eq!(positions.collect::<Vec<_>>(), ranges);
    }

    #[test]
    fn any_bytes_are_records_or_an_error(bytes in vec(any::<u8>(), 0..200), kind in 1..10_u8) {
        let bytes = [&[kind][..], &bytes].concat();
        for record in Records::new(&bytes) {
            match record {
                Ok(Record::Settled { positions, .. } | Record::Delivered { positions, .. }) => {
                    positions.for_each(drop);
                }
                Ok(Record::Message(message) | Record::Moved(message)) => message.places.for_each(drop),
                _ => {}
            }
        }
        let _ = decode_message(&Bytes::from(bytes));
    }

    /// With a checksum that is right, so that what it covers is looked at.
    #[test]
    fn any_bytes_are_a_message_or_an_error(rest in vec(any::<u8>(), 0..60)) {
        let length = (5 + rest.len() + 4) as u32;
        let mut record = [&[kind::MESSAGE][..], &length.to_le_bytes(), &rest].concat();
        record.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
        let record = Bytes::from(record);
        let _ = decode_message(&record);
        let _ = FrameBuilder::new().moved(&record, &[]);
    }
}

#[test]
fn the_other_records_are_read_as_they_were_written() {
    let mut builder = FrameBuilder::new();
    assert!(builder.is_empty());
    let due = Some(Timestamp(77));
    builder.returned(QueueId(1), Position(2), 3, None);
    builder.returned(QueueId(1), Position(2), u32::MAX, due);
    builder.cleared(QueueId(4), Position(5), Position(u64::MAX));
    builder.removed_queue(QueueId(6));
    builder.put(b"key", b"");
    builder.removed(b"key");
    assert!(!builder.is_empty());
    let expected = [
        Record::Returned { queue: QueueId(1), position: Position(2), returns: 3, due: None },
        Record::Returned { queue: QueueId(1), position: Position(2), returns: u32::MAX, due },
        Record::Cleared { queue: QueueId(4), from: Position(5), to: Position(u64::MAX) },
        Record::RemovedQueue { queue: QueueId(6) },
        Record::Put { key: b"key", value: b"" },
        Record::Removed { key: b"key" },
    ];
    assert_eq!(format!("{:?}", records(&mut builder)), format!("{expected:?}"));
    builder.clear();
    assert!(builder.is_empty() && records(&mut builder).is_empty());
}

#[test]
fn a_plain_message_costs_few_bytes_more_than_it_has() {
    let mut builder = FrameBuilder::new();
    let place = NewPlace {
        queue: QueueId(9),
        position: Position(100_000),
        expires: Timestamp::NEVER,
        due: None,
    };
    let span = builder.message(&small_message(&[1; 100]), &[place], false);
    assert_eq!(span.length, 107 + 20);
}

#[test]
fn an_empty_range_is_left_out() {
    let mut builder = FrameBuilder::new();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    builder.settled(QueueId(1), &[3..=2, 5..=5]);
    let found = records(&mut builder);
    let Record::Settled { positions, .. } = found[0] else { panic!() };
    assert_eq!(positions.collect::<Vec<_>>(), [5..=5]);
}

#[test]
fn a_message_with_any_bit_flipped_is_no_message() {
    let mut builder = FrameBuilder::new();
    let span = builder.message(&small_message(b"body"), &[], false);
    let record = bytes_of(&mut builder, span);
    assert!(decode_message(&record).is_ok());
    for bit in 0..record.len() * 8 {
        let mut record = record.to_vec();
        record[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_message(&record.clone().into()).is_err(), "bit {bit}");
        let mut builder = FrameBuilder::new();
        assert!(builder.moved(&record, &[]).is_err() && builder.is_empty(), "bit {bit}");
    }
}

#[test]
fn a_large_body_is_a_part_of_what_was_read() {
    let body = vec![3; BODY_COPIED_MAX as usize + 1];
    let mut builder = FrameBuilder::new();
    let span = builder.message(&small_message(&body), &[], false);
    let record = bytes_of(&mut builder, span);
    let message = decode_message(&record).unwrap();
    assert!(message.inline_body().is_empty());
    assert_eq!(message.body_segments(), [body]);
    let range = record.as_ptr_range();
    assert!(range.contains(&message.body_segments()[0].as_ptr()), "no copy");
}

#[test]
fn what_follows_bytes_that_are_no_record_is_not_read() {
    let mut builder = FrameBuilder::new();
    builder.removed_queue(QueueId(6));
    let good = builder.frame_mut()[FRAME_HEADER_LEN..].to_vec();
    let payload = [&good[..], &[99, 1], &good].concat();
    let found: Vec<_> = Records::new(&payload).collect();
    assert_eq!(found.len(), 2);
    let error = *found[1].as_ref().unwrap_err();
    let offset = (FRAME_HEADER_LEN + good.len()) as u32;
    assert_eq!(error, RecordError { offset, what: "of an unknown kind" });
    assert_eq!(error.to_string(), "not a record: of an unknown kind");
}
