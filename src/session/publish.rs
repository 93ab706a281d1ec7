//! The publish path: checks, route, confirm number, and into the queues in batches.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{ChannelId, PropertiesRef, ReplyCode, ShortString};

use super::channel::{Mode, RememberedRoute, SessionChannel, TransactedPublish};
use super::client::Session;
use super::outbox::{BatchConfirmation, Publisher};
use crate::broker::effect::Effects;
use crate::broker::message::{EXPIRY_MS_MAX, Message, MessageParts};
use crate::broker::routing::{Publication, Route, Router};
use crate::broker::vhost::VHost;
use crate::protocol::content::Content;
use crate::protocol::exception::Exception;
use crate::protocol::output::{OutgoingContent, Output};

/// A batch is handed to its queues at this size at the latest: a queue's lock is not held for longer
/// than it takes to enqueue so many.
const BATCH_MESSAGES_MAX: usize = 256;

/// The same in bytes of message memory.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Consecutive publishes of one connection that go to the same queues.
#[derive(Debug, Default)]
pub(super) struct PublishBatch {
    route: Option<Arc<Route>>,
    messages: Vec<Message>,
    bytes: usize,
    /// The publishes of the batch that await their confirm, in runs by channel.
    confirms: Vec<(Publisher, RangeInclusive<u64>)>,
}

impl PublishBatch {
    fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_MESSAGES_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn goes_to(&self, route: &Arc<Route>) -> bool {
        self.route.as_ref().is_none_or(|current| Arc::ptr_eq(current, route))
    }

    /// Notes that a publish awaits its confirm; runs grow in place.
    fn await_confirm(&mut self, publisher: Publisher, sequence: u64) {
        match self.confirms.last_mut() {
            Some((last, range)) if *last == publisher && *range.end() + 1 == sequence => {
                *range = *range.start()..=sequence;
            }
            _ => self.confirms.push((publisher, sequence..=sequence)),
        }
    }
}

/// What the broker acts on in a message's properties.
struct Checked {
    persistent: bool,
}

