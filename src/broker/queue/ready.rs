//! The messages of a queue that wait for a consumer, by the queue's discipline.

use super::super::effect::{Position, Wanted};
use super::super::queue_settings::QueueSettings;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::groups::Groups;
use super::lane::{Lane, Paged};
use super::priorities::PriorityLanes;
use super::window::Window;

/// Ready messages.
#[derive(Debug)]
pub(super) struct ReadyList {
    discipline: Discipline,
    expiries: ExpiryIndex,
    len: usize,
    bytes: u64,
    /// The store was asked for what is next.
    reading: bool,
}

/// What [`ReadyList::drain`] takes.
#[derive(Debug)]
pub(super) struct Drained {
    /// What was in memory.
    pub(super) entries: Vec<Entry>,
    /// How many were not.
    pub(super) paged: usize,
    /// Where these stood, from each first position to before the second.
    pub(super) ranges: Vec<(Position, Position)>,
}

/// Which message is next.
#[derive(Debug)]
enum Discipline {
    /// The oldest.
    Fifo(Lane),
    /// The oldest of the highest priority.
    Priority(PriorityLanes),
    /// The oldest of the group whose turn it is.
    Groups(Groups),
}

impl ReadyList {
    pub(super) fn new(settings: &QueueSettings) -> Self {
        let discipline = match (&settings.group, settings.max_priority) {
            (Some(group), _) => Discipline::Groups(Groups::new(group.clone())),
            (None, Some(max)) => Discipline::Priority(PriorityLanes::new(max)),
            (None, None) => Discipline::Fifo(Lane::default()),
        };
        Self { discipline, expiries: ExpiryIndex::default(), len: 0, bytes: 0, reading: false }
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes in their bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a consumer could have a message now.
    pub(super) fn is_deliverable(&mut self) -> bool {
        match &mut self.discipline {
            Discipline::Groups(groups) => groups.is_deliverable(),
            Discipline::Fifo(lane) => lane.has_next(),
            Discipline::Priority(_) => self.len > 0,
        }
    }

    /// How many of its messages lie in the store.
    pub(super) fn paged(&self) -> usize {
        self.paged_out().map_or(0, |paged| paged.count)
    }

    fn paged_out(&self) -> Option<Paged> {
        match &self.discipline {
            Discipline::Fifo(lane) => lane.paged(),
            _ => None,
        }
    }

    /// Whether messages may be left to the store: only where the next one is always the oldest.
    pub(super) fn can_page(&self) -> bool {
        matches!(self.discipline, Discipline::Fifo(_))
    }

    /// Lets messages leave memory where there are too many for it: those that are given back are in the
    /// store from now on. `may_leave` says which ones can.
    pub(super) fn page_out(
        &mut self,
        window: Window,
        may_leave: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let mut left = Vec::new();
        let in_memory = self.len - self.paged();
        let bytes = self.bytes - self.paged_out().map_or(0, |paged| paged.bytes);
        let window = window.fitted(in_memory, bytes);
        if in_memory > 2 * window.messages
            && let Discipline::Fifo(lane) = &mut self.discipline
        {
            lane.page_out(window, may_leave, &mut left);
        }
        left
    }

    /// What to ask of the store now, by whether anybody waits for messages.
    pub(super) fn wanted(&mut self, window: Window, demand: bool) -> Option<Wanted> {
        let Discipline::Fifo(lane) = &self.discipline else { return None };
        let Paged { from, to, count, bytes } = lane.paged().filter(|_| !self.reading)?;
        let messages_max = window.fitted(count, bytes).wanted(lane.head_len(), demand);
        self.reading = messages_max > 0;
        self.reading.then_some(Wanted { from, to, messages_max, bytes_max: window.bytes })
    }

    /// The store was asked, and has answered. Whether what it gave, from one position to before another,
    /// has what is next: all may have been purged meanwhile.
    pub(super) fn has_read(&mut self, from: Position, next: Position) -> bool {
        self.reading = false;
        self.paged_out()
            .is_some_and(|paged| paged.from == from || (from..next).contains(&paged.from))
    }

    /// Whether a message that the store gave is one that was left to it.
    pub(super) fn is_paged(&self, position: Position) -> bool {
        matches!(&self.discipline, Discipline::Fifo(lane) if lane.is_paged(position))
    }

    /// What was in the store up to `next` is in memory again. How many messages the store has lost.
    pub(super) fn paged_in(&mut self, entries: Vec<Entry>, next: Position) -> usize {
        let Discipline::Fifo(lane) = &mut self.discipline else { return 0 };
        let Some(missing) = lane.paged_in(entries, next, &mut self.expiries) else { return 0 };
        self.len -= missing.count;
        self.bytes -= missing.bytes;
        missing.count
    }

    /// A message that the store had is not ready: somebody had it when the process ended.
    pub(super) fn forget_paged(&mut self, entry: &Entry) {
        self.len -= 1;
        self.bytes -= entry.message.body_len();
        if let Discipline::Fifo(lane) = &mut self.discipline {
            lane.forget_paged(entry);
        }
    }

    /// Messages of an earlier process that lie in the store.
    /// None of them expires after `latest`.
    pub(super) fn restore(&mut self, paged: Paged, latest: Timestamp) {
        if let Discipline::Fifo(lane) = &mut self.discipline {
            self.len += paged.count;
            self.bytes += paged.bytes;
            lane.restore(paged, latest);
        }
    }

    /// A message of an earlier process is not ready: it was delivered, or waits for its retry. It can
    /// be put back as if it had been popped.
    pub(super) fn hold(&mut self, entry: &mut Entry) {
        match &mut self.discipline {
            Discipline::Fifo(_) => {}
            Discipline::Priority(lanes) => lanes.assign(entry),
            Discipline::Groups(groups) => groups.hold(entry),
        }
    }

    /// Appends a new message.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entered(&entry);
        match &mut self.discipline {
            Discipline::Fifo(lane) => lane.push(entry, true, &mut self.expiries),
            Discipline::Priority(lanes) => lanes.push(entry, &mut self.expiries),
            Discipline::Groups(groups) => groups.push(entry, &mut self.expiries),
        }
    }

