//! A queue: an ordered log of messages, and the discipline by which they leave it.
//!
//! Plain state, no lock and no clock: the caller wraps each queue in one mutex, passes the time in,
//! and carries out the [`Effects`] afterwards. Deliveries alone go out while the lock is held, into
//! the consumer's [`DeliverySink`], because their order is the queue's.
//!
//! Every call that changes anything ends alike (`Queue::run`): what consumers have credit for is
//! handed out, what is too much or too old goes, and the caller is told when to come back.

mod consumers;
mod deadlines;
mod departures;
mod dispatch;
mod duplicates;
mod entry;
mod expiry;
mod groups;
mod held;
mod in_doubt;
mod journal;
mod lane;
mod paging;
mod peek;
mod priorities;
mod ready;
mod report;
mod schedule;
mod settlement;
mod stubs;
#[cfg(test)]
mod tests;
mod window;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Instant;

use self::consumers::ConsumerSet;
pub use self::consumers::{ConsumerHandle, ConsumerOptions, Prefetch};
pub use self::departures::{DeadLetter, DeathReason};
use self::departures::{Departure, Departures};
use self::duplicates::Duplicates;
pub use self::entry::Entry;
use self::held::Holdings;
pub use self::in_doubt::Announcement;
use self::in_doubt::InDoubt;
pub(in crate::broker) use self::in_doubt::decode as decode_in_doubt;
use self::journal::Journal;
pub use self::paging::Restored;
pub use self::peek::Peeked;
use self::ready::{Drained, ReadyList};
pub use self::report::QueueReport;
use self::schedule::Schedule;
pub use self::settlement::{Holder, Return};
pub use self::window::Window;
use super::deduplication::KeptKey;
use super::effect::{DeliverySink, Effects, Position};
use super::memory::MemoryGauge;
use super::message::Message;
use super::persist::Persist;
use super::policy::QueueKind;
use super::queue_cell::QueueId;
use super::queue_settings::{DeadLetterTarget, Overflow, QueueSettings};
use super::time::{Epoch, Timestamp};

/// A queue's messages and consumers.
///
/// Every message is in exactly one of: ready, scheduled, unacknowledged, on its way to a dead-letter
/// exchange, gone.
#[derive(Debug)]
pub struct Queue {
    settings: Arc<QueueSettings>,
    epoch: Epoch,
    auto_delete: bool,
    ready: ReadyList,
    schedule: Schedule,
    consumers: ConsumerSet,
    /// What `basic.get` took.
    fetched: Holdings,
    departures: Departures,
    in_doubt: InDoubt,
    duplicates: Option<Duplicates>,
    /// Deliveries that all holders together have not settled.
    unacked: usize,
    next_position: u64,
    /// When it was last declared, got from or consumed from.
    last_used: Timestamp,
    /// When the caller was asked to come back.
    alarm: Option<Timestamp>,
    /// It has more to do than one call may: the caller is to come back at once.
    backlog: bool,
    deleted: bool,
    journal: Journal,
    memory: Arc<MemoryGauge>,
    /// How much of it is kept in memory, if the store takes the rest.
    window: Window,
    /// What the store gave last was dead already: there is more to be read, though nobody consumes.
    hungry: bool,
    /// What came to be ready in the call that runs, and is too much for memory if nobody takes it; each
    /// with its lane.
    excess: Vec<(Position, u32)>,
    /// The store was asked for the messages of these places, in their order, each with its lane.
    recalled: Vec<(Position, u32)>,
    /// Messages of places were read last: it is the turn of a run.
    run_is_next: bool,
    /// Those whose `basic.get` waits for the store.
    waiting: Vec<Arc<dyn DeliverySink>>,
    totals: Totals,
    /// Consumers that got something in the dispatch that runs; kept to reuse its memory.
    touched: Vec<ConsumerHandle>,
}

/// Why a consumer can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// One of them asks to be alone: 403 `in exclusive use`.
    ExclusiveUse,
    /// The queue was deleted meanwhile.
    Deleted,
}

/// A message that `basic.get` got.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The message and its place.
    pub entry: Entry,
    /// What settles it, together with [`Holder::Fetched`].
    pub number: u64,
    /// How many wait behind it.
    pub behind: usize,
}

/// What `basic.get` comes to.
#[derive(Debug, Clone)]
pub enum Get {
    /// A message.
    Message(Fetched),
    /// There is none.
    Empty,
    /// There is one, which the store was asked for.
    Later,
}

