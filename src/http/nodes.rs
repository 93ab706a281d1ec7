//! `/api/nodes`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Monitor;
use super::listing::{Query, is_true, json_of, list, one};
use super::overview::{context, exchange_types};
use super::problem::Problem;
use super::process::Usage;
use super::site::Site;
use super::summary::Summary;

type Shared = State<Arc<Site>>;

impl Site {
    /// What the process uses.
    pub(super) fn usage(&self) -> Usage {
        Usage::now(self.identity().data_dir.as_deref())
    }

    /// # Errors
    /// 404, for the name of another node.
    pub(super) fn must_be_node(&self, name: &str) -> Result<(), Problem> {
        if name == self.node() { Ok(()) } else { Err(Problem::not_found()) }
    }
}

/// The node, and who came and went.
fn shown(site: &Site) -> Value {
    let (usage, churn) = (site.usage(), site.host().churn());
    let mut shown = described(site, &usage);
    let rates = site.rates().against(site.now());
    if let Value::Object(object) = &mut shown {
        rates.node(&usage, &churn).put(object);
        rates.churn(&churn, &site.host().traffic()).put(object);
    }
    shown
}

fn described(site: &Site, usage: &Usage) -> Value {
    let identity = site.identity();
    let alarms = site.host().alarms();
    let contexts: Value = site.listening().iter().filter_map(|it| context(site, it)).collect();
    json!({
        "name": site.node(),
        "type": "disc",
        "running": true,
        "being_drained": false,
        "os_pid": std::process::id().to_string(),
        "uptime": site.uptime(),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "run_queue": 0,
        "rates_mode": "basic",
        "mem_limit": site.host().memory_limit(),
        "mem_alarm": alarms.memory,
        "mem_calculation_strategy": "rss",
        "disk_free_limit": site.settings().disk_free_limit(),
        "disk_free_alarm": alarms.disk,
        "fd_total": usage.descriptors_max,
        "sockets_total": usage.descriptors_max,
        "proc_total": 1_048_576,
        "net_ticktime": 60,
        "partitions": [],
        "cluster_links": [],
        "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
        "exchange_types": exchange_types(),
        "auth_mechanisms": [
            { "name": "PLAIN", "description": "SASL PLAIN authentication mechanism", "enabled": true },
            { "name": "AMQPLAIN", "description": "QPid AMQPLAIN mechanism", "enabled": true },
        ],
        "applications": [
            { "name": "leveret", "description": "leveret", "version": env!("CARGO_PKG_VERSION") },
            { "name": "rabbit", "description": "RabbitMQ", "version": identity.rabbitmq_version },
        ],
        "contexts": contexts,
        "log_files": ["<stdout>"],
        "db_dir": identity.data_dir.as_ref().map(|dir| dir.display().to_string()),
        "config_files": [],
        "message_memory_used": site.host().memory_used(),
    })
}

/// `GET /api/nodes`.
pub(super) async fn all(
    State(site): Shared,
    _: Monitor,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || vec![shown(&site)]).await
}

/// `GET /api/nodes/{node}`.
pub(super) async fn get(
    State(site): Shared,
    _: Monitor,
    Path(node): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.must_be_node(&node)?;
    let mut shown = shown(&site);
    if is_true(&query, "memory") {
        shown["memory"] = breakdown(&site);
    }
    one(&query, shown)
}

/// `GET /api/nodes/{node}/memory`: what messages take, and all the rest.
pub(super) async fn memory(
    State(site): Shared,
    _: Monitor,
    Path(node): Path<String>,
) -> Result<Response, Problem> {
    site.must_be_node(&node)?;
    Ok(json_of(&json!({ "memory": breakdown(&site) })))
}

fn breakdown(site: &Site) -> Value {
    let usage = site.usage();
    let summary = Summary::of_broker(site.host());
    let messages = summary.memory.min(usage.memory);
    let mut memory = serde_json::Map::new();
    // Parts of a virtual machine, which there is none of; clients want a number for each.
    for part in [
        "connection_readers",
        "connection_writers",
        "connection_channels",
        "connection_other",
        "queue_slave_procs",
        "quorum_queue_procs",
        "quorum_queue_dlx_procs",
        "stream_queue_procs",
        "stream_queue_replica_reader_procs",
        "stream_queue_coordinator_procs",
        "plugins",
        "metadata_store",
        "other_proc",
        "metrics",
        "mgmt_db",
        "mnesia",
        "quorum_ets",
        "metadata_store_ets",
        "other_ets",
        "binary",
        "msg_index",
        "code",
        "atom",
        "allocated_unused",
        "reserved_unallocated",
    ] {
        memory.insert(part.to_owned(), 0.into());
    }
    memory.insert("queue_procs".to_owned(), messages.into());
    memory.insert("other_system".to_owned(), (usage.memory - messages).into());
    memory.insert("strategy".to_owned(), "rss".into());
    let total = json!({ "rss": usage.memory, "allocated": usage.memory, "erlang": usage.memory });
    memory.insert("total".to_owned(), total);
    memory.into()
}
