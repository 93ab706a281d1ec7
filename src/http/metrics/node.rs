//! The metrics of the node, and of all protocols and queue types together.

use super::text::Exposition;
use super::text::Kind::{Counter, Gauge};
use crate::broker::queue::{DeathReason, Totals};
use crate::broker::traffic::VHostTotals;
use crate::http::Service;
use crate::http::process::Usage;
use crate::http::site::Site;
use crate::http::summary::Summary;

pub(super) const CLASSIC: &str = "rabbit_classic_queue";
pub(super) const QUORUM: &str = "rabbit_quorum_queue";

/// Who came and went (`connection_churn_metrics`).
pub(super) fn churn(out: &mut Exposition, site: &Site, totals: &VHostTotals) {
    let churn = site.host().churn();
    for (name, help, value) in [
        (
            "connections_opened_total",
            "Total number of connections opened",
            churn.connections_opened,
        ),
        (
            "connections_closed_total",
            "Total number of connections closed or terminated",
            churn.connections_closed,
        ),
        ("channels_opened_total", "Total number of channels opened", churn.channels_opened),
        ("channels_closed_total", "Total number of channels closed", churn.channels_closed),
        ("queues_declared_total", "Total number of queues declared", totals.queues_declared),
        ("queues_created_total", "Total number of queues created", totals.queues_created),
        ("queues_deleted_total", "Total number of queues deleted", totals.queues_deleted),
    ] {
        out.single(name, Counter, help, value);
    }
}

