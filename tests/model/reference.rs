//! A queue that is too simple to be wrong: one list of entries, each with its state, searched from the
//! front every time.

use leveret::broker::queue::DeathReason;
use leveret::broker::queue_settings::Overflow;

use crate::operations::{Draft, Rules};
use crate::{CHANNELS, OUTBOX_MAX};

/// What a consumer received: position, size, redelivered.
pub(crate) type Received = Vec<(u64, usize, bool)>;

/// What became of messages, in the order of [`Pair::compare`].
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) delivered: u64,
    pub(crate) redelivered: u64,
    pub(crate) acknowledged: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) dropped: u64,
    pub(crate) purged: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Reference {
    pub(crate) rules: Rules,
    pub(crate) now: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) consumers: Vec<Consumer>,
    /// Whose turn it is, next first.
    pub(crate) ring: Vec<usize>,
    /// The one that gets everything, if only one does.
    pub(crate) active: Option<usize>,
    /// Groups that may deliver, next first.
    pub(crate) groups: Vec<u64>,
    pub(crate) channels: [Channel; CHANNELS],
    /// Deliveries of `basic.get`.
    pub(crate) fetched: u64,
    /// Places in the batch of what was not taken in.
    pub(crate) refused: Vec<usize>,
    /// Dead letters in the order they died.
    pub(crate) dead: Vec<(u64, DeathReason)>,
    pub(crate) deleted: bool,
    pub(crate) freed: usize,
    pub(crate) totals: Totals,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) bytes: usize,
    pub(crate) priority: u8,
    pub(crate) group: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) returns: u32,
    pub(crate) state: EntryState,
    /// The number of its last delivery.
    pub(crate) number: u64,
    /// It was taken in, not refused.
    pub(crate) accepted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EntryState {
    Ready,
    Unacked(Option<usize>),
    Departing,
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) channel: usize,
    pub(crate) prefetch: usize,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: i64,
    pub(crate) gone: bool,
    pub(crate) cancelled: bool,
    pub(crate) outbox: Received,
    pub(crate) stalled: bool,
    pub(crate) delivered: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Channel {
    pub(crate) limit: usize,
    pub(crate) used: usize,
}

impl Reference {
    pub(crate) fn enqueue(&mut self, drafts: &[Draft], bytes: &[usize]) {
        for (place, (draft, &bytes)) in drafts.iter().zip(bytes).enumerate() {
            if self.deleted {
                self.freed += bytes;
                continue;
            }
            let refuses = self.rules.overflow != Overflow::DropHead;
            if refuses && self.is_full() {
                self.dispatch();
            }
            let refused = refuses && self.is_full();
            let to_dead_letters =
                self.rules.overflow == Overflow::RejectPublishDeadLetter && self.rules.dead_letters;
            if refused {
                self.totals.refused += 1;
                self.refused.push(place);
                if !to_dead_letters {
                    self.freed += bytes;
                    continue;
                }
            }
            self.append(draft, bytes, !refused);
        }
        self.finish();
    }

