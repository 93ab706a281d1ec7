//! Messages in the order of their positions.

use std::collections::BTreeMap;

use super::super::effect::Position;
use super::super::time::Timestamp;
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::window::Window;
use crate::sparse::SparseDeque;

/// First in, first out; what comes back goes to where it stood.
///
/// Push and pop cost O(1) for messages that were never delivered, O(log r) among the r that came
/// back. A deep lane is in three parts: its head is in memory, what is [`Paged`] lies in the store, and
/// its tail is in memory again.
#[derive(Debug, Default)]
pub(super) struct Lane {
    head: SparseDeque<Entry>,
    paged: Option<Paged>,
    /// Behind what is paged; empty where nothing is.
    tail: SparseDeque<Entry>,
    /// What came back, and what expires out of turn and so can't leave memory.
    placed: BTreeMap<Position, Entry>,
    /// Where messages stood that left out of turn, and that may be read again with those around them:
    /// they are on their way, or were when the store was asked. Whether they have arrived.
    away: BTreeMap<Position, bool>,
    /// The latest expiry among all but those: whoever expires before it is out of order.
    latest: Option<Timestamp>,
}

/// Messages that lie in the store: all that it knows to stand ready from one position to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paged {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) count: usize,
    /// Bytes in their bodies.
    pub(super) bytes: u64,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.placed.is_empty() && self.paged.is_none()
    }

    /// Whether the message that is next is in memory.
    pub(super) fn has_next(&self) -> bool {
        !self.head.is_empty()
            || self
                .placed
                .first_key_value()
                .is_some_and(|(&placed, _)| self.paged.is_none_or(|paged| placed <= paged.from))
    }

    /// Appends a new message. Where it expires in turn, and `in_turn` says that turns count, the
    /// index need not know it.
    pub(super) fn push(&mut self, mut entry: Entry, in_turn: bool, index: &mut ExpiryIndex) {
        if self.head.is_empty() && self.paged.is_none() {
            self.latest = None;
        }
        if !in_turn || self.latest.is_some_and(|latest| entry.expires < latest) {
            index.add(&mut entry);
        }
        self.latest = self.latest.max(Some(entry.expires));
        if self.paged.is_some() {
            self.tail.push_back(entry);
        } else {
            self.head.push_back(entry);
        }
    }

    /// Puts a message back where it stood.
    pub(super) fn put_back(&mut self, mut entry: Entry, index: &mut ExpiryIndex) {
        index.add(&mut entry);
        self.placed.insert(entry.position, entry);
    }

    /// Takes the message that is next; `None` as well if it is not in memory.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let Some((&placed, _)) = self.placed.first_key_value() else {
            return self.head.pop_front();
        };
        match (self.head.front(), self.paged) {
            (Some(first), _) if first.position < placed => self.head.pop_front(),
            (None, Some(paged)) if paged.from < placed => None,
            _ => {
                let (position, entry) = self.placed.pop_first()?;
                self.pass(position);
                Some(entry)
            }
        }
    }

    /// What stood first among the messages in the store was at hand, and left: the store may have it
    /// still, but not to be read again.
    fn pass(&mut self, position: Position) {
        if let Some(paged) = self.paged.as_mut().filter(|paged| paged.from == position) {
            paged.from = Position(position.0 + 1);
            self.join_if_all_in_memory();
        }
    }

    /// A message in memory, wherever it stands.
    pub(super) fn get_mut(&mut self, position: Position) -> Option<&mut Entry> {
        let head = self.head.get_mut(position.0).or_else(|| self.tail.get_mut(position.0));
        head.or_else(|| self.placed.get_mut(&position))
    }

    /// All messages in order, where none is paged.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.at_hand(Position(0))
    }

    /// The messages from a position on, in order, up to what is paged.
    pub(super) fn at_hand(&self, from: Position) -> impl Iterator<Item = &Entry> {
        let in_turn = self.head.iter_from(from.0).chain(self.tail.iter_from(from.0));
        let mut in_turn = in_turn.peekable();
        let mut placed = self.placed.range(from..).map(|(_, entry)| entry).peekable();
        let merged = std::iter::from_fn(move || match (in_turn.peek(), placed.peek()) {
            (Some(first), Some(other)) if first.position > other.position => placed.next(),
            (Some(_), _) => in_turn.next(),
            (None, _) => placed.next(),
        });
        let end = self.paged.filter(|paged| paged.to > from).map(|paged| paged.from);
        merged.take_while(move |entry| end.is_none_or(|end| entry.position < end))
    }

    /// Takes a message in memory from wherever it stands, for good, where none is ever paged.
    pub(super) fn remove(&mut self, position: Position) -> Option<Entry> {
        let deques = self.head.take(position.0).or_else(|| self.tail.take(position.0));
        deques.or_else(|| self.placed.remove(&position))
    }

    /// Takes a message in memory from wherever it stands.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        let entry = self.remove(position)?;
        if entry.stored && self.paged.is_none_or(|paged| paged.from <= position) {
            self.away.insert(position, false);
        }
        Some(entry)
    }

    /// A message left for good.
    pub(super) fn gone(&mut self, position: Position) {
        let Some(has_arrived) = self.away.get_mut(&position) else { return };
        *has_arrived = true;
        // The store may have been asked before.
        if self.paged.is_none_or(|paged| position < paged.from || paged.to <= position) {
            self.away.remove(&position);
        }
    }

    /// The first of those that expire in turn: when, and where it stands.
    pub(super) fn first_in_turn(&self) -> Option<(Timestamp, Position)> {
        let first = self.head.front()?;
        let in_turn = !first.indexed && first.expires != Timestamp::NEVER;
        in_turn.then_some((first.expires, first.position))
    }

    /// Takes the first of those that expire in turn.
    pub(super) fn pop_in_turn(&mut self) -> Option<Entry> {
        self.head.pop_front()
    }

    /// Where its messages in memory stand, in no particular order.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        let deques = self.head.iter().chain(self.tail.iter());
        self.placed.keys().copied().chain(deques.map(|entry| entry.position))
    }

    /// Takes everything in memory, in order, and forgets what is not.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.paged = None;
        self.away.clear();
        let mut entries: Vec<Entry> = std::mem::take(&mut self.placed).into_values().collect();
        entries.extend(self.head.drain());
        entries.extend(self.tail.drain());
        entries.sort_by_key(|entry| entry.position);
        entries
    }

    /// What is to be forgotten of what lies in the store, from each first position to before the second:
    /// not what is on its way.
    pub(super) fn paged_ranges(&self) -> Vec<(Position, Position)> {
        let Some(Paged { mut from, to, .. }) = self.paged else { return Vec::new() };
        let mut ranges = Vec::new();
        for (&away, _) in self.away.range(from..to) {
            ranges.push((from, away));
            from = Position(away.0 + 1);
        }
        ranges.push((from, to));
        ranges.retain(|(from, to)| from < to);
        ranges
    }

    /// What lies in the store.
    pub(super) fn paged(&self) -> Option<Paged> {
        self.paged
    }

    /// How many messages its head has in memory.
    pub(super) fn head_len(&self) -> usize {
        self.head.len()
    }

    /// Messages of an earlier process that lie in the store. None of them expires after `latest`.
    pub(super) fn restore(&mut self, paged: Paged, latest: Timestamp) {
        debug_assert!(self.is_empty(), "a queue is restored before it is used");
        if paged.count > 0 {
            (self.paged, self.latest) = (Some(paged), Some(latest));
        }
    }

    /// Whether there is more behind what is paged than need be in memory.
    pub(super) fn has_long_tail(&self, window: Window) -> bool {
        self.tail.len() > window.tail()
    }

    /// Lets messages leave memory from behind the head until few are left at the tail: the store is to have
    /// them from now on. `may_leave` says which ones can.
    pub(super) fn page_out(
        &mut self,
        window: Window,
        may_leave: impl Fn(&Entry) -> bool,
        left: &mut Vec<Entry>,
    ) {
        if self.paged.is_none() {
            self.split(window, &may_leave);
        }
        while self.tail.len() > window.tail()
            && let Some(first) = self.tail.front()
        {
            if first.indexed {
                // It is known by its time, so it stays at hand.
                self.placed.extend(self.tail.pop_front().map(|entry| (entry.position, entry)));
                continue;
            }
            let Some(paged) = self.paged.as_mut().filter(|_| may_leave(first)) else { break };
            paged.to = Position(first.position.0 + 1);
            paged.count += 1;
            paged.bytes += first.message.body_len();
            left.extend(self.tail.pop_front());
        }
        self.join_if_all_in_memory();
    }

    fn join_if_all_in_memory(&mut self) {
        if self.paged.is_some_and(|paged| paged.from >= paged.to || paged.count == 0) {
            self.paged = None;
            self.away.retain(|_, has_arrived| !*has_arrived);
            let tail = std::mem::take(&mut self.tail);
            self.head.append(tail);
        }
    }

    /// Makes what is behind the first window the tail, if the next of them may leave.
    fn split(&mut self, window: Window, may_leave: &impl Fn(&Entry) -> bool) {
        let Some(behind) = self.head.at_or_after(window.messages) else { return };
        if !may_leave(behind) {
            return;
        }
        let at = behind.position;
        self.paged = Some(Paged { from: at, to: at, count: 0, bytes: 0 });
        self.tail = self.head.split_off(window.messages);
    }

    /// What was in the store up to `next` is in memory again. What is missing in the end, though the
    /// store had it.
    pub(super) fn paged_in(
        &mut self,
        entries: Vec<Entry>,
        next: Position,
        index: &mut ExpiryIndex,
    ) -> Option<Paged> {
        let in_turn = self.head.iter().filter(|entry| !entry.indexed);
        let mut latest = in_turn.map(|entry| entry.expires).max();
        for mut entry in entries {
            // Known to be in turn where it left memory, but not what an earlier process left.
            if latest.is_some_and(|latest| entry.expires < latest) {
                index.add(&mut entry);
            } else {
                latest = Some(entry.expires);
            }
            self.forget_paged(&entry);
            self.head.push_back(entry);
        }
        let paged = self.paged.as_mut()?;
        paged.from = next;
        let missing = (paged.from >= paged.to).then_some(*paged);
        self.away = self.away.split_off(&next);
        self.join_if_all_in_memory();
        missing
    }

    /// A message is no longer among those in the store.
    pub(super) fn forget_paged(&mut self, entry: &Entry) {
        if let Some(paged) = &mut self.paged {
            paged.count = paged.count.saturating_sub(1);
            paged.bytes = paged.bytes.saturating_sub(entry.message.body_len());
        }
    }

    /// Whether a message that the store has is among those that are paged: neither at hand, nor gone.
    pub(super) fn is_paged(&self, position: Position) -> bool {
        self.paged.is_some_and(|paged| paged.from <= position)
            && !self.placed.contains_key(&position)
            && !self.away.contains_key(&position)
    }
}
