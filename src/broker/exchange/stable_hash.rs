//! Hashes that mean the same after a restart and on another machine.
//!
//! Which queue a key belongs to must outlive the process, so these are not seeded. They place
//! messages and nothing else: whoever picks keys for one place overfills one queue of his own, and
//! no lookup anywhere gets slower. Maps use seeded hashes.

/// The hash of some bytes: FNV-1a, with its bits mixed once more.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// A hash of several byte strings, one after the other.
pub(super) struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl StableHasher {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }

    pub(super) fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// Spreads the bits of a number over the whole word: the finaliser of splitmix64.
#[inline]
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// One of `count` places for a hash, all equally likely.
#[inline]
pub(super) fn place(hash: u64, count: usize) -> usize {
    // The high half of the product is less than `count`.
    ((u128::from(hash) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of these numbers moves the keys of everybody's queues.
    #[test]
    fn the_hash_is_what_it_always_was() {
        let known = ["", "a", "orders.eu"].map(|text| stable_hash(text.as_bytes()));
        assert_eq!(known, [0xf52a_15e9_a9b5_e89b, 0x02c0_bdbf_4814_20f8, 0xf1e3_629c_f802_cb0a]);
    }

    #[test]
    fn places_are_within_bounds_and_equally_likely() {
        let mut counts = [0; 7];
        for number in 0..70_000_u64 {
            counts[place(stable_hash(&number.to_be_bytes()), 7)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!((place(u64::MAX, 3), place(0, 3)), (2, 0));
    }
}
