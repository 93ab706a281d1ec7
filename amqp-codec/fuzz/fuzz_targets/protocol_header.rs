//! The first octets of a connection, as they arrive one by one.
#![no_main]

use amqp_codec::ProtocolHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let early = (0..=input.len()).find_map(|len| ProtocolHeader::parse(&input[..len]));
    let whole = ProtocolHeader::parse(input);
    // More octets fill an unknown header up, but never change what it is.
    match (early, whole) {
        (Some(ProtocolHeader::Other(_)), Some(ProtocolHeader::Other(_))) => {}
        _ => assert_eq!(early, whole),
    }
});
