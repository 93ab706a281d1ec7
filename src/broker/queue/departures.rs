//! Messages on their way to a dead-letter exchange.

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxBuildHasher;

use super::super::effect::Position;
use super::super::message::Message;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::stubs::{self, Recall};

/// How long a message waits that no queue took, at first, in milliseconds; twice as long each time.
const RETRY_MIN_MS: u64 = 1000;

/// How long it waits at most.
const RETRY_MAX_MS: u64 = 60_000;

/// Among so many of the first those are that are read at a time.
const STUBS_MAX: usize = 512;

/// Why a queue gave a message up. The names are RabbitMQ's, as the header `x-death` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeathReason {
    /// A consumer rejected it without requeueing.
    Rejected,
    /// It lived for longer than it may.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl DeathReason {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Rejected, Self::Expired, Self::MaxLength, Self::DeliveryLimit];

    /// Its name in `x-death`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message that is to be moved to the dead-letter exchange.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Where it stood.
    pub position: Position,
    /// The message as it was in the queue.
    pub message: Message,
    /// Why it was given up.
    pub reason: DeathReason,
    /// When.
    pub at: Timestamp,
}

/// A message that has left the queue's order and has not arrived elsewhere.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) entry: Entry,
    pub(super) reason: DeathReason,
    pub(super) at: Timestamp,
    /// The store knows it.
    pub(super) recorded: bool,
}

impl Departure {
    fn is_stub(&self) -> bool {
        self.entry.message.is_stub()
    }
}

/// The dead letters of a queue, in the order they died.
///
/// One caller at a time moves them, so that they arrive in that order; each stays here until it has
/// arrived, so that it is never in neither place.
#[derive(Debug, Default)]
pub(super) struct Departures {
    waiting: VecDeque<Departure>,
    /// Bytes in the bodies of all of them.
    bytes: u64,
    /// Those that only their places are here of.
    stubs: usize,
    /// So many of the first are being moved.
    in_hand: usize,
    /// No queue took the first: they wait until then.
    retry_at: Option<Timestamp>,
    attempts: u32,
}

impl Departures {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes in the bodies of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, departure: Departure) {
        self.bytes += departure.entry.message.body_len();
        self.stubs += usize::from(departure.is_stub());
        self.waiting.push_back(departure);
    }

    /// Asks for the messages of the first places, if nobody can go before the first is read.
    pub(super) fn recall(&self, recall: &mut Recall) {
        if self.stubs > 0
            && self.in_hand == 0
            && self.waiting.front().is_some_and(Departure::is_stub)
        {
            recall.ask(self.waiting.iter().take(STUBS_MAX).map(|departure| &departure.entry));
        }
    }

    /// Where the stubs are that may have been asked for: none has moved backwards since.
    pub(super) fn first_stubs(&self) -> HashMap<Position, usize, FxBuildHasher> {
        if self.stubs == 0 {
            return HashMap::default();
        }
        let first = self.waiting.iter().take(STUBS_MAX).enumerate();
        let stubs = first.filter(|(_, departure)| departure.is_stub());
        stubs.map(|(index, departure)| (departure.entry.position, index)).collect()
    }

    /// Puts a message into its place; given back is the stub that stood there, or the message.
    pub(super) fn fill(&mut self, index: usize, message: Message) -> Result<Message, Message> {
        let entry = self.waiting.get_mut(index).map(|departure| &mut departure.entry);
        let stub = stubs::fill(entry, message)?;
        self.stubs -= 1;
        Ok(stub)
    }

    /// Takes a place, for good, if there is only a stub and it may have been asked for.
    pub(super) fn take_stub(&mut self, position: Position) -> Option<Departure> {
        let index = *self.first_stubs().get(&position)?;
        let lost = self.waiting.remove(index)?;
        self.stubs -= 1;
        self.bytes -= lost.entry.message.body_len();
        Some(lost)
    }

    /// Whether somebody should come and move them. If they had to wait, their wait ends with it.
    pub(super) fn are_ready(&mut self, now: Timestamp) -> bool {
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.retry_at = None;
        }
        let is_there = self.waiting.front().is_some_and(|first| !first.is_stub());
        self.in_hand == 0 && self.retry_at.is_none() && is_there
    }

    /// When those are to be tried again that no queue took.
    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        self.retry_at.filter(|_| self.in_hand == 0)
    }

    /// Hands out the first `max`. Nothing more is handed out until [`Departures::arrived`].
    pub(super) fn take(&mut self, max: usize, now: Timestamp) -> Vec<DeadLetter> {
        if !self.are_ready(now) {
            return Vec::new();
        }
        let at_hand = self.waiting.iter().take(max).take_while(|it| !it.is_stub());
        self.in_hand = at_hand.count();
        let letter = |departure: &Departure| DeadLetter {
            position: departure.entry.position,
            message: departure.entry.message.clone(),
            reason: departure.reason,
            at: departure.at,
        };
        self.waiting.iter().take(self.in_hand).map(letter).collect()
    }

    /// What was handed out is elsewhere now, but for those at `refused` (in order), which no queue
    /// took. Those that are through.
    pub(super) fn arrived(&mut self, refused: &[Position], now: Timestamp) -> Vec<Departure> {
        let in_hand = std::mem::take(&mut self.in_hand);
        let mut refused = refused.iter().peekable();
        let (kept, through): (Vec<Departure>, Vec<Departure>) =
            self.waiting.drain(..in_hand).partition(|departure| {
                refused.next_if(|position| **position == departure.entry.position).is_some()
            });
        if kept.is_empty() {
            self.attempts = 0;
        } else {
            let wait = RETRY_MIN_MS << self.attempts.min(16);
            self.retry_at = Some(now.after(wait.min(RETRY_MAX_MS)));
            self.attempts += 1;
            for departure in kept.into_iter().rev() {
                self.waiting.push_front(departure);
            }
        }
        self.bytes -= through.iter().map(|it| it.entry.message.body_len()).sum::<u64>();
        through
    }

    /// How many messages it has only the places of.
    #[cfg(test)]
    pub(super) fn stubs(&self) -> usize {
        self.stubs
    }

    /// Takes everything, what is being moved included.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Departure> + use<> {
        std::mem::take(self).waiting.into_iter()
    }
}
