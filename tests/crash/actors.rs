//! Clients that work until the broker is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use amqp_codec::method::{basic, tx};
use amqp_codec::{BasicProperties, Method};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;

use super::client::{Answer, Client, Delivery, Event, short, table};
use super::ledger::{Found, Ledger, Lines, TRANSIENT};
use super::message::Id;
use super::shelf::{self, DEEP, FAN, Shelf};

/// The books, as all clients share them. They are locked for one entry at a time.
pub(crate) type Books = Arc<Mutex<Ledger>>;

/// A client of a round: where the broker is, and what decides what it does.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) port: u16,
    pub(crate) books: Books,
    pub(crate) rng: StdRng,
}

/// Who publishes where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publishing {
    pub(crate) publisher: u16,
    pub(crate) exchange: &'static str,
    pub(crate) shelves: &'static [Shelf],
    /// Messages in a round.
    pub(crate) budget: usize,
    /// Messages that may be unconfirmed.
    pub(crate) window: usize,
}

const FAN_SHELVES: &[Shelf] = &[Shelf::FanOne, Shelf::FanTwo, Shelf::FanThree];

/// Those with confirms.
pub(crate) fn publishings() -> Vec<Publishing> {
    let to = |publisher, shelves: &'static [Shelf], budget, window| Publishing {
        publisher,
        exchange: "",
        shelves,
        budget,
        window,
    };
    vec![
        to(1, &[Shelf::Plain], 600, 64),
        to(2, &[Shelf::Plain], 300, 1),
        to(3, &[Shelf::Priority], 300, 32),
        to(4, &[Shelf::Expiring], 300, 32),
        Publishing { exchange: FAN, ..to(5, FAN_SHELVES, 300, 20) },
        to(6, &[Shelf::Groups], 300, 32),
        to(7, &[Shelf::Delayed], 200, 32),
        to(8, &[Shelf::Quorum], 300, 32),
        to(9, &[Shelf::WorkIn], 400, 32),
        to(TRANSIENT, &[Shelf::Plain], 100, 32),
    ]
}

/// As a message of this shelf is to be.
pub(crate) fn properties(shelf: Shelf, id: Id) -> BasicProperties {
    let headers = match shelf {
        Shelf::Groups => {
            Some(table([("group", i64::try_from(shelf::group(id)).unwrap_or(0).into())]))
        }
        Shelf::Delayed => {
            let delay = i64::try_from(id.lot() % shelf::DELAY_MS_MAX).unwrap_or(0);
            Some(table([("x-delay", delay.into())]))
        }
        _ => None,
    };
    BasicProperties {
        delivery_mode: Some(if id.publisher() == TRANSIENT { 1 } else { 2 }),
        priority: (shelf == Shelf::Priority).then(|| shelf::priority(id)),
        headers,
        ..BasicProperties::default()
    }
}

fn to_queue(queue: &str) -> basic::Publish {
    basic::Publish { routing_key: short(queue), ..Default::default() }
}

/// Confirms that are waited for, by their number.
#[derive(Debug)]
struct Pending<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { next: 1, waiting: BTreeMap::new() }
    }
}

impl<T> Pending<T> {
    fn add(&mut self, what: T) {
        self.waiting.insert(self.next, what);
        self.next += 1;
    }

    /// What a confirm is about.
    fn take(&mut self, tag: u64, multiple: bool) -> Vec<T> {
        if !multiple {
            return self.waiting.remove(&tag).into_iter().collect();
        }
        let later = self.waiting.split_off(&(tag + 1));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }
}

