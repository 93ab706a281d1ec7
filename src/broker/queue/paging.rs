//! A deep queue keeps its ends in memory and leaves the rest to the store.

use std::time::Instant;

use super::super::effect::{Effects, Page, Part, Position, StoredEntry, Wanted};
use super::super::persist::Persist;
use super::super::queue_cell::QueueId;
use super::super::time::Timestamp;
use super::duplicates::Duplicates;
use super::lane::Paged;
use super::window::Window;
use super::{Entry, Queue, Return, in_doubt};

/// What the store knows of a queue's messages when the broker starts.
#[derive(Debug, Default)]
pub struct Restored {
    /// The first position that was never taken.
    pub next_position: u64,
    /// Where the first message stands that waits for no time.
    pub first: Position,
    /// How many of them there are.
    pub ready: usize,
    /// Bytes in their bodies.
    pub bytes: u64,
    /// Those that wait for their time.
    pub scheduled: Vec<(Timestamp, StoredEntry)>,
}

impl Queue {
    /// Whether what stood ready in an earlier process is to be handed to
    /// [`Queue::restore_ready`] at once: the next one is not always the oldest, or what is in the queue
    /// decides what may enter it.
    pub fn is_restored_at_once(&self) -> bool {
        !self.ready.can_page() || self.duplicates.as_ref().is_some_and(Duplicates::are_those_queued)
    }

    /// Takes up what an earlier process left. The messages that are ready stay in the store until they
    /// are wanted: [`Queue::restore_ready`], with none, has the queue look for the first.
    pub fn restore(&mut self, restored: Restored, now: Instant, out: &mut Effects) {
        self.journal.restored();
        let now = self.epoch.timestamp(now);
        let Restored { next_position, first, ready, bytes, scheduled } = restored;
        self.next_position = self.next_position.max(next_position);
        self.totals.accepted += (ready + scheduled.len()) as u64;
        for (due, stored) in scheduled {
            let mut entry = self.known(stored);
            // What is due later was never delivered from here.
            entry.in_doubt &= due <= now;
            if entry.came_back() {
                self.ready.hold(&mut entry);
            }
            self.thin_scheduled(&mut entry, due, out);
            self.schedule.add(due, entry);
        }
        if !self.is_restored_at_once() {
            let to = Position(self.next_position);
            // As far as anyone can tell without reading them.
            let time_to_live = self.settings.message_ttl;
            let latest = time_to_live.map_or(Timestamp::NEVER, |it| now.after(it));
            self.ready.restore(Paged { from: first, to, count: ready, bytes }, latest);
        }
    }

    /// Takes up messages that stood ready, in the order of their positions.
    pub fn restore_ready(&mut self, entries: Vec<StoredEntry>, now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        for stored in entries {
            let delivered = stored.delivered;
            let mut entry = self.known(stored);
            if delivered {
                self.ready.hold(&mut entry);
                self.take_back(entry, Return::Released, now, out);
            } else {
                self.ready.assign(&mut entry);
                self.note_ready(&entry);
                self.ready.push(entry);
            }
        }
        self.run(now, out);
    }

    /// The store has read what [`Effects::wanted`] asked for.
    pub fn paged_in(&mut self, page: Page, now: Instant, out: &mut Effects) {
        let Page { part, entries } = page;
        let now = self.epoch.timestamp(now);
        match part {
            Part::Run { from, next } => self.take_run(from, next, entries, now, out),
            Part::Places => {
                self.run_is_next = true;
                self.take_places(entries, out);
                self.release_due(now);
            }
        }
        self.run(now, out);
        for sink in self.waiting.drain(..) {
            sink.try_again();
        }
    }

    fn take_run(
        &mut self,
        from: Position,
        next: Position,
        entries: Vec<StoredEntry>,
        now: Timestamp,
        out: &mut Effects,
    ) {
        self.run_is_next = false;
        if self.deleted || !self.ready.has_read(from, next) {
            out.freed += entries.iter().map(|stored| stored.message.release()).sum::<usize>();
            return;
        }
        let (mut ready, mut delivered) = (Vec::with_capacity(entries.len()), Vec::new());
        // What is all dead makes room for the next at once.
        self.hungry = true;
        for stored in entries {
            if !self.ready.is_paged(stored.position) {
                out.freed += stored.message.release();
                continue;
            }
            self.hungry &= stored.expires <= now;
            let came_back = stored.delivered;
            let entry = self.entry(stored);
            if came_back {
                self.ready.forget_paged(&entry);
                delivered.push(entry);
            } else {
                ready.push(entry);
            }
        }
        // Nobody will see them any more.
        self.totals.purged += self.ready.paged_in(ready, next) as u64;
        for entry in delivered {
            self.take_back(entry, Return::Released, now, out);
        }
    }

    /// What every call does with what is too much for memory, and with what is missing there.
    pub(super) fn page(&mut self, now: Timestamp, out: &mut Effects) {
        if !self.journal.can_page() {
            return;
        }
        self.thin_ready(out);
        // Where memory is short, messages leave it that do not outlive the process, too.
        let short = self.memory.is_short();
        let window = if short { self.window.narrowed() } else { self.window };
        for mut entry in self.ready.page_out(window, |entry| short || entry.stored) {
            self.journal.paged_out(&mut entry, None);
            out.freed += entry.message.release();
        }
        if self.ready.is_reading() || !self.recalled.is_empty() {
            return;
        }
        // One read at a time, of either kind in turn.
        let wanted = if self.run_is_next {
            self.wanted_run(window).or_else(|| self.wanted_places(now).map(Wanted::Places))
        } else {
            let places = self.wanted_places(now).map(Wanted::Places);
            places.or_else(|| self.wanted_run(window))
        };
        if let Some(wanted) = wanted {
            out.wanted = Some(wanted);
        }
    }

    fn wanted_run(&mut self, window: Window) -> Option<Wanted> {
        let demand = self.hungry
            || !self.waiting.is_empty()
            || !self.consumers.is_empty()
            || self.has_too_many();
        self.ready.wanted(window, demand).map(Wanted::Run)
    }

    fn has_too_many(&self) -> bool {
        self.settings.drops_head()
            && self.settings.is_exceeded_by(self.ready.len() as u64, self.ready.bytes())
    }

    /// Leaves to the store what is too much for memory now.
    pub fn relieve(&mut self, now: Instant, out: &mut Effects) {
        self.run(self.epoch.timestamp(now), out);
    }

    /// A message of an earlier process.
    fn known(&mut self, stored: StoredEntry) -> Entry {
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.restored(&stored.message);
        }
        self.entry(stored)
    }

    /// A message as it was when it left memory.
    fn entry(&self, stored: StoredEntry) -> Entry {
        let StoredEntry { position, message, expires, returns, .. } = stored;
        let in_doubt = self.in_doubt.contains(position);
        Entry { returns, stored: true, in_doubt, ..Entry::new(position, message, expires) }
    }

    /// What an earlier process wrote down of the queue's use: messages before this position may have been
    /// delivered. Comes before [`Queue::restore`].
    pub fn restore_in_doubt(&mut self, until: Position) {
        self.in_doubt.restore(until);
    }

    /// Forgets what was written down of the use of a queue that is gone.
    pub fn forget_in_doubt(queue: QueueId, store: &dyn Persist) {
        store.remove(in_doubt::key(queue));
    }

    /// All that an earlier process left was taken up: what comes now is not in doubt.
    pub fn all_restored(&mut self) {
        self.in_doubt.restored(Position(self.next_position));
    }
}
