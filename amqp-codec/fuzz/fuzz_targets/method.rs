//! The payload of a method frame.
#![no_main]

use amqp_codec::method::basic;
use amqp_codec::{ChannelId, FRAME_HEAD_SIZE, Method, method_ids};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(method) = Method::decode(payload) else { return };
    assert_eq!(method_ids(payload), Ok((method.class_id(), method.method_id())));
    if let Method::BasicPublish(publish) = &method {
        let borrowed = basic::PublishRef::decode(&payload[4..]).expect("the same rules");
        assert_eq!(borrowed.routing_key, publish.routing_key.as_bytes());
    }
    // Written and read again it is written the same; not compared as a value, because of NaN.
    let mut frame = BytesMut::new();
    method.encode(ChannelId(1), &mut frame);
    let again = Method::decode(&frame[FRAME_HEAD_SIZE..frame.len() - 1]).expect("own bytes");
    let mut rewritten = BytesMut::new();
    again.encode(ChannelId(1), &mut rewritten);
    assert_eq!(frame, rewritten);
});
