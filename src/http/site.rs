//! What all requests share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::admission::Admission;
use super::rates::Rates;
use super::server::Service;
use super::settings::Settings;
use crate::broker::time::Timestamp;
use crate::config::Secret;
use crate::session::Host;
use crate::tls::ServerTls;

/// What a broker is, for those who ask.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node's name: `rabbit@host`.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// The version of RabbitMQ whose behaviour is the default.
    pub rabbitmq_version: &'static str,
    /// What a confirm means: `fsync`, `os` or `none`.
    pub durability: &'static str,
    /// Where durable state lies, if anywhere.
    pub data_dir: Option<PathBuf>,
    /// Free bytes on the disk below which publishers wait, as configured.
    pub disk_free_limit: u64,
    /// How long a consumer may take, in milliseconds; 0 is for ever.
    pub consumer_timeout: u64,
    /// Bytes in the body of a request that publishes or imports definitions.
    pub body_max: usize,
}

/// A port that the broker listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// `amqp`, `amqp/ssl`, `http`, `https`, `http/prometheus` or `https/prometheus`, as RabbitMQ names them.
    pub protocol: &'static str,
    /// The address.
    pub address: std::net::SocketAddr,
}

impl Listening {
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.protocol, "amqp/ssl" | "https" | "https/prometheus")
    }
}

/// What all requests share: the broker, and what is remembered for rates.
#[derive(Debug)]
pub struct Site {
    host: Arc<Host>,
    clock: fn() -> Instant,
    identity: Identity,
    started: Instant,
    rates: Rates,
    logins: Logins,
    listening: OnceLock<Vec<Listening>>,
    tls: OnceLock<ServerTls>,
    local_token: Secret,
    settings: Settings,
    /// Who fills one of them keeps nobody out of the other.
    places: Places,
}

/// The places of each service.
#[derive(Debug)]
struct Places {
    management: Admission,
    metrics: Admission,
}

impl Site {
    /// A site for a broker that starts now. Each service has so many connections at a time.
    pub fn new(
        host: Arc<Host>,
        identity: Identity,
        local_token: Secret,
        connections_max: usize,
        clock: fn() -> Instant,
    ) -> Arc<Self> {
        let started = clock();
        let rates = Rates::new(started);
        let settings = Settings::new(identity.disk_free_limit);
        let places = || Admission::new(connections_max);
        let places = Places { management: places(), metrics: places() };
        Arc::new(Self {
            host,
            clock,
            identity,
            started,
            rates,
            logins: Logins::default(),
            listening: OnceLock::new(),
            tls: OnceLock::new(),
            local_token,
            settings,
            places,
        })
    }

    /// Tells where the broker listens, once that is known, and what it has for TLS.
    pub fn set_listening(&self, listening: Vec<Listening>, tls: Option<ServerTls>) {
        // It is said once, by whoever started the listeners.
        let _ = self.listening.set(listening);
        if let Some(tls) = tls {
            let _ = self.tls.set(tls);
        }
    }

    /// What all listeners have that speak TLS.
    pub(super) fn tls(&self) -> Option<&ServerTls> {
        self.tls.get()
    }

    /// What can be changed while the broker runs.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who may be connected to a service.
    pub(super) fn admission(&self, service: Service) -> &Admission {
        match service {
            Service::Management | Service::Local => &self.places.management,
            Service::Metrics => &self.places.metrics,
        }
    }

    pub(super) fn listening(&self) -> &[Listening] {
        self.listening.get().map_or(&[], Vec::as_slice)
    }

    /// What makes an administrator of whoever sends it from this machine.
    pub(super) fn local_token(&self) -> &Secret {
        &self.local_token
    }

    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn node(&self) -> &str {
        &self.identity.node
    }

    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Milliseconds since the start.
    pub(super) fn uptime(&self) -> u64 {
        let elapsed = self.now().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn started(&self) -> Timestamp {
        self.host.epoch().timestamp(self.started)
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.logins
    }
}

/// Logins over HTTP.
#[derive(Debug, Default)]
pub(super) struct Logins {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Logins {
    pub(super) fn succeeded(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that succeeded, and those that failed.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

impl Site {
    /// Returns once all that was changed before will last.
    pub(super) async fn durable(&self) {
        let (done, waiting) = tokio::sync::oneshot::channel();
        self.host.when_durable(move || {
            // Whoever asked may have gone.
            let _ = done.send(());
        });
        // A store that failed ends the broker; nobody is told then that anything lasts.
        if waiting.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
