//! The connections that are open.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use amqp_codec::ShortString;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::outbox::Outbox;
use super::peer::Peer;
use crate::auth::UserLimits;
use crate::broker::parameter::VHostLimits;
use crate::broker::queue_cell::ConnectionId;

/// Live connections by number, and how many there are of each user and to each vhost. Its lock is a leaf.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Connections>);

#[derive(Debug, Default)]
struct Connections {
    by_id: HashMap<ConnectionId, Registered, FxBuildHasher>,
    /// By their names. A client does not choose it: it is its address and ours.
    names: HashMap<String, ConnectionId>,
    of_vhost: HashMap<ShortString, u64, RandomState>,
    of_user: HashMap<String, u64, RandomState>,
    channels_of_user: HashMap<String, u64, RandomState>,
    channels: u64,
    /// Those of `by_id` that are open: whoever has not logged in takes nobody's place.
    open: u64,
}

#[derive(Debug)]
struct Registered {
    outbox: Weak<Outbox>,
    peer: Peer,
    open: Option<Open>,
}

/// What a connection is open to, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) user: String,
    pub(super) vhost: ShortString,
}

/// How many connections may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// All together; 0 for any number.
    pub(super) all: u64,
    pub(super) vhost: VHostLimits,
    pub(super) user: UserLimits,
}

/// One more would be too many: the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitReached {
    Connections(u64),
    VHostConnections(u64),
    UserConnections(u64),
}

/// One more channel would be too many: the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelRefused {
    OfUser(u64),
    OfAll(u64),
}

impl Registry {
    pub(super) fn add(&self, id: ConnectionId, peer: Peer, outbox: &Arc<Outbox>) {
        let name = peer.name();
        let registered = Registered { outbox: Arc::downgrade(outbox), peer, open: None };
        let mut connections = self.0.lock();
        connections.by_id.insert(id, registered);
        connections.names.insert(name, id);
    }

    /// How many are open: those that have logged in.
    pub(super) fn open_connections(&self) -> u64 {
        self.0.lock().open
    }

    /// Whether so many are open that there may be no other; 0 for any number.
    pub(super) fn is_full(&self, limit: u64) -> bool {
        self.0.lock().is_full(limit)
    }

    /// Another connection may have the name by now: a port that is free again is used again.
    pub(super) fn remove(&self, id: ConnectionId) {
        let mut connections = self.0.lock();
        connections.closed(id);
        let Some(registered) = connections.by_id.remove(&id) else { return };
        let name = registered.peer.name();
        if connections.names.get(&name) == Some(&id) {
            connections.names.remove(&name);
        }
    }

    /// All of them, in no particular order.
    pub(super) fn all(&self) -> Vec<Arc<Outbox>> {
        let connections = self.0.lock();
        connections.by_id.values().filter_map(|registered| registered.outbox.upgrade()).collect()
    }

