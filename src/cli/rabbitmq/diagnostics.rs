//! Health checks, as compose files, orchestrators and CI run them.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::formatter::Formatter;
use crate::cli::EXIT_UNAVAILABLE;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

/// How long a listener may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What listeners are for, in RabbitMQ's words.
const PURPOSES: [(&str, &str); 6] = [
    ("amqp", "AMQP 0-9-1 and AMQP 1.0"),
    ("amqp/ssl", "AMQP 0-9-1 and AMQP 1.0 over TLS"),
    ("http", "HTTP API"),
    ("https", "HTTP API over TLS (HTTPS)"),
    ("http/prometheus", "Prometheus exporter API over HTTP"),
    ("https/prometheus", "Prometheus exporter API over TLS (HTTPS)"),
];

/// A place where the broker listens.
pub(super) struct Listener {
    /// As the API has it: an address without brackets.
    pub(super) address: String,
    pub(super) port: u64,
    pub(super) protocol: String,
}

impl Listener {
    /// As people write it.
    pub(super) fn interface(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        }
    }

    pub(super) fn purpose(&self) -> &str {
        let purpose = PURPOSES.iter().find(|(protocol, _)| *protocol == self.protocol);
        purpose.map_or(self.protocol.as_str(), |(_, purpose)| purpose)
    }

    fn object(&self, node: &str) -> Value {
        json!({
            "interface": self.interface(),
            "node": node,
            "port": self.port,
            "protocol": self.protocol,
            "purpose": self.purpose(),
        })
    }
}

/// Whether anybody answers. That it wants another password is an answer.
pub(super) fn is_alive(call: &Call<'_>) -> Result<(), ApiError> {
    match call.api.get(&ApiPath::of(&["health", "checks", "ready-to-serve-clients"])) {
        Err(
            error @ (ApiError::Unreachable { .. }
            | ApiError::TimedOut { .. }
            | ApiError::Foreign { .. }
            | ApiError::Unavailable { .. }),
        ) => Err(error),
        // Older brokers have no such check; who answers, runs.
        _ => Ok(()),
    }
}

pub(super) fn ping(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    let milliseconds = call.timeout.unwrap_or(Duration::from_secs(60)).as_millis();
    call.banner(&format!(
        "Will ping {node}. This only checks if the OS process is running and registered with epmd. \
         Timeout: {milliseconds} ms."
    ))?;
    match is_alive(call) {
        Ok(()) | Err(ApiError::Unavailable { .. }) => call.result("Ping succeeded"),
        Err(error) => Err(Failure::unavailable(&format!(
            "Failed to connect and authenticate to {node} in {milliseconds} ms: {error}"
        ))),
    }
}

pub(super) fn check_running(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Checking if RabbitMQ is running on node {node} ..."))?;
    running(call)
}

pub(super) fn is_running(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} for its status ..."))?;
    running(call)
}

