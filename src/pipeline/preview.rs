//! What a run would do and why, without doing any of it.

use std::collections::BTreeSet;
use std::fmt;

use super::inputs::{fingerprint, probe, sql_hash as hash_of};
use crate::digest::digest;
use crate::error::{ErrorKind, Result};
use crate::history::{Again, Due};
use crate::job::Mode;
use crate::names::{JobName, RunId, SnapshotDate};
use crate::plan::{Plan, PlannedJob};
use crate::publish::{LakeTable, slice_of};
use crate::record::history::Origin;
use crate::record::{self, InputRecord, Standing, What};
use crate::storage::Storage;

/// Why a job would run, or would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    NeverPublished,
    /// What the visible partition was made from has changed since.
    Changed {
        published_by: RunId,
        what: Vec<String>,
    },
    Forced,
    /// A job that it reads would run before it.
    Upstream {
        job: JobName,
    },
    UpToDate(Standing),
    /// A day of a history that others build on.
    Refused {
        what: String,
    },
    /// An input is not there.
    Missing {
        what: String,
    },
}

impl Reason {
    pub fn runs(&self) -> bool {
        !matches!(self, Reason::UpToDate(_) | Reason::Refused { .. } | Reason::Missing { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NeverPublished => f.write_str("the partition was never published"),
            Reason::Changed { published_by, what } => write!(f, "{} changed since {published_by}", what.join(", ")),
            Reason::Forced => f.write_str("--force"),
            Reason::Upstream { job } => write!(f, "{job} runs before it"),
            Reason::UpToDate(standing) => standing.fmt(f),
            Reason::Refused { what } => write!(f, "would be refused: {what}"),
            Reason::Missing { what } => write!(f, "would fail: {what}"),
        }
    }
}

pub struct Previewed<'a> {
    pub planned: &'a PlannedJob<'a>,
    pub reason: Reason,
    /// Those that are there.
    pub inputs: Vec<InputRecord>,
}

pub async fn preview<'a>(
    plan: &'a Plan<'a>,
    lake: &Storage,
    snapshots: &Storage,
    key: Option<&str>,
    force: bool,
) -> Result<Vec<Previewed<'a>>> {
    let mut previewed: Vec<Previewed<'a>> = Vec::new();
    let mut running: BTreeSet<&JobName> = BTreeSet::new();
    for planned in &plan.jobs {
        let upstream = planned.after.iter().find(|job| running.contains(job)).cloned();
        let (inputs, missing) = probe_all(planned, lake, snapshots).await?;
        let reason = match (upstream, missing) {
            (Some(job), _) => Reason::Upstream { job },
            (None, Some(what)) => Reason::Missing { what },
            (None, None) if planned.job.table.mode == Mode::History => {
                history_reason(planned, lake, plan.date, &inputs, key, force).await?
            }
            (None, None) if force => Reason::Forced,
            (None, None) => published_reason(planned, lake, plan.date, &inputs, key).await?,
        };
        if reason.runs() {
            running.insert(&planned.job.name);
        }
        previewed.push(Previewed { planned, reason, inputs });
    }
    Ok(previewed)
}

async fn probe_all(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    snapshots: &Storage,
) -> Result<(Vec<InputRecord>, Option<String>)> {
    let (mut records, mut missing) = (Vec::new(), None);
    for input in &planned.inputs {
        match probe(snapshots, lake, input).await {
            Ok(state) => records.push(state.record(input)),
            Err(error) if error.kind() == ErrorKind::InputMissing => {
                missing = missing.or(Some(error.message().to_owned()))
            }
            Err(error) => return Err(error),
        }
    }
    Ok((records, missing))
}

async fn published_reason(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    date: SnapshotDate,
    inputs: &[InputRecord],
    key: Option<&str>,
) -> Result<Reason> {
    let fingerprint = fingerprint(planned, inputs, key);
    let Some(before) = published_run(planned, lake).await? else { return Ok(Reason::NeverPublished) };
    if let Some(standing) = before.stands(date, &fingerprint) {
        return Ok(Reason::UpToDate(standing));
    }
    let what = changes(planned, lake, &before.run, inputs).await?;
    Ok(Reason::Changed { published_by: before.run, what })
}