/// Counts of a queue, exact at the moment of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that wait for a consumer.
    pub ready: usize,
    /// Messages delivered and not yet settled.
    pub unacked: usize,
    /// Messages that are not due yet.
    pub scheduled: usize,
    /// Messages on their way to a dead-letter exchange.
    pub departing: usize,
    /// Consumers.
    pub consumers: usize,
}

/// What became of messages, since the queue was declared.
///
/// `accepted` is always the sum of what is there ([`QueueCounts`]) and of what left: `acknowledged`,
/// `dead_lettered`, `dropped` and `purged`. A refused message that is dead-lettered
/// (`reject-publish-dlx`) was never accepted: it counts as `refused`, and as departing on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Messages taken in.
    pub accepted: u64,
    /// Messages not taken in, because the queue was full.
    pub refused: u64,
    /// Messages not taken in, because the queue had seen them before.
    pub duplicates: u64,
    /// Deliveries, those of `basic.get` included.
    pub delivered: u64,
    /// Those among them that were not the message's first.
    pub redelivered: u64,
    /// Deliveries to consumers that need no answer.
    pub delivered_automatically: u64,
    /// Messages got with `basic.get`.
    pub fetched: u64,
    /// Those among them that need no answer.
    pub fetched_automatically: u64,
    /// Times that `basic.get` found nothing.
    pub empty_gets: u64,
    /// Messages acknowledged, by the client or automatically.
    pub acknowledged: u64,
    /// Messages moved to a dead-letter exchange, or handed to one that leads nowhere.
    pub dead_lettered: u64,
    /// The same by reason, those included that were refused and never accepted.
    pub died: Dropped,
    /// Messages given up without one.
    pub dropped: Dropped,
    /// Messages purged, cancelled before their time, or deleted with the queue.
    pub purged: u64,
}

impl Totals {
    /// Adds those of another queue.
    pub fn add(&mut self, more: &Self) {
        self.accepted += more.accepted;
        self.refused += more.refused;
        self.duplicates += more.duplicates;
        self.delivered += more.delivered;
        self.redelivered += more.redelivered;
        self.delivered_automatically += more.delivered_automatically;
        self.fetched += more.fetched;
        self.fetched_automatically += more.fetched_automatically;
        self.empty_gets += more.empty_gets;
        self.acknowledged += more.acknowledged;
        self.dead_lettered += more.dead_lettered;
        self.died.add(&more.died);
        self.dropped.add(&more.dropped);
        self.purged += more.purged;
    }

    /// Messages that clients acknowledged.
    pub fn acknowledged_by_clients(&self) -> u64 {
        self.acknowledged - self.delivered_automatically - self.fetched_automatically
    }

    /// Deliveries to consumers that are to be answered.
    pub fn delivered_for_ack(&self) -> u64 {
        self.delivered - self.fetched - self.delivered_automatically
    }

    fn count_delivery(&mut self, entry: &Entry) {
        self.delivered += 1;
        self.redelivered += u64::from(entry.is_redelivered());
    }
}

/// Messages given up by a queue without a dead-letter exchange, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped([u64; DeathReason::ALL.len()]);

impl Dropped {
    fn add(&mut self, more: &Self) {
        for (sum, more) in self.0.iter_mut().zip(more.0) {
            *sum += more;
        }
    }

