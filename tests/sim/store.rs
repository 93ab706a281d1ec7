//! A store that remembers what queues record, and confirms and reads back when the scheduler says so.
//!
//! It is the account of messages from outside: where each is, where it was, and how it got there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use amqp_codec::{FieldValue, PropertiesRef};
use leveret::broker::effect::{Page, Position, Wanted};
use leveret::broker::message::Message;
use leveret::broker::persist::{Persist, QueueRecord};
use leveret::broker::queue_cell::QueueId;
use leveret::broker::time::Timestamp;
use leveret::store::{Confirmation, Requester, Store, Unit};
use parking_lot::Mutex;

use crate::discipline::{GROUP_HEADER, Overflow};
use crate::life::{Deaths, Life};
use crate::plan::QueuePlan;
use crate::shelf::Shelf;

/// Keeps the journal of every durable queue, and holds confirmations back.
#[derive(Default)]
pub(crate) struct SimStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Option<Timestamp>,
    /// With the number of records that each waits for.
    waiting: VecDeque<(u64, Box<dyn Confirmation>)>,
    records: u64,
    /// So many records are safe.
    durable: u64,
    /// The last record of each message that its publisher waits for.
    record_of: BTreeMap<u64, u64>,
    queues: BTreeMap<QueueId, Journal>,
    names: BTreeMap<&'static str, QueueId>,
    /// Places that somebody is about to leave for another, where he is already.
    moving: BTreeSet<(QueueId, Position)>,
    shelves: BTreeMap<QueueId, Shelf>,
    /// Reads take their time.
    slow_reads: bool,
    reads: VecDeque<Read>,
    /// Queues that have asked for messages and not got them.
    readers: BTreeSet<QueueId>,
    pages_read: u64,
}

/// Messages that a queue asked for.
struct Read {
    queue: QueueId,
    wanted: Wanted,
    /// What is there, if somebody has looked.
    page: Option<Page>,
    requester: Box<dyn Requester>,
}

/// What a durable queue recorded.
#[derive(Default)]
struct Journal {
    plan: Option<&'static QueuePlan>,
    last: Option<Position>,
    live: BTreeMap<Position, Life>,
    places: BTreeMap<Life, Place>,
    moves: Moves,
}

/// Dead letters that arrived elsewhere.
#[derive(Debug, Default, Clone)]
pub(crate) struct Moves {
    /// By the reason of the death.
    pub(crate) by_reason: BTreeMap<String, u64>,
    /// Those that never were in the queue, because it was full.
    pub(crate) refused: u64,
    /// Dead letters of other queues that came here.
    pub(crate) arrived: u64,
}

impl Moves {
    pub(crate) fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }
}

/// A message's place in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) position: Position,
    /// It waits for its time, published with a delay.
    scheduled: bool,
    pub(crate) live: bool,
    /// It died there, and lives on elsewhere.
    pub(crate) moved: bool,
    /// Dead from then on.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) group: Option<String>,
}

impl SimStore {
    /// Time passes.
    pub(crate) fn set_now(&self, now: Timestamp) {
        self.state.lock().now = Some(now);
    }

    /// Tells which queue has a name, for those that stand still.
    pub(crate) fn name(&self, plan: &'static QueuePlan, queue: QueueId) {
        let mut state = self.state.lock();
        state.names.insert(plan.name, queue);
        state.queues.entry(queue).or_default().plan = Some(plan);
    }

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

    /// From now on reads wait until they are answered, or not.
    pub(crate) fn set_slow_reads(&self, slow: bool) {
        self.state.lock().slow_reads = slow;
    }

    /// Looks for what the oldest `count` reads want, without telling it yet: it may have changed by
    /// then.
    pub(crate) fn look(&self, count: usize) {
        let State { reads, shelves, .. } = &mut *self.state.lock();
        for read in reads.iter_mut().take(count).filter(|read| read.page.is_none()) {
            let page = shelves.get(&read.queue).map(|shelf| shelf.page(&read.wanted));
            read.page = page;
        }
    }

