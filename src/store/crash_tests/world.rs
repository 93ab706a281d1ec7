//! A machine, the store's process on it, and what that was told.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::durable::Recovered;
use super::super::error::StoreError;
use super::super::sim_disk::{Fault, Random};
use super::super::writer::IDLE;
use super::model::{Model, UnitOfOps};
use super::process::{Machine, Process, advance, options};
use super::workload::Workload;
use crate::broker::effect::Position;
use crate::broker::queue_cell::QueueId;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The process goes on.
    Alive,
    /// It failed, and confirms nothing any more.
    Failed,
}

/// A machine on which one process after the other works.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) process: Option<Process>,
    workload: Workload,
    /// What the next process is to find, if nothing of what follows is kept.
    base: Model,
    /// What was recorded since.
    units: Vec<UnitOfOps>,
    /// How many units were recorded before each commit: what a crash keeps ends at one of these.
    commits: Vec<usize>,
    /// Units that were written, whether they are safe or not.
    written: usize,
    /// Units that were confirmed.
    confirmed: usize,
    /// Units that somebody waits for.
    awaited: usize,
    /// All units done.
    pub(super) model: Model,
    /// No position before this one may be taken again.
    taken: BTreeMap<QueueId, u64>,
    /// For what is not the workload, so that this goes on alike whatever happens.
    random: Random,
}

impl World {
    /// A process on an empty disk.
    pub(super) fn new(seed: u64) -> Self {
        let machine = Machine::new(seed);
        let (process, _) = machine.start(&options()).expect("an empty disk");
        Self {
            machine,
            process: Some(process),
            workload: Workload::new(seed),
            base: Model::default(),
            units: Vec::new(),
            commits: Vec::new(),
            written: 0,
            confirmed: 0,
            awaited: 0,
            model: Model::default(),
            taken: BTreeMap::new(),
            random: Random(!seed),
        }
    }

    /// Works for some steps, or until the process fails.
    pub(super) fn run(&mut self, steps: usize) -> End {
        for _ in 0..steps {
            if let Err(error) = self.step() {
                self.fail(error);
                return End::Failed;
            }
        }
        End::Alive
    }

    /// Ends the process as it should end.
    pub(super) fn close(&mut self) -> End {
        let process = self.process.as_mut().expect("a process");
        let closed = process.close();
        self.confirmed = process.confirmed();
        match closed {
            Ok(()) => {
                (self.written, self.confirmed) = (self.units.len(), self.units.len());
                End::Alive
            }
            Err(error) => {
                self.fail(error);
                End::Failed
            }
        }
    }

    /// Records a few units, writes them, perhaps makes a checkpoint, and looks.
    fn step(&mut self) -> Result<(), StoreError> {
        let process = self.process.as_mut().expect("a process");
        for _ in 0..1 + self.workload.random.below(5) {
            let unit = self.workload.unit(&self.model);
            unit.iter().for_each(|op| self.model.apply(op));
            process.record(&unit);
            self.units.push(unit);
        }
        if !self.workload.once_in(3) {
            process.confirm(self.units.len());
            self.awaited = self.units.len();
        }
        self.commits.push(self.units.len());
        let written = process.commit();
        self.confirmed = process.confirmed();
        written?;
        self.written = self.units.len();
        assert_eq!(self.confirmed, self.awaited, "who waits is told, and of no more");
        if self.workload.once_in(2) {
            process.checkpoint();
        }
        advance(Duration::from_millis(self.workload.random.below(300)));
        match if self.workload.once_in(6) { self.look() } else { Ok(()) } {
            // Who reads for a queue waits for them.
            Err(error) if error.is_out_of_files() => Ok(()),
            looked => looked,
        }
    }

    /// Works until there was room for a while: how often publishers had to wait.
    pub(super) fn run_out_of_room(&mut self, steps: usize) -> usize {
        let process = self.process.as_ref().expect("a process");
        let reliefs = process.count_reliefs();
        assert_eq!(self.run(steps), End::Alive, "room is waited for");
        self.machine.disk.plan_full(0..0);
        self.machine.disk.plan_no_files(0..0);
        self.machine.disk.set_capacity(None);
        // A checkpoint that is unfinished is tried again now and then, until there is room for all of it.
        for _ in 0..100 {
            advance(IDLE);
            assert_eq!(self.run(1), End::Alive);
            if !self.process.as_ref().is_some_and(|process| process.shared.is_disk_low()) {
                break;
            }
        }
        let process = self.process.as_ref().expect("a process");
        assert!(!process.shared.is_disk_low(), "there is room again");
        self.look().expect("it can be read");
        reliefs.load(Ordering::Relaxed)
    }

    /// What is read back is what was written.
    pub(super) fn look(&self) -> Result<(), StoreError> {
        let process = self.process.as_ref().expect("a process");
        let queues = self.workload.queues().iter().chain(self.model.queues.keys());
        let found = process.contents(&queues.copied().collect::<Vec<_>>())?;
        assert!(found == self.model, "it reads {}", found.difference(&self.model));
        Ok(())
    }

