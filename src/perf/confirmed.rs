//! A channel that publishes a few messages at a time and waits for their confirms.

use amqp_codec::method::basic;
use amqp_codec::{Method, ShortString, write_content};
use bytes::BytesMut;

use super::latency::Latency;
use super::link::{CHANNEL, Link};
use super::topology::select_confirms;
use super::unconfirmed::Unconfirmed;
use super::{PerfError, Uri};

/// A channel that publishes a few messages at a time and waits for their confirms.
#[derive(Debug)]
pub(super) struct Confirmed {
    link: Link,
    unconfirmed: Unconfirmed,
    /// How long confirms take is nobody's question here.
    latency: Latency,
    /// Publishes to be written.
    unwritten: BytesMut,
}

impl Confirmed {
    pub(super) fn open(uri: &Uri) -> Result<Self, PerfError> {
        let mut link = Link::open(uri)?;
        select_confirms(&mut link)?;
        let (unconfirmed, latency) = (Unconfirmed::new(), Latency::default());
        Ok(Self { link, unconfirmed, latency, unwritten: BytesMut::new() })
    }

    /// For whatever else is to be done on the connection, between two flushes or not.
    pub(super) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Publishes to a queue, with the next flush.
    pub(super) fn publish(&mut self, queue: &ShortString, properties: &[u8], body: &[u8]) {
        let publish = basic::Publish { routing_key: queue.clone(), ..basic::Publish::default() };
        Method::from(publish).encode(CHANNEL, &mut self.unwritten);
        let (out, frame_max) = (&mut self.unwritten, self.link.frame_max);
        write_content(out, CHANNEL, basic::CLASS_ID, properties, body, frame_max);
        self.unconfirmed.push(0, 1);
    }

    /// Writes all publishes, and waits until the broker has confirmed them.
    pub(super) fn flush(&mut self) -> Result<(), PerfError> {
        self.link.write(&self.unwritten)?;
        self.unwritten.clear();
        while self.unconfirmed.len() > 0 {
            match self.link.next_method("basic.ack")? {
                Method::BasicAck(ack) => {
                    let (tag, multiple) = (ack.delivery_tag, ack.multiple);
                    self.unconfirmed.settle(tag, multiple, 0, &mut self.latency);
                }
                Method::BasicNack(_) => {
                    let text = "the broker refused a message; is it short of memory or disk?";
                    return Err(PerfError::Failed(text.to_owned()));
                }
                method => super::notice::check_open(&method)?,
            }
        }
        Ok(())
    }
}
