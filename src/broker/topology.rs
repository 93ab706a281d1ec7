//! The exchanges of a vhost and the bindings between them and its queues.
//!
//! Plain state; [`VHost`](super::vhost::VHost) keeps it behind a lock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::{FieldTable, ShortString};
use foldhash::fast::RandomState;

use super::binding::{Binding, BindingId, BindingKey, Destination};
use super::census::Census;
use super::deduplication::KeptKey;
use super::definition::{Definition, DefinitionWriter, ExchangeDefinition};
use super::error::{BrokerError, Resource, ResourceKind, assert_equal, assert_equal_arg};
use super::event_log::{self, EVENT_EXCHANGE, EVENT_VHOST, EventLog};
use super::exchange::{Exchange, ExchangeKind, ExchangeProperties, HistoryMemory};
use super::policy::{AppliedPolicies, Policies};
use super::queue_cell::{QueueCell, QueueId};

/// The exchanges that every vhost has, and their types.
const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    ("amq.rabbitmq.trace", ExchangeKind::Topic),
];

/// Exchanges and bindings.
#[derive(Debug)]
pub struct Topology {
    vhost: ShortString,
    history_memory: Arc<HistoryMemory>,
    exchanges: HashMap<ShortString, Exchange, RandomState>,
    bindings: Vec<Option<Bound>>,
    free: Vec<BindingId>,
    to_queue: HashMap<QueueId, HashSet<BindingId>>,
    to_exchange: HashMap<ShortString, HashSet<BindingId>, RandomState>,
    policies: Policies,
    definitions: DefinitionWriter,
    events: Arc<EventLog>,
    census: Arc<Census>,
    /// Its vhost is being deleted: nothing comes any more.
    closed: bool,
}

/// A binding that is there.
#[derive(Debug)]
struct Bound {
    binding: Binding,
    /// Both its ends outlive the process, and so does it.
    durable: bool,
}

impl Topology {
    /// The predeclared exchanges and nothing else. What comes and goes is written down.
    pub(super) fn new(
        vhost: ShortString,
        definitions: DefinitionWriter,
        events: Arc<EventLog>,
        census: Arc<Census>,
    ) -> Self {
        let mut exchanges = HashMap::<_, _, RandomState>::default();
        let history_memory = Arc::default();
        for (name, kind) in predeclared_in(&vhost) {
            let properties = predeclared_properties(name, kind);
            let name = ShortString::truncated(name);
            let policies = AppliedPolicies::default();
            let exchange = Exchange::new(&name, properties, policies, &history_memory);
            exchanges.insert(name, exchange.expect("these types take no arguments"));
        }
        census.exchanges.add(exchanges.len());
        Self {
            vhost,
            history_memory,
            exchanges,
            bindings: Vec::new(),
            free: Vec::new(),
            to_queue: HashMap::new(),
            to_exchange: HashMap::default(),
            policies: Policies::default(),
            definitions,
            events,
            census,
            closed: false,
        }
    }

    /// Nothing is declared from now on.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Nothing is written down from now on: what there was is gone.
    pub(super) fn close_definitions(&mut self) {
        self.definitions.close();
        self.census.exchanges.remove(self.exchanges.len());
    }

    /// # Errors
    /// 530, once the vhost is being deleted.
    pub(super) fn check_open(&self) -> Result<(), BrokerError> {
        if self.closed { Err(BrokerError::VHostNotFound(self.vhost.clone())) } else { Ok(()) }
    }

    /// Removes all exchanges and bindings; the predeclared ones stay, without bindings.
    pub(super) fn clear(&mut self, by: &str) {
        let names: Vec<ShortString> = self.exchanges.keys().cloned().collect();
        names
            .iter()
            .filter(|name| !is_reserved(name))
            .for_each(|name| self.remove_exchange(name, by));
        let left = 0..u32::try_from(self.bindings.len()).unwrap_or(u32::MAX);
        left.for_each(|id| self.remove_binding(BindingId(id), by));
    }

    /// All exchanges, in no particular order.
    pub fn exchanges(&self) -> impl Iterator<Item = (&ShortString, &Exchange)> {
        self.exchanges.iter()
    }

