//! The window against a list, and what its bounds do.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::super::persist::{Persist, QueueRecord};
use super::super::queue_cell::QueueId;
use super::super::stored_key::{Kind, StoredKey};
use super::super::time::{Epoch, Timestamp};
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

/// A store of keys and values alone.
#[derive(Debug, Default)]
struct Shelf(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Shelf {
    /// What a window kept, as it is read after a restart.
    fn kept(&self) -> Vec<KeptKey> {
        let pairs = self.0.lock();
        let kept = pairs.iter().map(|(key, value)| KeptKey::decode(&key[9..], value));
        kept.map(|kept| kept.expect("what was put")).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut kept = self.kept();
        kept.sort_by_key(|kept| kept.order);
        kept.iter().map(|kept| String::from_utf8_lossy(&kept.key).into_owned()).collect()
    }
}

impl Persist for Shelf {
    fn record(&self, _queue: QueueId, _records: &mut Vec<QueueRecord>) {}

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        assert!(self.0.lock().insert(key, value).is_none(), "put twice");
    }

    fn remove(&self, key: Vec<u8>) {
        assert!(self.0.lock().remove(&key).is_some(), "removed and was not there");
    }

    fn keeps_messages(&self) -> bool {
        true
    }
}

fn kept_window(capacity: usize, shelf: &Arc<Shelf>, epoch: Epoch) -> DeduplicationWindow {
    let mut window = DeduplicationWindow::new(capacity);
    let prefix = StoredKey::new(Kind::SeenByQueue).number(7);
    window.keep(KeptKeys::new(prefix, Arc::<Shelf>::clone(shelf), epoch));
    window
}

#[test]
fn a_key_is_stored_when_its_message_is_and_as_long_as_it_is_known() {
    let now = origin();
    let shelf = Arc::<Shelf>::default();
    let mut window = kept_window(3, &shelf, Epoch::new(now, 1_000));
    window.insert(b"a", None, now);
    assert!(shelf.names().is_empty(), "its message may get lost yet");
    for key in [b"a", b"a", b"x"] {
        window.write_down(key);
    }
    assert_eq!(shelf.names(), ["a"]);
    for key in [b"b", b"c", b"d"] {
        assert!(window.insert(key, Some(SECOND), now));
    }
    window.write_down(b"d");
    window.write_down(b"c");
    assert_eq!(shelf.names(), ["d", "c"], "the oldest was pushed out, and one not written down");
    assert!(window.remove(b"d") && window.remove(b"b"));
    assert_eq!(shelf.names(), ["c"]);
    assert!(window.insert(b"e", None, now + SECOND));
    assert!(shelf.names().is_empty(), "its time was over");
    window.write_down(b"e");
    window.clear();
    assert!(shelf.0.lock().is_empty());
}

#[test]
fn what_a_store_kept_is_taken_back_with_the_time_that_was_left() {
    let now = origin();
    let shelf = Arc::<Shelf>::default();
    let mut window = kept_window(10, &shelf, Epoch::new(now, 1_000));
    for (key, ttl) in [("z", None), ("over", Some(SECOND)), ("left", Some(3 * SECOND)), ("a", None)]
    {
        window.insert(key.as_bytes(), ttl, now);
        window.write_down(key.as_bytes());
    }
    drop(window);
    let restart = now + 100 * SECOND;
    // The calendar went on by a second.
    let mut restored = kept_window(2, &shelf, Epoch::new(restart, 2_000));
    restored.restore(shelf.kept(), restart);
    assert_eq!(keys(&restored, restart), ["left", "a"], "there is less room now");
    assert_eq!(shelf.names(), ["left", "a"]);
    assert_eq!(restored.iter(restart).next(), Some((&b"left"[..], Some(2 * SECOND))));
    assert!(restored.insert(b"new", None, restart));
    restored.write_down(b"new");
    assert_eq!(shelf.names(), ["a", "new"], "numbers go on");
}

#[test]
fn values_of_a_wrong_length_are_no_keys() {
    assert_eq!(KeptKey::decode(b"k", &[0; 8]).map(|kept| kept.expires), Some(Timestamp::NEVER));
    for wrong in [0, 7, 9, 15, 17] {
        assert_eq!(KeptKey::decode(b"k", &vec![0; wrong]), None);
    }
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