    pub(crate) fn append(&mut self, draft: &Draft, bytes: usize, accepted: bool) {
        let position = self.entries.len() as u64;
        let ttl = [draft.time_to_live.filter(|_| self.rules.is_mortal()), self.rules.time_to_live];
        let group = draft.group.map_or(1000 + position, u64::from);
        self.entries.push(Entry {
            position,
            bytes,
            priority: self.rules.max_priority.map_or(0, |max| draft.priority.min(max)),
            group,
            expires: ttl.into_iter().flatten().min().map(|ttl| self.now + ttl),
            returns: 0,
            state: EntryState::Ready,
            number: 0,
            accepted,
        });
        if accepted {
            self.totals.accepted += 1;
            self.offer(group);
        } else {
            self.bury(position, DeathReason::MaxLength);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        let ready = self.count(|state| state == EntryState::Ready) as u64;
        self.rules.max_length.is_some_and(|max| ready + 1 > max)
    }

    pub(crate) fn count(&self, state: impl Fn(EntryState) -> bool) -> usize {
        self.entries.iter().filter(|entry| state(entry.state)).count()
    }

    /// A group may deliver if it has something and nothing of it is out.
    pub(crate) fn offer(&mut self, group: u64) {
        let has = |wanted: fn(EntryState) -> bool| {
            self.entries.iter().any(|entry| entry.group == group && wanted(entry.state))
        };
        let busy = has(|state| matches!(state, EntryState::Unacked(_)));
        if has(|state| state == EntryState::Ready) && !busy && !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    /// The message that is next.
    pub(crate) fn first_ready(&mut self) -> Option<&mut Entry> {
        let group = self.groups.first().copied();
        let by_groups = self.rules.groups;
        let may = |entry: &&mut Entry| {
            entry.state == EntryState::Ready && (!by_groups || Some(entry.group) == group)
        };
        self.entries
            .iter_mut()
            .filter(may)
            .max_by_key(|entry| (entry.priority, std::cmp::Reverse(entry.position)))
    }

    /// The next message is delivered: to a consumer or by `basic.get`, to be acknowledged or not.
    pub(crate) fn deliver(
        &mut self,
        to: Option<usize>,
        no_ack: bool,
        number: u64,
    ) -> Option<Entry> {
        let entry = self.first_ready()?;
        entry.number = number;
        entry.state = if no_ack { EntryState::Gone } else { EntryState::Unacked(to) };
        let entry = *entry;
        self.groups.retain(|&group| group != entry.group);
        self.totals.delivered += 1;
        self.totals.redelivered += u64::from(entry.returns > 0);
        if no_ack {
            self.freed += entry.bytes;
            self.totals.acknowledged += 1;
            self.offer(entry.group);
        }
        Some(entry)
    }

    pub(crate) fn end(&mut self, ended: impl Fn(EntryState) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| ended(entry.state)) {
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.purged += u64::from(entry.accepted);
        }
        self.groups.clear();
    }

    pub(crate) fn bury(&mut self, position: u64, reason: DeathReason) {
        let entry = &mut self.entries[usize::try_from(position).expect("few")];
        let group = entry.group;
        if self.rules.dead_letters {
            entry.state = EntryState::Departing;
            self.dead.push((position, reason));
        } else {
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.dropped += 1;
        }
        self.offer(group);
    }

    pub(crate) fn come_back(&mut self, position: u64) {
        let entry = &mut self.entries[usize::try_from(position).expect("few")];
        entry.returns += 1;
        entry.state = EntryState::Ready;
        let (group, returns) = (entry.group, entry.returns);
        if self.rules.delivery_limit.is_some_and(|limit| returns > limit) {
            self.bury(position, DeathReason::DeliveryLimit);
        } else {
            self.offer(group);
        }
    }

    pub(crate) fn move_dead_letters(&mut self, max: usize) -> Vec<(u64, DeathReason)> {
        let moved: Vec<_> = self.dead.drain(..max.min(self.dead.len())).collect();
        for (position, _) in &moved {
            let entry = &mut self.entries[usize::try_from(*position).expect("few")];
            entry.state = EntryState::Gone;
            self.freed += entry.bytes;
            self.totals.dead_lettered += u64::from(entry.accepted);
        }
        moved
    }

    /// Drops what was dead at a moment.
    pub(crate) fn expire(&mut self, by: u64) {
        let dead = |entry: &&Entry| {
            entry.state == EntryState::Ready && entry.expires.is_some_and(|expires| expires <= by)
        };
        let mut dead: Vec<Entry> = self.entries.iter().filter(dead).copied().collect();
        dead.sort_by_key(|entry| (entry.expires, entry.position));
        dead.iter().for_each(|entry| self.bury(entry.position, DeathReason::Expired));
    }

    /// What every operation ends with.
    pub(crate) fn finish(&mut self) {
        self.expire(self.now - 1);
        self.dispatch();
        let drops = self.rules.overflow == Overflow::DropHead;
        while let Some(max) = self.rules.max_length.filter(|_| drops)
            && self.count(|state| state == EntryState::Ready) as u64 > max
        {
            let position = self.first_ready().expect("too many").position;
            self.bury(position, DeathReason::MaxLength);
        }
        self.expire(self.now);
    }

    pub(crate) fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1;
            self.finish();
        }
    }

    /// A consumer takes its place at the end of the ring, if it may and does not stand there.
    pub(crate) fn return_to_ring(&mut self, index: usize) {
        let consumer = &self.consumers[index];
        let owed = self.count(|state| state == EntryState::Unacked(Some(index)));
        let may = consumer.no_ack || consumer.prefetch == 0 || owed < consumer.prefetch;
        let its_turn = !self.rules.single_active || self.active == Some(index);
        if may && its_turn && !consumer.gone && !consumer.stalled && !self.ring.contains(&index) {
            self.ring.push(index);
        }
    }

    /// Where one consumer at a time gets everything, it is the one with the highest priority that
    /// waited longest.
    pub(crate) fn activate(&mut self) {
        if self.active.is_some_and(|active| !self.consumers[active].gone) {
            return;
        }
        let present = (0..self.consumers.len()).filter(|&index| !self.consumers[index].gone);
        let best = |&index: &usize| (self.consumers[index].priority, std::cmp::Reverse(index));
        self.active = present.max_by_key(best);
        if let Some(active) = self.active {
            self.return_to_ring(active);
        }
    }

    pub(crate) fn return_channel(&mut self, channel: usize) {
        for index in 0..self.consumers.len() {
            if self.consumers[index].channel == channel {
                self.return_to_ring(index);
                self.finish();
            }
        }
    }

    /// The first in the ring among those with the highest priority leaves it.
    pub(crate) fn take_turn(&mut self) -> usize {
        let highest = self.ring.iter().map(|&index| self.consumers[index].priority).max();
        let first = |&index: &usize| Some(self.consumers[index].priority) == highest;
        let place = self.ring.iter().position(first).expect("the ring is not empty");
        self.ring.remove(place)
    }

    pub(crate) fn dispatch(&mut self) {
        while self.first_ready().is_some() && !self.ring.is_empty() {
            let index = self.take_turn();
            let Consumer { channel, no_ack, .. } = self.consumers[index];
            let Channel { limit, used } = &mut self.channels[channel];
            if !no_ack {
                if *limit != 0 && *used >= *limit {
                    continue;
                }
                *used += 1;
            }
            self.consumers[index].delivered += 1;
            let number = self.consumers[index].delivered;
            let entry = self.deliver(Some(index), no_ack, number).expect("looked at before");
            let Entry { position, bytes, returns, .. } = entry;
            let consumer = &mut self.consumers[index];
            consumer.outbox.push((position, bytes, returns > 0));
            consumer.stalled |= waiting(&consumer.outbox) >= OUTBOX_MAX;
            self.return_to_ring(index);
        }
    }
}

pub(crate) fn waiting(outbox: &Received) -> usize {
    outbox.iter().map(|(_, bytes, _)| bytes).sum()
}
