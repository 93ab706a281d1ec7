//! The durable store with its threads: what it costs until a message is safe, and what a start reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::Position;
use leveret::broker::message::{Message, MessageParts};
use leveret::broker::persist::{Persist, QueueRecord};
use leveret::broker::queue_cell::QueueId;
use leveret::broker::time::Timestamp;
use leveret::store::disk::FsDisk;
use leveret::store::log::LogOptions;
use leveret::store::{
    CheckpointRule, Confirmation, Durability, DurableOptions, DurableStore, MemoryKeyValue,
    Recovered, Store,
};

/// Messages that wait for the same sync, about as many as a busy publisher's 64 KiB hold.
const BATCH: u64 = 256;

/// Bytes of a body.
const BODY: usize = 100;

const QUEUE: QueueId = QueueId(1);

#[expect(clippy::disallowed_methods, reason = "a benchmark has no clock of its own")]
fn now() -> Instant {
    Instant::now()
}

/// A directory of its own, gone when the benchmark is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("leveret-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store whose index is in memory: what is on the disk is the log alone.
fn open(
    dir: &Path,
    durability: Durability,
    checkpoint: CheckpointRule,
) -> (DurableStore, Recovered) {
    let options = DurableOptions {
        durability,
        disk_free_limit: 0,
        checkpoint,
        log: LogOptions::default(),
        clock: now,
    };
    let index = Arc::new(MemoryKeyValue::default());
    DurableStore::open_on(Arc::new(FsDisk), dir, index, options).expect("a store")
}

fn message() -> Message {
    let parts = MessageParts {
        exchange_len: 0,
        routing_key_len: 5,
        properties_len: 3,
        bytes: &[b'x'; 8 + BODY],
        segments: &[],
        persistent: true,
        priority: 0,
        extras: None,
    };
    let message = Message::new(parts);
    message.enter(1);
    message
}

/// As a queue records what it took in one call.
fn entered(from: u64) -> Vec<QueueRecord> {
    let entered = |number| QueueRecord::Entered {
        position: Position(number),
        message: message(),
        expires: Timestamp::NEVER,
        due: None,
    };
    (from..from + BATCH).map(entered).collect()
}

fn settled(from: u64) -> Vec<QueueRecord> {
    (from..from + BATCH).map(|number| QueueRecord::Settled(Position(number))).collect()
}

struct Told(Sender<()>);

impl Confirmation for Told {
    fn durable(self: Box<Self>) {
        let _ = self.0.send(());
    }
}

/// Returns when all that was recorded is safe.
fn wait(store: &DurableStore) {
    let (tell, told) = channel();
    store.when_durable(Box::new(Told(tell)));
    told.recv().expect("the store has not failed");
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append");
    group.throughput(Throughput::Elements(BATCH));
    for (name, durability) in [("os", Durability::Os), ("fsync", Durability::Fsync)] {
        let folder = Folder::new(name);
        let (store, _) = open(&folder.0, durability, CheckpointRule::default());
        let mut next = 0;
        group.bench_function(format!("{name}: {BATCH} entered, safe, settled"), |bencher| {
            let records = || {
                next += BATCH;
                (entered(next), settled(next))
            };
            let through = |(entered, settled): &mut (Vec<QueueRecord>, Vec<QueueRecord>)| {
                let unit = store.unit();
                store.record(QUEUE, entered);
                drop(unit);
                wait(&store);
                store.record(QUEUE, settled);
            };
            bencher.iter_batched_ref(records, through, BatchSize::SmallInput);
        });
        store.close().expect("the disk did not fail");
    }
    group.finish();
}

/// Without a checkpoint everything is read from the log: the worst case of a start.
fn recovery(criterion: &mut Criterion) {
    const MESSAGES: u64 = 1_000_000 / BATCH * BATCH;
    let never = CheckpointRule { bytes: u64::MAX, interval: Duration::MAX };
    let folder = Folder::new("recovery");
    let (store, _) = open(&folder.0, Durability::Os, never);
    for from in (0..MESSAGES).step_by(BATCH as usize) {
        store.record(QUEUE, &mut entered(from));
        wait(&store);
    }
    store.close().expect("the disk did not fail");
    drop(store);
    let mut group = criterion.benchmark_group("log recovery");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(10);
    group.bench_function(format!("{MESSAGES} waiting, all of them read from the log"), |bencher| {
        bencher.iter_with_large_drop(|| {
            let (store, recovered) = open(&folder.0, Durability::Os, never);
            let ready: usize = recovered.queues.iter().map(|(_, queue)| queue.ready).sum();
            assert_eq!(ready as u64, MESSAGES);
            store
        });
    });
    group.finish();
}

criterion_group!(benches, append, recovery);
criterion_main!(benches);
