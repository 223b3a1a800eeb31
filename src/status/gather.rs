//! Reading the facts: each table's log once, side by side, and of the record only the newest runs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};

use super::facts::{Facts, JobOutcome, LastRun, Latest, RowsOfDay, TableFacts};
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::job::{Job, Mode, VALID_TO};
use crate::names::{JobName, Partition, RunId, SnapshotDate, TableName};
use crate::plan::partition_of;
use crate::project::{Project, upstream};
use crate::publish::bigquery::remembers;
use crate::publish::{LakeFile, LakeTable};
use crate::record::{CheckRecord, Outcome, RunHistory, RunIndex, What};
use crate::storage::Storage;

/// Runs that are looked at for the last ones of all jobs; a job that none of them named was not run for long.
const LOOK_BACK: usize = 1_000;
/// Days whose rows are told.
const TREND: usize = 14;
/// Tables whose logs are read at once.
const TABLES_AT_ONCE: usize = 16;
/// The events that tell how a job did.
const ENDINGS: [&str; 5] = ["audited", "published", "up_to_date", "job_failed", "job_skipped"];

/// What the lake tells of these jobs' tables. Errors: the lake cannot be listed.
pub async fn gather(
    project: &Project,
    environment: &Environment,
    lake: &Storage,
    jobs: &[JobName],
    now: DateTime<Utc>,
) -> Result<Facts> {
    let jobs: Vec<&Job> = jobs.iter().filter_map(|name| project.jobs.get(name)).collect();
    let (index, tables) = tokio::join!(RunIndex::open(lake), open_all(lake, &jobs));
    let mut index = index?;
    index.reach(&latest_runs(&jobs, &tables)).await?;
    let visible: Vec<Visible> = jobs.iter().zip(tables).map(|(job, table)| Visible::of(job, table, &index)).collect();
    let record = Record::read(&index, &jobs, &visible).await?;
    let facts = stream::iter(jobs.iter().zip(&visible)).map(|(job, visible)| {
        let record = &record;
        async move { table_facts(project, environment, lake, job, visible, record).await }
    });
    let tables = facts.buffered(TABLES_AT_ONCE).try_collect().await?;
    let reads = project.jobs.values().map(|job| (job.name.clone(), upstream(job).into_keys().cloned().collect()));
    Ok(Facts {
        now,
        environment: environment.name.clone(),
        tables,
        reads: reads.collect(),
        warnings: record.warnings(),
    })
}

/// The tables of the jobs, in their order. Reading a log is computing too, so each has a task of its own.
async fn open_all(lake: &Storage, jobs: &[&Job]) -> Vec<Result<Option<LakeTable>>> {
    let names: Vec<TableName> = jobs.iter().map(|job| job.table.name.clone()).collect();
    let opened = stream::iter(names).map(|name| {
        let lake = lake.clone();
        let task = tokio::spawn(async move { LakeTable::open(&lake, &name).await });
        async {
            task.await.unwrap_or_else(|error| Err(Error::internal("the reading of a log was cut off").source(error)))
        }
    });
    opened.buffered(TABLES_AT_ONCE).collect().await
}

/// The runs that made the newest partitions.
fn latest_runs(jobs: &[&Job], tables: &[Result<Option<LakeTable>>]) -> Vec<RunId> {
    let newest = |job: &Job, table: &LakeTable| match (job.table.mode, &job.table.partition) {
        (Mode::History, _) => table.applied().days().next_back().map(|(_, day)| day.run.clone()),
        (_, column) => {
            let day = |file: &LakeFile| Some(file.least(&column.as_ref()?.column)?.as_str()?.to_owned());
            table.files.iter().max_by_key(|file| (day(file), file.run())).and_then(LakeFile::run)
        }
    };
    let opened = jobs.iter().zip(tables).filter_map(|(job, table)| Some((*job, table.as_ref().ok()?.as_ref()?)));
    opened.filter_map(|(job, table)| newest(job, table)).collect()
}

/// What readers see of a table.
#[derive(Default)]
struct Visible {
    table: Option<LakeTable>,
    unreadable: Option<String>,
    latest: Option<Latest>,
    /// Rows by day, of a table of days.
    rows: BTreeMap<SnapshotDate, u64>,
    /// The runs that took in the last days of a history.
    taken_in: Vec<(SnapshotDate, RunId)>,
}

