//! The store is crashed at every call that it makes, and must come back with what it promised.
//!
//! `LEVERET_CRASH_SEEDS=n` tries n seeds where a usual run tries few.

mod content;
mod model;
mod process;
mod workload;
mod world;

use std::io::ErrorKind;

pub(super) use self::content::message;
use self::world::{End, World};
use super::sim_disk::Fault;

/// The seeds to try: so many, or as many as the environment says.
fn seeds(usual: u64) -> std::ops::Range<u64> {
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

/// Steps of a workload; each commits once.
const STEPS: usize = 25;

/// Disk calls that a workload makes.
fn calls(seed: u64) -> std::ops::Range<u64> {
    let mut world = World::new(seed);
    let first = world.machine.disk.calls() + 1;
    assert_eq!(world.run(STEPS), End::Alive);
    first..world.machine.disk.calls() + 1
}

/// Lets this happen at each call in turn, and then something else in the lives after it.
fn crash_at_every_call(what: &'static str, seed: u64, fault: Fault, then: Fault) {
    for call in calls(seed) {
        let _seed = Seed(what, seed, call);
        let mut world = World::new(seed);
        world.machine.disk.plan(call, fault);
        let end = world.run(STEPS);
        assert!(end == End::Failed || matches!(fault, Fault::Error(_)), "the fault came");
        world.crash(then);
        for _ in 0..2 {
            world.recover_and_run(STEPS / 4, then);
        }
        world.finish();
    }
}

#[test]
fn the_power_fails_at_every_call() {
    for seed in seeds(2) {
        crash_at_every_call("power loss", seed, Fault::PowerLoss, Fault::PowerLoss);
    }
}

#[test]
fn the_process_is_killed_at_every_call() {
    for seed in seeds(1) {
        crash_at_every_call("kill", 1000 + seed, Fault::Kill, Fault::Kill);
    }
}

#[test]
fn the_process_is_killed_at_every_call_and_later_the_power_fails() {
    for seed in seeds(1) {
        crash_at_every_call("kill, power loss", 2000 + seed, Fault::Kill, Fault::PowerLoss);
    }
}

#[test]
fn every_call_fails_and_what_was_confirmed_is_there_afterwards() {
    for seed in seeds(1) {
        let fault = Fault::Error(ErrorKind::Other);
        crash_at_every_call("error", 3000 + seed, fault, Fault::PowerLoss);
    }
}
