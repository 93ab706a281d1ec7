//! Things that come and go: connections, channels, queues, bindings.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp_codec::method::queue;
use amqp_codec::{Method, ShortString};
use serde::Serialize;

use super::clock::nanos;
use super::control::{Control, watch_all};
use super::latency::Latency;
use super::link::{CHANNEL, Link, short};
use super::process::Watch;
use super::topology::{QueueOptions, declare_queue, delete_queue};
use super::{Percentiles, PerfError, ProcessUse, Uri};

/// What comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Churned {
    /// Connections: from the TCP connection to `connection.close-ok`.
    Connections,
    /// Channels of a connection.
    Channels,
    /// Queues: declared, bound to `amq.direct`, deleted.
    Queues {
        /// Whether they are durable.
        durable: bool,
    },
    /// Bindings of a queue to `amq.direct`.
    Bindings,
}

/// What is to come and go, and for how long.
#[derive(Debug, Clone)]
pub struct ChurnPlan {
    /// The broker.
    pub uri: Uri,
    /// What comes and goes.
    pub what: Churned,
    /// How many clients do it at the same time. Each waits for every answer.
    pub clients: usize,
    /// How often in all; nothing: until the time is over.
    pub count: Option<u64>,
    /// How long.
    pub duration: Option<Duration>,
    /// Processes whose use of processor and memory to report.
    pub pids: Vec<u32>,
}

/// What came of it. `Display` is for people, the fields are for JSON.
#[derive(Debug, Clone, Serialize)]
pub struct ChurnReport {
    /// `connections`, `channels`, `queues`, `durable queues` or `bindings`.
    pub what: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// How many came and went.
    pub count: u64,
    /// How many a second.
    pub rate: f64,
    /// How long each took, in microseconds.
    pub latency_us: Option<Percentiles>,
    /// What the watched processes used; a message is one that came and went.
    pub processes: Vec<ProcessUse>,
    /// What the load generator used itself.
    pub generator: ProcessUse,
}

impl Churned {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Channels => "channels",
            Self::Queues { durable: false } => "queues",
            Self::Queues { durable: true } => "durable queues",
            Self::Bindings => "bindings",
        }
    }
}

/// Has things come and go.
///
/// # Errors
/// [`PerfError`], if the broker refuses or something fails.
pub fn churn(plan: &ChurnPlan, control: &mut Control<'_>) -> Result<ChurnReport, PerfError> {
    let clients = (0..plan.clients.max(1)).map(|number| Client::new(plan, number));
    let mut clients = clients.collect::<Result<Vec<_>, _>>()?;
    let own = Watch::start(std::process::id())?;
    let watches = watch_all(&plan.pids)?;
    let start = (control.now)();
    let turnstile = Turnstile {
        now: control.now,
        deadline: plan.duration.map(|duration| start + duration),
        left: AtomicU64::new(plan.count.unwrap_or(u64::MAX)),
        done: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    };
    let result = thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| client.run(&turnstile))).collect();
        let mut told = (start, 0);
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            control.wait_until((control.now)() + Duration::from_millis(20));
            if control.is_stopped() {
                turnstile.closed.store(true, Ordering::Relaxed);
            }
            tell(plan, control, &turnstile, start, &mut told);
        }
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    let seconds = ((control.now)() - start).as_secs_f64().max(0.001);
    result?;
    let count = turnstile.done.into_inner();
    let processes = watches.iter().map(|watch| watch.finish(count)).collect::<Result<_, _>>()?;
    let generator = own.finish(count)?;
    let mut latency = Latency::default();
    for client in clients {
        latency.add(&client.latency);
        client.close()?;
    }
    let (what, latency_us) = (plan.what.name(), latency.percentiles());
    let rate = count as f64 / seconds;
    Ok(ChurnReport { what, seconds, count, rate, latency_us, processes, generator })
}

/// A line of progress, if the last is a second ago: `told` is when that was, and the count then.
fn tell(
    plan: &ChurnPlan,
    control: &mut Control<'_>,
    turnstile: &Turnstile,
    start: Instant,
    told: &mut (Instant, u64),
) {
    let now = (control.now)();
    let since = (now - told.0).as_secs_f64();
    if since < 1.0 {
        return;
    }
    let done = turnstile.done.load(Ordering::Relaxed);
    let rate = (done - told.1) as f64 / since;
    let seconds = (now - start).as_secs_f64();
    (control.progress)(&format_args!("{seconds:>6.1} s  {} {rate:>9.0}/s", plan.what.name()));
    *told = (now, done);
}

