//! Metrics for Prometheus, under RabbitMQ's names, so that its dashboards show them.
//!
//! <https://www.rabbitmq.com/docs/prometheus>

mod connections;
mod node;
mod queues;
mod text;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use self::text::Exposition;
use super::problem::Problem;
use super::site::Site;
use super::summary::Summary;
use crate::broker::queue::QueueReport;
use crate::broker::queue_cell::QueueCell;
use crate::broker::vhost::VHost;
use crate::session::ConnectionReport;

type Shared = State<Arc<Site>>;

/// What names of metrics begin with.
const PREFIX: &str = "rabbitmq_";
const DETAILED_PREFIX: &str = "rabbitmq_detailed_";
const CLUSTER_PREFIX: &str = "rabbitmq_cluster_";

/// `GET /metrics`: summed up, few numbers however many queues there are.
pub(super) async fn aggregated(State(site): Shared) -> Result<Response, Problem> {
    let connections = site.ask_connections().await;
    written(move || {
        let summary = Summary::of_broker(site.host());
        let mut out = Exposition::new(PREFIX);
        of_node(&mut out, &site, &summary, "aggregated");
        queues::summed(&mut out, &summary);
        connections::summed(&mut out, &connections);
        out
    })
    .await
}

/// `GET /metrics/per-object`: a number for each queue, connection and channel.
pub(super) async fn per_object(State(site): Shared) -> Result<Response, Problem> {
    let connections = site.ask_connections().await;
    written(move || {
        let vhosts = site.host().vhosts();
        let queues = reports(&vhosts);
        let mut out = Exposition::new(PREFIX);
        of_node(&mut out, &site, &Summary::of_broker(site.host()), "per-object");
        queues::info(&mut out, &queues);
        for metrics in [queues::COARSE, queues::CONSUMERS, queues::DETAILS, queues::TRAFFIC] {
            queues::of_each(&mut out, &queues, metrics);
        }
        queues::of_each(&mut out, &queues, queues::CAPACITY);
        queues::heads(&mut out, &queues);
        queues::of_exchanges(&mut out, &vhosts);
        connections::of_connections(&mut out, &connections);
        connections::of_channels(&mut out, &connections);
        out
    })
    .await
}

/// What a query like `family=queue_coarse_metrics&family=queue_metrics&vhost=%2F` asks for.
#[derive(Debug, Default)]
struct Asked {
    families: Vec<String>,
    vhosts: Vec<String>,
}

impl Asked {
    fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value =
                percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            match key {
                "family" => asked.families.push(value),
                "vhost" => asked.vhosts.push(value),
                _ => {}
            }
        }
        asked
    }

    fn wants(&self, families: &[&str]) -> bool {
        self.families.iter().any(|asked| families.contains(&asked.as_str()))
    }

    fn wants_vhost(&self, name: &str) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|asked| asked == name)
    }
}

/// `GET /metrics/detailed`: what is asked for, of each object, under names of their own.
pub(super) async fn detailed(
    State(site): Shared,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Asked::read(&query.unwrap_or_default());
    let of_connections = asked.wants(&["connection_coarse_metrics", "connection_metrics"]);
    let of_channels =
        asked.wants(&["channel_metrics", "channel_exchange_metrics", "channel_process_metrics"]);
    let mut connections = Vec::new();
    if of_connections || of_channels {
        connections = site.ask_connections().await;
        let wanted = |it: &ConnectionReport| asked.wants_vhost(&it.vhost.to_str_lossy());
        connections.retain(wanted);
    }
    written(move || {
        let mut vhosts = site.host().vhosts();
        vhosts.retain(|vhost| asked.wants_vhost(&vhost.name().to_str_lossy()));
        let mut out = Exposition::new(DETAILED_PREFIX);
        of_queues(&mut out, &asked, &vhosts);
        if asked.wants(&["connection_churn_metrics"]) {
            node::churn(&mut out, &site, &site.host().traffic());
        }
        if asked.wants(&["auth_attempt_metrics"]) {
            node::logins(&mut out, &site);
        }
        if asked.wants(&["node_metrics", "node_coarse_metrics"]) {
            node::process(&mut out, &site);
        }
        if of_connections {
            connections::of_connections(&mut out, &connections);
        }
        if of_channels {
            connections::of_channels(&mut out, &connections);
        }
        let mut of_cluster = Exposition::new(CLUSTER_PREFIX);
        for (name, write) in CLUSTER_FAMILIES {
            if asked.wants(&[name]) {
                write(&mut of_cluster, &vhosts);
            }
        }
        out.append(&of_cluster);
        // Under the name that it has elsewhere: dashboards filter by it.
        let mut identity = Exposition::new(PREFIX);
        node::identity(&mut identity, &site, "detailed");
        out.append(&identity);
        out
    })
    .await
}