impl Visible {
    fn of(job: &Job, opened: Result<Option<LakeTable>>, index: &RunIndex) -> Visible {
        let table = match opened {
            Ok(Some(table)) => table,
            Ok(None) => return Visible::default(),
            Err(error) => return Visible { unreadable: Some(one_line(&error)), ..Visible::default() },
        };
        let visible = match job.table.mode {
            Mode::Partition => Visible::days(job, &table),
            Mode::History => Visible::history(&table),
            Mode::Replace => Visible::whole(&table, index),
        };
        Visible { table: Some(table), ..visible }
    }

    fn days(job: &Job, table: &LakeTable) -> Visible {
        let Some(by) = &job.table.partition else { return Visible::default() };
        let day = |file: &LakeFile| file.least(&by.column)?.as_str()?.parse::<SnapshotDate>().ok();
        let mut rows: BTreeMap<SnapshotDate, u64> = BTreeMap::new();
        let mut made_by: BTreeMap<SnapshotDate, RunId> = BTreeMap::new();
        for file in &table.files {
            let Some(date) = day(file) else { continue };
            *rows.entry(date).or_default() += file.rows;
            if let Some(run) = file.run().filter(|run| made_by.get(&date).is_none_or(|before| before < run)) {
                made_by.insert(date, run);
            }
        }
        let latest = rows.last_key_value();
        let latest = latest.map(|(date, rows)| Latest { date: Some(*date), rows: *rows, run_id: made_by.remove(date) });
        Visible { latest, rows, ..Visible::default() }
    }

    fn history(table: &LakeTable) -> Visible {
        let last = table.applied().days().rev().take(TREND).map(|(date, day)| (date, day.run.clone()));
        let mut taken_in: Vec<(SnapshotDate, RunId)> = last.collect();
        taken_in.reverse();
        // Open and closed rows never share a file.
        let open = table.files.iter().filter(|file| file.nulls(VALID_TO) == Some(file.rows));
        let rows = open.map(|file| file.rows).sum();
        let latest = taken_in.last().map(|(date, run)| Latest { date: Some(*date), rows, run_id: Some(run.clone()) });
        Visible { latest, taken_in, ..Visible::default() }
    }

    fn whole(table: &LakeTable, index: &RunIndex) -> Visible {
        if table.files.is_empty() {
            return Visible::default();
        }
        let run_id = table.files.iter().filter_map(|file| file.run()).max();
        let date = run_id.as_ref().and_then(|run| index.date_of(run));
        let rows = table.files.iter().map(|file| file.rows).sum();
        Visible { latest: Some(Latest { date, rows, run_id }), ..Visible::default() }
    }
}

/// What the record tells of the runs that matter here.
struct Record {
    newest: BTreeMap<JobName, RunId>,
    runs: BTreeMap<RunId, RunHistory>,
}

impl Record {
    async fn read(index: &RunIndex, jobs: &[&Job], visible: &[Visible]) -> Result<Record> {
        let names = jobs.iter().map(|job| job.name.clone()).collect();
        let mut newest = index.newest_of(&names, LOOK_BACK).await;
        let latest = |visible: &Visible| visible.latest.as_ref()?.run_id.clone();
        for (job, visible) in jobs.iter().zip(visible) {
            // A job that was not run for long was last run when its table was made, as far as anyone knows.
            if let Some(run) = latest(visible).filter(|run| index.date_of(run).is_some()) {
                newest.entry(job.name.clone()).or_insert(run);
            }
        }
        let ends: BTreeSet<RunId> = newest.values().cloned().chain(visible.iter().filter_map(latest)).collect();
        let taken_in = visible.iter().flat_map(|visible| &visible.taken_in).map(|(_, run)| run.clone());
        let taken_in = taken_in.filter(|run| !ends.contains(run)).collect();
        let (mut runs, before) =
            tokio::try_join!(index.read_all(ends, &ENDINGS), index.read_all(taken_in, &["published"]))?;
        runs.extend(before);
        Ok(Record { newest, runs })
    }

    fn warnings(&self) -> Vec<String> {
        let told = self.runs.iter().rev().flat_map(|(run, history)| {
            history.warnings.iter().map(move |warning| format!("the record of run {run} is damaged: {warning}"))
        });
        told.collect()
    }

    fn last_run(&self, job: &JobName) -> Option<LastRun> {
        let run = self.runs.get(self.newest.get(job)?)?;
        Some(LastRun {
            run_id: run.summary.run_id.clone(),
            date: run.summary.date,
            started_at: run.summary.started_at,
            outcome: outcome(run, job),
        })
    }

