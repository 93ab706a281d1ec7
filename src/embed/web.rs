//! What a broker serves over HTTP and HTTPS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::cluster_name;
use crate::config::{Config, Durability, Secret, TlsVerify};
use crate::http::{self, Endpoint, Identity, Listening, Service, Site};
use crate::net::{Server, ServerError, listen, now};
use crate::protocol::handshake::RABBITMQ_VERSION;
use crate::session::Host;
use crate::tls::ServerTls;

/// Where a broker serves over HTTP and HTTPS, and what does it.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) management: Vec<SocketAddr>,
    pub(super) management_tls: Vec<SocketAddr>,
    /// For who runs the broker, and nobody else.
    pub(super) local: Option<SocketAddr>,
    pub(super) metrics: Vec<SocketAddr>,
    pub(super) metrics_tls: Vec<SocketAddr>,
    pub(super) server: Option<http::Server>,
    pub(super) site: Option<Arc<Site>>,
}

/// The sockets of it, before there is anything to serve.
pub(super) struct WebListeners {
    endpoints: Vec<Endpoint>,
    tls: Option<ServerTls>,
}

impl Web {
    /// Listens where the configuration says so. HTTPS is for those who have TLS.
    pub(super) fn listen(
        amqp: &[IpAddr],
        config: &Config,
        tls: Option<&ServerTls>,
    ) -> Result<WebListeners, ServerError> {
        let own = &config.management_bind;
        let addresses = if own.is_empty() { amqp } else { own };
        let (management, metrics) = (config.management_port, config.prometheus_port);
        let encrypted = |port: Option<u16>| port.filter(|_| tls.is_some());
        let (management_tls, metrics_tls) =
            (encrypted(config.management_tls_port), encrypted(config.prometheus_tls_port));
        let ports = [
            (management, "--management-port", Service::Management, None),
            (management_tls, "--management-tls-port", Service::Management, tls),
            (metrics, "--prometheus-port", Service::Metrics, None),
            (metrics_tls, "--prometheus-tls-port", Service::Metrics, tls),
        ];
        let mut endpoints = Vec::new();
        for (port, flag, service, tls) in ports {
            let Some(port) = port else { continue };
            for listener in listen(addresses, port, flag)? {
                endpoints.push(Endpoint { listener, service, tls: tls.cloned() });
            }
        }
        if management.is_none() && management_tls.is_some() && asks_for_certificates(config) {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
            let listeners = listen(&loopback, 0, "--management-tls-port")?;
            let local = |listener| Endpoint { listener, service: Service::Local, tls: None };
            endpoints.extend(listeners.into_iter().map(local));
        }
        Ok(WebListeners { endpoints, tls: tls.cloned() })
    }
}

impl WebListeners {
    /// Serves on all of them, so many connections of each service at a time.
    pub(super) fn start(
        self,
        host: &Arc<Host>,
        config: &Config,
        amqp: &Server,
        local_token: &Secret,
        connections_max: usize,
    ) -> Web {
        let Self { endpoints, tls } = self;
        let (local, public): (Vec<_>, Vec<_>) =
            endpoints.iter().partition(|it| it.service == Service::Local);
        let local = local.first().and_then(|it| it.listener.local_addr().ok());
        let listening: Vec<Listening> = public.into_iter().filter_map(listening).collect();
        let on = |protocol: &str| -> Vec<SocketAddr> {
            let of_protocol = listening.iter().filter(|it| it.protocol == protocol);
            of_protocol.map(|it| it.address).collect()
        };
        let mut web = Web {
            management: on("http"),
            management_tls: on("https"),
            local,
            metrics: on("http/prometheus"),
            metrics_tls: on("https/prometheus"),
            server: None,
            site: None,
        };
        if endpoints.is_empty() {
            return web;
        }
        let (host, identity) = (Arc::clone(host), identity(host, config));
        let site = Site::new(host, identity, local_token.clone(), connections_max, now);
        let of_amqp = |protocol: &'static str, addresses: &[SocketAddr]| {
            let on = |&address: &SocketAddr| Listening { protocol, address };
            addresses.iter().map(on).collect::<Vec<_>>()
        };
        let plain = of_amqp("amqp", amqp.addresses());
        let encrypted = of_amqp("amqp/ssl", amqp.tls_addresses());
        site.set_listening([plain, encrypted, listening].concat(), tls);
        site.settings().on_accept(amqp.accepting());
        web.server = Some(http::Server::start(&site, endpoints));
        web.site = Some(site);
        web
    }
}

/// Whether nobody gets in without a certificate, who runs the broker included: he has none.
fn asks_for_certificates(config: &Config) -> bool {
    let options = &config.tls.options;
    options.verify == TlsVerify::Peer && options.fail_if_no_peer_cert
}

/// A socket as the API shows it.
fn listening(endpoint: &Endpoint) -> Option<Listening> {
    let address = endpoint.listener.local_addr().ok()?;
    Some(Listening { protocol: endpoint.protocol(), address })
}

fn identity(host: &Host, config: &Config) -> Identity {
    Identity {
        node: host.node_name().to_owned(),
        cluster: cluster_name(config),
        rabbitmq_version: RABBITMQ_VERSION,
        durability: config.durability.name(),
        data_dir: config.data_dir.clone().filter(|_| config.durability != Durability::None),
        disk_free_limit: config.disk_free_limit,
        consumer_timeout: config.consumer_timeout_ms,
        body_max: config.management_max_body_size,
    }
}
