//! Messages that must not overtake each other: groups, each with one delivery at a time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use amqp_codec::{PropertiesRef, RawTable};
use foldhash::fast::RandomState;
use slab::Slab;

use super::super::effect::Position;
use super::super::message::Message;
use super::super::queue_settings::{GroupProperty, MessageGroup};
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::lane::Lane;

/// Ready messages by group.
///
/// A group with a delivery that is not settled waits; the others take turns, so a large group holds up
/// nobody. Every operation costs O(1), whatever the number of groups, but for what comes back (see
/// [`Lane`]). A message without the header or
/// property is a group of its own.
#[derive(Debug)]
pub(super) struct Groups {
    key: MessageGroup,
    ids: HashMap<Arc<[u8]>, usize, RandomState>,
    groups: Slab<Group>,
    /// Groups that can deliver, next first. Those whose messages went by other ways may still stand
    /// here, but they are never more than the others.
    turns: VecDeque<usize>,
    /// How many of these have no message.
    idle_turns: usize,
    waiting: usize,
    /// By position, for queues that drop their oldest message.
    ages: Option<BTreeMap<Position, usize>>,
}

#[derive(Debug)]
struct Group {
    /// `None` for a message without a group.
    key: Option<Arc<[u8]>>,
    waiting: Lane,
    /// One of its messages is delivered, or waits for its retry.
    busy: bool,
    /// It stands in `turns`.
    in_turn: bool,
}

impl Groups {
    pub(super) fn new(key: MessageGroup) -> Self {
        Self {
            key,
            ids: HashMap::default(),
            groups: Slab::new(),
            turns: VecDeque::new(),
            idle_turns: 0,
            waiting: 0,
            ages: None,
        }
    }

    /// How many groups there are, those included that stand in `turns` with nothing to deliver.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether some group has a message and no delivery. Cost: O(1), amortised.
    pub(super) fn is_deliverable(&mut self) -> bool {
        while let Some(&id) = self.turns.front() {
            if self.groups.get(id).is_some_and(|group| !group.busy && !group.waiting.is_empty()) {
                return true;
            }
            self.turns.pop_front();
            self.idle_turns -= 1;
            self.leave_turns(id);
        }
        false
    }

    /// A message of an earlier process waits for its retry: its group has one under way.
    pub(super) fn hold(&mut self, entry: &mut Entry) {
        let id = self.group_of(&entry.message);
        entry.lane = lane(id);
        if let Some(group) = self.groups.get_mut(id) {
            group.busy = true;
        }
    }

    /// Gives a message its group. It is to be pushed next: nobody else remembers a group that is new.
    pub(super) fn assign(&mut self, entry: &mut Entry) {
        entry.lane = lane(self.group_of(&entry.message));
    }

    /// Appends a new message to its group, which it was assigned to.
    pub(super) fn push(&mut self, entry: Entry, index: &mut ExpiryIndex) {
        let id = entry.lane as usize;
        self.place(id, entry.position, |waiting| waiting.push(entry, false, index));
    }

    /// Puts back a message that was delivered, in front of those of its group that came later; the
    /// group can deliver again.
    pub(super) fn put_back(&mut self, entry: Entry, index: &mut ExpiryIndex) {
        let id = entry.lane as usize;
        let Some(group) = self.groups.get_mut(id) else { return };
        group.busy = false;
        self.place(id, entry.position, |waiting| waiting.put_back(entry, index));
    }

    /// Takes the first message of the group whose turn it is. The group waits until
    /// [`Groups::settled`] or [`Groups::put_back`].
    pub(super) fn pop(&mut self) -> Option<Entry> {
        if !self.is_deliverable() {
            return None;
        }
        let id = self.turns.pop_front()?;
        let group = self.groups.get_mut(id)?;
        group.in_turn = false;
        group.busy = true;
        let entry = group.waiting.pop()?;
        self.left(&entry);
        Some(entry)
    }

    /// A message that waits, wherever it stands.
    pub(super) fn get_mut(&mut self, position: Position, lane: u32) -> Option<&mut Entry> {
        self.groups.get_mut(lane as usize)?.waiting.get_mut(position)
    }

    /// The message that is next, if some group can deliver.
    pub(super) fn next(&mut self) -> Option<&Entry> {
        if !self.is_deliverable() {
            return None;
        }
        self.groups.get(*self.turns.front()?)?.waiting.iter().next()
    }

    /// The messages that may be next, `max` of them at most: of each group whose turn it will be its
    /// first, and more of each where there are few.
    pub(super) fn iter(&self, max: usize) -> impl Iterator<Item = &Entry> {
        let each = (max / self.turns.len().max(1)).max(1);
        let groups = self.turns.iter().take(max).filter_map(|&id| self.groups.get(id));
        groups.flat_map(move |group| group.waiting.iter().take(each))
    }

    /// A message that was popped has left for good: its group can go on.
    pub(super) fn settled(&mut self, entry: &Entry) {
        let id = entry.lane as usize;
        if let Some(group) = self.groups.get_mut(id) {
            group.busy = false;
            self.offer(id);
        }
    }

