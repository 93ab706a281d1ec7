//! A directory that a store left: checked, read, and with its index lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Map;

use super::super::test_folder::TestFolder;
use super::super::{
    CheckpointRule, Confirmation, Durability, DurableOptions, DurableStore, Pair, SnapshotForm,
    Store,
};
use super::*;
use crate::broker::message::{Message, MessageParts};
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::time::Timestamp;

const QUEUE: QueueId = QueueId(5);
const PREFIXES: &[&[u8]] = &[b"queue "];

fn numbers(pairs: &[Pair]) -> Vec<QueueId> {
    let number = |(key, _): &Pair| key.strip_prefix(b"queue ")?.first().copied();
    pairs.iter().filter_map(number).map(|number| QueueId(number.into())).collect()
}

fn definition(QueueId(queue): QueueId) -> Pair {
    (vec![b'q', b'u', b'e', b'u', b'e', b' ', queue as u8], b"defined".to_vec())
}

fn form() -> RebuildForm {
    let adopt = |queue| vec![definition(queue)];
    RebuildForm { prefixes: PREFIXES, queues: numbers, adopt }
}

#[expect(clippy::disallowed_methods, reason = "the store's clock, which decides nothing here")]
fn clock() -> Instant {
    Instant::now()
}

/// Small segments, and a checkpoint whenever one can begin.
fn open(dir: &Path) -> DurableStore {
    let options = DurableOptions {
        durability: Durability::Os,
        disk_free_limit: 0,
        checkpoint: CheckpointRule { bytes: 1, interval: Duration::ZERO },
        log: LogOptions { segment_bytes: 2048, ahead_bytes: 4096, open_max: 2 },
        clock,
    };
    let (store, _) = DurableStore::open(dir, options).unwrap();
    store.keep_snapshot(dir, SnapshotForm { prefixes: PREFIXES, readable: |_| Map::new() });
    store
}

struct Told(Sender<()>);

impl Confirmation for Told {
    fn durable(self: Box<Self>) {
        self.0.send(()).unwrap();
    }
}

/// Waits until all that was recorded is written.
fn written(store: &DurableStore) {
    let (tell, told) = channel();
    store.when_durable(Box::new(Told(tell)));
    told.recv().unwrap();
}

fn body(position: u64) -> String {
    format!("message {position} {}", "x".repeat(60))
}

fn message(position: u64) -> Message {
    Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 2,
        bytes: &[b"\0\0", body(position).as_bytes()].concat(),
        segments: &[],
        persistent: true,
        priority: 0,
        extras: None,
    })
}

fn enter(store: &DurableStore, positions: std::ops::Range<u64>) {
    let entered = |at| QueueRecord::Entered {
        position: Position(at),
        message: message(at),
        expires: Timestamp::NEVER,
        due: (at % 10 == 9).then_some(Timestamp(at)),
    };
    store.record(QUEUE, &mut positions.map(entered).collect());
}

fn settle(store: &DurableStore, positions: impl Iterator<Item = u64>) {
    store.record(QUEUE, &mut positions.map(|at| QueueRecord::Settled(Position(at))).collect());
}

/// Traffic of several processes: of each hundred messages ten stay. The segments of most are given up.
fn traffic(dir: &Path) -> BTreeSet<u64> {
    for round in 0..6 {
        let store = open(dir);
        if round == 0 {
            let (key, value) = definition(QUEUE);
            store.put(key, value);
            store.put(b"seen".to_vec(), b"1".to_vec());
        }
        let start = round * 100;
        enter(&store, start..start + 100);
        written(&store);
        settle(&store, (start..start + 100).filter(|at| at % 10 < 9));
        written(&store);
        store.close().unwrap();
    }
    (0..600).filter(|at| at % 10 == 9).collect()
}

fn found(dir: &Path) -> BTreeMap<u64, String> {
    let store = OfflineStore::open(dir).unwrap();
    let (mut found, mut last) = (BTreeMap::new(), None);
    store
        .each_message(QUEUE, &mut |entry: OfflineMessage| {
            assert!(last < Some(entry.position), "in order");
            last = Some(entry.position);
            let body = entry.message?.inline_body().to_vec();
            found.insert(entry.position.0, String::from_utf8(body).unwrap());
            Ok::<(), StoreError>(())
        })
        .unwrap();
    found
}

