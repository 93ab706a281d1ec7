//! Both maps, and what a crash leaves of the simulated one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::store::test_folder::TestFolder;

fn batch(pairs: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        match value {
            Some(value) => batch.put(key.as_bytes().to_vec(), value.as_bytes().to_vec()),
            None => batch.remove(key.as_bytes().to_vec()),
        }
    }
    batch
}

fn all(map: &dyn KeyValue) -> Vec<String> {
    let text = |pair: Result<Pair, StoreError>| {
        let (key, value) = pair.unwrap();
        format!("{}={}", String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
    };
    map.range(b"", b"~").map(text).collect()
}

fn assert_is_an_ordered_map(map: &dyn KeyValue) {
    map.apply(batch(&[("b", Some("2")), ("a", Some("1")), ("c", Some("3"))])).unwrap();
    map.apply(batch(&[("b", None), ("c", Some("4"))])).unwrap();
    map.flush().unwrap();
    assert_eq!(all(map), ["a=1", "c=4"]);
    assert_eq!(map.get(b"c").unwrap(), Some(b"4".to_vec()));
    assert_eq!(map.get(b"b").unwrap(), None);
    assert_eq!(map.range(b"a", b"c").count(), 1, "the end is not in it");
    assert_eq!(map.range(b"c", b"a").count(), 0);
}

#[test]
fn the_one_in_memory() {
    assert_is_an_ordered_map(&MemoryKeyValue::default());
}

#[test]
fn the_one_on_disk_is_there_again() {
    let folder = TestFolder::new("key-value");
    let map = SledKeyValue::open(folder.path(), 1 << 20).unwrap();
    assert_is_an_ordered_map(&map);
    drop(map);
    let map = SledKeyValue::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(all(&map), ["a=1", "c=4"]);
}

#[test]
fn large_values_are_there_again() {
    let folder = TestFolder::new("large");
    let large = "x".repeat(300_000);
    let map = SledKeyValue::open(folder.path(), 1 << 20).unwrap();
    for _ in 0..2 {
        map.apply(batch(&[("a", Some("1")), ("b", Some(&large))])).unwrap();
        map.flush().unwrap();
    }
    drop(map);
    let map = SledKeyValue::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(map.get(b"b").unwrap(), Some(large.into_bytes()));
    map.flush().unwrap();
}

#[test]
fn a_crash_loses_whole_batches_from_the_end() {
    let map = MemoryKeyValue::default();
    map.apply(batch(&[("a", Some("1"))])).unwrap();
    map.flush().unwrap();
    map.apply(batch(&[("a", None), ("b", Some("2"))])).unwrap();
    map.apply(batch(&[("c", Some("3"))])).unwrap();
    assert_eq!(all(&map.crash(0)), ["a=1"]);
    assert_eq!(all(&map.crash(1)), ["b=2"]);
    assert_eq!(all(&map.crash(2)), ["b=2", "c=3"]);
    assert_eq!(all(&map.crash(3)), ["a=1"]);
}

#[test]
fn a_fault_happens_once_and_changes_nothing() {
    let map = MemoryKeyValue::default();
    map.fail_after(1);
    map.apply(batch(&[("a", Some("1"))])).unwrap();
    assert!(map.apply(batch(&[("b", Some("2"))])).is_err());
    assert_eq!(all(&map), ["a=1"]);
    map.apply(batch(&[("b", Some("2"))])).unwrap();
    assert_eq!(all(&map), ["a=1", "b=2"]);
}

#[test]
fn the_end_of_a_prefix() {
    assert_eq!(after_prefix(b"ab"), b"ac");
    assert_eq!(after_prefix(&[1, 0xFF]), [2]);
    assert_eq!(after_prefix(&[0xFF]), [0xFF, 0xFF]);
}

/// A folder on a disk of four megabytes: set by [`on_a_small_disk`] for the process that it starts.
const SMALL_DISK: &str = "LEVERET_SMALL_DISK";

/// Runs this test once more, in a process that sees a small disk; `false` where the system lets nobody
/// mount one.
fn on_a_small_disk(test: &str) -> bool {
    let folder = TestFolder::new("small-disk");
    let run = "mount -t tmpfs -o size=4m none \"$0\" && exec \"$@\"";
    let program = std::env::current_exe().unwrap();
    let unshare = |command: &[&str]| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", run])
            .arg(folder.path())
            .args(command)
            .env(SMALL_DISK, folder.path())
            .output()
    };
    if !unshare(&["true"]).is_ok_and(|it| it.status.success()) {
        return false;
    }
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = unshare(&[program.to_str().unwrap(), "--exact", &test]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    true
}

#[test]
fn the_one_on_disk_goes_on_when_there_is_room_again() {
    let Some(folder) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else {
        if !on_a_small_disk("the_one_on_disk_goes_on_when_there_is_room_again") {
            eprintln!("not tested: no small disk can be mounted here");
        }
        return;
    };
    let filler = folder.join("filler");
    fs::write(&filler, vec![0; 2 << 20]).unwrap();
    let map = SledKeyValue::open(folder.join("index"), 1 << 16).unwrap();
    // Hardly to be compressed, and each in the place of no other.
    let value = |number: u64| -> Vec<u8> {
        (0..5000_u64).map(|it| (it.wrapping_mul(number + 7) >> 3) as u8).collect()
    };
    let put = |number: u64| {
        let mut batch = Batch::default();
        batch.put(number.to_be_bytes().to_vec(), value(number));
        map.apply(batch).and_then(|()| map.flush())
    };
    let full = (0..1000).find_map(|number| Some((number, put(number).err()?)));
    let (count, error) = full.expect("the disk is full");
    assert!(error.is_disk_full(), "{error}");
    assert!(count > 50, "{count}");
    // As long as there is none, it says the same.
    let error = put(count).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    fs::remove_file(&filler).unwrap();
    put(count).expect("there is room");
    for number in 0..=count {
        let found = map.get(&number.to_be_bytes()).unwrap();
        assert!(found == Some(value(number)), "{number} of {count}");
    }
    assert_eq!(map.range(&[], &[u8::MAX]).count() as u64, count + 1);
}
