//! The store with its threads: on a simulated disk, and in a directory.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::super::crash_tests::message;
use super::super::key_value::MemoryKeyValue;
use super::super::sim_disk::{Fault, SimDisk};
use super::super::test_folder::TestFolder;
use super::*;
use crate::broker::effect::{Part, Position, WantedRun};
use crate::broker::time::Timestamp;

/// The only clock reading in the store's tests: an origin to count from. Here time stands still.
#[expect(clippy::disallowed_methods)]
pub(in super::super) fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn options() -> DurableOptions {
    DurableOptions {
        durability: Durability::Fsync,
        disk_free_limit: 0,
        checkpoint: CheckpointRule { bytes: 4096, interval: Duration::from_secs(60) },
        log: LogOptions { segment_bytes: 2048, ahead_bytes: 4096, open_max: 2 },
        clock: origin,
    }
}

fn enter(store: &DurableStore, queue: u64, position: u64, number: u64) {
    let (message, position) = (message(number, 1), Position(position));
    let expires = Timestamp::NEVER;
    let record = QueueRecord::Entered { position, message, expires, due: None };
    store.record(QueueId(queue), &mut vec![record]);
}

fn settle(store: &DurableStore, queue: u64, position: u64) {
    store.record(QueueId(queue), &mut vec![QueueRecord::Settled(Position(position))]);
}

struct Told(Sender<()>);

impl Confirmation for Told {
    fn durable(self: Box<Self>) {
        let _ = self.0.send(());
    }
}

/// Returns when all that was recorded is safe; whether it ever is.
fn is_confirmed(store: &DurableStore) -> bool {
    let (tell, told) = channel();
    store.when_durable(Box::new(Told(tell)));
    // Who is never told is dropped.
    told.recv().is_ok()
}

impl Requester for Sender<Page> {
    fn arrived(self: Box<Self>, page: Page) {
        let _ = self.send(page);
    }
}

const ALL: WantedRun =
    WantedRun { from: Position(0), to: Position(1000), messages_max: 1000, bytes_max: u64::MAX };

/// What the store reads for a queue: positions and keys.
fn fetched(store: &DurableStore, queue: u64) -> Vec<(u64, String)> {
    let (send, page) = channel::<Page>();
    store.fetch(QueueId(queue), Wanted::Run(ALL), Box::new(send));
    let key = |message: &crate::broker::message::Message| {
        String::from_utf8_lossy(message.routing_key()).into_owned()
    };
    let page = page.recv().unwrap();
    assert_eq!(page.part, Part::Run { from: ALL.from, next: ALL.to });
    page.entries.iter().map(|it| (it.position.0, key(&it.message))).collect()
}

fn on(disk: &SimDisk, kv: &Arc<MemoryKeyValue>) -> (DurableStore, Recovered) {
    let disk = Arc::new(disk.clone());
    DurableStore::open_on(disk, Path::new("/data"), kv.clone(), options()).unwrap()
}

