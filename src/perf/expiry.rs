//! Many messages that expire at one time, and whether anybody else notices.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp_codec::method::queue;
use amqp_codec::{BasicProperties, Method, ShortString};
use serde::Serialize;

use super::confirmed::Confirmed;
use super::control::{Control, watch_all};
use super::link::{CHANNEL, short};
use super::probe::{Probe, Sample};
use super::process::Watch;
use super::topology::{QueueOptions, declare_queue, delete_queue};
use super::{PerfError, Uri};

/// What is to expire.
#[derive(Debug, Clone)]
pub struct ExpiryPlan {
    /// The broker.
    pub uri: Uri,
    /// How many messages.
    pub messages: u64,
    /// Bytes of each.
    pub size: usize,
    /// How long the first lives. Each that follows lives that much shorter, so that all end at the same time.
    pub time_to_live: Duration,
    /// Messages a second that others exchange meanwhile.
    pub probe_rate: u32,
    /// Durable queues and persistent messages.
    pub persistent: bool,
    /// Processes whose use of processor to report.
    pub pids: Vec<u32>,
}

/// What came of it. `Display` is for people, the fields are for JSON.
#[derive(Debug, Clone, Serialize)]
pub struct ExpiryReport {
    /// How many messages expired.
    pub messages: u64,
    /// Messages published and confirmed a second.
    pub publish_rate: f64,
    /// From the time they were to expire until the queue was empty, in milliseconds; it is looked at 50 times a
    /// second.
    pub gone_after_ms: f64,
    /// Processor time of each process for each message, without what it used a second before; in microseconds.
    pub cpu_us_each: Vec<f64>,
    /// The longest that a message of the others took meanwhile, in milliseconds.
    pub stall_ms: f64,
    /// The same, of a second before: what the machine is good for.
    pub stall_before_ms: f64,
}

/// Published between two looks at the time.
const BLOCK: u64 = 500;

/// How long before the end to be ready, and how long what happens without it is measured.
const QUIET: Duration = Duration::from_millis(1000);

/// How far around the end is watched.
const MARGIN: Duration = Duration::from_millis(200);

/// How often the queue is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long after their time messages may be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has messages expire all at once while others go on.
///
/// # Errors
/// [`PerfError`], if the broker refuses, something fails, or the messages do not expire.
pub fn expire(plan: &ExpiryPlan, control: &mut Control<'_>) -> Result<ExpiryReport, PerfError> {
    let queue = short(&format!("leveret-perf-{:04x}", rand::random::<u16>()))?;
    let mut channel = Confirmed::open(&plan.uri)?;
    let options = QueueOptions { durable: plan.persistent, ..QueueOptions::default() };
    declare_queue(channel.link(), &queue, options)?;
    let result = Expiry { plan, queue: &queue, channel: &mut channel }.run(control);
    let deleted = delete_queue(channel.link(), &queue);
    channel.link().close(&[]);
    let report = result?;
    deleted.map(|()| report)
}

struct Expiry<'a> {
    plan: &'a ExpiryPlan,
    queue: &'a ShortString,
    channel: &'a mut Confirmed,
}