/// A family, and what writes it.
type OfVHosts = (&'static str, fn(&mut Exposition, &[Arc<VHost>]));

/// What has names that are the whole cluster's.
const CLUSTER_FAMILIES: [OfVHosts; 3] = [
    ("vhost_status", queues::vhost_status),
    ("exchange_names", queues::exchange_names),
    ("exchange_bindings", queues::exchange_bindings),
];

fn of_queues(out: &mut Exposition, asked: &Asked, vhosts: &[Arc<VHost>]) {
    let families = [
        (&["queue_coarse_metrics"][..], queues::COARSE),
        (&["queue_consumer_count"], queues::CONSUMERS),
        (&["queue_metrics"], queues::DETAILS),
        // Two names for the same numbers, which are told once.
        (&["channel_queue_metrics", "queue_delivery_metrics"], queues::TRAFFIC),
    ];
    let wanted: Vec<_> = families.into_iter().filter(|(names, _)| asked.wants(names)).collect();
    if !wanted.is_empty() {
        let reports = reports(vhosts);
        queues::info(out, &reports);
        for (_, metrics) in wanted {
            queues::of_each(out, &reports, metrics);
        }
        if asked.wants(&["queue_metrics"]) {
            queues::of_each(out, &reports, queues::CAPACITY);
            queues::heads(out, &reports);
        }
    }
    if asked.wants(&["exchange_metrics", "channel_exchange_metrics"]) {
        queues::of_exchanges(out, vhosts);
    }
}

/// `GET /metrics/memory-breakdown`: what messages take, and the process as a whole.
pub(super) async fn memory(State(site): Shared) -> Result<Response, Problem> {
    written(move || {
        let summary = Summary::of_broker(site.host());
        let mut out = Exposition::new(PREFIX);
        let help = "Memory of messages in queues";
        out.single("memory_queue_messages_bytes", text::Kind::Gauge, help, summary.memory);
        node::identity(&mut out, &site, "memory-breakdown");
        node::process(&mut out, &site);
        out
    })
    .await
}

fn of_node(out: &mut Exposition, site: &Site, summary: &Summary, endpoint: &str) {
    node::identity(out, site, endpoint);
    node::process(out, site);
    node::churn(out, site, &summary.totals);
    node::logins(out, site);
    node::refused_connections(out, site);
    node::objects(out, site, summary);
    node::global(out, site, summary);
}

fn reports(vhosts: &[Arc<VHost>]) -> Vec<(Arc<QueueCell>, QueueReport)> {
    let mut queues: Vec<_> = vhosts.iter().flat_map(|vhost| vhost.queues()).collect();
    queues.sort_by(|one, other| (&one.vhost, &one.name).cmp(&(&other.vhost, &other.name)));
    let report = |queue: Arc<QueueCell>| {
        let report = queue.state.lock().report();
        (queue, report)
    };
    queues.into_iter().map(report).collect()
}

/// Written on a thread where it may take as long as it takes.
async fn written(write: impl FnOnce() -> Exposition + Send + 'static) -> Result<Response, Problem> {
    let written = tokio::task::spawn_blocking(move || write().into_text());
    let mut response = written.await.map_err(|_| Problem::internal())?.into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_families_and_vhosts_as_often_as_it_likes() {
        let asked = Asked::read("family=queue_metrics&family=exchange_metrics&vhost=%2F&x=1");
        assert!(asked.wants(&["exchange_metrics"]) && !asked.wants(&["channel_metrics"]));
        assert!(asked.wants_vhost("/") && !asked.wants_vhost("other"));
        assert!(Asked::read("").wants_vhost("any"));
    }
}