    /// Answers the oldest `count` reads.
    pub(crate) fn answer(&self, count: usize) {
        for _ in 0..count {
            let mut state = self.state.lock();
            let Some(Read { queue, wanted, page, requester }) = state.reads.pop_front() else {
                return;
            };
            let page =
                page.unwrap_or_else(|| state.shelves.entry(queue).or_default().page(&wanted));
            drop(state);
            requester.arrived(page);
        }
    }

    /// Queues got all the messages that were read for them.
    pub(crate) fn pages_taken(&self) {
        let mut state = self.state.lock();
        state.readers = state.reads.iter().map(|read| read.queue).collect();
    }

    /// Whether a queue waits for messages that were left here.
    pub(crate) fn is_reading(&self, queue: QueueId) -> bool {
        self.state.lock().readers.contains(&queue)
    }

    /// The same by the queue's name, for those that stand still.
    pub(crate) fn reads_for(&self, queue: &str) -> bool {
        let state = self.state.lock();
        state.names.get(queue).is_some_and(|queue| state.readers.contains(queue))
    }

    /// What would be left of a queue's messages if the process ended now: all that is live.
    pub(crate) fn after_crash(&self, queue: QueueId) -> Option<Shelf> {
        let state = self.state.lock();
        let left = state.shelves.get(&queue)?.after_crash();
        let live = state.queues.get(&queue).into_iter().flat_map(|it| it.live.keys().copied());
        assert!(left.positions().eq(live), "what is live in {queue:?} would be there");
        Some(left)
    }

    /// Reads that wait to be answered.
    pub(crate) fn reads(&self) -> usize {
        self.state.lock().reads.len()
    }

    /// Reads so far, and messages that left memory though they do not outlive the process.
    pub(crate) fn paging(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.pages_read, state.shelves.values().map(Shelf::transient).sum())
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

    /// Where a message stands, or stood last, in a queue.
    pub(crate) fn place(&self, queue: QueueId, life: Life) -> Option<Place> {
        self.state.lock().queues.get(&queue)?.places.get(&life).cloned()
    }

    /// The same by the queue's name, for those that stand still.
    pub(crate) fn place_in(&self, queue: &str, life: Life) -> Option<Place> {
        let queue = *self.state.lock().names.get(queue)?;
        self.place(queue, life)
    }

    /// Messages published to a queue that it took in.
    pub(crate) fn entered(&self, queue: QueueId) -> u64 {
        let state = self.state.lock();
        let lives = state.queues.get(&queue).into_iter().flat_map(|journal| journal.places.keys());
        lives.filter(|life| life.deaths == 0).count() as u64
    }

    /// What became of a queue's dead letters.
    pub(crate) fn moves(&self, queue: QueueId) -> Moves {
        let state = self.state.lock();
        state.queues.get(&queue).map(|journal| journal.moves.clone()).unwrap_or_default()
    }

    /// Live messages of a queue that are not dead of age.
    pub(crate) fn not_expired(&self, queue: QueueId) -> usize {
        self.count(queue, |place, now| place.expires.is_none_or(|expires| expires > now))
    }

    /// Live messages that wait for the time they were published with.
    pub(crate) fn scheduled(&self, queue: QueueId) -> usize {
        self.count(queue, |place, _| place.scheduled)
    }

    fn count(&self, queue: QueueId, counts: impl Fn(&Place, Timestamp) -> bool) -> usize {
        let state = self.state.lock();
        let (Some(now), Some(journal)) = (state.now, state.queues.get(&queue)) else { return 0 };
        let places = journal.live.values().filter_map(|life| journal.places.get(life));
        places.filter(|place| counts(place, now)).count()
    }

