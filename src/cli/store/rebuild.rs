//! `leveret store rebuild`.

use std::io::{self, Write};
use std::path::Path;

use super::StoreCommandError;
use super::queues::{adopt, adopted_name, numbers};
use crate::session::DEFINITION_PREFIXES;
use crate::store::offline::{RebuildForm, Rebuilt, rebuild};

/// Rebuilds the index, and says what could not be known; whether nothing was damaged or dropped.
pub(super) fn run(dir: &Path, force: bool, out: &mut dyn Write) -> Result<bool, StoreCommandError> {
    let form = RebuildForm { prefixes: &DEFINITION_PREFIXES, queues: numbers, adopt };
    let rebuilt = rebuild(dir, &form, force)?;
    summary(&rebuilt, out)?;
    unknown(&rebuilt, out)?;
    for problem in &rebuilt.log.problems {
        writeln!(out, "problem: {problem}")?;
    }
    Ok(rebuilt.log.problems.is_empty() && rebuilt.snapshot.is_ok())
}

fn summary(rebuilt: &Rebuilt, out: &mut dyn Write) -> io::Result<()> {
    if let Some(moved_to) = &rebuilt.moved_to {
        writeln!(out, "the old index is in {}", moved_to.display())?;
    }
    let definitions = match &rebuilt.snapshot {
        Ok(keys) => format!("{keys} definitions, and what the log says since"),
        Err(why) => format!("{why}; what the log does not define is gone: declare it anew"),
    };
    writeln!(out, "definitions.json: {definitions}")?;
    let (log, queues, messages) = (&rebuilt.log, rebuilt.queues, rebuilt.messages);
    let (segments, frames) = (log.segments.len(), log.frames);
    writeln!(out, "log: {segments} segments, {frames} frames")?;
    writeln!(out, "rebuilt: {queues} queues with {messages} messages")
}

/// What nobody can know any more.
fn unknown(rebuilt: &Rebuilt, out: &mut dyn Write) -> io::Result<()> {
    let gone = missing_segments(rebuilt);
    if gone > 0 {
        writeln!(
            out,
            "{gone} segments of the log were no longer needed and are gone, with what they told of later \
             acknowledgements: messages that were acknowledged long ago may be back"
        )?;
    }
    writeln!(
        out,
        "how often messages were delivered, and keys that tell duplicates, are known as far as the log \
         goes"
    )?;
    for (queue, messages) in &rebuilt.dropped {
        let queue = queue.0;
        writeln!(out, "dropped: {messages} messages of queue {queue}, which was deleted")?;
    }
    for (queue, messages) in &rebuilt.adopted {
        let (name, queue) = (adopted_name(*queue), queue.0);
        writeln!(
            out,
            "queue {queue} is not defined any more, or was deleted: its {messages} messages are in '{name}' \
             of the vhost '/'"
        )?;
    }
    if let Some(torn) = &rebuilt.log.torn {
        let (path, offset, bytes) = (torn.path.display(), torn.offset, torn.bytes);
        writeln!(out, "{path}: {bytes} bytes behind byte {offset} were never completed")?;
    }
    Ok(())
}

/// Segments that were there, by the numbers of those that are.
fn missing_segments(rebuilt: &Rebuilt) -> u64 {
    let segments = &rebuilt.log.segments;
    let last = segments.last().map_or(0, |segment| u64::from(segment.id.0));
    last.saturating_sub(segments.len() as u64)
}
