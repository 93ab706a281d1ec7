//! What a headers exchange matches, by example and against its definition.

use amqp_codec::{FieldValue, ShortString};
use proptest::prelude::*;

use super::*;

fn text(text: &str) -> FieldValue {
    FieldValue::LongString(text.to_owned().into())
}

fn table<'a>(entries: impl IntoIterator<Item = (&'a str, FieldValue)>) -> FieldTable {
    entries.into_iter().map(|(name, value)| (ShortString::truncated(name), value)).collect()
}

/// Visits as they come, sorted: a target visited twice shows up twice.
fn visited(matcher: &HeadersMatcher<u32>, headers: &FieldTable) -> Vec<u32> {
    let mut targets = Vec::new();
    matcher.matches(headers, &mut |target| targets.push(target));
    targets.sort_unstable();
    targets
}

fn does_match(args: &FieldTable, headers: &FieldTable) -> bool {
    let mut matcher = HeadersMatcher::default();
    assert_eq!(matcher.insert(args, 0), Ok(true));
    match visited(&matcher, headers)[..] {
        [] => false,
        [0] => true,
        ref several => panic!("{args:?} visited {several:?} for {headers:?}"),
    }
}

#[test]
fn all_conditions_must_hold_unless_any_is_asked_for() {
    let both = [("format", text("pdf")), ("type", text("report"))];
    let pdf_log = table([("format", text("pdf")), ("type", text("log"))]);
    let pdf_report =
        table([("type", text("report")), ("size", text("a4")), ("format", text("pdf"))]);
    for x_match in [None, Some("all")] {
        let args =
            table(both.clone().into_iter().chain(x_match.map(|word| ("x-match", text(word)))));
        assert!(does_match(&args, &pdf_report));
        assert!(!does_match(&args, &pdf_log));
    }
    let any = table(both.into_iter().chain([("x-match", text("any"))]));
    assert!(does_match(&any, &pdf_report));
    assert!(does_match(&any, &pdf_log));
    assert!(!does_match(&any, &table([("format", text("zip"))])));
}

#[test]
fn names_that_start_with_x_count_only_when_asked_for() {
    let headers = table([("a", text("1")), ("x-b", text("2"))]);
    let args =
        |x_match, x_b| table([("a", text("1")), ("x-b", text(x_b)), ("x-match", text(x_match))]);
    assert!(does_match(&args("all", "other"), &headers));
    assert!(!does_match(&args("all-with-x", "other"), &headers));
    assert!(does_match(&args("all-with-x", "2"), &headers));
    let only_x = |x_match| table([("x-b", text("2")), ("x-match", text(x_match))]);
    assert!(!does_match(&only_x("any"), &headers));
    assert!(does_match(&only_x("any-with-x"), &headers));
}

#[test]
fn without_conditions_all_matches_every_message_and_any_matches_none() {
    let any = table([("x-match", text("any"))]);
    for headers in [table([]), table([("a", text("1"))])] {
        assert!(does_match(&table([]), &headers));
        assert!(does_match(&table([("x-match", text("all")), ("x-other", text("1"))]), &headers));
        assert!(!does_match(&any, &headers));
    }
}

#[test]
fn a_void_value_asks_for_presence() {
    let args = table([("a", FieldValue::Void)]);
    assert!(does_match(&args, &table([("a", text("whatever"))])));
    assert!(!does_match(&args, &table([("b", text("whatever"))])));
}

#[test]
fn a_binding_that_several_headers_speak_for_is_visited_once() {
    let args = [("a", text("1")), ("b", text("2")), ("c", FieldValue::Void)];
    let headers = table(args.clone());
    let any = table(args.into_iter().chain([("x-match", text("any"))]));
    assert!(does_match(&any, &headers));
    let doubled = table([("a", text("1")), ("a", text("1"))]);
    assert!(does_match(&table([("a", text("1"))]), &doubled));
}

#[test]
fn a_wrong_x_match_is_refused_and_leaves_nothing_behind() {
    let mut matcher = HeadersMatcher::default();
    let args = table([("a", text("1")), ("x-match", text("some"))]);
    assert!(matches!(matcher.insert(&args, 1), Err(InvalidXMatch::Value { .. })));
    assert!(!matcher.remove(&args, 1));
    assert!(matcher.is_empty() && visited(&matcher, &args).is_empty());
}

