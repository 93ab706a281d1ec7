//! Publishes, written in advance.

use std::ops::Range;

use amqp_codec::method::basic;
use amqp_codec::{
    BasicProperties, FRAME_HEAD_SIZE, FRAME_OVERHEAD, Method, ShortString, write_content,
};
use bytes::BytesMut;

use super::PerfError;
use super::address::Address;
use super::clock::Nanos;
use super::link::CHANNEL;
use super::mark::{Checksum, MARK_END, Mark};
use super::plan::Plan;
use super::stamp::{STAMP_SIZE, write_stamp};

/// Written at once, if so much may be sent.
const BATCH: usize = 64 * 1024;

/// What the frames of one publisher may take up.
const TOTAL_MAX: usize = 256 * 1024 * 1024;

/// The frames of messages in the order they are published in, round and round. What is written to the socket
/// are slices of it; before that the stamps in it are renewed.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Box<[u8]>,
    slots: Box<[Slot]>,
    /// The slot of the next message.
    next: usize,
    marks: Option<Marks>,
}

/// A message among the frames.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: usize,
    end: usize,
    /// Where the body starts, if it has room for a stamp.
    stamp: Option<usize>,
    /// Which messages it is in line with.
    stream: usize,
}

/// What messages say of themselves where arrivals are verified.
#[derive(Debug)]
struct Marks {
    publisher: u32,
    /// Messages sent of each stream.
    sent: Box<[u32]>,
    /// What all bodies have in common.
    rest: Checksum,
}

impl Marks {
    fn write(&mut self, head: &mut [u8; MARK_END], stream: usize) {
        let sent = &mut self.sent[stream];
        let (publisher, stream) = (self.publisher, stream as u32);
        Mark { publisher, stream, number: *sent }.write(head, self.rest);
        *sent = sent.wrapping_add(1);
    }
}

impl Frames {
    /// Messages to `exchange` with these addresses in turn, of the publisher with this number.
    pub(super) fn new(
        plan: &Plan,
        exchange: &ShortString,
        addresses: &[Address],
        publisher: u32,
        frame_max: u32,
    ) -> Result<Self, PerfError> {
        let priorities = usize::from(plan.priorities.unwrap_or(0).max(1));
        let mut draft = Draft::new(plan, exchange, frame_max);
        while draft.bytes.len() < BATCH || !draft.slots.len().is_multiple_of(priorities) {
            for (at, address) in addresses.iter().enumerate() {
                let priority = draft.slots.len() % priorities;
                draft.publish(address, at * priorities + priority, priority);
                if draft.bytes.len() > TOTAL_MAX {
                    return Err(too_much(plan, addresses.len()));
                }
            }
        }
        let marks = plan.verify.then(|| Marks {
            publisher,
            sent: vec![0; addresses.len() * priorities].into_boxed_slice(),
            rest: Checksum::default().with(draft.body.get(MARK_END..).unwrap_or_default()),
        });
        let bytes = Vec::from(draft.bytes).into_boxed_slice();
        Ok(Self { bytes, slots: draft.slots.into_boxed_slice(), next: 0, marks })
    }

    /// Stamps the next messages, `max` at most, one at least, and says where they are and how many. What was
    /// given out before has to be written by now.
    pub(super) fn take(
        &mut self,
        max: u64,
        sequence: u64,
        run: u16,
        sent: Nanos,
    ) -> (Range<usize>, usize) {
        let start = self.slots[self.next].start;
        let mut end = start;
        let mut count = 0;
        for slot in &self.slots[self.next..] {
            if count as u64 >= max || end - start >= BATCH {
                break;
            }
            if let Some(at) = slot.stamp {
                let body = &mut self.bytes[at..];
                if let Some(stamp) = body.first_chunk_mut::<STAMP_SIZE>() {
                    write_stamp(stamp, sequence + count as u64, run, sent);
                }
                if let Some(marks) = &mut self.marks
                    && let Some(head) = body.first_chunk_mut::<MARK_END>()
                {
                    marks.write(head, slot.stream);
                }
            }
            end = slot.end;
            count += 1;
        }
        self.next = (self.next + count) % self.slots.len();
        (start..end, count)
    }

    /// The bytes that were given out.
    #[inline]
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// Frames that are being written.
struct Draft<'a> {
    plan: &'a Plan,
    exchange: &'a ShortString,
    frame_max: u32,
    body: Vec<u8>,
    bytes: BytesMut,
    slots: Vec<Slot>,
}

impl<'a> Draft<'a> {
    fn new(plan: &'a Plan, exchange: &'a ShortString, frame_max: u32) -> Self {
        let body = (0..plan.size).map(|at| b'a' + (at % 26) as u8).collect();
        Self { plan, exchange, frame_max, body, bytes: BytesMut::new(), slots: Vec::new() }
    }

