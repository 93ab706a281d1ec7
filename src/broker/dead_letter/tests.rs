//! The record of deaths, field by field.

use super::*;
use crate::broker::effect::Position;
use crate::broker::time::Timestamp;
use amqp_codec::BasicProperties;

/// A message to be, as a publisher sent it.
#[derive(Default)]
struct Sent {
    properties: BasicProperties,
    extras: MessageExtras,
}

fn name(name: &str) -> ShortString {
    ShortString::new(name).unwrap()
}

fn text(text: &str) -> FieldValue {
    FieldValue::LongString(Bytes::copy_from_slice(text.as_bytes()))
}

fn texts(all: &[&str]) -> FieldValue {
    FieldValue::Array(all.iter().map(|it| text(it)).collect())
}

fn table(fields: &[(&str, FieldValue)]) -> FieldValue {
    FieldValue::Table(fields.iter().map(|(key, value)| (name(key), value.clone())).collect())
}

impl Sent {
    fn header(mut self, key: &str, value: FieldValue) -> Self {
        self.properties.headers.get_or_insert_default().insert(name(key), value);
        self
    }

    fn expiration(mut self, expiration: &str) -> Self {
        self.properties.expiration = Some(name(expiration));
        self.extras.time_to_live = Some(expiration.parse().unwrap());
        self
    }

    /// The headers `CC` and `BCC`; the second is taken off when the message is published.
    fn copies(mut self, copies: &[&str], blind: &[&str]) -> Self {
        self = self.header("CC", texts(copies));
        self.extras.copies = copies.iter().map(|it| name(it)).collect();
        self.extras.blind_copies = blind.iter().map(|it| name(it)).collect();
        self
    }

    /// Published to the exchange `orders` with the routing key `new`.
    fn message(self) -> Message {
        let properties = self.properties.to_vec();
        let bytes = [b"ordersnew", &properties[..], b"body"].concat();
        Message::new(MessageParts {
            exchange_len: 6,
            routing_key_len: 3,
            properties_len: u32::try_from(properties.len()).unwrap(),
            bytes: &bytes,
            segments: &[],
            persistent: true,
            priority: 4,
            extras: Some(Box::new(self.extras)),
        })
    }
}

const AT: u64 = 1_700_000_000_999;

/// The death of a message in a queue; its letter goes to the exchange `dlx`.
fn obituary(message: &Message, queue: &str, reason: DeathReason, key: Option<&str>) -> Obituary {
    let letter =
        DeadLetter { position: Position(0), message: message.clone(), reason, at: Timestamp(AT) };
    let target = DeadLetterTarget {
        exchange: name("dlx"),
        routing_key: key.map(name),
        at_least_once: false,
    };
    Obituary::new(&letter, &name(queue), &target)
}

/// The message after it died in these queues, one after the other.
fn after(message: &Message, deaths: &[(&str, DeathReason)]) -> Message {
    deaths.iter().fold(message.clone(), |message, &(queue, reason)| {
        obituary(&message, queue, reason, None).message(&message)
    })
}

fn properties(message: &Message) -> BasicProperties {
    PropertiesRef::parse(message.properties()).unwrap().to_owned().unwrap()
}

fn header(message: &Message, key: &str) -> Option<FieldValue> {
    properties(message).headers?.get(key).cloned()
}

/// Queue, reason and count of each entry.
fn record_of(message: &Message) -> Vec<(String, String, i64)> {
    let deaths = header(message, "x-death").expect("it died");
    let entry = |death: &FieldValue| {
        let death = death.as_table().unwrap();
        let text = |key| death.get(key).and_then(FieldValue::as_str).unwrap().to_owned();
        (text("queue"), text("reason"), death.get("count").unwrap().as_integer().unwrap())
    };
    deaths.as_array().unwrap().iter().map(entry).collect()
}

fn entries(expected: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    expected.iter().map(|&(queue, reason, count)| (queue.into(), reason.into(), count)).collect()
}

/// The record names the queue, the reason, the time in seconds, the exchange and the keys the message
/// was published with, and how often it died so.
#[test]
fn a_death_is_recorded_in_full() {
    let message = after(&Sent::default().message(), &[("q", DeathReason::Rejected)]);
    let expected = table(&[
        ("count", FieldValue::I64(1)),
        ("reason", text("rejected")),
        ("queue", text("q")),
        ("time", FieldValue::Timestamp(1_700_000_000)),
        ("exchange", text("orders")),
        ("routing-keys", texts(&["new"])),
    ]);
    assert_eq!(header(&message, "x-death"), Some(FieldValue::Array(vec![expected])));
}

/// The reasons are `rejected`, `expired`, `maxlen` and `delivery_limit`.
#[test]
fn each_reason_has_its_name() {
    let names = DeathReason::ALL
        .map(|reason| record_of(&after(&Sent::default().message(), &[("q", reason)])).remove(0).1);
    assert_eq!(names, ["rejected", "expired", "maxlen", "delivery_limit"]);
}

