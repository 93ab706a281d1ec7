//! The queues that are watched, who publishes to them, and what each promises.

use amqp_codec::FieldValue;
use amqp_codec::method::{exchange, queue};

use super::client::{Answer, Client, short, table};
use super::message::Id;

/// A place for messages: a queue, with the one that its dead letters go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Shelf {
    Plain,
    Priority,
    /// Messages live for a moment, and move to the next queue then.
    Expiring,
    FanOne,
    FanTwo,
    FanThree,
    Groups,
    Delayed,
    /// Messages may come back three times, and move to the next queue then.
    Quorum,
    WorkIn,
    WorkOut,
    TxOne,
    TxTwo,
}

/// All of them.
pub(crate) const SHELVES: [Shelf; 13] = [
    Shelf::Plain,
    Shelf::Priority,
    Shelf::Expiring,
    Shelf::FanOne,
    Shelf::FanTwo,
    Shelf::FanThree,
    Shelf::Groups,
    Shelf::Delayed,
    Shelf::Quorum,
    Shelf::WorkIn,
    Shelf::WorkOut,
    Shelf::TxOne,
    Shelf::TxTwo,
];

/// The exchange that leads to all of `Fan*`.
pub(crate) const FAN: &str = "fan";

/// Filled over many rounds, and emptied at the end.
pub(crate) const DEEP: &str = "deep";

/// How long a message lives in [`Shelf::Expiring`], in milliseconds.
const LIFE_MS: i64 = 120;

/// No message waits for longer in [`Shelf::Delayed`], in milliseconds.
pub(crate) const DELAY_MS_MAX: u64 = 150;

const PRIORITIES: u64 = 4;
const GROUPS: u64 = 5;

impl Shelf {
    /// The queue that is published to.
    pub(crate) fn queue(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Priority => "priority",
            Self::Expiring => "expiring",
            Self::FanOne => "fan-1",
            Self::FanTwo => "fan-2",
            Self::FanThree => "fan-3",
            Self::Groups => "groups",
            Self::Delayed => "delayed",
            Self::Quorum => "quorum",
            Self::WorkIn => "work-in",
            Self::WorkOut => "work-out",
            Self::TxOne => "tx-1",
            Self::TxTwo => "tx-2",
        }
    }

    /// The queue of its dead letters.
    pub(crate) fn dead(self) -> Option<&'static str> {
        match self {
            Self::Expiring => Some("expired"),
            Self::Quorum => Some("quorum-dead"),
            _ => None,
        }
    }

    /// Whether a message is published to it once only. A worker does its work anew after a crash, also
    /// where the first result has gone on meanwhile.
    pub(crate) fn holds_one_copy(self) -> bool {
        self != Self::WorkOut
    }

    fn arguments(self) -> Vec<(&'static str, FieldValue)> {
        let dead = self.dead().map(|dead| {
            let exchange = ("x-dead-letter-exchange", FieldValue::from(""));
            [exchange, ("x-dead-letter-routing-key", dead.into())]
        });
        let own = match self {
            Self::Priority => Some(("x-max-priority", FieldValue::from(4_i32))),
            Self::Expiring => Some(("x-message-ttl", LIFE_MS.into())),
            Self::Groups => Some(("x-message-group-header", "group".into())),
            Self::Quorum => Some(("x-delivery-limit", 3_i32.into())),
            _ => None,
        };
        let kind = matches!(self, Self::Quorum | Self::FanTwo)
            .then(|| ("x-queue-type", FieldValue::from("quorum")));
        dead.into_iter().flatten().chain(own).chain(kind).collect()
    }

    /// Messages of one publisher with the same answer come in the order they were published; `None`
    /// where no order holds.
    pub(crate) fn line(self, queue: &str, id: Id) -> Option<(u16, u64)> {
        if self.dead() == Some(queue) {
            return None;
        }
        let line = match self {
            Self::Priority => priority(id).into(),
            Self::Groups => group(id),
            // Several consumers' work, done again after a crash; and by the time they are due.
            Self::WorkOut | Self::Delayed => return None,
            _ => 0,
        };
        Some((id.publisher(), line))
    }
}

pub(crate) fn priority(id: Id) -> u8 {
    (id.sequence() % PRIORITIES) as u8
}

pub(crate) fn group(id: Id) -> u64 {
    id.sequence() % GROUPS
}

/// Declares what is watched. All of it is there after the first time.
pub(crate) async fn declare_all(client: &mut Client) -> Answer<()> {
    declare_fan(client).await?;
    for shelf in SHELVES {
        declare(client, shelf.queue(), shelf.arguments()).await?;
        if let Some(dead) = shelf.dead() {
            declare(client, dead, Vec::new()).await?;
        }
        if matches!(shelf, Shelf::FanOne | Shelf::FanTwo | Shelf::FanThree) {
            let (queue, exchange) = (short(shelf.queue()), short(FAN));
            client.call(queue::Bind { queue, exchange, ..Default::default() }).await?;
        }
    }
    declare(client, DEEP, Vec::new()).await
}

async fn declare_fan(client: &mut Client) -> Answer<()> {
    let (exchange, kind) = (short(FAN), short("fanout"));
    client.call(exchange::Declare { exchange, kind, durable: true, ..Default::default() }).await?;
    Ok(())
}

async fn declare(
    client: &mut Client,
    queue: &str,
    arguments: Vec<(&'static str, FieldValue)>,
) -> Answer<()> {
    let (queue, arguments) = (short(queue), table(arguments));
    let declare = queue::Declare { queue, durable: true, arguments, ..Default::default() };
    let answer = client.call(declare).await?;
    assert!(matches!(answer, amqp_codec::Method::QueueDeclareOk(_)), "{answer:?}");
    Ok(())
}
