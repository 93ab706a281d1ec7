//! A store that remembers what queues record, and confirms when the scheduler says so.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use amqp_codec::PropertiesRef;
use leveret::broker::effect::{Persist, Position};
use leveret::broker::message::Message;
use leveret::broker::queue_cell::QueueId;
use leveret::store::{Confirmation, Store};
use parking_lot::Mutex;

/// Keeps the journal of every durable queue, and holds confirmations back.
#[derive(Default)]
pub(crate) struct SimStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// With the number of records that each waits for.
    waiting: VecDeque<(u64, Box<dyn Confirmation>)>,
    records: u64,
    /// So many records are safe.
    durable: u64,
    /// The last record of each message.
    record_of: BTreeMap<u64, u64>,
    queues: BTreeMap<QueueId, Journal>,
}

/// What a durable queue recorded.
#[derive(Default)]
struct Journal {
    last: Option<Position>,
    live: BTreeMap<Position, u64>,
    positions: BTreeMap<u64, Position>,
}

impl SimStore {
    /// Confirms the oldest `count` batches that wait.
    pub(crate) fn confirm(&self, count: usize) {
        for _ in 0..count {
            let mut state = self.state.lock();
            let Some((records, confirmation)) = state.waiting.pop_front() else { return };
            state.durable = records;
            drop(state);
            confirmation.durable();
        }
    }

    /// Batches that wait for their confirmation.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Whether everything that was recorded of a message is safe.
    pub(crate) fn is_durable(&self, message: u64) -> bool {
        let state = self.state.lock();
        state.record_of.get(&message).is_none_or(|record| *record <= state.durable)
    }

    /// Persistent messages that a queue still holds.
    pub(crate) fn live(&self, queue: QueueId) -> usize {
        self.state.lock().queues.get(&queue).map_or(0, |journal| journal.live.len())
    }

    /// Where a message stands, or stood, in a queue.
    pub(crate) fn position(&self, queue: QueueId, message: u64) -> Option<Position> {
        self.state.lock().queues.get(&queue)?.positions.get(&message).copied()
    }
}

impl Persist for SimStore {
    fn enqueued(&self, queue: QueueId, position: Position, message: &Message) {
        let id = message_id(message.properties());
        let mut state = self.state.lock();
        state.records += 1;
        let record = state.records;
        state.record_of.insert(id, record);
        let journal = state.queues.entry(queue).or_default();
        assert!(journal.last < Some(position), "positions of {queue:?} grow");
        journal.last = Some(position);
        journal.live.insert(position, id);
        let before = journal.positions.insert(id, position);
        assert_eq!(before, None, "message {id} entered {queue:?} once");
    }

    fn settled(&self, queue: QueueId, position: Position) {
        let mut state = self.state.lock();
        let live = state.queues.get_mut(&queue).and_then(|journal| journal.live.remove(&position));
        assert!(live.is_some(), "{position:?} of {queue:?} is settled once, after it was enqueued");
    }
}

impl Store for SimStore {
    fn when_durable(&self, confirmation: Box<dyn Confirmation>) {
        let mut state = self.state.lock();
        let records = state.records;
        state.waiting.push_back((records, confirmation));
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStore").finish_non_exhaustive()
    }
}

/// The number that a simulated publisher wrote into `message-id`.
fn message_id(properties: &[u8]) -> u64 {
    let properties = PropertiesRef::parse(properties).expect("properties are well-formed");
    let id = properties.message_id.expect("every message is numbered");
    String::from_utf8_lossy(id).parse().expect("a number")
}
