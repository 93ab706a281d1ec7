//! `/api/overview`, and what else describes the broker as a whole.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::access::{Administrator, Monitor};
use super::caller::Caller;
use super::change::Changed;
use super::listing::{Query, json_of, one};
use super::problem::Problem;
use super::site::{Listening, Site};
use super::summary::Summary;
use crate::broker::exchange::ExchangeKind;
use crate::broker::vhost::VHost;

type Shared = State<Arc<Site>>;

/// `GET /api/overview`.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    let of_site = Arc::clone(&site);
    let is_monitor = caller.is_monitor();
    let summed = tokio::task::spawn_blocking(move || {
        if is_monitor {
            return (Summary::of_broker(of_site.host()), None);
        }
        let mut all = Summary::default();
        for vhost in &vhosts {
            all.add(&Summary::of(vhost));
        }
        (all, Some(vhosts))
    });
    let (summary, only) = summed.await.map_err(|_| Problem::internal())?;
    let mut shown = described(&site);
    counted(&site, &summary, only.as_deref(), &mut shown);
    if is_monitor {
        let listeners = site.listening().iter().map(|it| listener(&site, it));
        shown.insert("listeners".to_owned(), listeners.collect());
        let contexts = site.listening().iter().filter_map(|it| context(&site, it));
        shown.insert("contexts".to_owned(), contexts.collect());
    }
    one(&query, shown.into())
}

