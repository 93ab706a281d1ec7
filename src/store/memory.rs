//! The store that keeps nothing: durability level `none`.

use super::{Confirmation, Requester, Store, Unit};
use crate::broker::effect::Wanted;
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::queue_cell::QueueId;

/// Everything lives in the queues, in memory, and ends with the process: recording costs nothing and
/// a confirm means that the message is in its queues.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryStore;

impl Persist for MemoryStore {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        records.clear();
    }

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        false
    }
}

impl Store for MemoryStore {
    fn unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn nested_unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn fetch(&self, _queue: QueueId, _wanted: Wanted, _requester: Box<dyn Requester>) {
        debug_assert!(false, "no queue leaves messages to a store that keeps none");
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn is_disk_low(&self) -> bool {
        false
    }

    fn when_durable(&self, confirmation: Box<dyn Confirmation>) {
        confirmation.durable();
    }
}
