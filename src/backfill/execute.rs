//! The runs of a backfill: so many days side by side, in their order, on one engine and under one limit of memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::agenda::Entry;
use super::order::{Order, Unit};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{self, Gate, JobEnd, Memory, Node, Reason, RunContext, RunEnd};
use crate::plan::Plan;
use crate::publish::bigquery::Warehouse;
use crate::record::What;
use crate::storage::{Storage, Work, WorkRoot};

/// Planning deep expressions recurses.
const STACK_BYTES: usize = 8 << 20;

/// What all runs share.
pub struct Ground<'a> {
    pub lake: &'a Storage,
    pub snapshots: &'a Storage,
    pub engine: &'a Engine,
    pub memory: &'a Memory,
    pub warehouse: Option<&'a Warehouse>,
    pub works: &'a WorkRoot,
    pub environment: &'a str,
    pub command: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Days side by side, at least one.
    pub parallel: usize,
    /// After so many failed partitions nothing new begins.
    pub max_failures: usize,
    /// To make fresh partitions again too.
    pub force: bool,
}

/// What becomes of the backfill while it goes on.
pub enum Told<'a> {
    Event { date: SnapshotDate, what: &'a What },
    PartitionEnded { job: &'a JobName, date: SnapshotDate, end: &'a JobEnd },
    RunEnded { date: SnapshotDate, run: &'a Result<RunEnd> },
}

/// What became of a partition.
#[derive(Debug)]
pub enum Outcome<'a> {
    Ended(&'a RunEnd, &'a JobEnd),
    /// It is there, and its run was cut off later.
    CutOff,
    /// Its run could not be recorded.
    Broken(&'a Error),
    /// Too much had failed before, or the process was asked to end.
    NotBegun,
}

pub struct BackfillEnd {
    /// In the order in which they ended.
    pub runs: Vec<(Unit, Result<RunEnd>)>,
    /// The signal that stopped it.
    pub stopped: Option<&'static str>,
    /// What is there, also of a run that the signal cut off.
    pub made: BTreeSet<(JobName, SnapshotDate)>,
}

impl BackfillEnd {
    pub fn outcome(&self, node: &Node, date: SnapshotDate) -> Outcome<'_> {
        let run = self.runs.iter().find(|(unit, _)| unit.date == date && unit.jobs.contains(&node.0));
        match run {
            None if self.made.contains(&(node.0.clone(), date)) => Outcome::CutOff,
            None => Outcome::NotBegun,
            Some((_, Err(error))) => Outcome::Broken(error),
            Some((_, Ok(run))) => match run.jobs.iter().find(|(name, _)| *name == node.0) {
                Some((_, end)) => Outcome::Ended(run, end),
                None => Outcome::NotBegun,
            },
        }
    }

    /// Every failure, also of what runs do beside their jobs.
    pub fn failures(&self) -> impl Iterator<Item = (SnapshotDate, &Error)> {
        self.runs.iter().flat_map(|(unit, run)| {
            let errors: Vec<&Error> = match run {
                Ok(run) => run.failures().collect(),
                Err(error) => vec![error],
            };
            errors.into_iter().map(|error| (unit.date, error))
        })
    }
}

/// What the runs know of each other.
#[derive(Default)]
struct Progress {
    /// Whether each is there now.
    ended: BTreeMap<Node, bool>,
    failed: usize,
    first_failed: Option<JobName>,
    stopped: Option<&'static str>,
    made: BTreeSet<(JobName, SnapshotDate)>,
}

struct Backfill<'a> {
    ground: &'a Ground<'a>,
    plans: BTreeMap<SnapshotDate, &'a Plan<'a>>,
    nodes: BTreeMap<(JobName, SnapshotDate), &'a Entry<'a>>,
    order: &'a Order,
    limits: Limits,
    progress: watch::Sender<Progress>,
    told: &'a (dyn Fn(Told<'_>) + Sync),
}

/// Runs the units of the order, and ends early for `stop`, which names the signal. To be called in a runtime.
pub fn execute<'a>(
    ground: &'a Ground<'a>,
    plans: &'a [Plan<'a>],
    entries: &'a [Entry<'a>],
    order: &'a Order,
    limits: Limits,
    stop: impl Future<Output = &'static str> + Send + 'static,
    told: &'a (dyn Fn(Told<'_>) + Sync),
) -> Result<BackfillEnd> {
    let runtime = Handle::current();
    let backfill = Backfill {
        ground,
        plans: plans.iter().map(|plan| (plan.date, plan)).collect(),
        nodes: entries.iter().map(|entry| ((entry.planned.job.name.clone(), entry.date), entry)).collect(),
        order,
        limits,
        progress: watch::Sender::new(Progress::default()),
        told,
    };
    let progress = backfill.progress.clone();
    let listening = runtime.spawn(async move {
        let signal = stop.await;
        progress.send_modify(|progress| progress.stopped = Some(signal));
    });
    let left: Mutex<VecDeque<&Unit>> = Mutex::new(order.units.iter().collect());
    let next = || left.lock().expect("nothing panics under the lock").pop_front();
    let work = || runtime.block_on(backfill.work(&next));
    let threads = limits.parallel.clamp(1, order.units.len().max(1));
    let runs = thread::scope(|scope| -> std::io::Result<Vec<_>> {
        let work = &work;
        let workers = (0..threads).map(|_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work));
        let workers = workers.collect::<std::io::Result<Vec<_>>>()?;
        Ok(workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect())
    });
    listening.abort();
    let runs = runs.map_err(|error| Error::internal("failed to start a thread").source(error))?;
    let progress = backfill.progress.send_replace(Progress::default());
    Ok(BackfillEnd { runs, stopped: progress.stopped, made: progress.made })
}

