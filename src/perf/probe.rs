//! A publisher and a consumer that wait for each other, to see what others make them wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp_codec::method::basic;
use amqp_codec::{BasicProperties, Method, ShortString, write_content};
use bytes::BytesMut;

use super::link::{CHANNEL, Link, short};
use super::notice::check_open;
use super::topology::{QueueOptions, declare_queue};
use super::{PerfError, Uri};

/// A publisher and a consumer of a queue of their own, with one message between them.
#[derive(Debug)]
pub(super) struct Probe {
    publisher: Link,
    consumer: Link,
    /// A publish.
    message: BytesMut,
    interval: Duration,
    now: fn() -> Instant,
}

/// A message of a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) sent: Instant,
    /// How long it took to the consumer.
    pub(super) took: Duration,
}

impl Probe {
    /// Sends so many messages a second, if the broker lets it.
    pub(super) fn open(uri: &Uri, rate: u32, now: fn() -> Instant) -> Result<Self, PerfError> {
        let (publisher, mut consumer) = (Link::open(uri)?, Link::open(uri)?);
        let queue = short(&format!("leveret-perf-probe-{:08x}", rand::random::<u32>()))?;
        // It goes with its consumer.
        let options = QueueOptions { auto_delete: true, ..QueueOptions::default() };
        declare_queue(&mut consumer, &queue, options)?;
        let no_ack = true;
        let consume = basic::Consume { queue: queue.clone(), no_ack, ..basic::Consume::default() };
        consumer.call(CHANNEL, consume, "basic.consume-ok", |method| {
            matches!(method, Method::BasicConsumeOk(_)).then_some(())
        })?;
        let interval = Duration::from_secs(1) / rate.max(1);
        let message = publish(queue, publisher.frame_max);
        Ok(Self { publisher, consumer, message, interval, now })
    }

    /// Sends and receives until `done`.
    pub(super) fn run(&mut self, done: &AtomicBool) -> Result<Vec<Sample>, PerfError> {
        let mut samples = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let sent = (self.now)();
            self.publisher.write(&self.message)?;
            loop {
                match self.consumer.next_method("basic.deliver")? {
                    Method::BasicDeliver(_) => break,
                    method => check_open(&method)?,
                }
            }
            let took = (self.now)() - sent;
            samples.push(Sample { sent, took });
            thread::sleep(self.interval.saturating_sub(took));
        }
        self.consumer.close(&[]);
        self.publisher.close(&[]);
        Ok(samples)
    }
}

fn publish(routing_key: ShortString, frame_max: u32) -> BytesMut {
    let mut message = BytesMut::new();
    let publish = basic::Publish { routing_key, ..basic::Publish::default() };
    Method::from(publish).encode(CHANNEL, &mut message);
    let properties = BasicProperties::default().to_vec();
    write_content(
        &mut message,
        CHANNEL,
        basic::CLASS_ID,
        &properties,
        b"are you there?",
        frame_max,
    );
    message
}
