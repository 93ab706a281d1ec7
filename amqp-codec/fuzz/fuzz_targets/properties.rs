//! The payload of a content header frame.
#![no_main]

use amqp_codec::{BasicProperties, ContentHeader, PropertiesRef, RawContentHeader};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(raw) = RawContentHeader::parse(payload) else { return };
    let borrowed =
        PropertiesRef::parse(raw.properties).and_then(|properties| properties.to_owned());
    let header = ContentHeader::decode(payload);
    assert_eq!(borrowed.is_ok(), header.is_ok());
    let Ok(properties) = borrowed else { return };
    let mut written = BytesMut::new();
    properties.encode(&mut written);
    assert!(written.len() <= raw.properties.len());
    let mut rewritten = BytesMut::new();
    BasicProperties::decode(&written).expect("own bytes").encode(&mut rewritten);
    assert_eq!(written, rewritten);
});
