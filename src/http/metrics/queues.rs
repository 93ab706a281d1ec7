//! The metrics of queues and exchanges: summed up, or of each.

use std::sync::Arc;

use amqp_codec::{BasicProperties, ShortString};

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

/// How well consumers keep up with each, which has no sum (`queue_metrics`).
pub(super) const CAPACITY: &[(&str, Kind, &str, Read)] = &[
    ("queue_consumer_capacity", Gauge, "Consumer capacity", capacity),
    ("queue_consumer_utilisation", Gauge, "Same as consumer capacity", capacity),
];

/// Its consumers could take more whenever it is at the end of its messages.
fn capacity(report: &QueueReport) -> u64 {
    u64::from(report.counts.consumers > 0 && report.counts.ready == 0)
}

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

/// When the next message of each queue was sent, by what it says (`queue_metrics`).
pub(super) fn heads(out: &mut Exposition, queues: &[(Arc<QueueCell>, QueueReport)]) {
    let help = "Timestamp of the first message in the queue, if any";
    let mut family = out.family("queue_head_message_timestamp", Gauge, help);
    for (queue, _) in queues {
        let head = queue.state.lock().head();
        let sent = head.and_then(|head| BasicProperties::decode(head.properties()).ok()?.timestamp);
        let (vhost, name) = (queue.vhost.to_str_lossy(), queue.name.to_str_lossy());
        let labels = [("vhost", &*vhost), ("queue", &*name)];
        match sent {
            Some(sent) => family.sample(&labels, sent),
            None => family.fraction(&labels, f64::NAN),
        };
    }
}

/// That vhosts are served (`vhost_status`).
pub(super) fn vhost_status(out: &mut Exposition, vhosts: &[Arc<VHost>]) {
    let mut family = out.family("vhost_status", Gauge, "Whether a given vhost is running");
    for vhost in vhosts {
        family.sample(&[("vhost", &vhost.name().to_str_lossy())], 1);
    }
}

/// Which exchanges there are (`exchange_names`).
pub(super) fn exchange_names(out: &mut Exposition, vhosts: &[Arc<VHost>]) {
    let help = "Enumerates exchanges without any additional info. This value is cluster-wide. A \
                cheaper alternative to `exchange_bindings`";
    let mut family = out.family("exchange_name", Gauge, help);
    of_each_exchange(vhosts, |_, labels, _| {
        family.sample(labels, 1);
    });
}

/// How many bindings lead from each (`exchange_bindings`).
pub(super) fn exchange_bindings(out: &mut Exposition, vhosts: &[Arc<VHost>]) {
    let help = "Number of bindings for an exchange. This value is cluster-wide.";
    let mut family = out.family("exchange_bindings", Gauge, help);
    of_each_exchange(vhosts, |vhost, labels, name| {
        let bindings = match name.is_empty() {
            // Every queue is bound to the default exchange.
            true => vhost.queues().len(),
            false => vhost.bindings_from(name).len(),
        };
        family.sample(labels, bindings as u64);
    });
}

fn of_each_exchange(
    vhosts: &[Arc<VHost>],
    mut tell: impl FnMut(&VHost, &[(&str, &str)], &ShortString),
) {
    for vhost in vhosts {
        let of_vhost = vhost.name().to_str_lossy();
        for exchange in vhost.exchange_reports() {
            let (name, kind) = (exchange.name.to_str_lossy(), exchange.properties.kind.name());
            let labels = [("vhost", &*of_vhost), ("exchange", &*name), ("type", kind)];
            tell(vhost, &labels, &exchange.name);
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
