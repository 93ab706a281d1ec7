//! Seeded simulation of protocol, session and broker together: several clients on bytes, no sockets,
//! a clock that only the simulation moves, and a random generator that decides who goes next.
//!
//! A failure prints its seed. `LEVERET_SIM_SEED=7` runs that seed alone, `LEVERET_SIM_SEEDS=100000`
//! as many from 0 on.

mod actions;
mod census;
mod channel;
mod discipline;
mod finale;
mod incoming;
mod ledger;
mod life;
mod peer;
mod plan;
mod probe;
mod restart;
mod shelf;
mod store;
mod world;

use std::time::Instant;

/// Few enough for every test run.
const SEEDS: u64 = 200;

/// Tells which seed it was when a run panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed; run it again with LEVERET_SIM_SEED={}", self.0);
        }
    }
}

/// The origin of the virtual clock: the rest is additions.
#[expect(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn origin() -> Instant {
    Instant::now()
}

fn number_from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Goal: whatever clients do in whatever order, nothing that was promised is broken. What is checked
/// stands beside the state it is about: `ledger` for messages, `channel` for limits and order, `peer`
/// for the protocol, `store` for the ways of messages between queues, `census` for what queues say of
/// themselves after every step, `world` for that when everything is at rest.
#[test]
fn promises_hold_whatever_clients_do() {
    let seeds = match number_from_env("LEVERET_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from_env("LEVERET_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut all = Vec::new();
    for seed in seeds {
        let _tell = Seed(seed);
        all.push(world::run(seed, origin()));
    }
    let total = ledger::Stats::total(&all);
    println!("{total:?}");
    if all.len() as u64 >= SEEDS {
        total.assert_everything_happened();
    }
}

/// A seed that fails has to fail again.
#[test]
fn a_seed_always_takes_the_same_course() {
    for seed in 0..8 {
        let runs = [world::run(seed, origin()), world::run(seed, origin())];
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}
