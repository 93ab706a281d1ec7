//! What a broker serves over HTTP and HTTPS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{cluster_name, since_1970};
use crate::auth::Certificate;
use crate::config::{Config, Durability, Secret, TlsOptions, TlsVerify};
use crate::http::{self, Endpoint, Identity, Listening, Service, Site};
use crate::net::{Server, ServerError, listen, now};
use crate::protocol::handshake::RABBITMQ_VERSION;
use crate::session::Host;
use crate::tls::{ServerTls, TlsError};

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
}

/// What HTTPS has, by service.
#[derive(Debug, Clone)]
pub(super) struct WebTls {
    pub(super) management: Option<ServerTls>,
    pub(super) metrics: Option<ServerTls>,
}

impl WebTls {
    /// What AMQP has, `amqp`, but for services with something of their own.
    pub(super) fn load(config: &Config, amqp: Option<&ServerTls>) -> Result<Self, TlsError> {
        let load = |own: &TlsOptions| {
            if *own == TlsOptions::default() {
                return Ok(amqp.cloned());
            }
            let mut own = own.clone();
            if own.cert_file.is_none() && own.key_file.is_none() {
                let of_amqp = &config.tls.options;
                (own.cert_file, own.key_file) =
                    (of_amqp.cert_file.clone(), of_amqp.key_file.clone());
            }
            ServerTls::load(own, since_1970()).map(Some)
        };
        let web = &config.web;
        Ok(Self { management: load(&web.management_tls)?, metrics: load(&web.prometheus_tls)? })
    }

    /// Reads files again that are not AMQP's as well.
    pub(super) fn reload(&self, amqp: Option<&ServerTls>) -> Result<Option<Certificate>, TlsError> {
        let mut certificate = None;
        for own in [&self.management, &self.metrics].into_iter().flatten() {
            if amqp.is_none_or(|amqp| !amqp.is_same(own)) {
                certificate = Some(own.reload(since_1970())?);
            }
        }
        Ok(certificate)
    }
}

impl Web {
    /// Listens where the configuration says so. HTTPS is for those who have TLS.
    pub(super) fn listen<'a>(
        amqp: &'a [IpAddr],
        config: &'a Config,
        tls: &WebTls,
    ) -> Result<WebListeners, ServerError> {
        let or = |own: &'a [IpAddr], other| if own.is_empty() { other } else { own };
        let web = &config.web;
        let on = or(&config.management_bind, amqp);
        let (on_tls, metrics_on) = (or(&web.management_tls_bind, on), or(&web.prometheus_bind, on));
        let metrics_on_tls = or(&web.prometheus_tls_bind, metrics_on);
        let (management, metrics) = (config.management_port, config.prometheus_port);
        let WebTls { management: of_management, metrics: of_metrics } = tls;
        let encrypted = |port: Option<u16>, tls: &Option<ServerTls>| port.filter(|_| tls.is_some());
        let management_tls = encrypted(config.management_tls_port, of_management);
        let metrics_tls = encrypted(config.prometheus_tls_port, of_metrics);
        let (api, numbers) = (Service::Management, Service::Metrics);
        let ports = [
            (management, on, "--management-port", api, &None),
            (management_tls, on_tls, "--management-tls-port", api, of_management),
            (metrics, metrics_on, "--prometheus-port", numbers, &None),
            (metrics_tls, metrics_on_tls, "--prometheus-tls-port", numbers, of_metrics),
        ];
        let mut endpoints = Vec::new();
        for (port, addresses, flag, service, tls) in ports {
            let Some(port) = port else { continue };
            for listener in listen(addresses, port, flag)? {
                endpoints.push(Endpoint { listener, service, tls: tls.clone() });
            }
        }
        let is_closed_to_commands = match management_tls {
            None => web.for_commands,
            Some(_) => of_management.as_ref().is_some_and(asks_for_certificates),
        };
        if management.is_none() && is_closed_to_commands {
            endpoints.extend(Self::listen_for_commands());
        }
        Ok(WebListeners { endpoints })
    }

    /// Where who runs the broker gets an answer, and nobody else. Clients can do without it.
    fn listen_for_commands() -> Option<Endpoint> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        match listen(&loopback, 0, "--management-port") {
            Ok(listeners) => {
                let listener = listeners.into_iter().next()?;
                Some(Endpoint { listener, service: Service::Local, tls: None })
            }
            Err(error) => {
                tracing::warn!("commands on this machine will get no answer: {error}");
                None
            }
        }
    }
}

impl WebListeners {
    /// Serves on all of them, so many connections of each service at a time.
    pub(super) fn start(
        self,
        host: &Arc<Host>,
        config: &Config,
        amqp: (&Server, Option<&ServerTls>),
        local_token: &Secret,
        connections_max: usize,
    ) -> Web {
        let Self { endpoints } = self;
        let (amqp, amqp_tls) = amqp;
        let of_web = endpoints.iter().filter_map(|it| Some((it.protocol(), it.tls.clone()?)));
        let of_amqp = amqp_tls.map(|tls| ("amqp/ssl", tls.clone()));
        let tls = of_web.chain(of_amqp).collect();
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
fn asks_for_certificates(tls: &ServerTls) -> bool {
    let options = tls.options();
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
        path_prefix: config.web.management_path_prefix.clone(),
        metrics_path: config.web.prometheus_path.clone(),
        metrics_per_object: config.web.prometheus_per_object,
        metrics_authentication: config.web.prometheus_authentication,
    }
}
