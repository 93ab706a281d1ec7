//! How much of each segment is still referred to.

use rustc_hash::FxHashMap;

use super::super::place::{Location, Place, SegmentId};

/// What still refers to a segment.
///
/// A record that stands in several queues counts once for each, so a segment of such records looks fuller
/// than it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Places that lie in it.
    pub references: u64,
    /// Bytes in the records they refer to.
    pub bytes: u64,
}

/// What refers to each segment; one that is not there has nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LiveCounts(FxHashMap<SegmentId, Live>);

impl LiveCounts {
    pub(super) fn get(&self, segment: SegmentId) -> Live {
        self.0.get(&segment).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, segment: SegmentId, live: Live) {
        self.0.insert(segment, live);
    }

    pub(super) fn add(&mut self, location: Location) {
        let live = self.0.entry(location.segment).or_default();
        live.references += 1;
        live.bytes += u64::from(location.length);
    }

    pub(super) fn subtract(&mut self, location: Location) {
        let Some(live) = self.0.get_mut(&location.segment) else { return };
        live.references = live.references.saturating_sub(1);
        live.bytes = live.bytes.saturating_sub(location.length.into());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, Live)> {
        self.0.iter().map(|(segment, live)| (*segment, *live))
    }
}

/// What is known of a queue without looking at its entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that it holds: ready, delivered and scheduled ones.
    pub count: u64,
    /// Bytes in their bodies.
    pub bytes: u64,
    /// The first that does not wait for its moment; [`next_position`](Self::next_position) if none.
    pub first: u64,
    /// No position from here on was ever used.
    pub next_position: u64,
    /// Those that wait for their moment.
    pub scheduled: u64,
    /// Those that do not outlive the process.
    pub transient: u64,
}

impl Summary {
    pub(super) fn add(&mut self, place: &Place) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(place.body_len);
        self.scheduled += u64::from(place.due.is_some());
        self.transient += u64::from(place.transient);
    }

    pub(super) fn subtract(&mut self, place: &Place) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(place.body_len);
        self.scheduled = self.scheduled.saturating_sub(place.due.is_some().into());
        self.transient = self.transient.saturating_sub(place.transient.into());
    }
}
