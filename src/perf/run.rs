//! A run from its first connection to its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use amqp_codec::ShortString;
use parking_lot::Mutex;

use super::clock::{Clock, Nanos, nanos, seconds};
use super::consumer::{Consumer, ConsumerRules};
use super::event_loop::{Connections, Shared};
use super::frames::Frames;
use super::inspector::{Inspector, InspectorRules};
use super::ledger::Ledger;
use super::link::Link;
use super::process::Watch;
use super::publisher::{Publisher, PublisherRules};
use super::tally::{Counts, Goal, Tally};
use super::topology::{Topology, select_confirms, set_prefetch};
use super::{PerfError, Phase, Plan, Progress, Report};

/// How often progress is told.
const TICK: Nanos = 1_000_000_000;

/// How often somebody who wants to stop it is heard.
const STOP_INTERVAL: Nanos = 100_000_000;

/// Carries a plan out. `now` is the clock, `stop` ends the run early, `progress` is told once a second.
///
/// # Errors
/// [`PerfError`], if it could not be carried out. Messages that are missing at the end are no error but a
/// [`problem`](Report::problem).
pub fn run(
    plan: &Plan,
    now: fn() -> Instant,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, PerfError> {
    plan.check()?;
    let run = rand::random();
    let mut link = Link::open(&plan.uri)?;
    let topology = Topology::set_up(plan, run, &mut link)?;
    let clock = Clock::new(now);
    let ledger = plan.verify.then(Arc::default);
    let mut runner = Runner { plan, topology: &topology, run, clock, ledger, stop, progress };
    let mut result = runner.phases().map(|(phases, problem)| runner.report(phases, problem));
    let taken_down = topology.take_down(&mut link);
    if let (Ok(report), Err(error)) = (&mut result, taken_down) {
        report.problem.get_or_insert_with(|| format!("cannot delete what the run made: {error}"));
    }
    link.close(&[]);
    result
}

struct Runner<'a> {
    plan: &'a Plan,
    topology: &'a Topology,
    run: u16,
    clock: Clock,
    /// What has arrived, if that is to be verified.
    ledger: Option<Arc<Mutex<Ledger>>>,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(&Progress),
}

/// What is done at one time.
struct Task {
    name: &'static str,
    producers: usize,
    consumers: usize,
    goal: Goal,
}

/// What was counted in a phase, and when that was.
struct Outcome {
    total: Tally,
    start: Nanos,
    end: Nanos,
    problem: Option<String>,
}