#[test]
fn removing_every_binding_leaves_nothing_behind() {
    let mut matcher = HeadersMatcher::default();
    let bindings = [
        table([]),
        table([("x-match", text("any"))]),
        table([("a", text("1"))]),
        table([("a", text("1")), ("b", FieldValue::Void)]),
        table([("a", text("1")), ("b", FieldValue::Void), ("x-match", text("any"))]),
    ];
    for args in &bindings {
        assert_eq!(matcher.insert(args, 1), Ok(true));
        assert_eq!(matcher.insert(args, 2), Ok(true));
        assert_eq!(matcher.insert(args, 1), Ok(false), "the same binding again changes nothing");
    }
    assert_eq!(matcher.len(), 10);
    for args in &bindings {
        assert!(!matcher.remove(args, 3));
        assert!(matcher.remove(args, 1) && matcher.remove(args, 2) && !matcher.remove(args, 2));
    }
    assert!(matcher.is_empty());
    assert!(matcher.conditions.is_empty() && matcher.rules.is_empty());
}

/// What a headers exchange means, in as few words as possible.
fn naive_match(args: &FieldTable, headers: &FieldTable) -> bool {
    let x_match = XMatch::of(args).unwrap();
    let mut conditions = args.iter().filter(|(name, _)| x_match.compares(name.as_bytes()));
    let holds = |(name, wanted): &(ShortString, FieldValue)| {
        headers.get(name).is_some_and(|value| *wanted == FieldValue::Void || wanted == value)
    };
    if x_match.needs_all() { conditions.all(holds) } else { conditions.any(holds) }
}

/// Few names and values, so that tables often agree. No name comes twice.
fn any_table() -> impl Strategy<Value = FieldTable> {
    let name = prop::sample::select(&["a", "b", "c", "x-d"][..]);
    let value = prop_oneof![
        Just(FieldValue::Void),
        (0..3_i32).prop_map(FieldValue::I32),
        prop::sample::select(&["1", "2"][..]).prop_map(text),
    ];
    prop::collection::btree_map(name, value, 0..5).prop_map(table)
}

fn any_args() -> impl Strategy<Value = FieldTable> {
    let words = &["all", "any", "all-with-x", "any-with-x"][..];
    (any_table(), prop::option::of(prop::sample::select(words))).prop_map(|(mut args, x_match)| {
        if let Some(word) = x_match {
            args.insert(ShortString::from_static("x-match"), text(word));
        }
        args
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Goal: after any inserts and removes the index visits exactly what the definition says. Each
    /// binding has a target of its own, as two bindings may differ in arguments that do not count.
    #[test]
    fn the_index_agrees_with_the_definition(
        args in prop::collection::vec(any_args(), 0..30),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        messages in prop::collection::vec(any_table(), 1..8),
    ) {
        let mut matcher = HeadersMatcher::default();
        let mut bindings: Vec<(u32, &FieldTable)> = (0..).zip(&args).collect();
        for (target, args) in &bindings {
            prop_assert_eq!(matcher.insert(args, *target), Ok(true));
        }
        for index in removed {
            if !bindings.is_empty() {
                let (target, args) = bindings.swap_remove(index.index(bindings.len()));
                prop_assert!(matcher.remove(args, target));
                prop_assert!(!matcher.remove(args, target));
            }
        }
        prop_assert_eq!(matcher.len(), bindings.len());
        bindings.sort_unstable_by_key(|(target, _)| *target);
        for headers in &messages {
            let expected: Vec<u32> = bindings
                .iter()
                .filter(|(_, args)| naive_match(args, headers))
                .map(|(target, _)| *target)
                .collect();
            prop_assert_eq!(visited(&matcher, headers), expected, "headers {:?}", headers);
        }
        for (target, args) in bindings {
            prop_assert!(matcher.remove(args, target));
        }
        prop_assert!(matcher.conditions.is_empty() && matcher.rules.is_empty());
    }
}