impl Actor {
    pub(crate) async fn publish(mut self, publishing: Publishing) -> Answer<()> {
        let Publishing { publisher, exchange, shelves, budget, window } = publishing;
        let mut client = Client::publisher(self.port).await?;
        let mut pending = Pending::default();
        let mut left = budget;
        loop {
            while left > 0 && pending.waiting.len() < window {
                let batch = self.rng.random_range(1..=left.min(window - pending.waiting.len()));
                for _ in 0..batch {
                    let (unit, id) = self.note(publisher, shelves);
                    let publish = basic::Publish {
                        exchange: short(exchange),
                        ..to_queue(shelves[0].queue())
                    };
                    client.publish(publish, &properties(shelves[0], id), &id.body());
                    pending.add((unit, id));
                }
                left -= batch;
                client.flush().await?;
            }
            match client.next().await? {
                Event::Confirm { tag, multiple } => {
                    let mut books = self.books.lock();
                    for (unit, _) in pending.take(tag, multiple) {
                        books.confirmed_as_one(unit);
                    }
                }
                other => panic!("a publisher got {other:?}"),
            }
        }
    }

    fn note(&self, publisher: u16, shelves: &[Shelf]) -> (u64, Id) {
        let mut books = self.books.lock();
        let id = books.next_id(publisher);
        let members = shelves.iter().map(|shelf| (*shelf, id)).collect();
        (books.published_as_one(members), id)
    }

    /// Acknowledges most, gives some back, rejects some where they are kept elsewhere, and holds some.
    pub(crate) async fn consume(mut self, shelf: Shelf, queue: &'static str) -> Answer<()> {
        let prefetch = self.rng.random_range(1..=40);
        let mut client = Client::consumer(self.port, queue, prefetch).await?;
        let is_source = queue == shelf.queue();
        let mut held: Vec<(u64, Id)> = Vec::new();
        let mut lines = Lines::default();
        // Less than is published, so that something is left.
        let mut left = self.rng.random_range(20..300_usize);
        loop {
            let delivery = client.delivery().await?;
            let (tag, id) = self.take_in(shelf, queue, &delivery, Some(&mut lines));
            match self.rng.random_range(0..100) {
                0..8 => {
                    client.put(basic::Nack { delivery_tag: tag, requeue: true, multiple: false });
                }
                8..14 => client.put(basic::Reject { delivery_tag: tag, requeue: true }),
                14..30 if shelf.dead().is_some() && is_source => {
                    client.put(basic::Reject { delivery_tag: tag, requeue: false });
                }
                30..60 if left > 0 => {
                    left -= 1;
                    self.books.lock().acked(shelf, id);
                    client.ack(tag, false);
                }
                _ => held.push((tag, id)),
            }
            if held.len() >= usize::from(prefetch) && left > 0 {
                left = left.saturating_sub(held.len());
                let mut books = self.books.lock();
                held.drain(..).for_each(|(_, id)| books.acked(shelf, id));
                drop(books);
                client.ack(tag, true);
            }
        }
    }

    /// Enters a delivery into the books.
    fn take_in(
        &self,
        shelf: Shelf,
        queue: &'static str,
        delivery: &Delivery,
        lines: Option<&mut Lines>,
    ) -> (u64, Id) {
        let mut books = self.books.lock();
        let Some(id) = Id::of(&delivery.body) else {
            books
                .violate(format!("{queue}: a message of {} bytes is damaged", delivery.body.len()));
            return (delivery.tag, Id::new(0, 0));
        };
        let redelivered = delivery.redelivered;
        if id.publisher() != super::ledger::SENTINEL {
            let found = Found { shelf, queue, id, redelivered };
            books.delivered(found, leveret::net::now());
            let disorder = lines.filter(|_| !redelivered).and_then(|lines| lines.disorder(&found));
            disorder.into_iter().for_each(|text| books.violate(text));
        }
        (delivery.tag, id)
    }

    /// Takes messages one by one.
    pub(crate) async fn get(mut self, shelf: Shelf) -> Answer<()> {
        let mut client = Client::connect(self.port).await?;
        for _ in 0..80 {
            client.put(basic::Get { queue: short(shelf.queue()), no_ack: false });
            let delivery = match client.next().await? {
                Event::Delivery(delivery) => delivery,
                Event::Method(Method::BasicGetEmpty(_)) => continue,
                other => panic!("basic.get: {other:?}"),
            };
            let (tag, id) = self.take_in(shelf, shelf.queue(), &delivery, None);
            match self.rng.random_range(0..4) {
                0 => client.put(basic::Nack { delivery_tag: tag, requeue: true, multiple: false }),
                1 => {}
                _ => {
                    self.books.lock().acked(shelf, id);
                    client.ack(tag, false);
                }
            }
        }
        until_lost(&mut client).await
    }

