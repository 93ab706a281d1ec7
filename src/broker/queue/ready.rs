//! The messages of a queue that wait for a consumer, by the queue's discipline.

use super::super::effect::{Position, WantedRun};
use super::super::message::Message;
use super::super::queue_settings::QueueSettings;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::groups::Groups;
use super::lane::{Lane, Paged};
use super::priorities::PriorityLanes;
use super::stubs::{self, Recall};
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
    /// Those that only their places are here of, and bytes in their bodies.
    stubs: usize,
    stub_bytes: u64,
    /// Messages that were read back into their places and may not have left since: half of them at most
    /// may, before more is asked for.
    ahead: usize,
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
        Self {
            discipline,
            expiries: ExpiryIndex::default(),
            len: 0,
            bytes: 0,
            reading: false,
            stubs: 0,
            stub_bytes: 0,
            ahead: 0,
        }
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
        let is_there = match &mut self.discipline {
            Discipline::Groups(groups) => groups.is_deliverable(),
            Discipline::Fifo(lane) => lane.has_next(),
            Discipline::Priority(_) => self.len > 0,
        };
        is_there && !self.is_next_stub()
    }

    /// Whether the message that is next has to be read before anybody can have it.
    pub(super) fn is_next_stub(&mut self) -> bool {
        if self.stubs == 0 {
            return false;
        }
        let next = match &mut self.discipline {
            Discipline::Fifo(_) => None,
            Discipline::Priority(lanes) => lanes.next(),
            Discipline::Groups(groups) => groups.next(),
        };
        next.is_some_and(|entry| entry.message.is_stub())
    }

    /// Whether those of which more than the place is in memory fill the window.
    pub(super) fn fills(&self, window: Window) -> bool {
        window.is_filled_by(self.len - self.stubs, self.bytes - self.stub_bytes)
    }

    /// Asks for the messages of those places that are next.
    pub(super) fn recall(&mut self, recall: &mut Recall) {
        let max = recall.messages_max(self.stubs, self.stub_bytes);
        let is_short = self.stubs > 0 && 0 < self.ahead && self.ahead <= max / 2;
        if !(is_short || self.is_next_stub()) {
            return;
        }
        let found = match &self.discipline {
            Discipline::Fifo(_) => false,
            Discipline::Priority(lanes) => recall.ask(lanes.iter()),
            Discipline::Groups(groups) => recall.ask(groups.iter(max)),
        };
        if !found {
            self.ahead = 0;
        }
    }

    /// Puts a message into its place; given back is the stub that stood there, or the message.
    pub(super) fn fill(
        &mut self,
        position: Position,
        lane: u32,
        message: Message,
    ) -> Result<Message, Message> {
        let stub = stubs::fill(self.get_mut(position, lane), message)?;
        self.stubs -= 1;
        self.stub_bytes -= stub.body_len();
        self.ahead += 1;
        Ok(stub)
    }

    /// A message that waits in memory, wherever it stands: it may become a stub, if [`ReadyList::thinned`]
    /// says so.
    pub(super) fn get_thick(&mut self, position: Position, lane: u32) -> Option<&mut Entry> {
        self.get_mut(position, lane).filter(|entry| !entry.message.is_stub())
    }

    /// A message with a body of this size has become a stub.
    pub(super) fn thinned(&mut self, bytes: u64) {
        self.stubs += 1;
        self.stub_bytes += bytes;
    }

    /// Takes a place, for good, if there is only a stub.
    pub(super) fn take_stub(&mut self, position: Position, lane: u32) -> Option<Entry> {
        self.get_mut(position, lane).filter(|entry| entry.message.is_stub())?;
        let entry = match &mut self.discipline {
            Discipline::Fifo(lane) => lane.take(position),
            Discipline::Priority(lanes) => lanes.take(position, lane),
            Discipline::Groups(groups) => groups.take(position, lane),
        };
        self.left(entry)
    }

    fn get_mut(&mut self, position: Position, lane: u32) -> Option<&mut Entry> {
        match &mut self.discipline {
            // Whole runs leave memory there, and no places stay.
            Discipline::Fifo(_) => None,
            Discipline::Priority(lanes) => lanes.get_mut(position, lane),
            Discipline::Groups(groups) => groups.get_mut(position, lane),
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

    /// The messages from a position on, in the order in which they will be delivered, up to those that only the
    /// store has. Of groups, `max` at most whose turn it may be.
    pub(super) fn at_hand(
        &self,
        from: Position,
        max: usize,
    ) -> Box<dyn Iterator<Item = &Entry> + '_> {
        match &self.discipline {
            Discipline::Fifo(lane) => Box::new(lane.at_hand(from)),
            Discipline::Priority(lanes) => Box::new(lanes.at_hand(from)),
            Discipline::Groups(groups) => {
                Box::new(groups.iter(max).filter(move |entry| entry.position >= from))
            }
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
        if let Discipline::Fifo(lane) = &mut self.discipline
            && (in_memory > 2 * window.messages || lane.has_long_tail(window))
        {
            lane.page_out(window, may_leave, &mut left);
        }
        left
    }

    /// What to ask of the store now, by whether anybody waits for messages.
    pub(super) fn wanted(&mut self, window: Window, demand: bool) -> Option<WantedRun> {
        let Discipline::Fifo(lane) = &self.discipline else { return None };
        let Paged { from, to, count, bytes } = lane.paged().filter(|_| !self.reading)?;
        let messages_max = window.fitted(count, bytes).wanted(lane.head_len(), demand);
        self.reading = messages_max > 0;
        self.reading.then_some(WantedRun { from, to, messages_max, bytes_max: window.bytes })
    }

    /// Whether the store was asked for a run, and has not answered.
    pub(super) fn is_reading(&self) -> bool {
        self.reading
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

    /// Gives a new message its lane, which is told from more than a stub has. It is to be pushed next.
    pub(super) fn assign(&mut self, entry: &mut Entry) {
        match &mut self.discipline {
            Discipline::Fifo(_) => {}
            Discipline::Priority(lanes) => lanes.assign(entry),
            Discipline::Groups(groups) => groups.assign(entry),
        }
    }

    /// Appends a new message, which has its lane.
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
    /// time out of here. `None` as well if it is not in memory.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        if self.is_next_stub() {
            return None;
        }
        self.ahead = self.ahead.saturating_sub(1);
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
        (self.stubs, self.stub_bytes, self.ahead) = (0, 0, 0);
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

    /// How many messages it has only the places of.
    pub(super) fn stubs(&self) -> usize {
        self.stubs
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
        if entry.message.is_stub() {
            self.stubs += 1;
            self.stub_bytes += entry.message.body_len();
        }
    }

    fn left(&mut self, entry: Option<Entry>) -> Option<Entry> {
        let mut entry = entry?;
        self.len -= 1;
        self.bytes -= entry.message.body_len();
        if entry.message.is_stub() {
            self.stubs -= 1;
            self.stub_bytes -= entry.message.body_len();
        }
        if entry.indexed {
            self.expiries.forget(&mut entry);
        }
        Some(entry)
    }
}
