//! Every method of every table, made up at random and read back.

use proptest::prelude::*;

use super::*;
use crate::split_frame;

fn tables() -> impl Iterator<Item = &'static (u16, u16, &'static str)> {
    [
        connection::TABLE,
        channel::TABLE,
        access::TABLE,
        exchange::TABLE,
        queue::TABLE,
        basic::TABLE,
        confirm::TABLE,
        tx::TABLE,
    ]
    .into_iter()
    .flatten()
}

fn encode(method: &Method) -> BytesMut {
    let mut frame = BytesMut::new();
    method.encode(ChannelId(7), &mut frame);
    frame
}

fn decode(frame: &[u8]) -> Result<Method, DecodeError> {
    let (raw, len) = split_frame(frame, 0)?.expect("a whole frame");
    assert_eq!((raw.kind, raw.channel, len), (FrameKind::Method, ChannelId(7), frame.len()));
    Method::decode(raw.payload)
}

fn any_method() -> impl Strategy<Value = Method> {
    proptest::strategy::Union::new(Method::strategies())
}

/// Goal: a method in a class's table cannot be forgotten in the enum over all classes, nor the
/// other way round, and both call it the same.
#[test]
fn the_enum_has_what_the_tables_have() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let from_enum: Vec<_> = Method::strategies()
        .iter()
        .map(|strategy| {
            let method = strategy.new_tree(&mut runner).unwrap().current();
            (method.class_id(), method.method_id(), method.name())
        })
        .collect();
    let from_tables: Vec<_> = tables().copied().collect();
    assert_eq!(from_enum, from_tables);
    assert_eq!(from_enum.len(), 66);
}

/// Methods are moved about a lot: none may make the enum large without notice.
#[test]
fn a_method_stays_small() {
    assert!(size_of::<Method>() <= 144, "{} octets", size_of::<Method>());
    assert_eq!(size_of::<crate::ShortString>(), 32);
}

#[test]
fn four_methods_have_content() {
    let with_content = [
        Method::from(basic::Publish::default()),
        basic::Return::default().into(),
        basic::Deliver::default().into(),
        basic::GetOk::default().into(),
    ];
    assert!(with_content.iter().all(Method::has_content));
    assert!(!Method::from(basic::Ack::default()).has_content());
}

#[test]
fn an_unknown_method_is_named() {
    let unknown = |class_id, method_id| Err(DecodeError::UnknownMethod { class_id, method_id });
    assert_eq!(Method::decode(&[0, 60, 0, 41]), unknown(60, 41));
    assert_eq!(Method::decode(&[0, 61, 0, 40]), unknown(61, 40));
    assert_eq!(Method::decode(&[0, 60, 0]), Err(DecodeError::Truncated));
}

#[test]
fn nine_bits_take_two_octets() {
    let mut out = BytesMut::new();
    let mut writer = argument::ArgumentWriter::new(&mut out);
    for bit in [true, false, true, false, false, false, false, true, true] {
        writer.write(&bit);
    }
    writer.write(&7_u8);
    writer.write(&true);
    assert_eq!(out[..], [0b1000_0101, 1, 7, 1]);

    let mut reader = argument::ArgumentReader::new(&out);
    let bits: Vec<bool> = (0..9).map(|_| reader.read().unwrap()).collect();
    assert_eq!(bits, [true, false, true, false, false, false, false, true, true]);
    assert_eq!(reader.read::<u8>(), Ok(7));
    assert_eq!(reader.read::<bool>(), Ok(true));
    assert_eq!(reader.finish(), Ok(()));
}

/// Reserved fields carry what old clients put there, and are passed over.
#[test]
fn reserved_fields_may_hold_anything() {
    let open = connection::Open::decode(b"\x01/\x03abc\x01").unwrap();
    assert_eq!(open.virtual_host, "/");
    let purge = queue::Purge::decode(b"\x12\x34\x01q\x01").unwrap();
    assert_eq!((purge.queue.as_bytes(), purge.no_wait), (b"q".as_slice(), true));
}

/// Goal: 64 rounds for each method by itself, so that none is left to chance.
#[test]
fn every_method_comes_back_as_it_was() {
    for strategy in Method::strategies() {
        let config = ProptestConfig::with_cases(64);
        proptest!(config, |(method in strategy)| {
            prop_assert_eq!(decode(&encode(&method)), Ok(method));
        });
    }
}

proptest! {
    #[test]
    fn every_cut_is_an_error(method in any_method()) {
        let frame = encode(&method);
        let payload = &frame[7..frame.len() - 1];
        for len in 0..payload.len() {
            prop_assert_eq!(Method::decode(&payload[..len]), Err(DecodeError::Truncated));
        }
    }

    #[test]
    fn a_publish_reads_the_same_borrowed(publish in basic::Publish::strategy(), cut in 0..99_usize) {
        let mut args = BytesMut::new();
        publish.encode_args(&mut args);
        let borrowed = basic::PublishRef::decode(&args).unwrap();
        prop_assert_eq!(borrowed.exchange, publish.exchange.as_bytes());
        prop_assert_eq!(borrowed.routing_key, publish.routing_key.as_bytes());
        prop_assert_eq!(borrowed.mandatory, publish.mandatory);
        prop_assert_eq!(borrowed.immediate, publish.immediate);
        let cut = &args[..cut.min(args.len())];
        prop_assert_eq!(
            basic::PublishRef::decode(cut).map(drop),
            basic::Publish::decode(cut).map(drop)
        );
    }

    #[test]
    fn octets_left_over_are_an_error(method in any_method(), extra in 1..4_usize) {
        let frame = encode(&method);
        let payload = [&frame[7..frame.len() - 1], &vec![0; extra]].concat();
        prop_assert_eq!(
            Method::decode(&payload),
            Err(DecodeError::TrailingBytes { count: extra })
        );
    }
}
