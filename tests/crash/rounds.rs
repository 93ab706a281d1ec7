//! Rounds of one seed: start, account for everything, work, kill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret::net::now;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::actors::{Actor, Books, publishings};
use super::broker::{Broker, DEADLINE, Folder, spawn};
use super::client::{Answer, Client};
use super::shelf::{Shelf, declare_all};
use super::{census, definitions};

/// Publishers that are not among [`publishings`].
const TRANSACTIONS: u16 = 10;
const DEEP_FILLER: u16 = 11;

/// The deep queue is emptied when it has more than this: by then most of it is on the disk only.
const DEEP_MAX: u64 = 50_000;

/// Tells where a run was when it panics.
#[derive(Debug)]
struct Place {
    seed: u64,
    round: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, round } = *self;
            eprintln!(
                "failed in round {round}; run it again with LEVERET_CRASH_SEED={seed} LEVERET_CRASH_ROUNDS={}",
                round + 1
            );
        }
    }
}

/// How a round ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Kill,
    /// A kill while it stops gracefully, so long after it was asked to.
    KillWhileStopping(Duration),
    Stop,
}

/// All rounds of a seed.
#[derive(Debug)]
pub(crate) struct Run {
    place: Place,
    is_long: bool,
    folder: Folder,
    rng: StdRng,
    books: Books,
    definitions: definitions::Shared,
    killed: Instant,
}

impl Run {
    pub(crate) fn new(seed: u64, is_long: bool) -> Self {
        Self {
            place: Place { seed, round: 0 },
            is_long,
            folder: Folder::new(&format!("seed-{seed}")),
            rng: StdRng::seed_from_u64(seed),
            books: Books::default(),
            definitions: Arc::default(),
            killed: now(),
        }
    }

    pub(crate) async fn all(mut self, rounds: u64) {
        let start = now();
        for round in 0..rounds {
            self.place.round = round;
            self.round().await;
        }
        self.place.round = rounds;
        let broker = self.restart().await;
        census::drain_deep(broker.port, &self.books).await.unwrap();
        self.check("the deep queue");
        let (status, _) = broker.stop().await;
        assert!(status.success(), "it stopped with {status}");
        let figures = self.books.lock().figures;
        eprintln!(
            "seed {}: {rounds} kills in {:.1?}: {figures:#?}",
            self.place.seed,
            start.elapsed()
        );
    }

    async fn round(&mut self) {
        // Some kills strike while it recovers.
        while self.rng.random_bool(0.2) {
            let mut starting = spawn(&self.folder);
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..150))).await;
            starting.kill().await.unwrap();
        }
        let broker = self.restart().await;
        let mut actors = self.actors(broker.port);
        let (run_for, end) = self.plan();
        // The moment of the kill: nothing is waited for.
        tokio::time::sleep(run_for).await;
        self.killed = now();
        self.books.lock().stopping = !matches!(end, End::Kill);
        let said = match end {
            End::Kill => broker.kill().await,
            End::KillWhileStopping(after) => {
                broker.terminate().await;
                tokio::time::sleep(after).await;
                broker.kill().await
            }
            End::Stop => {
                let (status, said) = broker.stop().await;
                assert!(status.success(), "it stopped with {status}");
                said
            }
        };
        // Errors of clients, which look for what is to be gone, are no trouble: they name their connection.
        let is_trouble = |line: &&String| line.contains("ERROR") && !line.contains(" connection=");
        let troubles: Vec<&String> = said.iter().filter(is_trouble).collect();
        assert!(troubles.is_empty(), "{troubles:#?}");
        let ended = tokio::time::timeout(DEADLINE, async {
            while let Some(actor) = actors.join_next().await {
                // Each ends when its broker does.
                let _lost = actor.unwrap();
            }
        });
        ended.await.expect("every client notices that the broker is gone");
        self.books.lock().stopped();
        self.check(&format!("while it ran ({run_for:?}, {end:?})"));
    }

    fn plan(&mut self) -> (Duration, End) {
        let run_for = Duration::from_micros(self.rng.random_range(5_000..700_000));
        let end = match self.rng.random_range(0..20) {
            0 => End::Stop,
            1..4 => End::KillWhileStopping(Duration::from_micros(self.rng.random_range(0..60_000))),
            _ => End::Kill,
        };
        (run_for, end)
    }

    /// Starts it again, and accounts for everything.
    async fn restart(&mut self) -> Broker {
        let broker = Broker::start(&self.folder).await;
        let wrong = self.look_at(broker.port).await.expect("it runs on");
        self.books.lock().violations.extend(wrong);
        self.check("after the restart");
        broker
    }

    async fn look_at(&mut self, port: u16) -> Answer<Vec<String>> {
        let wrong = definitions::check(port, &self.definitions).await?;
        declare_all(&mut Client::connect(port).await?).await?;
        census::count_deep(port, &self.books).await?;
        census::take(port, &self.books, self.killed, &mut self.rng).await?;
        if self.books.lock().deep.known() > DEEP_MAX {
            census::drain_deep(port, &self.books).await?;
        }
        Ok(wrong)
    }

    fn check(&self, when: &str) {
        let violations = std::mem::take(&mut self.books.lock().violations);
        let first: Vec<&String> = violations.iter().take(20).collect();
        assert!(violations.is_empty(), "{when}, {} violations:\n{first:#?}", violations.len());
    }

    fn actors(&mut self, port: u16) -> JoinSet<Answer<()>> {
        let mut actors = JoinSet::new();
        let (books, rng) = (Arc::clone(&self.books), &mut self.rng);
        let mut actor = || {
            let rng = StdRng::seed_from_u64(rng.random());
            Actor { port, books: Arc::clone(&books), rng }
        };
        for publishing in publishings() {
            actors.spawn(actor().publish(publishing));
        }
        for shelf in [
            Shelf::Plain,
            Shelf::Plain,
            Shelf::Priority,
            Shelf::FanOne,
            Shelf::FanTwo,
            Shelf::Expiring,
            Shelf::Groups,
            Shelf::Groups,
            Shelf::Delayed,
            Shelf::Quorum,
            Shelf::WorkOut,
            Shelf::TxOne,
        ] {
            actors.spawn(actor().consume(shelf, shelf.queue()));
            if let Some(dead) = shelf.dead() {
                actors.spawn(actor().consume(shelf, dead));
            }
        }
        for shelf in [Shelf::Plain, Shelf::FanThree, Shelf::Priority] {
            actors.spawn(actor().get(shelf));
        }
        actors.spawn(actor().transact(TRANSACTIONS));
        actors.spawn(actor().work());
        let deep = if self.is_long { 2_000 } else { 5_000 };
        actors.spawn(actor().fill(DEEP_FILLER, deep));
        let rng = StdRng::seed_from_u64(self.rng.random());
        actors.spawn(definitions::change(port, Arc::clone(&self.definitions), rng));
        actors
    }
}