/// The rest of the message is as it was: body, priority, persistence, other properties and headers.
#[test]
fn a_dead_letter_is_the_message_it_was() {
    let mut sent = Sent::default().header("mine", text("kept"));
    sent.properties.content_type = Some(name("text/plain"));
    sent.properties.message_id = Some(name("7"));
    let message = after(&sent.message(), &[("q", DeathReason::Expired)]);
    assert_eq!((message.exchange(), message.routing_key()), (&b"dlx"[..], &b"new"[..]));
    assert_eq!(message.inline_body(), b"body");
    assert_eq!((message.priority(), message.is_persistent()), (4, true));
    let properties = properties(&message);
    assert_eq!(properties.content_type, Some(name("text/plain")));
    assert_eq!(properties.message_id, Some(name("7")));
    assert_eq!(header(&message, "mine"), Some(text("kept")));
}

/// A large body stays in the slices it came in.
#[test]
fn a_large_body_is_not_copied() {
    let segments = [Bytes::from_static(b"large"), Bytes::from_static(b"body")];
    let message = Message::new(MessageParts {
        exchange_len: 0,
        routing_key_len: 0,
        properties_len: 2,
        bytes: &[0, 0],
        segments: &segments,
        persistent: false,
        priority: 0,
        extras: None,
    });
    let letter = after(&message, &[("q", DeathReason::Expired)]);
    assert_eq!(
        letter.body_segments().iter().map(|it| it.as_ptr()).collect::<Vec<_>>(),
        segments.map(|it| it.as_ptr())
    );
}

/// There is one entry for each pair of queue and reason, the latest first; one that is there already
/// moves to the front and counts up.
#[test]
fn the_same_death_again_counts_up_and_comes_first() {
    let (expired, rejected) = (DeathReason::Expired, DeathReason::Rejected);
    let deaths = [("a", expired), ("b", expired), ("a", rejected), ("b", expired)];
    let message = after(&Sent::default().message(), &deaths);
    let expected = [("b", "expired", 2), ("a", "rejected", 1), ("a", "expired", 1)];
    assert_eq!(record_of(&message), entries(&expected));
}

/// An entry that counts up keeps what was recorded the first time.
#[test]
fn an_entry_keeps_its_first_time_and_place() {
    let message = after(&Sent::default().message(), &[("q", DeathReason::Expired)]);
    let letter = DeadLetter {
        position: Position(0),
        message,
        reason: DeathReason::Expired,
        at: Timestamp(AT + 60_000),
    };
    let target =
        DeadLetterTarget { exchange: name("dlx"), routing_key: None, at_least_once: false };
    let again = Obituary::new(&letter, &name("q"), &target).message(&letter.message);
    let deaths = header(&again, "x-death").unwrap();
    let entry = deaths.as_array().unwrap()[0].as_table().unwrap().clone();
    assert_eq!(entry.get("count"), Some(&FieldValue::I64(2)));
    assert_eq!(entry.get("time"), Some(&FieldValue::Timestamp(1_700_000_000)));
    assert_eq!(entry.get("exchange"), Some(&text("orders")));
}

/// The first death is told for good, the last one each time anew.
#[test]
fn the_first_and_the_last_death_are_told() {
    let message = after(
        &Sent::default().message(),
        &[("a", DeathReason::MaxLength), ("b", DeathReason::Expired)],
    );
    let told = ["first", "last"].map(|which| {
        ["reason", "queue", "exchange"]
            .map(|what| header(&message, &format!("x-{which}-death-{what}")).unwrap())
    });
    let expected = [["maxlen", "a", "orders"], ["expired", "b", "dlx"]];
    assert_eq!(told, expected.map(|all| all.map(text)));
}

/// The property `expiration` is taken off, so that the message does not expire again; the record has
/// it as `original-expiration`.
#[test]
fn the_expiration_moves_to_the_record() {
    let message =
        after(&Sent::default().expiration("250").message(), &[("a", DeathReason::Expired)]);
    assert_eq!((properties(&message).expiration, message.extras().time_to_live), (None, None));
    let original = |message: &Message, index: usize| {
        let deaths = header(message, "x-death").unwrap();
        deaths.as_array().unwrap()[index].as_table().unwrap().get("original-expiration").cloned()
    };
    assert_eq!(original(&message, 0), Some(text("250")));
    let message = after(&message, &[("b", DeathReason::Rejected)]);
    assert_eq!((original(&message, 0), original(&message, 1)), (None, Some(text("250"))));
}

