//! What becomes of a message that dies: the record of its deaths, and where it may not go again.
//!
//! <https://www.rabbitmq.com/docs/dlx>. Counts and order of `x-death` are RabbitMQ 3's, which goes on
//! counting in the header that a message comes with.

use std::collections::HashSet;

use amqp_codec::{FieldTable, FieldValue, PropertiesRef, ShortString};
use bytes::Bytes;

use super::message::{Message, MessageExtras, MessageParts};
use super::queue::{DeadLetter, DeathReason};
use super::queue_settings::DeadLetterTarget;

/// A dead letter as it is published to the dead-letter exchange.
#[derive(Debug)]
pub struct Obituary {
    /// The exchange it goes to.
    pub exchange: ShortString,
    /// Its routing keys there, at least one.
    pub routing_keys: Vec<ShortString>,
    /// The raw properties, with the record of its deaths.
    pub properties: Vec<u8>,
    came_from: CameFrom,
}

/// The queues that a message may not come back to.
#[derive(Debug)]
enum CameFrom {
    /// None: a client rejected it.
    Anywhere,
    /// These: it died there since a client last rejected it, or ever.
    Queues(HashSet<Bytes>),
    /// All.
    Everywhere,
}

impl Obituary {
    /// Records the death of a message in the queue of this name.
    pub fn new(letter: &DeadLetter, queue: &ShortString, target: &DeadLetterTarget) -> Self {
        let message = &letter.message;
        let parsed = PropertiesRef::parse(message.properties()).and_then(|it| it.to_owned());
        let Ok(mut properties) = parsed else {
            return Self::unreadable(letter, target);
        };
        let expiration = properties.expiration.take();
        let mut headers = properties.headers.take().unwrap_or_default();
        let death = death(letter, queue, expiration.as_ref());
        let deaths = record(&mut headers, death, queue, letter.reason);
        note_first_and_last(&mut headers, letter, queue);
        let routing_keys = routing_keys(message, target);
        if target.routing_key.is_some() {
            headers.remove("CC");
        }
        properties.headers = Some(headers);
        Self {
            exchange: target.exchange.clone(),
            routing_keys,
            properties: properties.to_vec(),
            came_from: came_from(letter.reason, &deaths),
        }
    }

    /// A message whose headers can't be decoded any more, for having too many of them: they stay as they
    /// are. Its deaths are not known, so it goes on only where a client sent it.
    fn unreadable(letter: &DeadLetter, target: &DeadLetterTarget) -> Self {
        let came_from = if letter.reason == DeathReason::Rejected {
            CameFrom::Anywhere
        } else {
            CameFrom::Everywhere
        };
        Self {
            exchange: target.exchange.clone(),
            routing_keys: routing_keys(&letter.message, target),
            properties: letter.message.properties().to_vec(),
            came_from,
        }
    }

    /// Whether the message may enter the queue of this name: it may not come back to one where it was
    /// before, unless a client rejected it on the way. Otherwise it would go round for ever.
    pub fn may_enter(&self, queue: &ShortString) -> bool {
        match &self.came_from {
            CameFrom::Anywhere => true,
            CameFrom::Everywhere => false,
            CameFrom::Queues(queues) => !queues.contains(queue.as_bytes()),
        }
    }

    /// The message as the next queue gets it. Its time to live is gone, so that it does not die of it
    /// again.
    pub fn message(&self, original: &Message) -> Message {
        let routing_key = self.routing_keys.first().map_or(&[][..], ShortString::as_bytes);
        let head = [self.exchange.as_bytes(), routing_key, &self.properties].concat();
        let bytes = [&head, original.inline_body()].concat();
        // Behind the first, unless the target's key took the place of all.
        let further = self.routing_keys.get(1..).unwrap_or_default();
        let (copies, blind_copies) =
            further.split_at(original.extras().copies.len().min(further.len()));
        Message::new(MessageParts {
            exchange_len: self.exchange.wire_len(),
            routing_key_len: u8::try_from(routing_key.len()).unwrap_or(u8::MAX),
            properties_len: u32::try_from(self.properties.len()).unwrap_or(u32::MAX),
            bytes: &bytes,
            segments: original.body_segments(),
            persistent: original.is_persistent(),
            priority: original.priority(),
            extras: (self.routing_keys.len() > 1).then(|| {
                Box::new(MessageExtras {
                    copies: copies.to_vec(),
                    blind_copies: blind_copies.to_vec(),
                    ..MessageExtras::default()
                })
            }),
        })
    }
}

