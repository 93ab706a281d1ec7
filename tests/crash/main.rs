//! The real binary is killed (SIGKILL) at random moments while publishers and consumers run, started again
//! on what it left, and every message is accounted for.
//!
//! A failure prints its seed and round. What happens is drawn from the seed; when the kill strikes is a
//! time, so that the same seed may meet the broker elsewhere.
//!
//! ```text
//! cargo test --test crash                                   a few rounds
//! LEVERET_CRASH_ROUNDS=200 cargo test --test crash          the nightly form
//! LEVERET_CRASH_SEED=7 cargo test --test crash              that seed alone
//! LEVERET_BIN=target/release/leveret cargo test ...         that binary
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actors;
mod broker;
mod census;
mod client;
mod definitions;
mod ledger;
mod message;
mod rounds;
mod shelf;
mod startup;

use std::time::Duration;

use rounds::Run;

/// Rounds of each seed in a normal test run.
const ROUNDS: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn run(seed: u64) {
    let rounds = number("LEVERET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    let is_long = rounds > ROUNDS;
    // A broker that hangs is no reason to hang.
    let max = Duration::from_secs(60 + 20 * rounds);
    let seed = number("LEVERET_CRASH_SEED").unwrap_or(seed);
    tokio::time::timeout(max, Run::new(seed, is_long).all(rounds)).await.expect("it ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_outlives_any_kill() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_outlives_any_kill_with_another_seed() {
    if number("LEVERET_CRASH_ROUNDS").is_none() && number("LEVERET_CRASH_SEED").is_none() {
        run(2).await;
    }
}
