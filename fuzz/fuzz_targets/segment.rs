//! Arbitrary bytes as a segment of the log never panic its recovery.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../entries/segment.rs"]
mod segment;

fuzz_target!(|input: &[u8]| segment::recover(input));
