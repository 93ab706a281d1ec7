//! A connection that publishes.

use std::ops::Range;

use amqp_codec::method::basic;
use amqp_codec::{FrameKind, method_ids};

use super::PerfError;
use super::clock::Nanos;
use super::frames::Frames;
use super::input::Piece;
use super::link::Link;
use super::notice::take_notice;
use super::pace::Pace;
use super::tally::Tally;
use super::unconfirmed::Unconfirmed;

/// How a publisher publishes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublisherRules {
    /// The most publishes that may wait for confirms; nothing: there are none.
    pub(super) window: Option<usize>,
    /// Publishes in all.
    pub(super) limit: Option<u64>,
    /// Publishes a second.
    pub(super) rate: Option<u64>,
    /// Which run it is.
    pub(super) run: u16,
}

/// A connection that publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) link: Link,
    frames: Frames,
    rules: PublisherRules,
    pace: Option<Pace>,
    /// What is left to write of the frames given out.
    unwritten: Range<usize>,
    unconfirmed: Unconfirmed,
    sent: u64,
    finished: bool,
}

/// What a publisher waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The broker: a confirm, or nothing at all.
    Input,
    /// The socket, to take more.
    Output,
    /// The time to publish again.
    Until(Nanos),
    /// Nothing.
    Ready,
}

impl Publisher {
    pub(super) fn new(link: Link, frames: Frames, rules: PublisherRules) -> Self {
        let unconfirmed = Unconfirmed::new();
        let (pace, unwritten) = (None, 0..0);
        Self { link, frames, rules, pace, unwritten, unconfirmed, sent: 0, finished: false }
    }

    /// The time from which on it publishes.
    pub(super) fn start(&mut self, now: Nanos) -> Result<(), PerfError> {
        self.pace = self.rules.rate.map(|rate| Pace::new(rate, now));
        self.link.go()
    }

    /// Whether everything is sent, and confirmed if it is to be. Says so once.
    pub(super) fn finishes(&mut self) -> bool {
        let done = self.rules.limit.is_some_and(|limit| self.sent >= limit)
            && self.unwritten.is_empty()
            && self.unconfirmed.len() == 0;
        done && !std::mem::replace(&mut self.finished, true)
    }

    /// Publishes nothing more.
    pub(super) fn stop(&mut self) {
        self.rules.limit = Some(self.sent);
    }

    /// Publishes a batch, as far as window, rate, limit and socket let it.
    pub(super) fn publish(&mut self, now: Nanos, tally: &mut Tally) -> Result<Wait, PerfError> {
        if self.unwritten.is_empty() {
            let allowed = self.allowed(now);
            if allowed == 0 {
                return Ok(self.wait(now));
            }
            let sent_at = self.pace.map_or(now, |pace| pace.sent_at(now, self.sent));
            let (range, count) = self.frames.take(allowed, self.sent, self.rules.run, sent_at);
            self.unwritten = range;
            self.sent += count as u64;
            tally.counts.sent += count as u64;
            tally.last_sent = now;
            if self.rules.window.is_some() {
                self.unconfirmed.push(sent_at, count);
                tally.unconfirmed_max = tally.unconfirmed_max.max(self.unconfirmed.len());
            }
        }
        let written = self.link.write_some(self.frames.bytes(self.unwritten.clone()))?;
        self.unwritten.start += written;
        Ok(if self.unwritten.is_empty() { self.wait(now) } else { Wait::Output })
    }

    /// How many messages may be sent now.
    fn allowed(&self, now: Nanos) -> u64 {
        let window = self
            .rules
            .window
            .map_or(u64::MAX, |window| window.saturating_sub(self.unconfirmed.len()) as u64);
        let left = self.rules.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.sent));
        let due = self.pace.map_or(u64::MAX, |pace| pace.due(now, self.sent));
        window.min(left).min(due)
    }

    /// What to wait for with nothing left to write.
    fn wait(&self, now: Nanos) -> Wait {
        let window_full = self.rules.window.is_some_and(|window| self.unconfirmed.len() >= window);
        if window_full || self.rules.limit.is_some_and(|limit| self.sent >= limit) {
            return Wait::Input;
        }
        match self.pace {
            Some(pace) if pace.due(now, self.sent) == 0 => Wait::Until(pace.next(now, self.sent)),
            _ => Wait::Ready,
        }
    }

    /// Takes in what the broker sent.
    pub(super) fn read(&mut self, now: Nanos, tally: &mut Tally) -> Result<(), PerfError> {
        if !self.link.read()? {
            return Ok(());
        }
        while let Some(piece) = self.link.input.next(self.link.frame_max)? {
            // What follows a return is the message that was sent.
            let Piece::Frame(frame) = piece else { continue };
            if frame.kind != FrameKind::Method {
                continue;
            }
            match (method_ids(frame.payload)?, &frame.payload[4..]) {
                ((basic::CLASS_ID, basic::Ack::METHOD_ID), args) => {
                    let basic::Ack { delivery_tag, multiple } = basic::Ack::decode(args)?;
                    let latency = &mut tally.confirm_latency;
                    tally.counts.confirmed +=
                        self.unconfirmed.settle(delivery_tag, multiple, now, latency);
                    tally.last_confirmed = now;
                }
                ((basic::CLASS_ID, basic::Nack::METHOD_ID), args) => {
                    let nack = basic::Nack::decode(args)?;
                    let (tag, multiple) = (nack.delivery_tag, nack.multiple);
                    let latency = &mut tally.confirm_latency;
                    tally.counts.nacked += self.unconfirmed.settle(tag, multiple, now, latency);
                    tally.last_confirmed = now;
                }
                ((basic::CLASS_ID, basic::Return::METHOD_ID), _) => tally.counts.returned += 1,
                _ => take_notice(frame.payload, tally)?,
            }
        }
        Ok(())
    }

    /// Says goodbye, after the frames that are half written.
    pub(super) fn close(&mut self) {
        let rest = self.frames.bytes(self.unwritten.clone());
        self.link.close(rest);
    }
}
