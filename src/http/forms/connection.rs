//! A connection as JSON.

use serde_json::{Value, json};

use super::text;
use crate::auth::Certificate;
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
    let encryption = connection.peer.encryption.as_deref();
    let certificate = connection.peer.certificate();
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
        "ssl": encryption.is_some(),
        "ssl_protocol": encryption.map(|tls| tls.protocol),
        "ssl_key_exchange": encryption.map(|tls| tls.key_exchange),
        "ssl_cipher": encryption.map(|tls| tls.cipher),
        "ssl_hash": encryption.map(|tls| tls.hash),
        "peer_cert_subject": certificate.map(|certificate| &certificate.subject),
        "peer_cert_issuer": certificate.map(|certificate| &certificate.issuer),
        "peer_cert_validity": certificate.map(Certificate::validity),
    });
    if let Value::Object(object) = &mut object {
        if let Some(name) = given_name {
            object.insert("user_provided_name".to_owned(), name);
        }
        rates.connection(connection).put(object);
    }
    object
}
