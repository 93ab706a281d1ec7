//! What a client may do: asked for with every request, and looked up once.

use amqp_codec::{FieldTable, FieldValue, ReplyCode, ShortString};

use super::client::Session;
use super::host::Host;
use crate::auth::{Grant, Permission};
use crate::broker::error::{BrokerError, Resource, ResourceKind};
use crate::broker::exchange::ExchangeKind;
use crate::broker::vhost::VHost;
use crate::protocol::exception::Exception;

/// What the default exchange is called where it is refused.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What a session's user may do in its vhost, as of a version of all permissions.
#[derive(Debug, Default)]
pub(super) struct Rights {
    version: u64,
    /// None: the vhost was closed to the user since.
    grant: Option<Grant>,
}

impl Rights {
    /// Everything is allowed, whatever the permissions are.
    pub(super) fn everything() -> Self {
        Self { version: 0, grant: Some(Grant::everything()) }
    }

    /// The version that was looked at last.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Looks again if anybody's permissions changed. Otherwise it costs the comparison of two numbers.
    #[inline]
    pub(super) fn refresh(&mut self, host: &Host, user: &str, vhost: &VHost) {
        let version = host.access.version();
        if self.version != version {
            *self = Self { version, grant: host.access.control().grant(user, vhost.name()) };
        }
    }

    /// Whether the user may publish in the name of others.
    pub(super) fn may_impersonate(&self) -> bool {
        self.grant.as_ref().is_some_and(Grant::may_impersonate)
    }
}

/// Who asks, and for what: a session's rights, user and vhost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) rights: &'a Rights,
    pub(super) user: &'a str,
    pub(super) vhost: &'a VHost,
}

impl Caller<'_> {
    /// # Errors
    /// 403.
    pub(super) fn check_queue(
        self,
        permission: Permission,
        name: &ShortString,
    ) -> Result<(), Exception> {
        self.check(permission, ResourceKind::Queue, name)
    }

    /// # Errors
    /// 403.
    pub(super) fn check_exchange(
        self,
        permission: Permission,
        name: &ShortString,
    ) -> Result<(), Exception> {
        self.check(permission, ResourceKind::Exchange, name)
    }

    fn check(
        self,
        permission: Permission,
        kind: ResourceKind,
        name: &ShortString,
    ) -> Result<(), Exception> {
        let grant = self.rights.grant.as_ref();
        if grant.is_some_and(|grant| grant.allows(permission, name)) {
            return Ok(());
        }
        let name = match name.is_empty() {
            true => ShortString::from_static(DEFAULT_EXCHANGE),
            false => name.clone(),
        };
        let vhost = self.vhost.name().clone();
        Err(self.refused(permission, &Resource { kind, name, vhost }))
    }

    /// Checks a routing key on an exchange, where routing keys decide on it. One that is not there, or no
    /// topic exchange, knows no topics.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_topic<'k>(
        self,
        permission: Permission,
        exchange: &ShortString,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<(), Exception> {
        let Some(grant) = &self.rights.grant else { return Ok(()) };
        if !grant.has_topics(exchange)
            || self.vhost.exchange_kind(exchange) != Some(ExchangeKind::Topic)
        {
            return Ok(());
        }
        for key in keys {
            if !grant.allows_topic(permission, exchange, key) {
                let key = String::from_utf8_lossy(key);
                let exchange = self.vhost.resource(ResourceKind::Exchange, exchange);
                return Err(self.refused(permission, &format!("topic '{key}' in {exchange}")));
            }
        }
        Ok(())
    }

    /// Checks the routing keys of a publish, where routing keys decide: after whether the exchange is there.
    ///
    /// # Errors
    /// 403 and 404.
    pub(super) fn check_routing_keys<'k>(
        self,
        exchange: &ShortString,
        routing_key: &'k [u8],
        more_keys: impl Iterator<Item = &'k ShortString>,
    ) -> Result<(), Exception> {
        if !self.rights.grant.as_ref().is_some_and(|grant| grant.has_topics(exchange)) {
            return Ok(());
        }
        self.vhost.check_target(exchange)?;
        let keys = std::iter::once(routing_key).chain(more_keys.map(ShortString::as_bytes));
        self.check_topic(Permission::Write, exchange, keys)
    }

    /// Who dead-letters to an exchange has to be allowed to: to read the queue, and to write there. Asked
    /// for once, when the queue is new.
    pub(super) fn may_declare_queue(
        self,
        name: &ShortString,
        arguments: &FieldTable,
    ) -> Result<(), Exception> {
        self.check_queue(Permission::Configure, name)?;
        if let Some(FieldValue::LongString(exchange)) = arguments.get("x-dead-letter-exchange")
            && self.vhost.queue(name).is_err()
        {
            self.check_queue(Permission::Read, name)?;
            self.check_exchange(Permission::Write, &ShortString::truncated(exchange))?;
        }
        Ok(())
    }

    /// The same for an alternate exchange.
    pub(super) fn may_declare_exchange(
        self,
        name: &ShortString,
        arguments: &FieldTable,
    ) -> Result<(), Exception> {
        check_not_default(name)?;
        self.check_exchange(Permission::Configure, name)?;
        if let Some(FieldValue::LongString(alternate)) = arguments.get("alternate-exchange")
            && self.vhost.exchange_kind(name).is_none()
        {
            self.check_exchange(Permission::Read, name)?;
            self.check_exchange(Permission::Write, &ShortString::truncated(alternate))?;
        }
        Ok(())
    }

    /// Who binds a queue, or takes a binding away, puts messages in and takes them from the source.
    pub(super) fn may_bind_queue(
        self,
        source: &ShortString,
        queue: &ShortString,
        routing_key: &ShortString,
    ) -> Result<(), Exception> {
        self.check_queue(Permission::Write, queue)?;
        check_not_default(source)?;
        self.check_exchange(Permission::Read, source)?;
        self.check_topic(Permission::Read, source, [routing_key.as_bytes()])
    }

    pub(super) fn may_bind_exchange(
        self,
        source: &ShortString,
        destination: &ShortString,
        routing_key: &ShortString,
    ) -> Result<(), Exception> {
        self.check_exchange(Permission::Write, destination)?;
        check_not_default(destination)?;
        check_not_default(source)?;
        self.check_exchange(Permission::Read, source)?;
        self.check_topic(Permission::Read, source, [routing_key.as_bytes()])
    }

    fn refused(self, permission: Permission, what: &impl std::fmt::Display) -> Exception {
        let text = format!("{permission} access to {what} refused for user '{}'", self.user);
        Exception::new(ReplyCode::AccessRefused, text)
    }
}

impl Session {
    /// Who asks, as permissions are now.
    pub(super) fn caller(&mut self) -> Caller<'_> {
        self.rights.refresh(&self.host, &self.user, &self.vhost);
        Caller { rights: &self.rights, user: &self.user, vhost: &self.vhost }
    }
}

fn check_not_default(exchange: &ShortString) -> Result<(), BrokerError> {
    if exchange.is_empty() { Err(BrokerError::DefaultExchange) } else { Ok(()) }
}