fn files(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut open = vec![dir.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_check_finds_everything_and_changes_nothing() {
    let folder = TestFolder::new("offline");
    let expected = traffic(folder.path());
    let before = files(folder.path());
    let report = check(folder.path()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let queue = report.queues[0];
    assert_eq!((queue.id, queue.scheduled, queue.next_position), (QUEUE, 60, 600));
    assert_eq!(report.values.len(), 2);
    let live: u64 = report.live.iter().map(|(_, live)| live.references).sum();
    assert_eq!(live, 60);
    assert_eq!(found(folder.path()).into_keys().collect::<BTreeSet<_>>(), expected);
    assert!(files(folder.path()) == before, "nothing was written");
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let folder = TestFolder::new("offline");
    let store = open(folder.path());
    assert!(matches!(check(folder.path()), Err(StoreError::InUse { .. })));
    store.close().unwrap();
    drop(store);
    assert!(check(folder.path()).unwrap().problems.is_empty());
}

#[test]
fn a_bad_byte_is_found_with_file_and_offset() {
    let folder = TestFolder::new("offline");
    let store = open(folder.path());
    enter(&store, 0..3);
    written(&store);
    store.close().unwrap();
    drop(store);
    let path = folder.path().join("log").read_dir().unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|window| window == b"message 1").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let problems = check(folder.path()).unwrap().problems;
    assert_eq!(problems.len(), 2, "the frame and the message in it: {problems:#?}");
    for problem in &problems {
        assert!(problem.contains(&format!("{} is damaged at byte ", path.display())), "{problem}");
    }
    assert!(problems[1].starts_with("message 1 of queue 5: "), "{problems:#?}");
}

#[test]
fn a_lost_index_is_rebuilt_from_the_log_and_the_snapshot() {
    let folder = TestFolder::new("offline");
    let expected = traffic(folder.path());
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let options = DurableOptions {
        durability: Durability::Os,
        disk_free_limit: 0,
        checkpoint: CheckpointRule::default(),
        log: LogOptions::default(),
        clock,
    };
    let refused = DurableStore::open(folder.path(), options).unwrap_err();
    assert!(matches!(refused, StoreError::NoIndex { .. }), "{refused}");
    assert!(refused.to_string().contains("leveret store rebuild"), "{refused}");
    // What was tried left an empty index.
    let rebuilt = rebuild(folder.path(), &form(), false).unwrap();
    assert_eq!(rebuilt.snapshot, Ok(1));
    assert_eq!((rebuilt.dropped, rebuilt.adopted), (Vec::new(), Vec::new()));
    let (there, last) = (rebuilt.log.segments.len(), rebuilt.log.segments.last().unwrap().id.0);
    assert!(there < last as usize, "segments were given up before");
    let found = found(folder.path());
    assert!(expected.iter().all(|at| found.get(at) == Some(&body(*at))), "none is missing");
    let (store, recovered) = DurableStore::open(folder.path(), options).unwrap();
    assert!(recovered.values.contains(&definition(QUEUE)));
    assert!(recovered.queues[0].1.next_position >= 600);
    store.close().unwrap();
    drop(store);
    assert_eq!(check(folder.path()).unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_rebuild_steps_over_a_bad_frame_and_keeps_what_follows() {
    let folder = TestFolder::new("offline");
    let store = open(folder.path());
    let (key, value) = definition(QUEUE);
    store.put(key, value);
    for at in 0..5 {
        enter(&store, at..at + 1);
        written(&store);
    }
    store.close().unwrap();
    drop(store);
    let path = folder.path().join("log").read_dir().unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|window| window == b"message 1").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let rebuilt = rebuild(folder.path(), &form(), false).unwrap();
    assert_eq!((rebuilt.messages, rebuilt.log.problems.len()), (4, 1), "{rebuilt:?}");
    // A broker that starts on it cuts nothing off.
    drop(open(folder.path()));
    assert_eq!(found(folder.path()).into_keys().collect::<Vec<_>>(), [0, 2, 3, 4]);
}

#[test]
fn without_a_snapshot_queues_that_nobody_defines_are_adopted() {
    let folder = TestFolder::new("offline");
    let store = open(folder.path());
    enter(&store, 0..20);
    written(&store);
    store.close().unwrap();
    drop(store);
    assert!(matches!(rebuild(folder.path(), &form(), false), Err(RebuildError::Sound(_))));
    fs::remove_file(folder.path().join("definitions.json")).unwrap();
    let rebuilt = rebuild(folder.path(), &form(), true).unwrap();
    assert_eq!(rebuilt.adopted, [(QUEUE, 20)]);
    assert_eq!(rebuilt.moved_to, Some(folder.path().join("index.damaged-1")));
    let values = OfflineStore::open(folder.path()).unwrap().values().unwrap();
    assert_eq!(values, [definition(QUEUE)]);
}

#[test]
fn with_a_snapshot_they_were_deleted() {
    let folder = TestFolder::new("offline");
    let store = open(folder.path());
    enter(&store, 0..20);
    written(&store);
    store.close().unwrap();
    drop(store);
    let rebuilt = rebuild(folder.path(), &form(), true).unwrap();
    assert_eq!((rebuilt.dropped, rebuilt.messages), (vec![(QUEUE, 20)], 0));
    assert!(OfflineStore::open(folder.path()).unwrap().queues().is_empty());
}