    /// The failing checks of the last audit, and its run.
    fn last_audit(&self, job: &JobName, made_by: Option<&RunId>) -> Option<(Vec<CheckRecord>, RunId)> {
        let runs = self.newest.get(job).into_iter().chain(made_by);
        let mut audits = runs.filter_map(|id| {
            let events = &self.runs.get(id)?.events;
            events.iter().rev().find_map(|event| match &event.what {
                What::Audited { job: of, checks, .. } if of == job => Some((checks, id.clone())),
                _ => None,
            })
        });
        let (checks, run) = audits.next()?;
        Some((checks.iter().filter(|check| !check.passed).cloned().collect(), run))
    }

    fn rows_published(&self, run: &RunId, of: &JobName) -> Option<u64> {
        self.runs.get(run)?.events.iter().find_map(|event| match &event.what {
            What::Published { job, rows, .. } if job == of => Some(*rows),
            _ => None,
        })
    }
}

/// How a job did in a run: its last word, or what became of the run.
fn outcome(run: &RunHistory, of: &JobName) -> JobOutcome {
    let told = run.events.iter().rev().find_map(|event| match &event.what {
        What::Published { job, .. } if job == of => Some(JobOutcome::Published),
        What::UpToDate { job, .. } if job == of => Some(JobOutcome::UpToDate),
        What::JobFailed { job, kind, exit_code, message, error } if job == of => Some(JobOutcome::Failed {
            error: kind.clone(),
            exit_code: *exit_code,
            why: error.as_ref().map_or_else(|| message.clone(), |error| error.message.clone()),
        }),
        What::JobSkipped { job, because } if job == of => Some(JobOutcome::Skipped { because: because.clone() }),
        _ => None,
    });
    told.unwrap_or(match run.summary.outcome {
        Outcome::Running => JobOutcome::Running,
        Outcome::Interrupted => JobOutcome::Interrupted,
        Outcome::Succeeded | Outcome::UpToDate | Outcome::Failed => JobOutcome::Untold,
    })
}

async fn table_facts(
    project: &Project,
    environment: &Environment,
    lake: &Storage,
    job: &Job,
    visible: &Visible,
    record: &Record,
) -> Result<TableFacts> {
    let promise = project.promise_of(&job.name).cloned();
    let made_by = visible.latest.as_ref().and_then(|latest| latest.run_id.as_ref());
    let (failing_checks, audited_by) = record.last_audit(&job.name, made_by).unzip();
    let in_bigquery = match (&environment.bigquery, &visible.table, latest_partition(job, visible)) {
        (Some(warehouse), Some(table), Some(partition)) => {
            Some(remembers(lake, &warehouse.project, &job.table, table, &partition).await?)
        }
        _ => None,
    };
    Ok(TableFacts {
        job: job.name.clone(),
        table: job.table.name.clone(),
        mode: job.table.mode,
        gaps: if promise.as_ref().is_some_and(|promise| promise.ready_by.is_some()) {
            gaps(visible)
        } else {
            Vec::new()
        },
        promise,
        latest: visible.latest.clone(),
        trend: trend(job, visible, record),
        last_run: record.last_run(&job.name),
        failing_checks: failing_checks.unwrap_or_default(),
        audited_by,
        in_bigquery,
        unreadable: visible.unreadable.clone(),
    })
}

fn latest_partition(job: &Job, visible: &Visible) -> Option<Partition> {
    let latest = visible.latest.as_ref()?;
    match latest.date {
        Some(date) => Some(partition_of(job, date)),
        None => Some(Partition::Whole),
    }
}

fn trend(job: &Job, visible: &Visible, record: &Record) -> Vec<RowsOfDay> {
    if job.table.mode == Mode::History {
        let days = visible.taken_in.iter();
        let days = days
            .filter_map(|(date, run)| Some(RowsOfDay { date: *date, rows: record.rows_published(run, &job.name)? }));
        return days.collect();
    }
    let days = visible.rows.iter().skip(visible.rows.len().saturating_sub(TREND));
    days.map(|(date, rows)| RowsOfDay { date: *date, rows: *rows }).collect()
}

/// The days that are missing among the last ones of a table of days.
fn gaps(visible: &Visible) -> Vec<SnapshotDate> {
    let Some((latest, _)) = visible.rows.last_key_value() else { return Vec::new() };
    let Some((first, _)) = visible.rows.first_key_value() else { return Vec::new() };
    let days = (1..TREND as u32).rev().filter_map(|days| latest.days_ago(days));
    days.filter(|day| day > first && !visible.rows.contains_key(day)).collect()
}

/// What happened and the innermost reason that is told.
fn one_line(error: &Error) -> String {
    match error.causes().first().and_then(|cause| cause.lines().next()) {
        Some(cause) => format!("{}: {cause}", error.message()),
        None => error.message().to_owned(),
    }
}