    /// Groups of which a queue has messages that are due. A message without one is a group of its own.
    pub(crate) fn groups(&self, queue: QueueId) -> usize {
        let state = self.state.lock();
        let Some(journal) = state.queues.get(&queue) else { return 0 };
        let places = journal.live.values().filter_map(|life| journal.places.get(life));
        let due = || places.clone().filter(|place| !place.scheduled);
        let named: BTreeSet<&String> = due().filter_map(|place| place.group.as_ref()).collect();
        named.len() + due().filter(|place| place.group.is_none()).count()
    }

    /// No message is in two places: whoever arrived somewhere has left where he was.
    pub(crate) fn check_all_have_moved(&self) {
        let state = self.state.lock();
        assert!(state.moving.is_empty(), "in two places at once: {:?}", state.moving);
    }
}

impl State {
    /// Whether it is a message that outlives the process: others are here only to spare memory.
    fn is_recorded(&self, queue: QueueId, position: Position) -> bool {
        self.queues.get(&queue).is_some_and(|journal| journal.live.contains_key(&position))
            || self.shelves.get(&queue).is_none_or(|shelf| !shelf.was_transient(position))
    }

    /// Messages that were left to the store were purged.
    fn cleared(&mut self, queue: QueueId, from: Position, to: Position) {
        let live = self.queues.get(&queue).into_iter().flat_map(|it| it.live.range(from..to));
        let shelf = &self.shelves[&queue];
        let gone = live.map(|(position, _)| *position).filter(|it| !shelf.holds(*it));
        for position in gone.collect::<Vec<Position>>() {
            self.settled(queue, position);
        }
    }

    fn enqueued(&mut self, queue: QueueId, position: Position, message: &Message) {
        let properties = message.properties();
        let properties = PropertiesRef::parse(properties).expect("properties are well-formed");
        let properties = properties.to_owned().expect("properties are well-formed");
        let deaths = Deaths::of(properties.headers.as_ref());
        let number = properties.message_id.as_ref().expect("every message is numbered");
        let id = number.to_str_lossy().parse().expect("a number");
        let life = Life { id, deaths: deaths.total() };
        self.records += 1;
        let records = self.records;
        let now = self.now.expect("the clock was set");
        let due = message.extras().due;
        let scheduled = due.is_some_and(|due| due > now);
        let journal = self.queues.entry(queue).or_default();
        let plan = journal.plan;
        assert!(journal.last < Some(position), "positions of {queue:?} grow");
        journal.last = Some(position);
        let own = properties.expiration.map(|text| text.to_str_lossy().parse().expect("a number"));
        let of_queue = plan.and_then(|plan| plan.discipline.ttl);
        let time_to_live: Option<u64> = [own, of_queue].into_iter().flatten().min();
        let group = properties.headers.as_ref().and_then(|headers| headers.get(GROUP_HEADER));
        let place = Place {
            position,
            scheduled,
            live: true,
            moved: false,
            expires: time_to_live.filter(|_| !scheduled).map(|ttl| now.after(ttl)),
            group: group.and_then(FieldValue::as_str).map(str::to_owned),
        };
        journal.live.insert(position, life);
        match journal.places.insert(life, place) {
            Some(before) => {
                assert!(before.live && before.scheduled, "{life:?} enters {queue:?} once");
                assert!(!scheduled, "{life:?} arrives in {queue:?} when it is due");
                self.moving.insert((queue, before.position));
            }
            None if life.deaths > 0 => self.dead_letter(plan, queue, life, &deaths),
            None => {
                self.record_of.insert(id, records);
            }
        }
    }