    /// All bindings, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().flatten().map(|bound| &bound.binding)
    }

    /// Where what comes and goes is written down.
    pub(super) fn definitions(&self) -> &DefinitionWriter {
        &self.definitions
    }

    /// The policies of the vhost. They are kept here so that nothing is declared while they change.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Puts other policies in force for every exchange; `true` where that changes routes.
    pub fn set_policies(&mut self, policies: Policies) -> bool {
        let mut changed = false;
        for (name, exchange) in &mut self.exchanges {
            changed |= exchange.apply_policies(policies.for_exchange(name.as_bytes()));
        }
        self.policies = policies;
        changed
    }

    /// How error texts name an exchange.
    pub fn resource(&self, name: &ShortString) -> Resource {
        Resource { kind: ResourceKind::Exchange, name: name.clone(), vhost: self.vhost.clone() }
    }

    /// The exchange of this name.
    ///
    /// # Errors
    /// 404, where there is none.
    pub fn exchange(&self, name: &ShortString) -> Result<&Exchange, BrokerError> {
        self.exchanges.get(name).ok_or_else(|| BrokerError::NotFound(self.resource(name)))
    }

    /// The exchange of this name, if there is one.
    pub fn find(&self, name: &ShortString) -> Option<&Exchange> {
        self.exchanges.get(name)
    }

    /// The bindings that lead to a queue.
    pub fn bindings_to_queue(&self, queue: QueueId) -> impl Iterator<Item = &Binding> {
        self.to_queue.get(&queue).into_iter().flatten().filter_map(|id| self.binding(*id))
    }

    /// The bindings that lead to an exchange.
    pub fn bindings_to_exchange(&self, name: &ShortString) -> impl Iterator<Item = &Binding> {
        self.to_exchange.get(name).into_iter().flatten().filter_map(|id| self.binding(*id))
    }

    /// The binding of this number.
    pub fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.bindings.get(id.0 as usize)?.as_ref().map(|bound| &bound.binding)
    }

    /// Declares an exchange; `true` if it is new.
    ///
    /// # Errors
    /// 403 for the default exchange and reserved names, 406 where it exists with other properties or
    /// an argument is wrong.
    pub fn declare(
        &mut self,
        name: &ShortString,
        properties: ExchangeProperties,
        by: &str,
    ) -> Result<bool, BrokerError> {
        check_not_default(name)?;
        self.check_open()?;
        if let Some(existing) = self.exchanges.get(name) {
            self.assert_equivalent(name, &properties, &existing.properties)?;
            return Ok(false);
        }
        if is_reserved(name) {
            let name = name.clone();
            return Err(BrokerError::ReservedName { kind: ResourceKind::Exchange, name });
        }
        properties.check_alternate(&self.resource(name))?;
        let limit_reached = |limit| {
            let exchange = self.resource(name);
            BrokerError::ExchangeLimit { exchange, limit }
        };
        self.census.exchanges.admit().map_err(limit_reached)?;
        if let Err(error) = self.insert_exchange(name, properties) {
            self.census.exchanges.remove(1);
            return Err(error);
        }
        if let Some(exchange) = self.exchanges.get(name) {
            let properties = &exchange.properties;
            if properties.durable {
                self.definitions.put(|| exchange_definition(name, properties.clone()));
            }
            let headers = || event_log::exchange_created(&self.vhost, name, exchange, by);
            self.events.emit("exchange.created", headers);
        }
        Ok(true)
    }

    /// Adds an exchange of an earlier process, which is written down already.
    ///
    /// # Errors
    /// 406, for an argument that its type can't take.
    pub(super) fn restore_exchange(
        &mut self,
        name: &ShortString,
        properties: ExchangeProperties,
        seen: Vec<KeptKey>,
        now: Instant,
    ) -> Result<(), BrokerError> {
        let census = Arc::clone(&self.census);
        let exchange = self.insert_exchange(name, properties)?;
        census.exchanges.add(1);
        if let Some(window) = exchange.deduplication_window() {
            window.lock().restore(seen, now);
        }
        Ok(())
    }

    fn insert_exchange(
        &mut self,
        name: &ShortString,
        properties: ExchangeProperties,
    ) -> Result<&Exchange, BrokerError> {
        let policies = self.policies.for_exchange(name.as_bytes());
        let exchange = Exchange::new(name, properties, policies, &self.history_memory);
        let exchange = exchange.map_err(|error| error.refusing(self.resource(name)))?;
        if let Some(window) = exchange.deduplication_window()
            && exchange.keeps_what_it_saw()
            && let Some(kept) = self.definitions.seen_by_exchange(name)
        {
            window.lock().keep(kept);
        }
        Ok(self.exchanges.entry(name.clone()).insert_entry(exchange).into_mut())
    }

    /// Bytes that the recent-history exchanges hold.
    pub fn history_memory(&self) -> &Arc<HistoryMemory> {
        &self.history_memory
    }

    /// In RabbitMQ's order, so that the same difference is named first.
    fn assert_equivalent(
        &self,
        name: &ShortString,
        received: &ExchangeProperties,
        current: &ExchangeProperties,
    ) -> Result<(), BrokerError> {
        let resource = self.resource(name);
        assert_equal(&resource, "type", &received.kind, &current.kind)?;
        assert_equal(&resource, "durable", &received.durable, &current.durable)?;
        assert_equal(&resource, "auto_delete", &received.auto_delete, &current.auto_delete)?;
        assert_equal(&resource, "internal", &received.internal, &current.internal)?;
        let argument = "alternate-exchange";
        let (received, current) =
            (received.arguments.get(argument), current.arguments.get(argument));
        assert_equal_arg(&resource, argument, received, current)
    }

    /// Deletes an exchange and every binding from and to it; a missing one is fine. `true` if it was
    /// there.
    ///
    /// # Errors
    /// 403 for the default and the predeclared exchanges, 406 if `if_unused` and bindings lead from it.
    pub fn delete(
        &mut self,
        name: &ShortString,
        if_unused: bool,
        by: &str,
    ) -> Result<bool, BrokerError> {
        check_not_default(name)?;
        if is_reserved(name) {
            return Err(BrokerError::SystemExchange(self.resource(name)));
        }
        match self.exchanges.get(name) {
            None => Ok(false),
            Some(exchange) if if_unused && exchange.has_bindings() => {
                Err(BrokerError::InUse(self.resource(name)))
            }
            Some(_) => {
                self.remove_exchange(name, by);
                Ok(true)
            }
        }
    }

    /// Adds a binding; `true` if it is new.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for a missing source or destination exchange, 406 for
    /// a binding that the source can't take.
    pub fn bind(&mut self, binding: Binding, by: &str) -> Result<bool, BrokerError> {
        self.check_open()?;
        let Some(id) = self.insert_binding(binding)? else { return Ok(false) };
        if let Some(Bound { binding, durable }) = &self.bindings[id.0 as usize] {
            if *durable {
                self.definitions.put(|| binding.into());
            }
            let headers = || event_log::binding_headers(&self.vhost, binding, by);
            self.events.emit("binding.created", headers);
        }
        Ok(true)
    }

    /// Adds a binding of an earlier process, which is written down already; `false` if it is there.
    ///
    /// # Errors
    /// As [`Topology::bind`].
    pub(super) fn restore_binding(&mut self, binding: Binding) -> Result<bool, BrokerError> {
        self.insert_binding(binding).map(|id| id.is_some())
    }

    /// Adds a binding; its number, if it is new.
    fn insert_binding(&mut self, binding: Binding) -> Result<Option<BindingId>, BrokerError> {
        self.check_ends(&binding.source, &binding.destination)?;
        let key = BindingKey::new(&binding.destination, &binding.routing_key, &binding.arguments);
        let Some(source) = self.exchanges.get_mut(&binding.source) else {
            return Err(BrokerError::NotFound(self.resource(&binding.source)));
        };
        if source.binding(&key).is_some() {
            return Ok(None);
        }
        let from_durable = source.properties.durable;
        let id = self.free.pop().unwrap_or_else(|| {
            self.bindings.push(None);
            let last = u32::try_from(self.bindings.len() - 1);
            BindingId(last.expect("fewer than 2^32 bindings fit in memory"))
        });
        if let Err(error) = source.bind(key, &binding, id) {
            self.free.push(id);
            return Err(error);
        }
        let to_durable = match &binding.destination {
            Destination::Queue(queue) => {
                self.to_queue.entry(queue.id).or_default().insert(id);
                queue.is_written_down()
            }
            Destination::Exchange(name) => {
                self.to_exchange.entry(name.clone()).or_default().insert(id);
                self.exchanges.get(name).is_some_and(|exchange| exchange.properties.durable)
            }
        };
        let durable = from_durable && to_durable;
        self.events.bound(&self.vhost, &binding);
        self.bindings[id.0 as usize] = Some(Bound { binding, durable });
        Ok(Some(id))
    }

    /// Removes a binding; `true` if it was there. What is missing is no error.
    ///
    /// # Errors
    /// 403 for the default exchange.
    pub fn unbind(
        &mut self,
        source: &ShortString,
        destination: &Destination,
        routing_key: &ShortString,
        arguments: &FieldTable,
        by: &str,
    ) -> Result<bool, BrokerError> {
        check_not_default(source)?;
        if let Destination::Exchange(name) = destination {
            check_not_default(name)?;
        }
        let key = BindingKey::new(destination, routing_key, arguments);
        let Some(id) = self.exchanges.get(source).and_then(|exchange| exchange.binding(&key))
        else {
            return Ok(false);
        };
        self.remove_binding(id, by);
        Ok(true)
    }

    /// Removes every binding that leads to a queue.
    pub fn unbind_queue(&mut self, queue: &Arc<QueueCell>, by: &str) {
        for id in self.to_queue.remove(&queue.id).unwrap_or_default() {
            self.remove_binding(id, by);
        }
    }

    fn check_ends(
        &self,
        source: &ShortString,
        destination: &Destination,
    ) -> Result<(), BrokerError> {
        check_not_default(source)?;
        if let Destination::Exchange(name) = destination {
            check_not_default(name)?;
            self.exchange(source)?;
            self.exchange(name)?;
        }
        Ok(())
    }

    /// Takes a binding out of every index; an auto-delete exchange goes with its last one.
    fn remove_binding(&mut self, id: BindingId, by: &str) {
        let Some(Bound { binding, durable }) = self.bindings[id.0 as usize].take() else { return };
        self.free.push(id);
        if durable {
            self.definitions.remove(|| (&binding).into());
        }
        let headers = || event_log::binding_headers(&self.vhost, &binding, by);
        self.events.emit("binding.deleted", headers);
        self.events.unbound(&self.vhost, &binding);
        match &binding.destination {
            Destination::Queue(queue) => forget(&mut self.to_queue, &queue.id, id),
            Destination::Exchange(name) => forget(&mut self.to_exchange, name, id),
        }
        let Some(source) = self.exchanges.get_mut(&binding.source) else { return };
        let key = BindingKey::new(&binding.destination, &binding.routing_key, &binding.arguments);
        source.unbind(&key, &binding, id);
        if source.properties.auto_delete && !source.has_bindings() {
            self.remove_exchange(&binding.source, by);
        }
    }

    /// The exchange is taken out first, so that a cycle of auto-delete exchanges comes to an end.
    fn remove_exchange(&mut self, name: &ShortString, by: &str) {
        let Some(exchange) = self.exchanges.remove(name) else { return };
        self.census.exchanges.remove(1);
        if let Some(window) = exchange.deduplication_window() {
            window.lock().clear();
        }
        let from: Vec<BindingId> = exchange.binding_ids().collect();
        let to = self.to_exchange.remove(name).unwrap_or_default();
        for id in from.into_iter().chain(to) {
            self.remove_binding(id, by);
        }
        self.events.emit("exchange.deleted", || event_log::deleted(&self.vhost, name, by));
        if exchange.properties.durable {
            self.definitions.remove(|| exchange_definition(name, exchange.properties));
        }
    }
}

