//! The entries of a table, decoded whole and looked up in place.
#![no_main]

use amqp_codec::{FieldTable, RawTable};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|entries: &[u8]| {
    let walked = RawTable(entries).iter().all(|entry| entry.is_ok());
    let Ok(table) = FieldTable::decode_entries(entries) else { return };
    assert!(walked);
    let mut written = BytesMut::new();
    table.encode(&mut written);
    // Every type has one form on the wire, and `L` and `l` are of the same size.
    assert_eq!(written.len(), entries.len() + 4);
    assert_eq!(FieldTable::decode(&written).expect("own bytes").len(), table.len());
    for (name, _) in &table {
        assert!(RawTable(entries).get(name).expect("decoded before").is_some());
    }
});
