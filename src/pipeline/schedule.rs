//! Jobs in dependency order, side by side where they can.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::Run;
use super::job::Done;
use super::promised::Judged;
use super::warehouse::WarehouseEnd;
use crate::check::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{JobName, RunId, SnapshotName};
use crate::plan::PlannedJob;
use crate::record::{ErrorRecord, What};

/// What became of a job.
#[derive(Debug)]
pub enum JobEnd {
    Done(Box<Done>),
    Failed(Error),
    /// A job that it reads has failed or was skipped.
    Skipped {
        because: JobName,
    },
}

/// What became of a run.
#[derive(Debug)]
pub struct RunEnd {
    pub run_id: RunId,
    /// In the order of the plan.
    pub jobs: Vec<(JobName, JobEnd)>,
    /// What the contracts' checks found in the days that the jobs read.
    pub snapshots: BTreeMap<SnapshotName, Report>,
    pub warehouse: WarehouseEnd,
    pub promises: Judged,
    pub elapsed: Duration,
}

/// A job's end, and when that was.
pub(super) struct Ended {
    pub name: JobName,
    pub end: JobEnd,
    pub at: DateTime<Utc>,
}

impl RunEnd {
    pub(super) fn new(
        run_id: RunId,
        jobs: Vec<(JobName, JobEnd)>,
        snapshots: BTreeMap<SnapshotName, Report>,
        warehouse: WarehouseEnd,
        promises: Judged,
        elapsed: Duration,
    ) -> Self {
        RunEnd { run_id, jobs, snapshots, warehouse, promises, elapsed }
    }

    pub fn failures(&self) -> impl Iterator<Item = &Error> {
        let jobs = self.jobs.iter().filter_map(|(_, end)| match end {
            JobEnd::Failed(error) => Some(error),
            _ => None,
        });
        jobs.chain(&self.warehouse.error)
    }

    /// Whether something is left to do: also where nothing failed here and a job waits for one of another run.
    pub fn failed(&self) -> bool {
        self.failures().next().is_some() || self.jobs.iter().any(|(_, end)| matches!(end, JobEnd::Skipped { .. }))
    }

    /// Whether there was nothing to do.
    pub fn up_to_date(&self) -> bool {
        let idle = |end: &JobEnd| matches!(end, JobEnd::Done(done) if done.is_idle());
        self.jobs.iter().all(|(_, end)| idle(end))
    }

    /// 0, or the code of the failure that most needs a person: one that trying again does not mend comes first.
    pub fn exit_code(&self) -> u8 {
        let codes = self.failures().map(|error| (error.kind().retryable(), error.kind().exit_code()));
        // What was skipped lacks the table of a job that another run could not make.
        let skipped = if self.failed() { ErrorKind::InputMissing.exit_code() } else { 0 };
        codes.min().map_or(skipped, |(_, code)| code)
    }
}

/// Runs every job of the plan once, as soon as those that it reads are done.
pub(super) async fn run_all(run: &Run<'_>) -> Result<Vec<Ended>> {
    let mut waiting: Vec<&PlannedJob<'_>> = run.plan.jobs.iter().collect();
    let mut ends: BTreeMap<JobName, JobEnd> = BTreeMap::new();
    let mut instants: BTreeMap<JobName, DateTime<Utc>> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        for planned in take_ready(&mut waiting, &ends) {
            let because = blocker(planned, &ends);
            // Nothing is waited for here but the jobs: one that is not polled may be next in the queue for what is waited for.
            running.push(async move {
                let end = match because {
                    Some(because) => skipped(run, planned, because).await,
                    None => passed(run, planned).await,
                };
                (&planned.job.name, end)
            });
        }
        match running.next().await {
            Some((name, end)) => {
                instants.insert(name.clone(), run.clock.now());
                ends.insert(name.clone(), end?);
            }
            None if waiting.is_empty() => break,
            None => continue,
        }
    }
    let order = run.plan.jobs.iter().map(|planned| planned.job.name.clone());
    let ended = order.filter_map(|name| Some(Ended { end: ends.remove(&name)?, at: instants.remove(&name)?, name }));
    Ok(ended.collect())
}

/// Runs a job once its gate lets it.
async fn passed(run: &Run<'_>, planned: &PlannedJob<'_>) -> Result<JobEnd> {
    let name = &planned.job.name;
    let end = match run.context.gate.pass(name).await {
        Ok(()) => ended(run, name, run.job(planned).await).await?,
        Err(because) => return skipped(run, planned, because).await,
    };
    run.context.gate.ended(name, &end);
    Ok(end)
}

async fn skipped(run: &Run<'_>, planned: &PlannedJob<'_>, because: JobName) -> Result<JobEnd> {
    run.tell(What::JobSkipped { job: planned.job.name.clone(), because: because.clone() }).await?;
    let end = JobEnd::Skipped { because };
    run.context.gate.ended(&planned.job.name, &end);
    Ok(end)
}

/// Takes out of `waiting` the jobs whose predecessors have all ended.
fn take_ready<'a, 'b>(
    waiting: &mut Vec<&'a PlannedJob<'b>>,
    ends: &BTreeMap<JobName, JobEnd>,
) -> Vec<&'a PlannedJob<'b>> {
    let ended: BTreeSet<&JobName> = ends.keys().collect();
    let (ready, rest) = waiting.iter().partition(|planned| planned.after.iter().all(|name| ended.contains(name)));
    *waiting = rest;
    ready
}

fn blocker(planned: &PlannedJob<'_>, ends: &BTreeMap<JobName, JobEnd>) -> Option<JobName> {
    planned.after.iter().find(|name| !matches!(ends.get(name), Some(JobEnd::Done(_)))).cloned()
}

async fn ended(run: &Run<'_>, name: &JobName, done: Result<Done>) -> Result<JobEnd> {
    let error = match done {
        Ok(done) => return Ok(JobEnd::Done(Box::new(done))),
        Err(error) => error,
    };
    let told = run.tell(What::JobFailed {
        job: name.clone(),
        kind: error.kind().as_str().to_owned(),
        exit_code: error.kind().exit_code(),
        message: error.to_string(),
        error: Some(ErrorRecord::from(&error)),
    });
    if let Err(unrecorded) = told.await {
        // The reason for the failure matters more than that it could not be recorded.
        tracing::warn!(error = %unrecorded, "failed to record the failure of {name}");
    }
    Ok(JobEnd::Failed(error))
}
