//! Shares, weights, and what moves when a binding comes or goes.

use proptest::prelude::*;

use super::*;

fn name(target: u32) -> String {
    format!("queue-{target}")
}

fn matcher(weights: &[(u32, u32)]) -> ConsistentHashMatcher<u32> {
    let mut matcher = ConsistentHashMatcher::default();
    for (target, weight) in weights {
        let added =
            matcher.insert(weight.to_string().as_bytes(), name(*target).as_bytes(), *target);
        assert_eq!(added, Ok(true));
    }
    matcher
}

/// Where messages with this key go: exactly one place while there is a binding.
fn owner(matcher: &ConsistentHashMatcher<u32>, key: u64) -> Option<u32> {
    let mut owners = Vec::new();
    matcher.matches(stable_hash(&key.to_be_bytes()), &mut |target| owners.push(target));
    assert_eq!(owners.len(), usize::from(!matcher.is_empty()));
    owners.first().copied()
}

/// How many of so many keys go to each of the targets.
fn spread(matcher: &ConsistentHashMatcher<u32>, targets: u32, keys: u64) -> Vec<u32> {
    let mut counts = vec![0; targets as usize];
    for key in 0..keys {
        counts[owner(matcher, key).unwrap() as usize] += 1;
    }
    counts
}

#[test]
fn without_bindings_there_is_nowhere_to_go_and_nothing_is_kept() {
    let mut matcher = matcher(&[(1, 1)]);
    assert_eq!(owner(&matcher, 1), Some(1));
    assert!(matcher.remove(1) && !matcher.remove(1));
    assert_eq!(owner(&matcher, 1), None);
    assert_eq!(matcher.slots.capacity(), 0);
}

#[test]
fn equal_weights_get_equal_shares() {
    let matcher = matcher(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
    let counts = spread(&matcher, 5, 100_000);
    assert!(counts.iter().all(|count| (18_500..21_500).contains(count)), "{counts:?}");
}

#[test]
fn shares_follow_weights() {
    let matcher = matcher(&[(0, 1), (1, 2), (2, 7)]);
    let counts = spread(&matcher, 3, 100_000);
    for (count, share) in counts.iter().zip([10_000_u32, 20_000, 70_000]) {
        assert!(count.abs_diff(share) < 1_000, "{counts:?}");
    }
}

#[test]
fn a_huge_weight_is_a_number_like_any_other() {
    let mut matcher = matcher(&[(0, 1)]);
    let digits = [b'9'; 255];
    assert_eq!(matcher.insert(&digits, b"huge", 1), Ok(true));
    assert_eq!(spread(&matcher, 2, 1_000), [0, 1_000]);
    assert_eq!(matcher.insert(&digits, b"huge too", 2), Ok(true));
    let counts = spread(&matcher, 3, 10_000);
    assert!(counts[1] > 4_500 && counts[2] > 4_500, "{counts:?}");
}

#[test]
fn a_destination_bound_twice_counts_with_its_larger_weight() {
    let mut twice = matcher(&[(0, 1), (1, 3)]);
    assert_eq!(twice.insert(b"2", name(1).as_bytes(), 2), Ok(true));
    for key in 0..1_000 {
        assert_eq!(owner(&twice, key), owner(&matcher(&[(0, 1), (1, 3)]), key));
    }
    assert!(twice.remove(1));
    let counts = spread(&twice, 3, 10_000);
    assert!(counts[2].abs_diff(6_667) < 300, "the other binding is still there: {counts:?}");
}

#[test]
fn binding_keys_are_read_as_erlang_reads_integers() {
    for (key, expected) in [("1", 1.0), ("+1", 1.0), ("007", 7.0), ("1000", 1000.0)] {
        assert_eq!(weight(key.as_bytes()), Ok(expected));
    }
    for key in ["0", "-1", "-0", "+000"] {
        assert_eq!(weight(key.as_bytes()), Err(InvalidBinding::WeightNotPositive), "{key}");
    }
    for key in ["", "abc", "1.5", " 1", "1 ", "+", "--1"] {
        let shown = erlang_binary(key.as_bytes());
        assert_eq!(weight(key.as_bytes()), Err(InvalidBinding::WeightNotInteger(shown)), "{key}");
    }
}

#[test]
fn a_binding_that_can_not_be_made_changes_nothing() {
    let mut matcher = matcher(&[(0, 1)]);
    assert!(matcher.insert(b"x", b"other", 1).is_err());
    assert_eq!(matcher.insert(b"5", b"queue-0", 0), Ok(false));
    assert_eq!((matcher.len(), owner(&matcher, 1)), (1, Some(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Goal: a binding that comes takes keys from the others and moves none between them; when it
    /// goes, everything is as it was; and the order of the bindings plays no part.
    #[test]
    fn only_the_keys_of_the_binding_that_comes_or_goes_move(
        weights in prop::collection::vec(1_u32..20, 1..12),
        weight in 1_u32..20,
    ) {
        let mut bindings: Vec<(u32, u32)> = (0..).zip(weights).collect();
        let mut changing = matcher(&bindings);
        let before: Vec<_> = (0..2_000).map(|key| owner(&changing, key)).collect();
        let newcomer = 1_000;
        changing.insert(weight.to_string().as_bytes(), name(newcomer).as_bytes(), newcomer).unwrap();
        for (key, before) in (0..).zip(&before) {
            let after = owner(&changing, key);
            prop_assert!(after == *before || after == Some(newcomer));
        }
        bindings.push((newcomer, weight));
        bindings.reverse();
        let other_order = matcher(&bindings);
        for key in 0..2_000 {
            prop_assert_eq!(owner(&other_order, key), owner(&changing, key));
        }
        changing.remove(newcomer);
        for (key, before) in (0..).zip(&before) {
            prop_assert_eq!(owner(&changing, key), *before);
        }
    }
}
