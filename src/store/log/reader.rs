//! Reading messages back.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::error::StoreError;
use super::super::place::{Location, SegmentId};
use super::super::record::{BODY_COPIED_MAX, decode_message};
use super::LogFiles;
use crate::broker::message::Message;

/// Bytes that are read with one call at most, unless a record is longer.
const READ_MAX: u64 = 1024 * 1024;

/// Bytes between two records that are rather read than stepped over with a call of their own.
const GAP_MAX: u64 = 4 * 1024;

/// Reads records of the log, on any thread, while it is written and while segments are removed.
#[derive(Debug, Clone)]
pub struct LogReader {
    files: Arc<LogFiles>,
}

impl LogReader {
    pub(super) fn new(files: Arc<LogFiles>) -> Self {
        Self { files }
    }

    /// The bytes of each of these records, as they are on the disk. Neighbours are read together.
    ///
    /// A segment that was removed since a location was looked up is an error of the system, "not found":
    /// its messages lie elsewhere by now, or are gone.
    ///
    /// Each is checked when it is used: by [`decode_message`], or by
    /// [`FrameBuilder::moved`](super::super::record::FrameBuilder::moved).
    pub fn read_many(&self, locations: &[Location]) -> Vec<Result<Bytes, StoreError>> {
        let mut order: Vec<usize> = (0..locations.len()).collect();
        order.sort_unstable_by_key(|&index| locations[index]);
        let mut read: Vec<Option<Result<Bytes, StoreError>>> =
            locations.iter().map(|_| None).collect();
        let neighbours =
            order.chunk_by(|&one, &next| are_neighbours(locations[one], locations[next]));
        for run in neighbours.flat_map(|run| groups(run, locations)) {
            self.read_group(run, locations, &mut read);
        }
        let missing = || StoreError::io("read", self.files.dir(), io::ErrorKind::Other.into());
        read.into_iter().map(|record| record.unwrap_or_else(|| Err(missing()))).collect()
    }

    /// The messages of these records.
    pub fn read_messages(&self, locations: &[Location]) -> Vec<Result<Message, StoreError>> {
        let records = self.read_many(locations).into_iter().zip(locations);
        let messages = records.map(|(record, location)| {
            decode_message(&record?).map_err(|error| StoreError::Corrupt {
                path: self.files.path(location.segment),
                offset: location.offset.into(),
                what: error.to_string(),
            })
        });
        messages.collect()
    }

    /// Reads records that lie side by side; one by one if that fails, so that no bad location makes
    /// others unreadable.
    fn read_group(
        &self,
        group: &[usize],
        locations: &[Location],
        read: &mut [Option<Result<Bytes, StoreError>>],
    ) {
        let (Some(&first), Some(&last)) = (group.first(), group.last()) else { return };
        let segment = locations[first].segment;
        let span = locations[first].offset.into()..end(locations[last]);
        match self.read_span(segment, span.clone()) {
            Ok(bytes) => {
                for &index in group {
                    let start = (u64::from(locations[index].offset) - span.start) as usize;
                    let range = start..start + locations[index].length as usize;
                    read[index] = Some(Ok(bytes.slice(range)));
                }
            }
            Err(error) if group.len() == 1 => read[first] = Some(Err(error)),
            Err(_) => {
                for index in group {
                    self.read_group(&[*index], locations, read);
                }
            }
        }
    }

    fn read_span(&self, segment: SegmentId, span: Range<u64>) -> Result<Bytes, StoreError> {
        let file = self.files.handle(segment)?;
        let failed = |error| StoreError::io("read", self.files.path(segment), error);
        let count = span.end - span.start;
        // What an index says may be wrong: no memory for more than there is.
        if count > READ_MAX && file.len().map_err(failed)? < span.end {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut bytes = vec![0; count as usize];
        file.read_at(span.start, &mut bytes).map_err(failed)?;
        Ok(bytes.into())
    }
}

fn end(location: Location) -> u64 {
    u64::from(location.offset) + u64::from(location.length)
}

/// Whether two records, in order, are to be read with one call. A large body is a part of what is
/// read: nothing else is to stay in memory with it.
fn are_neighbours(one: Location, next: Location) -> bool {
    let is_large = |location: Location| u64::from(location.length) > BODY_COPIED_MAX;
    one.segment == next.segment
        && !is_large(one)
        && !is_large(next)
        && u64::from(next.offset) <= end(one) + GAP_MAX
}

/// Cuts neighbours into groups that are read at once.
fn groups<'a>(run: &'a [usize], locations: &'a [Location]) -> impl Iterator<Item = &'a [usize]> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let start = u64::from(locations[*rest.first()?].offset);
        let fits = |&&index: &&usize| end(locations[index]) - start <= READ_MAX;
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, after) = rest.split_at(count);
        rest = after;
        Some(group)
    })
}