fn came_from(reason: DeathReason, deaths: &[FieldValue]) -> CameFrom {
    if reason == DeathReason::Rejected {
        return CameFrom::Anywhere;
    }
    let text = |death: &FieldValue, field: &str| death.as_table()?.get(field)?.as_bytes().cloned();
    let rejected = |death: &&FieldValue| text(death, "reason").as_deref() == Some(b"rejected");
    let since = deaths.iter().take_while(|death| !rejected(death));
    CameFrom::Queues(since.filter_map(|death| text(death, "queue")).collect())
}

/// The target's key, or else all that the message was published with, the blind ones too.
fn routing_keys(message: &Message, target: &DeadLetterTarget) -> Vec<ShortString> {
    if let Some(key) = &target.routing_key {
        return vec![key.clone()];
    }
    message.routing_keys().into_iter().map(ShortString::truncated).collect()
}

/// The entry for `x-death`, but for its count.
fn death(letter: &DeadLetter, queue: &ShortString, expiration: Option<&ShortString>) -> FieldTable {
    let DeadLetter { message, reason, at, .. } = letter;
    let text = |bytes: &[u8]| FieldValue::LongString(Bytes::copy_from_slice(bytes));
    let keys = std::iter::once(message.routing_key())
        .chain(message.extras().copies.iter().map(ShortString::as_bytes));
    let mut death = FieldTable::new();
    let mut add = |name, value| death.push(ShortString::from_static(name), value);
    add("count", FieldValue::I64(1));
    add("reason", text(reason.name().as_bytes()));
    add("queue", text(queue.as_bytes()));
    add("time", FieldValue::Timestamp(at.seconds()));
    add("exchange", text(message.exchange()));
    add("routing-keys", FieldValue::Array(keys.map(text).collect()));
    if let Some(expiration) = expiration {
        add("original-expiration", text(expiration.as_bytes()));
    }
    death
}

/// Puts a death first in `x-death`. One in the same queue for the same reason counts up instead, and
/// keeps what was recorded the first time.
fn record(
    headers: &mut FieldTable,
    death: FieldTable,
    queue: &ShortString,
    reason: DeathReason,
) -> Vec<FieldValue> {
    let mut deaths = match headers.remove("x-death") {
        Some(FieldValue::Array(deaths)) => deaths,
        _ => Vec::new(),
    };
    let is = |table: &FieldTable, field: &str, expected: &[u8]| {
        table.get(field).and_then(FieldValue::as_bytes).is_some_and(|text| text[..] == *expected)
    };
    let same = |entry: &FieldValue| {
        entry.as_table().is_some_and(|table| {
            is(table, "queue", queue.as_bytes()) && is(table, "reason", reason.name().as_bytes())
        })
    };
    let entry = match deaths.iter().position(same).map(|index| deaths.remove(index)) {
        Some(FieldValue::Table(mut known)) => {
            let count = known.get("count").and_then(FieldValue::as_integer).unwrap_or(0);
            known.insert(
                ShortString::from_static("count"),
                FieldValue::I64(count.saturating_add(1)),
            );
            known
        }
        _ => death,
    };
    deaths.insert(0, FieldValue::Table(entry));
    headers.insert(ShortString::from_static("x-death"), FieldValue::Array(deaths.clone()));
    deaths
}

fn note_first_and_last(headers: &mut FieldTable, letter: &DeadLetter, queue: &ShortString) {
    let values = [letter.reason.name().as_bytes(), queue.as_bytes(), letter.message.exchange()];
    let first = ["x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"];
    let last = ["x-last-death-reason", "x-last-death-queue", "x-last-death-exchange"];
    let text = |bytes: &[u8]| FieldValue::LongString(Bytes::copy_from_slice(bytes));
    for (name, value) in first.into_iter().zip(values) {
        if !headers.contains(name) {
            headers.insert(ShortString::from_static(name), text(value));
        }
    }
    for (name, value) in last.into_iter().zip(values) {
        headers.insert(ShortString::from_static(name), text(value));
    }
}

#[cfg(test)]
mod tests;
