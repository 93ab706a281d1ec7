//! `/api/health/checks`: open to everybody, as what asks is often a container's runtime.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::caller::Caller;
use super::listing::json_of;
use super::problem::Problem;
use super::site::{Listening, Site};

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

/// `below-node-connection-limit`, which RabbitMQ has from version 4 on.
pub(super) async fn connections(State(site): Shared) -> Response {
    let (connections, max) = site.host().connections_and_limit();
    let limit = max.map_or_else(|| "infinity".into(), Value::from);
    let mut details = json!({ "limit": limit, "connections": connections });
    if max.is_some_and(|max| connections >= max) {
        details["reason"] = "node connection limit is reached".into();
        return failed(details);
    }
    details["status"] = "ok".into();
    json_of(&details)
}

/// What always holds while the broker answers: `virtual-hosts`, `is-in-service`, `ready-to-serve-clients`.
pub(super) async fn always() -> Response {
    passed()
}

/// `node-is-quorum-critical` and `node-is-mirror-sync-critical`.
pub(super) async fn quorum() -> Response {
    json_of(&json!({ "status": "ok", "reason": "single node cluster" }))
}

/// A day, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// Seconds of so many days, weeks, months or years.
fn seconds(within: &str, unit: &str) -> Result<i64, Problem> {
    let days = match unit {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => {
            let supported = "Supported units: days, weeks, months, years.";
            return Err(Problem::bad_request(format!("Time unit not recognised. {supported}")));
        }
    };
    let within: i64 =
        within.parse().map_err(|_| Problem::bad_request("Invalid expiration value."))?;
    Ok(within.saturating_mul(days * DAY.cast_signed()))
}

/// `2026-12-02 9:57:15`, as RabbitMQ writes it here.
fn expires_on(seconds: u64) -> Value {
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    let Some(moment) = moment else { return Value::Null };
    let (hour, minute, second) = moment.to_hms();
    format!("{} {hour}:{minute:02}:{second:02}", moment.date()).into()
}

/// `certificate-expiration/{within}/{unit}`: whether a certificate of the TLS listeners expires so soon. The
/// names of their files are for those who log in.
pub(super) async fn certificates(
    State(site): Shared,
    caller: Option<Caller>,
    Path((within, unit)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let within = seconds(&within, &unit)?;
    let now = site.host().epoch().timestamp(site.now()).0 / 1000;
    let last = now.saturating_add_signed(within);
    let shown = |times: &[u64]| times.iter().copied().map(expires_on).collect::<Value>();
    let of_listener = |it: &Listening| {
        let tls = site.tls(it)?;
        let expiries = tls.expiries();
        if !expiries.own.iter().chain(&expiries.authorities).any(|&at| at <= last) {
            return None;
        }
        let mut expired = json!({
            "node": site.node(),
            "protocol": it.protocol,
            "interface": it.address.ip().to_string(),
            "port": it.address.port(),
            "certfile_expires_on": shown(&expiries.own),
            "cacertfile_expires_on": shown(&expiries.authorities),
        });
        if caller.is_some() {
            expired["certfile"] = json!(tls.options().cert_file);
            expired["cacertfile"] = json!(tls.options().ca_file);
        }
        Some(expired)
    };
    let expired: Vec<Value> = site.listening().iter().filter_map(of_listener).collect();
    if expired.is_empty() {
        return Ok(passed());
    }
    Ok(failed(json!({ "reason": "Certificates expiring", "expired": expired })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_days_weeks_months_and_years_are_seconds() {
        assert_eq!(seconds("2", "days").unwrap(), 172_800);
        assert_eq!(seconds("-1", "weeks").unwrap(), -604_800);
        assert_eq!(seconds("1", "months").unwrap(), 2_592_000);
        assert_eq!(seconds("9223372036854775807", "years").unwrap(), i64::MAX);
        let reason = |within: &str, unit: &str| seconds(within, unit).unwrap_err().reason().clone();
        assert_eq!(reason("x", "days"), "Invalid expiration value.");
        let unknown = "Time unit not recognised. Supported units: days, weeks, months, years.";
        assert_eq!(reason("1", "week"), unknown);
        assert_eq!(reason("x", "hours"), unknown);
    }

    #[test]
    fn the_hour_is_written_as_rabbitmq_writes_it() {
        assert_eq!(expires_on(1_796_205_435), "2026-12-02 9:57:15");
    }
}
