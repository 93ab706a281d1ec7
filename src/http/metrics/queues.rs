//! The metrics of queues and exchanges: summed up, or of each.

use std::sync::Arc;

use super::node::{CLASSIC, QUORUM};
use super::text::Exposition;
use super::text::Kind::{self, Counter, Gauge};
use crate::broker::policy::QueueKind;
use crate::broker::queue::QueueReport;
use crate::broker::queue_cell::QueueCell;
use crate::broker::vhost::VHost;
use crate::http::summary::Summary;

/// What a metric takes of a queue.
type Read = fn(&QueueReport) -> u64;

/// How many messages there are (`queue_coarse_metrics`).
pub(super) const COARSE: &[(&str, Kind, &str, Read)] = &[
    ("queue_messages_ready", Gauge, "Messages ready to be delivered to consumers", |it| {
        it.counts.ready as u64
    }),
    (
        "queue_messages_unacked",
        Gauge,
        "Messages delivered to consumers but not yet acknowledged",
        |it| it.counts.unacked as u64,
    ),
    (
        "queue_messages",
        Gauge,
        "Sum of ready and unacknowledged messages - total queue depth",
        |it| (it.counts.ready + it.counts.unacked) as u64,
    ),
];

/// How many consumers there are (`queue_consumer_count`).
pub(super) const CONSUMERS: &[(&str, Kind, &str, Read)] =
    &[("queue_consumers", Gauge, "Consumers on a queue", |it| it.counts.consumers as u64)];

/// Everything else (`queue_metrics`).
pub(super) const DETAILS: &[(&str, Kind, &str, Read)] = &[
    ("queue_process_memory_bytes", Gauge, "Memory in bytes used by a queue's messages", |it| {
        it.memory
    }),
    ("queue_messages_ram", Gauge, "Ready and unacknowledged messages stored in memory", |it| {
        (it.counts.ready + it.counts.unacked - it.ready_paged) as u64
    }),
    (
        "queue_messages_ram_bytes",
        Gauge,
        "Size of ready and unacknowledged messages stored in memory",
        |it| it.ready_bytes - it.ready_paged_bytes + it.unacked_bytes,
    ),
    ("queue_messages_ready_ram", Gauge, "Ready messages stored in memory", |it| {
        (it.counts.ready - it.ready_paged) as u64
    }),
    ("queue_messages_unacked_ram", Gauge, "Unacknowledged messages stored in memory", |it| {
        it.counts.unacked as u64
    }),
    ("queue_messages_bytes", Gauge, "Size in bytes of ready and unacknowledged messages", |it| {
        it.ready_bytes + it.unacked_bytes
    }),
    ("queue_messages_ready_bytes", Gauge, "Size in bytes of ready messages", |it| it.ready_bytes),
    ("queue_messages_unacked_bytes", Gauge, "Size in bytes of all unacknowledged messages", |it| {
        it.unacked_bytes
    }),
    ("queue_messages_paged_out", Gauge, "Messages paged out to disk", |it| it.ready_paged as u64),
    (
        "queue_messages_paged_out_bytes",
        Gauge,
        "Size in bytes of messages paged out to disk",
        |it| it.ready_paged_bytes,
    ),
];

/// What went through queues (`channel_queue_metrics`, under names of their own: a queue's, whichever
/// channel it was).
pub(super) const TRAFFIC: &[(&str, Kind, &str, Read)] = &[
    (
        "queue_messages_published_total",
        Counter,
        "Total number of messages published to queues",
        |it| it.totals.accepted,
    ),
    (
        "queue_messages_delivered_total",
        Counter,
        "Total number of messages delivered to consumers in automatic acknowledgement mode",
        |it| it.totals.delivered_automatically,
    ),
    (
        "queue_messages_delivered_ack_total",
        Counter,
        "Total number of messages delivered to consumers in manual acknowledgement mode",
        |it| it.totals.delivered_for_ack(),
    ),
    (
        "queue_messages_redelivered_total",
        Counter,
        "Total number of messages redelivered to consumers",
        |it| it.totals.redelivered,
    ),
    (
        "queue_messages_acked_total",
        Counter,
        "Total number of messages acknowledged by consumers",
        |it| it.totals.acknowledged_by_clients(),
    ),
    (
        "queue_get_ack_total",
        Counter,
        "Total number of messages fetched with basic.get in manual acknowledgement mode",
        |it| it.totals.fetched - it.totals.fetched_automatically,
    ),
    (
        "queue_get_total",
        Counter,
        "Total number of messages fetched with basic.get in automatic acknowledgement mode",
        |it| it.totals.fetched_automatically,
    ),
    (
        "queue_get_empty_total",
        Counter,
        "Total number of times basic.get operations fetched no message",
        |it| it.totals.empty_gets,
    ),
];

/// All of these, of all queues together.
pub(super) fn summed(out: &mut Exposition, summary: &Summary) {
    let report = summary.as_one_queue();
    for (name, kind, help, read) in [COARSE, CONSUMERS, DETAILS, TRAFFIC].into_iter().flatten() {
        out.single(name, *kind, help, read(&report));
    }
}

/// Some of these, of each queue.
pub(super) fn of_each(
    out: &mut Exposition,
    queues: &[(Arc<QueueCell>, QueueReport)],
    metrics: &[(&'static str, Kind, &str, Read)],
) {
    for (name, kind, help, read) in metrics {
        let mut family = out.family(name, *kind, help);
        for (queue, report) in queues {
            let (vhost, name) = (queue.vhost.to_str_lossy(), queue.name.to_str_lossy());
            family.sample(&[("vhost", &vhost), ("queue", &name)], read(report));
        }
    }
}

/// Of which type each queue is, to join its numbers with (`queue_info`).
pub(super) fn info(out: &mut Exposition, queues: &[(Arc<QueueCell>, QueueReport)]) {
    let help = "A metric with a constant '1' value and labels that provide some queue details";
    let mut family = out.family("queue_info", Gauge, help);
    for (queue, _) in queues {
        let (vhost, name) = (queue.vhost.to_str_lossy(), queue.name.to_str_lossy());
        let kind = match queue.kind() {
            QueueKind::Classic => CLASSIC,
            QueueKind::Quorum => QUORUM,
            QueueKind::Stream => "rabbit_stream_queue",
        };
        let labels =
            [("vhost", &*vhost), ("queue", &*name), ("queue_type", kind), ("membership", "leader")];
        family.sample(&labels, 1);
    }
}

/// What clients published to each exchange (`exchange_metrics`).
pub(super) fn of_exchanges(out: &mut Exposition, vhosts: &[Arc<VHost>]) {
    let reports: Vec<_> = vhosts.iter().map(|vhost| (vhost, vhost.exchange_reports())).collect();
    for (name, help, outgoing) in [
        (
            "exchange_messages_published_total",
            "Total number of messages published into an exchange",
            false,
        ),
        (
            "exchange_messages_routed_total",
            "Total number of messages that an exchange routed to queues",
            true,
        ),
    ] {
        let mut family = out.family(name, Counter, help);
        for (vhost, exchanges) in &reports {
            let vhost = vhost.name().to_str_lossy();
            for exchange in exchanges {
                let name = exchange.name.to_str_lossy();
                let value = if outgoing { exchange.published_out } else { exchange.published_in };
                family.sample(&[("vhost", &vhost), ("exchange", &name)], value);
            }
        }
    }
}
