//! A running broker: what the `leveret` command starts, and what a test embeds.

mod administration;
mod descriptors;
mod new_vhosts;
mod web;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqp_codec::ShortString;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use self::descriptors::Descriptors;
use self::web::{Web, WebTls};
use crate::auth::{Certificate, HashingAlgorithm, Permissions};
use crate::broker::census::Census;
use crate::broker::effect::Position;
use crate::broker::memory::MemoryGauge;
use crate::broker::parameter::GlobalParameter;
use crate::broker::policy::QueueKind;
use crate::broker::policy::{EffectiveDefinition, Policy, PolicyError};
use crate::broker::queue::{QueueCounts, Restored, ScheduledMessage, Totals, Window};
use crate::broker::queue_cell::{QueueCell, QueueId, QueueIds};
use crate::broker::queue_settings::{QueueDefaults, TimeoutAction};
use crate::broker::vhost::{VHost, VHostOptions};
use crate::config::{
    Config, ConsumerTimeoutAction, DefaultQueueType, Durability, LogLevel, PasswordHashing, Secret,
};
use crate::net::{Listeners, Server, ServerError, TlsListener, epoch, now, since_1970};
use crate::protocol::connection::Settings;
use crate::protocol::handshake::Limits;
use crate::session::{
    AdminError, DEFINITION_PREFIXES, Defaults, Definitions, Host, HostSettings, NewVHosts,
    RestoreError, definition_document,
};
use crate::store::log::LogOptions;
use crate::store::{
    self, CheckpointRule, DurableOptions, DurableStore, MemoryStore, Recovered, SnapshotForm,
    Store, StoreError,
};
use crate::tls::{Fingerprint, ServerTls, TlsError};

/// A running broker. Dropping it stops it: sockets close, and everything it held is gone.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let broker = leveret::Broker::builder().start().await?;
/// println!("connect to {}", broker.uri());
/// broker.stop().await;
/// # Ok::<(), leveret::StartError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Broker {
    server: Server,
    web: Web,
    host: Arc<Host>,
    config: Config,
    durable: Option<Arc<DurableStore>>,
    /// What makes an administrator of whoever sends it to the management API from this machine.
    local_token: Secret,
    /// Why its store can't go on. It serves nobody then.
    failure: Arc<watch::Sender<Option<Arc<StoreError>>>>,
    tls: Option<ServerTls>,
    web_tls: WebTls,
}