    fn publish(&mut self, address: &Address, stream: usize, priority: usize) {
        let start = self.bytes.len();
        let publish = basic::Publish {
            exchange: self.exchange.clone(),
            routing_key: address.routing_key.clone(),
            mandatory: self.plan.mandatory,
            immediate: false,
        };
        Method::from(publish).encode(CHANNEL, &mut self.bytes);
        let properties = BasicProperties {
            delivery_mode: self.plan.persistent.then_some(2),
            headers: address.headers.clone(),
            priority: self.plan.priorities.map(|_| priority as u8),
            ..BasicProperties::default()
        }
        .to_vec();
        let head = FRAME_OVERHEAD + 12 + properties.len() + FRAME_HEAD_SIZE;
        let body_at = self.bytes.len() + head;
        let (class, frame_max) = (basic::CLASS_ID, self.frame_max);
        write_content(&mut self.bytes, CHANNEL, class, &properties, &self.body, frame_max);
        let stamp = (self.body.len() >= STAMP_SIZE).then_some(body_at);
        self.slots.push(Slot { start, end: self.bytes.len(), stamp, stream });
    }
}

fn too_much(plan: &Plan, addresses: usize) -> PerfError {
    PerfError::Plan(format!(
        "{addresses} routing keys with {} bytes each are too much for one producer; use more producers, or \
         fewer queues",
        plan.size
    ))
}

#[cfg(test)]
mod tests {
    use amqp_codec::{Frame, decode_frame};

    use super::*;
    use crate::perf::stamp::read_stamp;

    fn frames(size: usize, keys: &[&'static str]) -> Frames {
        let plan = Plan { size, persistent: true, ..Plan::default() };
        of(&plan, keys)
    }

    fn of(plan: &Plan, keys: &[&'static str]) -> Frames {
        let address = |key: &&'static str| Address {
            routing_key: ShortString::from_static(key),
            headers: None,
        };
        let addresses: Vec<_> = keys.iter().map(address).collect();
        Frames::new(plan, &ShortString::from_static("x"), &addresses, 5, 4096).unwrap()
    }

    /// The routing key and the body of each message.
    fn messages(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut buffer = BytesMut::from(bytes);
        let mut messages: Vec<(String, Vec<u8>)> = Vec::new();
        while let Some(frame) = decode_frame(&mut buffer, 4096).unwrap() {
            match frame {
                Frame::Method(_, Method::BasicPublish(publish)) => {
                    messages.push((publish.routing_key.to_string(), Vec::new()));
                }
                Frame::Header(_, header) => {
                    assert_eq!(header.properties.delivery_mode, Some(2));
                }
                Frame::Body(_, part) => messages.last_mut().unwrap().1.extend_from_slice(&part),
                frame => panic!("{frame:?}"),
            }
        }
        assert!(buffer.is_empty());
        messages
    }

    #[test]
    fn keys_take_turns_and_each_message_has_its_stamp() {
        let mut frames = frames(20, &["a", "b", "c"]);
        let (range, count) = frames.take(4, 0, 9, 1000);
        assert_eq!(count, 4);
        let first = messages(frames.bytes(range));
        let (range, _) = frames.take(1, 4, 9, 2000);
        let then = messages(frames.bytes(range));
        let keys: Vec<_> = first.iter().chain(&then).map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c", "a", "b"]);
        let body = &then[0].1;
        assert_eq!(body.len(), 20);
        assert_eq!(read_stamp(body.first_chunk().unwrap(), 9), Some(2000));
        assert_eq!(body[..4], [0, 0, 0, 4]);
    }

    #[test]
    fn a_large_body_takes_several_frames_and_a_small_one_has_no_stamp() {
        let mut large = frames(100_000, &["a"]);
        let (range, count) = large.take(10, 0, 1, 5);
        assert_eq!(count, 1, "more than a batch");
        assert_eq!(messages(large.bytes(range))[0].1.len(), 100_000);
        let mut empty = frames(0, &["a"]);
        let (range, _) = empty.take(2, 0, 1, 5);
        assert_eq!(messages(empty.bytes(range)).len(), 2);
    }

    #[test]
    fn marks_count_by_key_and_priority() {
        let (priorities, verify) = (Some(2), true);
        let plan = Plan { size: 40, persistent: true, priorities, verify, ..Plan::default() };
        let mut frames = of(&plan, &["a", "b", "c"]);
        let (range, _) = frames.take(7, 0, 1, 5);
        let marks = messages(frames.bytes(range)).into_iter().map(|(key, body)| {
            let rest = Checksum::default().with(&body[MARK_END..]);
            let mark = Mark::read(body.first_chunk().unwrap(), rest).unwrap();
            assert_eq!(mark.publisher, 5);
            (key, mark.stream, mark.number)
        });
        let marks: Vec<_> = marks.collect();
        let marks: Vec<_> = marks.iter().map(|(key, s, n)| (key.as_str(), *s, *n)).collect();
        let first = [("a", 0, 0), ("b", 3, 0), ("c", 4, 0), ("a", 1, 0), ("b", 2, 0), ("c", 5, 0)];
        assert_eq!(marks[..6], first);
        assert_eq!(marks[6], ("a", 0, 1));
    }

    #[test]
    fn it_goes_round() {
        let mut frames = frames(12, &["a"]);
        let slots = frames.slots.len();
        let mut taken = 0;
        while taken < 3 * slots {
            let (_, count) = frames.take(100, 0, 1, 5);
            assert!(count > 0);
            taken += count;
        }
    }
}
