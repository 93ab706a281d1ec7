//! The index against a map of all messages, through checkpoints and crashes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A record of the log.
#[derive(Debug, Clone)]
enum Record {
    Entered { queue: u8, skip: u64, due: Option<u64>, transient: bool },
    Moved(u8, u64),
    Settled(u8, u64, u64),
    Delivered(u8, u64, u64),
    Returned(u8, u64, u32, Option<u64>),
    Cleared(u8, u64, u64),
    RemovedQueue(u8),
    Put(u8, u8),
    Removed(u8),
}

#[derive(Debug, Clone)]
enum Step {
    Frame(Vec<Record>),
    Freeze,
    /// Fails at that batch or flush, if there are as many.
    FailingWrite(u64),
    Write,
    /// So many of the batches since the last flush are found again.
    Crash(u64),
    Compare,
}

/// Where in a queue: few places, so that several things happen at the same one, and any at all. It is
/// brought down to what was used.
fn position() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..6_u64, 2 => 508..516_u64, 1 => 0..3000_u64]
}

fn due() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => Just(None), 1 => (1..9_u64).prop_map(Some)]
}

fn record() -> impl Strategy<Value = Record> {
    let queue = prop_oneof![5 => Just(0_u8), 1 => 1..3_u8].boxed();
    let skip = prop_oneof![9 => Just(0), 2 => 1..4_u64, 1 => 400..700_u64];
    let length = prop_oneof![9 => 0..3_u64, 1 => 0..2000_u64];
    let range = (position(), length).prop_map(|(first, length)| (first, first + length)).boxed();
    let entered = (queue.clone(), skip, due(), any::<bool>());
    prop_oneof![
        12 => entered.prop_map(|(queue, skip, due, transient)| {
            Record::Entered { queue, skip, due, transient }
        }),
        3 => (queue.clone(), position()).prop_map(|(queue, at)| Record::Moved(queue, at)),
        2 => (queue.clone(), range.clone()).prop_map(|(queue, (a, b))| Record::Settled(queue, a, b)),
        3 => (queue.clone(), range.clone())
            .prop_map(|(queue, (a, b))| Record::Delivered(queue, a, b)),
        3 => (queue.clone(), position(), 1..5_u32, due())
            .prop_map(|(queue, at, returns, due)| Record::Returned(queue, at, returns, due)),
        2 => (queue.clone(), range).prop_map(|(queue, (a, b))| Record::Cleared(queue, a, b)),
        1 => (0..3_u8).prop_map(Record::RemovedQueue),
        1 => (0..5_u8, any::<u8>()).prop_map(|(key, value)| Record::Put(key, value)),
        1 => (0..5_u8).prop_map(Record::Removed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(record(), 1..8).prop_map(Step::Frame),
        3 => Just(Step::Freeze),
        2 => (0..12_u64).prop_map(Step::FailingWrite),
        2 => Just(Step::Write),
        2 => any::<u64>().prop_map(Step::Crash),
        2 => Just(Step::Compare),
    ]
}

/// A record that fits the state it was written in, as those in a log do.
#[derive(Debug, Clone)]
enum Written {
    Entered(QueueId, Position, Place),
    Moved(QueueId, Position, Location),
    Settled(QueueId, Position, Position),
    Delivered(QueueId, Position, Position),
    Returned(QueueId, Position, u32, Option<Timestamp>),
    Cleared(QueueId, Position, Position),
    RemovedQueue(QueueId),
    Put(u8, u8),
    Removed(u8),
}

#[derive(Debug, Default)]
struct Model {
    places: BTreeMap<(QueueId, Position), Place>,
    /// A queue that was removed gets another id when it is declared again.
    ids: [u64; 3],
    next: BTreeMap<QueueId, u64>,
    keys: BTreeMap<u8, u8>,
    offset: u32,
}

impl Model {
    fn id(&self, queue: u8) -> QueueId {
        QueueId(u64::from(queue) + 3 * self.ids[usize::from(queue)])
    }

    fn has(&self, queue: QueueId, first: u64, last: u64) -> Vec<Position> {
        if first > last {
            return Vec::new();
        }
        let range = self.places.range((queue, Position(first))..=(queue, Position(last)));
        range.map(|((_, position), _)| *position).collect()
    }

    fn location(&mut self) -> Location {
        self.offset += 1;
        let offset = self.offset;
        Location { segment: SegmentId(1 + offset / 40), offset, length: 10 + offset % 3 }
    }

    /// Does it, and says what is written down.
    fn write(&mut self, record: &Record) -> Vec<Written> {
        match *record {
            Record::Entered { queue, skip, due, transient } => {
                let queue = self.id(queue);
                let at = self.next.get(&queue).copied().unwrap_or_default() + skip;
                let location = self.location();
                let body_len = u64::from(location.length) / 2;
                let due = due.map(Timestamp);
                let place = Place { location, body_len, due, transient, ..place(0, 0) };
                self.next.insert(queue, at + 1);
                self.places.insert((queue, Position(at)), place);
                vec![Written::Entered(queue, Position(at), place)]
            }
            Record::Moved(queue, at) => {
                let (queue, at, location) = (self.id(queue), Position(at), self.location());
                if let Some(place) = self.places.get_mut(&(queue, at)) {
                    place.location = location;
                }
                vec![Written::Moved(queue, at, location)]
            }
            Record::Settled(queue, first, last) => {
                let queue = self.id(queue);
                for at in self.has(queue, first, last) {
                    self.places.remove(&(queue, at));
                }
                // None is settled that has not entered.
                let next = self.next.get(&queue).copied().unwrap_or_default();
                let last = last.min(next.saturating_sub(1));
                let settled = Written::Settled(queue, Position(first), Position(last));
                if first < next { vec![settled] } else { Vec::new() }
            }
            Record::Delivered(queue, first, last) => {
                let queue = self.id(queue);
                let mut written = Vec::new();
                for at in self.has(queue, first, last) {
                    let Some(place) = self.places.get_mut(&(queue, at)) else { continue };
                    (place.delivered, place.due) = (true, None);
                    written.push(Written::Delivered(queue, at, at));
                }
                written
            }
            Record::Returned(queue, at, returns, due) => {
                let (queue, at, due) = (self.id(queue), Position(at), due.map(Timestamp));
                let Some(place) = self.places.get_mut(&(queue, at)) else { return Vec::new() };
                (place.delivered, place.returns, place.due) = (false, returns, due);
                vec![Written::Returned(queue, at, returns, due)]
            }
            Record::Cleared(queue, from, to) => {
                let queue = self.id(queue);
                let to = to.min(self.next.get(&queue).copied().unwrap_or_default());
                for at in self.has(queue, from, to) {
                    if at.0 < to && self.places[&(queue, at)].due.is_none() {
                        self.places.remove(&(queue, at));
                    }
                }
                vec![Written::Cleared(queue, Position(from), Position(to))]
            }
            Record::RemovedQueue(queue) => {
                let id = self.id(queue);
                self.ids[usize::from(queue)] += 1;
                self.next.remove(&id);
                self.places.retain(|(queue, _), _| *queue != id);
                vec![Written::RemovedQueue(id)]
            }
            Record::Put(key, value) => {
                self.keys.insert(key, value);
                vec![Written::Put(key, value)]
            }
            Record::Removed(key) => {
                self.keys.remove(&key);
                vec![Written::Removed(key)]
            }
        }
    }

    fn summary(&self, queue: QueueId) -> Summary {
        let mut summary = Summary::default();
        let places = || self.places.range((queue, Position(0))..=(queue, Position(u64::MAX)));
        places().for_each(|(_, place)| summary.add(place));
        summary.next_position = self.next.get(&queue).copied().unwrap_or_default();
        let first = places().find(|(_, place)| place.due.is_none());
        summary.first = first.map_or(summary.next_position, |((_, at), _)| at.0);
        summary
    }

    fn live(&self) -> LiveCounts {
        let mut live = LiveCounts::default();
        self.places.values().for_each(|place| live.add(place.location));
        live
    }
}

fn replay(index: &Index, frame: &[Written]) {
    let mut changes = index.changes();
    for record in frame {
        match record {
            Written::Entered(queue, at, place) => changes.entered(*queue, *at, place),
            Written::Moved(queue, at, location) => changes.moved(*queue, *at, *location),
            Written::Settled(queue, first, last) => changes.settled(*queue, *first, *last),
            Written::Delivered(queue, first, last) => changes.delivered(*queue, *first, *last),
            Written::Returned(queue, at, returns, due) => {
                changes.returned(*queue, *at, *returns, *due);
            }
            Written::Cleared(queue, from, to) => changes.cleared(*queue, *from, *to),
            Written::RemovedQueue(queue) => changes.removed_queue(*queue),
            Written::Put(key, value) => changes.put(vec![*key], vec![*value]),
            Written::Removed(key) => changes.removed(vec![*key]),
        }
    }
}

/// An index with the log that it follows from.
struct World {
    kv: Arc<MemoryKeyValue>,
    index: Index,
    log: Vec<Vec<Written>>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let (kv, index) = fresh();
        Self { kv, index, log: Vec::new(), model: Model::default() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Frame(records) => {
                let frame: Vec<_> =
                    records.iter().flat_map(|record| self.model.write(record)).collect();
                replay(&self.index, &frame);
                self.log.push(frame);
            }
            Step::Freeze => {
                let sequence = self.log.len() as u64;
                let segment = SegmentId(1 + self.model.offset / 40);
                self.index.freeze(CheckpointMark { segment, offset: 0, sequence });
            }
            Step::FailingWrite(calls) => {
                self.kv.fail_after(*calls);
                // It succeeds if it makes fewer calls.
                let _ = self.index.write_frozen();
                self.kv.fail_after(u64::MAX);
            }
            Step::Write => self.index.write_frozen().unwrap(),
            Step::Crash(choice) => {
                self.kv = Arc::new(self.kv.crash(*choice));
                let (index, mark) = Index::open(self.kv.clone()).unwrap();
                self.index = index;
                let from = mark.map_or(0, |mark| usize::try_from(mark.sequence).unwrap());
                self.log[from..].iter().for_each(|frame| replay(&self.index, frame));
            }
            Step::Compare => self.compare(),
        }
        let problems = self.index.check().unwrap().problems;
        assert_eq!(problems, Vec::<String>::new());
    }

    fn compare(&self) {
        for queue in 0..3 {
            self.compare_queue(self.model.id(queue));
        }
        for (segment, live) in self.model.live().iter() {
            let says = self.index.live(segment);
            assert!(says.references >= live.references, "{segment:?} has {live:?}, not {says:?}");
            assert!(says.bytes >= live.bytes, "{segment:?} has {live:?}, not {says:?}");
        }
        let found = self.index.scan(&[]).unwrap();
        let expected = self.model.keys.iter().map(|(key, value)| (vec![*key], vec![*value]));
        assert!(expected.eq(found), "the broker's keys");
        assert!(self.model.next.keys().eq(&self.index.queues().unwrap()), "the queues");
    }

    fn compare_queue(&self, queue: QueueId) {
        let places = self.model.places.range((queue, Position(0))..(queue, Position(u64::MAX)));
        let places = places.map(|((_, position), place)| (*position, *place));
        let (scheduled, present): (Vec<_>, Vec<_>) =
            places.partition(|(_, place)| place.due.is_some());
        let found = self.index.read(queue, Position(0), Position(u64::MAX), usize::MAX).unwrap();
        assert_eq!(found.entries, present, "{queue:?}");
        assert_eq!(self.index.scheduled(queue).unwrap(), scheduled, "{queue:?}");
        assert_eq!(self.index.summary(queue).unwrap(), self.model.summary(queue), "{queue:?}");
        for (position, place) in present.iter().chain(&scheduled).take(20) {
            assert_eq!(self.index.place(queue, *position).unwrap(), Some(*place));
        }
    }

    /// After two checkpoints nothing is in memory, and the counts are exact.
    fn compare_at_rest(&mut self) {
        for _ in 0..2 {
            self.take(&Step::Freeze);
            self.take(&Step::Write);
        }
        self.compare();
        for (segment, live) in self.index.state.lock().live.iter() {
            assert_eq!(live, self.model.live().get(segment), "{segment:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_index_holds_what_the_log_says(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.compare();
        world.compare_at_rest();
        world.take(&Step::Crash(0));
        world.compare();
    }
}
