//! Publishes, written in advance.

use std::ops::Range;

use amqp_codec::method::basic;
use amqp_codec::{
    BasicProperties, FRAME_HEAD_SIZE, FRAME_OVERHEAD, Method, ShortString, write_content,
};
use bytes::BytesMut;

use super::PerfError;
use super::clock::Nanos;
use super::link::CHANNEL;
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
}

/// A message among the frames.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: usize,
    end: usize,
    /// Where the body starts, if it has room for a stamp.
    stamp: Option<usize>,
}

impl Frames {
    /// Messages to `exchange` with these keys in turn.
    pub(super) fn new(
        plan: &Plan,
        exchange: &ShortString,
        keys: &[ShortString],
        frame_max: u32,
    ) -> Result<Self, PerfError> {
        let body: Vec<u8> = (0..plan.size).map(|at| b'a' + (at % 26) as u8).collect();
        let properties = BasicProperties {
            delivery_mode: plan.persistent.then_some(2),
            ..BasicProperties::default()
        }
        .to_vec();
        let mut bytes = BytesMut::new();
        let mut slots = Vec::new();
        while bytes.len() < BATCH {
            for key in keys {
                let start = bytes.len();
                let publish = basic::Publish {
                    exchange: exchange.clone(),
                    routing_key: key.clone(),
                    mandatory: plan.mandatory,
                    immediate: false,
                };
                Method::from(publish).encode(CHANNEL, &mut bytes);
                let body_at =
                    bytes.len() + 12 + properties.len() + FRAME_OVERHEAD + FRAME_HEAD_SIZE;
                let class = basic::CLASS_ID;
                write_content(&mut bytes, CHANNEL, class, &properties, &body, frame_max);
                let stamp = (body.len() >= STAMP_SIZE).then_some(body_at);
                slots.push(Slot { start, end: bytes.len(), stamp });
                if bytes.len() > TOTAL_MAX {
                    return Err(PerfError::Plan(format!(
                        "{} routing keys with {} bytes each are too much for one producer; use more \
                         producers, or fewer queues",
                        keys.len(),
                        plan.size
                    )));
                }
            }
        }
        let bytes = Vec::from(bytes).into_boxed_slice();
        Ok(Self { bytes, slots: slots.into_boxed_slice(), next: 0 })
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
            if let Some(stamp) = slot.stamp
                && let Some(body) = self.bytes[stamp..].first_chunk_mut::<STAMP_SIZE>()
            {
                write_stamp(body, sequence + count as u64, run, sent);
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

#[cfg(test)]
mod tests {
    use amqp_codec::{Frame, decode_frame};

    use super::*;
    use crate::perf::stamp::read_stamp;

    fn frames(size: usize, keys: &[&'static str]) -> Frames {
        let plan = Plan { size, persistent: true, ..Plan::default() };
        let keys: Vec<_> = keys.iter().map(|key| ShortString::from_static(key)).collect();
        Frames::new(&plan, &ShortString::from_static("x"), &keys, 4096).unwrap()
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
