//! Whether what the map holds agrees with itself.

use std::collections::BTreeMap;

use super::super::error::StoreError;
use super::super::key_value::after_prefix;
use super::keys::{self, Kind};
use super::live::{LiveCounts, Summary};
use super::read::position;
use super::{Index, read_live};
use crate::broker::queue_cell::QueueId;

/// What a check of the whole index found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexReport {
    /// Queues with a summary.
    pub queues: u64,
    /// Blocks of entries.
    pub blocks: u64,
    /// Entries in them.
    pub entries: u64,
    /// What does not agree, each as a sentence. Empty if all is well.
    pub problems: Vec<String>,
}

/// What the blocks say.
#[derive(Default)]
struct Counted {
    queues: BTreeMap<QueueId, Summary>,
    live: LiveCounts,
}

impl Index {
    /// Reads the whole index as of the last checkpoint, and says what is wrong with it.
    pub fn check(&self) -> Result<IndexReport, StoreError> {
        let _no_checkpoint = self.checkpoint.lock();
        let mut report = IndexReport::default();
        let mut counted = Counted::default();
        for kind in [Kind::Present, Kind::Scheduled] {
            self.check_blocks(kind, &mut counted, &mut report)?;
        }
        self.check_summaries(&counted, &mut report)?;
        let stored = read_live(&*self.kv)?;
        for (segment, _) in stored.iter().chain(counted.live.iter()) {
            let (says, is) = (stored.get(segment), counted.live.get(segment));
            if says != is {
                let number = segment.0;
                report
                    .problems
                    .push(format!("segment {number} has {is:?}, its count says {says:?}"));
            }
        }
        report.problems.sort();
        report.problems.dedup();
        Ok(report)
    }

    fn check_blocks(
        &self,
        kind: Kind,
        counted: &mut Counted,
        report: &mut IndexReport,
    ) -> Result<(), StoreError> {
        let prefix = keys::kind(kind);
        for pair in self.kv.range(&prefix, &after_prefix(&prefix)) {
            let (key, value) = pair?;
            report.blocks += 1;
            let Some((queue, number)) = keys::parse_block(&key) else {
                report.problems.push(format!("a block has the key {key:?}"));
                continue;
            };
            let entries = match self.decode(queue, number, &value) {
                Ok(entries) => entries,
                Err(error) => {
                    report.problems.push(error.to_string());
                    continue;
                }
            };
            report.entries += entries.len() as u64;
            let summary = counted.queues.entry(queue).or_default();
            for (at, place) in entries {
                summary.add(&place);
                counted.live.add(place.location);
                let Some(next) = position(number, at).0.checked_add(1) else { continue };
                summary.next_position = summary.next_position.max(next);
                if place.due.is_some() != (kind == Kind::Scheduled) {
                    let (queue, at) = (queue.0, next - 1);
                    let problem =
                        format!("position {at} of queue {queue} is in the wrong kind of block");
                    report.problems.push(problem);
                }
            }
        }
        Ok(())
    }

    fn check_summaries(
        &self,
        counted: &Counted,
        report: &mut IndexReport,
    ) -> Result<(), StoreError> {
        let mut without = counted.queues.clone();
        for pair in self.kv.range(&keys::SUMMARIES, &after_prefix(&keys::SUMMARIES)) {
            let (key, value) = pair?;
            report.queues += 1;
            let parsed = keys::parse_summary(&key).zip(keys::parse_summary_value(&value));
            let Some((queue, says)) = parsed else {
                report.problems.push(format!("the summary with the key {key:?} is damaged"));
                continue;
            };
            let is = without.remove(&queue).unwrap_or_default();
            let expected = Summary {
                first: says.first,
                next_position: says.next_position.max(is.next_position),
                ..is
            };
            if says != expected {
                let QueueId(queue) = queue;
                report
                    .problems
                    .push(format!("queue {queue} has {expected:?}, its summary says {says:?}"));
            }
        }
        for QueueId(queue) in without.keys() {
            report.problems.push(format!("queue {queue} has blocks and no summary"));
        }
        Ok(())
    }
}