    /// Takes a message that waits from wherever it stands.
    pub(super) fn take(&mut self, position: Position, lane: u32) -> Option<Entry> {
        let id = lane as usize;
        let group = self.groups.get_mut(id)?;
        let entry = group.waiting.remove(position)?;
        let idles = group.in_turn && group.waiting.is_empty();
        self.left(&entry);
        if idles {
            self.idle_turns += 1;
            self.close_ranks();
        } else {
            self.offer(id);
        }
        Some(entry)
    }

    /// Forgets the groups in `turns` that have no message, once they are more than half.
    fn close_ranks(&mut self) {
        if self.idle_turns * 2 <= self.turns.len() {
            return;
        }
        self.idle_turns = 0;
        for id in std::mem::take(&mut self.turns) {
            self.leave_turns(id);
        }
    }

    /// Takes the oldest message that waits. The first call costs a look at all of them.
    pub(super) fn pop_oldest(&mut self) -> Option<Entry> {
        let groups = &self.groups;
        let ages = self.ages.get_or_insert_with(|| {
            let of = |(id, group): (usize, &Group)| {
                group.waiting.positions().map(move |position| (position, id)).collect::<Vec<_>>()
            };
            groups.iter().flat_map(of).collect()
        });
        let (&position, &id) = ages.first_key_value()?;
        self.take(position, lane(id))
    }

    /// Takes everything that waits, oldest first.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.waiting);
        let mut idle = Vec::new();
        for (id, group) in &mut self.groups {
            entries.extend(group.waiting.drain());
            if !group.busy {
                idle.push(id);
            }
        }
        self.turns.clear();
        self.idle_turns = 0;
        for id in idle {
            self.forget(id);
        }
        if let Some(ages) = &mut self.ages {
            ages.clear();
        }
        self.waiting = 0;
        entries.sort_by_key(|entry| entry.position);
        entries
    }

    /// Adds a message to its group.
    fn place(&mut self, id: usize, position: Position, add: impl FnOnce(&mut Lane)) {
        let Some(group) = self.groups.get_mut(id) else { return };
        self.waiting += 1;
        self.idle_turns -= usize::from(group.in_turn && group.waiting.is_empty());
        if let Some(ages) = &mut self.ages {
            ages.insert(position, id);
        }
        add(&mut group.waiting);
        self.offer(id);
    }

    fn left(&mut self, entry: &Entry) {
        self.waiting -= 1;
        if let Some(ages) = &mut self.ages {
            ages.remove(&entry.position);
        }
    }

    /// Gives a group its turn if it can deliver, and forgets one that is through.
    fn offer(&mut self, id: usize) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if group.busy || group.in_turn {
            return;
        }
        if group.waiting.is_empty() {
            self.forget(id);
        } else {
            group.in_turn = true;
            self.turns.push_back(id);
        }
    }

    fn leave_turns(&mut self, id: usize) {
        if let Some(group) = self.groups.get_mut(id) {
            group.in_turn = false;
            self.offer(id);
        }
    }

    fn forget(&mut self, id: usize) {
        if let Some(Group { key: Some(key), .. }) = self.groups.try_remove(id) {
            self.ids.remove(&key);
        }
    }

    /// The group of a message, made if there is none yet.
    fn group_of(&mut self, message: &Message) -> usize {
        let Some(key) = group_key(&self.key, message.properties()) else {
            return self.insert(None);
        };
        if let Some(&id) = self.ids.get(key) {
            return id;
        }
        let key: Arc<[u8]> = key.into();
        let id = self.insert(Some(Arc::clone(&key)));
        self.ids.insert(key, id);
        id
    }

    fn insert(&mut self, key: Option<Arc<[u8]>>) -> usize {
        self.groups.insert(Group { key, waiting: Lane::default(), busy: false, in_turn: false })
    }
}

fn lane(id: usize) -> u32 {
    u32::try_from(id).expect("fewer than 2^32 groups fit in memory")
}

/// What names a message's group. A header counts with its type: the number 7 and the text "7" are two
/// groups.
fn group_key<'a>(group: &MessageGroup, properties: &'a [u8]) -> Option<&'a [u8]> {
    let properties = PropertiesRef::parse(properties).ok()?;
    match group {
        MessageGroup::Header(name) => {
            let mut headers = RawTable(properties.headers?).iter().flatten();
            let (_, value) = headers.find(|(key, _)| *key == name.as_bytes())?;
            Some(value.as_bytes())
        }
        MessageGroup::Property(property) => match property {
            GroupProperty::MessageId => properties.message_id,
            GroupProperty::CorrelationId => properties.correlation_id,
            GroupProperty::ReplyTo => properties.reply_to,
            GroupProperty::Type => properties.kind,
            GroupProperty::UserId => properties.user_id,
            GroupProperty::AppId => properties.app_id,
        },
    }
}
