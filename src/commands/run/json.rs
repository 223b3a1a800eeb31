//! What a run prints for programs.

use chrono::SecondsFormat;
use serde::Serialize;

use crate::check::Report;
use crate::names::SnapshotDate;
use crate::pipeline::{Done, JobEnd, MissedPromise, RunEnd};
use crate::plan::Plan;
use crate::publish::bigquery::Loaded;
use crate::record::ChangeRecord;

/// What `--format json` prints: one object a run, one entry a job in the order of the plan.
#[derive(Serialize)]
pub(super) struct RunJson<'a> {
    run_id: String,
    date: SnapshotDate,
    exit_code: u8,
    elapsed_ms: u64,
    jobs: Vec<JobJson<'a>>,
    /// Those that were verified.
    snapshots: Vec<SnapshotJson<'a>>,
    promises_missed: Vec<PromiseJson<'a>>,
}

#[derive(Serialize)]
struct PromiseJson<'a> {
    job: &'a str,
    table: String,
    partition: String,
    promise: &'a str,
    /// RFC 3339, UTC.
    deadline: String,
    late_by_seconds: u64,
    /// Whether the run made it visible, too late.
    ready: bool,
}

impl<'a> PromiseJson<'a> {
    fn of(missed: &'a MissedPromise) -> Self {
        PromiseJson {
            job: missed.job.as_str(),
            table: missed.table.to_string(),
            partition: missed.partition.to_string(),
            promise: &missed.promise,
            deadline: missed.deadline.to_rfc3339_opts(SecondsFormat::Secs, true),
            late_by_seconds: missed.late_by_seconds,
            ready: missed.ready,
        }
    }
}

#[derive(Serialize)]
struct SnapshotJson<'a> {
    snapshot: &'a str,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    job: &'a str,
    table: String,
    partition: String,
    /// `published`, `up_to_date`, `failed` or `skipped`.
    outcome: &'static str,
    rows: Option<u64>,
    version: Option<u64>,
    /// Of a history.
    changes: Option<ChangeRecord>,
    published_by: Option<String>,
    /// In an environment with a warehouse.
    bigquery: Option<BigQueryJson<'a>>,
    warnings: Vec<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct BigQueryJson<'a> {
    table: &'a str,
    /// `loaded`, or `has_it` when it was there already.
    outcome: &'static str,
    rows: u64,
    bytes: u64,
    scanned_bytes: u64,
    /// That made the rows visible.
    job: &'a str,
}

impl<'a> BigQueryJson<'a> {
    fn of(loaded: &'a Loaded) -> Self {
        BigQueryJson {
            table: &loaded.table,
            outcome: if loaded.already { "has_it" } else { "loaded" },
            rows: loaded.rows,
            bytes: loaded.bytes,
            scanned_bytes: loaded.scanned,
            job: &loaded.job,
        }
    }
}

impl<'a> JobJson<'a> {
    fn done(&mut self, done: &'a Done) {
        match done {
            Done::Published { published, report, loaded, .. } => {
                self.rows = Some(published.rows);
                self.version = Some(published.version);
                self.warnings = warnings(report);
                self.changes = published.changes.map(ChangeRecord::from);
                self.bigquery = loaded.as_ref().map(BigQueryJson::of);
            }
            Done::UpToDate { standing, loaded } => {
                self.outcome = "up_to_date";
                self.published_by = Some(standing.published_by.to_string());
                self.bigquery = loaded.as_ref().map(BigQueryJson::of);
            }
        }
    }
}

impl<'a> RunJson<'a> {
    pub fn of(plan: &Plan<'a>, ran: &'a RunEnd) -> Self {
        let jobs = plan.jobs.iter().zip(&ran.jobs).map(|(planned, (name, end))| {
            let mut job = JobJson {
                job: name.as_str(),
                table: planned.job.table.name.to_string(),
                partition: planned.partition.to_string(),
                outcome: "published",
                rows: None,
                version: None,
                changes: None,
                published_by: None,
                bigquery: None,
                warnings: Vec::new(),
                error: None,
            };
            match end {
                JobEnd::Done(done) => job.done(done),
                JobEnd::Failed(error) => {
                    job.outcome = "failed";
                    job.error = Some(error.to_string());
                }
                JobEnd::Skipped { .. } => job.outcome = "skipped",
            }
            job
        });
        let snapshots = ran.snapshots.iter();
        let snapshots =
            snapshots.map(|(name, report)| SnapshotJson { snapshot: name.as_str(), warnings: warnings(report) });
        RunJson {
            run_id: ran.run_id.to_string(),
            date: plan.date,
            exit_code: ran.exit_code(),
            elapsed_ms: ran.elapsed.as_millis() as u64,
            jobs: jobs.collect(),
            snapshots: snapshots.collect(),
            promises_missed: ran.promises.missed.iter().map(PromiseJson::of).collect(),
        }
    }
}

fn warnings(report: &Report) -> Vec<String> {
    report.warnings().map(|finding| format!("{}: {}", finding.name, finding.detail)).collect()
}
