//! The window against a list, and what its bounds do.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[expect(clippy::disallowed_methods)]
fn origin() -> Instant {
    Instant::now()
}

const SECOND: Duration = Duration::from_secs(1);

fn keys(window: &DeduplicationWindow, now: Instant) -> Vec<String> {
    window.iter(now).map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
}

#[test]
fn a_key_is_new_once() {
    let now = origin();
    let mut window = DeduplicationWindow::new(10);
    assert!(window.insert(b"a", None, now));
    assert!(!window.insert(b"a", None, now));
    assert!(window.contains(b"a", now) && !window.contains(b"b", now));
    assert!(window.remove(b"a") && !window.remove(b"a"));
    assert!(window.is_empty() && window.insert(b"a", None, now));
}

#[test]
fn the_oldest_goes_first() {
    let now = origin();
    let mut window = DeduplicationWindow::new(3);
    for key in ["a", "b", "c", "a", "d"] {
        window.insert(key.as_bytes(), None, now);
    }
    assert_eq!(keys(&window, now), ["b", "c", "d"], "to be seen again does not make young");
    window.remove(b"c");
    window.insert(b"e", None, now);
    assert_eq!(keys(&window, now), ["b", "d", "e"]);
}

#[test]
fn every_key_has_a_time_of_its_own_and_a_duplicate_does_not_extend_it() {
    let now = origin();
    let mut window = DeduplicationWindow::new(10);
    window.insert(b"short", Some(SECOND), now);
    window.insert(b"long", Some(3 * SECOND), now);
    window.insert(b"ever", None, now);
    window.insert(b"none", Some(Duration::ZERO), now);
    assert!(window.insert(b"none", None, now), "no time at all is no memory");
    assert!(!window.insert(b"short", Some(9 * SECOND), now));
    let later = now + SECOND;
    assert!(!window.contains(b"short", later) && window.contains(b"long", later));
    assert_eq!(keys(&window, later), ["long", "ever", "none"]);
    assert!(window.insert(b"short", None, later), "as new, and youngest");
    assert_eq!(keys(&window, later), ["long", "ever", "none", "short"]);
    assert!(!window.insert(b"ever", None, later + 1_000_000 * SECOND));
}

#[test]
fn a_time_that_no_clock_can_show_is_for_ever() {
    let now = origin();
    let mut window = DeduplicationWindow::new(1);
    window.insert(b"a", Some(Duration::MAX), now);
    assert_eq!(window.iter(now).next(), Some((b"a".as_slice(), None)));
}

#[test]
fn keys_whose_time_is_over_make_room_before_live_ones() {
    let now = origin();
    let mut window = DeduplicationWindow::new(100);
    window.insert(b"ever", None, now);
    for key in 0..50_u32 {
        window.insert(&key.to_be_bytes(), Some(SECOND), now);
    }
    let later = now + SECOND;
    for key in 1_000..1_080_u32 {
        window.insert(&key.to_be_bytes(), None, later);
    }
    assert_eq!(window.len(), 81, "the sweep has found them all");
    assert!(window.contains(b"ever", later));
}

#[test]
fn long_keys_are_bounded_together() {
    let now = origin();
    let mut window = DeduplicationWindow { key_bytes_max: 10, ..DeduplicationWindow::new(100) };
    for key in ["aaaa", "bbbb", "cccc"] {
        assert!(window.insert(key.as_bytes(), None, now));
    }
    assert_eq!(keys(&window, now), ["bbbb", "cccc"]);
    assert!(window.insert(b"longer than allowed", None, now), "one is always held");
    assert_eq!(window.len(), 1);
    window.clear();
    assert_eq!((window.len(), window.capacity(), window.key_bytes), (0, 100, 0));
}

#[test]
fn what_a_store_kept_is_taken_back_with_the_time_that_was_left() {
    let now = origin();
    let mut window = DeduplicationWindow::new(10);
    window.insert(b"over", Some(SECOND), now);
    window.insert(b"left", Some(3 * SECOND), now);
    window.insert(b"ever", None, now);
    let saved_at = now + SECOND;
    let saved: Vec<(Vec<u8>, _)> =
        window.iter(saved_at).map(|(key, ttl)| (key.to_vec(), ttl)).collect();
    assert_eq!(saved, [(b"left".to_vec(), Some(2 * SECOND)), (b"ever".to_vec(), None)]);
    let restart = now + 100 * SECOND;
    let mut restored = DeduplicationWindow::new(10);
    restored.restore(saved, restart);
    assert_eq!(keys(&restored, restart), ["left", "ever"]);
    assert_eq!(keys(&restored, restart + 2 * SECOND), ["ever"]);
}

proptest! {
    /// Goal: without sweeping being visible, the window behaves as a list of the last live keys.
    #[test]
    fn behaves_like_a_list(
        capacity in 1_usize..6,
        steps in prop::collection::vec((0_u8..3, 0_u8..8, 0_u64..6), 0..200),
    ) {
        let start = origin();
        let mut window = DeduplicationWindow::new(capacity);
        let mut model: VecDeque<(u8, Instant)> = VecDeque::new();
        for (step, (what, key, time)) in (0_u32..).zip(steps) {
            let now = start + step * SECOND;
            model.retain(|(_, expires)| *expires > now);
            match what {
                0 => {
                    let was_known = model.iter().any(|(known, _)| *known == key);
                    let forgot = window.contains(&[key], now) != was_known;
                    // A key whose time is over may still hold a place for a while; then a live one
                    // went early. It never stays longer than it should.
                    prop_assert!(!forgot || was_known);
                    prop_assert_eq!(window.remove(&[key]) && was_known && !forgot, was_known && !forgot);
                    model.retain(|(known, _)| *known != key);
                }
                _ => {
                    let ttl = Duration::from_secs(time);
                    let is_new = window.insert(&[key], Some(ttl), now);
                    let was_known = model.iter().any(|(known, _)| *known == key);
                    prop_assert!(is_new || was_known);
                    if is_new {
                        model.retain(|(known, _)| *known != key);
                        model.push_back((key, now + ttl));
                        while model.len() > capacity {
                            model.pop_front();
                        }
                    }
                }
            }
            prop_assert!(window.len() <= capacity);
            prop_assert_eq!(window.len(), window.by_key.len());
            prop_assert_eq!(window.key_bytes, window.len());
        }
    }

    /// Goal: with one time to live for all, as an exchange without the header has it, exactly the
    /// last live keys are known.
    #[test]
    fn with_one_time_to_live_it_is_exact(
        capacity in 1_usize..6,
        keys in prop::collection::vec(0_u8..8, 0..200),
    ) {
        let start = origin();
        let ttl = 4 * SECOND;
        let mut window = DeduplicationWindow::new(capacity);
        let mut model: VecDeque<(u8, Instant)> = VecDeque::new();
        for (step, key) in (0_u32..).zip(keys) {
            let now = start + step * SECOND;
            model.retain(|(_, expires)| *expires > now);
            let is_new = !model.iter().any(|(known, _)| *known == key);
            prop_assert_eq!(window.insert(&[key], Some(ttl), now), is_new);
            if is_new {
                model.push_back((key, now + ttl));
                while model.len() > capacity {
                    model.pop_front();
                }
            }
            let held: Vec<u8> = window.iter(now).map(|(key, _)| key[0]).collect();
            prop_assert_eq!(held, model.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        }
    }
}
