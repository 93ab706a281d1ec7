//! Messages that lie in the store while their places are in memory.
//!
//! Where the next message is always the oldest, whole runs of places leave memory (see `paging`). In the
//! order of priorities or groups, and of what waits for its time, nobody can say which run will be next.
//! There a message that arrives while memory is short is left to the store at once, and its place keeps a
//! stub ([`Message::stub`]). Nobody gets a stub: the messages of those that are next are read back into
//! their places.

use super::super::effect::{Effects, Position, StoredEntry};
use super::super::message::Message;
use super::super::time::Timestamp;
use super::duplicates::Duplicates;
use super::journal::Journal;
use super::window::Window;
use super::{Entry, Queue};

/// Places whose messages are to be read back.
#[derive(Debug)]
pub(super) struct Recall {
    window: Window,
    /// With the lane each is in.
    places: Vec<(Position, u32)>,
    /// Of one part of the queue: how many were asked for, bytes in their bodies, and how many were
    /// looked at.
    messages: usize,
    bytes: u64,
    seen: usize,
}

impl Recall {
    fn new(window: Window) -> Self {
        Self { window, places: Vec::new(), messages: 0, bytes: 0, seen: 0 }
    }

    /// Looks at the first places of one part of the queue, which gets a window of its own; whether there
    /// is a stub among them.
    pub(super) fn ask<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> bool {
        (self.messages, self.bytes, self.seen) = (0, 0, 0);
        for entry in entries {
            self.seen += 1;
            if entry.message.is_stub() {
                self.messages += 1;
                self.bytes += entry.message.body_len();
                self.places.push((entry.position, entry.lane));
            }
            // What is at hand in between is not looked through for long.
            if self.window.is_filled_by(self.messages, self.bytes)
                || self.seen >= 2 * self.window.messages
            {
                break;
            }
        }
        self.messages > 0
    }

    /// How many messages a part of the queue has at hand, where its stubs are so many and so large.
    pub(super) fn messages_max(&self, stubs: usize, bytes: u64) -> usize {
        let each = (bytes / (stubs as u64).max(1)).max(1);
        let fit = usize::try_from(self.window.bytes / each).unwrap_or(usize::MAX);
        self.window.messages.min(fit).max(1)
    }
}

impl Queue {
    /// Whether messages may leave memory while their places stay, and should.
    fn is_thinning(&self) -> bool {
        // Where keys count while their messages are queued, a message that leaves has to tell its own.
        self.journal.can_page()
            && self.memory.is_short()
            && !self.duplicates.as_ref().is_some_and(Duplicates::are_those_queued)
    }

    /// Notes a message that is about to wait with those that are ready, if there are as many in memory
    /// as fit: what nobody takes of these in this call, [`Queue::thin_ready`] leaves to the store.
    pub(super) fn note_ready(&mut self, entry: &Entry) {
        if !self.ready.can_page() && self.is_thinning() && self.ready.fills(self.window.narrowed())
        {
            self.excess.push((entry.position, entry.lane));
        }
    }

    /// Leaves messages to the store that are too many.
    pub(super) fn thin_ready(&mut self, out: &mut Effects) {
        let window = self.window.narrowed();
        for (position, lane) in self.excess.drain(..) {
            let Some(entry) = self.ready.get_thick(position, lane) else { continue };
            thin(entry, None, &mut self.journal, out);
            let bytes = entry.message.body_len();
            self.ready.thinned(bytes);
            if !self.ready.fills(window) {
                break;
            }
        }
    }

    /// Leaves a message to the store that is about to wait for its time, if there are as many in memory
    /// as fit.
    pub(super) fn thin_scheduled(&mut self, entry: &mut Entry, due: Timestamp, out: &mut Effects) {
        if self.is_thinning() && self.schedule.fills(self.window.narrowed()) {
            thin(entry, Some(due), &mut self.journal, out);
        }
    }

    /// Which messages are to be read back into their places: those of the dead letters that are next,
    /// of what is due, and, if anybody waits for them, of those that are next to be delivered.
    pub(super) fn wanted_places(&mut self, now: Timestamp) -> Option<Vec<Position>> {
        let mut recall = Recall::new(self.window.narrowed());
        self.departures.recall(&mut recall);
        self.schedule.recall(now, &mut recall);
        if !(self.waiting.is_empty() && self.consumers.is_empty()) {
            self.ready.recall(&mut recall);
        }
        let mut places = recall.places;
        if places.is_empty() {
            return None;
        }
        places.sort_unstable();
        let positions = places.iter().map(|(position, _)| *position).collect();
        self.recalled = places;
        Some(positions)
    }

    /// The store has read the messages of places, in the order of their positions: they go where these
    /// are by now.
    pub(super) fn take_places(&mut self, entries: Vec<StoredEntry>, out: &mut Effects) {
        let departing = self.departures.first_stubs();
        let mut entries = entries.into_iter().peekable();
        for (position, lane) in std::mem::take(&mut self.recalled) {
            let Some(stored) = entries.next_if(|it| it.position == position) else {
                self.lose(position, lane, out);
                continue;
            };
            let filled = self.ready.fill(position, lane, stored.message);
            let filled = filled.or_else(|message| self.schedule.fill(position, message));
            let filled = filled.or_else(|message| match departing.get(&position) {
                Some(&index) => self.departures.fill(index, message),
                None => Err(message),
            });
            // The stub, or what nobody needs any more.
            let (Ok(left) | Err(left)) = filled;
            out.freed += left.release();
        }
        out.freed += entries.map(|stored| stored.message.release()).sum::<usize>();
    }

    /// The store does not have the message of a place. If one still waits for it, nobody will see it any
    /// more.
    fn lose(&mut self, position: Position, lane: u32, out: &mut Effects) {
        let waited = self.schedule.take_stub(position);
        if let Some(entry) = waited.as_ref().filter(|entry| entry.came_back()) {
            self.ready.settled(entry);
        }
        if let Some(mut entry) = waited.or_else(|| self.ready.take_stub(position, lane)) {
            entry.stored = false;
            self.purged(&entry, out);
        } else if let Some(mut departure) = self.departures.take_stub(position) {
            departure.entry.stored = false;
            self.totals.purged += u64::from(departure.recorded);
            self.departed(&departure, out);
        }
    }
}

/// Leaves a message to the store, and a stub in its place.
fn thin(entry: &mut Entry, due: Option<Timestamp>, journal: &mut Journal, out: &mut Effects) {
    journal.paged_out(entry, due);
    let stub = entry.message.stub();
    out.taken += stub.memory();
    out.freed += std::mem::replace(&mut entry.message, stub).release();
}

/// Puts a message where its stub was, which is given back; the message itself, if there was none.
pub(super) fn fill(entry: Option<&mut Entry>, message: Message) -> Result<Message, Message> {
    match entry.filter(|entry| entry.message.is_stub()) {
        Some(entry) => Ok(std::mem::replace(&mut entry.message, message)),
        None => Err(message),
    }
}