/// Configures a [`Broker`] for a test: on this machine only, on any free port, in memory.
#[derive(Debug, Clone)]
pub struct BrokerBuilder {
    config: Config,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Where durable state is to lie was not said.
    #[error("there is no data directory; choose one with --data-dir, or --durability none")]
    NoDataDir,
    /// TLS is not possible with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody could connect.
    #[error(
        "there is nothing to listen on: port is none, and without tls_cert_file and tls_key_file there is \
         no TLS"
    )]
    NoListener,
    /// HTTPS is asked for.
    #[error("{key} is set, and without tls_cert_file and tls_key_file there is no TLS")]
    NoCertificate {
        /// The key that asks for it.
        key: &'static str,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of `load_definitions` can't be read, or what is in it can't be in force.
    #[error("load_definitions: {path}: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A queue of `queues` can't be declared.
    #[error("queues: '{queue}': {reason}")]
    Queue {
        /// The queue.
        queue: String,
        /// What is wrong.
        reason: AdminError,
    },
    /// The default user or vhost can't be.
    #[error("default_user or default_vhost: {0}; choose another name")]
    Defaults(#[from] AdminError),
    /// What new vhosts are to begin with.
    #[error("{key}: {reason}")]
    NewVHosts {
        /// RabbitMQ's key for it.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// What an earlier process stored makes no sense.
    #[error(transparent)]
    Definition(#[from] RestoreError),
}

impl Broker {
    /// Configures a broker for a test.
    pub fn builder() -> BrokerBuilder {
        let bind = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let durability = Durability::None;
        let no_web = Config { management_port: None, prometheus_port: None, ..Config::default() };
        BrokerBuilder { config: Config { bind, port: 0, durability, ..no_web } }
    }

    /// Starts a broker. Once this returns every listener accepts.
    ///
    /// # Errors
    /// [`StartError`], and nothing listens.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let tls = load_tls(&config)?;
        let web_tls = WebTls::load(&config, tls.as_ref())?;
        needs_no_tls(&config, tls.as_ref(), &web_tls)?;
        let descriptors = Descriptors::of_process(&config);
        let Opened { store, durable, recovered } = open_store(&config, descriptors.segments)?;
        let Recovered { values, queues, first_free } = recovered;
        let new_vhosts = new_vhosts::of(&config)?;
        let settings = host_settings(&config, store, values, first_free);
        let descriptors_max = descriptors.clients;
        let host = Host::new(HostSettings { new_vhosts, descriptors_max, ..settings })?;
        if let Some(durable) = &durable {
            restore(&host, durable, queues)?;
        }
        begin(&host, &config)?;
        declare_queues(&host, &config)?;
        let every_interface = [IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let addresses = if config.bind.is_empty() { &every_interface[..] } else { &config.bind };
        let web = Web::listen(addresses, &config, &web_tls)?;
        let listeners = Listeners {
            addresses,
            port: config.plain_listener.then_some(config.port),
            tls: tls.clone().map(|tls| TlsListener {
                port: config.tls.port,
                tls,
                handshake_timeout: config.handshake_timeout,
            }),
        };
        let server = Server::start(listeners, &host)?;
        let local_token =
            Secret::new(format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
        let web =
            web.start(&host, &config, (&server, tls.as_ref()), &local_token, descriptors.http);
        let failure = Arc::new(watch::Sender::new(None));
        if let Some(durable) = &durable {
            let (end, failure) = (server.end(), Arc::clone(&failure));
            durable.on_failure(move |error| {
                // What it can't promise it does not do.
                end();
                failure.send_replace(Some(error));
            });
        }
        Ok(Self { server, web, host, config, durable, local_token, failure, tls, web_tls })
    }

    /// Where it listens for AMQP.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Where it listens for AMQP over TLS.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        self.server.tls_addresses()
    }

    /// Reads the files of TLS again, for the connections to come; those that are open keep what they have.
    /// Tells the server's certificate; `None` where TLS is off.
    ///
    /// # Errors
    /// [`TlsError`], and what was in force stays so.
    pub fn reload_tls(&self) -> Result<Option<Certificate>, TlsError> {
        let tls = self.tls.as_ref();
        let of_web = self.web_tls.reload(tls)?;
        Ok(tls.map(|tls| tls.reload(since_1970())).transpose()?.or(of_web))
    }

    /// What stands before each path of the management API; empty if nothing does.
    #[must_use]
    pub fn management_path_prefix(&self) -> &str {
        &self.config.web.management_path_prefix
    }

    /// The SHA-256 of the certificate that the management API shows; none without TLS.
    #[must_use]
    pub fn tls_fingerprint(&self) -> Option<Fingerprint> {
        self.web_tls.management.as_ref().map(ServerTls::fingerprint)
    }

    /// Its AMQP port.
    pub fn port(&self) -> u16 {
        self.server.addresses().first().map_or(self.config.port, SocketAddr::port)
    }

    /// The port of its management HTTP API, if it has one.
    pub fn management_port(&self) -> Option<u16> {
        self.web.management.first().map(SocketAddr::port)
    }

    /// What makes an administrator of whoever sends it to the management API from this machine, as
    /// `Authorization: Bearer TOKEN`. Another one with each start.
    pub fn local_token(&self) -> &Secret {
        &self.local_token
    }

    /// Tells who can change the level of the log, and what it is, for administrators who ask for another one.
    pub fn on_log_level(&self, level: LogLevel, set: impl Fn(LogLevel) + Send + Sync + 'static) {
        if let Some(site) = &self.web.site {
            site.settings().on_log_level(level, set);
        }
    }

    /// Where who runs the broker reaches its management API over HTTP, with [`Broker::local_token`], and nobody else:
    /// where there is only HTTPS and clients need a certificate, or none at all for others.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.web.local
    }

    /// Where it listens for management over HTTP.
    pub fn management_addresses(&self) -> &[SocketAddr] {
        &self.web.management
    }

    /// Where it listens for management over HTTPS.
    pub fn management_tls_addresses(&self) -> &[SocketAddr] {
        &self.web.management_tls
    }

    /// The port of its metrics for Prometheus, if it has one.
    pub fn prometheus_port(&self) -> Option<u16> {
        self.web.metrics.first().map(SocketAddr::port)
    }

    /// Where it listens for Prometheus.
    pub fn prometheus_addresses(&self) -> &[SocketAddr] {
        &self.web.metrics
    }

    /// Where it listens for Prometheus over HTTPS.
    pub fn prometheus_tls_addresses(&self) -> &[SocketAddr] {
        &self.web.metrics_tls
    }

    /// The URI for clients on this machine, with the default user and vhost.
    pub fn uri(&self) -> String {
        let Config { default_user, default_pass, default_vhost, .. } = &self.config;
        let local = self.server.addresses().first().map(SocketAddr::ip);
        let host = match local {
            Some(ip) if !ip.is_unspecified() => SocketAddr::new(ip, self.port()).to_string(),
            _ => format!("localhost:{}", self.port()),
        };
        format!(
            "amqp://{}:{}@{host}/{}",
            percent_encoded(default_user),
            percent_encoded(default_pass.expose()),
            percent_encoded(default_vhost)
        )
    }

    /// Sets a policy in a vhost, in the place of the one with its name. Queues and exchanges that are there
    /// follow before this returns.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use leveret::{ApplyTo, Broker, Policy};
    ///
    /// let broker = Broker::builder().start().await?;
    /// // What no binding of an order exchange takes goes to the exchange `unrouted`.
    /// let policy = Policy::new("unrouted", "^orders\\.", [("alternate-exchange", "unrouted")])?;
    /// broker.set_policy("/", policy.with_apply_to(ApplyTo::Exchanges))?;
    /// // However a queue is declared, it holds at most 10,000 messages.
    /// broker.set_operator_policy("/", Policy::new("bounded", "", [("max-length", 10_000)])?)?;
    /// assert_eq!(broker.policies("/")?.len(), 1);
    /// assert!(broker.delete_policy("/", "unrouted")?);
    /// # broker.stop().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::VHostNotFound`].
    pub fn set_policy(&self, vhost: &str, policy: Policy) -> Result<(), PolicyError> {
        self.host.acting_by_itself().set_policy(&*self.vhost(vhost)?, policy, now());
        Ok(())
    }

    /// Deletes a policy; `false` where there is none of this name.
    ///
    /// # Errors
    /// [`PolicyError::VHostNotFound`].
    pub fn delete_policy(&self, vhost: &str, name: &str) -> Result<bool, PolicyError> {
        Ok(self.host.acting_by_itself().delete_policy(&*self.vhost(vhost)?, name, now()))
    }

    /// The policies of a vhost, from the strongest to the weakest.
    ///
    /// # Errors
    /// [`PolicyError::VHostNotFound`].
    pub fn policies(&self, vhost: &str) -> Result<Vec<Arc<Policy>>, PolicyError> {
        Ok(self.vhost(vhost)?.policies())
    }

    /// Sets an operator policy: limits that neither arguments nor policies can exceed.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKeys`] for keys that only a policy can set, [`PolicyError::VHostNotFound`].
    pub fn set_operator_policy(&self, vhost: &str, policy: Policy) -> Result<(), PolicyError> {
        self.host.acting_by_itself().set_operator_policy(&*self.vhost(vhost)?, policy, now())
    }

    /// Deletes an operator policy; `false` where there is none of this name.
    ///
    /// # Errors
    /// [`PolicyError::VHostNotFound`].
    pub fn delete_operator_policy(&self, vhost: &str, name: &str) -> Result<bool, PolicyError> {
        Ok(self.host.acting_by_itself().delete_operator_policy(&*self.vhost(vhost)?, name, now()))
    }

    /// The operator policies of a vhost, from the strongest to the weakest.
    ///
    /// # Errors
    /// [`PolicyError::VHostNotFound`].
    pub fn operator_policies(&self, vhost: &str) -> Result<Vec<Arc<Policy>>, PolicyError> {
        Ok(self.vhost(vhost)?.operator_policies())
    }

    /// The policies that are in force for a queue, and what they come to; `None` where there is no such
    /// queue.
    pub fn queue_policies(&self, vhost: &str, queue: &str) -> Option<EffectiveDefinition> {
        Some(self.queue(vhost, queue)?.effective_definition())
    }

    /// How many messages and consumers a queue has, exact at the moment of the call; `None` where
    /// there is no such queue.
    pub fn queue_counts(&self, vhost: &str, queue: &str) -> Option<QueueCounts> {
        Some(self.queue(vhost, queue)?.state.lock().counts())
    }

    /// What became of a queue's messages so far; `None` where there is no such queue.
    pub fn queue_totals(&self, vhost: &str, queue: &str) -> Option<Totals> {
        Some(self.queue(vhost, queue)?.state.lock().totals())
    }

    /// The messages of a queue that wait for their time (published with a delay, or to be tried
    /// again), the first to come first, `max` of them at most; `None` where there is no such queue.
    pub fn scheduled(&self, vhost: &str, queue: &str, max: usize) -> Option<Vec<ScheduledMessage>> {
        Some(self.queue(vhost, queue)?.state.lock().scheduled(max))
    }

    /// Drops a message that waits for its time; `false` where there is none at this position.
    pub fn cancel_scheduled(&self, vhost: &str, queue: &str, position: Position) -> bool {
        let Some(queue) = self.queue(vhost, queue) else { return false };
        self.host.cancel_scheduled(&queue, position, now())
    }

    fn queue(&self, vhost: &str, name: &str) -> Option<Arc<QueueCell>> {
        self.vhost(vhost).ok()?.queue(&ShortString::new(name).ok()?).ok()
    }

    fn vhost(&self, name: &str) -> Result<Arc<VHost>, PolicyError> {
        let found = ShortString::new(name).ok().and_then(|name| self.host.vhost(&name));
        found.ok_or_else(|| PolicyError::VHostNotFound(name.to_owned()))
    }

    /// What its clients share: for looking at it from a test.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Stops it gracefully: clients are told (320) and given a few seconds to take it in.
    pub async fn stop(self) {
        // What there is to say was said in the log.
        let _ = self.close().await;
    }

    /// Stops it as [`Broker::stop`] does, and tells whether all that was to last is on the disk.
    ///
    /// # Errors
    /// What the disk said. What was confirmed is safe all the same.
    pub async fn close(self) -> Result<(), Arc<StoreError>> {
        if let Some(server) = self.web.server {
            server.stop().await;
        }
        self.server.stop().await;
        self.host.rest();
        let Some(durable) = self.durable else { return Ok(()) };
        // A thread that panicked has failed the store.
        tokio::task::spawn_blocking(move || durable.close()).await.unwrap_or(Ok(()))
    }

    /// Returns when the broker can't keep its promises any more, because its disk failed. Never, for one
    /// that keeps nothing.
    pub async fn failed(&self) -> Arc<StoreError> {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.map(|error| error.clone());
        match failed {
            Ok(Some(error)) => error,
            _ => std::future::pending().await,
        }
    }
}

impl BrokerBuilder {
    /// Replaces the whole configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Changes the configuration in place.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The port; 0 is any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// Has a management HTTP API; port 0 is any free one.
    #[must_use]
    pub fn management_port(mut self, port: u16) -> Self {
        self.config.management_port = Some(port);
        self
    }

    /// Has metrics for Prometheus; port 0 is any free one.
    #[must_use]
    pub fn prometheus_port(mut self, port: u16) -> Self {
        self.config.prometheus_port = Some(port);
        self
    }

    /// Starts the broker.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start(self) -> Result<Broker, StartError> {
        Broker::start(self.config).await
    }
}

/// Whether what is asked for can be without TLS.
fn needs_no_tls(config: &Config, amqp: Option<&ServerTls>, web: &WebTls) -> Result<(), StartError> {
    let encrypted = [
        ("management_tls_port", config.management_tls_port, &web.management),
        ("prometheus_tls_port", config.prometheus_tls_port, &web.metrics),
    ];
    let lacks = encrypted.into_iter().find(|(_, port, tls)| port.is_some() && tls.is_none());
    if let Some((key, ..)) = lacks {
        return Err(StartError::NoCertificate { key });
    }
    if config.plain_listener || amqp.is_some() { Ok(()) } else { Err(StartError::NoListener) }
}

/// TLS, if there is to be any.
fn load_tls(config: &Config) -> Result<Option<ServerTls>, TlsError> {
    let options = &config.tls.options;
    if options.cert_file.is_none() && options.key_file.is_none() {
        return Ok(None);
    }
    ServerTls::load(options.clone(), since_1970()).map(Some)
}

/// Where durable state goes, and what was there.
struct Opened {
    store: Arc<dyn Store>,
    durable: Option<Arc<DurableStore>>,
    recovered: Recovered,
}

/// Opens it; so many segments are kept open to be read.
fn open_store(config: &Config, open_max: usize) -> Result<Opened, StartError> {
    let durability = match config.durability {
        Durability::Fsync => store::Durability::Fsync,
        Durability::Os => store::Durability::Os,
        Durability::None => {
            let (store, recovered) = (Arc::new(MemoryStore), Recovered::default());
            return Ok(Opened { store, durable: None, recovered });
        }
    };
    let dir = config.data_dir.as_deref().ok_or(StartError::NoDataDir)?;
    let mut log = LogOptions { open_max, ..LogOptions::default() };
    if durability == store::Durability::Os {
        log.ahead_bytes = 0;
    }
    let options = DurableOptions {
        durability,
        disk_free_limit: config.disk_free_limit,
        checkpoint: CheckpointRule::default(),
        log,
        clock: now,
    };
    let (store, recovered) = DurableStore::open(dir, options)?;
    store.keep_snapshot(
        dir,
        SnapshotForm { prefixes: &DEFINITION_PREFIXES, readable: definition_document },
    );
    let durable = Arc::new(store);
    let store: Arc<dyn Store> = Arc::<DurableStore>::clone(&durable);
    Ok(Opened { store, durable: Some(durable), recovered })
}

/// Gives queues back what an earlier process left in them.
fn restore(
    host: &Arc<Host>,
    durable: &Arc<DurableStore>,
    queues: Vec<(QueueId, Restored)>,
) -> Result<(), StoreError> {
    let of_relief = Arc::downgrade(host);
    durable.on_relief(move || {
        if let Some(host) = of_relief.upgrade() {
            host.store_relieved();
        }
    });
    let of_alarm = Arc::downgrade(host);
    durable.on_disk_alarm(move |is_low| {
        if let Some(host) = of_alarm.upgrade() {
            host.disk_alarm(is_low);
        }
    });
    host.restore(queues, &|queue, wanted| durable.page(queue, wanted), now())
}

/// The parameter that has the hash of definitions from a file, in RabbitMQ as well.
const IMPORTED_HASH: &str = "imported_definition_hash_value";

/// What there is besides what was there: definitions from a file, or what an empty broker begins with.
fn begin(host: &Host, config: &Config) -> Result<(), StartError> {
    let Config { default_user, default_pass, default_vhost, load_definitions, .. } = config;
    let [configure, write, read] = &config.default_permissions;
    let permissions = Permissions::new(configure, write, read).map_err(AdminError::from)?;
    let defaults = Defaults {
        tags: config.default_user_tags.iter().map(String::as_str).collect(),
        permissions,
        ..Defaults::new(default_user, default_pass.expose(), default_vhost)
    };
    let Some(path) = load_definitions else {
        return Ok(host.acting_by_itself().make_defaults(defaults)?);
    };
    let refused = |file: &Path, reason: &dyn std::fmt::Display| {
        let (path, reason) = (file.display().to_string(), reason.to_string());
        StartError::Load { path, reason }
    };
    let mut together = Map::new();
    let files = definition_files(path).map_err(|error| refused(path, &error))?;
    let is_alone = files.len() == 1;
    let mut hash = config.load_definitions_if_changed.then(Sha256::new);
    for file in files {
        let text = std::fs::read(&file).map_err(|error| refused(&file, &error))?;
        if let Some(hash) = &mut hash {
            hash.update(&text);
        }
        let document = serde_json::from_slice(&text).map_err(|error| refused(&file, &error))?;
        // Of several, what is wrong with one is said of that one.
        if !is_alone {
            Definitions::read(&document).map_err(|error| refused(&file, &error))?;
        }
        add_definitions(&mut together, document);
    }
    let imported = hash.map(|hash| GlobalParameter {
        name: IMPORTED_HASH.to_owned(),
        value: BASE64.encode(hash.finalize()).into(),
    });
    if let Some(imported) = &imported
        && host.global_parameter(IMPORTED_HASH).is_some_and(|before| before.value == imported.value)
    {
        tracing::info!("definitions of {} are the same as before, and left out", path.display());
        return Ok(());
    }
    let definitions = Definitions::read(&Value::Object(together));
    let definitions = definitions.map_err(|error| refused(path, &error))?;
    host.acting_by_itself()
        .begin_with(definitions, defaults, now())
        .map_err(|error| refused(path, &error))?;
    if let Some(imported) = imported {
        host.acting_by_itself().put_global_parameter(imported);
    }
    tracing::info!("definitions of {} are in force", path.display());
    Ok(())
}

/// Declares what the configuration lists and is not there.
fn declare_queues(host: &Host, config: &Config) -> Result<(), StartError> {
    let Config { queues, default_vhost, .. } = config;
    for queue in queues {
        host.acting_by_itself()
            .declare_durable_queue(default_vhost, queue, now())
            .map_err(|reason| StartError::Queue { queue: queue.clone(), reason })?;
    }
    Ok(())
}

/// Adds what another document has to what one has: lists grow, and of anything else the last counts.
fn add_definitions(together: &mut Map<String, Value>, document: Value) {
    let Value::Object(document) = document else { return };
    for (key, value) in document {
        match (together.get_mut(&key), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (_, value) => {
                together.insert(key, value);
            }
        }
    }
}

/// The file, or all that are in the directory, by name.
fn definition_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}

