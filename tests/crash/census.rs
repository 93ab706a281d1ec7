//! What is there after a restart: every message of every queue is looked at, and most are put back.

use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{BasicProperties, FieldValue};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::actors::Books;
use super::client::{Answer, Client, short, table};
use super::ledger::{Found, SENTINEL};
use super::message::Id;
use super::shelf::{DELAY_MS_MAX, SHELVES, Shelf};

/// A queue whose messages are all out.
#[derive(Debug)]
struct Counted {
    shelf: Shelf,
    client: Client,
    found: Vec<(u64, Found)>,
    /// Its messages could only be seen by acknowledging them.
    is_drained: bool,
}

/// Counts everything, compares it with the books, and acknowledges a part.
pub(crate) async fn take(
    port: u16,
    books: &Books,
    killed: Instant,
    rng: &mut StdRng,
) -> Answer<()> {
    let mut counts = JoinSet::new();
    for shelf in SHELVES {
        let books = Books::clone(books);
        counts.spawn(async move { count(port, shelf, &books).await });
    }
    let mut counted = Vec::new();
    while let Some(count) = counts.join_next().await {
        counted.extend(count.unwrap()?);
    }
    let settled = enter(&counted, books, killed, rng);
    for (mut counted, settled) in counted.into_iter().zip(settled) {
        if let (Some((tag, _)), false) = (counted.found[..settled].last(), counted.is_drained) {
            counted.client.ack(*tag, true);
        }
        counted.client.close_channel().await?;
    }
    Ok(())
}

/// Enters what was found into the books, and what is about to be acknowledged: so many of each.
fn enter(counted: &[Counted], books: &Books, killed: Instant, rng: &mut StdRng) -> Vec<usize> {
    let found: Vec<Found> =
        counted.iter().flat_map(|counted| counted.found.iter().map(|(_, found)| *found)).collect();
    let mut books = books.lock();
    books.account(&found, killed, leveret::net::now());
    let settled = |counted| keep_some(counted, rng.random_range(0..80));
    let settled: Vec<usize> = counted.iter().map(settled).collect();
    for (counted, settled) in counted.iter().zip(&settled) {
        for (_, found) in &counted.found[..*settled] {
            books.acked(found.shelf, found.id);
        }
    }
    settled
}

/// How many messages are acknowledged so that `keep` are left.
fn keep_some(counted: &Counted, keep: usize) -> usize {
    match counted.shelf {
        _ if counted.is_drained => counted.found.len(),
        // Only who has published what came of it may acknowledge it.
        Shelf::WorkIn => 0,
        _ => counted.found.len().saturating_sub(keep),
    }
}

async fn count(port: u16, shelf: Shelf, books: &Books) -> Answer<Vec<Counted>> {
    let queue = shelf.queue();
    match shelf {
        Shelf::Expiring => {
            let dead = shelf.dead().unwrap();
            let counted = until_sentinel(port, shelf, dead, BasicProperties::default(), books);
            Ok(vec![counted.await?])
        }
        Shelf::Delayed => {
            let delay = i64::try_from(DELAY_MS_MAX + 5).unwrap();
            let headers = Some(table([("x-delay", FieldValue::from(delay))]));
            let late = BasicProperties { headers, ..Default::default() };
            Ok(vec![until_sentinel(port, shelf, queue, late, books).await?])
        }
        Shelf::Quorum => {
            // What one of them has out can't move to the other meanwhile.
            let first = all_that_live(port, shelf, queue, books).await?;
            Ok(vec![first, all_of(port, shelf, shelf.dead().unwrap(), books).await?])
        }
        _ => Ok(vec![all_of(port, shelf, queue, books).await?]),
    }
}

/// As many messages as the queue says it has.
async fn all_of(port: u16, shelf: Shelf, queue: &'static str, books: &Books) -> Answer<Counted> {
    let mut client = Client::connect(port).await?;
    let ready = client.ready(queue).await?;
    let Some(ready) = ready else {
        books.lock().violate(format!("{queue} is gone"));
        return Ok(Counted { shelf, client, found: Vec::new(), is_drained: false });
    };
    client.consume(queue, 0).await?;
    let is_drained = shelf == Shelf::Groups;
    let mut found = Vec::new();
    for _ in 0..ready {
        let delivery = client.delivery().await?;
        found.extend(read(shelf, queue, &delivery, books).map(|found| (delivery.tag, found)));
        if is_drained {
            client.ack(delivery.tag, false);
        }
    }
    let left = client.ready(queue).await?;
    if left != Some(0) {
        books.lock().violate(format!("{queue} had {ready} messages, and {left:?} more"));
    }
    Ok(Counted { shelf, client, found, is_drained })
}

