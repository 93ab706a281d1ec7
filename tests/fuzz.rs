//! The entries of the fuzz targets in `fuzz/`, on random input that is the same each time.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

#[path = "../fuzz/entries/segment.rs"]
mod segment;

#[test]
fn any_bytes_as_a_segment_are_recovered_or_refused() {
    let mut random = StdRng::seed_from_u64(0x10ad);
    for _ in 0..2_000 {
        let mut input = vec![0; random.random_range(0..200)];
        random.fill_bytes(&mut input);
        segment::recover(&input);
    }
}
