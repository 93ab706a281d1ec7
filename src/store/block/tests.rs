//! What was packed comes out again, and nothing else does.

use proptest::prelude::*;

use super::*;

fn plain(number: u32) -> Place {
    let location = Location { segment: SegmentId(3), offset: 64 + number * 150, length: 150 };
    Place {
        location,
        body_len: 100,
        expires: Timestamp::NEVER,
        due: None,
        returns: 0,
        delivered: false,
        transient: false,
    }
}

#[test]
fn a_plain_message_takes_a_byte() {
    let entries: Vec<Entry> =
        (0..512_u16).map(|number| (number, plain(u32::from(number)))).collect();
    let bytes = encode(&entries);
    assert!(bytes.len() < 530, "{} bytes", bytes.len());
    assert_eq!(decode(&bytes).unwrap(), entries);
}

#[test]
fn messages_of_several_queues_and_sizes_take_five() {
    let mut offset = 0;
    let entries: Vec<Entry> = (0..512_u16)
        .map(|number| {
            let length = 140 + u32::from(number) * 7919 % 97;
            offset += length * (1 + u32::from(number) % 10);
            let location = Location { segment: SegmentId(3), offset, length };
            let expires = Timestamp(1_790_000_000_000 + u64::from(number) * 3);
            let body_len = u64::from(length) - 45;
            (number, Place { location, body_len, expires, ..plain(0) })
        })
        .collect();
    let bytes = encode(&entries);
    assert!(bytes.len() < 512 * 6, "{} bytes", bytes.len());
    assert_eq!(decode(&bytes).unwrap(), entries);
}

#[test]
fn other_bytes_are_refused() {
    let entries = [(0, plain(0)), (500, plain(1))];
    let bytes = encode(&entries);
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "cut off at {end}");
    }
    assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(Malformed("bytes after its last entry")));
    assert_eq!(decode(&[2, 0]), Err(Malformed("a version that nobody wrote")));
    assert_eq!(decode(&[1, 0x81, 0x04]), Err(Malformed("more entries than positions")));
    assert_eq!(decode(&[1, 1, GAP, 0x80, 0x04]), Err(Malformed("a position outside of it")));
    assert!(decode(&[&[1, 1, GAP][..], &[0xFF; 11]].concat()).is_err());
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, any::<u64>(), Just(u64::MAX)]
}

fn small_number() -> impl Strategy<Value = u32> {
    prop_oneof![0..200_u32, any::<u32>(), Just(u32::MAX)]
}

prop_compose! {
    fn place()(
        (segment, offset, length) in (small_number(), small_number(), small_number()),
        body_len in number(),
        expires in prop_oneof![Just(u64::MAX), number()],
        due in prop::option::of(number()),
        returns in small_number(),
        delivered: bool,
        transient: bool,
    ) -> Place {
        Place {
            location: Location { segment: SegmentId(segment), offset, length },
            body_len,
            expires: Timestamp(expires),
            due: due.map(Timestamp),
            returns,
            delivered,
            transient,
        }
    }
}

proptest! {
    #[test]
    fn whatever_was_packed_comes_out(places in prop::collection::btree_map(0..512_u16, place(), 0..80)) {
        let entries: Vec<Entry> = places.into_iter().collect();
        prop_assert_eq!(decode(&encode(&entries)).unwrap(), entries);
    }

    #[test]
    fn any_bytes_are_a_block_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        if let Ok(entries) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&entries)).unwrap(), entries);
        }
    }
}