/// What a run of the day would find. Errors (exit 2): the day is not the history's to take in.
pub(super) async fn due(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    date: SnapshotDate,
    fingerprint: &str,
    again: Again,
) -> Result<Due> {
    let table = LakeTable::open(lake, &planned.job.table.name).await?;
    let applied = table.map(|table| table.applied().clone()).unwrap_or_default();
    applied.due(&planned.job.name, date, fingerprint, again)
}

async fn history_reason(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    date: SnapshotDate,
    inputs: &[InputRecord],
    key: Option<&str>,
    force: bool,
) -> Result<Reason> {
    let again = Again { force, rebuild_to: None };
    match due(planned, lake, date, &fingerprint(planned, inputs, key), again).await {
        Ok(Due::Nothing { published_by }) => return Ok(Reason::UpToDate(Standing { published_by, later: None })),
        Ok(Due::Apply) if force => return Ok(Reason::Forced),
        Ok(Due::Apply) => {}
        Err(error) if error.kind() == ErrorKind::Project => {
            let hint = error.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
            return Ok(Reason::Refused { what: format!("{}{hint}", error.message()) });
        }
        Err(error) => return Err(error),
    }
    let table = LakeTable::open(lake, &planned.job.table.name).await?;
    match table.and_then(|table| table.applied().get(date).cloned()) {
        None => Ok(Reason::NeverPublished),
        Some(day) => {
            let what = changes(planned, lake, &day.run, inputs).await?;
            Ok(Reason::Changed { published_by: day.run, what })
        }
    }
}

/// What differs from the run that made the visible partition, as far as its record tells.
async fn changes(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    published_by: &RunId,
    now: &[InputRecord],
) -> Result<Vec<String>> {
    let Ok(history) = record::history::read(lake, published_by.as_str()).await else {
        return Ok(vec!["the run's record".to_owned()]);
    };
    let resolved = history.events.into_iter().find_map(|event| match event.what {
        What::InputsResolved { job, inputs, job_hash, sql_hash, .. } if job == planned.job.name => {
            Some((inputs, job_hash, sql_hash))
        }
        _ => None,
    });
    let Some((before, job_hash, sql_hash)) = resolved else { return Ok(vec!["the run's record".to_owned()]) };
    let same =
        |input: &&InputRecord| before.iter().any(|b| b.alias == input.alias && b.fingerprint == input.fingerprint);
    let mut what: Vec<String> = now.iter().filter(|input| !same(input)).map(|input| input.alias.clone()).collect();
    if job_hash != digest([planned.job.text.as_str()]) {
        what.push(planned.job.file.display().to_string());
    }
    if sql_hash != hash_of(planned.job) {
        what.push(planned.job.sql_file.display().to_string());
    }
    if what.is_empty() {
        what.push("a contract, the key or gatefold".to_owned());
    }
    Ok(what)
}

/// The run whose files are visible in the job's partition, and what it made them from.
pub(super) async fn published_run(planned: &PlannedJob<'_>, lake: &Storage) -> Result<Option<PublishedBy>> {
    let Some(table) = LakeTable::open(lake, &planned.job.table.name).await? else { return Ok(None) };
    let runs = table.runs_of(&slice_of(&planned.job.table, &planned.partition));
    let Some(run) = runs.into_iter().next_back() else { return Ok(None) };
    let origin = record::history::origin(lake, &run, &planned.job.name).await?;
    Ok(Some(PublishedBy { run, origin, whole: planned.job.table.mode == Mode::Replace }))
}

/// The run that made a visible partition.
pub(super) struct PublishedBy {
    pub run: RunId,
    /// As long as the run's record is there.
    origin: Option<Origin>,
    /// Whether the partition is a table that is replaced as a whole.
    whole: bool,
}

impl PublishedBy {
    /// Why there is nothing to do for a date: it was made from the same, or it is a whole table that shows a later day.
    pub fn stands(&self, date: SnapshotDate, fingerprint: &str) -> Option<Standing> {
        let origin = self.origin.as_ref()?;
        let later = (self.whole && origin.date > date).then_some(origin.date);
        let same = origin.fingerprint.as_deref() == Some(fingerprint);
        (same || later.is_some()).then(|| Standing { published_by: self.run.clone(), later })
    }
}
