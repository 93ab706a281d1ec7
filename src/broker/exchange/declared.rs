//! A declared exchange: its properties, and the bindings that lead from it.

use std::collections::HashMap;
use std::sync::Arc;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::consistent_hash::weight;
use super::delayed_message::delayed_type;
use super::local_random::check_ends;
use super::matcher::Matcher;
use super::{ExchangeKind, HeadersMatcher, History, HistoryMemory, InvalidArgument, Verdict};
use crate::broker::binding::{Binding, BindingId, BindingKey};
use crate::broker::deduplication::DeduplicationWindow;
use crate::broker::definition::BindingDefinition;
use crate::broker::effective::Sources;
use crate::broker::error::{BrokerError, Resource};
use crate::broker::policy::{AppliedPolicies, QueueKind};
use crate::broker::routing::Publication;
use crate::broker::traffic::ExchangeTraffic;

/// What an exchange is declared with.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeProperties {
    /// Its routing rule.
    pub kind: ExchangeKind,
    /// It survives a restart.
    pub durable: bool,
    /// It goes when its last binding does.
    pub auto_delete: bool,
    /// Clients can't publish to it; other exchanges can.
    pub internal: bool,
    /// The arguments, as they came.
    pub arguments: FieldTable,
}

impl ExchangeProperties {
    /// Checks what a new exchange is declared with.
    ///
    /// # Errors
    /// 406, for an argument that exchanges of its type can't have.
    pub fn check(&self, resource: &Resource) -> Result<(), BrokerError> {
        self.check_alternate(resource)?;
        let made = Matcher::new(&resource.name, self.kind, &self.arguments, &Arc::default());
        made.map(drop).map_err(|error| error.refusing(resource.clone()))
    }

    /// # Errors
    /// 406, for an `alternate-exchange` that is no name.
    pub(in crate::broker) fn check_alternate(
        &self,
        resource: &Resource,
    ) -> Result<(), BrokerError> {
        let (arg, resource) = ("alternate-exchange", resource.clone());
        match self.arguments.get(arg) {
            None | Some(FieldValue::LongString(_)) => Ok(()),
            Some(other) => {
                let type_name = other.type_name();
                Err(BrokerError::InvalidArgType { type_name, arg, resource })
            }
        }
    }

    /// Checks a binding that is to lead from such an exchange: to a queue of this type, or to an exchange.
    ///
    /// # Errors
    /// 406, for a binding that exchanges of its type can't take.
    pub fn check_binding(
        &self,
        binding: &BindingDefinition,
        queue: Option<QueueKind>,
    ) -> Result<(), BrokerError> {
        let kind = match self.kind {
            ExchangeKind::DelayedMessage => delayed_type(&self.arguments)?,
            kind => kind,
        };
        match kind {
            ExchangeKind::Headers => {
                HeadersMatcher::default().insert(&binding.arguments, BindingId(0))?;
            }
            ExchangeKind::ConsistentHash => {
                weight(binding.routing_key.as_bytes())?;
            }
            ExchangeKind::LocalRandom => check_ends(&binding.routing_key, queue)?,
            _ => {}
        }
        Ok(())
    }
}

/// A declared exchange and the bindings that lead from it.
#[derive(Debug)]
pub struct Exchange {
    /// What it was declared with.
    pub properties: ExchangeProperties,
    /// Where messages go that no binding takes.
    pub alternate: Option<ShortString>,
    policies: AppliedPolicies,
    traffic: Arc<ExchangeTraffic>,
    bindings: HashMap<BindingKey, BindingId, RandomState>,
    matcher: Matcher,
}

impl Exchange {
    /// An exchange without bindings.
    ///
    /// # Errors
    /// [`InvalidArgument`] (406), for arguments that its type can't take.
    pub fn new(
        name: &ShortString,
        properties: ExchangeProperties,
        policies: AppliedPolicies,
        memory: &Arc<HistoryMemory>,
    ) -> Result<Self, InvalidArgument> {
        let matcher = Matcher::new(name, properties.kind, &properties.arguments, memory)?;
        let alternate = alternate(&policies.sources(&properties.arguments));
        let (traffic, bindings) = (Arc::default(), HashMap::default());
        Ok(Self { properties, alternate, policies, traffic, bindings, matcher })
    }

    /// The policies that are in force for it.
    pub fn policies(&self) -> &AppliedPolicies {
        &self.policies
    }

    /// Puts other policies in force; `true` where that changes routes.
    pub fn apply_policies(&mut self, policies: AppliedPolicies) -> bool {
        let alternate = alternate(&policies.sources(&self.properties.arguments));
        self.policies = policies;
        let changed = alternate != self.alternate;
        self.alternate = alternate;
        changed
    }

    /// What clients published to it.
    pub fn traffic(&self) -> &Arc<ExchangeTraffic> {
        &self.traffic
    }

    /// Whether any binding leads from it.
    pub fn has_bindings(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// The binding with this key, if there is one.
    pub fn binding(&self, key: &BindingKey) -> Option<BindingId> {
        self.bindings.get(key).copied()
    }

    /// All bindings that lead from it, in no particular order.
    pub fn binding_ids(&self) -> impl Iterator<Item = BindingId> + '_ {
        self.bindings.values().copied()
    }

    /// Adds a binding that is not there yet.
    ///
    /// # Errors
    /// 406, for a binding that its type can't take.
    pub fn bind(
        &mut self,
        key: BindingKey,
        binding: &Binding,
        id: BindingId,
    ) -> Result<(), BrokerError> {
        self.matcher.insert(binding, id)?;
        self.bindings.insert(key, id);
        Ok(())
    }

    /// Removes a binding.
    pub fn unbind(&mut self, key: &BindingKey, binding: &Binding, id: BindingId) {
        if self.bindings.remove(key).is_some() {
            self.matcher.remove(binding, id);
        }
    }

    /// Visits the bindings that a message matches with any of its routing keys; one that matches
    /// with several may be visited for each.
    #[inline]
    pub fn matches(
        &self,
        publication: &Publication<'_>,
        visit: &mut impl FnMut(BindingId),
    ) -> Verdict {
        self.matcher.matches(publication, visit)
    }

    /// Whether the routing keys decide alone, so that a route can be remembered by them.
    pub fn is_decided_by_key(&self) -> bool {
        self.matcher.is_decided_by_key()
    }

    /// What a deduplication exchange has seen; none for other types.
    pub fn deduplication_window(&self) -> Option<&Arc<Mutex<DeduplicationWindow>>> {
        match &self.matcher {
            Matcher::Deduplication(matcher) => Some(matcher.window()),
            _ => None,
        }
    }

    /// Whether what a deduplication exchange has seen outlives the process, as it does itself.
    pub fn keeps_what_it_saw(&self) -> bool {
        let persistence = self.properties.arguments.get("x-cache-persistence");
        self.properties.durable && persistence.and_then(FieldValue::as_str) == Some("disk")
    }

    /// What a recent-history exchange has recorded; none for other types.
    pub fn history(&self) -> Option<&Arc<History>> {
        match &self.matcher {
            Matcher::RecentHistory(history, _) => Some(history),
            _ => None,
        }
    }
}

/// Where messages go that no binding takes: the argument, or else the policy. What is too long for a name
/// is none.
fn alternate(sources: &Sources<'_>) -> Option<ShortString> {
    let name = sources.text("alternate-exchange", "alternate-exchange")?;
    ShortString::new(name).ok()
}
