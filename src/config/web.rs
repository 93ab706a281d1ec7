//! What an operator can choose about HTTP, beside its ports.

use std::net::IpAddr;

use super::TlsOptions;

/// How management and metrics are served over HTTP and HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// What stands before each path of the management API, as `/rabbitmq`. Empty: nothing.
    pub management_path_prefix: String,
    /// Addresses to listen on for management over HTTPS. Empty: the same as without TLS.
    pub management_tls_bind: Vec<IpAddr>,
    /// What management over HTTPS has other than AMQP. Without any of it: the same.
    pub management_tls: TlsOptions,
    /// Addresses to listen on for metrics. Empty: the same as for management.
    pub prometheus_bind: Vec<IpAddr>,
    /// Addresses to listen on for metrics over HTTPS. Empty: the same as without TLS.
    pub prometheus_tls_bind: Vec<IpAddr>,
    /// What metrics over HTTPS have other than AMQP. Without any of it: the same.
    pub prometheus_tls: TlsOptions,
    /// The path of the metrics; others begin with it.
    pub prometheus_path: String,
    /// The metrics of that path are those of each object.
    pub prometheus_per_object: bool,
    /// Metrics are for users who may monitor.
    pub prometheus_authentication: bool,
    /// Commands of who runs the broker are answered where there is no management port, too: on a port of the
    /// loopback interface, any that is free, where nobody else gets an answer. For a broker that is a process of its
    /// own.
    pub for_commands: bool,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            management_path_prefix: String::new(),
            management_tls_bind: Vec::new(),
            management_tls: TlsOptions::default(),
            prometheus_bind: Vec::new(),
            prometheus_tls_bind: Vec::new(),
            prometheus_tls: TlsOptions::default(),
            prometheus_path: "/metrics".to_owned(),
            prometheus_per_object: false,
            prometheus_authentication: false,
            for_commands: false,
        }
    }
}