    /// The one of this name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Outbox>> {
        let connections = self.0.lock();
        connections.by_id.get(connections.names.get(name)?)?.outbox.upgrade()
    }

    /// Where the connection of this number comes from.
    pub(super) fn peer(&self, id: ConnectionId) -> Option<Peer> {
        self.0.lock().by_id.get(&id).map(|registered| registered.peer.clone())
    }

    /// A connection is open now.
    ///
    /// # Errors
    /// [`LimitReached`], and it is not.
    pub(super) fn opened(
        &self,
        id: ConnectionId,
        open: Open,
        limits: Limits,
    ) -> Result<(), LimitReached> {
        let mut connections = self.0.lock();
        if connections.is_full(limits.all) {
            return Err(LimitReached::Connections(limits.all));
        }
        let of_vhost = connections.of_vhost.get(&open.vhost).copied().unwrap_or(0);
        if let Some(limit) = limits.vhost.connections().filter(|limit| of_vhost >= *limit) {
            return Err(LimitReached::VHostConnections(limit));
        }
        let of_user = connections.of_user.get(&open.user).copied().unwrap_or(0);
        if let Some(limit) = limits.user.connections().filter(|limit| of_user >= *limit) {
            return Err(LimitReached::UserConnections(limit));
        }
        connections.of_vhost.insert(open.vhost.clone(), of_vhost + 1);
        connections.of_user.insert(open.user.clone(), of_user + 1);
        connections.open += 1;
        if let Some(registered) = connections.by_id.get_mut(&id) {
            registered.open = Some(open);
        }
        Ok(())
    }

    /// It is no longer, though its socket may be.
    pub(super) fn closed(&self, id: ConnectionId) {
        self.0.lock().closed(id);
    }

    /// A user opens one more channel.
    ///
    /// # Errors
    /// [`ChannelRefused`]: of the user, or else of all, there are as many as there may be.
    pub(super) fn open_channel(
        &self,
        user: &str,
        of_user: Option<u64>,
        of_all: Option<u64>,
    ) -> Result<(), ChannelRefused> {
        let mut connections = self.0.lock();
        let Connections { channels, channels_of_user, .. } = &mut *connections;
        if let Some(limit) = of_all.filter(|limit| *channels >= *limit) {
            return Err(ChannelRefused::OfAll(limit));
        }
        let count = match channels_of_user.get_mut(user) {
            Some(count) => count,
            None => channels_of_user.entry(user.to_owned()).or_default(),
        };
        if let Some(limit) = of_user.filter(|limit| *count >= *limit) {
            return Err(ChannelRefused::OfUser(limit));
        }
        *count += 1;
        *channels += 1;
        Ok(())
    }

    /// A user's channels are closed.
    pub(super) fn close_channels(&self, user: &str, closed: usize) {
        let (mut connections, closed) = (self.0.lock(), closed as u64);
        take(&mut connections.channels_of_user, user, closed);
        connections.channels = connections.channels.saturating_sub(closed);
    }

    /// How many connections are open to a vhost.
    pub(super) fn of_vhost(&self, vhost: &ShortString) -> u64 {
        self.0.lock().of_vhost.get(vhost).copied().unwrap_or(0)
    }

    /// Has every connection closed that is meant, in the broker's words; how many.
    pub(super) fn force_close(
        &self,
        is_meant: impl Fn(ConnectionId, &Open) -> bool,
        reason: &str,
    ) -> usize {
        let outboxes: Vec<Arc<Outbox>> = {
            let connections = self.0.lock();
            let meant = connections.by_id.iter().filter(|(id, registered)| {
                registered.open.as_ref().is_some_and(|open| is_meant(**id, open))
            });
            meant.filter_map(|(_, registered)| registered.outbox.upgrade()).collect()
        };
        outboxes.iter().for_each(|outbox| outbox.force_close(reason));
        outboxes.len()
    }

    /// Lets every publisher that waits for memory go on.
    pub(super) fn unblock_all(&self) {
        for outbox in self.all() {
            outbox.unblock();
        }
    }
}

impl Connections {
    fn is_full(&self, limit: u64) -> bool {
        limit != 0 && self.open >= limit
    }

    fn closed(&mut self, id: ConnectionId) {
        let registered = self.by_id.get_mut(&id);
        if let Some(open) = registered.and_then(|registered| registered.open.take()) {
            take(&mut self.of_vhost, &open.vhost, 1);
            take(&mut self.of_user, open.user.as_str(), 1);
            self.open = self.open.saturating_sub(1);
        }
    }
}

