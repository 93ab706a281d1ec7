//! What a topic exchange matches, by example and against its definition.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn matcher(patterns: &[&str]) -> TopicMatcher<u32> {
    let mut matcher = TopicMatcher::default();
    for (target, pattern) in (0..).zip(patterns) {
        matcher.insert(pattern.as_bytes(), target);
    }
    matcher
}

/// Visits as they come, sorted: a target visited twice shows up twice.
fn visited(matcher: &TopicMatcher<u32>, key: &str) -> Vec<u32> {
    let mut targets = Vec::new();
    matcher.matches(key.as_bytes(), &mut |target| targets.push(target));
    targets.sort_unstable();
    targets
}

fn does_match(pattern: &str, key: &str) -> bool {
    match visited(&matcher(&[pattern]), key)[..] {
        [] => false,
        [0] => true,
        ref several => panic!("'{pattern}' visited {several:?} for '{key}'"),
    }
}

#[test]
fn a_star_stands_for_exactly_one_word() {
    assert!(does_match("stock.*.nyse", "stock.usd.nyse"));
    assert!(!does_match("stock.*.nyse", "stock.nyse"));
    assert!(!does_match("stock.*.nyse", "stock.usd.eur.nyse"));
    assert!(!does_match("*", "stock.usd"));
    assert!(does_match("*.*", "stock.usd"));
}

#[test]
fn a_hash_stands_for_any_number_of_words() {
    for key in ["stock", "stock.usd", "stock.usd.nyse", "stock."] {
        assert!(does_match("stock.#", key), "{key}");
    }
    assert!(!does_match("stock.#", "stocks"));
    assert!(does_match("#.nyse", "nyse"));
    assert!(does_match("#.nyse", "stock.usd.nyse"));
    assert!(!does_match("#.nyse", "stock.nyse.usd"));
    assert!(does_match("a.#.z", "a.z") && does_match("a.#.z", "a.b.c.z"));
}

#[test]
fn the_empty_routing_key_has_no_words() {
    for pattern in ["", "#", "#.#"] {
        assert!(does_match(pattern, ""), "{pattern}");
    }
    for pattern in ["*", "*.#", "#.*", "a", "."] {
        assert!(!does_match(pattern, ""), "{pattern}");
    }
}

#[test]
fn the_empty_binding_key_matches_the_empty_routing_key_only() {
    for key in ["a", ".", "a.b"] {
        assert!(!does_match("", key), "{key}");
    }
}

#[test]
fn empty_words_count_as_words() {
    assert!(does_match("a.*.b", "a..b"));
    assert!(does_match("a..b", "a..b"));
    assert!(!does_match("a.b", "a..b"));
    assert!(does_match("*.*", "."));
    assert!(does_match("a.*", "a."));
    assert!(!does_match("a", "a."));
}

#[test]
fn wildcards_in_a_routing_key_are_plain_words() {
    assert!(!does_match("a.b", "a.*"));
    assert!(does_match("a.*", "a.#"));
    assert!(!does_match("a.b.c", "a.#"));
}

#[test]
fn a_wildcard_is_a_whole_word_only() {
    assert!(does_match("a*.b#", "a*.b#"));
    assert!(!does_match("a*", "ab"));
    assert!(!does_match("a#", "ab"));
}

