//! The store's index: what a record of the log costs, and a checkpoint.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::Position;
use leveret::broker::queue_cell::QueueId;
use leveret::broker::time::Timestamp;
use leveret::store::{
    CheckpointMark, Index, Location, MemoryKeyValue, Place, SegmentId, SledKeyValue,
};

const MESSAGES: u64 = 1_000_000;
const FRAME: usize = 500;

fn place(number: u64) -> Place {
    let offset = u32::try_from(number * 150 % (1 << 31)).expect("a small number");
    Place {
        location: Location { segment: SegmentId(1), offset, length: 150 },
        body_len: 100,
        expires: Timestamp::NEVER,
        due: None,
        returns: 0,
        delivered: false,
        transient: false,
    }
}

fn in_memory() -> Index {
    Index::open(Arc::new(MemoryKeyValue::default())).expect("nothing to fail").0
}

/// Messages enter queues in turn, a frame at a time.
fn enter(index: &Index, queues: u64, messages: u64) {
    let numbers: Vec<u64> = (0..messages).collect();
    for frame in numbers.chunks(FRAME) {
        let mut changes = index.changes();
        for number in frame {
            let position = Position(number / queues);
            changes.entered(QueueId(number % queues), position, &place(*number));
        }
    }
}

/// The same messages, one record each.
fn each(
    index: &Index,
    queues: u64,
    change: impl Fn(&mut leveret::store::Changes<'_>, QueueId, Position),
) {
    let numbers: Vec<u64> = (0..MESSAGES).collect();
    for frame in numbers.chunks(FRAME) {
        let mut changes = index.changes();
        for number in frame {
            change(&mut changes, QueueId(number % queues), Position(number / queues));
        }
    }
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index records");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(10);
    for queues in [1, 1000] {
        group.bench_function(format!("entered, {queues} queues"), |bencher| {
            bencher.iter_batched(
                in_memory,
                |index| {
                    enter(&index, queues, MESSAGES);
                    index
                },
                BatchSize::PerIteration,
            );
        });
        let entered = || {
            let index = in_memory();
            enter(&index, queues, MESSAGES);
            index
        };
        group.bench_function(format!("settled, {queues} queues"), |bencher| {
            let settle = |index: Index| {
                each(&index, queues, |changes, queue, at| changes.settled(queue, at, at));
                index
            };
            bencher.iter_batched(entered, settle, BatchSize::PerIteration);
        });
        group.bench_function(format!("delivered, {queues} queues"), |bencher| {
            let deliver = |index: Index| {
                each(&index, queues, |changes, queue, at| changes.delivered(queue, at, at));
                index
            };
            bencher.iter_batched(entered, deliver, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// An index on disk, and where.
fn on_disk(name: &str) -> (Index, PathBuf) {
    let path = std::env::temp_dir().join(format!("leveret-bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let kv = SledKeyValue::open(&path, 16 << 20).expect("a database");
    (Index::open(Arc::new(kv)).expect("an index").0, path)
}

fn checkpoint(index: &Index) {
    let mark = CheckpointMark { segment: SegmentId(2), offset: 0, sequence: 0 };
    assert!(index.freeze(mark));
    index.write_frozen().expect("a checkpoint");
}

fn checkpoints(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index checkpoint");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(10);
    let (index, path) = on_disk("checkpoint");
    let mut queue = 0;
    group.bench_function("1M entered", |bencher| {
        let entered = || {
            queue += 1;
            let mut changes = index.changes();
            for number in 0..MESSAGES {
                changes.entered(QueueId(queue), Position(number), &place(number));
            }
        };
        bencher.iter_batched(entered, |()| checkpoint(&index), BatchSize::PerIteration);
    });
    group.bench_function("1M read", |bencher| {
        bencher.iter(|| {
            let mut from = Position(0);
            while from < Position(MESSAGES) {
                let page = index.read(QueueId(1), from, Position(MESSAGES), 1024);
                from = black_box(page).expect("a page").next;
            }
        });
    });
    group.bench_function("1M settled", |bencher| {
        let settled = || {
            let mut changes = index.changes();
            for number in 0..MESSAGES {
                changes.settled(QueueId(queue), Position(number), Position(number));
            }
            queue -= 1;
        };
        bencher.iter_batched(settled, |()| checkpoint(&index), BatchSize::PerIteration);
    });
    group.finish();
    drop(index);
    let _ = std::fs::remove_dir_all(path);
}

fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index recovery");
    group.sample_size(10);
    let (index, path) = on_disk("recovery");
    for queue in 0..10 {
        let mut changes = index.changes();
        for number in 0..MESSAGES {
            changes.entered(QueueId(queue), Position(number), &place(number));
        }
        drop(changes);
        checkpoint(&index);
    }
    drop(index);
    group.bench_function("10M waiting", |bencher| {
        bencher.iter(|| {
            let kv = SledKeyValue::open(&path, 16 << 20).expect("a database");
            let (index, mark) = Index::open(Arc::new(kv)).expect("an index");
            assert!(mark.is_some());
            assert_eq!(index.finish_recovery(SegmentId(9)).expect("summaries").len(), 10);
        });
    });
    group.finish();
    let _ = std::fs::remove_dir_all(path);
}

criterion_group!(benches, records, checkpoints, recovery);
criterion_main!(benches);