/// Counts down; what comes to nothing is forgotten.
fn take<K, Q>(counts: &mut HashMap<K, u64, RandomState>, key: &Q, taken: u64)
where
    K: Hash + Eq + std::borrow::Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(taken);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(user: &str, vhost: &str) -> Open {
        Open { user: user.to_owned(), vhost: ShortString::truncated(vhost) }
    }

    fn add(registry: &Registry, id: u64) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(Box::new(|| {})));
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], u16::try_from(id).unwrap()));
        registry.add(ConnectionId(id), Peer { address, local: address, encryption: None }, &outbox);
        outbox
    }

    #[test]
    fn limits_count_what_is_open_and_nothing_else() {
        let registry = Registry::default();
        let _outboxes = [1, 2, 3].map(|id| add(&registry, id));
        let vhost = VHostLimits { max_connections: Some(2), max_queues: None };
        let user = UserLimits { max_connections: Some(1), max_channels: None };
        let opened = |id, name, vhost_name| {
            let limits = Limits { vhost, user, ..Limits::default() };
            registry.opened(ConnectionId(id), open(name, vhost_name), limits)
        };
        assert_eq!(opened(1, "a", "v"), Ok(()));
        assert_eq!(opened(2, "a", "v"), Err(LimitReached::UserConnections(1)));
        assert_eq!(opened(2, "b", "v"), Ok(()));
        assert_eq!(opened(3, "c", "v"), Err(LimitReached::VHostConnections(2)));
        assert_eq!(opened(3, "c", "w"), Ok(()));
        registry.closed(ConnectionId(1));
        registry.remove(ConnectionId(1));
        assert_eq!(opened(3, "a", "v"), Ok(()));
        registry.remove(ConnectionId(2));
        assert_eq!(registry.of_vhost(&ShortString::from_static("v")), 1);
    }

    #[test]
    fn who_has_not_logged_in_takes_nobodys_place() {
        let registry = Registry::default();
        let _outboxes = [1, 2, 3, 4].map(|id| add(&registry, id));
        let limits = Limits { all: 2, ..Limits::default() };
        let opened = |id| registry.opened(ConnectionId(id), open("a", "v"), limits);
        assert_eq!([opened(1), opened(2)], [Ok(()); 2]);
        assert_eq!(opened(3), Err(LimitReached::Connections(2)));
        assert!(registry.is_full(2) && !registry.is_full(3) && !registry.is_full(0));
        registry.remove(ConnectionId(4));
        assert_eq!(opened(3), Err(LimitReached::Connections(2)));
        // Closed once, though it is told twice.
        registry.closed(ConnectionId(1));
        registry.remove(ConnectionId(1));
        assert_eq!([opened(3), opened(3)], [Ok(()), Err(LimitReached::Connections(2))]);
    }

    #[test]
    fn channels_are_counted_for_all_connections_of_a_user() {
        let registry = Registry::default();
        let open = |user, limit| registry.open_channel(user, limit, None);
        assert_eq!([open("a", Some(2)), open("a", Some(2))], [Ok(()); 2]);
        assert_eq!(open("a", Some(2)), Err(ChannelRefused::OfUser(2)));
        assert_eq!([open("b", Some(2)), open("a", None)], [Ok(()); 2]);
        registry.close_channels("a", 2);
        assert_eq!(open("a", Some(2)), Ok(()));
        assert_eq!(open("c", Some(0)), Err(ChannelRefused::OfUser(0)));
    }

    #[test]
    fn channels_are_counted_for_all_users_together() {
        let registry = Registry::default();
        let open = |user| registry.open_channel(user, None, Some(2));
        assert_eq!(
            [open("a"), open("b"), open("a")],
            [Ok(()), Ok(()), Err(ChannelRefused::OfAll(2))]
        );
        registry.close_channels("b", 1);
        assert_eq!([open("a"), open("a")], [Ok(()), Err(ChannelRefused::OfAll(2))]);
    }

    #[test]
    fn those_are_closed_that_are_meant_and_open() {
        let registry = Registry::default();
        let outboxes = [1, 2, 3].map(|id| add(&registry, id));
        for (id, user) in [(1, "a"), (2, "b")] {
            registry.opened(ConnectionId(id), open(user, "v"), Default::default()).unwrap();
        }
        assert_eq!(registry.force_close(|_, open| open.user == "a", "because"), 1);
        let reasons = outboxes.map(|outbox| outbox.close_reason().map(str::to_owned));
        assert_eq!(reasons, [Some("because".to_owned()), None, None]);
    }
}
