//! What a backfill prints for programs.

use serde::Serialize;

use super::Args;
use crate::backfill::{Agenda, BackfillEnd, Entry, Outcome, State};
use crate::names::SnapshotDate;
use crate::pipeline::{Done, JobEnd};

/// What `--format json` prints: one object.
#[derive(Serialize)]
pub(super) struct BackfillJson<'a> {
    from: SnapshotDate,
    to: SnapshotDate,
    dry_run: bool,
    exit_code: u8,
    /// The signal that ended it early.
    stopped: Option<&'a str>,
    /// Partitions that there was nothing to do for.
    fresh: usize,
    /// All others, by day and in the order of the jobs.
    partitions: Vec<PartitionJson<'a>>,
}

#[derive(Serialize)]
struct PartitionJson<'a> {
    job: &'a str,
    table: String,
    date: SnapshotDate,
    partition: String,
    /// `stale`, `missing`, `failed`, `waiting` or `refused`.
    state: &'static str,
    why: String,
    /// Of the last run, where it failed.
    failure: Option<FailureJson<'a>>,
    /// `published`, `up_to_date`, `failed`, `skipped` or `not_begun`; nothing where nothing was tried.
    outcome: Option<&'static str>,
    run_id: Option<String>,
    rows: Option<u64>,
    version: Option<u64>,
    error: Option<String>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    run_id: &'a str,
    exit_code: u8,
    message: &'a str,
}

impl<'a> BackfillJson<'a> {
    pub fn of(args: &Args, agenda: &'a Agenda<'_>, end: Option<&'a BackfillEnd>, exit_code: u8) -> Self {
        let (fresh, others): (Vec<_>, Vec<_>) = agenda.entries.iter().partition(|entry| entry.state == State::Fresh);
        BackfillJson {
            from: args.from,
            to: args.to,
            dry_run: args.dry_run,
            exit_code,
            stopped: end.and_then(|end| end.stopped),
            fresh: fresh.len(),
            partitions: others.into_iter().map(|entry| PartitionJson::of(entry, end)).collect(),
        }
    }
}

impl<'a> PartitionJson<'a> {
    fn of(entry: &'a Entry<'_>, end: Option<&'a BackfillEnd>) -> Self {
        let failure = match &entry.state {
            State::Failed(failure) => Some(FailureJson {
                run_id: failure.run.as_str(),
                exit_code: failure.exit_code,
                message: &failure.message,
            }),
            _ => None,
        };
        let job = entry.planned.job;
        let mut told = PartitionJson {
            job: job.name.as_str(),
            table: job.table.name.to_string(),
            date: entry.date,
            partition: entry.planned.partition.to_string(),
            state: entry.state.as_str(),
            why: entry.reason.to_string(),
            failure,
            outcome: None,
            run_id: None,
            rows: None,
            version: None,
            error: None,
        };
        if let Some(end) = end.filter(|_| entry.runs()) {
            told.ended(end.outcome(&entry.node(), entry.date));
        }
        told
    }

    fn ended(&mut self, outcome: Outcome<'_>) {
        self.outcome = Some(match outcome {
            Outcome::CutOff => "published",
            Outcome::NotBegun => "not_begun",
            Outcome::Broken(error) => {
                self.error = Some(error.to_string());
                "failed"
            }
            Outcome::Ended(run, end) => {
                self.run_id = Some(run.run_id.to_string());
                self.tried(end)
            }
        });
    }

    fn tried(&mut self, end: &JobEnd) -> &'static str {
        match end {
            JobEnd::Done(done) => match done.as_ref() {
                Done::Published { published, .. } => {
                    (self.rows, self.version) = (Some(published.rows), Some(published.version));
                    "published"
                }
                Done::UpToDate { .. } => "up_to_date",
            },
            JobEnd::Failed(error) => {
                self.error = Some(error.to_string());
                "failed"
            }
            JobEnd::Skipped { because } => {
                self.error = Some(format!("{because} did not succeed"));
                "skipped"
            }
        }
    }
}
