//! Queues, exchanges and bindings that come and go, and which of them are there after a crash.

use amqp_codec::method::{basic, confirm, exchange, queue};
use amqp_codec::{BasicProperties, Method};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::Arc;

use super::actors::until_lost;
use super::client::{Answer, Client, Event, short};

const QUEUES: usize = 6;
const EXCHANGES: usize = 4;
const KEYS: usize = 6;

/// The exchange and the queue between which bindings come and go.
const SOURCE: &str = "binding-source";
const BOUND: &str = "bound";

/// Gone with the process, whatever they hold: exclusive, and two that are not durable.
const EXCLUSIVE: &str = "exclusive";
const TRANSIENT_QUEUE: &str = "transient-queue";
const TRANSIENT_EXCHANGE: &str = "transient-exchange";

/// Whether something is there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Presence {
    #[default]
    Absent,
    Present,
    /// The broker was asked to change it, and has not answered.
    Unknown,
}

impl Presence {
    fn allows(self, is_there: bool) -> bool {
        match self {
            Self::Absent => !is_there,
            Self::Present => is_there,
            Self::Unknown => true,
        }
    }

    fn of(is_there: bool) -> Self {
        if is_there { Self::Present } else { Self::Absent }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct QueueState {
    presence: Presence,
    confirmed: u32,
    published: u32,
}

/// What should be there.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    queues: [QueueState; QUEUES],
    exchanges: [Presence; EXCHANGES],
    bindings: [Presence; KEYS],
}

pub(crate) type Shared = Arc<Mutex<Definitions>>;

fn queue_name(number: usize) -> String {
    format!("coming-and-going-{number}")
}

fn exchange_name(number: usize) -> String {
    format!("exchange-{number}")
}

fn key_of(number: usize) -> String {
    format!("key-{number}")
}

fn declare_queue(name: &str) -> queue::Declare {
    queue::Declare { queue: short(name), durable: true, ..Default::default() }
}

fn declare_exchange(name: &str) -> exchange::Declare {
    let (exchange, kind) = (short(name), short("direct"));
    exchange::Declare { exchange, kind, durable: true, ..Default::default() }
}

/// Changes definitions until the broker is gone.
pub(crate) async fn change(port: u16, shared: Shared, mut rng: StdRng) -> Answer<()> {
    let mut client = Client::publisher(port).await?;
    declare_transient(&mut client).await?;
    client.call(declare_exchange(SOURCE)).await?;
    client.call(declare_queue(BOUND)).await?;
    for _ in 0..200 {
        match rng.random_range(0..10) {
            0..4 => change_queue(&mut client, &shared, rng.random_range(0..QUEUES)).await?,
            4..6 => fill_queue(&mut client, &shared, rng.random_range(0..QUEUES)).await?,
            6..8 => change_exchange(&mut client, &shared, rng.random_range(0..EXCHANGES)).await?,
            _ => change_binding(&mut client, &shared, rng.random_range(0..KEYS)).await?,
        }
    }
    until_lost(&mut client).await
}

async fn declare_transient(client: &mut Client) -> Answer<()> {
    client.call(queue::Declare { exclusive: true, ..declare_queue(EXCLUSIVE) }).await?;
    client.call(queue::Declare { durable: false, ..declare_queue(TRANSIENT_QUEUE) }).await?;
    let transient = declare_exchange(TRANSIENT_EXCHANGE);
    client.call(exchange::Declare { durable: false, ..transient }).await?;
    Ok(())
}

async fn change_queue(client: &mut Client, shared: &Shared, number: usize) -> Answer<()> {
    let name = queue_name(number);
    let before = {
        let state = &mut shared.lock().queues[number];
        std::mem::replace(&mut state.presence, Presence::Unknown)
    };
    if before == Presence::Present {
        let answer =
            client.call(queue::Delete { queue: short(&name), ..Default::default() }).await?;
        assert!(matches!(answer, Method::QueueDeleteOk(_)), "{answer:?}");
        shared.lock().queues[number] = QueueState::default();
    } else {
        let answer = client.call(declare_queue(&name)).await?;
        assert!(matches!(answer, Method::QueueDeclareOk(_)), "{answer:?}");
        shared.lock().queues[number].presence = Presence::Present;
    }
    Ok(())
}

async fn fill_queue(client: &mut Client, shared: &Shared, number: usize) -> Answer<()> {
    {
        let state = &mut shared.lock().queues[number];
        if state.presence != Presence::Present {
            return Ok(());
        }
        state.published += 1;
    }
    let publish = basic::Publish { routing_key: short(&queue_name(number)), ..Default::default() };
    let properties = BasicProperties { delivery_mode: Some(2), ..Default::default() };
    client.publish(publish, &properties, b"a message");
    match client.next().await? {
        Event::Confirm { .. } => shared.lock().queues[number].confirmed += 1,
        other => panic!("a confirm was due, not {other:?}"),
    }
    Ok(())
}

async fn change_exchange(client: &mut Client, shared: &Shared, number: usize) -> Answer<()> {
    let name = exchange_name(number);
    let before = std::mem::replace(&mut shared.lock().exchanges[number], Presence::Unknown);
    let is_there = before == Presence::Present;
    let answer = if is_there {
        client.call(exchange::Delete { exchange: short(&name), ..Default::default() }).await?
    } else {
        client.call(declare_exchange(&name)).await?
    };
    let is_fine = matches!(answer, Method::ExchangeDeclareOk(_) | Method::ExchangeDeleteOk(_));
    assert!(is_fine, "{answer:?}");
    shared.lock().exchanges[number] = Presence::of(!is_there);
    Ok(())
}

async fn change_binding(client: &mut Client, shared: &Shared, number: usize) -> Answer<()> {
    let before = std::mem::replace(&mut shared.lock().bindings[number], Presence::Unknown);
    let is_there = before == Presence::Present;
    let (queue, exchange, routing_key) = (short(BOUND), short(SOURCE), short(&key_of(number)));
    let answer = if is_there {
        client.call(queue::Unbind { queue, exchange, routing_key, ..Default::default() }).await?
    } else {
        client.call(queue::Bind { queue, exchange, routing_key, ..Default::default() }).await?
    };
    assert!(matches!(answer, Method::QueueBindOk(_) | Method::QueueUnbindOk(_)), "{answer:?}");
    shared.lock().bindings[number] = Presence::of(!is_there);
    Ok(())
}

/// Compares what is there after a restart with what should be; what is wrong.
pub(crate) async fn check(port: u16, shared: &Shared) -> Answer<Vec<String>> {
    let mut client = Client::publisher(port).await?;
    let mut wrong = Vec::new();
    for name in [EXCLUSIVE, TRANSIENT_QUEUE] {
        if client.ready(name).await?.is_some() {
            wrong.push(format!("{name} is there again"));
        }
    }
    if has_exchange(&mut client, TRANSIENT_EXCHANGE).await? {
        wrong.push(format!("{TRANSIENT_EXCHANGE} is there again"));
    }
    check_queues(&mut client, shared, &mut wrong).await?;
    for number in 0..EXCHANGES {
        let is_there = has_exchange(&mut client, &exchange_name(number)).await?;
        let presence = &mut shared.lock().exchanges[number];
        if !presence.allows(is_there) {
            wrong.push(format!("exchange {number} should be {presence:?}, and is not"));
        }
        *presence = Presence::of(is_there);
    }
    // A channel that was closed meanwhile confirms nothing.
    check_bindings(port, shared, &mut wrong).await?;
    Ok(wrong)
}

async fn check_queues(client: &mut Client, shared: &Shared, wrong: &mut Vec<String>) -> Answer<()> {
    for number in 0..QUEUES {
        let ready = client.ready(&queue_name(number)).await?;
        let state = &mut shared.lock().queues[number];
        let QueueState { presence, confirmed, published } = *state;
        if !presence.allows(ready.is_some()) {
            wrong.push(format!("queue {number} should be {presence:?}, and is not"));
        }
        if ready.is_some_and(|ready| ready < confirmed || ready > published) {
            wrong.push(format!("queue {number} has {ready:?} messages: {state:?}"));
        }
        let count = ready.unwrap_or_default();
        let presence = Presence::of(ready.is_some());
        *state = QueueState { presence, confirmed: count, published: count };
    }
    Ok(())
}

async fn has_exchange(client: &mut Client, name: &str) -> Answer<bool> {
    let passive = exchange::Declare { exchange: short(name), passive: true, ..Default::default() };
    match client.call(passive).await? {
        Method::ExchangeDeclareOk(_) => Ok(true),
        Method::ChannelClose(close) if close.reply_code == 404 => {
            client.reopen().await?;
            Ok(false)
        }
        other => panic!("exchange {name}: {other:?}"),
    }
}

/// A binding is there if a message finds its way.
async fn check_bindings(port: u16, shared: &Shared, wrong: &mut Vec<String>) -> Answer<()> {
    let mut client = Client::connect(port).await?;
    if !has_exchange(&mut client, SOURCE).await? || client.ready(BOUND).await?.is_none() {
        // Killed before either was declared; no binding can be known then.
        let mut shared = shared.lock();
        if shared.bindings.contains(&Presence::Present) {
            wrong.push("what bindings were between is gone".to_owned());
        }
        shared.bindings = Default::default();
        return Ok(());
    }
    client.call(confirm::Select { no_wait: false }).await?;
    for number in 0..KEYS {
        let (exchange, routing_key) = (short(SOURCE), short(&key_of(number)));
        let publish =
            basic::Publish { exchange, routing_key, mandatory: true, ..Default::default() };
        client.publish(publish, &BasicProperties::default(), b"is it bound?");
        let mut is_bound = true;
        while let Event::Returned = client.next().await? {
            is_bound = false;
        }
        let presence = &mut shared.lock().bindings[number];
        if !presence.allows(is_bound) {
            wrong.push(format!("binding {number} should be {presence:?}, and is not"));
        }
        *presence = Presence::of(is_bound);
    }
    client.call(queue::Purge { queue: short(BOUND), ..Default::default() }).await?;
    Ok(())
}