impl Runner<'_> {
    /// All phases, and what went wrong in the last.
    fn phases(&mut self) -> Result<(Vec<Phase>, Option<String>), PerfError> {
        let Plan { producers, consumers, .. } = *self.plan;
        if !self.plan.drain {
            let goal = self.goal();
            let task = Task { name: "run", producers, consumers, goal };
            let (phase, problem) = self.phase(&task)?;
            return Ok((vec![phase], problem));
        }
        let goal = Goal::new(producers, Some(0), 0);
        let task = Task { name: "publish", producers, consumers: 0, goal };
        let (published, problem) = self.phase(&task)?;
        if problem.is_some() {
            return Ok((vec![published], problem));
        }
        let kept = published.sent.saturating_sub(published.nacked + published.returned);
        let goal = Goal::new(0, Some(kept * self.topology.copies()), 0);
        let task = Task { name: "drain", producers: 0, consumers, goal };
        let (drained, problem) = self.phase(&task)?;
        Ok((vec![published, drained], problem))
    }

    /// What came of all phases. That messages are missing is told before why the run was given up.
    fn report(&self, phases: Vec<Phase>, problem: Option<String>) -> Report {
        let kept = |phase: &Phase| phase.sent.saturating_sub(phase.nacked + phase.returned);
        let expected = phases.iter().map(kept).sum::<u64>() * self.topology.copies();
        let verified = self.ledger.as_ref().map(|ledger| ledger.lock().verified(expected));
        let wrong = verified.filter(|verified| !verified.is_clean());
        let wrong = wrong.map(|verified| format!("not all messages arrived as sent: {verified}"));
        let problem = match (wrong, problem) {
            (Some(wrong), Some(problem)) => Some(format!("{wrong}; {problem}")),
            (wrong, problem) => wrong.or(problem),
        };
        Report { phases, verified, problem }
    }

    /// When a run is over that publishes and consumes at the same time.
    fn goal(&self) -> Goal {
        let Plan { producers, consumers, publish_count, consume_count, .. } = *self.plan;
        let everything = consume_count.map(|count| count * consumers as u64);
        match (consumers, everything) {
            (0, _) => Goal::new(producers, Some(0), 0),
            // Those who publish for ever stop with the last consumer.
            (_, Some(_)) if publish_count.is_none() => Goal::new(0, everything, 0),
            (_, Some(_)) => Goal::new(producers, everything, 0),
            (_, None) if producers == 0 => Goal::new(0, Some(u64::MAX), 0),
            (_, None) => Goal::new(producers, None, self.topology.copies()),
        }
    }

    fn phase(&mut self, task: &Task) -> Result<(Phase, Option<String>), PerfError> {
        let mut threads = self.connect(task)?;
        let own = Watch::start(std::process::id())?;
        let mut watches: Vec<Watch> =
            self.plan.pids.iter().map(|pid| Watch::start(*pid)).collect::<Result<_, _>>()?;
        let outcome = self.load(task, &mut threads, &mut watches)?;
        let consumes = task.consumers > 0;
        if !consumes {
            // What was written and not taken in yet belongs to it, too. Where somebody consumes, it is the backlog.
            threads.iter_mut().for_each(Connections::close);
        }
        let messages = match outcome.total.counts {
            Counts { received: 0, sent, .. } => sent,
            Counts { received, .. } => received,
        };
        let processes = watches.iter().map(|watch| watch.finish(messages));
        let processes = processes.collect::<Result<_, _>>()?;
        let generator = own.finish(messages)?;
        if consumes {
            threads.iter_mut().for_each(Connections::close);
        }
        let confirms = self.plan.confirm_window.is_some() && task.producers > 0;
        let Outcome { total, start, end, problem } = outcome;
        let Counts { sent, confirmed, nacked, returned, received } = total.counts;
        let rate = |count: u64, last: Nanos| {
            // What was too quick for the clock was done in a millisecond.
            count as f64 / seconds(last.saturating_sub(start).max(1_000_000))
        };
        let phase = Phase {
            name: task.name,
            seconds: seconds(end.saturating_sub(start)),
            sent,
            confirmed: confirms.then_some(confirmed),
            nacked,
            returned,
            received,
            send_rate: rate(sent, total.last_sent),
            confirm_rate: confirms.then(|| rate(confirmed, total.last_confirmed)),
            receive_rate: rate(received, total.last_received),
            unconfirmed_max: total.unconfirmed_max,
            confirm_latency_us: total.confirm_latency.percentiles(),
            latency_us: total.latency.percentiles(),
            processes,
            generator,
        };
        Ok((phase, problem))
    }

    /// Opens all connections and spreads them over the threads.
    fn connect(&self, task: &Task) -> Result<Vec<Connections>, PerfError> {
        let plan = self.plan;
        let mut threads = Vec::new();
        threads.resize_with(plan.threads.max(1), Connections::default);
        let count = threads.len();
        for consumer in 0..task.consumers {
            let mut link = Link::open(&plan.uri)?;
            if plan.prefetch > 0 {
                set_prefetch(&mut link, plan.prefetch)?;
            }
            let rules = ConsumerRules {
                ack_every: (!plan.auto_ack).then_some(plan.ack_every.max(1)),
                limit: plan.consume_count,
                // How long messages waited to be drained says nothing of the broker.
                run: (task.producers > 0).then_some(self.run),
            };
            let queues = self.topology.queues(consumer, task.consumers);
            let inspector = self.inspector(&queues);
            let consumer_of = Consumer::new(link, queues, rules, inspector);
            threads[consumer % count].consumers.push(consumer_of);
        }
        for producer in 0..task.producers {
            let mut link = Link::open(&plan.uri)?;
            if plan.confirm_window.is_some() {
                select_confirms(&mut link)?;
            }
            let addresses = self.topology.addresses(producer, task.producers);
            let (exchange, number) = (self.topology.exchange(), producer as u32);
            let frames = Frames::new(plan, exchange, &addresses, number, link.frame_max)?;
            let rules = PublisherRules {
                window: plan.confirm_window,
                limit: plan.publish_count,
                rate: plan.rate,
                run: self.run,
            };
            threads[producer % count].publishers.push(Publisher::new(link, frames, rules));
        }
        threads.retain(|thread| thread.publishers.len() + thread.consumers.len() > 0);
        Ok(threads)
    }

    fn inspector(&self, queues: &[ShortString]) -> Option<Inspector> {
        let ledger = Arc::clone(self.ledger.as_ref()?);
        let priorities = self.plan.priorities.unwrap_or(0).max(1).into();
        let rules = InspectorRules { run: self.run, priorities };
        Some(Inspector::new(ledger, rules, queues))
    }

    /// Has the connections publish and consume, and watches them.
    fn load(
        &mut self,
        task: &Task,
        threads: &mut [Connections],
        watches: &mut [Watch],
    ) -> Result<Outcome, PerfError> {
        let start = self.clock.nanos();
        for thread in threads.iter_mut() {
            thread.start(start)?;
        }
        let tallies: Vec<Mutex<Tally>> = threads.iter().map(|_| Mutex::default()).collect();
        let deadline = self.plan.duration.map(|duration| start.saturating_add(nanos(duration)));
        let to_the_last = self.ledger.is_some();
        let shared = Shared { clock: self.clock, goal: &task.goal, deadline, to_the_last };
        let (tell, ended) = channel();
        let mut supervisor = Supervisor::new(task, &tallies, start);
        thread::scope(|scope| {
            for (connections, tally) in threads.iter_mut().zip(&tallies) {
                let tell = tell.clone();
                scope.spawn(move || {
                    let result = connections.run(shared, tally);
                    shared.goal.stop();
                    // Whoever hears it waits for all.
                    let _ = tell.send(result);
                });
            }
            drop(tell);
            supervisor.watch(self, watches, &ended)
        })?;
        supervisor.take();
        let stopped = self.clock.nanos();
        let Supervisor { total, problem, .. } = supervisor;
        let last = total.last_sent.max(total.last_confirmed).max(total.last_received);
        let cut_short = !to_the_last && deadline.is_some_and(|deadline| stopped >= deadline);
        let end = if cut_short || last == 0 { stopped } else { last };
        Ok(Outcome { total, start, end, problem })
    }
}

