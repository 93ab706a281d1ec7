//! Things that are there and do nothing: what memory each takes.

use std::fmt;
use std::time::Duration;

use amqp_codec::method::basic;
use amqp_codec::{BasicProperties, Method, ShortString};
use serde::Serialize;

use super::confirmed::Confirmed;
use super::control::{Control, watch_all};
use super::link::{CHANNEL, Link, short};
use super::topology::{QueueOptions, declare_queue, delete_queue};
use super::{PerfError, ProcessUse, Uri};

/// What is there and does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Connections without a channel.
    Connections,
    /// Connections that consume from a queue of their own.
    Consumers,
    /// Queues with one message each.
    Queues,
}

/// How many of what are to be there.
#[derive(Debug, Clone)]
pub struct IdlePlan {
    /// The broker.
    pub uri: Uri,
    /// What is there.
    pub what: Idle,
    /// How many.
    pub count: usize,
    /// Bytes of each message.
    pub size: usize,
    /// Durable queues and persistent messages.
    pub persistent: bool,
    /// How long to leave them alone before memory is looked at.
    pub rest: Duration,
    /// The processes whose memory it is.
    pub pids: Vec<u32>,
}

/// What they take. `Display` is for people, the fields are for JSON.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// `connections`, `consumers` or `queues`.
    pub what: &'static str,
    /// How many there were.
    pub count: usize,
    /// How long it took to make them, one after the other.
    pub seconds: f64,
    /// How many a second.
    pub rate: f64,
    /// What they take of each process.
    pub processes: Vec<Footprint>,
}

/// What they take of a process.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Footprint {
    /// Its id.
    pub pid: u32,
    /// Resident memory before, in bytes.
    pub rss_start: u64,
    /// Resident memory with them, in bytes.
    pub rss: u64,
    /// Resident memory that each takes, in bytes.
    pub bytes_each: f64,
    /// Processor time that making each took, in microseconds.
    pub cpu_us_each: f64,
    /// Processor time while nothing happened, in seconds of each second.
    pub cpu_idle: f64,
}

impl Idle {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Consumers => "consumers",
            Self::Queues => "queues",
        }
    }
}

/// Messages that are published before their confirms are waited for.
const CONFIRM_EVERY: usize = 100;

/// Makes things, leaves them alone, and looks at what memory they take.
///
/// # Errors
/// [`PerfError`], if the broker refuses or something fails.
pub fn idle(plan: &IdlePlan, control: &mut Control<'_>) -> Result<IdleReport, PerfError> {
    let mut made = Made::new(plan)?;
    let watches = watch_all(&plan.pids)?;
    let start = (control.now)();
    let result = make_all(plan, control, &mut made);
    let seconds = ((control.now)() - start).as_secs_f64().max(0.001);
    let processes = result.and_then(|count| {
        let making = watches.iter().map(|watch| watch.finish(count as u64));
        let making = making.collect::<Result<Vec<_>, _>>()?;
        let watches = watch_all(&plan.pids)?;
        let begun = (control.now)();
        control.wait_until(begun + plan.rest);
        let rested = ((control.now)() - begun).as_secs_f64().max(0.001);
        let resting = watches.iter().map(|watch| watch.finish(1));
        let resting = resting.collect::<Result<Vec<_>, _>>()?;
        let both = making.iter().zip(&resting);
        Ok((count, both.map(|(made, idle)| Footprint::of(made, idle, count, rested)).collect()))
    });
    made.take_down()?;
    let (count, processes) = processes?;
    let what = plan.what.name();
    Ok(IdleReport { what, count, seconds, rate: count as f64 / seconds, processes })
}

impl Footprint {
    fn of(making: &ProcessUse, resting: &ProcessUse, count: usize, rested: f64) -> Self {
        let grown = resting.rss as f64 - making.rss_start as f64;
        Self {
            pid: making.pid,
            rss_start: making.rss_start,
            rss: resting.rss,
            bytes_each: grown / count.max(1) as f64,
            cpu_us_each: making.cpu_us_per_message,
            cpu_idle: resting.cpu_seconds / rested,
        }
    }
}

/// How many were made, which are fewer if it was stopped.
fn make_all(
    plan: &IdlePlan,
    control: &mut Control<'_>,
    made: &mut Made<'_>,
) -> Result<usize, PerfError> {
    let mut told = (control.now)();
    for number in 0..plan.count {
        if control.is_stopped() {
            return Ok(number);
        }
        made.add(number)?;
        let now = (control.now)();
        if now - told >= Duration::from_secs(1) {
            (control.progress)(&format_args!(
                "{}: {} of {}",
                plan.what.name(),
                number + 1,
                plan.count
            ));
            told = now;
        }
    }
    made.channel.flush()?;
    Ok(plan.count)
}

/// What was made.
struct Made<'a> {
    plan: &'a IdlePlan,
    /// Where queues are declared and messages published.
    channel: Confirmed,
    links: Vec<Link>,
    queues: Vec<ShortString>,
    properties: Vec<u8>,
    body: Vec<u8>,
    prefix: String,
}

impl<'a> Made<'a> {
    fn new(plan: &'a IdlePlan) -> Result<Self, PerfError> {
        let properties = BasicProperties {
            delivery_mode: plan.persistent.then_some(2),
            ..BasicProperties::default()
        };
        Ok(Self {
            plan,
            channel: Confirmed::open(&plan.uri)?,
            links: Vec::new(),
            queues: Vec::new(),
            properties: properties.to_vec(),
            body: vec![b'x'; plan.size],
            prefix: format!("leveret-perf-{:04x}", rand::random::<u16>()),
        })
    }

    fn add(&mut self, number: usize) -> Result<(), PerfError> {
        if self.plan.what == Idle::Connections {
            self.links.push(Link::connect(&self.plan.uri)?);
            return Ok(());
        }
        let queue = short(&format!("{}-{number}", self.prefix))?;
        let options = QueueOptions { durable: self.plan.persistent, ..QueueOptions::default() };
        declare_queue(self.channel.link(), &queue, options)?;
        self.queues.push(queue.clone());
        if self.plan.what == Idle::Consumers {
            let mut link = Link::open(&self.plan.uri)?;
            let consume = basic::Consume { queue, ..basic::Consume::default() };
            link.call(CHANNEL, consume, "basic.consume-ok", |method| {
                matches!(method, Method::BasicConsumeOk(_)).then_some(())
            })?;
            self.links.push(link);
            return Ok(());
        }
        self.channel.publish(&queue, &self.properties, &self.body);
        if self.queues.len().is_multiple_of(CONFIRM_EVERY) { self.channel.flush() } else { Ok(()) }
    }

    fn take_down(mut self) -> Result<(), PerfError> {
        self.links.iter_mut().for_each(|link| link.close(&[]));
        let link = self.channel.link();
        self.queues.iter().try_for_each(|queue| delete_queue(link, queue))?;
        link.close(&[]);
        Ok(())
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, count, seconds, rate, .. } = self;
        writeln!(f, "{what}: {count} made in {seconds:.2} s, {rate:.0}/s")?;
        self.processes.iter().try_for_each(|process| writeln!(f, "  process {process}"))
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        write!(
            f,
            "{}: {:.2} KiB each, resident {:.1} MiB before and {:.1} MiB with them; {:.1} µs of processor to make \
             each, {:.2} s a second while they rest",
            self.pid,
            self.bytes_each / 1024.0,
            mib(self.rss_start),
            mib(self.rss),
            self.cpu_us_each,
            self.cpu_idle
        )
    }
}
