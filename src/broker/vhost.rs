//! A virtual host: names, and what they name.

mod end;
mod listing;
mod metadata;
mod parameters;
mod policies;
mod report;
mod restore;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use amqp_codec::{FieldTable, ShortString};
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

pub use self::metadata::VHostMetadata;
use self::parameters::VHostSettings;
pub use self::policies::QueueEffects;
pub use self::report::ExchangeReport;
use super::binding::{Binding, BindingKey, Destination};
use super::census::Census;
use super::definition::{Definition, DefinitionWriter};
use super::effect::Effects;
use super::error::{BrokerError, Resource, ResourceKind, assert_equal, assert_equal_arg};
use super::event_log::{self, EventLog};
use super::exchange::ExchangeProperties;
use super::memory::MemoryGauge;
use super::persist::Persist;
use super::policy::QueueKind;
use super::queue::{Queue, QueueOptions, Window};
use super::queue_arguments;
use super::queue_cell::{ConnectionId, QueueCell, QueueId, QueueIds, QueueProperties};
use super::queue_settings::{QueueDefaults, QueueSettings};
use super::replay::{Replay, replay};
use super::requester::{INTERNAL_USER, Requester};
use super::routing::{Publication, QueueSet, Route, Router, each_once, has_durable};
use super::time::Epoch;
use super::topology::{Topology, is_reserved};
use super::traffic::{ExchangeTraffic, VHostTraffic};

/// The exchanges, queues and bindings of one virtual host.
///
/// Everything that changes names happens under the topology's write lock; the map of queues is read
/// without it. No queue's lock is taken while the topology is locked, except to delete it.
#[derive(Debug)]
pub struct VHost {
    name: ShortString,
    topology: RwLock<Topology>,
    settings: RwLock<VHostSettings>,
    /// What the metadata say, for a look at every message.
    traced: AtomicBool,
    /// Held while policies change, so that what is in force everywhere in the end is what was set last.
    policy_change: Mutex<()>,
    queues: DashMap<ShortString, Arc<QueueCell>, RandomState>,
    store: Arc<dyn Persist>,
    options: VHostOptions,
    /// Changes with everything that could change a route, so that routes can be remembered.
    version: AtomicU64,
    traffic: VHostTraffic,
    /// Of the default exchange.
    default_traffic: Arc<ExchangeTraffic>,
    /// Those of the queue that was declared last. A leaf.
    last_settings: Mutex<Option<Arc<QueueSettings>>>,
}

/// When `queue.delete` is to refuse.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteConditions {
    /// Only a queue without consumers.
    pub if_unused: bool,
    /// Only a queue without messages.
    pub if_empty: bool,
    /// Only a queue that nobody used for as long as it may live unused by then.
    pub if_expired: Option<Instant>,
}

/// What all queues of a vhost have in common.
#[derive(Debug, Clone)]
pub struct VHostOptions {
    /// What ties times to the calendar.
    pub epoch: Epoch,
    /// What holds for queues that say nothing.
    pub queue_defaults: QueueDefaults,
    /// The type of queues that are declared without one, where they can be of that type.
    pub default_queue_type: QueueKind,
    /// Counts the bytes of all messages in memory.
    pub memory: Arc<MemoryGauge>,
    /// How much of each queue is kept in memory, where a store takes the rest.
    pub window: Window,
    /// Numbers the queues of all vhosts.
    pub queue_ids: Arc<QueueIds>,
    /// Is told what happens.
    pub events: Arc<EventLog>,
    /// Counts what all vhosts have.
    pub census: Arc<Census>,
}

impl VHostOptions {
    /// Nothing is decided for queues: they are classic, and consumers may take their time.
    pub fn new(epoch: Epoch) -> Self {
        let queue_defaults = QueueDefaults::default();
        Self {
            epoch,
            queue_defaults,
            default_queue_type: QueueKind::Classic,
            memory: Arc::default(),
            window: Window::WIDE,
            queue_ids: Arc::default(),
            events: Arc::default(),
            census: Arc::default(),
        }
    }
}