    /// The process can't go on: it writes and confirms nothing any more.
    fn fail(&mut self, error: StoreError) {
        let process = self.process.as_mut().expect("a process");
        process.shared.fail(error);
        let calls = self.machine.disk.calls();
        process.record(&self.workload.unit(&self.model));
        process.confirm(usize::MAX);
        let gathered = process.shared.inbox.take_now();
        assert!(
            gathered.closed && gathered.records.is_empty() && gathered.confirmations.is_empty()
        );
        assert_eq!(process.confirmed(), self.confirmed, "it failed");
        assert_eq!(self.machine.disk.calls(), calls);
    }

    /// The process ends here, unless it did already.
    pub(super) fn crash(&mut self, fault: Fault) {
        self.process = None;
        if !self.machine.disk.is_down() {
            match fault {
                Fault::PowerLoss => self.machine.disk.lose_power(),
                _ => self.machine.disk.kill(),
            }
        }
    }

    /// Starts the next process, which works for a while. This happens at one of its first calls, perhaps
    /// while it recovers, or when it has worked.
    pub(super) fn recover_and_run(&mut self, steps: usize, fault: Fault) {
        let call = 1 + self.random.below(80);
        self.recover(Some((call, fault)));
        self.run(steps);
        self.crash(fault);
    }

    /// Starts the next process.
    pub(super) fn recover(&mut self, fault: Option<(u64, Fault)>) {
        let Started { process, recovered, found } = self.start(fault);
        check_counts(&found, &recovered);
        self.accept(found, &recovered);
        let next = recovered.queues.iter().map(|(queue, it)| (*queue, it.next_position));
        self.workload.restart(next.collect(), recovered.first_free);
        self.process = Some(process);
    }

    /// Starts the next process, again if that fails.
    fn start(&mut self, fault: Option<(u64, Fault)>) -> Started {
        self.restart();
        if let Some((call, fault)) = fault {
            self.machine.disk.plan(self.machine.disk.calls() + call, fault);
            if let Ok(started) = Started::on(&self.machine) {
                return started;
            }
            self.crash(fault);
            self.restart();
        }
        Started::on(&self.machine).expect("it recovers")
    }

    fn restart(&mut self) {
        if !self.machine.disk.is_killed() {
            // What nobody waited for may be lost.
            self.written = self.confirmed;
        }
        self.machine.restart(self.random.below(5));
    }

    /// What was found must be what there was after some commit, and that not before what was promised.
    fn accept(&mut self, found: Model, recovered: &Recovered) {
        let mut state = std::mem::take(&mut self.base);
        let mut taken = std::mem::take(&mut self.taken);
        let mut others = Vec::new();
        let mut done = 0;
        let commits = std::mem::take(&mut self.commits);
        for commit in [0].into_iter().chain(commits) {
            self.units[done..commit].iter().flatten().for_each(|op| state.apply(op));
            done = commit;
            for (queue, position, _) in state.places() {
                let taken = taken.entry(queue).or_default();
                *taken = (*taken).max(position.0 + 1);
            }
            if done < self.written {
                continue;
            }
            let left = state.without_transient();
            if left == found {
                taken.retain(|queue, _| state.queues.contains_key(queue));
                self.adopt(found, taken, recovered);
                return;
            }
            others.push(left);
        }
        let differences: Vec<String> = others.iter().map(|it| found.difference(it)).collect();
        panic!("it holds\n{}", differences.join("\nor\n"));
    }

    fn adopt(&mut self, found: Model, taken: BTreeMap<QueueId, u64>, recovered: &Recovered) {
        for (queue, taken) in &taken {
            let next = recovered.queues.iter().find(|(other, _)| other == queue);
            let next = next.map_or(0, |(_, restored)| restored.next_position);
            assert!(next >= *taken, "{queue:?} takes {next} again, and had {taken} positions");
        }
        self.units.clear();
        (self.written, self.confirmed, self.awaited) = (0, 0, 0);
        self.base = found.clone();
        self.model = found;
        self.taken = taken;
    }

    /// The last process works for a while, and ends as it should.
    pub(super) fn finish(mut self) {
        self.recover(None);
        assert_eq!(self.run(3), End::Alive);
        assert_eq!(self.close(), End::Alive);
        self.crash(Fault::PowerLoss);
        self.recover(None);
    }
}

/// A process that has recovered.
struct Started {
    process: Process,
    recovered: Recovered,
    /// All that it holds.
    found: Model,
}

impl Started {
    fn on(machine: &Machine) -> Result<Self, StoreError> {
        let (process, recovered) = machine.start(&options())?;
        let queues: Vec<QueueId> = recovered.queues.iter().map(|(queue, _)| *queue).collect();
        let found = process.contents(&queues)?;
        Ok(Self { process, recovered, found })
    }
}

/// What a queue is told of itself agrees with what is there.
fn check_counts(found: &Model, recovered: &Recovered) {
    for (queue, restored) in &recovered.queues {
        let entries = found.queues.get(queue).into_iter().flatten();
        let ready: Vec<_> = entries.clone().filter(|(_, entry)| entry.due.is_none()).collect();
        assert_eq!(restored.ready, ready.len(), "{queue:?}");
        let first = ready.first().map(|(position, _)| **position);
        assert_eq!(restored.first, first.unwrap_or(Position(restored.next_position)));
        assert_eq!(restored.scheduled.len(), entries.count() - ready.len(), "{queue:?}");
        assert!(queue.0 < recovered.first_free.0);
    }
}
