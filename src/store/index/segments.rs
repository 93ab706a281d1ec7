//! Which segments of the log may go.

use super::super::place::SegmentId;
use super::live::Live;
use super::{CheckpointMark, Index, State};

impl State {
    fn live_in(&self, segment: SegmentId) -> Live {
        let frozen = self.frozen.iter().map(|frozen| frozen.delta.live.get(segment));
        let counts = [self.live.get(segment), self.dirty.live.get(segment)];
        let zero = Live::default();
        counts.into_iter().chain(frozen).fold(zero, |sum, live| Live {
            references: sum.references + live.references,
            bytes: sum.bytes + live.bytes,
        })
    }
}

impl Index {
    /// What refers to a segment: never less than is true. What left since the last checkpoint counts, if it
    /// entered before; what entered since and left counts no more.
    pub fn live(&self, segment: SegmentId) -> Live {
        self.state.lock().live_in(segment)
    }

    /// Those of `all` segments, given with their bytes, that nothing refers to and that a recovery from
    /// `mark` does not read: they may be unlinked.
    ///
    /// `mark` is that of a completed checkpoint.
    pub fn dead_segments(&self, all: &[(SegmentId, u64)], mark: CheckpointMark) -> Vec<SegmentId> {
        self.select(all, mark, |live, _| live.references == 0)
    }

    /// Those of `all` segments, given with their bytes, that are before `mark` and hold fewer live bytes than
    /// that fraction: the few messages in them may be written anew. Dead ones are not among them.
    pub fn sparse_segments(
        &self,
        all: &[(SegmentId, u64)],
        mark: CheckpointMark,
        fraction: f64,
    ) -> Vec<SegmentId> {
        #[expect(clippy::cast_precision_loss, reason = "a threshold need not be exact")]
        let is_sparse = |live: Live, bytes: u64| (live.bytes as f64) < bytes as f64 * fraction;
        self.select(all, mark, |live, bytes| live.references > 0 && is_sparse(live, bytes))
    }

    fn select(
        &self,
        all: &[(SegmentId, u64)],
        mark: CheckpointMark,
        wanted: impl Fn(Live, u64) -> bool,
    ) -> Vec<SegmentId> {
        let state = self.state.lock();
        let before = all.iter().filter(|(segment, _)| *segment < mark.segment);
        let wanted = before.filter(|(segment, bytes)| wanted(state.live_in(*segment), *bytes));
        wanted.map(|(segment, _)| *segment).collect()
    }
}
