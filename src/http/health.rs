//! `/api/health/checks`: open to everybody, as what asks is often a container's runtime.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::listing::json_of;
use super::problem::Problem;
use super::site::Site;

type Shared = State<Arc<Site>>;

fn passed() -> Response {
    json_of(&json!({ "status": "ok" }))
}

fn failed(mut details: Value) -> Response {
    details["status"] = "failed".into();
    let mut response = json_of(&details);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// `alarms` and `local-alarms`: whether publishers have to wait.
pub(super) async fn alarms(State(site): Shared) -> Response {
    let alarms = site.host().alarms();
    let raised: Vec<Value> = [("memory", alarms.memory), ("disk", alarms.disk)]
        .into_iter()
        .filter(|(_, raised)| *raised)
        .map(|(resource, _)| json!({ "node": site.node(), "resource": resource }))
        .collect();
    if raised.is_empty() {
        return passed();
    }
    failed(json!({ "reason": "There are alarms in effect in the cluster", "alarms": raised }))
}

/// `port-listener/{port}`.
pub(super) async fn port(
    State(site): Shared,
    Path(port): Path<String>,
) -> Result<Response, Problem> {
    let port: u16 = port.parse().map_err(|_| Problem::bad_request("Invalid port"))?;
    let mut ports: Vec<u16> = site.listening().iter().map(|it| it.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.contains(&port) {
        return Ok(json_of(&json!({ "status": "ok", "port": port })));
    }
    Ok(failed(json!({ "reason": "No active listener", "missing": port, "ports": ports })))
}

/// `protocol-listener/{protocol}`.
pub(super) async fn protocol(State(site): Shared, Path(protocol): Path<String>) -> Response {
    let known = match protocol.as_str() {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" => "amqp",
        "amqp091s" | "amqps" => "amqp/ssl",
        "prometheus" => "http/prometheus",
        other => other,
    };
    let mut protocols: Vec<&str> = site.listening().iter().map(|it| it.protocol).collect();
    protocols.sort_unstable();
    protocols.dedup();
    if protocols.contains(&known) {
        return json_of(&json!({ "status": "ok", "protocol": known }));
    }
    let reason = "No active listener";
    failed(json!({ "reason": reason, "missing": protocol, "protocols": protocols }))
}

/// What always holds while the broker answers: `virtual-hosts`, `is-in-service`,
/// `ready-to-serve-clients`, `below-node-connection-limit`.
pub(super) async fn always() -> Response {
    passed()
}

/// `node-is-quorum-critical` and `node-is-mirror-sync-critical`.
pub(super) async fn quorum() -> Response {
    json_of(&json!({ "status": "ok", "reason": "single node cluster" }))
}

/// `certificate-expiration/{within}/{unit}`.
pub(super) async fn certificates(
    Path((within, unit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let is_number = within.parse::<u32>().is_ok();
    let is_unit = matches!(unit.trim_end_matches('s'), "day" | "week" | "month" | "year");
    if is_number && is_unit {
        return Ok(passed().into_response());
    }
    Err(Problem::bad_request(format!("Invalid expiration unit or value: {within} {unit}")))
}
