//! The routing rule of a declared exchange, with the bindings indexed for it.

use std::sync::Arc;

use amqp_codec::{FieldTable, PropertiesRef, ShortString};
use smallvec::SmallVec;

use super::delayed_message::delayed_type;
use super::hash_on::HashOn;
use super::invalid::InvalidArgument;
use super::local_random::check_binding;
use super::message_deduplication::CacheArguments;
use super::stable_hash::stable_hash;
use super::{
    ConsistentHashMatcher, DeduplicationMatcher, DirectMatcher, ExchangeKind, FanoutMatcher,
    HeadersMatcher, History, HistoryMemory, ModulusHashMatcher, RandomMatcher, TopicMatcher,
    Verdict,
};
use crate::broker::binding::{Binding, BindingId, Destination};
use crate::broker::error::BrokerError;
use crate::broker::routing::Publication;

/// One variant for each way to route; a delayed-message exchange has that of its inner type.
#[derive(Debug)]
pub(super) enum Matcher {
    Direct(DirectMatcher<BindingId>),
    Fanout(FanoutMatcher<BindingId>),
    Topic(TopicMatcher<BindingId>),
    Headers(HeadersMatcher<BindingId>),
    ConsistentHash(HashOn, ConsistentHashMatcher<BindingId>),
    ModulusHash(ModulusHashMatcher<BindingId>),
    Random(RandomMatcher<BindingId>),
    LocalRandom(RandomMatcher<BindingId>),
    RecentHistory(Arc<History>, FanoutMatcher<BindingId>),
    Deduplication(DeduplicationMatcher<BindingId>),
}

impl Matcher {
    /// The rule of an exchange with this name, type and arguments, without bindings.
    ///
    /// # Errors
    /// [`InvalidArgument`] (406) for arguments that the type can't take.
    pub(super) fn new(
        name: &ShortString,
        kind: ExchangeKind,
        arguments: &FieldTable,
        memory: &Arc<HistoryMemory>,
    ) -> Result<Self, InvalidArgument> {
        // The same exchange picks in the same order in every run, so that a run can be repeated.
        let random = || RandomMatcher::new(stable_hash(name.as_bytes()));
        Ok(match kind {
            ExchangeKind::Direct => Self::Direct(DirectMatcher::default()),
            ExchangeKind::Fanout => Self::Fanout(FanoutMatcher::default()),
            ExchangeKind::Topic => Self::Topic(TopicMatcher::default()),
            ExchangeKind::Headers => Self::Headers(HeadersMatcher::default()),
            ExchangeKind::ConsistentHash => {
                Self::ConsistentHash(HashOn::of(arguments)?, ConsistentHashMatcher::default())
            }
            ExchangeKind::ModulusHash => Self::ModulusHash(ModulusHashMatcher::default()),
            ExchangeKind::Random => Self::Random(random()),
            ExchangeKind::LocalRandom => Self::LocalRandom(random()),
            ExchangeKind::RecentHistory => {
                let history = Arc::new(History::new(arguments, Arc::clone(memory))?);
                Self::RecentHistory(history, FanoutMatcher::default())
            }
            ExchangeKind::MessageDeduplication => {
                Self::Deduplication(DeduplicationMatcher::new(CacheArguments::of(arguments)?))
            }
            // The inner type is another one, so this comes to an end.
            ExchangeKind::DelayedMessage => {
                Self::new(name, delayed_type(arguments)?, arguments, memory)?
            }
        })
    }

    /// # Errors
    /// 406, for a binding that the type can't take.
    pub(super) fn insert(&mut self, binding: &Binding, id: BindingId) -> Result<(), BrokerError> {
        let routing_key = binding.routing_key.as_bytes();
        match self {
            Self::Direct(matcher) => matcher.insert(routing_key, id),
            Self::Fanout(matcher) | Self::RecentHistory(_, matcher) => matcher.insert(id),
            Self::Topic(matcher) => matcher.insert(routing_key, id),
            Self::Headers(matcher) => matcher.insert(&binding.arguments, id)?,
            Self::ConsistentHash(_, matcher) => {
                matcher.insert(routing_key, &destination(binding), id)?
            }
            Self::ModulusHash(matcher) => matcher.insert(&label(binding), id),
            Self::Random(matcher) => matcher.insert(id),
            Self::LocalRandom(matcher) => {
                check_binding(binding)?;
                matcher.insert(id)
            }
            Self::Deduplication(matcher) => matcher.insert(id),
        };
        Ok(())
    }