/// What the broker is.
fn described(site: &Site) -> Map<String, Value> {
    let identity = site.identity();
    let fields = json!({
        "management_version": identity.rabbitmq_version,
        "rates_mode": "basic",
        "sample_retention_policies": { "global": [5], "basic": [5], "detailed": [5] },
        "exchange_types": exchange_types(),
        "product_name": "leveret",
        "product_version": env!("CARGO_PKG_VERSION"),
        "rabbitmq_version": identity.rabbitmq_version,
        // There is no Erlang here; who asks for its version wants a text.
        "erlang_version": "",
        "erlang_full_version": "",
        "cluster_name": site.cluster_name(),
        "cluster_tags": {},
        "node_tags": {},
        "node": identity.node,
        "disable_stats": false,
        "enable_queue_totals": false,
        "statistics_db_event_queue": 0,
        "leveret_durability": identity.durability,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What it has, and what it did; or only what some vhosts have and did, for who sees no others. Connections and
/// channels are told only to those who see all of them.
fn counted(
    site: &Site,
    summary: &Summary,
    only: Option<&[Arc<VHost>]>,
    shown: &mut Map<String, Value>,
) {
    let rates = site.rates().against(site.now());
    let (counts, depth) = match only {
        Some(vhosts) => rates.of_vhosts(vhosts.iter().map(|vhost| vhost.name()), summary),
        None => rates.overall(summary),
    };
    let churn = site.host().churn();
    let mut totals = Map::new();
    depth.put(&mut totals);
    shown.insert("queue_totals".to_owned(), totals.into());
    let mut stats = Map::new();
    counts.put(&mut stats);
    shown.insert("message_stats".to_owned(), stats.into());
    let mut rates_of_churn = Map::new();
    rates.churn(&churn, &site.host().traffic()).put(&mut rates_of_churn);
    shown.insert("churn_rates".to_owned(), rates_of_churn.into());
    let of_all = |count: u64| if only.is_none() { count } else { 0 };
    let objects = json!({
        "connections": of_all(churn.connections_opened - churn.connections_closed),
        "channels": of_all(churn.channels_opened - churn.channels_closed),
        "consumers": summary.consumers,
        "exchanges": summary.exchanges,
        "queues": summary.queues,
    });
    shown.insert("object_totals".to_owned(), objects);
}

/// The types of exchanges that can be declared.
pub(super) fn exchange_types() -> Value {
    let shown = |kind: ExchangeKind| {
        let description = format!("AMQP {} exchange", kind.name());
        json!({ "name": kind.name(), "description": description, "enabled": true })
    };
    ExchangeKind::ALL.into_iter().map(shown).collect()
}

fn listener(site: &Site, listening: &Listening) -> Value {
    json!({
        "node": site.node(),
        "protocol": listening.protocol,
        "ip_address": listening.address.ip().to_string(),
        "port": listening.address.port(),
        "socket_opts": { "nodelay": true },
    })
}

/// What is served over HTTP.
pub(super) fn context(site: &Site, listening: &Listening) -> Option<Value> {
    let description = match listening.protocol {
        "http" | "https" => "RabbitMQ Management",
        "http/prometheus" | "https/prometheus" => "RabbitMQ Prometheus",
        _ => return None,
    };
    let port = listening.address.port().to_string();
    Some(json!({ "node": site.node(), "description": description, "path": "/", "port": port }))
}

/// `GET /api/cluster-name`.
pub(super) async fn cluster_name(State(site): Shared, _: Caller) -> Response {
    json_of(&json!({ "name": site.cluster_name() }))
}

/// `GET /api/extensions`: there is no user interface that could be extended.
pub(super) async fn extensions(_: Caller) -> Response {
    json_of(&json!([]))
}

/// `GET /api/whoami`.
pub(super) async fn whoami(caller: Caller) -> Response {
    json_of(&json!({ "name": caller.name(), "tags": caller.tags() }))
}

/// `GET /api/auth`: how to log in, which is with a name and a password.
pub(super) async fn auth() -> Response {
    let none = json!({ "oauth_enabled": false, "enable_uaa": false, "uaa_client_id": "", "uaa_location": "" });
    json_of(&none)
}

/// `GET /api/auth/attempts/{node}`.
pub(super) async fn auth_attempts(
    State(site): Shared,
    _: Monitor,
    Path(node): Path<String>,
) -> Result<Response, Problem> {
    site.must_be_node(&node)?;
    let (succeeded, failed) = site.logins().read();
    let logins = site.host().logins();
    let shown = |protocol: &str, succeeded: u64, failed: u64| {
        json!({
            "protocol": protocol,
            "auth_attempts": succeeded + failed,
            "auth_attempts_succeeded": succeeded,
            "auth_attempts_failed": failed,
        })
    };
    Ok(json_of(&json!([
        shown("http", succeeded, failed),
        shown("amqp091", logins.succeeded, logins.failed),
    ])))
}

/// `POST /api/rebalance/queues`: all queues are where they can be.
pub(super) async fn rebalance(_: Administrator) -> Changed {
    Changed::Done
}

/// Lists of what a single node of leveret has none of: federation links, shovels, streams' connections.
pub(super) async fn none(_: Caller) -> Response {
    json_of(&json!([]))
}

/// The features of RabbitMQ that cannot be switched off here.
const FEATURES: [(&str, &str); 8] = [
    ("classic_queue_type_delivery_support", "Bug fix for classic queue deliveries"),
    ("direct_exchange_routing_v2", "Fast routing of direct exchanges"),
    ("drop_unroutable_metric", "Count unroutable publishes to be dropped in stats"),
    ("empty_basic_get_metric", "Count AMQP `basic.get` on empty queues in stats"),
    ("implicit_default_bindings", "Default bindings are implicit"),
    ("quorum_queue", "Support queues of type `quorum`"),
    ("user_limits", "Configure connection and channel limits for a user"),
    ("virtual_host_metadata", "Virtual host metadata (description, tags, etc)"),
];

/// `GET /api/feature-flags`.
pub(super) async fn feature_flags(_: Administrator) -> Response {
    let shown = |(name, description): (&str, &str)| {
        json!({
            "name": name, "desc": description, "doc_url": "", "state": "enabled",
            "stability": "required", "provided_by": "leveret",
        })
    };
    json_of(&FEATURES.into_iter().map(shown).collect())
}

/// `PUT /api/feature-flags/{name}/enable`: those that there are, are.
pub(super) async fn enable_feature(
    _: Administrator,
    Path(name): Path<String>,
) -> Result<Changed, Problem> {
    match FEATURES.iter().any(|(feature, _)| *feature == name) {
        true => Ok(Changed::Done),
        false => Err(Problem::bad_request("unsupported")),
    }
}
