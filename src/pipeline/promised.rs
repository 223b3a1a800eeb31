//! Which promises a run found broken, or broke itself.
//!
//! A day is judged by the run of the newest day that is due, and only by that: a backfill of a year says nothing of promises that
//! were broken a year ago. A table that is there from an earlier run keeps its promise, however often it is made again.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use super::Run;
use super::job::Done;
use super::schedule::{Ended, JobEnd};
use super::survey::published_run;
use crate::error::Result;
use crate::job::Mode;
use crate::names::{JobName, Partition, SnapshotDate, TableName};
use crate::plan::PlannedJob;
use crate::promise::Promise;
use crate::publish::LakeTable;
use crate::record::What;

/// A table that was not there when it was promised, or is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub struct MissedPromise {
    pub job: JobName,
    pub table: TableName,
    pub partition: Partition,
    pub date: SnapshotDate,
    /// `ready by 06:00 UTC`
    pub promise: String,
    pub deadline: DateTime<Utc>,
    /// From the deadline until the table was there, or until the run ended.
    pub late_by_seconds: u64,
    /// Whether the run made it visible, too late.
    pub ready: bool,
}

impl fmt::Display for MissedPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let became = if self.ready { "was ready" } else { "is not there" };
        let minutes = self.late_by_seconds / 60;
        write!(
            f,
            "{} of {} was promised for {} ({}) and {became} {} h {:02} min later",
            self.table,
            self.date,
            self.deadline.format("%Y-%m-%d %H:%M UTC"),
            self.promise,
            minutes / 60,
            minutes % 60
        )
    }
}

/// What came of the promises of a run's jobs.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The instant of the judgement, the end of the jobs.
    pub at: DateTime<Utc>,
    /// In the order of the plan.
    pub missed: Vec<MissedPromise>,
}

/// The newest day that each table shows before a run, of those whose promise the run can judge.
pub(super) type NewestDays = BTreeMap<JobName, SnapshotDate>;

impl Run<'_> {
    /// A table that cannot be looked at now is taken for one without days: the job itself will fail on it.
    pub(super) async fn newest_days(&self) -> NewestDays {
        let mut days = NewestDays::new();
        for planned in &self.plan.jobs {
            let promise = self.plan.project.promise_of(&planned.job.name);
            if !promise.is_some_and(|promise| promise.is_current(self.plan.date, self.clock.now())) {
                continue;
            }
            if let Ok(Some(day)) = self.newest_day(planned).await {
                days.insert(planned.job.name.clone(), day);
            }
        }
        days
    }

    async fn newest_day(&self, planned: &PlannedJob<'_>) -> Result<Option<SnapshotDate>> {
        let (lake, spec) = (self.context.lake, &planned.job.table);
        if spec.mode == Mode::Replace {
            return Ok(published_run(planned, lake).await?.and_then(|published| published.date()));
        }
        let Some(table) = LakeTable::open(lake, &spec.name).await? else { return Ok(None) };
        if spec.mode == Mode::History {
            return Ok(table.applied().latest());
        }
        let days = spec.partition.as_ref().map(|by| table.values_of(&by.column)).unwrap_or_default();
        Ok(days.iter().filter_map(|day| day.parse().ok()).max())
    }

    /// Judges the promise of every job, and puts those that are missed on record.
    pub(super) async fn judge_promises(&self, before: &NewestDays, ended: &[Ended]) -> Result<Judged> {
        let now = self.clock.now();
        let mut missed = Vec::new();
        for (planned, ended) in self.plan.jobs.iter().zip(ended) {
            let Some(promise) = self.plan.project.promise_of(&planned.job.name) else { continue };
            let there = before.get(&ended.name).is_some_and(|newest| *newest >= self.plan.date);
            if let Some((at, ready)) = to_judge(&ended.end, there, ended.at, now)
                && let Some(one) = judge(planned, promise, self.plan.date, at, ready)
            {
                self.tell(event(&one)).await?;
                missed.push(one);
            }
        }
        Ok(Judged { at: now, missed })
    }
}

/// When the table became visible, or until when it did not; `None` where it was visible before.
fn to_judge(end: &JobEnd, there: bool, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<(DateTime<Utc>, bool)> {
    match end {
        JobEnd::Done(done) => {
            // What the lake has shown for long, the warehouse may show only now.
            let newly = match done.as_ref() {
                Done::Published { .. } => !there,
                Done::UpToDate { .. } => !done.is_idle(),
            };
            newly.then_some((at, true))
        }
        JobEnd::Failed(_) | JobEnd::Skipped { .. } => (!there).then_some((now, false)),
    }
}

fn judge(
    planned: &PlannedJob<'_>,
    promise: &Promise,
    date: SnapshotDate,
    at: DateTime<Utc>,
    ready: bool,
) -> Option<MissedPromise> {
    let pledge = promise.judged(date, at)?;
    Some(MissedPromise {
        job: planned.job.name.clone(),
        table: planned.job.table.name.clone(),
        partition: planned.partition,
        date,
        promise: pledge.text,
        deadline: pledge.deadline,
        late_by_seconds: (at - pledge.deadline).num_seconds().unsigned_abs(),
        ready,
    })
}

fn event(missed: &MissedPromise) -> What {
    let MissedPromise { job, table, partition, date, promise, deadline, late_by_seconds, ready } = missed.clone();
    What::PromiseMissed {
        job,
        table,
        partition: partition.to_string(),
        date,
        promise,
        deadline,
        late_by_seconds,
        ready,
    }
}