impl<'a> Backfill<'a> {
    /// Takes one run after the other until there is none, or nothing new may begin.
    async fn work(&self, next: &(dyn Fn() -> Option<&'a Unit> + Sync)) -> Vec<(Unit, Result<RunEnd>)> {
        let mut ends = Vec::new();
        let mut stopped = self.progress.subscribe();
        while !self.may_not_begin()
            && let Some(unit) = next()
        {
            let left = Left { backfill: self, unit };
            let ran = tokio::select! {
                ran = self.run(unit) => ran,
                _ = stopped.wait_for(|progress| progress.stopped.is_some()) => break,
            };
            drop(left);
            if matches!(&ran, Ok(end) if end.warehouse.error.is_some()) {
                self.progress.send_modify(|progress| progress.failed += 1);
            }
            (self.told)(Told::RunEnded { date: unit.date, run: &ran });
            ends.push((unit.clone(), ran));
        }
        ends
    }

    fn may_not_begin(&self) -> bool {
        let progress = self.progress.borrow();
        progress.stopped.is_some() || progress.failed >= self.limits.max_failures
    }

    async fn run(&self, unit: &Unit) -> Result<RunEnd> {
        let plan = self.plans[&unit.date].only(&unit.jobs);
        let (ground, run_id) = (self.ground, RunContext::new_run_id());
        let work = Removed(ground.works.create(&run_id)?);
        ground.engine.register(work.0.storage());
        let gate = DayGate { backfill: self, date: unit.date };
        let context = RunContext {
            lake: ground.lake,
            snapshots: ground.snapshots,
            engine: ground.engine,
            memory: ground.memory,
            warehouse: ground.warehouse,
            work: work.0.clone(),
            run_id,
            environment: ground.environment,
            command: ground.command.clone(),
            force: self.limits.force,
            rebuild_to: self.rebuilds(unit),
            gate: &gate,
            watch: &|what| (self.told)(Told::Event { date: unit.date, what }),
        };
        pipeline::run(&plan, &context).await
    }

    /// The histories that are rewound to the day.
    fn rebuilds(&self, unit: &Unit) -> BTreeMap<JobName, SnapshotDate> {
        let entries = unit.jobs.iter().filter_map(|job| self.nodes.get(&(job.clone(), unit.date)));
        let rebuilt = entries.filter_map(|entry| match entry.reason {
            Reason::Rebuilt { from, to } if from == unit.date => Some((entry.planned.job.name.clone(), to)),
            _ => None,
        });
        rebuilt.collect()
    }

    /// Nobody waits for what a run has not come to.
    fn leave(&self, unit: &Unit) {
        self.progress.send_modify(|progress| {
            for job in &unit.jobs {
                if let Some(entry) = self.nodes.get(&(job.clone(), unit.date)) {
                    progress.ended.entry(entry.node()).or_insert_with(|| {
                        progress.failed += 1;
                        progress.first_failed.get_or_insert(job.clone());
                        false
                    });
                }
            }
        });
    }
}

/// A run on its way: whatever ends it, a panic too, nobody waits for it any longer.
struct Left<'b, 'a> {
    backfill: &'b Backfill<'a>,
    unit: &'b Unit,
}

impl Drop for Left<'_, '_> {
    fn drop(&mut self) {
        self.backfill.leave(self.unit);
    }
}

/// The gate of a day's jobs.
struct DayGate<'b, 'a> {
    backfill: &'b Backfill<'a>,
    date: SnapshotDate,
}

#[async_trait]
impl Gate for DayGate<'_, '_> {
    async fn pass(&self, job: &JobName) -> Result<(), JobName> {
        let backfill = self.backfill;
        let Some(entry) = backfill.nodes.get(&(job.clone(), self.date)) else { return Ok(()) };
        let needs = backfill.order.needs.get(&entry.node());
        let most = backfill.limits.max_failures;
        let all_ended =
            |progress: &Progress| needs.is_none_or(|needs| needs.iter().all(|n| progress.ended.contains_key(n)));
        let mut progress = backfill.progress.subscribe();
        let waited = progress.wait_for(|progress| progress.failed >= most || all_ended(progress)).await;
        let Ok(progress) = waited else { return Ok(()) };
        let lost = needs.and_then(|needs| needs.iter().find(|need| progress.ended.get(need) == Some(&false)));
        match lost {
            Some((because, _)) => Err(because.clone()),
            None if progress.failed >= most => Err(progress.first_failed.clone().unwrap_or_else(|| job.clone())),
            None => Ok(()),
        }
    }

    fn ended(&self, job: &JobName, end: &JobEnd) {
        let Some(entry) = self.backfill.nodes.get(&(job.clone(), self.date)) else { return };
        self.backfill.progress.send_modify(|progress| {
            progress.ended.insert(entry.node(), matches!(end, JobEnd::Done(_)));
            if matches!(end, JobEnd::Done(_)) {
                progress.made.insert((job.clone(), self.date));
            }
            if matches!(end, JobEnd::Failed(_)) {
                progress.failed += 1;
                progress.first_failed.get_or_insert(job.clone());
            }
        });
        (self.backfill.told)(Told::PartitionEnded { job, date: self.date, end });
    }
}

/// A run's work folder, which goes also when the run is stopped.
struct Removed(Work);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}