/// What the process uses, and may use (`node_metrics`, `node_coarse_metrics`, `alarms`).
pub(super) fn process(out: &mut Exposition, site: &Site) {
    let identity = site.identity();
    let usage = Usage::now(identity.data_dir.as_deref());
    let churn = site.host().churn();
    let alarms = site.host().alarms();
    for (name, help, value) in [
        ("process_open_fds", "Open file descriptors", usage.descriptors),
        (
            "process_open_tcp_sockets",
            "Open TCP sockets",
            churn.connections_opened - churn.connections_closed,
        ),
        ("process_max_fds", "Open file descriptors limit", usage.descriptors_max),
        ("process_max_tcp_sockets", "Open TCP sockets limit", usage.descriptors_max),
        ("process_resident_memory_bytes", "Memory used in bytes", usage.memory),
        (
            "resident_memory_limit_bytes",
            "Memory high watermark in bytes",
            site.host().memory_limit() as u64,
        ),
        ("disk_space_available_bytes", "Disk space available in bytes", usage.disk_free),
        (
            "disk_space_available_limit_bytes",
            "Free disk space low watermark in bytes",
            site.settings().disk_free_limit(),
        ),
        ("alarms_file_descriptor_limit", "is 1 if file descriptor limit alarm is in effect", 0),
        (
            "alarms_free_disk_space_watermark",
            "is 1 if free disk space watermark alarm is in effect",
            u64::from(alarms.disk),
        ),
        (
            "alarms_memory_used_watermark",
            "is 1 if VM memory watermark alarm is in effect",
            u64::from(alarms.memory),
        ),
    ] {
        out.single(name, Gauge, help, value);
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of seconds is shown")]
    let seconds = site.uptime() as f64 / 1000.0;
    // RabbitMQ's name; dashboards know it by this one.
    out.family("erlang_uptime_seconds", Gauge, "Node uptime").fraction(&[], seconds);
}

/// Which broker it is (`identity_info`, `build_info`). Dashboards join everything with these; by the name of the
/// endpoint they tell apart what was scraped from several of them.
pub(super) fn identity(out: &mut Exposition, site: &Site, endpoint: &str) {
    let identity = site.identity();
    let cluster = site.cluster_name();
    let permanent = site.host().global_parameter("internal_cluster_id");
    let permanent = permanent.and_then(|it| it.value.as_str().map(str::to_owned));
    let permanent = permanent.unwrap_or_default();
    out.family("build_info", Gauge, "RabbitMQ & Erlang/OTP version info").sample(
        &[
            ("rabbitmq_version", identity.rabbitmq_version),
            ("prometheus_plugin_version", identity.rabbitmq_version),
            ("prometheus_client_version", env!("CARGO_PKG_VERSION")),
            ("product_name", "leveret"),
            ("product_version", env!("CARGO_PKG_VERSION")),
            ("erlang_version", ""),
        ],
        1,
    );
    out.family("identity_info", Gauge, "RabbitMQ node & cluster identity info").sample(
        &[
            ("rabbitmq_node", identity.node.as_str()),
            ("rabbitmq_cluster", cluster.as_str()),
            ("rabbitmq_cluster_permanent_id", permanent.as_str()),
            ("rabbitmq_endpoint", endpoint),
        ],
        1,
    );
}

/// Logins (`auth_attempt_metrics`).
pub(super) fn logins(out: &mut Exposition, site: &Site) {
    let (succeeded, failed) = site.logins().read();
    let amqp = site.host().logins();
    for (name, help, http, amqp) in [
        (
            "auth_attempts_total",
            "Total number of authorization attempts",
            succeeded + failed,
            amqp.succeeded + amqp.failed,
        ),
        (
            "auth_attempts_succeeded_total",
            "Total number of successful authentication attempts",
            succeeded,
            amqp.succeeded,
        ),
        (
            "auth_attempts_failed_total",
            "Total number of failed authentication attempts",
            failed,
            amqp.failed,
        ),
    ] {
        let mut family = out.family(name, Counter, help);
        family.sample(&[("protocol", "http")], http).sample(&[("protocol", "amqp091")], amqp);
    }
}

/// Those who were not let in: there were too many of them.
pub(super) fn refused_connections(out: &mut Exposition, site: &Site) {
    let help = "Total number of connections that were refused, by the limit that was reached";
    let mut family = out.family("connections_refused_total", Counter, help);
    for (limit, count) in site.host().arrivals().refused() {
        family.sample(&[("protocol", "amqp091"), ("limit", limit)], count);
    }
    let services = [Service::Management, Service::Metrics];
    let [management, metrics] = services.map(|service| site.admission(service).refused());
    for ((limit, one), (_, other)) in management.zip(metrics) {
        // Nobody is asked for a password before his first request.
        if limit != "address_not_logged_in" {
            family.sample(&[("protocol", "http"), ("limit", limit)], one + other);
        }
    }
}

/// What there is of each kind.
pub(super) fn objects(out: &mut Exposition, site: &Site, summary: &Summary) {
    let churn = site.host().churn();
    let connections = churn.connections_opened - churn.connections_closed;
    let channels = churn.channels_opened - churn.channels_closed;
    out.single("connections", Gauge, "Connections currently open", connections);
    out.single("channels", Gauge, "Channels currently open", channels);
    out.single("consumers", Gauge, "Consumers currently connected", summary.consumers);
    out.single("queues", Gauge, "Queues available", summary.queues);
}

/// The `global_` metrics: exact over the life of the broker, whoever came and went.
pub(super) fn global(out: &mut Exposition, site: &Site, summary: &Summary) {
    let publishes = summary.totals.publishes;
    let protocol = [("protocol", "amqp091")];
    for (name, help, value) in [
        (
            "global_messages_received_total",
            "Total number of messages received from publishers",
            publishes.published,
        ),
        (
            "global_messages_received_confirm_total",
            "Total number of messages received from publishers expecting confirmations",
            publishes.published_for_confirm,
        ),
        (
            "global_messages_routed_total",
            "Total number of messages routed to queues or streams",
            publishes.routed,
        ),
        (
            "global_messages_confirmed_total",
            "Total number of messages confirmed to publishers",
            publishes.confirmed,
        ),
        (
            "global_messages_unroutable_dropped_total",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
            publishes.dropped,
        ),
        (
            "global_messages_unroutable_returned_total",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
            publishes.returned,
        ),
    ] {
        out.family(name, Counter, help).sample(&protocol, value);
    }
    let churn = site.host().churn();
    let publishers = churn.publishers_seen - churn.publishers_gone;
    let mut family = out.family("global_publishers", Gauge, "Current number of publishers");
    family.sample(&protocol, publishers);
    let mut family = out.family("global_consumers", Gauge, "Current number of consumers");
    family.sample(&protocol, summary.consumers);
    deliveries(out, summary);
    deaths(out, summary);
}

/// What a metric takes of the totals of a queue type.
type Read = fn(&Totals) -> u64;

const DELIVERIES: [(&str, &str, Read); 8] = [
    (
        "global_messages_delivered_total",
        "Total number of messages delivered to consumers",
        |totals| totals.delivered,
    ),
    (
        "global_messages_delivered_consume_manual_ack_total",
        "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
        Totals::delivered_for_ack,
    ),
    (
        "global_messages_delivered_consume_auto_ack_total",
        "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
        |totals| totals.delivered_automatically,
    ),
    (
        "global_messages_delivered_get_manual_ack_total",
        "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
        |totals| totals.fetched - totals.fetched_automatically,
    ),
    (
        "global_messages_delivered_get_auto_ack_total",
        "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
        |totals| totals.fetched_automatically,
    ),
    (
        "global_messages_get_empty_total",
        "Total number of times basic.get operations fetched no message",
        |totals| totals.empty_gets,
    ),
    (
        "global_messages_redelivered_total",
        "Total number of messages redelivered to consumers",
        |totals| totals.redelivered,
    ),
    (
        "global_messages_acknowledged_total",
        "Total number of messages acknowledged by consumers",
        Totals::acknowledged_by_clients,
    ),
];

fn deliveries(out: &mut Exposition, summary: &Summary) {
    for (name, help, read) in DELIVERIES {
        let mut family = out.family(name, Counter, help);
        for (queue_type, totals) in [(CLASSIC, &summary.classic), (QUORUM, &summary.quorum)] {
            let labels = [("protocol", "amqp091"), ("queue_type", queue_type)];
            family.sample(&labels, read(totals));
        }
    }
}

fn deaths(out: &mut Exposition, summary: &Summary) {
    for (name, help, reason) in [
        (
            "global_messages_dead_lettered_expired_total",
            "Total number of messages dead-lettered due to message TTL exceeded",
            DeathReason::Expired,
        ),
        (
            "global_messages_dead_lettered_rejected_total",
            "Total number of messages dead-lettered due to basic.reject or basic.nack",
            DeathReason::Rejected,
        ),
        (
            "global_messages_dead_lettered_maxlen_total",
            "Total number of messages dead-lettered due to overflow drop-head or reject-publish-dlx",
            DeathReason::MaxLength,
        ),
        (
            "global_messages_dead_lettered_delivery_limit_total",
            "Total number of messages dead-lettered due to delivery-limit exceeded",
            DeathReason::DeliveryLimit,
        ),
    ] {
        let mut family = out.family(name, Counter, help);
        for (queue_type, totals) in [(CLASSIC, &summary.classic), (QUORUM, &summary.quorum)] {
            let labels =
                |strategy| [("queue_type", queue_type), ("dead_letter_strategy", strategy)];
            family.sample(&labels("at_most_once"), totals.died.count(reason));
            family.sample(&labels("disabled"), totals.dropped.count(reason));
        }
    }
}
