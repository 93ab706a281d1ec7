//! A declared exchange: its properties, and the bindings that lead from it.

use std::collections::HashMap;

use amqp_codec::{FieldTable, PropertiesRef, ShortString};
use foldhash::fast::RandomState;

use super::super::binding::{Binding, BindingId, BindingKey};
use super::super::effective::Sources;
use super::super::error::BrokerError;
use super::super::policy::AppliedPolicies;
use super::{DirectMatcher, FanoutMatcher, HeadersMatcher, TopicMatcher};

/// The routing rules that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// The routing key equals the binding key.
    Direct,
    /// Every binding.
    Fanout,
    /// The routing key matches a pattern of words.
    Topic,
    /// The message's headers match the binding's arguments.
    Headers,
}

impl ExchangeKind {
    /// The type that `exchange.declare` names.
    ///
    /// # Errors
    /// 503, for a name that is none of them.
    pub fn parse(name: &ShortString) -> Result<Self, BrokerError> {
        match name.as_bytes() {
            b"direct" => Ok(Self::Direct),
            b"fanout" => Ok(Self::Fanout),
            b"topic" => Ok(Self::Topic),
            b"headers" => Ok(Self::Headers),
            b"" => Err(BrokerError::EmptyExchangeType),
            _ => Err(BrokerError::UnknownExchangeType(name.clone())),
        }
    }

    /// Its name in `exchange.declare`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

impl std::fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

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

/// A declared exchange and the bindings that lead from it.
#[derive(Debug)]
pub struct Exchange {
    /// What it was declared with.
    pub properties: ExchangeProperties,
    /// Where messages go that no binding takes.
    pub alternate: Option<ShortString>,
    policies: AppliedPolicies,
    bindings: HashMap<BindingKey, BindingId, RandomState>,
    matcher: Matcher,
}

/// The routing rule with its bindings indexed for it.
#[derive(Debug)]
enum Matcher {
    Direct(DirectMatcher<BindingId>),
    Fanout(FanoutMatcher<BindingId>),
    Topic(TopicMatcher<BindingId>),
    Headers(HeadersMatcher<BindingId>),
}

impl Exchange {
    /// An exchange without bindings.
    pub fn new(properties: ExchangeProperties, policies: AppliedPolicies) -> Self {
        let matcher = match properties.kind {
            ExchangeKind::Direct => Matcher::Direct(DirectMatcher::default()),
            ExchangeKind::Fanout => Matcher::Fanout(FanoutMatcher::default()),
            ExchangeKind::Topic => Matcher::Topic(TopicMatcher::default()),
            ExchangeKind::Headers => Matcher::Headers(HeadersMatcher::default()),
        };
        let alternate = alternate(&policies.sources(&properties.arguments));
        Self { properties, alternate, policies, bindings: HashMap::default(), matcher }
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
    /// 406, for arguments that a headers exchange can't take.
    pub fn bind(
        &mut self,
        key: BindingKey,
        binding: &Binding,
        id: BindingId,
    ) -> Result<(), BrokerError> {
        let routing_key = binding.routing_key.as_bytes();
        match &mut self.matcher {
            Matcher::Direct(matcher) => matcher.insert(routing_key, id),
            Matcher::Fanout(matcher) => matcher.insert(id),
            Matcher::Topic(matcher) => matcher.insert(routing_key, id),
            Matcher::Headers(matcher) => matcher.insert(&binding.arguments, id)?,
        };
        self.bindings.insert(key, id);
        Ok(())
    }

    /// Removes a binding.
    pub fn unbind(&mut self, key: &BindingKey, binding: &Binding, id: BindingId) {
        if self.bindings.remove(key).is_none() {
            return;
        }
        let routing_key = binding.routing_key.as_bytes();
        match &mut self.matcher {
            Matcher::Direct(matcher) => matcher.remove(routing_key, id),
            Matcher::Fanout(matcher) => matcher.remove(id),
            Matcher::Topic(matcher) => matcher.remove(routing_key, id),
            Matcher::Headers(matcher) => matcher.remove(&binding.arguments, id),
        };
    }

    /// Visits the bindings that a message matches. `properties` are the raw ones: only a headers
    /// exchange looks inside.
    pub fn matches(
        &self,
        routing_key: &[u8],
        properties: &[u8],
        visit: &mut impl FnMut(BindingId),
    ) {
        match &self.matcher {
            Matcher::Direct(matcher) => matcher.matches(routing_key, visit),
            Matcher::Fanout(matcher) => matcher.matches(visit),
            Matcher::Topic(matcher) => matcher.matches(routing_key, visit),
            Matcher::Headers(matcher) => {
                matcher.matches(&headers_of(properties), visit);
            }
        }
    }

    /// Whether routing depends on more than the routing key, so that it can't be remembered by it.
    pub fn reads_headers(&self) -> bool {
        self.properties.kind == ExchangeKind::Headers
    }
}

/// Where messages go that no binding takes: the argument, or else the policy. What is too long for a name
/// is none.
fn alternate(sources: &Sources<'_>) -> Option<ShortString> {
    let name = sources.text("alternate-exchange", "alternate-exchange")?;
    ShortString::new(name).ok()
}

/// The headers among raw properties; none where there are none. They were validated on arrival.
fn headers_of(properties: &[u8]) -> FieldTable {
    PropertiesRef::parse(properties)
        .ok()
        .and_then(|properties| properties.headers().ok().flatten())
        .unwrap_or_default()
}