fn running(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    match is_alive(call) {
        Ok(()) => call.result(&format!("RabbitMQ on node {node} is fully booted and running")),
        Err(ApiError::Unavailable { .. }) => Err(Failure::unavailable(&format!(
            "RabbitMQ on node {node} is not running or has not fully booted yet (check with is_booting)"
        ))),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_booting(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} for its boot status ..."))?;
    match is_alive(call) {
        Ok(()) => call.result(&format!(
            "RabbitMQ on node {node} is fully booted (check with is_running), stopped or has not started \
             booting yet"
        )),
        Err(ApiError::Unavailable { .. }) => {
            call.result(&format!("RabbitMQ on node {node} is booting"))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn node_health_check(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    let seconds = call.timeout.map_or(70, |timeout| timeout.as_secs());
    call.banner(
        "This command is DEPRECATED and will be removed in a future version.\n\
         It performs intrusive, opinionated health checks and requires a fully booted node.\n\
         Use one of the options covered in https://www.rabbitmq.com/monitoring.html#health-checks \
         instead.",
    )?;
    call.banner(&format!("Timeout: {seconds} seconds ...\nChecking health of node {node} ..."))?;
    health(call, &["virtual-hosts"])?;
    health(call, &["local-alarms"])?;
    call.result("Health check passed")
}

/// One of the API's health checks.
fn health(call: &Call<'_>, check: &[&str]) -> Result<(), Failure> {
    let path = [&["health", "checks"], check].concat();
    call.api.get(&ApiPath::of(&path))?;
    Ok(())
}

pub(super) fn check_local_alarms(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} to report any local resource alarms ..."))?;
    alarm_check(call, "local-alarms", &format!("Node {node} reported no local alarms"))
}

pub(super) fn check_alarms(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} to report any local resource alarms ..."))?;
    alarm_check(call, "alarms", &format!("Node {node} reported no alarms, local or clusterwide"))
}

fn alarm_check(call: &mut Call<'_>, check: &str, fine: &str) -> Result<(), Failure> {
    match call.api.get(&ApiPath::of(&["health", "checks", check])) {
        Ok(_) => call.result(fine),
        Err(ApiError::Unavailable { reason }) => {
            let node = &call.node;
            let text = format!("Error:\nNode {node} reported alarms: {reason}");
            Err(Failure::bare(EXIT_UNAVAILABLE, &text))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reports alarms; that there are some is no failure.
pub(super) fn alarms(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} to report any known resource alarms ..."))?;
    let alarms = node_alarms(&this_node(call)?);
    if call.formatter == Formatter::Json {
        let object = json!({ "alarms": alarms, "node": node, "result": "ok" });
        return call.line(&object.to_string());
    }
    if alarms.is_empty() {
        return call.result(&format!("Node {node} reported no alarms, local or clusterwide"));
    }
    call.line(&format!("Node {node} reported the following alarms:"))?;
    alarms.iter().try_for_each(|alarm| call.line(alarm))
}

/// What the API says about the node.
pub(super) fn this_node(call: &Call<'_>) -> Result<Value, Failure> {
    let mut nodes = call.api.list(&ApiPath::of(&["nodes"]))?;
    if nodes.is_empty() {
        return Err(Failure::unavailable("the broker reports no node"));
    }
    Ok(nodes.swap_remove(0))
}

/// The alarms that are on.
pub(super) fn node_alarms(node: &Value) -> Vec<String> {
    let alarms = [
        ("mem_alarm", "Memory alarm on node"),
        ("disk_free_alarm", "Free disk space alarm on node"),
    ];
    let on = alarms.iter().filter(|(name, _)| field(node, name) == &Value::Bool(true));
    let name = field(node, "name").as_str().unwrap_or_default();
    on.map(|(_, text)| format!("{text} {name}")).collect()
}

/// Where the broker listens, by port.
pub(super) fn all_listeners(call: &Call<'_>) -> Result<Vec<Listener>, Failure> {
    let overview = call.api.get(&ApiPath::of(&["overview"]))?;
    let listeners = field(&overview, "listeners").as_array().cloned().unwrap_or_default();
    let text = |value: &Value, name| field(value, name).as_str().unwrap_or_default().to_owned();
    let mut listeners: Vec<Listener> = listeners
        .iter()
        .map(|listener| Listener {
            address: text(listener, "ip_address"),
            port: field(listener, "port").as_u64().unwrap_or(0),
            protocol: text(listener, "protocol"),
        })
        .collect();
    listeners.sort_by_key(|listener| listener.port);
    Ok(listeners)
}

pub(super) fn listeners(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} to report its protocol listeners ..."))?;
    let listeners = all_listeners(call)?;
    if call.formatter == Formatter::Json {
        let listeners: Vec<Value> = listeners.iter().map(|one| one.object(&node)).collect();
        let object = json!({ "listeners": listeners, "node": node, "result": "ok" });
        return call.line(&object.to_string());
    }
    listeners.iter().try_for_each(|listener| {
        let (interface, purpose) = (listener.interface(), listener.purpose());
        let Listener { port, protocol, .. } = listener;
        call.line(&format!(
            "Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}"
        ))
    })
}

pub(super) fn check_port_connectivity(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Testing TCP connections to all active listeners on node {node} ..."))?;
    let listeners = all_listeners(call)?;
    let host = call.option("address").map(str::to_owned);
    let refused: Vec<String> = listeners
        .iter()
        .filter(|listener| {
            !accepts(host.as_deref().unwrap_or(&reachable(&listener.address)), listener.port)
        })
        .map(|listener| listener.port.to_string())
        .collect();
    if refused.is_empty() {
        let ports: Vec<String> = listeners.iter().map(|one| one.port.to_string()).collect();
        let ports = ports.join(", ");
        return call.result(&format!("Successfully connected to ports {ports} on node {node}."));
    }
    Err(Failure::unavailable(&format!(
        "Connection to ports of the following listeners on node {node} failed: {}",
        refused.join(", ")
    )))
}

/// An address to connect to, for one to listen on.
fn reachable(address: &str) -> String {
    match address {
        "" | "::" | "0.0.0.0" => "localhost".to_owned(),
        other => other.to_owned(),
    }
}

fn accepts(host: &str, port: u64) -> bool {
    let Ok(port) = u16::try_from(port) else { return false };
    let addresses = (host, port).to_socket_addrs();
    addresses.is_ok_and(|mut addresses| {
        addresses.any(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok())
    })
}

pub(super) fn check_port_listener(call: &mut Call<'_>) -> Result<(), Failure> {
    let (port, node) = (call.word(0), call.node.clone());
    call.banner(&format!("Asking node {node} if there's an active listener on port {port} ..."))?;
    let listeners = all_listeners(call)?;
    if listeners.iter().any(|listener| listener.port.to_string() == port) {
        return call.result(&format!("A listener for port {port} is running on node {node}."));
    }
    let ports: Vec<String> = listeners.iter().map(|one| one.port.to_string()).collect();
    let text = format!(
        "No listener for port {port} is active on node {node}. Found listeners that use the following \
         ports: {}",
        ports.join(", ")
    );
    Err(Failure::bare(EXIT_UNAVAILABLE, &text))
}

pub(super) fn check_protocol_listener(call: &mut Call<'_>) -> Result<(), Failure> {
    let (given, node) = (call.word(0), call.node.clone());
    call.banner(&format!(
        "Asking node {node} if there's an active listener for protocol {given} ..."
    ))?;
    let protocol = match given.to_ascii_lowercase().as_str() {
        "amqps" | "tls" | "amqp0.9.1s" => "amqp/ssl".to_owned(),
        "amqp091" | "amqp0.9.1" | "amqp10" | "amqp1.0" => "amqp".to_owned(),
        "management" => "http".to_owned(),
        "prometheus" => "http/prometheus".to_owned(),
        other => other.to_owned(),
    };
    let listeners = all_listeners(call)?;
    if listeners.iter().any(|listener| listener.protocol == protocol) {
        return call.result(&format!("A listener for protocol {given} is running on node {node}."));
    }
    let mut protocols: Vec<&str> = listeners.iter().map(|one| one.protocol.as_str()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    Err(Failure::unavailable(&format!(
        "No listener for protocol {protocol} is active on node {node}. Found listeners for the following \
         protocols: {}",
        protocols.join(", ")
    )))
}

pub(super) fn check_virtual_hosts(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Checking if all vhosts are running on node {node} ..."))?;
    health(call, &["virtual-hosts"])?;
    call.result(&format!("Node {node} reported all vhosts as running"))
}

pub(super) fn check_certificate_expiration(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Checking certificate expiration on node {node} ..."))?;
    let within = call.option("within").unwrap_or_default().to_owned();
    let unit = call.option("unit").unwrap_or_default().to_owned();
    if within.parse::<u32>().is_err() || !["days", "weeks", "months", "years"].contains(&&*unit) {
        let problem = "--within must be a number, and --unit days, weeks, months or years";
        return Err(Failure::data(problem));
    }
    health(call, &["certificate-expiration", &within, &unit])?;
    let unit = if within == "1" { unit.trim_end_matches('s') } else { &unit };
    call.result(&format!("No certificates are expiring within {within} {unit}."))
}

pub(super) fn certificates(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Certificates of node {node} ..."))?;
    let listeners = all_listeners(call)?;
    let with_tls = listeners.iter().filter(|one| one.protocol.contains("ssl"));
    let ports: Vec<String> = with_tls.map(|one| one.port.to_string()).collect();
    if ports.is_empty() {
        return call.line("(none)");
    }
    call.line(&format!("in use on ports {}", ports.join(", ")))
}

pub(super) fn check_quorum_critical(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!(
        "Checking if node {node} is critical for quorum of any quorum queues ..."
    ))?;
    is_alive(call)?;
    call.result(&format!(
        "Node {node} seems to be the only one in a single node cluster, the check does not apply"
    ))
}

pub(super) fn check_deprecated_features(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner("Checking if any deprecated features are used ...")?;
    is_alive(call)?;
    call.result(&format!("Node {node} reported no deprecated features in use"))
}

pub(super) fn memory_breakdown(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Reporting memory breakdown on node {node}..."))?;
    let used = field(&this_node(call)?, "mem_used").as_u64().unwrap_or(0);
    if call.formatter == Formatter::Json {
        return call.line(&json!({ "total": { "bytes": used, "percentage": 100.0 } }).to_string());
    }
    let used = super::status::in_unit(used, call.option("unit").unwrap_or("gb"));
    call.line(&format!("total: {used} (100.0%)"))
}
