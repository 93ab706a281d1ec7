//! A connection that consumes.

use amqp_codec::method::basic;
use amqp_codec::{DecodeError, FrameKind, RawContentHeader, ShortString, method_ids, write_ack};
use bytes::{Buf, BytesMut};

use super::PerfError;
use super::clock::Nanos;
use super::input::Piece;
use super::inspector::Inspector;
use super::latency::Recorder;
use super::link::{CHANNEL, Link, short};
use super::notice::take_notice;
use super::stamp::{STAMP_SIZE, read_stamp};
use super::tally::Tally;

/// How a consumer consumes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConsumerRules {
    /// Deliveries that one acknowledgement settles; nothing: they need none.
    pub(super) ack_every: Option<u64>,
    /// Deliveries in all.
    pub(super) limit: Option<u64>,
    /// Which run's stamps count.
    pub(super) run: Option<u16>,
}

/// A connection that consumes.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) link: Link,
    queues: Vec<ShortString>,
    intake: Intake,
}

/// What became of the deliveries.
#[derive(Debug)]
struct Intake {
    rules: ConsumerRules,
    inspector: Option<Inspector>,
    /// What is left to come of a body.
    left: u64,
    /// Whether the next body frame is a body's first.
    at_start: bool,
    received: u64,
    /// The delivery whose content comes.
    tag: u64,
    /// The last delivery that was counted.
    last_tag: u64,
    /// Deliveries up to that one that are not acknowledged.
    unacknowledged: u64,
    /// Acknowledgements to be written.
    acks: BytesMut,
}

const DELIVER: (u16, u16) = (basic::CLASS_ID, basic::Deliver::METHOD_ID);

impl Consumer {
    /// A consumer of these queues, which has not asked for anything yet.
    pub(super) fn new(
        mut link: Link,
        queues: Vec<ShortString>,
        rules: ConsumerRules,
        inspector: Option<Inspector>,
    ) -> Self {
        if inspector.is_some() {
            link.input.show(usize::MAX);
        }
        let intake = Intake {
            rules,
            inspector,
            left: 0,
            at_start: false,
            received: 0,
            tag: 0,
            last_tag: 0,
            unacknowledged: 0,
            acks: BytesMut::new(),
        };
        Self { link, queues, intake }
    }

    /// Asks for messages. What is wrong with the queues shows when it reads.
    pub(super) fn start(&mut self) -> Result<(), PerfError> {
        for (number, queue) in self.queues.iter().enumerate() {
            let consume = basic::Consume {
                queue: queue.clone(),
                consumer_tag: short(&format!("perf-{number}"))?,
                no_ack: self.intake.rules.ack_every.is_none(),
                no_wait: true,
                ..basic::Consume::default()
            };
            self.link.send(CHANNEL, consume)?;
        }
        self.link.go()
    }

    /// Takes in what the broker sent, and acknowledges it.
    pub(super) fn read(&mut self, now: Nanos, tally: &mut Tally) -> Result<(), PerfError> {
        let Self { link, intake, .. } = self;
        if !link.read()? {
            return Ok(());
        }
        let before = intake.received;
        let mut notices = Vec::new();
        let mut recorder = Recorder::new(now, &mut tally.latency);
        while let Some(piece) = link.input.next(link.frame_max)? {
            match piece {
                Piece::Body { len, start } => intake.body(len, start, &mut recorder),
                Piece::Frame(frame) if frame.kind == FrameKind::Header => {
                    intake.header(RawContentHeader::parse(frame.payload)?.body_size);
                }
                Piece::Frame(frame) if frame.kind == FrameKind::Method => {
                    if method_ids(frame.payload)? == DELIVER {
                        intake.deliver(frame.payload)?;
                    } else {
                        notices.push(frame.payload.to_vec());
                    }
                }
                Piece::Frame(_) => {}
            }
        }
        recorder.finish();
        let received = intake.received - before;
        if received > 0 {
            tally.counts.received += received;
            tally.last_received = now;
        }
        notices.iter().try_for_each(|notice| take_notice(notice, tally))?;
        self.write()
    }

    /// Writes acknowledgements, as far as the socket takes them.
    pub(super) fn write(&mut self) -> Result<(), PerfError> {
        if !self.intake.acks.is_empty() {
            let written = self.link.write_some(&self.intake.acks)?;
            self.intake.acks.advance(written);
        }
        Ok(())
    }

    /// Whether there are acknowledgements that the socket did not take yet.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.intake.acks.is_empty()
    }

    /// Acknowledges what is left, and says goodbye.
    pub(super) fn close(&mut self) {
        if self.intake.unacknowledged > 0 {
            write_ack(&mut self.intake.acks, CHANNEL, self.intake.last_tag, true);
        }
        self.link.close(&self.intake.acks);
    }
}

impl Intake {
    #[inline]
    fn deliver(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        self.tag = delivery_tag(payload)?;
        if let Some(inspector) = &mut self.inspector {
            inspector.begin(consumer_tag(payload));
        }
        Ok(())
    }

    #[inline]
    fn header(&mut self, body_size: u64) {
        (self.left, self.at_start) = (body_size, true);
        if body_size == 0 {
            self.delivered();
        }
    }

    #[inline]
    fn body(&mut self, len: usize, start: &[u8], recorder: &mut Recorder<'_>) {
        if std::mem::take(&mut self.at_start)
            && let Some(run) = self.rules.run
            && let Some(stamp) = start.first_chunk::<STAMP_SIZE>()
            && let Some(sent) = read_stamp(stamp, run)
        {
            recorder.add(sent);
        }
        if let Some(inspector) = &mut self.inspector {
            inspector.part(start);
        }
        let Some(left) = self.left.checked_sub(len as u64) else { return };
        self.left = left;
        if left == 0 && len > 0 {
            self.delivered();
        }
    }

    /// Counts a message that is there as a whole. Those beyond the limit stay the broker's.
    #[inline]
    fn delivered(&mut self) {
        if self.rules.limit.is_some_and(|limit| self.received >= limit) {
            return;
        }
        if let Some(inspector) = &mut self.inspector {
            inspector.end();
        }
        self.received += 1;
        self.last_tag = self.tag;
        let Some(every) = self.rules.ack_every else { return };
        self.unacknowledged += 1;
        if self.unacknowledged >= every {
            write_ack(&mut self.acks, CHANNEL, self.last_tag, every > 1);
            self.unacknowledged = 0;
        }
    }
}

/// The consumer tag of a `basic.deliver` that has a delivery tag.
fn consumer_tag(payload: &[u8]) -> &[u8] {
    let len = payload.get(4).copied().unwrap_or_default();
    payload.get(5..5 + usize::from(len)).unwrap_or_default()
}

/// The delivery tag of a `basic.deliver`, which stands behind the consumer tag.
#[inline]
fn delivery_tag(payload: &[u8]) -> Result<u64, DecodeError> {
    let tag = payload.get(4).and_then(|&len| payload.get(5 + usize::from(len)..));
    match tag.and_then(<[u8]>::first_chunk) {
        Some(tag) => Ok(u64::from_be_bytes(*tag)),
        None => Err(DecodeError::Truncated),
    }
}
