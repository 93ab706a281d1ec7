//! A consumer as JSON.

use amqp_codec::FieldValue;
use serde_json::{Value, json};

use super::{channel_details, text};
use crate::broker::json::table;
use crate::session::{ChannelReport, ConnectionReport, ConsumerReport};

/// A consumer. `timeout` is how long it may take where nobody says otherwise.
pub(in crate::http) fn consumer(
    node: &str,
    timeout: u64,
    connection: &ConnectionReport,
    channel: &ChannelReport,
    consumer: &ConsumerReport,
) -> Value {
    let own = consumer.arguments.get("x-consumer-timeout").and_then(FieldValue::as_integer);
    let timeout = own.and_then(|own| u64::try_from(own).ok()).unwrap_or(timeout);
    json!({
        "consumer_tag": text(&consumer.tag),
        "queue": { "name": text(&consumer.queue), "vhost": text(&connection.vhost) },
        "channel_details": channel_details(node, connection, channel),
        "ack_required": !consumer.no_ack,
        "active": consumer.active,
        "activity_status": if consumer.active { "up" } else { "waiting" },
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch,
        "consumer_timeout": timeout,
        "arguments": table(&consumer.arguments).json,
    })
}
