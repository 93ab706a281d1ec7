//! How much of the log stays, and how long.

use super::model::{Entry, Op};
use super::process::{Machine, Process, options};
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

const QUEUE: QueueId = QueueId(1);

/// A message that is not large.
const SMALL: u64 = 20;

fn entered(position: u64) -> Op {
    let entry = Entry {
        message: SMALL,
        expires: Timestamp::NEVER,
        due: None,
        returns: 0,
        delivered: false,
        transient: false,
    };
    Op::Entered(QUEUE, Position(position), entry)
}

/// A process whose queue holds the messages at these positions, each written by a commit of its own.
fn deep(machine: &Machine, count: u64) -> Process {
    let (mut process, _) = machine.start(&options()).unwrap();
    for position in 0..count {
        process.record(&[entered(position)]);
        process.commit().unwrap();
        process.checkpoint();
    }
    process
}

fn settle(process: &Process, positions: impl IntoIterator<Item = u64>) {
    let settled = |position| Op::Settled(QUEUE, Position(position));
    process.record(&positions.into_iter().map(settled).collect::<Vec<_>>());
}

fn positions(process: &Process) -> Vec<u64> {
    process.entries(QUEUE).unwrap().keys().map(|position| position.0).collect()
}

#[test]
fn what_is_drained_takes_no_space() {
    let machine = Machine::new(1);
    let mut process = deep(&machine, 1000);
    let (_, segments) = process.log_len();
    assert!(segments > 20, "{segments}");
    settle(&process, 0..1000);
    process.checkpoint_now();
    process.checkpoint_now();
    let (bytes, segments) = process.log_len();
    assert!(segments <= 2, "{segments} segments are left, of {bytes} bytes");
    let ahead = machine.disk.used() - bytes;
    assert!(ahead <= 1024, "{ahead} bytes for what is to come, and a segment has 1024");
}

#[test]
fn a_message_that_stays_in_each_segment_costs_little_more_than_itself() {
    let machine = Machine::new(2);
    let mut process = deep(&machine, 2000);
    let (_, before) = process.log_len();
    let stay: Vec<u64> = (0..2000).step_by(40).collect();
    settle(&process, (0..2000).filter(|position| position % 40 != 0));
    for _ in 0..3 {
        process.checkpoint_now();
    }
    let (bytes, after) = process.log_len();
    let each = bytes / stay.len() as u64;
    assert!(before > 40 && after < 6, "{after} of {before} segments are left");
    assert!(each < 250, "{each} bytes for each of the messages that stay");
    assert_eq!(positions(&process), stay);
    let (process, recovered) = machine.start(&options()).unwrap();
    assert_eq!(positions(&process), stay);
    assert_eq!(recovered.queues[0].1.ready, stay.len());
    assert_eq!(recovered.queues[0].1.next_position, 2000);
}

#[test]
fn a_store_at_rest_writes_nothing() {
    let machine = Machine::new(3);
    let mut process = deep(&machine, 100);
    for _ in 0..5 {
        process.checkpoint_now();
    }
    let before = process.log_len();
    for _ in 0..5 {
        process.checkpoint_now();
    }
    assert_eq!(process.log_len(), before);
}

#[test]
fn a_segment_stays_as_long_as_a_recovery_needs_it() {
    let machine = Machine::new(4);
    let mut process = deep(&machine, 200);
    let (_, before) = process.log_len();
    settle(&process, 0..200);
    // Written and safe, and not in the index yet.
    process.confirm(1);
    process.commit().unwrap();
    assert_eq!(process.confirmed(), 1);
    let (_, after) = process.log_len();
    assert!(after >= before, "{after} of {before} segments are left");
    process.checkpoint_now();
    let (_, after) = process.log_len();
    assert!(after <= 2, "{after} segments are left");
    let (process, _) = machine.start(&options()).unwrap();
    assert_eq!(positions(&process), [0; 0]);
}
