//! The store is crashed at every call that it makes, and must come back with what it promised.
//!
//! `LEVERET_CRASH_SEEDS=n` tries n seeds where a usual run tries few.

mod content;
mod model;
mod process;
mod space;
mod workload;
mod world;

use std::io::ErrorKind;
use std::ops::Range;

pub(super) use self::content::message;
use self::world::{End, World};
use super::sim_disk::Fault;

/// The seeds to try: so many, or as many as the environment says.
fn seeds(usual: u64) -> Range<u64> {
    let wanted = std::env::var("LEVERET_CRASH_SEEDS").ok();
    0..wanted.map_or(usual, |wanted| wanted.parse().expect("LEVERET_CRASH_SEEDS is a number"))
}

/// Says which seed it was, if a test fails.
struct Seed(&'static str, u64, u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(what, seed, call) = self;
            eprintln!("{what}: seed {seed}, call {call}");
        }
    }
}

/// Steps of a long workload; each commits once.
const LONG: usize = 26;

/// Steps of a short one.
const SHORT: usize = 14;

/// Disk calls that a workload makes.
fn calls(seed: u64, steps: usize) -> Range<u64> {
    let mut world = World::new(seed);
    let first = world.machine.disk.calls() + 1;
    assert_eq!((world.run(steps), world.close()), (End::Alive, End::Alive));
    first..world.machine.disk.calls() + 1
}

/// Works until the fault comes that was planned, or to the good end.
fn run(world: &mut World, steps: usize) -> End {
    match world.run(steps) {
        End::Alive => world.close(),
        End::Failed => End::Failed,
    }
}

/// Some lives after a crash.
fn go_on(mut world: World, then: Fault) {
    world.crash(then);
    world.recover_and_run(5, then);
    world.finish();
}

/// Lets this happen at each call in turn, and something else in the life after it.
fn crash_at_every_call(what: &'static str, seed: u64, steps: usize, fault: Fault) {
    for call in calls(seed, steps) {
        let _seed = Seed(what, seed, call);
        let mut world = World::new(seed);
        world.machine.disk.plan(call, fault);
        let end = run(&mut world, steps);
        // Whoever only asked for the free space goes on without an answer, perhaps to the good end.
        let came = end == End::Failed || world.machine.disk.is_down();
        assert!(came || matches!(fault, Fault::Error(_)), "the fault came");
        go_on(world, if call % 3 == 0 { Fault::Kill } else { Fault::PowerLoss });
    }
}

#[test]
fn the_power_fails_at_every_call() {
    for seed in seeds(1) {
        crash_at_every_call("power loss", seed, LONG, Fault::PowerLoss);
    }
}

#[test]
fn the_process_is_killed_at_every_call() {
    for seed in seeds(1) {
        crash_at_every_call("kill", 1000 + seed, SHORT, Fault::Kill);
    }
}

#[test]
fn every_call_fails_and_what_was_confirmed_is_there_afterwards() {
    for seed in seeds(1) {
        crash_at_every_call("error", 3000 + seed, SHORT, Fault::Error(ErrorKind::Other));
    }
}

#[test]
fn every_call_of_the_index_fails_and_what_was_confirmed_is_there_afterwards() {
    for seed in seeds(1) {
        let seed = 4000 + seed;
        for call in 0.. {
            let _seed = Seed("index", seed, call);
            let mut world = World::new(seed);
            world.machine.kv.fail_after(call);
            let is_over = run(&mut world, LONG) == End::Alive;
            go_on(world, if call % 2 == 0 { Fault::PowerLoss } else { Fault::Kill });
            if is_over {
                assert!(call > 10, "the index is written: {call}");
                break;
            }
        }
    }
}

#[test]
fn room_is_waited_for_at_every_call_and_nothing_is_lost() {
    let mut waits = 0;
    for seed in seeds(1) {
        let seed = 5000 + seed;
        for call in calls(seed, SHORT) {
            let _seed = Seed("full", seed, call);
            let mut world = World::new(seed);
            world.machine.disk.plan_full(call..call + 1 + call % 23);
            waits += world.run_out_of_room(SHORT);
            world.crash(Fault::PowerLoss);
            world.finish();
        }
    }
    assert!(waits > 20, "publishers waited {waits} times");
}

#[test]
fn files_are_waited_for_at_every_call_and_nothing_is_lost() {
    let mut waits = 0;
    for seed in seeds(1) {
        let seed = 9000 + seed;
        for call in calls(seed, SHORT) {
            let _seed = Seed("files", seed, call);
            let mut world = World::new(seed);
            world.machine.disk.plan_no_files(call..call + 1 + call % 23);
            waits += world.run_out_of_room(SHORT);
            go_on(world, Fault::PowerLoss);
        }
    }
    assert!(waits > 20, "publishers waited {waits} times");
}

#[test]
fn room_is_waited_for_at_every_call_of_the_index_and_nothing_is_lost() {
    let mut waits = 0;
    for seed in seeds(1) {
        let seed = 8000 + seed;
        for call in 0.. {
            let _seed = Seed("full index", seed, call);
            let mut world = World::new(seed);
            world.machine.kv.full_after(call, 1 + call % 7);
            let waited = world.run_out_of_room(LONG);
            waits += waited;
            go_on(world, if call % 2 == 0 { Fault::PowerLoss } else { Fault::Kill });
            if waited == 0 {
                assert!(call > 10, "the index is written: {call}");
                break;
            }
        }
    }
    assert!(waits > 20, "publishers waited {waits} times");
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_nothing() {
    let mut waits = 0;
    for seed in seeds(1) {
        let seed = 6000 + seed;
        let mut world = World::new(seed);
        assert_eq!(world.run(SHORT), End::Alive);
        let most = world.machine.disk.used();
        for capacity in (100..most).step_by(661) {
            let _seed = Seed("capacity", seed, capacity);
            let mut world = World::new(seed);
            let disk = &world.machine.disk;
            disk.set_capacity(Some(capacity));
            disk.plan_capacity(disk.calls() + 200, None);
            waits += world.run_out_of_room(SHORT);
            go_on(world, Fault::PowerLoss);
        }
    }
    assert!(waits > 5, "publishers waited {waits} times");
}

#[test]
fn a_store_recovers_on_a_full_disk() {
    for seed in seeds(10) {
        let _seed = Seed("recovery on a full disk", 7000 + seed, 0);
        let mut world = World::new(7000 + seed);
        assert_eq!(world.run(SHORT), End::Alive);
        world.crash(Fault::PowerLoss);
        world.machine.disk.set_capacity(Some(0));
        world.recover(None);
        world.look().expect("it can be read");
        world.machine.disk.set_capacity(None);
        assert_eq!(world.run(5), End::Alive);
        world.crash(Fault::PowerLoss);
        world.finish();
    }
}