/// All messages of a queue of which some have come back too often: they count as ready until the queue has
/// looked at them, and are not delivered then.
async fn all_that_live(
    port: u16,
    shelf: Shelf,
    queue: &'static str,
    books: &Books,
) -> Answer<Counted> {
    let mut client = Client::connect(port).await?;
    client.consume(queue, 0).await?;
    while client.ready(queue).await? != Some(0) {}
    let found = client.cancel(queue).await?.into_iter();
    let found = found.filter_map(|delivery| {
        read(shelf, queue, &delivery, books).map(|found| (delivery.tag, found))
    });
    let found = found.collect();
    Ok(Counted { shelf, client, found, is_drained: false })
}

/// What comes until a message does that comes after all others.
async fn until_sentinel(
    port: u16,
    shelf: Shelf,
    queue: &'static str,
    properties: BasicProperties,
    books: &Books,
) -> Answer<Counted> {
    let mut client = Client::connect(port).await?;
    let sentinel = books.lock().next_id(SENTINEL);
    let publish = basic::Publish { routing_key: short(shelf.queue()), ..Default::default() };
    client.publish(publish, &properties, &sentinel.body());
    client.consume(queue, 0).await?;
    let mut found = Vec::new();
    loop {
        let delivery = client.delivery().await?;
        let Some(one) = read(shelf, queue, &delivery, books) else { continue };
        if one.id == sentinel {
            client.ack(delivery.tag, false);
            return Ok(Counted { shelf, client, found, is_drained: false });
        }
        if one.id.publisher() != SENTINEL {
            found.push((delivery.tag, one));
        } else {
            // Of an earlier census that was interrupted.
            client.ack(delivery.tag, false);
        }
    }
}

fn read(
    shelf: Shelf,
    queue: &'static str,
    delivery: &super::client::Delivery,
    books: &Books,
) -> Option<Found> {
    let id = Id::of(&delivery.body);
    if id.is_none() {
        let len = delivery.body.len();
        books.lock().violate(format!("{queue}: a message of {len} bytes is damaged"));
    }
    id.map(|id| Found { shelf, queue, id, redelivered: delivery.redelivered })
}

/// How many messages the deep queue has; none of them was ever looked at.
pub(crate) async fn count_deep(port: u16, books: &Books) -> Answer<()> {
    let mut client = Client::connect(port).await?;
    let ready = u64::from(client.ready(super::shelf::DEEP).await?.unwrap_or_default());
    let mut books = books.lock();
    let known = books.deep.known();
    let (from, confirmed, to) = books.deep.latest;
    let survived = ready.saturating_sub(known);
    let least = confirmed - from;
    if ready < known + least || ready > known + to - from {
        books.violate(format!(
            "deep has {ready} messages: {known} were there, {least} confirmed and {} published since",
            to - from
        ));
    }
    // In the order of publishing: what is missing was the last.
    books.deep.there.push((from, from + survived));
    books.deep.latest = (to, to, to);
    Ok(())
}

/// Empties the deep queue, and compares what was in it.
pub(crate) async fn drain_deep(port: u16, books: &Books) -> Answer<()> {
    const UNACKED: u64 = 1_000;
    let queue = super::shelf::DEEP;
    let expected = std::mem::take(&mut books.lock().deep.there);
    let mut client = Client::consumer(port, queue, 2_000).await?;
    let mut count = 0_u64;
    for sequence in expected.into_iter().flat_map(|(from, to)| from..to) {
        let delivery = client.delivery().await?;
        count += 1;
        let found = Id::of(&delivery.body).map(Id::sequence);
        if found != Some(sequence) || delivery.redelivered {
            let mut books = books.lock();
            let flag = delivery.redelivered;
            books.violate(format!(
                "deep: {found:?} (redelivered: {flag}) where {sequence} should be"
            ));
            return Ok(());
        }
        if count.is_multiple_of(UNACKED) {
            client.ack(delivery.tag, true);
        }
    }
    let last = client.ready(queue).await?;
    if last != Some(0) {
        books.lock().violate(format!("deep: {last:?} messages more than published"));
    }
    // All that is left is acknowledged when the answer is there: nothing else follows on this channel.
    client.ack(0, true);
    client.close_channel().await
}