    /// Puts a message that was popped back where it stood.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.entered(&entry);
        match &mut self.discipline {
            Discipline::Fifo(lane) => lane.put_back(entry, &mut self.expiries),
            Discipline::Priority(lanes) => lanes.put_back(entry, &mut self.expiries),
            Discipline::Groups(groups) => groups.put_back(entry, &mut self.expiries),
        }
    }

    /// Takes the message that is next. [`ReadyList::put_back`] or [`ReadyList::settled`] ends its
    /// time out of here.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = match &mut self.discipline {
            Discipline::Fifo(lane) => lane.pop(),
            Discipline::Priority(lanes) => lanes.pop(),
            Discipline::Groups(groups) => groups.pop(),
        };
        self.left(entry)
    }

    /// A message that was popped left for good.
    pub(super) fn settled(&mut self, entry: &Entry) {
        if let Discipline::Groups(groups) = &mut self.discipline {
            groups.settled(entry);
        }
    }

    /// Takes, for good, the message that has to go when there are too many: the one that is next, as
    /// in RabbitMQ even where it has the highest priority; of groups the oldest.
    pub(super) fn drop_head(&mut self) -> Option<Entry> {
        let entry = match &mut self.discipline {
            Discipline::Fifo(lane) => lane.pop(),
            Discipline::Priority(lanes) => lanes.pop(),
            Discipline::Groups(groups) => groups.pop_oldest(),
        };
        self.left(entry)
    }

    /// When the first message expires.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        let indexed = self.expiries.first().map(|(expires, ..)| expires);
        match self.first_in_turn().map(|(expires, _)| expires) {
            Some(in_turn) => Some(indexed.map_or(in_turn, |indexed| indexed.min(in_turn))),
            None => indexed,
        }
    }

    fn first_in_turn(&self) -> Option<(Timestamp, Position)> {
        match &self.discipline {
            Discipline::Fifo(lane) => lane.first_in_turn(),
            _ => None,
        }
    }

    /// Takes, for good, a message that is dead at `now`: the one that died first, of those that died
    /// together the one that stands first.
    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<Entry> {
        let in_turn = self.first_in_turn();
        let indexed = self.expiries.first().filter(|&(expires, position, _)| {
            expires <= now && in_turn.is_none_or(|in_turn| (expires, position) < in_turn)
        });
        let entry = match (&mut self.discipline, indexed) {
            (Discipline::Fifo(lane), None) if in_turn?.0 <= now => lane.pop_in_turn(),
            (Discipline::Fifo(lane), Some((_, position, _))) => lane.take(position),
            (Discipline::Priority(lanes), Some((_, position, lane))) => lanes.take(position, lane),
            (Discipline::Groups(groups), Some((_, position, lane))) => groups.take(position, lane),
            (_, None) => None,
        };
        self.left(entry)
    }

    /// Takes everything, for good.
    pub(super) fn drain(&mut self) -> Drained {
        let paged = self.paged();
        let ranges = match &self.discipline {
            Discipline::Fifo(lane) => lane.paged_ranges(),
            _ => Vec::new(),
        };
        Drained { entries: self.drain_memory(), paged, ranges }
    }

    fn drain_memory(&mut self) -> Vec<Entry> {
        self.expiries = ExpiryIndex::default();
        (self.len, self.bytes) = (0, 0);
        match &mut self.discipline {
            Discipline::Fifo(lane) => lane.drain(),
            Discipline::Priority(lanes) => lanes.drain(),
            Discipline::Groups(groups) => groups.drain(),
        }
    }

    /// A message left for good, wherever it was.
    pub(super) fn gone(&mut self, position: Position) {
        if let Discipline::Fifo(lane) = &mut self.discipline {
            lane.gone(position);
        }
    }

    /// How many groups it remembers.
    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        match &self.discipline {
            Discipline::Groups(groups) => groups.len(),
            _ => 0,
        }
    }

    fn entered(&mut self, entry: &Entry) {
        self.len += 1;
        self.bytes += entry.message.body_len();
    }

    fn left(&mut self, entry: Option<Entry>) -> Option<Entry> {
        let mut entry = entry?;
        self.len -= 1;
        self.bytes -= entry.message.body_len();
        if entry.indexed {
            self.expiries.forget(&mut entry);
        }
        Some(entry)
    }
}
