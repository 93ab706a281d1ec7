//! What all clients of one broker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use amqp_codec::ShortString;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::{Mutex, RwLock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::access::Access;
use super::admin::NewVHosts;
use super::arrivals::{ArrivalLimits, Arrivals};
use super::departed::Departed;
use super::log_allowance::{Line, LogAllowance};
use super::pages::Pages;
use super::registry::Registry;
use super::reply_to::ReplyAddresses;
use super::stats::ChurnCounters;
use super::timers::Timers;
use crate::auth::{AccessDefinition, HashingAlgorithm, InvalidAccessDefinition};
use crate::broker::definition::{DefinitionError, Recovered};
use crate::broker::effect::Effects;
use crate::broker::memory::{Alarm, MemoryGauge};
use crate::broker::persist::Persist;
use crate::broker::queue::Queue;
use crate::broker::queue_cell::ConnectionId;
use crate::broker::time::Epoch;
use crate::broker::vhost::{VHost, VHostOptions};
use crate::config::{Capacity, CertificateLogin};
use crate::protocol::connection::Settings;
use crate::store::Store;

/// What a [`Host`] is made from.
#[derive(Debug)]
pub struct HostSettings {
    /// What every connection is told.
    pub connection: Settings,
    /// Users who may log in from this machine only.
    pub loopback_users: Vec<String>,
    /// Who a client is that logs in without a name, where that is allowed.
    pub anonymous_user: String,
    /// What of a client's certificate is its user's name.
    pub certificate_login: CertificateLogin,
    /// How many there may be of what clients make; 0 is no limit.
    pub capacity: Capacity,
    /// What new vhosts begin with.
    pub new_vhosts: NewVHosts,
    /// How new passwords are hashed.
    pub password_hashing: HashingAlgorithm,
    /// How many descriptors connections may have; 0 is no limit.
    pub descriptors_max: usize,
    /// The node's name: `rabbit@host`.
    pub node_name: String,
    /// Bytes that may wait for one consumer before it is skipped.
    pub outbox_bytes_max: usize,
    /// Where durable state goes.
    pub store: Arc<dyn Store>,
    /// What the queues of all vhosts have in common.
    pub vhost_options: VHostOptions,
    /// What was put into the store and is still there: what there is from the start.
    pub definitions: Vec<(Vec<u8>, Vec<u8>)>,
    /// What time it is: the lives of queues that were there before begin anew.
    pub now: Instant,
    /// Seeds the names that the broker makes up; `None` takes a seed from the system.
    pub seed: Option<u64>,
}

/// Why a broker does not start with what was written down.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something in a vhost.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A user, or what a user may do.
    #[error(transparent)]
    Access(#[from] InvalidAccessDefinition),
}

/// One broker's shared state: vhosts, users, the store, the memory gauge, the open connections.
#[derive(Debug)]
pub struct Host {
    pub(super) this: Weak<Self>,
    pub(super) connection: Settings,
    pub(super) access: Access,
    pub(super) anonymous_user: String,
    pub(super) certificate_login: CertificateLogin,
    pub(super) capacity: Capacity,
    pub(super) new_vhosts: NewVHosts,
    pub(super) password_hashing: HashingAlgorithm,
    pub(super) node_name: String,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) memory: Arc<MemoryGauge>,
    pub(super) pages: Pages,
    pub(super) outbox_bytes_max: usize,
    pub(super) store: Arc<dyn Store>,
    pub(super) registry: Registry,
    pub(super) churn: ChurnCounters,
    refused_logins: LogAllowance,
    pub(super) timers: Timers,
    pub(super) replies: ReplyAddresses,
    pub(super) epoch: Epoch,
    /// Read and written for one look at a time.
    pub(super) vhosts: RwLock<BTreeMap<ShortString, Arc<VHost>>>,
    /// Locked by those who hold the lock of `vhosts`, or nothing.
    pub(super) departed: Mutex<Departed>,
    pub(super) vhost_options: VHostOptions,
    /// Its lock is a leaf.
    pub(super) global_parameters: Mutex<BTreeMap<String, Value>>,
    names: Mutex<StdRng>,
    next_connection: AtomicU64,
}

