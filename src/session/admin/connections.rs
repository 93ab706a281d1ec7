//! Who is let in, and who is sent away.

use std::sync::Arc;

use amqp_codec::{ReplyCode, ShortString};

use crate::auth::UserLimits;
use crate::broker::queue_cell::ConnectionId;
use crate::broker::vhost::VHost;
use crate::protocol::exception::Exception;
use crate::session::host::Host;
use crate::session::registry::{LimitReached, Limits, Open};

impl Host {
    /// Closes a connection (320) in these words; `false` where it is not open.
    pub fn close_connection(&self, id: ConnectionId, reason: &str) -> bool {
        self.registry.force_close(|open, _| open == id, reason) > 0
    }

    /// Closes all connections of a user; how many.
    pub fn close_user_connections(&self, user: &str, reason: &str) -> usize {
        self.registry.force_close(|_, open| open.user == user, reason)
    }

    /// How many connections are open, and how many may be; none for any number.
    pub fn connections_and_limit(&self) -> (u64, Option<u64>) {
        let max = self.capacity.connections as u64;
        (self.registry.open_connections(), (max != 0).then_some(max))
    }

    /// Lets a connection into a vhost, in RabbitMQ's order: the limits, then the permission.
    ///
    /// # Errors
    /// 530.
    pub(in crate::session) fn admit(
        &self,
        id: ConnectionId,
        user: &str,
        name: &ShortString,
    ) -> Result<Arc<VHost>, Exception> {
        let refused = |text| Exception::new(ReplyCode::NotAllowed, text);
        let full = |limit| {
            refused(format!("connection refused: node connection limit ({limit}) is reached"))
        };
        let not_found = || refused(format!("vhost {name} not found"));
        let all = self.capacity.connections as u64;
        let vhost = self.vhost(name).ok_or_else(|| match self.registry.is_full(all) {
            true => full(all),
            false => not_found(),
        })?;
        let open = Open { user: user.to_owned(), vhost: name.clone() };
        let limits = Limits { all, vhost: vhost.limits(), user: self.user_limits(user) };
        self.registry.opened(id, open, limits).map_err(|reached| match reached {
            LimitReached::Connections(limit) => full(limit),
            LimitReached::VHostConnections(limit) => refused(format!(
                "access to vhost '{name}' refused for user '{user}': connection limit ({limit}) is \
                 reached"
            )),
            LimitReached::UserConnections(limit) => refused(format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            )),
        })?;
        // Whoever takes either away from now on finds the connection, and closes it.
        let is_there = self.vhost(name).is_some_and(|present| Arc::ptr_eq(&present, &vhost));
        if is_there && self.access.control().may_use(user, name) {
            return Ok(vhost);
        }
        self.registry.closed(id);
        Err(match is_there {
            true => refused(format!("access to vhost '{name}' refused for user '{user}'")),
            false => not_found(),
        })
    }

    /// How many channels a user may have open.
    pub(in crate::session) fn channel_limit(&self, user: &str) -> Option<u64> {
        self.user_limits(user).channels()
    }

    fn user_limits(&self, user: &str) -> UserLimits {
        self.access.control().user(user).map(|user| user.limits).unwrap_or_default()
    }
}