impl Session {
    /// Publishes a message; its buffer comes back to be used again.
    ///
    /// # Errors
    /// 540 for `immediate`; 404 or 403 for the exchange; 406 for properties that make no sense.
    pub(super) fn publish(
        &mut self,
        id: ChannelId,
        content: Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<Vec<u8>, Exception> {
        let blamed = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
        self.accept(id, &content, output, now).map_err(|exception| exception.blame(blamed))?;
        Ok(content.bytes)
    }

    fn accept(
        &mut self,
        id: ChannelId,
        content: &Content,
        output: &mut Output,
        now: Instant,
    ) -> Result<(), Exception> {
        if content.publish.immediate {
            return Err(Exception::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let checked = check_properties(content.properties(), &self.user);
        if checked.is_err() {
            // What is wrong with the exchange is told first; but a message that is refused must not
            // be noted as seen on its way.
            self.vhost.check_target(&content.publish.exchange)?;
        }
        let checked = checked?;
        let route = channel.route(&self.vhost, content, now)?;
        let publisher = Publisher { channel: id, serial: channel.serial };
        let sequence = match &mut channel.mode {
            Mode::Confirm(ledger) => Some(ledger.publish()),
            Mode::Plain => None,
            Mode::Transaction(transaction) => {
                let message = store(content, &checked);
                self.host.use_memory(message.memory());
                self.published = true;
                transaction.publishes.push(TransactedPublish {
                    message,
                    route,
                    mandatory: content.publish.mandatory,
                });
                return Ok(());
            }
        };
        if route.queues.is_empty() {
            if content.publish.mandatory && route.is_unroutable() {
                return_unroutable(id, content, output);
            }
            if route.is_recorded() {
                let key = content.publish.routing_key.as_bytes();
                route.record(&store(content, &checked), &[key]);
            }
            self.confirm_unroutable(publisher, sequence);
            return Ok(());
        }
        let message = store(content, &checked);
        route.record(&message, &[message.routing_key()]);
        if !self.batch.goes_to(&route) {
            self.flush_publishes(now);
        }
        self.add_to_batch(route, message);
        if let Some(sequence) = sequence {
            self.batch.await_confirm(publisher, sequence);
        }
        if self.batch.is_full() {
            self.flush_publishes(now);
        }
        Ok(())
    }

    pub(super) fn add_to_batch(&mut self, route: Arc<Route>, message: Message) {
        self.batch.bytes += message.memory();
        self.batch.messages.push(message);
        self.batch.route.get_or_insert(route);
    }

    /// A message without a queue is confirmed like any other, in its turn.
    fn confirm_unroutable(&mut self, publisher: Publisher, sequence: Option<u64>) {
        if let Some(sequence) = sequence {
            self.batch.await_confirm(publisher, sequence);
        }
    }

    /// Hands the batch to its queues, then its confirms to the store.
    pub(super) fn flush_publishes(&mut self, now: Instant) {
        if let Some(route) = self.batch.route.take() {
            self.enter_queues(&route, now);
        }
        if !self.batch.confirms.is_empty() {
            let settled = std::mem::take(&mut self.batch.confirms);
            let outbox = Arc::clone(&self.outbox);
            self.host.store.when_durable(Box::new(BatchConfirmation { outbox, settled }));
        }
    }

    fn enter_queues(&mut self, route: &Route, now: Instant) {
        let queues = u32::try_from(route.queues.len()).unwrap_or(u32::MAX);
        for message in &self.batch.messages {
            message.enter(queues);
        }
        self.host.use_memory(std::mem::take(&mut self.batch.bytes));
        self.published = true;
        let mut effects = Effects::default();
        for queue in &route.queues {
            queue.state.lock().enqueue(&self.batch.messages, now, &mut effects);
        }
        self.host.carry_out(&mut effects);
        self.batch.messages.clear();
    }

    /// Enters the publishes of a committed transaction. Messages that were counted when they were
    /// published are counted once.
    pub(super) fn publish_committed(
        &mut self,
        id: ChannelId,
        publishes: Vec<TransactedPublish>,
        output: &mut Output,
        now: Instant,
    ) {
        for TransactedPublish { message, route, mandatory } in publishes {
            self.host.free_memory(message.memory());
            let route = self.present_route(route, &message, now);
            route.record(&message, &[message.routing_key()]);
            if route.queues.is_empty() {
                if mandatory && route.is_unroutable() {
                    return_message(id, &message, output);
                }
                continue;
            }
            if !self.batch.goes_to(&route) || self.batch.is_full() {
                self.flush_publishes(now);
            }
            self.add_to_batch(route, message);
        }
        self.flush_publishes(now);
    }

    /// The route of a message that waited for its commit, found anew if something was declared, bound
    /// or deleted meanwhile. An exchange that is gone leads nowhere.
    fn present_route(&self, route: Arc<Route>, message: &Message, now: Instant) -> Arc<Route> {
        let version = self.vhost.version();
        if route.version == version || route.once {
            return route;
        }
        let publication = Publication {
            exchange: &ShortString::truncated(message.exchange()),
            routing_keys: &[message.routing_key()],
            properties: message.properties(),
            now,
        };
        let anew = self.vhost.route(&mut Router::default(), &publication);
        Arc::new(anew.unwrap_or_else(|_| Route { version, ..Route::default() }))
    }
}

impl SessionChannel {
    /// The queues for a message: those of the last one with the same exchange and key, unless
    /// something was declared, bound or deleted since.
    fn route(
        &mut self,
        vhost: &VHost,
        content: &Content,
        now: Instant,
    ) -> Result<Arc<Route>, Exception> {
        let basic::Publish { exchange, routing_key, .. } = &content.publish;
        if let Some(last) = &self.last_route
            && last.routing_key == *routing_key
            && last.exchange == *exchange
            && last.route.version == vhost.version()
        {
            return Ok(Arc::clone(&last.route));
        }
        let publication = Publication {
            exchange,
            routing_keys: &[routing_key.as_bytes()],
            properties: content.properties(),
            now,
        };
        let route = Arc::new(vhost.route(&mut self.router, &publication)?);
        self.last_route = route.by_key_alone.then(|| RememberedRoute {
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
            route: Arc::clone(&route),
        });
        Ok(route)
    }
}

/// Looks at what the broker acts on, and at nothing else: without properties it costs nothing.
fn check_properties(raw: &[u8], user: &str) -> Result<Checked, Exception> {
    let properties = PropertiesRef::parse(raw)?;
    if let Some(user_id) = properties.user_id
        && user_id != user.as_bytes()
    {
        return Err(precondition(format!(
            "user_id property set to '{}' but authenticated user was '{user}'",
            String::from_utf8_lossy(user_id)
        )));
    }
    if let Some(expiration) = properties.expiration {
        check_expiration(expiration)?;
    }
    // What is delivered to others has to be well-formed.
    properties.validate_headers()?;
    match properties.delivery_mode {
        None | Some(1) => Ok(Checked { persistent: false }),
        Some(2) => Ok(Checked { persistent: true }),
        Some(mode) => {
            Err(precondition(format!("invalid message: {{delivery_mode_unknown,{mode}}}")))
        }
    }
}

/// `expiration` is decimal milliseconds, in RabbitMQ's words for everything that is not.
fn check_expiration(expiration: &[u8]) -> Result<(), Exception> {
    let text = String::from_utf8_lossy(expiration);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let reason = match unsigned.split_at(digits) {
        ("", _) => "no_integer".to_owned(),
        (number, "") if text.starts_with('-') && number.bytes().any(|digit| digit != b'0') => {
            format!("{{value_negative,-{}}}", number.trim_start_matches('0'))
        }
        (number, "") if number.parse().is_ok_and(|ms: u64| ms <= EXPIRY_MS_MAX) => return Ok(()),
        (number, "") => format!("{{value_too_large,{}}}", number.trim_start_matches('0')),
        (_, rest) => format!("{{leftover_string,\"{rest}\"}}"),
    };
    Err(precondition(format!("invalid expiration '{text}': {reason}")))
}

fn precondition(text: String) -> Exception {
    Exception::new(ReplyCode::PreconditionFailed, text)
}

fn store(content: &Content, checked: &Checked) -> Message {
    let basic::Publish { exchange, routing_key, .. } = &content.publish;
    Message::new(MessageParts {
        exchange_len: exchange.wire_len(),
        routing_key_len: routing_key.wire_len(),
        properties_len: content.properties_len,
        bytes: &content.bytes,
        segments: &content.segments,
        persistent: checked.persistent,
    })
}

fn no_route(exchange: ShortString, routing_key: ShortString) -> basic::Return {
    let reply_text = ShortString::truncated(ReplyCode::NoRoute.name());
    basic::Return { reply_code: ReplyCode::NoRoute.code(), reply_text, exchange, routing_key }
}

fn return_unroutable(id: ChannelId, content: &Content, output: &mut Output) {
    let basic::Publish { exchange, routing_key, .. } = &content.publish;
    output.method(id, no_route(exchange.clone(), routing_key.clone()));
    let properties_end =
        exchange.as_bytes().len() + routing_key.as_bytes().len() + content.properties_len as usize;
    output.content(
        id,
        OutgoingContent {
            properties: content.properties(),
            body_len: content.body_len,
            inline_body: &content.bytes[properties_end..],
            body_segments: &content.segments,
        },
    );
}

fn return_message(id: ChannelId, message: &Message, output: &mut Output) {
    let exchange = ShortString::truncated(message.exchange());
    let routing_key = ShortString::truncated(message.routing_key());
    output.method(id, no_route(exchange, routing_key));
    output.content(id, outgoing(message));
}

/// A stored message on its way to a client.
pub(super) fn outgoing(message: &Message) -> OutgoingContent<'_> {
    OutgoingContent {
        properties: message.properties(),
        body_len: message.body_len(),
        inline_body: message.inline_body(),
        body_segments: message.body_segments(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These are the texts that clients compare.
    #[test]
    fn expirations_are_refused_in_rabbitmqs_words() {
        let reason = |text: &str| {
            let prefix = format!("invalid expiration '{text}': ");
            let checked = check_expiration(text.as_bytes());
            checked.map_err(|exception| exception.text.replace(&prefix, ""))
        };
        assert_eq!(reason("0"), Ok(()));
        assert_eq!(reason("315360000000"), Ok(()));
        assert_eq!(reason("315360000001"), Err("{value_too_large,315360000001}".to_owned()));
        let beyond_64_bits = "{value_too_large,99999999999999999999}";
        assert_eq!(reason("99999999999999999999"), Err(beyond_64_bits.to_owned()));
        assert_eq!(reason("notnum"), Err("no_integer".to_owned()));
        assert_eq!(reason(""), Err("no_integer".to_owned()));
        assert_eq!(reason("-10"), Err("{value_negative,-10}".to_owned()));
        assert_eq!(reason("10s"), Err("{leftover_string,\"s\"}".to_owned()));
    }
}
