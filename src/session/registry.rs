//! The connections that are open.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::outbox::Outbox;
use crate::broker::queue_cell::ConnectionId;

/// Live connections by number.
#[derive(Debug, Default)]
pub(super) struct Registry {
    outboxes: Mutex<HashMap<ConnectionId, Weak<Outbox>, FxBuildHasher>>,
}

impl Registry {
    pub(super) fn add(&self, id: ConnectionId, outbox: &Arc<Outbox>) {
        self.outboxes.lock().insert(id, Arc::downgrade(outbox));
    }

    pub(super) fn len(&self) -> usize {
        self.outboxes.lock().len()
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        self.outboxes.lock().remove(&id);
    }

    /// Lets every publisher that waits for memory go on.
    pub(super) fn unblock_all(&self) {
        let outboxes: Vec<Arc<Outbox>> =
            self.outboxes.lock().values().filter_map(Weak::upgrade).collect();
        for outbox in outboxes {
            outbox.unblock();
        }
    }
}
