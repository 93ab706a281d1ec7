//! The metrics of connections and channels: summed up, or of each.

use super::text::Exposition;
use super::text::Kind::{self, Counter, Gauge};
use crate::session::{ChannelReport, ConnectionReport};

type OfConnection = fn(&ConnectionReport) -> u64;
type OfChannel = fn(&ChannelReport) -> u64;

/// What goes over sockets (`connection_coarse_metrics`, `connection_metrics`).
const CONNECTIONS: &[(&str, Kind, &str, OfConnection)] = &[
    (
        "connection_incoming_bytes_total",
        Counter,
        "Total number of bytes received on a connection",
        |it| it.traffic.received_bytes,
    ),
    (
        "connection_outgoing_bytes_total",
        Counter,
        "Total number of bytes sent on a connection",
        |it| it.traffic.sent_bytes,
    ),
    (
        "connection_incoming_packets_total",
        Counter,
        "Total number of packets received on a connection",
        |it| it.traffic.reads,
    ),
    (
        "connection_outgoing_packets_total",
        Counter,
        "Total number of packets sent on a connection",
        |it| it.traffic.writes,
    ),
    (
        "connection_pending_packets",
        Gauge,
        "Number of packets waiting to be sent on a connection",
        |it| u64::from(it.traffic.pending_bytes > 0),
    ),
    ("connection_channels", Gauge, "Channels on a connection", |it| it.channels.len() as u64),
];

/// What channels hold, and what they did (`channel_metrics`, `channel_exchange_metrics`,
/// `channel_queue_metrics`).
const CHANNELS: &[(&str, Kind, &str, OfChannel)] = &[
    ("channel_consumers", Gauge, "Consumers on a channel", |it| it.consumers.len() as u64),
    ("channel_messages_unacked", Gauge, "Delivered but not yet acknowledged messages", |it| {
        it.unacked as u64
    }),
    ("channel_messages_unconfirmed", Gauge, "Published but not yet confirmed messages", |it| {
        it.unconfirmed as u64
    }),
    (
        "channel_messages_uncommitted",
        Gauge,
        "Messages received in a transaction but not yet committed",
        |it| it.uncommitted as u64,
    ),
    (
        "channel_acks_uncommitted",
        Gauge,
        "Message acknowledgements in a transaction not yet committed",
        |it| it.acks_uncommitted as u64,
    ),
    ("consumer_prefetch", Gauge, "Limit of unacknowledged messages for each consumer", |it| {
        u64::from(it.prefetch)
    }),
    (
        "channel_prefetch",
        Gauge,
        "Total limit of unacknowledged messages for all consumers on a channel",
        |it| u64::from(it.global_prefetch),
    ),
    (
        "channel_messages_published_total",
        Counter,
        "Total number of messages published into an exchange on a channel",
        |it| it.stats.published,
    ),
    (
        "channel_messages_confirmed_total",
        Counter,
        "Total number of messages published into an exchange and confirmed on the channel",
        |it| it.stats.confirmed,
    ),
    (
        "channel_messages_unroutable_returned_total",
        Counter,
        "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
        |it| it.stats.returned,
    ),
    (
        "channel_messages_unroutable_dropped_total",
        Counter,
        "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
        |it| it.stats.dropped,
    ),
    (
        "channel_messages_delivered_ack_total",
        Counter,
        "Total number of messages delivered to consumers in manual acknowledgement mode",
        |it| it.stats.delivered,
    ),
    (
        "channel_messages_delivered_total",
        Counter,
        "Total number of messages delivered to consumers in automatic acknowledgement mode",
        |it| it.stats.delivered_automatically,
    ),
    (
        "channel_get_ack_total",
        Counter,
        "Total number of messages fetched with basic.get in manual acknowledgement mode",
        |it| it.stats.fetched,
    ),
    (
        "channel_get_total",
        Counter,
        "Total number of messages fetched with basic.get in automatic acknowledgement mode",
        |it| it.stats.fetched_automatically,
    ),
    (
        "channel_get_empty_total",
        Counter,
        "Total number of times basic.get operations fetched no message",
        |it| it.stats.empty_gets,
    ),
    (
        "channel_messages_redelivered_total",
        Counter,
        "Total number of messages redelivered to consumers",
        |it| it.stats.redelivered,
    ),
    (
        "channel_messages_acked_total",
        Counter,
        "Total number of messages acknowledged by consumers",
        |it| it.stats.acknowledged,
    ),
];

/// All of these, of all that are open together.
pub(super) fn summed(out: &mut Exposition, connections: &[ConnectionReport]) {
    for (name, kind, help, read) in CONNECTIONS {
        out.single(name, *kind, help, connections.iter().map(read).sum());
    }
    for (name, kind, help, read) in CHANNELS {
        let channels = connections.iter().flat_map(|connection| &connection.channels);
        out.single(name, *kind, help, channels.map(read).sum());
    }
}

/// Of each connection.
pub(super) fn of_connections(out: &mut Exposition, connections: &[ConnectionReport]) {
    for (name, kind, help, read) in CONNECTIONS {
        let mut family = out.family(name, *kind, help);
        for connection in connections {
            let own = connection.peer.name();
            let vhost = connection.vhost.to_str_lossy();
            let labels = [("connection", own.as_str()), ("vhost", &*vhost)];
            family.sample(&labels, read(connection));
        }
    }
}

/// Of each channel.
pub(super) fn of_channels(out: &mut Exposition, connections: &[ConnectionReport]) {
    for (name, kind, help, read) in CHANNELS {
        let mut family = out.family(name, *kind, help);
        for connection in connections {
            let own = connection.peer.name();
            let vhost = connection.vhost.to_str_lossy();
            for channel in &connection.channels {
                let channel_name = format!("{own} ({})", channel.number.0);
                let labels = [("channel", channel_name.as_str()), ("vhost", &*vhost)];
                family.sample(&labels, read(channel));
            }
        }
    }
}