/// What the configuration calls the node, and what is missing of it as RabbitMQ has it: `rabbit@` and the first
/// part of this machine's name.
fn node_name(config: &Config) -> String {
    let name = if config.node_name.is_empty() { "rabbit" } else { &config.node_name };
    if name.contains('@') {
        return name.to_owned();
    }
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{name}@{}", host.split('.').next().unwrap_or(&host))
}

fn cluster_name(config: &Config) -> String {
    match config.cluster_name.is_empty() {
        true => node_name(config),
        false => config.cluster_name.clone(),
    }
}

fn host_settings(
    config: &Config,
    store: Arc<dyn Store>,
    definitions: Vec<(Vec<u8>, Vec<u8>)>,
    first_free: QueueId,
) -> HostSettings {
    HostSettings {
        connection: Settings {
            limits: Limits {
                channel_max: config.channel_max,
                frame_max: config.frame_max,
                heartbeat: config.heartbeat_seconds,
            },
            body_max: config.max_message_size,
            anonymous: config.allow_anonymous,
            external: false,
            handshake_timeout: config.handshake_timeout,
            cluster_name: cluster_name(config),
            durability: config.durability.name(),
        },
        loopback_users: config.loopback_users.clone(),
        anonymous_user: config.default_user.clone(),
        certificate_login: config.tls.login_from,
        capacity: config.capacity,
        new_vhosts: NewVHosts::default(),
        password_hashing: match config.password_hashing {
            PasswordHashing::Sha256 => HashingAlgorithm::Sha256,
            PasswordHashing::Sha512 => HashingAlgorithm::Sha512,
        },
        descriptors_max: 0,
        node_name: node_name(config),
        outbox_bytes_max: config.consumer_outbox_bytes,
        store,
        vhost_options: VHostOptions {
            epoch: epoch(),
            memory: Arc::new(MemoryGauge::new(
                usize::try_from(config.memory_high_watermark_bytes).unwrap_or(usize::MAX),
            )),
            window: Window::WIDE,
            queue_ids: Arc::new(QueueIds::starting_at(first_free.0)),
            events: Arc::default(),
            census: Arc::new(Census::with_limits(
                config.capacity.queues,
                config.capacity.exchanges,
            )),
            queue_defaults: QueueDefaults {
                consumer_timeout: Some(config.consumer_timeout_ms).filter(|&timeout| timeout > 0),
                timeout_action: match config.consumer_timeout_action {
                    ConsumerTimeoutAction::Requeue => TimeoutAction::Requeue,
                    ConsumerTimeoutAction::CloseChannel => TimeoutAction::CloseChannel,
                    ConsumerTimeoutAction::Cancel => TimeoutAction::Cancel,
                },
            },
            default_queue_type: match config.default_queue_type {
                DefaultQueueType::Classic => QueueKind::Classic,
                DefaultQueueType::Quorum => QueueKind::Quorum,
            },
        },
        definitions,
        now: now(),
        seed: None,
    }
}

/// A user, password or vhost as part of a URI.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
