//! The firehose: while a vhost is traced, what is published and delivered there is copied to its exchange
//! `amq.rabbitmq.trace`.
//!
//! <https://www.rabbitmq.com/docs/firehose>. While it is off it costs a look at one flag for each publish and
//! each delivery.

use std::time::Instant;

use amqp_codec::{BasicProperties, ChannelId, FieldTable, FieldValue, ShortString};

use super::facts::Facts;
use super::host::Host;
use super::own_messages::OwnMessage;
use super::peer::Peer;
use crate::broker::event_log::{event_headers as headers, event_text as text};
use crate::broker::message::Message;
use crate::broker::routing::QueueSet;
use crate::broker::vhost::VHost;
use crate::protocol::content::Content;

/// Where copies go.
const EXCHANGE: &str = "amq.rabbitmq.trace";

/// Whoever publishes, or gets a delivery, in a vhost that is traced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced<'a> {
    pub(super) host: &'a Host,
    pub(super) vhost: &'a VHost,
    pub(super) peer: &'a Peer,
    pub(super) user: &'a str,
    pub(super) channel: ChannelId,
}

impl Traced<'_> {
    /// Copies a message that was published, whether or not a queue gets it.
    pub(super) fn published(
        self,
        content: &Content,
        facts: &Facts,
        queues: &QueueSet,
        now: Instant,
    ) {
        let more = facts.more_keys().map(ShortString::as_bytes);
        let keys = std::iter::once(content.routing_key()).chain(more).map(text).collect();
        let properties = facts.rewritten.as_deref().unwrap_or(content.properties());
        let mut headers = self.headers(content.exchange(), keys, properties);
        let routed = queues.iter().map(|queue| text(queue.name.as_bytes())).collect();
        headers.insert(ShortString::truncated("routed_queues"), FieldValue::Array(routed));
        self.copy(
            "publish",
            content.exchange(),
            headers,
            content.inline_body(),
            &content.segments,
            now,
        );
    }

    /// Copies a message that is delivered from a queue. Not if it is a copy itself: there would be no end.
    pub(super) fn delivered(
        self,
        queue: &ShortString,
        message: &Message,
        redelivered: bool,
        now: Instant,
    ) {
        if message.exchange() == EXCHANGE.as_bytes() {
            return;
        }
        let keys = message.routing_keys().into_iter().map(text).collect();
        let mut headers = self.headers(message.exchange(), keys, message.properties());
        let redelivered = FieldValue::I32(redelivered.into());
        headers.insert(ShortString::truncated("redelivered"), redelivered);
        self.copy(
            "deliver",
            queue.as_bytes(),
            headers,
            message.inline_body(),
            message.body_segments(),
            now,
        );
    }

    fn copy(
        self,
        what: &str,
        name: &[u8],
        headers: FieldTable,
        body: &[u8],
        segments: &[bytes::Bytes],
        now: Instant,
    ) {
        let key = [what.as_bytes(), b".", name].concat();
        let own = OwnMessage {
            exchange: EXCHANGE,
            routing_key: ShortString::truncated(key),
            headers,
            timestamp: None,
            persistent: false,
            body,
            segments,
        };
        self.host.publish_own(self.vhost, own, now);
    }

    fn headers(self, exchange: &[u8], keys: Vec<FieldValue>, properties: &[u8]) -> FieldTable {
        headers([
            ("exchange_name", text(exchange)),
            ("routing_keys", FieldValue::Array(keys)),
            ("properties", FieldValue::Table(properties_table(properties))),
            ("node", text(self.host.node_name())),
            ("vhost", text(self.vhost.name().as_bytes())),
            ("connection", text(self.peer.name())),
            ("channel", FieldValue::I32(self.channel.0.into())),
            ("user", text(self.user)),
        ])
    }
}

/// A message's properties as a table, with those that it has.
fn properties_table(raw: &[u8]) -> FieldTable {
    // What was checked when it came in can be read.
    let properties = BasicProperties::decode(raw).unwrap_or_default();
    let short = |value: Option<ShortString>| value.map(|value| text(value.as_bytes()));
    let number = |value: Option<u8>| value.map(|value| FieldValue::I32(value.into()));
    let timestamp = properties.timestamp.map(|seconds| FieldValue::I64(seconds.cast_signed()));
    let entries = [
        ("content_type", short(properties.content_type)),
        ("content_encoding", short(properties.content_encoding)),
        ("headers", properties.headers.map(FieldValue::Table)),
        ("delivery_mode", number(properties.delivery_mode)),
        ("priority", number(properties.priority)),
        ("correlation_id", short(properties.correlation_id)),
        ("reply_to", short(properties.reply_to)),
        ("expiration", short(properties.expiration)),
        ("message_id", short(properties.message_id)),
        ("timestamp", timestamp),
        ("type", short(properties.kind)),
        ("user_id", short(properties.user_id)),
        ("app_id", short(properties.app_id)),
        ("cluster_id", short(properties.cluster_id)),
    ];
    headers(entries.into_iter().filter_map(|(name, value)| Some((name, value?))))
}