    pub(super) fn remove(&mut self, binding: &Binding, id: BindingId) {
        let routing_key = binding.routing_key.as_bytes();
        match self {
            Self::Direct(matcher) => matcher.remove(routing_key, id),
            Self::Fanout(matcher) | Self::RecentHistory(_, matcher) => matcher.remove(id),
            Self::Topic(matcher) => matcher.remove(routing_key, id),
            Self::Headers(matcher) => matcher.remove(&binding.arguments, id),
            Self::ConsistentHash(_, matcher) => matcher.remove(id),
            Self::ModulusHash(matcher) => matcher.remove(&label(binding), id),
            Self::Random(matcher) | Self::LocalRandom(matcher) => matcher.remove(id),
            Self::Deduplication(matcher) => matcher.remove(id),
        };
    }

    /// Visits the bindings that a message matches with any of its routing keys; one that matches
    /// with several may be visited for each.
    #[inline]
    pub(super) fn matches(
        &self,
        publication: &Publication<'_>,
        visit: &mut impl FnMut(BindingId),
    ) -> Verdict {
        let &Publication { routing_keys, properties, .. } = publication;
        match self {
            Self::Direct(matcher) => each_key(routing_keys, |key| matcher.matches(key, visit)),
            Self::Fanout(matcher) | Self::RecentHistory(_, matcher) => matcher.matches(visit),
            Self::Topic(matcher) => each_key(routing_keys, |key| matcher.matches(key, visit)),
            Self::Headers(matcher) => matcher.matches(&headers_of(properties), visit),
            Self::ConsistentHash(on, matcher) => {
                matcher.matches(on.hash(routing_keys, properties), visit);
            }
            Self::ModulusHash(matcher) => matcher.matches(routing_keys, visit),
            Self::Random(matcher) | Self::LocalRandom(matcher) => matcher.matches(visit),
            Self::Deduplication(matcher) => {
                return matcher.matches(properties, publication.now, visit);
            }
        }
        Verdict::Matched
    }

    /// Whether the routing keys decide alone, so that a route can be remembered by them.
    pub(super) fn is_decided_by_key(&self) -> bool {
        match self {
            Self::Direct(_)
            | Self::Fanout(_)
            | Self::Topic(_)
            | Self::ConsistentHash(HashOn::RoutingKey, _)
            | Self::ModulusHash(_)
            | Self::RecentHistory(..) => true,
            Self::Headers(_)
            | Self::ConsistentHash(..)
            | Self::Random(_)
            | Self::LocalRandom(_)
            | Self::Deduplication(_) => false,
        }
    }
}

/// Calls `visit` with each key; of several, with each different one.
#[inline]
fn each_key(keys: &[&[u8]], mut visit: impl FnMut(&[u8])) {
    if let [key] = keys {
        return visit(key);
    }
    let mut keys: SmallVec<[&[u8]; 8]> = keys.into();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().for_each(visit);
}

/// The headers among raw properties; none where there are none. They were validated on arrival.
fn headers_of(properties: &[u8]) -> FieldTable {
    PropertiesRef::parse(properties)
        .ok()
        .and_then(|properties| properties.headers().ok().flatten())
        .unwrap_or_default()
}

/// What tells a destination from the others of a vhost.
fn destination(binding: &Binding) -> Vec<u8> {
    let (kind, name) = match &binding.destination {
        Destination::Queue(queue) => (b'q', &queue.name),
        Destination::Exchange(name) => (b'e', name),
    };
    [&[kind], name.as_bytes()].concat()
}

/// Where a binding stands among the others of its exchange, whenever it was made: by its destination,
/// then by its key. Names have no more than 255 bytes, so the length is one.
fn label(binding: &Binding) -> Vec<u8> {
    let mut label = destination(binding);
    label.push(0);
    label.extend_from_slice(binding.routing_key.as_bytes());
    label
}
