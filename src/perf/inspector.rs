//! Looks at every message that a consumer gets.

use std::collections::HashMap;
use std::sync::Arc;

use amqp_codec::ShortString;
use parking_lot::Mutex;

use super::ledger::Ledger;
use super::mark::{Checksum, MARK_END, Mark};
use super::stamp::{read_sequence, read_stamp};

/// Looks at every message that a consumer gets, and notes it in the ledger of all consumers.
#[derive(Debug)]
pub(super) struct Inspector {
    ledger: Arc<Mutex<Ledger>>,
    rules: InspectorRules,
    /// The ledger's numbers of the consumer's queues.
    queues: Vec<u32>,
    /// The queue of the message that comes.
    queue: u32,
    /// What of it is before the rest.
    head: [u8; MARK_END],
    head_len: usize,
    /// The checksum of the rest.
    rest: Checksum,
    /// The sequence of the latest, by queue, publisher and priority.
    latest: HashMap<(u32, u32, u32), u32>,
}

/// What an inspector has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct InspectorRules {
    /// Which run's messages count.
    pub(super) run: u16,
    /// How many priorities a publisher's streams are of, 1 at least.
    pub(super) priorities: u32,
}

impl Inspector {
    pub(super) fn new(
        ledger: Arc<Mutex<Ledger>>,
        rules: InspectorRules,
        queues: &[ShortString],
    ) -> Self {
        let queues: Vec<u32> = {
            let mut ledger = ledger.lock();
            queues.iter().map(|name| ledger.queue(name)).collect()
        };
        Self {
            ledger,
            rules,
            queues,
            queue: 0,
            head: [0; MARK_END],
            head_len: 0,
            rest: Checksum::default(),
            latest: HashMap::new(),
        }
    }

    /// A message comes, for the consumer with this tag.
    pub(super) fn begin(&mut self, consumer_tag: &[u8]) {
        let number = std::str::from_utf8(consumer_tag).ok().and_then(|tag| tag.rsplit_once('-'));
        let at = number.and_then(|(_, number)| number.parse::<usize>().ok());
        self.queue = at.and_then(|at| self.queues.get(at)).copied().unwrap_or(u32::MAX);
        (self.head_len, self.rest) = (0, Checksum::default());
    }

    /// A part of its body.
    pub(super) fn part(&mut self, part: &[u8]) {
        let (head, rest) = part.split_at(part.len().min(MARK_END - self.head_len));
        self.head[self.head_len..][..head.len()].copy_from_slice(head);
        self.head_len += head.len();
        self.rest = self.rest.with(rest);
    }

    /// It is there as a whole.
    pub(super) fn end(&mut self) {
        let mut ledger = self.ledger.lock();
        let mark = (self.head_len == MARK_END).then(|| Mark::read(&self.head, self.rest)).flatten();
        let Some(mark) = mark else { return ledger.damaged() };
        let Some(stamp) = self.head.first_chunk() else { return };
        if read_stamp(stamp, self.rules.run).is_none() {
            return ledger.foreign();
        }
        let sequence = read_sequence(stamp);
        let lane = (self.queue, mark.publisher, mark.stream % self.rules.priorities);
        let before = self.latest.insert(lane, sequence);
        // Sequences start again after 2^32.
        let in_order = before.is_none_or(|before| sequence.wrapping_sub(before) as i32 > 0);
        ledger.arrive(self.queue, mark, in_order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::ledger::Verified;
    use crate::perf::stamp::write_stamp;

    fn body(run: u16, sequence: u64, number: u32) -> Vec<u8> {
        let mut body = b"a body of some length, above what a mark takes".to_vec();
        let rest = Checksum::default().with(&body[MARK_END..]);
        write_stamp(body.first_chunk_mut().unwrap(), sequence, run, 5);
        let mark = Mark { publisher: 1, stream: 0, number };
        mark.write(body.first_chunk_mut().unwrap(), rest);
        body
    }

    fn found(bodies: &[Vec<u8>], cut: usize) -> Verified {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let queues = [ShortString::from_static("one"), ShortString::from_static("two")];
        let rules = InspectorRules { run: 7, priorities: 1 };
        let mut inspector = Inspector::new(Arc::clone(&ledger), rules, &queues);
        for body in bodies {
            inspector.begin(b"perf-1");
            body.chunks(cut).for_each(|part| inspector.part(part));
            inspector.end();
        }
        ledger.lock().verified(bodies.len() as u64)
    }

    #[test]
    fn whatever_the_cuts_the_same_is_found() {
        let mut bodies = vec![body(7, 0, 0), body(7, 1, 1), body(7, 2, 2)];
        for cut in [1, 7, 32, 1000] {
            assert!(found(&bodies, cut).is_clean(), "cut at {cut}");
        }
        bodies[1][40] ^= 1;
        bodies[2] = body(8, 2, 2);
        bodies.push(body(7, 5, 5));
        bodies.push(body(7, 4, 4));
        bodies.push(b"short".to_vec());
        for cut in [1, 7, 32, 1000] {
            let expected = Verified {
                checked: 5,
                lost: 3,
                out_of_order: 1,
                damaged: 2,
                foreign: 1,
                ..Verified::default()
            };
            assert_eq!(found(&bodies, cut), expected, "cut at {cut}");
        }
    }
}