    /// Those of one reason.
    pub fn count(&self, reason: DeathReason) -> u64 {
        self.0[reason as usize]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// A message that waits for its time, as an administrator sees it.
#[derive(Debug, Clone)]
pub struct ScheduledMessage {
    /// Names it: see [`Queue::cancel_scheduled`].
    pub position: Position,
    /// When it is delivered.
    pub due: Timestamp,
    /// The message: a stub ([`Message::is_stub`]) where memory is short and the store has the rest.
    pub message: Message,
    /// Times it was delivered before: 0 for one that was published with a delay.
    pub returns: u32,
}

/// What a queue is made with.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// It asks to be deleted when its last consumer leaves.
    pub auto_delete: bool,
    /// What is in force for it.
    pub settings: Arc<QueueSettings>,
    /// What ties `now` to the calendar.
    pub epoch: Epoch,
    /// Tells whether memory is short.
    pub memory: Arc<MemoryGauge>,
    /// How much of it is kept in memory, where a store takes the rest.
    pub window: Window,
}

impl QueueOptions {
    /// Those of a queue whose memory nobody counts.
    pub fn new(auto_delete: bool, settings: QueueSettings, epoch: Epoch) -> Self {
        let (memory, window) = (Arc::default(), Window::WIDE);
        Self { auto_delete, settings: Arc::new(settings), epoch, memory, window }
    }
}

impl Queue {
    /// An empty queue, in use for the first time `now`.
    pub fn new(options: QueueOptions, now: Instant) -> Self {
        let QueueOptions { auto_delete, settings, epoch, memory, window } = options;
        Self {
            ready: ReadyList::new(&settings),
            consumers: ConsumerSet::new(settings.single_active_consumer),
            duplicates: settings.deduplication.map(Duplicates::new),
            settings,
            epoch,
            auto_delete,
            schedule: Schedule::default(),
            fetched: Holdings::default(),
            departures: Departures::default(),
            in_doubt: InDoubt::default(),
            unacked: 0,
            next_position: 0,
            last_used: epoch.timestamp(now),
            alarm: None,
            backlog: false,
            deleted: false,
            journal: Journal::default(),
            memory,
            window,
            hungry: false,
            excess: Vec::new(),
            recalled: Vec::new(),
            run_is_next: false,
            waiting: Vec::new(),
            totals: Totals::default(),
            touched: Vec::new(),
        }
    }

    /// Leaves to a store, under the number of the queue, what is too much for memory, and in a
    /// `durable` queue records from now on what happens to persistent messages, and the keys of a
    /// deduplication window.
    #[must_use]
    pub fn stored(mut self, queue: QueueId, store: Arc<dyn Persist>, durable: bool) -> Self {
        if durable {
            self.in_doubt.keep(queue, Arc::clone(&store));
            if let Some(duplicates) = &mut self.duplicates {
                duplicates.keep(queue, Arc::clone(&store), self.epoch);
            }
        }
        self.journal = Journal::new(queue, store, durable);
        self
    }