#[test]
fn every_matching_binding_key_is_visited_once() {
    let matcher = matcher(&["a.b", "a.*", "a.#", "#", "#.b", "#.#", "*.*", "a.#.b", "b.#", "*"]);
    assert_eq!(visited(&matcher, "a.b"), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(visited(&matcher, "b"), [3, 4, 5, 8, 9]);
}

#[test]
fn one_target_under_several_matching_keys_is_visited_for_each() {
    let mut matcher = TopicMatcher::default();
    for pattern in ["a.*", "a.#", "x"] {
        assert!(matcher.insert(pattern.as_bytes(), 7));
    }
    assert!(!matcher.insert(b"a.*", 7), "the same binding again changes nothing");
    assert_eq!(visited(&matcher, "a.b"), [7, 7]);
    assert_eq!(matcher.len(), 3);
}

/// Goal: `#` upon `#` cannot make one message cost more than words × nodes, and every path that
/// reaches a binding counts once. With naive backtracking this test would not end.
#[test]
fn many_hashes_in_a_key_do_not_multiply_the_work() {
    let pattern = "#.a.".repeat(30) + "#";
    let only_hashes = "#.".repeat(60) + "#";
    let never = "#.a.".repeat(30) + "#.b";
    let matcher = matcher(&[&pattern, &only_hashes, &never]);
    let key = vec!["a"; 120].join(".");
    assert_eq!(visited(&matcher, &key), [0, 1]);
    assert_eq!(visited(&matcher, &(key + ".b")), [0, 1, 2]);
}

#[test]
fn removing_a_binding_prunes_what_only_it_needed() {
    let patterns = ["a.b.c", "a.b", "a.*.#.d", "#", "", "a.x", "a.y"];
    let mut matcher = matcher(&patterns);
    assert!(!matcher.remove(b"a.b.z", 0) && !matcher.remove(b"a.b.c", 9));
    assert!(!matcher.remove(b"a", 0), "a node on the way to others is not a binding");
    assert!(matcher.remove(b"a.b.c", 0));
    assert_eq!(visited(&matcher, "a.b.c"), [3]);
    assert_eq!(visited(&matcher, "a.b"), [1, 3]);
    for (target, pattern) in (1..).zip(&patterns[1..]) {
        assert!(matcher.remove(pattern.as_bytes(), target), "{pattern}");
    }
    assert!(matcher.is_empty());
    assert_eq!(matcher.nodes.live(), 1);
}

#[test]
fn a_node_takes_at_most_56_bytes() {
    assert!(size_of::<Node<u32>>() <= 56, "{}", size_of::<Node<u32>>());
}

/// What a topic exchange means, in as few words as possible.
fn naive_match(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => {
            naive_match(rest, key) || (!key.is_empty() && naive_match(pattern, &key[1..]))
        }
        (["*", rest @ ..], [_, words @ ..]) => naive_match(rest, words),
        ([part, rest @ ..], [word, words @ ..]) if part == word => naive_match(rest, words),
        _ => false,
    }
}

fn split(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

/// Few distinct words and many wildcards, so that keys often match in more ways than one.
fn key_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(words), 0..7).prop_map(|words| words.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Goal: after any inserts and removes the trie visits exactly what the definition says.
    #[test]
    fn the_trie_agrees_with_the_definition(
        steps in prop::collection::vec(
            (prop::bool::weighted(0.7), key_of(&["a", "b", "", "*", "#", "#"]), 0_u32..3),
            0..60,
        ),
        keys in prop::collection::vec(key_of(&["a", "b", "", "c", "*"]), 1..8),
    ) {
        let mut trie = TopicMatcher::default();
        let mut bindings = BTreeMap::new();
        for (insert, pattern, target) in &steps {
            let binding = (pattern.clone(), *target);
            if *insert {
                prop_assert_eq!(
                    trie.insert(pattern.as_bytes(), *target),
                    bindings.insert(binding, ()).is_none()
                );
            } else {
                prop_assert_eq!(
                    trie.remove(pattern.as_bytes(), *target),
                    bindings.remove(&binding).is_some()
                );
            }
        }
        prop_assert_eq!(trie.len(), bindings.len());
        for key in &keys {
            let mut expected: Vec<u32> = bindings
                .keys()
                .filter(|(pattern, _)| naive_match(&split(pattern), &split(key)))
                .map(|(_, target)| *target)
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(visited(&trie, key), expected, "key '{}'", key);
        }
        for (pattern, target) in bindings.into_keys() {
            trie.remove(pattern.as_bytes(), target);
        }
        prop_assert_eq!(trie.nodes.live(), 1);
    }
}