    /// A dead letter arrives before it leaves where it died.
    fn dead_letter(
        &mut self,
        into: Option<&QueuePlan>,
        queue: QueueId,
        life: Life,
        deaths: &Deaths,
    ) {
        let death = deaths.last().expect("it has died");
        // Queues that come and go get it beside one that stands still.
        let Some(into) = into else { return };
        let reason = &death.reason;
        assert!(deaths.may_enter(into.name), "{life:?} goes round to {}: {deaths:?}", into.name);
        self.queues.entry(queue).or_default().moves.arrived += 1;
        let Some(&from) = self.names.get(death.queue.as_str()) else { return };
        let source = self.queues.get_mut(&from).expect("the queue where it died");
        let discipline = source.plan.expect("it has a name").discipline;
        if let Some(place) = source.places.get_mut(&life.before()) {
            assert!(place.live, "{life:?} arrives in {} after it left {}", into.name, death.queue);
            self.moving.insert((from, place.position));
            place.moved = true;
            *source.moves.by_reason.entry(reason.clone()).or_default() += 1;
        } else {
            let refuses = discipline.overflow == Overflow::RejectDeadLetter || discipline.policies;
            assert!(refuses && reason == "maxlen", "{life:?} never was in {}", death.queue);
            source.moves.refused += 1;
        }
    }

    fn settled(&mut self, queue: QueueId, position: Position) {
        let journal = self.queues.get_mut(&queue);
        let journal = journal.unwrap_or_else(|| panic!("{queue:?} has no message"));
        let life = journal.live.remove(&position);
        let life = life.unwrap_or_else(|| {
            panic!("{position:?} of {queue:?} is settled once, after it was enqueued")
        });
        self.moving.remove(&(queue, position));
        let place = journal.places.get_mut(&life).expect("it was enqueued");
        if place.position != position {
            // It took its place at the end when it was due.
            return;
        }
        place.live = false;
        let group = place.group.clone();
        let in_order = journal.plan.is_some_and(|plan| {
            let discipline = plan.discipline;
            discipline.grouped && discipline.ttl.is_none() && discipline.max_length.is_none()
        });
        if !in_order || group.is_none() {
            return;
        }
        // Whatever happens in between, a group is worked off one by one, in order.
        let earlier = journal.live.range(..position).map(|(_, life)| &journal.places[life]);
        let overtaken = earlier.filter(|place| place.group == group && !place.scheduled).count();
        // Those with a time to live of their own may go before their turn.
        let may_expire = journal.places[&life].expires.is_some();
        assert!(overtaken == 0 || may_expire, "{life:?} of group {group:?} overtook {overtaken}");
    }
}

impl Persist for SimStore {
    fn record(&self, queue: QueueId, records: &mut Vec<QueueRecord>) {
        let mut state = self.state.lock();
        for record in records.drain(..) {
            state.shelves.entry(queue).or_default().keep(&record);
            match record {
                QueueRecord::Entered { position, message, .. } => {
                    state.enqueued(queue, position, &message);
                }
                QueueRecord::Settled(position) => {
                    if state.is_recorded(queue, position) {
                        state.settled(queue, position);
                    }
                }
                QueueRecord::Cleared(from, to) => state.cleared(queue, from, to),
                QueueRecord::PagedOut { .. }
                | QueueRecord::Delivered(_)
                | QueueRecord::Returned { .. } => {}
            }
        }
    }

    fn remove_queue(&self, queue: QueueId) {
        let mut state = self.state.lock();
        let live = state.queues.get(&queue).into_iter().flat_map(|journal| journal.live.keys());
        for position in live.copied().collect::<Vec<Position>>() {
            state.settled(queue, position);
        }
        state.shelves.remove(&queue);
    }

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        true
    }
}

impl Store for SimStore {
    fn unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn nested_unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn fetch(&self, queue: QueueId, wanted: Wanted, requester: Box<dyn Requester>) {
        let mut state = self.state.lock();
        state.pages_read += 1;
        state.readers.insert(queue);
        state.reads.push_back(Read { queue, wanted, page: None, requester });
        let slow = state.slow_reads;
        drop(state);
        if !slow {
            self.answer(usize::MAX);
        }
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn is_disk_low(&self) -> bool {
        false
    }

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