    /// Commits some messages at a time, and rolls some back.
    pub(crate) async fn transact(mut self, publisher: u16) -> Answer<()> {
        let mut client = Client::connect(self.port).await?;
        client.call(tx::Select {}).await?;
        for _ in 0..150 {
            let rolls_back = self.rng.random_bool(0.1);
            let mut members = Vec::new();
            for _ in 0..self.rng.random_range(1..8) {
                let shelf = if self.rng.random_bool(0.5) { Shelf::TxOne } else { Shelf::TxTwo };
                let id = self.books.lock().next_id(publisher);
                members.push((shelf, id));
                client.publish(to_queue(shelf.queue()), &properties(shelf, id), &id.body());
            }
            if rolls_back {
                // What is not in the books may never come.
                client.call(tx::Rollback {}).await?;
                continue;
            }
            let unit = self.books.lock().published_as_one(members);
            let answer = client.call(tx::Commit {}).await?;
            assert!(matches!(answer, Method::TxCommitOk(_)), "{answer:?}");
            self.books.lock().confirmed_as_one(unit);
        }
        until_lost(&mut client).await
    }

    /// Publishes what comes in, and acknowledges it in the same breath.
    pub(crate) async fn work(self) -> Answer<()> {
        let mut client = Client::publisher(self.port).await?;
        client.consume(Shelf::WorkIn.queue(), 20).await?;
        let mut pending = Pending::default();
        loop {
            match client.next().await? {
                Event::Delivery(delivery) => {
                    let (tag, id) =
                        self.take_in(Shelf::WorkIn, Shelf::WorkIn.queue(), &delivery, None);
                    let mut books = self.books.lock();
                    books.published(Shelf::WorkOut, id);
                    books.acked(Shelf::WorkIn, id);
                    drop(books);
                    let properties = properties(Shelf::WorkOut, id);
                    client.publish(to_queue(Shelf::WorkOut.queue()), &properties, &delivery.body);
                    client.ack(tag, false);
                    pending.add(id);
                }
                Event::Confirm { tag, multiple } => {
                    let mut books = self.books.lock();
                    for id in pending.take(tag, multiple) {
                        books.confirmed(Shelf::WorkOut, id);
                    }
                }
                other => panic!("a worker got {other:?}"),
            }
        }
    }

    /// Publishes many small messages that nobody consumes.
    pub(crate) async fn fill(self, publisher: u16, budget: u64) -> Answer<()> {
        const BATCH: u64 = 250;
        let mut client = Client::publisher(self.port).await?;
        let properties = BasicProperties { delivery_mode: Some(2), ..Default::default() };
        let (from, _, _) = self.books.lock().deep.latest;
        let (mut next, mut confirmed) = (from, from);
        loop {
            while next < from + budget && next - confirmed < 2 * BATCH {
                for sequence in next..next + BATCH {
                    let body = Id::new(publisher, sequence).body_of(0);
                    client.publish(to_queue(DEEP), &properties, &body);
                }
                next += BATCH;
                self.books.lock().deep.latest.2 = next;
                client.flush().await?;
            }
            match client.next().await? {
                Event::Confirm { tag, multiple } => {
                    // They come in order, one by one or up to a number.
                    assert!(multiple || from + tag == confirmed + 1, "confirm {tag} out of order");
                    confirmed = from + tag;
                    self.books.lock().deep.latest.1 = confirmed;
                }
                other => panic!("a publisher got {other:?}"),
            }
        }
    }
}

/// There is nothing more to do.
pub(crate) async fn until_lost(client: &mut Client) -> Answer<()> {
    loop {
        client.next().await?;
    }
}
