//! A connection as JSON.

use serde_json::{Value, json};

use super::text;
use crate::broker::json::table;
use crate::http::rates::Comparison;
use crate::session::ConnectionReport;

/// A connection.
pub(in crate::http) fn connection(
    node: &str,
    connection: &ConnectionReport,
    rates: &Comparison,
) -> Value {
    let (peer, local) = (connection.peer.address, connection.peer.local);
    let properties = table(&connection.client_properties).json;
    let given_name = properties.get("connection_name").cloned();
    let traffic = connection.traffic;
    let mut object = json!({
        "name": connection.peer.name(),
        "type": "network",
        "node": node,
        "state": if connection.blocked { "blocked" } else { "running" },
        "protocol": "AMQP 0-9-1",
        "auth_mechanism": connection.mechanism,
        "user": connection.user,
        "user_who_performed_action": connection.user,
        "vhost": text(&connection.vhost),
        "host": local.ip().to_canonical().to_string(),
        "port": local.port(),
        "peer_host": peer.ip().to_canonical().to_string(),
        "peer_port": peer.port(),
        "connected_at": connection.connected_at.0,
        "timeout": connection.limits.heartbeat,
        "frame_max": connection.limits.frame_max,
        "channel_max": connection.limits.channel_max,
        "channels": connection.channels.len(),
        "client_properties": properties,
        "recv_cnt": traffic.reads,
        "send_cnt": traffic.writes,
        "send_pend": traffic.pending_bytes,
        "ssl": false,
        "ssl_protocol": null,
        "ssl_key_exchange": null,
        "ssl_cipher": null,
        "ssl_hash": null,
        "peer_cert_subject": null,
        "peer_cert_issuer": null,
        "peer_cert_validity": null,
    });
    if let Value::Object(object) = &mut object {
        if let Some(name) = given_name {
            object.insert("user_provided_name".to_owned(), name);
        }
        rates.connection(connection).put(object);
    }
    object
}