impl VHost {
    /// A vhost with the predeclared exchanges.
    pub fn new(name: ShortString, store: Arc<dyn Persist>, options: VHostOptions) -> Self {
        let definitions = DefinitionWriter::new(name.clone(), options.epoch, Arc::clone(&store));
        let (events, census) = (Arc::clone(&options.events), Arc::clone(&options.census));
        let topology = Topology::new(name.clone(), definitions, events, census);
        Self {
            topology: RwLock::new(topology),
            settings: RwLock::default(),
            traced: AtomicBool::new(false),
            policy_change: Mutex::new(()),
            name,
            queues: DashMap::default(),
            store,
            options,
            version: AtomicU64::new(0),
            traffic: VHostTraffic::default(),
            default_traffic: Arc::default(),
            last_settings: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ShortString {
        &self.name
    }

    /// The number of the present topology. A route holds as long as this does.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// All queues, in no particular order. Cost: one clone of a pointer each.
    pub fn queues(&self) -> Vec<Arc<QueueCell>> {
        self.queues.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// The queue of this name.
    ///
    /// # Errors
    /// 404, where there is none.
    pub fn queue(&self, name: &ShortString) -> Result<Arc<QueueCell>, BrokerError> {
        self.find_queue(name.as_bytes())
            .ok_or_else(|| BrokerError::NotFound(self.resource(ResourceKind::Queue, name)))
    }

    /// Declares a queue; `created` tells whether it is new.
    ///
    /// # Errors
    /// 403 for reserved names, 405 for another connection's exclusive queue, 406 where it exists with
    /// other properties or where an argument is wrong.
    pub fn declare_queue<'r>(
        &self,
        name: &ShortString,
        mut properties: QueueProperties,
        by: impl Into<Requester<'r>>,
        now: Instant,
    ) -> Result<Arc<QueueCell>, BrokerError> {
        Self::check_queue_name(name)?;
        properties.set_default_type(self.default_queue_type());
        self.declare_named(name, properties, by, now)
    }

    /// Checks that a queue may have this name.
    ///
    /// # Errors
    /// 403, for the reserved ones.
    pub fn check_queue_name(name: &ShortString) -> Result<(), BrokerError> {
        if !is_reserved(name) {
            return Ok(());
        }
        Err(BrokerError::ReservedName { kind: ResourceKind::Queue, name: name.clone() })
    }

    /// Declares a queue under a name of the broker's own making, which is classic whatever the vhost's
    /// default type.
    ///
    /// # Errors
    /// As [`VHost::declare_queue`], but for the reserved names.
    pub fn declare_named<'r>(
        &self,
        name: &ShortString,
        properties: QueueProperties,
        by: impl Into<Requester<'r>>,
        now: Instant,
    ) -> Result<Arc<QueueCell>, BrokerError> {
        let by = by.into();
        let topology = self.topology.write();
        if let Some(queue) = self.find_queue(name.as_bytes()) {
            Self::assert_equivalent(&queue, &properties, by.connection)?;
            self.traffic.queue_declared(false);
            return Ok(queue);
        }
        topology.check_open()?;
        self.check_room(name)?;
        properties.check(&self.resource(ResourceKind::Queue, name))?;
        let counted = self.options.census.queues.admit();
        counted.map_err(|limit| BrokerError::ClusterQueueLimit { name: name.clone(), limit })?;
        let id = self.options.queue_ids.next();
        let queue = self.new_queue(&topology, (name.clone(), id), properties, now);
        if queue.is_written_down() {
            // Before anybody can find it: of messages in it, its definition is known.
            topology.definitions().put(|| Definition::from(&*queue));
        }
        self.queues.insert(name.clone(), Arc::clone(&queue));
        self.traffic.queue_declared(true);
        self.changed();
        self.options.events.emit("queue.created", || event_log::queue_created(&queue, by.user));
        Ok(queue)
    }

    /// Nobody declares a queue meanwhile: the topology is locked.
    fn check_room(&self, name: &ShortString) -> Result<(), BrokerError> {
        match self.limits().queues() {
            Some(limit) if self.queues.len() as u64 >= limit => {
                let (name, vhost) = (name.clone(), self.name.clone());
                Err(BrokerError::QueueLimit { name, vhost, limit })
            }
            _ => Ok(()),
        }
    }

    /// A queue with nothing in it, as it is before anybody can find it.
    fn new_queue(
        &self,
        topology: &Topology,
        (name, id): (ShortString, QueueId),
        properties: QueueProperties,
        now: Instant,
    ) -> Arc<QueueCell> {
        let policies = topology.policies().for_queue(name.as_bytes(), properties.kind());
        let sources = policies.sources(&properties.arguments);
        let options = QueueOptions {
            auto_delete: properties.auto_delete,
            settings: self.shared(QueueSettings::new(&sources, &self.options.queue_defaults)),
            epoch: self.options.epoch,
            memory: Arc::clone(&self.options.memory),
            window: self.options.window,
        };
        let mut state = Queue::new(options, now);
        if self.store.keeps_messages() {
            let durable = properties.is_written_down();
            state = state.stored(id, Arc::clone(&self.store), durable);
        }
        Arc::new(QueueCell {
            id,
            name,
            vhost: self.name.clone(),
            policies: Mutex::new(policies),
            state: Mutex::new(state),
            properties,
        })
    }

    /// The same settings as those of the queue before, if they are alike: most queues of a vhost are.
    fn shared(&self, settings: QueueSettings) -> Arc<QueueSettings> {
        let mut last = self.last_settings.lock();
        match &*last {
            Some(last) if **last == settings => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(settings))),
        }
    }

    /// In RabbitMQ's order, so that the same difference is named first.
    fn assert_equivalent(
        queue: &QueueCell,
        received: &QueueProperties,
        connection: ConnectionId,
    ) -> Result<(), BrokerError> {
        queue.check_access(connection)?;
        let (resource, current) = (queue.resource(), &queue.properties);
        if received.owner != current.owner {
            return Err(BrokerError::Locked(resource));
        }
        assert_equal(&resource, "durable", &received.durable, &current.durable)?;
        assert_equal(&resource, "auto_delete", &received.auto_delete, &current.auto_delete)?;
        for &argument in queue_arguments::COMPARED {
            let (received, current) =
                (received.arguments.get(argument), current.arguments.get(argument));
            if queue_arguments::is_default(argument, received)
                && queue_arguments::is_default(argument, current)
            {
                continue;
            }
            assert_equal_arg(&resource, argument, received, current)?;
        }
        Ok(())
    }

    /// Deletes a queue with its messages and bindings; how many messages were ready.
    ///
    /// # Errors
    /// 405 for another connection's exclusive queue, 406 where a condition does not hold.
    pub fn delete_queue<'r>(
        &self,
        queue: &Arc<QueueCell>,
        conditions: DeleteConditions,
        by: impl Into<Requester<'r>>,
        out: &mut Effects,
    ) -> Result<usize, BrokerError> {
        let by = by.into();
        queue.check_access(by.connection)?;
        self.delete_for(queue, conditions, by.user, out)
    }

    /// As [`VHost::delete_queue`], whoever it belongs to.
    ///
    /// # Errors
    /// 406 where a condition does not hold.
    pub fn delete_for(
        &self,
        queue: &Arc<QueueCell>,
        conditions: DeleteConditions,
        by: &str,
        out: &mut Effects,
    ) -> Result<usize, BrokerError> {
        let mut topology = self.topology.write();
        let count = {
            let mut state = queue.state.lock();
            let counts = state.counts();
            // In RabbitMQ's order: where neither holds, it names the messages.
            if conditions.if_empty && counts.ready > 0 {
                return Err(BrokerError::NotEmpty(queue.resource()));
            }
            if conditions.if_unused && counts.consumers > 0 {
                return Err(BrokerError::InUse(queue.resource()));
            }
            if conditions.if_expired.is_some_and(|now| !state.is_expired(now)) {
                return Err(BrokerError::InUse(queue.resource()));
            }
            if state.is_deleted() {
                return Ok(0);
            }
            let count = state.delete(out);
            self.traffic.queue_deleted(queue.kind(), &state.totals());
            count
        };
        if self.queues.remove_if(&queue.name, |_, current| current.id == queue.id).is_some() {
            self.options.census.queues.remove(1);
        }
        // By nobody in particular, as RabbitMQ has it.
        topology.unbind_queue(queue, INTERNAL_USER);
        if queue.is_written_down() {
            topology.definitions().remove(|| Definition::from(&**queue));
        }
        self.changed();
        let headers = || event_log::deleted(&self.name, &queue.name, by);
        self.options.events.emit("queue.deleted", headers);
        Ok(count)
    }

    /// Declares an exchange.
    ///
    /// # Errors
    /// As [`Topology::declare`].
    pub fn declare_exchange(
        &self,
        name: &ShortString,
        properties: ExchangeProperties,
        by: &str,
    ) -> Result<(), BrokerError> {
        if self.topology.write().declare(name, properties, by)? {
            self.changed();
        }
        Ok(())
    }

    /// Checks that an exchange exists, as a passive declaration does.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for a missing one.
    pub fn check_exchange(&self, name: &ShortString) -> Result<(), BrokerError> {
        super::topology::check_not_default(name)?;
        self.topology.read().exchange(name).map(|_| ())
    }

    /// Checks that an exchange is not one that always is there.
    ///
    /// # Errors
    /// 403 for the default exchange and for the predeclared ones.
    pub fn check_deletable(&self, name: &ShortString) -> Result<(), BrokerError> {
        super::topology::check_not_default(name)?;
        if is_reserved(name) {
            return Err(BrokerError::SystemExchange(self.resource(ResourceKind::Exchange, name)));
        }
        Ok(())
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As [`Topology::delete`].
    pub fn delete_exchange(
        &self,
        name: &ShortString,
        if_unused: bool,
        by: &str,
    ) -> Result<(), BrokerError> {
        if self.topology.write().delete(name, if_unused, by)? {
            self.changed();
        }
        Ok(())
    }

    /// Adds a binding. The destination is named: a queue deleted meanwhile is a 404, not a loose end.
    /// What comes back is for the caller to enqueue: what a recent-history exchange gives to those
    /// who are new to it.
    ///
    /// # Errors
    /// As [`Topology::bind`], and 405 for another connection's exclusive queue.
    pub fn bind<'r>(
        &self,
        binding: Binding,
        by: impl Into<Requester<'r>>,
        now: Instant,
    ) -> Result<Vec<Replay>, BrokerError> {
        let by = by.into();
        let mut topology = self.topology.write();
        if let Destination::Queue(queue) = &binding.destination {
            super::topology::check_not_default(&binding.source)?;
            topology.exchange(&binding.source)?;
            if self.find_queue(queue.name.as_bytes()).is_none_or(|found| found.id != queue.id) {
                return Err(BrokerError::NotFound(queue.resource()));
            }
            queue.check_access(by.connection)?;
        }
        let source = topology.find(&binding.source);
        let history = source.and_then(|exchange| exchange.history()).cloned();
        let destination = history.is_some().then(|| binding.destination.clone());
        if !topology.bind(binding, by.user)? {
            return Ok(Vec::new());
        }
        self.changed();
        let (Some(history), Some(destination)) = (history, destination) else {
            return Ok(Vec::new());
        };
        let replays = replay(&topology, &history, &destination, now);
        drop(topology);
        Ok(replays.into_iter().map(Replay::counted_anew).collect())
    }

    /// Whether there is this binding.
    pub fn has_binding(
        &self,
        source: &ShortString,
        destination: &Destination,
        routing_key: &ShortString,
        arguments: &FieldTable,
    ) -> bool {
        let key = BindingKey::new(destination, routing_key, arguments);
        let topology = self.topology.read();
        topology.find(source).and_then(|exchange| exchange.binding(&key)).is_some()
    }

    /// Removes a binding; a missing one is fine.
    ///
    /// # Errors
    /// As [`Topology::unbind`].
    pub fn unbind(
        &self,
        source: &ShortString,
        destination: &Destination,
        routing_key: &ShortString,
        arguments: &FieldTable,
        by: &str,
    ) -> Result<(), BrokerError> {
        if self.topology.write().unbind(source, destination, routing_key, arguments, by)? {
            self.changed();
        }
        Ok(())
    }

    /// Finds the queues for a message; [`Router`] keeps the buffers.
    ///
    /// # Errors
    /// 404 for a missing exchange, 403 for an internal one.
    pub fn route(
        &self,
        router: &mut Router,
        publication: &Publication<'_>,
    ) -> Result<Route, BrokerError> {
        self.check_target(publication.exchange)?;
        Ok(self.route_as_broker(router, publication))
    }

    /// As [`VHost::route`], to internal exchanges too; one that does not exist leads nowhere.
    pub fn route_as_broker(&self, router: &mut Router, publication: &Publication<'_>) -> Route {
        let version = self.version();
        let &Publication { exchange, routing_keys, .. } = publication;
        if exchange.is_empty() {
            let found = routing_keys.iter().filter_map(|key| self.find_queue(key));
            let mut queues: QueueSet = found.collect();
            each_once(&mut queues);
            let by_key_alone = routing_keys.len() <= 1;
            let durable = has_durable(&queues);
            let traffic = Some(Arc::clone(&self.default_traffic));
            return Route { queues, version, by_key_alone, durable, traffic, ..Route::default() };
        }
        router.walk(&self.topology.read(), publication, version)
    }

    /// Whether messages can be published to an exchange, without looking for their route: that may
    /// leave a mark on a deduplication exchange.
    ///
    /// # Errors
    /// As [`VHost::route`].
    pub fn check_target(&self, exchange: &ShortString) -> Result<(), BrokerError> {
        if exchange.is_empty() { Ok(()) } else { check_target(&self.topology.read(), exchange) }
    }

    /// Bytes that the recent-history exchanges hold, beside what queues do.
    pub fn history_memory(&self) -> usize {
        self.topology.read().history_memory().used()
    }

    /// How error texts name something in this vhost.
    pub fn resource(&self, kind: ResourceKind, name: &ShortString) -> Resource {
        Resource { kind, name: name.clone(), vhost: self.name.clone() }
    }

    fn find_queue(&self, name: &[u8]) -> Option<Arc<QueueCell>> {
        self.queues.get(name).map(|entry| Arc::clone(entry.value()))
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

fn check_target(topology: &Topology, exchange: &ShortString) -> Result<(), BrokerError> {
    if topology.exchange(exchange)?.properties.internal {
        return Err(BrokerError::InternalExchange(topology.resource(exchange)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
