//! The order of the steps, and nothing else: the only place that knows what comes after what.
//!
//! ```text
//! lease ─► inputs found ─► fingerprint ─► already published? ─► inputs verified ─► staged ─► audited ─► published
//!       ─► in BigQuery, where there is one: loaded, compared, shown
//! ```
//!
//! Each arrow is an event of the run's record. A run that dies leaves files that nothing names and a lease that nobody
//! holds; the same command again starts over and finds either the old partition or the new one.

mod day;
mod doubt;
mod elsewhere;
mod gate;
mod inputs;
mod job;
mod made_steps;
mod preview;
mod promised;
mod reason;
mod room;
mod schedule;
mod survey;
mod sweep;
mod warehouse;

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::OnceCell;

pub use gate::{Gate, Open};
pub use job::Done;
pub use preview::{Node, Preview, Previewed, preview};
pub use promised::{Judged, MissedPromise};
pub use reason::Reason;
pub use room::Memory;
pub use schedule::{JobEnd, RunEnd};
pub use survey::Survey;
pub use sweep::sweep_work;
pub use warehouse::WarehouseEnd;

use crate::engine::Engine;
use crate::error::Result;
use crate::history::Again;
use crate::names::{JobName, RunId, SnapshotDate};
use crate::plan::Plan;
use crate::promise::Clock;
use crate::publish::bigquery::Warehouse;
use crate::record::{Ending, ProcessId, Recorder, RunSummary, What};
use crate::storage::{Storage, Work};
use inputs::SnapshotDays;

/// Where a run reads and writes, and how it is called.
pub struct RunContext<'a> {
    pub lake: &'a Storage,
    pub snapshots: &'a Storage,
    pub engine: &'a Engine,
    /// Of the engine; all runs that share it share this too.
    pub memory: &'a Memory,
    /// Where published files go on to, when the environment has one.
    pub warehouse: Option<&'a Warehouse>,
    /// This run's own folder for converted files and spills; removed at the end.
    pub work: Work,
    pub run_id: RunId,
    pub environment: &'a str,
    /// As typed, for the record.
    pub command: Vec<String>,
    /// Whether to make a partition again that is already published from the same inputs.
    pub force: bool,
    /// The histories of which this day is the first of a rebuild, and its last day.
    pub rebuild_to: BTreeMap<JobName, SnapshotDate>,
    /// What its jobs wait for outside of this run.
    pub gate: &'a dyn Gate,
    /// Hears of every event right after it is on record.
    pub watch: &'a (dyn Fn(&What) + Sync),
}

impl RunContext<'_> {
    /// How a day of a history is taken in that was before.
    fn again(&self, job: &JobName) -> Again {
        Again { force: self.force, rebuild_to: self.rebuild_to.get(job).copied() }
    }

    pub fn new_run_id() -> RunId {
        let random =
            std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
        RunId::new(Utc::now(), random as u32)
    }
}

/// Runs the plan: jobs in dependency order, side by side where they can. The end tells of every job; a failure of one is
/// not an error of the run as a whole. Errors: the record cannot be written.
pub async fn run(plan: &Plan<'_>, context: &RunContext<'_>) -> Result<RunEnd> {
    let started = Instant::now();
    let clock = Clock::read()?;
    let recorder = Recorder::start(context.lake, context.run_id.clone(), run_started(plan, context)).await?;
    let run = Run { plan, context, recorder, days: SnapshotDays::default(), clock, dead: OnceCell::new() };
    let before = run.newest_days().await;
    let ended = schedule::run_all(&run).await?;
    let warehouse = run.finish_warehouse().await;
    let promises = run.judge_promises(&before, &ended).await?;
    let jobs = ended.into_iter().map(|ended| (ended.name, ended.end)).collect();
    let reports = run.days.reports().await;
    let end = RunEnd::new(context.run_id.clone(), jobs, reports, warehouse, promises, started.elapsed());
    let finished = What::RunFinished {
        outcome: if end.failed() {
            Ending::Failed
        } else if end.up_to_date() {
            Ending::UpToDate
        } else {
            Ending::Succeeded
        },
        exit_code: end.exit_code(),
        elapsed_ms: end.elapsed.as_millis() as u64,
    };
    run.tell(finished).await?;
    remove_work(&context.work);
    Ok(end)
}

/// What every step of a run shares.
struct Run<'a> {
    plan: &'a Plan<'a>,
    context: &'a RunContext<'a>,
    recorder: Recorder,
    days: SnapshotDays,
    /// Of the promises.
    clock: Clock,
    /// The runs of the date that are over and did not succeed.
    dead: OnceCell<Vec<RunSummary>>,
}

impl Run<'_> {
    async fn tell(&self, what: What) -> Result<()> {
        self.recorder.write(what.clone()).await?;
        (self.context.watch)(&what);
        Ok(())
    }
}

fn run_started(plan: &Plan<'_>, context: &RunContext<'_>) -> What {
    let process = ProcessId::current();
    What::RunStarted {
        date: plan.date,
        environment: context.environment.to_owned(),
        jobs: plan.jobs.iter().map(|planned| planned.job.name.clone()).collect(),
        command: context.command.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: process.host.clone(),
        process,
    }
}

/// Leftovers cost room and nothing else, so a failure is only said.
fn remove_work(work: &Work) {
    if let Err(error) = work.remove() {
        tracing::warn!(folder = %work.folder().display(), %error, "failed to remove the run's work folder");
    }
}
