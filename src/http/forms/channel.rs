//! A channel as JSON.

use std::time::Duration;

use amqp_codec::ShortString;
use serde_json::{Map, Value, json};

use super::{moment, text};
use crate::http::rates::{Comparison, Flow};
use crate::session::{ChannelReport, ChannelStats, ConnectionReport, Peer};

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

/// What a channel's consumers got, by queue.
pub(in crate::http) fn deliveries_of_channel(
    connection: &ConnectionReport,
    channel: &ChannelReport,
    rates: &Comparison,
) -> Vec<Value> {
    let of_queue = |(queue, stats): (&ShortString, ChannelStats)| {
        let counts = rates.deliveries(connection.id, (channel.number.0, queue), &stats);
        let queue = json!({ "name": text(queue), "vhost": text(&connection.vhost) });
        json!({ "queue": queue, "stats": all_of(&counts) })
    };
    channel.deliveries().into_iter().map(of_queue).collect()
}

/// What consumers of a queue got, by channel: those of these connections.
pub(in crate::http) fn deliveries_of_queue(
    node: &str,
    queue: &ShortString,
    connections: &[ConnectionReport],
    rates: &Comparison,
) -> Vec<Value> {
    let channels = connections.iter().flat_map(|connection| {
        connection.channels.iter().map(move |channel| (connection, channel))
    });
    let of_channel = |(connection, channel): (&ConnectionReport, &ChannelReport)| {
        let stats = *channel.deliveries().get(queue)?;
        let counts = rates.deliveries(connection.id, (channel.number.0, queue), &stats);
        let channel = channel_details(node, connection, channel);
        Some(json!({ "channel_details": channel, "stats": all_of(&counts) }))
    };
    channels.filter_map(of_channel).collect()
}

/// Also where nothing was counted yet.
fn all_of(counts: &Flow<8>) -> Value {
    let mut object = Map::new();
    counts.put(&mut object);
    object.into()
}

/// How long nothing goes on until RabbitMQ says so.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(5);

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
        "pending_raft_commands": 0,
    });
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    if rates.since(connection.active_at) >= IDLE_AFTER {
        object.insert("idle_since".to_owned(), moment(connection.active_at));
    }
    if let Some(stats) = rates.channel(connection.id, channel).object() {
        object.insert("message_stats".to_owned(), stats);
    }
    object.into()
}
