//! What queues record, drawn by lot: only what they really could.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sim_disk::Random;
use super::model::{Entry, MessageNumber, Model, Op, UnitOfOps};
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;
use crate::broker::time::Timestamp;

/// Queues that there are at any time.
const QUEUES: usize = 4;

/// The broker at work, as far as a store sees it.
#[derive(Debug)]
pub(super) struct Workload {
    queues: Vec<QueueId>,
    /// The next position of each.
    next: BTreeMap<QueueId, u64>,
    /// Transient messages that are in memory.
    in_memory: BTreeSet<(QueueId, Position)>,
    /// With consumers of this process.
    held: BTreeSet<(QueueId, Position)>,
    next_message: MessageNumber,
    next_queue: u64,
    pub(super) random: Random,
}

impl Workload {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            queues: (1..=QUEUES as u64).map(QueueId).collect(),
            next: BTreeMap::new(),
            in_memory: BTreeSet::new(),
            held: BTreeSet::new(),
            next_message: 1,
            next_queue: 1 + QUEUES as u64,
            random: Random(seed),
        }
    }

    /// The next process goes on, from what it was told.
    pub(super) fn restart(&mut self, next: BTreeMap<QueueId, u64>, first_free: QueueId) {
        self.in_memory.clear();
        self.held.clear();
        self.next = next;
        let taken = self.queues.iter().map(|queue| queue.0 + 1).max();
        self.next_queue = first_free.0.max(taken.unwrap_or(1));
    }

    pub(super) fn queues(&self) -> &[QueueId] {
        &self.queues
    }

    /// Whether something happens that does so once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let count = all.len() as u64;
        (count > 0).then(|| all[self.random.below(count) as usize])
    }

    /// The next unit; it may be empty.
    pub(super) fn unit(&mut self, model: &Model) -> UnitOfOps {
        match self.random.below(100) {
            0..32 => self.publish(),
            32..48 => self.deliver(model),
            48..62 => self.settle(model),
            62..72 => self.give_back(model),
            72..78 => self.come_due(model),
            78..84 => self.dead_letter(model),
            84..88 => self.page_out(),
            88..92 => self.clear(model),
            92..94 => self.drain(model),
            94 => self.remove_queue(model),
            _ => self.change_key(),
        }
    }

    fn time(&mut self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.random.below(100_000))
    }

    fn time_once_in(&mut self, times: u64) -> Option<Timestamp> {
        if self.once_in(times) { Some(self.time()) } else { None }
    }

    fn position(&mut self, queue: QueueId) -> Position {
        let next = self.next.entry(queue).or_default();
        *next += 1;
        Position(*next - 1)
    }

    fn entry(&mut self, message: MessageNumber) -> Entry {
        let expires = self.time_once_in(4).unwrap_or(Timestamp::NEVER);
        let due = self.time_once_in(6);
        Entry { message, expires, due, returns: 0, delivered: false, transient: false }
    }

    fn new_message(&mut self) -> MessageNumber {
        self.next_message += 1;
        self.next_message - 1
    }

    fn publish(&mut self) -> UnitOfOps {
        let mut ops = Vec::new();
        for _ in 0..=self.random.below(3) {
            let message = self.new_message();
            if self.once_in(5) {
                let queue = self.queues[self.random.below(QUEUES as u64) as usize];
                let position = self.position(queue);
                self.in_memory.insert((queue, position));
                continue;
            }
            let count = 1 + self.random.below(3).saturating_sub(1) as usize;
            let first = self.random.below(QUEUES as u64) as usize;
            for at in first..first + count {
                let queue = self.queues[at % QUEUES];
                let entry = self.entry(message);
                ops.push(Op::Entered(queue, self.position(queue), entry));
            }
        }
        ops
    }

    /// Those of some queue that are as wanted, from the front.
    fn some(
        &mut self,
        model: &Model,
        is_wanted: impl Fn(&Self, (QueueId, Position), &Entry) -> bool,
    ) -> Vec<(QueueId, Position, Entry)> {
        let queues: Vec<_> = model.queues.keys().copied().collect();
        let Some(queue) = self.one_of(&queues) else { return Vec::new() };
        let wanted = model.queues[&queue]
            .iter()
            .filter(|(position, entry)| is_wanted(self, (queue, **position), entry));
        let wanted: Vec<_> = wanted.map(|(&position, entry)| (queue, position, *entry)).collect();
        let count = 1 + self.random.below(6) as usize;
        let skipped = if self.once_in(3) { self.random.below(5) as usize } else { 0 };
        wanted.into_iter().skip(skipped).take(count).collect()
    }

    /// Messages go to consumers, and some are acknowledged at once.
    fn deliver(&mut self, model: &Model) -> UnitOfOps {
        let ready = self.some(model, |_, _, entry| entry.due.is_none() && !entry.delivered);
        let mut ops = Vec::new();
        for (queue, position, _) in ready {
            ops.push(Op::Delivered(queue, position));
            if self.once_in(4) {
                ops.push(Op::Settled(queue, position));
            } else {
                self.held.insert((queue, position));
            }
        }
        ops
    }

    fn settle(&mut self, model: &Model) -> UnitOfOps {
        let done = self.some(model, |_, _, entry| entry.delivered || entry.returns > 0);
        done.into_iter().map(|(queue, position, _)| self.settled(queue, position)).collect()
    }

    fn settled(&mut self, queue: QueueId, position: Position) -> Op {
        self.held.remove(&(queue, position));
        Op::Settled(queue, position)
    }

    /// Consumers give messages back; some are to be tried again later.
    fn give_back(&mut self, model: &Model) -> UnitOfOps {
        let given = self.some(model, |_, _, entry| entry.delivered);
        let given = given.into_iter().map(|(queue, position, entry)| {
            self.held.remove(&(queue, position));
            let due = self.time_once_in(3);
            Op::Returned(queue, position, entry.returns + 1, due)
        });
        given.collect()
    }

    /// A retry is ready where it stood; what was delayed takes its place at the end.
    fn come_due(&mut self, model: &Model) -> UnitOfOps {
        let waiting = self.some(model, |_, _, entry| entry.due.is_some());
        let mut ops = Vec::new();
        for (queue, position, entry) in waiting {
            if entry.returns > 0 {
                ops.push(Op::Returned(queue, position, entry.returns, None));
            } else {
                let arrived = Entry { due: None, ..entry };
                ops.push(Op::Entered(queue, self.position(queue), arrived));
                ops.push(Op::Settled(queue, position));
            }
        }
        ops
    }

    /// A message leaves one queue and enters another one.
    fn dead_letter(&mut self, model: &Model) -> UnitOfOps {
        let expired = self.some(model, |_, _, entry| entry.due.is_none());
        let mut ops = Vec::new();
        for (queue, position, _) in expired {
            let to = self.queues[self.random.below(QUEUES as u64) as usize];
            let message = self.new_message();
            let entry = self.entry(message);
            ops.push(Op::Entered(to, self.position(to), entry));
            ops.push(self.settled(queue, position));
        }
        ops
    }

    fn page_out(&mut self) -> UnitOfOps {
        let mut ops = Vec::new();
        for _ in 0..3 {
            let Some((queue, position)) = self.in_memory.pop_first() else { break };
            let message = self.new_message();
            let entry = Entry { transient: true, due: None, ..self.entry(message) };
            ops.push(Op::Entered(queue, position, entry));
        }
        ops
    }

    /// A purge: all that is ready. What is behind the first that somebody has stays in memory, and is
    /// settled by itself.
    fn clear(&mut self, model: &Model) -> UnitOfOps {
        let queues: Vec<_> = model.queues.keys().copied().collect();
        let Some(queue) = self.one_of(&queues) else { return Vec::new() };
        let next = self.next.get(&queue).copied().unwrap_or_default();
        let from = Position(self.random.below(next / 2 + 1));
        let held = self.held.range((queue, from)..=(queue, Position(u64::MAX)));
        let to = held.map(|(_, position)| *position).next().unwrap_or(Position(next));
        let mut ops = Vec::new();
        if from < to {
            ops.push(Op::Cleared(queue, from, to));
        }
        ops
    }

    /// Consumers catch up with a queue.
    fn drain(&mut self, model: &Model) -> UnitOfOps {
        let queues: Vec<_> = model.queues.keys().copied().collect();
        let Some(queue) = self.one_of(&queues) else { return Vec::new() };
        let all = model.queues[&queue].keys().copied();
        all.map(|position| self.settled(queue, position)).collect()
    }

    /// A queue is deleted, and another one declared.
    fn remove_queue(&mut self, model: &Model) -> UnitOfOps {
        let at = self.random.below(QUEUES as u64) as usize;
        let queue = self.queues[at];
        if model.queues.get(&queue).is_none_or(|entries| entries.len() < 5) {
            return Vec::new();
        }
        self.queues[at] = QueueId(self.next_queue);
        self.next_queue += 1;
        self.held.retain(|(of, _)| *of != queue);
        self.in_memory.retain(|(of, _)| *of != queue);
        vec![Op::RemovedQueue(queue)]
    }

    fn change_key(&mut self) -> UnitOfOps {
        let key = self.random.below(12) as u8;
        if self.once_in(4) {
            vec![Op::Removed(key)]
        } else {
            vec![Op::Put(key, self.random.below(1 << 40))]
        }
    }
}
