//! Recent-history exchanges: like fanout, and whoever is bound gets the last messages as well.
//!
//! How many is the argument `x-recent-history-length`, 20 if there is none. A message with the header
//! `x-recent-history-no-store: true` is not recorded.
//!
//! A message is recorded when it has been stored, after it was routed: [`History`] hangs on the
//! route, and the publish path shows it what took that route.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amqp_codec::{FieldTable, FieldValue};
use parking_lot::Mutex;

use super::invalid::{InvalidArgument, erlang_binary};
use crate::broker::message::Message;
use crate::broker::message_header::header;

/// How many messages are kept if the declaration does not say.
const LENGTH_DEFAULT: usize = 20;

/// Bytes of message memory that all histories of one vhost may hold together.
const MEMORY_MAX: usize = 64 * 1024 * 1024;

/// What all histories of a vhost hold: a bound for each of them would be none for many.
#[derive(Debug, Default)]
pub struct HistoryMemory(AtomicUsize);

impl HistoryMemory {
    /// Bytes held.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The last messages that an exchange routed, the oldest first.
#[derive(Debug)]
pub struct History {
    length: usize,
    messages: Mutex<VecDeque<Recorded>>,
    memory: Arc<HistoryMemory>,
}

/// A message that was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    message: Message,
    /// The routing keys that its headers added, some of which do not stay in them.
    added_keys: Box<[Box<[u8]>]>,
}

impl Recorded {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// All its routing keys, its own first.
    pub fn routing_keys(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.message.routing_key()).chain(self.added_keys.iter().map(|key| &**key))
    }

    fn memory(&self) -> usize {
        self.message.memory() + self.added_keys.iter().map(|key| key.len()).sum::<usize>()
    }
}

impl History {
    /// A history without messages, as long as the arguments of its exchange say.
    ///
    /// # Errors
    /// [`InvalidArgument`] unless the length is a positive integer.
    pub(super) fn new(
        arguments: &FieldTable,
        memory: Arc<HistoryMemory>,
    ) -> Result<Self, InvalidArgument> {
        let length = match arguments.get("x-recent-history-length") {
            None => LENGTH_DEFAULT,
            Some(value) => length(value)?,
        };
        Ok(Self { length, messages: Mutex::default(), memory })
    }

    /// Records a message, unless it asks not to be. The oldest goes when there are too many, or when
    /// the histories of the vhost hold too much.
    pub fn record(&self, message: &Message, routing_keys: &[&[u8]]) {
        let no_store = header(message.properties(), "x-recent-history-no-store");
        if no_store == Some(FieldValue::Bool(true)) || message.memory() > MEMORY_MAX {
            return;
        }
        let added_keys = routing_keys.iter().skip(1).map(|key| (*key).into()).collect();
        let recorded = Recorded { message: message.clone(), added_keys };
        let mut messages = self.messages.lock();
        self.memory.0.fetch_add(recorded.memory(), Ordering::Relaxed);
        messages.push_back(recorded);
        while messages.len() > self.length || self.memory.used() > MEMORY_MAX {
            let Some(oldest) = messages.pop_front() else { return };
            self.memory.0.fetch_sub(oldest.memory(), Ordering::Relaxed);
        }
    }

    /// The messages of the present, the oldest first. Cost: a pointer for each.
    pub fn messages(&self) -> Vec<Recorded> {
        self.messages.lock().iter().cloned().collect()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        let held = self.messages.get_mut().iter().map(Recorded::memory).sum();
        self.memory.0.fetch_sub(held, Ordering::Relaxed);
    }
}

fn length(value: &FieldValue) -> Result<usize, InvalidArgument> {
    // RabbitMQ takes signed integers only; what else is an integer does no harm.
    match value.as_integer() {
        Some(length) if length > 0 => Ok(usize::try_from(length).unwrap_or(usize::MAX)),
        Some(length) => Err(InvalidArgument::HistoryLength(length.to_string())),
        None => Err(InvalidArgument::HistoryLength(shown(value))),
    }
}

fn shown(value: &FieldValue) -> String {
    match value {
        FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => erlang_binary(bytes),
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::Void => "undefined".to_owned(),
        FieldValue::F32(value) => format!("{value:?}"),
        FieldValue::F64(value) => format!("{value:?}"),
        FieldValue::Timestamp(seconds) => seconds.to_string(),
        other => other.type_name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, message, properties};
    use super::*;

    fn history(args: &[(&'static str, FieldValue)]) -> Result<History, String> {
        let memory = Arc::default();
        History::new(&arguments(args), memory).map_err(|error| error.to_string())
    }

    fn bodies(history: &History) -> Vec<String> {
        let body = |recorded: &Recorded| {
            String::from_utf8_lossy(recorded.message().inline_body()).into_owned()
        };
        history.messages().iter().map(body).collect()
    }

    #[test]
    fn the_length_is_a_positive_integer_and_refused_in_the_plugins_words() {
        assert_eq!(history(&[]).unwrap().length, 20);
        let of = |value| history(&[("x-recent-history-length", value)]);
        assert_eq!(of(5_i8.into()).unwrap().length, 5);
        let refused = [
            (0_i32.into(), "0"),
            ((-1_i32).into(), "-1"),
            ("5".into(), "<<\"5\">>"),
            (true.into(), "true"),
            (FieldValue::Void, "undefined"),
        ];
        for (value, shown) in refused {
            let text = format!(
                "Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
            );
            assert_eq!(of(value).unwrap_err(), text);
        }
    }

    #[test]
    fn the_last_ones_are_kept_in_their_order_unless_they_ask_not_to_be() {
        let history = history(&[("x-recent-history-length", 2_i32.into())]).unwrap();
        for body in ["a", "b", "c"] {
            history.record(&message("k", &[0, 0], body), &[b"k"]);
        }
        let with = |value| properties(&[("x-recent-history-no-store", value)]);
        history.record(&message("k", &with(true.into()), "not"), &[b"k"]);
        assert_eq!(bodies(&history), ["b", "c"]);
        history.record(&message("k", &with(1_i32.into()), "d"), &[b"k"]);
        history.record(&message("k", &with(false.into()), "e"), &[b"k"]);
        assert_eq!(bodies(&history), ["d", "e"]);
    }

    #[test]
    fn added_keys_are_kept_with_the_message() {
        let history = history(&[]).unwrap();
        history.record(&message("own", &[0, 0], ""), &[b"own", b"cc", b"bcc"]);
        let recorded = &history.messages()[0];
        assert!(recorded.routing_keys().eq([b"own".as_slice(), b"cc", b"bcc"]));
    }

    #[test]
    fn histories_share_a_bound_in_bytes_and_give_back_what_they_held() {
        let memory = Arc::<HistoryMemory>::default();
        let new = || History::new(&FieldTable::default(), Arc::clone(&memory)).unwrap();
        let (one, other) = (new(), new());
        let large = message("k", &[0, 0], &"x".repeat(MEMORY_MAX / 4));
        for _ in 0..3 {
            one.record(&large, &[b"k"]);
            other.record(&large, &[b"k"]);
        }
        assert_eq!(one.messages().len() + other.messages().len(), 3, "a fourth is too much");
        assert!(memory.used() <= MEMORY_MAX);
        drop(one);
        drop(other);
        assert_eq!(memory.used(), 0);
    }
}