fn exchange_definition(name: &ShortString, properties: ExchangeProperties) -> Definition {
    Definition::Exchange(ExchangeDefinition { name: name.clone(), properties })
}

fn forget<K: Eq + std::hash::Hash, S: std::hash::BuildHasher>(
    index: &mut HashMap<K, HashSet<BindingId>, S>,
    key: &K,
    id: BindingId,
) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// The exchanges that a vhost has without being asked, and their types.
fn predeclared_in(
    vhost: &ShortString,
) -> impl Iterator<Item = (&'static str, ExchangeKind)> + use<> {
    let has_events = vhost.as_bytes() == EVENT_VHOST.as_bytes();
    let of_events = has_events.then_some((EVENT_EXCHANGE, ExchangeKind::Topic));
    PREDECLARED.into_iter().chain(of_events)
}

fn predeclared_properties(name: &str, kind: ExchangeKind) -> ExchangeProperties {
    ExchangeProperties {
        kind,
        durable: true,
        auto_delete: false,
        internal: name.starts_with("amq.rabbitmq."),
        arguments: FieldTable::default(),
    }
}

/// What an exchange is that a vhost of this name has without being asked; none for all others.
pub fn predeclared(vhost: &ShortString, name: &ShortString) -> Option<ExchangeProperties> {
    let found = predeclared_in(vhost).find(|(found, _)| found.as_bytes() == name.as_bytes());
    found.map(|(name, kind)| predeclared_properties(name, kind))
}

/// Names that begin with `amq.` are the broker's own.
pub(crate) fn is_reserved(name: &ShortString) -> bool {
    name.as_bytes().starts_with(b"amq.")
}

/// # Errors
/// 403: the default exchange is not for declaring, deleting or binding.
pub(crate) fn check_not_default(name: &ShortString) -> Result<(), BrokerError> {
    if name.is_empty() { Err(BrokerError::DefaultExchange) } else { Ok(()) }
}