impl Host {
    /// A broker without clients. The messages that its queues had come afterwards, and so does what an empty
    /// broker begins with ([`Acting::make_defaults`](super::Acting::make_defaults)).
    ///
    /// # Errors
    /// [`RestoreError`], for a definition that can't be read or can't be in force.
    pub fn new(settings: HostSettings) -> Result<Arc<Self>, RestoreError> {
        let HostSettings { connection, loopback_users, anonymous_user, store, seed, now, .. } =
            settings;
        let options = settings.vhost_options;
        let (epoch, memory) = (options.epoch, Arc::clone(&options.memory));
        let (of_access, of_broker): (Vec<_>, Vec<_>) =
            settings.definitions.into_iter().partition(|(key, _)| AccessDefinition::owns(key));
        let of_access = of_access.iter().map(|(key, value)| AccessDefinition::decode(key, value));
        let of_access = of_access.collect::<Result<_, _>>()?;
        let mut recovered = Recovered::read(of_broker)?;
        let mut in_doubt = std::mem::take(&mut recovered.in_doubt);
        let global_parameters = std::mem::take(&mut recovered.global_parameters);
        let vhosts = restore_vhosts(recovered, &store, &options, now)?;
        let host = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            connection,
            access: Access::restore(of_access, loopback_users, Arc::clone(&store)),
            anonymous_user,
            certificate_login: settings.certificate_login,
            arrivals: Arc::new(Arrivals::new(ArrivalLimits::of(
                &settings.capacity,
                settings.descriptors_max,
            ))),
            capacity: settings.capacity,
            new_vhosts: settings.new_vhosts,
            password_hashing: settings.password_hashing,
            node_name: settings.node_name,
            memory,
            pages: Pages::default(),
            outbox_bytes_max: settings.outbox_bytes_max,
            store,
            registry: Registry::default(),
            churn: ChurnCounters::default(),
            refused_logins: LogAllowance::default(),
            timers: Timers::default(),
            replies: ReplyAddresses::default(),
            epoch,
            vhosts: RwLock::new(vhosts),
            departed: Mutex::default(),
            vhost_options: options,
            global_parameters: Mutex::new(
                global_parameters.into_iter().map(|it| (it.name, it.value)).collect(),
            ),
            names: Mutex::new(
                seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64),
            ),
            next_connection: AtomicU64::new(1),
        });
        for queue in host.vhosts().iter().flat_map(|vhost| vhost.queues()) {
            let mut effects = Effects::default();
            let mut state = queue.state.lock();
            state.restore_in_doubt(in_doubt.remove(&queue.id).unwrap_or_default());
            state.declared(now, &mut effects);
            drop(state);
            host.carry_out(&queue, &mut effects, now);
        }
        let driver = Weak::clone(&host.this);
        host.vhost_options.events.open(move || {
            if let Some(host) = driver.upgrade() {
                host.timers.wake();
            }
        });
        // Their queues are gone.
        in_doubt.into_keys().for_each(|queue| Queue::forget_in_doubt(queue, &*host.store));
        Ok(host)
    }

    /// All clients are gone, and the broker is about to be: what is known of every delivery is written down.
    pub fn rest(&self) {
        let queues = self.vhosts().into_iter().flat_map(|vhost| vhost.queues());
        queues.for_each(|queue| queue.state.lock().rest());
    }

    /// The vhost of this name, if there is one.
    pub fn vhost(&self, name: &ShortString) -> Option<Arc<VHost>> {
        self.vhosts.read().get(name).map(Arc::clone)
    }

    /// All vhosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<VHost>> {
        self.vhosts.read().values().map(Arc::clone).collect()
    }

    /// Who is connected, and from where: to be asked before anything is read of a client.
    pub fn arrivals(&self) -> &Arc<Arrivals> {
        &self.arrivals
    }

    /// Whether a refused login gets a line in the log now, over AMQP or HTTP: who guesses passwords is not to fill
    /// a disk.
    pub fn refused_login_line(&self, now: Instant) -> Option<Line> {
        self.refused_logins.take(now)
    }

    /// Its name among nodes: `rabbit@host`.
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    /// What ties its clock to the calendar.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Bytes of message memory in use.
    pub fn memory_used(&self) -> usize {
        self.memory.used()
    }

    pub(super) fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// A name that nobody else has: the prefix and 22 characters of base64url, as RabbitMQ's.
    pub(super) fn unique_name(&self, prefix: &str) -> ShortString {
        let bytes: [u8; 16] = self.random();
        ShortString::truncated(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Octets that nobody can guess.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.names.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// Counts message memory; the publisher asks [`MemoryGauge::is_alarmed`] afterwards.
    pub(super) fn use_memory(&self, bytes: usize) {
        self.tell_memory_alarm(self.memory.add(bytes));
        self.note_memory();
    }

    /// Bytes of message memory above which publishers wait; 0: never.
    pub fn memory_limit(&self) -> usize {
        self.memory.limit()
    }

    /// Another limit, from now on: publishers are held back or let go at once.
    pub fn set_memory_limit(&self, bytes: usize) {
        self.tell_memory_alarm(self.memory.set_limit(bytes));
    }

    /// Free bytes on the disk below which publishers wait from now on.
    pub fn set_disk_free_limit(&self, bytes: u64) {
        self.store.set_disk_free_limit(bytes);
    }

    fn tell_memory_alarm(&self, alarm: Alarm) {
        match alarm {
            Alarm::Unchanged => {}
            Alarm::Raised => {
                tracing::warn!(
                    used = self.memory.used(),
                    "memory high watermark reached: publishers are blocked until consumers catch up"
                );
                self.tell_alarm("alarm.set", "memory");
            }
            Alarm::Cleared => {
                tracing::info!(used = self.memory.used(), "memory alarm cleared: publishers go on");
                self.tell_alarm("alarm.cleared", "memory");
                self.registry.unblock_all();
            }
        }
    }

    /// The disk is low, or no more.
    pub fn disk_alarm(&self, is_low: bool) {
        self.tell_alarm(if is_low { "alarm.set" } else { "alarm.cleared" }, "disk");
    }

    /// The store has room again: publishers that waited for it go on.
    pub fn store_relieved(&self) {
        self.registry.unblock_all();
    }

    /// Why publishers are to wait, in RabbitMQ's words; `None` if they need not.
    pub(super) fn alarm(&self) -> Option<&'static str> {
        match (self.memory.is_alarmed(), self.store.is_disk_low()) {
            (false, false) => None,
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (true, true) => Some("low on memory & disk"),
        }
    }

    /// Whether publishers are to wait, be it for a moment.
    pub(super) fn holds_publishers(&self) -> bool {
        self.alarm().is_some() || self.store.is_congested()
    }

    /// Gives message memory back, and wakes the publishers that waited for it.
    pub(super) fn free_memory(&self, bytes: usize) {
        self.tell_memory_alarm(self.memory.release(bytes));
    }
}

/// The vhosts that were there before.
fn restore_vhosts(
    recovered: Recovered,
    store: &Arc<dyn Store>,
    options: &VHostOptions,
    now: Instant,
) -> Result<BTreeMap<ShortString, Arc<VHost>>, DefinitionError> {
    let Recovered { vhosts: definitions, mut seen, .. } = recovered;
    let mut vhosts = BTreeMap::new();
    for (name, definitions) in definitions {
        let persist: Arc<dyn Persist> = Arc::<dyn Store>::clone(store);
        let vhost = VHost::new(name.clone(), persist, options.clone());
        vhost.restore(definitions, &mut seen, now)?;
        vhosts.insert(name, Arc::new(vhost));
    }
    seen.into_stored_keys().for_each(|key| store.remove(key));
    Ok(vhosts)
}
