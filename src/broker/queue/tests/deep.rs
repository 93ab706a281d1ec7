//! A queue that is too deep for its memory, and the store that it leaves messages to.

use super::super::*;
use super::shelf::Shelf;
use super::support::*;
use crate::broker::effect::{Page, StoredEntry};

/// A queue with a small window, a store, and the memory of its messages counted.
pub(super) struct Deep {
    pub(super) it: Setting,
    pub(super) shelf: Arc<Shelf>,
    /// Tells whether memory is short: above half of 1000 bytes.
    pub(super) gauge: Arc<MemoryGauge>,
    settings: QueueSettings,
    window: usize,
    /// Bytes of messages that came into memory.
    taken: usize,
}

impl Deep {
    /// A durable queue with a window of so many messages.
    pub(super) fn new(window: usize) -> Self {
        Self::with(window, |_| {})
    }

    pub(super) fn with(window: usize, change: impl FnOnce(&mut QueueSettings)) -> Self {
        let mut settings = QueueSettings::plain();
        change(&mut settings);
        Self::on(Arc::default(), window, settings)
    }

    fn on(shelf: Arc<Shelf>, window: usize, settings: QueueSettings) -> Self {
        let gauge = Arc::new(MemoryGauge::new(1000));
        let options = QueueOptions {
            memory: Arc::clone(&gauge),
            window: Window { messages: window, bytes: 1 << 20 },
            ..options(false, settings.clone())
        };
        let store = Arc::<Shelf>::clone(&shelf);
        let it = Setting::of(options, |queue| queue.stored(QueueId(7), store, true));
        Self { it, shelf, gauge, settings, window, taken: 0 }
    }

    /// The process ends so many milliseconds after the test began, and another one takes up what is
    /// there.
    pub(super) fn restart(self, milliseconds: u64) -> Self {
        self.restart_with(milliseconds, |_| {})
    }

    pub(super) fn restart_with(
        self,
        milliseconds: u64,
        change: impl FnOnce(&mut QueueSettings),
    ) -> Self {
        self.restart_in(milliseconds, change, false)
    }

    /// The same, where memory is short from the start.
    pub(super) fn restart_short(self, milliseconds: u64) -> Self {
        self.restart_in(milliseconds, |_| {}, true)
    }

    fn restart_in(
        self,
        milliseconds: u64,
        change: impl FnOnce(&mut QueueSettings),
        is_short: bool,
    ) -> Self {
        let mut settings = self.settings;
        change(&mut settings);
        let (ready, restored) = self.shelf.restart();
        let in_doubt = self.shelf.in_doubt().unwrap_or_default();
        let mut next = Self::on(self.shelf, self.window, settings);
        next.it.pass_unnoticed(milliseconds);
        if is_short {
            next.run_short();
        }
        next.taken += memory(restored.scheduled.iter().map(|(_, it)| it));
        let at_once = next.it.queue.is_restored_at_once();
        next.it.queue.restore_in_doubt(in_doubt);
        next.it.queue.restore(restored, next.it.now, &mut next.it.out);
        let ready = if at_once { ready } else { Vec::new() };
        next.taken += memory(&ready);
        next.it.queue.restore_ready(ready, next.it.now, &mut next.it.out);
        next.it.queue.all_restored();
        next.check();
        next
    }

    pub(super) fn send(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let messages: Vec<Message> = drafts.into_iter().map(|draft| draft.message()).collect();
        self.taken += messages.iter().map(Message::memory).sum::<usize>();
        self.it.queue.enqueue(&messages, self.it.now, &mut self.it.out);
        self.check();
    }

    /// Sends messages whose bodies are these numbers.
    pub(super) fn number(&mut self, numbers: impl IntoIterator<Item = u32>) {
        self.send(numbers.into_iter().map(|number| draft(format!("{number:03}"))));
    }

    /// The page that the queue asked for, if it did.
    pub(super) fn read(&mut self) -> Option<Page> {
        self.it.out.wanted.take().map(|wanted| self.shelf.page(wanted))
    }

    pub(super) fn give(&mut self, page: Page) {
        self.taken += memory(&page.entries);
        self.it.queue.paged_in(page, self.it.now, &mut self.it.out);
        self.check();
    }

    /// Gives the queue all that it asks for.
    pub(super) fn answer(&mut self) {
        while let Some(page) = self.read() {
            self.give(page);
        }
    }

    /// `basic.get`, with the patience that it takes.
    pub(super) fn get(&mut self, no_ack: bool) -> Option<String> {
        let sink = Arc::new(Sink::default());
        let mut tries = 0;
        loop {
            match self.it.try_get(no_ack, &sink) {
                Get::Message(fetched) => {
                    let again = if fetched.entry.is_redelivered() { " again" } else { "" };
                    return Some(body(&fetched.entry.message) + again);
                }
                Get::Empty => return None,
                Get::Later => {
                    let page = self.read().expect("the store is asked");
                    self.give(page);
                    tries += 1;
                    assert_eq!(*sink.tries.lock(), tries, "it is told to try again");
                }
            }
        }
    }

    /// All that waits, in the order in which it is got.
    pub(super) fn get_all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.get(true)).collect()
    }

    /// Lets time pass, and pages arrive.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.answer();
            self.it.pass(1);
        }
        self.answer();
    }

    /// Messages in memory, of three bytes each.
    pub(super) fn in_memory(&self) -> usize {
        let stubs = self.stubs() * message("").stub().memory();
        (self.taken + self.it.out.taken - self.it.out.freed - stubs) / message("000").memory()
    }

    /// Messages that only their places are in memory of.
    pub(super) fn stubs(&self) -> usize {
        let queue = &self.it.queue;
        queue.ready.stubs() + queue.schedule.stubs() + queue.departures.stubs()
    }

    /// From now on memory is short.
    pub(super) fn run_short(&self) {
        self.gauge.add(501);
    }

    /// What is there is what came in and has not left, and of all that counts as ready the size is
    /// known.
    pub(super) fn check(&self) {
        let (counts, totals) = (self.it.queue.counts(), self.it.queue.totals());
        let here = counts.ready + counts.unacked + counts.scheduled + counts.departing;
        let left =
            totals.acknowledged + totals.dead_lettered + totals.dropped.total() + totals.purged;
        assert_eq!(totals.accepted, here as u64 + left, "{counts:?}, {totals:?}");
        let taken = self.taken + self.it.out.taken;
        assert!(taken >= self.it.out.freed, "more is given back than was taken");
    }

    /// Ends the queue: all memory is given back, and the store forgets it.
    pub(super) fn end(mut self) {
        self.check();
        self.it.queue.delete(&mut self.it.out);
        self.check();
        if let Some(page) = self.read() {
            self.give(page);
        }
        let taken = self.taken + self.it.out.taken;
        assert_eq!(self.it.out.freed, taken, "all memory is given back, once");
        assert!(self.shelf.is_removed());
    }
}

fn memory<'a>(entries: impl IntoIterator<Item = &'a StoredEntry>) -> usize {
    entries.into_iter().map(|it| it.message.memory()).sum()
}

/// Bodies as [`Deep::number`] makes them.
pub(super) fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{number:03}")).collect()
}
