//! A vhost's line to the store.

use std::sync::Arc;

use amqp_codec::ShortString;

use super::Definition;
use crate::broker::deduplication::KeptKeys;
use crate::broker::persist::Persist;
use crate::broker::stored_key::{Kind, StoredKey};
use crate::broker::time::Epoch;

/// Writes down what a vhost is to have after a restart, where there is a store that keeps it: else
/// nothing is encoded.
///
/// Called under the topology's lock, which orders what is written.
#[derive(Debug)]
pub(in crate::broker) struct DefinitionWriter {
    vhost: ShortString,
    epoch: Epoch,
    store: Option<Arc<dyn Persist>>,
}

impl DefinitionWriter {
    /// Writes to `store`, if that keeps anything.
    pub(in crate::broker) fn new(
        vhost: ShortString,
        epoch: Epoch,
        store: Arc<dyn Persist>,
    ) -> Self {
        let store = Some(store).filter(|store| store.keeps_messages());
        Self { vhost, epoch, store }
    }

    /// Nothing is written from now on: the vhost is gone.
    pub(in crate::broker) fn close(&mut self) {
        self.store = None;
    }

    /// Writes a definition down.
    pub(in crate::broker) fn put(&self, definition: impl FnOnce() -> Definition) {
        if let Some(store) = &self.store {
            let definition = definition();
            store.put(definition.key(&self.vhost), definition.value(&self.vhost));
        }
    }

    /// Forgets a definition.
    pub(in crate::broker) fn remove(&self, definition: impl FnOnce() -> Definition) {
        if let Some(store) = &self.store {
            store.remove(definition().key(&self.vhost));
        }
    }

    /// Where an exchange's window keeps its keys.
    pub(in crate::broker) fn seen_by_exchange(&self, exchange: &ShortString) -> Option<KeptKeys> {
        let store = Arc::clone(self.store.as_ref()?);
        let prefix = StoredKey::new(Kind::SeenByExchange).name(&self.vhost).name(exchange);
        Some(KeptKeys::new(prefix, store, self.epoch))
    }
}