/// What the clients share.
struct Turnstile {
    now: fn() -> Instant,
    deadline: Option<Instant>,
    left: AtomicU64,
    done: AtomicU64,
    closed: AtomicBool,
}

impl Turnstile {
    fn admits(&self, now: Instant) -> bool {
        let open = !self.closed.load(Ordering::Relaxed)
            && self.deadline.is_none_or(|deadline| now < deadline);
        let take = |left: u64| left.checked_sub(1);
        open && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// One of those at whose hands things come and go.
struct Client<'a> {
    plan: &'a ChurnPlan,
    /// The connection that stays; nothing where connections go.
    link: Option<Link>,
    queue: ShortString,
    latency: Latency,
}

impl<'a> Client<'a> {
    fn new(plan: &'a ChurnPlan, number: usize) -> Result<Self, PerfError> {
        let mut link = match plan.what {
            Churned::Connections => None,
            Churned::Channels => Some(Link::connect(&plan.uri)?),
            Churned::Queues { .. } | Churned::Bindings => Some(Link::open(&plan.uri)?),
        };
        let queue = short(&format!("leveret-perf-{:04x}-{number}", rand::random::<u16>()))?;
        if let (Churned::Bindings, Some(link)) = (plan.what, &mut link) {
            declare_queue(link, &queue, QueueOptions::default())?;
        }
        Ok(Self { plan, link, queue, latency: Latency::default() })
    }

    fn run(&mut self, turnstile: &Turnstile) -> Result<(), PerfError> {
        let mut begun = (turnstile.now)();
        while turnstile.admits(begun) {
            let result = self.come_and_go();
            if result.is_err() {
                turnstile.closed.store(true, Ordering::Relaxed);
            }
            result?;
            let ended = (turnstile.now)();
            self.latency.record(nanos(ended - begun), 1);
            turnstile.done.fetch_add(1, Ordering::Relaxed);
            begun = ended;
        }
        Ok(())
    }

    /// Leaves nothing behind.
    fn close(mut self) -> Result<(), PerfError> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if self.plan.what == Churned::Bindings {
            delete_queue(link, &self.queue)?;
        }
        link.close(&[]);
        Ok(())
    }

    fn come_and_go(&mut self) -> Result<(), PerfError> {
        match (self.plan.what, &mut self.link) {
            (Churned::Queues { durable }, Some(link)) => {
                declare_queue(
                    link,
                    &self.queue,
                    QueueOptions { durable, ..QueueOptions::default() },
                )?;
                bind(link, &self.queue)?;
                delete_queue(link, &self.queue)
            }
            (Churned::Bindings, Some(link)) => {
                bind(link, &self.queue)?;
                unbind(link, &self.queue)
            }
            (Churned::Channels, Some(link)) => {
                link.open_channel()?;
                link.close_channel()
            }
            _ => Link::connect(&self.plan.uri)?.try_close(&[]),
        }
    }
}

/// Binds a queue by its name.
fn bind(link: &mut Link, queue: &ShortString) -> Result<(), PerfError> {
    let bind = queue::Bind {
        queue: queue.clone(),
        exchange: ShortString::from_static("amq.direct"),
        routing_key: queue.clone(),
        ..queue::Bind::default()
    };
    link.call(CHANNEL, bind, "queue.bind-ok", |method| {
        matches!(method, Method::QueueBindOk(_)).then_some(())
    })
}

fn unbind(link: &mut Link, queue: &ShortString) -> Result<(), PerfError> {
    let unbind = queue::Unbind {
        queue: queue.clone(),
        exchange: ShortString::from_static("amq.direct"),
        routing_key: queue.clone(),
        ..queue::Unbind::default()
    };
    link.call(CHANNEL, unbind, "queue.unbind-ok", |method| {
        matches!(method, Method::QueueUnbindOk(_)).then_some(())
    })
}

impl fmt::Display for ChurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, seconds, count, rate, .. } = self;
        writeln!(f, "{what}: {count} came and went in {seconds:.2} s, {rate:.0}/s")?;
        if let Some(Percentiles { min, median, p99, max, .. }) = self.latency_us {
            writeln!(
                f,
                "  each, µs: min {min:.0}, median {median:.0}, 99th {p99:.0}, max {max:.0}"
            )?;
        }
        for process in &self.processes {
            writeln!(f, "  process {process}")?;
        }
        writeln!(f, "  load generator: {:.2} s of processor", self.generator.cpu_seconds)
    }
}