/// A dead letter keeps the keys it was published with, copies and blind copies included; the record
/// has all but the blind ones.
#[test]
fn a_dead_letter_goes_to_all_its_keys() {
    let message = Sent::default().copies(&["c1", "c2"], &["b1"]).message();
    let obituary = obituary(&message, "q", DeathReason::Rejected, None);
    assert_eq!(obituary.routing_keys, ["new", "c1", "c2", "b1"].map(name));
    let letter = obituary.message(&message);
    let recorded = |letter: &Message| {
        let deaths = header(letter, "x-death").unwrap();
        deaths.as_array().unwrap()[0].as_table().unwrap().get("routing-keys").cloned()
    };
    assert_eq!(recorded(&letter), Some(texts(&["new", "c1", "c2"])));
    assert_eq!(header(&letter, "CC"), Some(texts(&["c1", "c2"])));
}

/// Receivers don't see blind copies, however often the message dies.
#[test]
fn blind_copies_stay_blind_at_the_next_death() {
    let message = Sent::default().copies(&["c"], &["secret"]).message();
    let letter = after(&message, &[("a", DeathReason::Expired), ("b", DeathReason::Expired)]);
    let deaths = header(&letter, "x-death").unwrap();
    let keys = deaths.as_array().unwrap()[0].as_table().unwrap().get("routing-keys").cloned();
    assert_eq!(keys, Some(texts(&["new", "c"])));
    let next = obituary(&letter, "c", DeathReason::Expired, None);
    assert_eq!(next.routing_keys, ["new", "c", "secret"].map(name), "they still get theirs");
}

/// Where the queue names a routing key it takes the place of all the message's own, and `CC` goes.
#[test]
fn a_routing_key_of_the_queue_replaces_all_others() {
    let message = Sent::default().copies(&["c"], &["b"]).message();
    let obituary = obituary(&message, "q", DeathReason::Rejected, Some("dead"));
    assert_eq!(obituary.routing_keys, [name("dead")]);
    let letter = obituary.message(&message);
    assert_eq!((letter.routing_key(), header(&letter, "CC")), (&b"dead"[..], None));
    assert!(letter.extras().copies.is_empty() && letter.extras().blind_copies.is_empty());
}

/// A message may not come back to a queue it was in, unless a client rejected it on the way.
#[test]
fn a_message_goes_round_only_if_a_client_rejected_it() {
    let (expired, rejected) = (DeathReason::Expired, DeathReason::Rejected);
    let enters = |deaths: &[(&str, DeathReason)], queue: &str| {
        let (&(last, reason), before) = deaths.split_last().unwrap();
        let message = after(&Sent::default().message(), before);
        obituary(&message, last, reason, None).may_enter(&name(queue))
    };
    assert!(enters(&[("a", expired)], "b"), "it was never there");
    assert!(!enters(&[("a", expired)], "a"));
    assert!(!enters(&[("a", expired), ("b", expired)], "a"));
    assert!(!enters(&[("a", DeathReason::MaxLength), ("b", DeathReason::DeliveryLimit)], "a"));
    assert!(enters(&[("a", rejected)], "a"), "a client asked for it");
    assert!(enters(&[("a", expired), ("b", rejected)], "a"));
    assert!(enters(&[("a", expired), ("b", rejected), ("c", expired)], "a"), "on the way");
    assert!(!enters(&[("b", rejected), ("a", expired), ("c", expired)], "a"), "before that");
}

/// What a publisher puts into `x-death` does no harm, whatever it is.
#[test]
fn a_record_that_a_publisher_made_up_is_survived() {
    let made_up = [
        text("not a list"),
        FieldValue::Void,
        table(&[("queue", text("q"))]),
        texts(&["not", "tables"]),
        FieldValue::Array(vec![table(&[]), FieldValue::Array(Vec::new()), FieldValue::I8(-1)]),
        FieldValue::Array(vec![table(&[("queue", FieldValue::I32(7)), ("reason", text("x"))])]),
    ];
    for value in made_up {
        let message = Sent::default().header("x-death", value.clone()).message();
        let obituary = obituary(&message, "q", DeathReason::Expired, None);
        assert!(!obituary.may_enter(&name("q")) && obituary.may_enter(&name("other")));
        let letter = obituary.message(&message);
        let deaths = header(&letter, "x-death").expect("a record");
        let first = deaths.as_array().unwrap()[0].as_table().unwrap();
        assert_eq!(first.get("count"), Some(&FieldValue::I64(1)), "{value:?}");
        assert_eq!(first.get("queue"), Some(&text("q")), "{value:?}");
    }
}

/// A record that came with the message is counted on: its count may be of any type and value.
#[test]
fn a_count_that_came_with_the_message_goes_on() {
    let counts = [
        (FieldValue::I64(4), 5),
        (FieldValue::U8(9), 10),
        (text("many"), 1),
        (FieldValue::I64(i64::MAX), i64::MAX),
    ];
    for (count, expected) in counts {
        let entry = [("queue", text("q")), ("reason", text("expired")), ("count", count)];
        let record = FieldValue::Array(vec![table(&entry)]);
        let message = Sent::default().header("x-death", record).message();
        let letter = after(&message, &[("q", DeathReason::Expired)]);
        assert_eq!(record_of(&letter), entries(&[("q", "expired", expected)]));
    }
}