    /// How many messages and consumers it has.
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            ready: self.ready.len(),
            unacked: self.unacked,
            scheduled: self.schedule.len(),
            departing: self.departures.len(),
            consumers: self.consumers.len(),
        }
    }

    /// What became of its messages so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is in force for it.
    pub fn settings(&self) -> &Arc<QueueSettings> {
        &self.settings
    }

    /// Appends messages in order and hands out what consumers have credit for. A deleted queue
    /// lets them fall: they came before its deletion as far as anyone can tell.
    pub fn enqueue<M: Borrow<Message> + Into<Message>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
        now: Instant,
        out: &mut Effects,
    ) {
        if self.deleted {
            let messages = messages.into_iter();
            out.freed += messages.map(|message| message.borrow().release()).sum::<usize>();
            return;
        }
        let (instant, now) = (now, self.epoch.timestamp(now));
        self.drop_expired(now, out);
        for (index, message) in messages.into_iter().enumerate() {
            if self.settings.refuses() && self.is_full_for(message.borrow(), now, out) {
                out.refused.push(index);
                self.refuse(message.borrow(), now, out);
            } else if self.is_duplicate(message.borrow(), instant) {
                self.totals.duplicates += 1;
                out.freed += message.borrow().release();
            } else {
                self.accept(message.into(), now, out);
            }
        }
        self.run(now, out);
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.write_down();
        }
    }

    /// Takes up the keys of a deduplication window that an earlier process left in the store.
    pub fn restore_seen(&mut self, keys: Vec<KeptKey>, now: Instant) {
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.restore(keys, now);
        }
    }

    fn is_duplicate(&mut self, message: &Message, now: Instant) -> bool {
        self.duplicates.as_mut().is_some_and(|duplicates| !duplicates.is_new(message, now))
    }

    /// A message left for good, or for another queue: one like it may come again.
    fn left(&mut self, entry: &Entry) {
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.left(&entry.message);
        }
    }

    fn accept(&mut self, message: Message, now: Timestamp, out: &mut Effects) {
        let mut entry = Entry::new(self.position(), message, Timestamp::NEVER);
        self.totals.accepted += 1;
        match entry.message.extras().due {
            Some(due) if due > now => {
                self.journal.entered(&mut entry, Some(due));
                self.thin_scheduled(&mut entry, due, out);
                self.schedule.add(due, entry);
            }
            _ => self.append(entry, now),
        }
    }

    /// A message takes its place behind all that are ready, and begins to age.
    fn append(&mut self, mut entry: Entry, now: Timestamp) {
        let own = entry.message.extras().time_to_live;
        let time_to_live = match (own, self.settings.message_ttl) {
            (Some(own), Some(of_queue)) => Some(own.min(of_queue)),
            (own, of_queue) => own.or(of_queue),
        };
        if let Some(time_to_live) = time_to_live {
            entry.expires = now.after(time_to_live);
        }
        self.journal.entered(&mut entry, None);
        self.ready.assign(&mut entry);
        self.note_ready(&entry);
        self.ready.push(entry);
    }

    /// Whether one more message is more than the queue may hold, consumers who have credit
    /// considered. Dead letters that no queue takes are its messages still.
    fn is_full_for(&mut self, message: &Message, now: Timestamp, out: &mut Effects) -> bool {
        let exceeds = |queue: &Self| {
            let kept = queue.settings.dead_letter.as_ref().is_some_and(|it| it.at_least_once);
            let departures = Some(&queue.departures).filter(|_| kept);
            let (departing, bytes) = departures.map_or((0, 0), |it| (it.len(), it.bytes()));
            let messages = (queue.ready.len() + departing + 1) as u64;
            let bytes = queue.ready.bytes() + bytes + message.body_len();
            queue.settings.is_exceeded_by(messages, bytes)
        };
        if !exceeds(self) {
            return false;
        }
        self.dispatch(now, out);
        exceeds(self)
    }

    fn refuse(&mut self, message: &Message, now: Timestamp, out: &mut Effects) {
        self.totals.refused += 1;
        let to_dead_letters = self.settings.overflow == Overflow::RejectPublishDeadLetter
            && self.settings.dead_letter.is_some();
        if to_dead_letters {
            let entry = Entry::new(self.position(), message.clone(), Timestamp::NEVER);
            let (reason, at) = (DeathReason::MaxLength, now);
            self.departures.add(Departure { entry, reason, at, recorded: false });
        } else {
            out.freed += message.release();
        }
    }

    fn position(&mut self) -> Position {
        let position = Position(self.next_position);
        self.next_position += 1;
        position
    }

    /// To be called before [`Queue::add_consumer`] and [`Queue::get`]: what they deliver may be known to
    /// have been delivered only if the store knows before that somebody uses the queue. `None` if it
    /// does, or need not; else the caller comes back when what was announced is durable, says so
    /// ([`Queue::use_is_safe`]), and asks again.
    pub fn announce_use(&mut self) -> Option<Announcement> {
        if self.deleted { None } else { self.in_doubt.announce() }
    }

    /// What [`Queue::announce_use`] wrote down is durable.
    pub fn use_is_safe(&mut self, announcement: Announcement) {
        self.in_doubt.is_safe(announcement);
    }

    /// Where the last consumer is gone and nothing is unacknowledged, all that was delivered is recorded.
    /// Use by `basic.get` has no end that could be seen: it lasts until [`Queue::rest`].
    fn end_use_if_over(&mut self) {
        let is_over = self.consumers.is_empty() && self.unacked == 0 && !self.fetched.is_used();
        if is_over && self.in_doubt.is_in_use() {
            self.journal.flush();
            self.in_doubt.end_use();
        }
    }

    /// The broker is being stopped, and all its clients are gone.
    pub fn rest(&mut self) {
        self.journal.flush();
        self.in_doubt.end_use();
    }

    /// Takes the next message for `basic.get`. With `no_ack` it is settled at once. Where it has to be
    /// read from the store first, `sink` is told when it is there.
    pub fn get(
        &mut self,
        no_ack: bool,
        sink: &Arc<dyn DeliverySink>,
        now: Instant,
        out: &mut Effects,
    ) -> Get {
        let now = self.epoch.timestamp(now);
        self.last_used = now;
        while !self.drop_expired(now, out) {}
        let got = match self.ready.pop() {
            Some(entry) => Get::Message(self.fetch(entry, no_ack, now, out)),
            None if self.ready.paged() > 0 || self.ready.is_next_stub() => {
                self.waiting.push(Arc::clone(sink));
                Get::Later
            }
            None => {
                self.totals.empty_gets += 1;
                Get::Empty
            }
        };
        self.run(now, out);
        got
    }

    fn fetch(&mut self, entry: Entry, no_ack: bool, now: Timestamp, out: &mut Effects) -> Fetched {
        self.totals.count_delivery(&entry);
        self.totals.fetched += 1;
        let number = if no_ack {
            self.totals.fetched_automatically += 1;
            self.acknowledged(&entry, out);
            self.fetched.pass()
        } else {
            self.unacked += 1;
            self.journal.delivered(&entry);
            self.fetched.add(entry.clone(), now)
        };
        Fetched { entry, number, behind: self.ready.len() }
    }

    /// Adds a consumer, which gets its first deliveries before this returns.
    ///
    /// # Errors
    /// [`ConsumeRefused`], and nothing has changed.
    pub fn add_consumer(
        &mut self,
        options: ConsumerOptions,
        now: Instant,
        out: &mut Effects,
    ) -> Result<ConsumerHandle, ConsumeRefused> {
        if self.deleted {
            return Err(ConsumeRefused::Deleted);
        }
        let alone =
            options.exclusive && (!self.consumers.is_empty() || self.consumers.is_single_active());
        if self.consumers.is_exclusive() || alone {
            return Err(ConsumeRefused::ExclusiveUse);
        }
        let now = self.epoch.timestamp(now);
        self.last_used = now;
        let handle = self.consumers.add(options);
        self.run(now, out);
        Ok(handle)
    }

    /// Removes a consumer. What it holds unacknowledged stays with its channel. A no-op for one that
    /// is gone.
    pub fn remove_consumer(&mut self, handle: ConsumerHandle, now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        self.cancel(handle, now, out);
        self.run(now, out);
    }

    fn cancel(&mut self, handle: ConsumerHandle, now: Timestamp, out: &mut Effects) {
        if self.consumers.cancel(handle) {
            self.last_used = now;
            self.end_use_if_over();
            out.unused |= self.auto_delete && self.consumers.is_empty();
        }
    }

    /// Lets consumers take turns again after their outbox or their channel held them back: all of them
    /// before anything is handed out, so that the one with the highest priority is first.
    pub fn resume(
        &mut self,
        handles: impl IntoIterator<Item = ConsumerHandle>,
        now: Instant,
        out: &mut Effects,
    ) {
        for handle in handles {
            self.consumers.restore(handle);
        }
        self.run(self.epoch.timestamp(now), out);
    }

    /// It was declared, for the first time or again. That is a use of the queue, which renews
    /// `x-expires`, but as in RabbitMQ not of a quorum queue.
    pub fn declared(&mut self, now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        if self.settings.kind != QueueKind::Quorum {
            self.last_used = now;
        }
        self.ask_for_alarm(now, out);
    }

    /// Puts other settings in force, as a policy does. What depends on the declaration (priorities,
    /// groups, a single active consumer) stays as it was; messages keep the expiry they have.
    pub fn reconfigure(&mut self, settings: Arc<QueueSettings>, now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        self.settings = settings;
        for handle in self.consumers.unwatch() {
            self.watch(handle);
        }
        self.run(now, out);
    }

    /// Drops all ready messages; how many there were.
    pub fn purge(&mut self, out: &mut Effects) -> usize {
        let count = self.purge_ready(out);
        self.journal.flush();
        count
    }

    fn purge_ready(&mut self, out: &mut Effects) -> usize {
        let Drained { entries, paged, ranges } = self.ready.drain();
        for entry in &entries {
            self.purged(entry, out);
        }
        for (from, to) in ranges {
            self.journal.cleared(from, to);
        }
        if paged > 0 {
            self.totals.purged += paged as u64;
            self.forget_duplicates();
        }
        entries.len() + paged
    }

    /// Messages left that nobody saw again: only those like the ones that are here still count as
    /// known.
    fn forget_duplicates(&mut self) {
        let Some(duplicates) = &mut self.duplicates else { return };
        let scheduled = self.schedule.iter().map(|(_, entry)| entry);
        let held = self.consumers.held().chain(self.fetched.iter());
        duplicates.keep_only(scheduled.chain(held).map(|entry| &entry.message));
    }

    /// The messages that wait for their time, the first to come first, `max` of them at most.
    pub fn scheduled(&self, max: usize) -> Vec<ScheduledMessage> {
        let shown = |(due, entry): (Timestamp, &Entry)| ScheduledMessage {
            position: entry.position,
            due,
            message: entry.message.clone(),
            returns: entry.returns,
        };
        self.schedule.iter().take(max).map(shown).collect()
    }

    /// Drops a message that waits for its time; `false` if there is none at this position.
    pub fn cancel_scheduled(
        &mut self,
        position: Position,
        now: Instant,
        out: &mut Effects,
    ) -> bool {
        let Some(entry) = self.schedule.take(position) else { return false };
        if entry.came_back() {
            self.ready.settled(&entry);
        }
        self.purged(&entry, out);
        self.run(self.epoch.timestamp(now), out);
        true
    }

    /// Ends the queue: drops its messages, tells its consumers, and turns every later call into a
    /// no-op. How many ready messages went with it.
    pub fn delete(&mut self, out: &mut Effects) -> usize {
        self.deleted = true;
        out.deleted = true;
        let count = self.purge_ready(out);
        let mut rest: Vec<Entry> = self.schedule.drain().collect();
        rest.extend(self.fetched.drain().map(|(_, entry)| entry));
        for mut consumer in self.consumers.drain() {
            rest.extend(consumer.held.drain().map(|(_, entry)| entry));
            if !consumer.is_cancelled() {
                consumer.options.sink.cancelled(consumer.options.subscription);
            }
        }
        self.unacked = 0;
        for entry in &rest {
            self.purged(entry, out);
        }
        for departure in self.departures.drain() {
            self.totals.purged += u64::from(departure.recorded);
            self.departed(&departure, out);
        }
        for sink in self.waiting.drain(..) {
            sink.try_again();
        }
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.clear();
        }
        self.in_doubt.close();
        self.journal.close();
        count
    }

    /// Whether [`Queue::delete`] was called.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn purged(&mut self, entry: &Entry, out: &mut Effects) {
        self.left(entry);
        self.totals.purged += 1;
        self.settled(entry, out);
    }

    /// A message that left the ready list or its holder is acknowledged.
    fn acknowledged(&mut self, entry: &Entry, out: &mut Effects) {
        self.ready.settled(entry);
        self.left(entry);
        self.totals.acknowledged += 1;
        self.settled(entry, out);
    }

    /// Gives a message up that has left the ready list: to the dead-letter exchange, if there is one.
    fn bury(&mut self, entry: Entry, reason: DeathReason, now: Timestamp, out: &mut Effects) {
        self.left(&entry);
        if self.settings.dead_letter.is_some() {
            self.departures.add(Departure { entry, reason, at: now, recorded: true });
        } else {
            self.totals.dropped.0[reason as usize] += 1;
            self.settled(&entry, out);
        }
    }

    /// The next `max` dead letters and where they go, for one caller at a time: until it says
    /// [`Queue::dead_letters_moved`] there are none. They stay the queue's as long.
    pub fn take_dead_letters(&mut self, max: usize, now: Instant) -> DeadLetters {
        let letters = self.departures.take(max, self.epoch.timestamp(now));
        DeadLetters { letters, target: self.settings.dead_letter.clone() }
    }

    /// What [`Queue::take_dead_letters`] gave is in other queues now, or nowhere where it may be lost.
    /// `refused` are the positions of those that are to be tried again later, in order.
    pub fn dead_letters_moved(&mut self, refused: &[Position], now: Instant, out: &mut Effects) {
        let now = self.epoch.timestamp(now);
        for departure in self.departures.arrived(refused, now) {
            self.totals.dead_lettered += u64::from(departure.recorded);
            self.totals.died.0[departure.reason as usize] += 1;
            self.departed(&departure, out);
        }
        self.run(now, out);
    }

    fn departed(&mut self, departure: &Departure, out: &mut Effects) {
        self.settled(&departure.entry, out);
    }

    /// A message left for good: tells the store, and how many bytes of memory are free now.
    fn settled(&mut self, entry: &Entry, out: &mut Effects) {
        self.ready.gone(entry.position);
        self.journal.settled(entry);
        out.freed += entry.message.release();
    }
}

/// What [`Queue::take_dead_letters`] gives.
#[derive(Debug)]
pub struct DeadLetters {
    /// In the order they died; none if nobody has to come.
    pub letters: Vec<DeadLetter>,
    /// Where they go; `None` if a policy took the dead-letter exchange away meanwhile.
    pub target: Option<DeadLetterTarget>,
}
