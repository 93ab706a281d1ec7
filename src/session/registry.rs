//! The connections that are open.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::client::Peer;
use super::outbox::Outbox;
use crate::broker::queue_cell::ConnectionId;

/// Live connections by number.
#[derive(Debug, Default)]
pub(super) struct Registry {
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    outboxes: HashMap<ConnectionId, (Weak<Outbox>, Peer), FxBuildHasher>,
    /// By their names. A client does not choose it: it is its address and ours.
    names: HashMap<String, ConnectionId>,
}

impl Registry {
    pub(super) fn add(&self, id: ConnectionId, peer: Peer, outbox: &Arc<Outbox>) {
        let mut connections = self.connections.lock();
        connections.outboxes.insert(id, (Arc::downgrade(outbox), peer));
        connections.names.insert(peer.name(), id);
    }

    pub(super) fn len(&self) -> usize {
        self.connections.lock().outboxes.len()
    }

    /// Another connection may have the name by now: a port that is free again is used again.
    pub(super) fn remove(&self, id: ConnectionId) {
        let mut connections = self.connections.lock();
        let Some((_, peer)) = connections.outboxes.remove(&id) else { return };
        let name = peer.name();
        if connections.names.get(&name) == Some(&id) {
            connections.names.remove(&name);
        }
    }

    /// All of them, in no particular order.
    pub(super) fn all(&self) -> Vec<Arc<Outbox>> {
        self.connections.lock().outboxes.values().filter_map(|(it, _)| it.upgrade()).collect()
    }

    /// The one of this name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Outbox>> {
        let connections = self.connections.lock();
        connections.outboxes.get(connections.names.get(name)?)?.0.upgrade()
    }

    /// Where the connection of this number comes from.
    pub(super) fn peer(&self, id: ConnectionId) -> Option<Peer> {
        self.connections.lock().outboxes.get(&id).map(|(_, peer)| *peer)
    }

    /// Lets every publisher that waits for memory go on.
    pub(super) fn unblock_all(&self) {
        for outbox in self.all() {
            outbox.unblock();
        }
    }
}