#[test]
fn publishers_on_several_threads_find_everything_after_a_power_loss() {
    let (disk, kv) = (SimDisk::new(1), Arc::new(MemoryKeyValue::default()));
    let (store, _) = on(&disk, &kv);
    thread::scope(|scope| {
        for queue in 1..=3 {
            let store = &store;
            scope.spawn(move || {
                for position in 0..100 {
                    enter(store, queue, position, 100 * queue + position);
                    if position % 10 != 0 {
                        settle(store, queue, position);
                    }
                    if position % 7 == 0 {
                        assert!(is_confirmed(store));
                        let expected = (0..=position).step_by(10).count();
                        assert_eq!(fetched(store, queue).len(), expected);
                    }
                }
                assert!(is_confirmed(store));
            });
        }
    });
    disk.lose_power();
    drop(store);
    disk.restart();
    let (store, recovered) = on(&disk, &Arc::new(kv.crash(1)));
    assert_eq!(recovered.first_free, QueueId(4));
    for (queue, restored) in &recovered.queues {
        // What entered and was settled between two writes left no trace; what did not, its position.
        assert!((91..=100).contains(&restored.next_position), "{}", restored.next_position);
        assert_eq!(restored.ready, 10);
        let expected = (0..100).step_by(10).map(|at| (at, format!("key-{}", 100 * queue.0 + at)));
        assert_eq!(fetched(&store, queue.0), expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_store_that_is_closed_writes_the_rest() {
    let (disk, kv) = (SimDisk::new(1), Arc::new(MemoryKeyValue::default()));
    let (store, _) = on(&disk, &kv);
    enter(&store, 1, 0, 5);
    store.put(b"key".to_vec(), b"value".to_vec());
    store.close().unwrap();
    enter(&store, 1, 1, 6);
    disk.lose_power();
    disk.restart();
    let (_, recovered) = on(&disk, &Arc::new(kv.crash(0)));
    assert_eq!(recovered.values, [(b"key".to_vec(), b"value".to_vec())]);
    assert_eq!(recovered.queues[0].1.ready, 1);
}

#[test]
fn a_store_that_fails_confirms_nothing_and_says_why() {
    let (disk, kv) = (SimDisk::new(1), Arc::new(MemoryKeyValue::default()));
    let (store, _) = on(&disk, &kv);
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    store.on_failure(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    // The write, the zeros behind it, and the sync.
    disk.plan(disk.calls() + 3, Fault::Error(ErrorKind::Other));
    enter(&store, 1, 0, 5);
    assert!(!is_confirmed(&store));
    enter(&store, 1, 1, 6);
    assert!(!is_confirmed(&store));
    let error = store.close().unwrap_err().to_string();
    assert_eq!(error, "cannot sync /data/log/00000001.log: other error");
    assert_eq!(failures.load(Ordering::Relaxed), 1);
    let counted = Arc::clone(&failures);
    store.shared.fail(StoreError::io("sync", "/data", ErrorKind::Other.into()));
    assert_eq!(counted.load(Ordering::Relaxed), 1, "it fails once");
}

#[test]
fn a_directory_gives_back_what_was_recorded() {
    let folder = TestFolder::new("durable");
    let (store, recovered) = DurableStore::open(folder.path(), options()).unwrap();
    assert!(recovered.values.is_empty() && recovered.queues.is_empty());
    for position in 0..60 {
        enter(&store, 7, position, position);
    }
    settle(&store, 7, 3);
    store.put(b"key".to_vec(), b"value".to_vec());
    assert!(is_confirmed(&store));
    // Not closed: as a process that is killed leaves it.
    store.shared.fail(StoreError::io("go on with", folder.path(), ErrorKind::Other.into()));
    drop(store);
    for _ in 0..2 {
        let (store, recovered) = DurableStore::open(folder.path(), options()).unwrap();
        assert_eq!(recovered.values, [(b"key".to_vec(), b"value".to_vec())]);
        assert_eq!(recovered.first_free, QueueId(8));
        let (queue, restored) = &recovered.queues[0];
        assert_eq!((*queue, restored.ready, restored.next_position), (QueueId(7), 59, 60));
        let expected = (0..60).filter(|at| *at != 3).map(|at| (at, format!("key-{at}")));
        assert_eq!(fetched(&store, 7), expected.collect::<Vec<_>>());
        store.close().unwrap();
    }
}

/// Goal: messages and hashes of passwords are for the broker's user alone, though the directory was made by somebody
/// who lets others look into it.
#[test]
fn what_is_in_a_directory_is_its_owners_alone() {
    let folder = TestFolder::new("private");
    let open_to_all = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(folder.path(), 0o755);
    DurableStore::open(folder.path(), options()).unwrap().0.close().unwrap();
    // An earlier version left them so.
    for name in ["log", "index"] {
        open_to_all(&folder.path().join(name), 0o755);
    }
    fs::write(folder.path().join("definitions.json.tmp"), "{}").unwrap();
    open_to_all(&folder.path().join("definitions.json.tmp"), 0o644);
    let (store, _) = DurableStore::open(folder.path(), options()).unwrap();
    let form = SnapshotForm { prefixes: &[b"k"], readable: |_| serde_json::Map::new() };
    store.keep_snapshot(folder.path(), form);
    store.put(b"key".to_vec(), b"value".to_vec());
    enter(&store, 7, 0, 0);
    assert!(is_confirmed(&store));
    store.close().unwrap();
    for name in ["log", "log/00000001.log", "index", "definitions.json"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

/// What the refusal says, with the directory's name as DIR.
fn refusal(folder: &Path) -> String {
    let refused = DurableStore::open(folder, options()).unwrap_err();
    refused.to_string().replace(&folder.display().to_string(), "DIR")
}

#[test]
fn a_directory_has_one_broker() {
    let folder = TestFolder::new("in-use");
    let (store, _) = DurableStore::open(folder.path(), options()).unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR is in use by another broker; stop that one, or choose another directory with --data-dir"
    );
    drop(store);
    DurableStore::open(folder.path(), options()).unwrap();
}

#[test]
fn a_directory_with_something_else_is_left_alone() {
    let folder = TestFolder::new("foreign");
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR is not a leveret data directory: it holds letter.txt; choose an empty directory with \
         --data-dir"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let marker = folder.path().join("leveret.store");
    fs::write(&marker, "something").unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR is not a leveret data directory: leveret.store says something else; choose an empty \
         directory with --data-dir"
    );
}

#[test]
fn a_directory_of_a_newer_version_is_left_alone() {
    let folder = TestFolder::new("newer");
    fs::write(folder.path().join("leveret.store"), "leveret data directory, format 2\n").unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR was written by a newer leveret (format 2, this one knows 1); start that one, or choose \
         another directory with --data-dir"
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = TestFolder::new("unwritable");
    fs::write(folder.path().join("file"), "").unwrap();
    let below = folder.path().join("file").join("data");
    assert_eq!(refusal(&below), "cannot create DIR: Not a directory (os error 20)");
}