impl Expiry<'_> {
    fn run(&mut self, control: &mut Control<'_>) -> Result<ExpiryReport, PerfError> {
        let start = (control.now)();
        let end = start + self.plan.time_to_live;
        let published = self.publish(control, end)?;
        let publish_rate = published as f64 / ((control.now)() - start).as_secs_f64().max(0.001);
        let there = self.ready()?;
        if u64::from(there) != published {
            let text =
                format!("of {published} messages {there} are in the queue before they expire");
            return Err(PerfError::Failed(text));
        }
        let mut probe = Probe::open(&self.plan.uri, self.plan.probe_rate, control.now)?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let samples = scope.spawn(|| probe.run(&done));
            let watched = self.watch(control, end);
            done.store(true, Ordering::Relaxed);
            let samples = match samples.join() {
                Ok(samples) => samples?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            let watched = watched?;
            let longest = |from: Instant, to: Instant| longest(&samples, from, to);
            Ok(ExpiryReport {
                messages: published,
                publish_rate,
                gone_after_ms: millis(watched.gone.saturating_duration_since(end)),
                cpu_us_each: watched
                    .cpu
                    .iter()
                    .map(|cpu| cpu * 1e6 / published.max(1) as f64)
                    .collect(),
                stall_ms: longest(end - MARGIN, watched.gone + MARGIN),
                stall_before_ms: longest(end - MARGIN - QUIET, end - MARGIN),
            })
        })
    }

    /// Publishes all, each with the time that is left for it.
    fn publish(&mut self, control: &mut Control<'_>, end: Instant) -> Result<u64, PerfError> {
        let body = vec![b'x'; self.plan.size];
        let mut published = 0;
        let mut told = (control.now)();
        while published < self.plan.messages && !control.is_stopped() {
            let now = (control.now)();
            let left = end.saturating_duration_since(now);
            if left < QUIET * 2 {
                let text = format!(
                    "only {published} messages could be published in time; allow for more with --ttl"
                );
                return Err(PerfError::Failed(text));
            }
            let properties = BasicProperties {
                delivery_mode: self.plan.persistent.then_some(2),
                expiration: Some(short(&left.as_millis().to_string())?),
                ..BasicProperties::default()
            };
            let properties = properties.to_vec();
            let block = BLOCK.min(self.plan.messages - published);
            for _ in 0..block {
                self.channel.publish(self.queue, &properties, &body);
            }
            self.channel.flush()?;
            published += block;
            if now - told >= Duration::from_secs(1) {
                let messages = self.plan.messages;
                (control.progress)(&format_args!("published {published} of {messages}"));
                told = now;
            }
        }
        Ok(published)
    }

    /// Watches what happens around the end, and until the queue is empty.
    fn watch(&mut self, control: &mut Control<'_>, end: Instant) -> Result<Watched, PerfError> {
        control.wait_until(end - MARGIN - QUIET);
        let before = watch_all(&self.plan.pids)?;
        control.wait_until(end - MARGIN);
        let before = used(&before)?;
        let since = watch_all(&self.plan.pids)?;
        let begun = (control.now)();
        control.wait_until(end);
        (control.progress)(&"they expire now");
        let mut gone = (control.now)();
        while self.ready()? > 0 {
            if gone > end + PATIENCE {
                return Err(PerfError::Failed(
                    "messages are there long after they expired".to_owned(),
                ));
            }
            control.wait_until((control.now)() + LOOK_INTERVAL);
            gone = (control.now)();
        }
        control.wait_until(gone + MARGIN);
        let since = used(&since)?;
        let share = ((control.now)() - begun).as_secs_f64() / QUIET.as_secs_f64();
        let cpu = since.iter().zip(&before).map(|(used, before)| used - before * share).collect();
        Ok(Watched { gone, cpu })
    }

    /// The messages in the queue.
    fn ready(&mut self) -> Result<u32, PerfError> {
        let queue = self.queue.clone();
        let declare = queue::Declare { queue, passive: true, ..queue::Declare::default() };
        self.channel.link().call(CHANNEL, declare, "queue.declare-ok", |method| match method {
            Method::QueueDeclareOk(ok) => Some(ok.message_count),
            _ => None,
        })
    }
}

/// What was seen around the end.
struct Watched {
    /// When the queue was empty.
    gone: Instant,
    /// Seconds of processor that each process used for it.
    cpu: Vec<f64>,
}

fn used(watches: &[Watch]) -> Result<Vec<f64>, PerfError> {
    watches.iter().map(|watch| Ok(watch.finish(1)?.cpu_seconds)).collect()
}

/// The longest that a message took that was on its way in this time, in milliseconds.
fn longest(samples: &[Sample], from: Instant, to: Instant) -> f64 {
    let within =
        samples.iter().filter(|sample| sample.sent + sample.took >= from && sample.sent < to);
    within.map(|sample| millis(sample.took)).fold(0.0, f64::max)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl fmt::Display for ExpiryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, publish_rate, gone_after_ms, stall_ms, stall_before_ms, .. } = self;
        writeln!(
            f,
            "{messages} messages published at {publish_rate:.0}/s expired in {gone_after_ms:.0} ms"
        )?;
        writeln!(
            f,
            "  others waited {stall_ms:.1} ms at most, {stall_before_ms:.1} ms a second before"
        )?;
        for cpu in &self.cpu_us_each {
            writeln!(f, "  {cpu:.2} µs of processor each")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::now;

    #[test]
    fn a_stall_counts_while_it_lasts() {
        let start = now();
        let at = |ms| start + Duration::from_millis(ms);
        let sample = |sent, ms| Sample { sent: at(sent), took: Duration::from_millis(ms) };
        let samples = [sample(0, 1), sample(90, 50), sample(140, 2), sample(300, 80)];
        assert!((longest(&samples, at(100), at(200)) - 50.0).abs() < 1e-6);
        assert!((longest(&samples, at(145), at(300)) - 0.0).abs() < 1e-6);
    }
}