/// Looks after the threads of a phase.
struct Supervisor<'a> {
    task: &'a Task,
    tallies: &'a [Mutex<Tally>],
    start: Nanos,
    /// Since the last line of progress.
    interval: Tally,
    total: Tally,
    spare: Tally,
    problem: Option<String>,
}

impl<'a> Supervisor<'a> {
    fn new(task: &'a Task, tallies: &'a [Mutex<Tally>], start: Nanos) -> Self {
        let (interval, total, spare) = (Tally::default(), Tally::default(), Tally::default());
        Self { task, tallies, start, interval, total, spare, problem: None }
    }

    /// Returns when all threads have ended.
    fn watch(
        &mut self,
        runner: &mut Runner<'_>,
        watches: &mut [Watch],
        ended: &Receiver<Result<(), PerfError>>,
    ) -> Result<(), PerfError> {
        let mut result = Ok(());
        let mut told = self.start;
        let mut active = self.start;
        loop {
            match ended.recv_timeout(Duration::from_nanos(STOP_INTERVAL)) {
                // The first error is the cause of those that follow it.
                Ok(Err(error)) if result.is_ok() => result = Err(error),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return result,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if runner.stop.load(Ordering::Relaxed) {
                match runner.ledger {
                    Some(_) => self.task.goal.wind_down(),
                    None => self.task.goal.stop(),
                }
            }
            let now = runner.clock.nanos();
            if now.saturating_sub(told) < TICK || self.task.goal.is_reached() {
                continue;
            }
            self.take();
            watches.iter_mut().for_each(Watch::look);
            if self.interval.counts != Counts::default() {
                active = now;
            }
            let confirms = runner.plan.confirm_window.is_some() && self.task.producers > 0;
            let progress = Progress::new(&self.interval, now - self.start, now - told, confirms);
            (runner.progress)(&progress);
            self.interval.clear();
            told = now;
            if now.saturating_sub(active) >= nanos(runner.plan.idle_timeout) {
                self.give_up(runner.plan);
            }
        }
    }

    /// Adds up what the threads counted since the last time.
    fn take(&mut self) {
        for tally in self.tallies {
            tally.lock().take_into(&mut self.spare);
            self.interval.add(&self.spare);
            self.total.add(&self.spare);
            self.spare.clear();
        }
    }

    /// Ends a phase in which nothing happens any more, if something is to happen.
    fn give_up(&mut self, plan: &Plan) {
        let counted = plan.publish_count.is_some() || plan.consume_count.is_some();
        if !counted && !self.task.goal.is_winding_down() {
            return;
        }
        let Counts { sent, confirmed, received, .. } = self.total.counts;
        let wanted = self.task.goal.wanted();
        let seconds = plan.idle_timeout.as_secs();
        let mut problem = format!("gave up after {seconds} s without a message: sent {sent}");
        if plan.confirm_window.is_some() && self.task.producers > 0 {
            problem.push_str(&format!(", confirmed {confirmed}"));
        }
        if self.task.consumers > 0 {
            problem.push_str(&format!(", received {received} of {wanted}"));
        }
        if let Some(reason) = &self.interval.blocked {
            problem.push_str(&format!("; the broker blocks publishers: {reason}"));
        }
        self.problem = Some(problem);
        self.task.goal.stop();
    }
}
