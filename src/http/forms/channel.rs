//! A channel as JSON.

use serde_json::{Map, Value, json};

use super::text;
use crate::http::rates::Comparison;
use crate::session::{ChannelReport, ConnectionReport, Peer};

/// How RabbitMQ names a channel: its connection's name, and its number.
pub(in crate::http) fn channel_name(
    connection: &ConnectionReport,
    channel: &ChannelReport,
) -> String {
    format!("{} ({})", connection.peer.name(), channel.number.0)
}

/// Which connection something belongs to.
pub(in crate::http) fn peer(peer: &Peer) -> Value {
    json!({
        "name": peer.name(),
        "peer_host": peer.address.ip().to_canonical().to_string(),
        "peer_port": peer.address.port(),
    })
}

/// Which channel a consumer belongs to.
pub(in crate::http) fn channel_details(
    node: &str,
    connection: &ConnectionReport,
    channel: &ChannelReport,
) -> Value {
    let peer = connection.peer.address;
    json!({
        "name": channel_name(connection, channel),
        "number": channel.number.0,
        "user": connection.user,
        "connection_name": connection.peer.name(),
        "peer_host": peer.ip().to_canonical().to_string(),
        "peer_port": peer.port(),
        "node": node,
    })
}

/// A channel.
pub(in crate::http) fn channel(
    node: &str,
    connection: &ConnectionReport,
    channel: &ChannelReport,
    rates: &Comparison,
) -> Value {
    let mut object = Map::new();
    let consumers = channel.consumers.len() + usize::from(channel.has_reply_consumer);
    let fields = json!({
        "name": channel_name(connection, channel),
        "number": channel.number.0,
        "connection_details": peer(&connection.peer),
        "node": node,
        "user": connection.user,
        "user_who_performed_action": connection.user,
        "vhost": text(&connection.vhost),
        "state": if connection.blocked && channel.stats.published > 0 { "flow" } else { "running" },
        "consumer_count": consumers,
        "confirm": channel.confirms,
        "transactional": channel.transactional,
        "prefetch_count": channel.prefetch,
        "global_prefetch_count": channel.global_prefetch,
        "messages_unacknowledged": channel.unacked,
        "messages_unconfirmed": channel.unconfirmed,
        "messages_uncommitted": channel.uncommitted,
        "acks_uncommitted": channel.acks_uncommitted,
    });
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    if let Some(stats) = rates.channel(connection.id, channel).object() {
        object.insert("message_stats".to_owned(), stats);
    }
    object.into()
}
