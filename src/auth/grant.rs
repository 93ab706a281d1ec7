//! What one user may do in one vhost, looked up once and for as long as nobody changes it.

use std::collections::HashMap;
use std::sync::Arc;

use amqp_codec::ShortString;

use super::permissions::{Permission, Permissions, TopicPermissions, TopicRights};

/// What the default exchange is called where it needs a name.
const DEFAULT_EXCHANGE: &[u8] = b"amq.default";

/// What one user may do in one vhost.
#[derive(Debug, Clone)]
pub struct Grant {
    permissions: Arc<Permissions>,
    topics: HashMap<ShortString, TopicRights>,
    may_impersonate: bool,
}

impl Grant {
    pub(super) fn new<'a>(
        permissions: Arc<Permissions>,
        topics: impl Iterator<Item = (&'a ShortString, &'a TopicPermissions)>,
        (username, vhost): (&str, &ShortString),
        may_impersonate: bool,
    ) -> Self {
        let vhost = vhost.to_str_lossy();
        let topics =
            topics.map(|(exchange, topics)| (exchange.clone(), topics.expand(username, &vhost)));
        Self { permissions, topics: topics.collect(), may_impersonate }
    }

    /// Everything is allowed.
    pub fn everything() -> Self {
        let permissions = Arc::new(Permissions::all());
        Self { permissions, topics: HashMap::default(), may_impersonate: true }
    }

    /// Whether this may be done with the queue or exchange of this name.
    pub fn allows(&self, permission: Permission, name: &ShortString) -> bool {
        let name = if name.is_empty() { DEFAULT_EXCHANGE } else { name.as_bytes() };
        self.permissions.right(permission).covers(name)
    }

    /// Whether routing keys decide on this exchange, if it is a topic exchange.
    pub fn has_topics(&self, exchange: &ShortString) -> bool {
        !self.topics.is_empty() && self.topics.contains_key(exchange)
    }

    /// Whether this may be done on a topic exchange with this routing key. An exchange without topic
    /// permissions knows none.
    pub fn allows_topic(
        &self,
        permission: Permission,
        exchange: &ShortString,
        routing_key: &[u8],
    ) -> bool {
        let topics = self.topics.get(exchange);
        topics.is_none_or(|topics| topics.covers(permission, routing_key))
    }

    /// Whether the user may publish in the name of others.
    pub fn may_impersonate(&self) -> bool {
        self.may_impersonate
    }
}
