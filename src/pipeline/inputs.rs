//! What a job reads, at the state in which it reads it: first only found, so that a run with nothing to do ends early,
//! then verified, each snapshot once a run however many jobs read it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use futures::future::try_join_all;
use tokio::sync::{Mutex, OnceCell};

use super::Run;
use super::day::CheckedDay;
use super::job::check_record;
use crate::check::Report;
use crate::contract::SnapshotContract;
use crate::digest::digest;
use crate::engine::{ParquetTable, engine_error, keep_apart};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{files_as_of, rows_as_of};
use crate::job::{Job, Mode};
use crate::layout::lay_out;
use crate::names::{Partition, SnapshotDate, SnapshotName};
use crate::plan::{PlannedInput, PlannedJob, PlannedSource};
use crate::publish::{LakeTable, Slice, publish_rejected_rows, slice_of};
use crate::record::{InputKind, InputRecord, Lease, What};
use crate::snapshot::{FoundSnapshot, Verified, find, verify};
use crate::storage::Storage;
use crate::validate::empty_input;

/// An input that is there.
pub enum InputState {
    Snapshot(Arc<FoundSnapshot>),
    Table {
        table: Arc<LakeTable>,
        slice: Slice,
    },
    /// A history as it was at the end of a day that it has taken in.
    History {
        table: Arc<LakeTable>,
        date: SnapshotDate,
    },
    /// An optional partition that was never published.
    Absent,
}

/// Whether a session is told that the files of an input are buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buckets {
    Told,
    /// It sees files in no order. A cluster cuts plans into stages and deals rows out between them by another hash than ours;
    /// the rule that keeps the two apart looks at whole plans.
    Untold,
}

/// Finds an input without reading it. Errors (exit 10): it is not there, or not complete.
pub async fn probe(snapshots: &Storage, lake: &Storage, input: &PlannedInput<'_>) -> Result<InputState> {
    match &input.from {
        PlannedSource::Snapshot { contract, date } => {
            find(snapshots, contract, *date).await.map(|found| InputState::Snapshot(Arc::new(found)))
        }
        PlannedSource::Table { job, partition } => {
            let table = LakeTable::open(lake, &job.table.name).await?;
            table_state(input, job, partition.as_ref(), table.map(Arc::new))
        }
    }
}

/// The partition of a job's table, when the table shows it. Errors (exit 10): it does not, and is not optional.
pub fn table_state(
    input: &PlannedInput<'_>,
    job: &Job,
    partition: Option<&Partition>,
    table: Option<Arc<LakeTable>>,
) -> Result<InputState> {
    if let (Some(partition), Some(table)) = (partition, table) {
        if let Partition::Change(date) = partition {
            if table.applied().get(*date).is_some() {
                return Ok(InputState::History { table, date: *date });
            }
        } else {
            let slice = slice_of(&job.table, partition);
            if table.has_files_of(&slice) {
                return Ok(InputState::Table { table, slice });
            }
        }
    }
    if input.input.optional {
        return Ok(InputState::Absent);
    }
    let wanted = partition.map_or_else(|| "a day before the calendar".to_owned(), Partition::to_string);
    let lacks = match job.table.mode {
        Mode::History => format!("the history '{}' has not taken in {wanted}", job.table.name),
        Mode::Partition | Mode::Replace => format!("the table '{}' has no partition {wanted}", job.table.name),
    };
    Err(Error::new(ErrorKind::InputMissing, lacks)
        .with("input", &input.input.at)
        .hint(format!("run {} for that day first, or state optional = true", job.name)))
}

impl InputState {
    /// Whether what is not there is gone; tables of jobs are.
    pub fn is_complete(&self) -> bool {
        match self {
            InputState::Snapshot(found) => found.complete,
            InputState::Table { .. } | InputState::History { .. } | InputState::Absent => true,
        }
    }

    pub fn record(&self, input: &PlannedInput<'_>) -> InputRecord {
        let (name, alias) = (source_name(input), input.input.alias.clone());
        match self {
            InputState::Snapshot(found) => InputRecord {
                name,
                alias,
                kind: InputKind::Snapshot,
                date: Some(found.date),
                fingerprint: found.fingerprint.clone(),
                files: found.files.len() as u64,
                rows: 0,
                bytes: found.bytes(),
            },
            InputState::Table { table, slice } => {
                let files = table.files_of(slice);
                InputRecord {
                    name,
                    alias,
                    kind: InputKind::Table,
                    date: date_of(input),
                    fingerprint: digest(files.iter().map(|file| file.path.as_str())),
                    files: files.len() as u64,
                    rows: files.iter().map(|file| file.rows).sum(),
                    bytes: files.iter().map(|file| file.meta.size).sum(),
                }
            }
            InputState::History { table, date } => {
                let files = files_as_of(table, *date);
                InputRecord {
                    name,
                    alias,
                    kind: InputKind::Table,
                    date: Some(*date),
                    fingerprint: table.applied().fingerprint_as_of(*date),
                    files: files.len() as u64,
                    rows: files.iter().map(|file| file.rows).sum(),
                    bytes: files.iter().map(|file| file.meta.size).sum(),
                }
            }
            InputState::Absent => InputRecord {
                name,
                alias,
                kind: InputKind::Table,
                date: date_of(input),
                fingerprint: "absent".to_owned(),
                files: 0,
                rows: 0,
                bytes: 0,
            },
        }
    }
}

fn source_name(input: &PlannedInput<'_>) -> String {
    match &input.from {
        PlannedSource::Snapshot { contract, .. } => contract.name.to_string(),
        PlannedSource::Table { job, .. } => job.name.to_string(),
    }
}

fn date_of(input: &PlannedInput<'_>) -> Option<SnapshotDate> {
    match &input.from {
        PlannedSource::Snapshot { date, .. } => Some(*date),
        PlannedSource::Table { partition: Some(Partition::Day(date) | Partition::Change(date)), .. } => Some(*date),
        PlannedSource::Table { .. } => None,
    }
}

/// Of the model's text and those of its steps.
pub(super) fn sql_hash(job: &Job) -> String {
    let steps = job.steps.iter().flat_map(|step| [step.name.as_str(), step.sql.as_str()]);
    digest(std::iter::once(job.sql.as_str()).chain(steps))
}

/// Everything that decides a partition's rows: the inputs, the texts of job, model and steps, the contracts, the key.
pub(super) fn fingerprint(planned: &PlannedJob<'_>, inputs: &[InputRecord], key: Option<&str>) -> String {
    let sql = sql_hash(planned.job);
    let mut parts: Vec<&str> = vec![env!("CARGO_PKG_VERSION"), &planned.job.text, &sql, key.unwrap_or_default()];
    let picked = [&planned.job.table.forget, &planned.job.table.keep_open];
    parts.extend(picked.into_iter().flatten().map(|picked| picked.sql.as_str()));
    for (input, record) in planned.inputs.iter().zip(inputs) {
        parts.extend([record.alias.as_str(), record.fingerprint.as_str()]);
        if let PlannedSource::Snapshot { contract, .. } = &input.from {
            parts.push(&contract.text);
        }
    }
    digest(parts)
}

/// The verified days of a run's snapshots, each verified by whoever needs it first.
#[derive(Default)]
pub(super) struct SnapshotDays {
    days: Mutex<BTreeMap<SnapshotName, Arc<DayCells>>>,
}

#[derive(Default)]
struct DayCells {
    day: OnceCell<Arc<CheckedDay>>,
    rejects_told: OnceCell<()>,
}

impl SnapshotDays {
    /// What the contracts' checks have found in this run, by snapshot.
    pub async fn reports(&self) -> BTreeMap<SnapshotName, Report> {
        let days = self.days.lock().await;
        let checked = days.iter().filter_map(|(name, cells)| Some((name.clone(), cells.day.get()?.report.clone())));
        checked.collect()
    }

    async fn cells(&self, name: &SnapshotName) -> Arc<DayCells> {
        Arc::clone(self.days.lock().await.entry(name.clone()).or_default())
    }
}

impl Run<'_> {
    pub(super) async fn verified(&self, contract: &SnapshotContract, found: &FoundSnapshot) -> Result<Arc<Verified>> {
        let cells = self.days.cells(&contract.name).await;
        let day = cells.day.get_or_try_init(async || {
            let started = Instant::now();
            let context = self.context;
            let verified = verify(context.engine, contract, found, context.snapshots, &context.work).await?;
            let (verified, _) = lay_out(context.engine, context.lake, verified).await?;
            let report = self.check_day(contract, &verified).await?;
            self.tell(snapshot_verified(contract, found, &verified, &report, started)).await?;
            Ok::<_, Error>(Arc::new(CheckedDay { verified: Arc::new(verified), report }))
        });
        let day = day.await?;
        if day.report.blocked() {
            return Err(self.refused_day(contract, day));
        }
        Ok(Arc::clone(&day.verified))
    }

    /// Tells the lake which rows of the job's snapshots were set aside, once a run.
    pub(super) async fn tell_rejected_rows(&self, planned: &PlannedJob<'_>, lease: &Lease) -> Result<()> {
        for input in &planned.inputs {
            let PlannedSource::Snapshot { contract, .. } = &input.from else { continue };
            let cells = self.days.cells(&contract.name).await;
            let Some(CheckedDay { verified, .. }) = cells.day.get().map(Arc::as_ref) else { continue };
            let tell = async || {
                let (lake, run) = (self.context.lake, &self.context.run_id);
                publish_rejected_rows(lake, run, &contract.name, verified.date, &verified.rejected, lease).await
            };
            cells.rejects_told.get_or_try_init(tell).await?;
        }
        Ok(())
    }

    /// Registers every input of the job under its alias, and verifies the snapshots among them. Returns the rows of each.
    pub(super) async fn register(
        &self,
        context: &SessionContext,
        planned: &PlannedJob<'_>,
        states: &[InputState],
        buckets: Buckets,
    ) -> Result<Vec<u64>> {
        let inputs = planned.inputs.iter().zip(states);
        let mut tables = try_join_all(inputs.map(|(input, state)| self.table_of(input, state))).await?;
        if buckets == Buckets::Untold {
            tables = tables.into_iter().map(|(table, rows)| (table.without_layout(), rows)).collect();
        }
        keep_apart(context, &tables.iter().filter_map(|(table, _)| table.buckets()).collect::<Vec<_>>());
        let mut rows = Vec::new();
        for ((input, state), (table, count)) in planned.inputs.iter().zip(states).zip(tables) {
            rows.push(count);
            // Structs and lists of views carry whole buffers along, at several times the cost of the text.
            let table = table.with_plain_text();
            let table: Arc<dyn TableProvider> = match state {
                InputState::History { date, .. } => rows_as_of(context, table, *date)?,
                _ => Arc::new(table),
            };
            context.register_table(input.input.alias.as_str(), table).map_err(engine_error)?;
        }
        Ok(rows)
    }

    async fn table_of(&self, input: &PlannedInput<'_>, state: &InputState) -> Result<(ParquetTable, u64)> {
        match (state, &input.from) {
            (InputState::Snapshot(found), PlannedSource::Snapshot { contract, .. }) => {
                let verified = self.verified(contract, found).await?;
                Ok((verified.table(), verified.rows))
            }
            (InputState::Table { table, slice }, _) => {
                Ok((table.rows_of(slice), table.files_of(slice).iter().map(|file| file.rows).sum()))
            }
            (InputState::History { table, date }, _) => {
                let files = files_as_of(table, *date);
                let rows = files.iter().map(|file| file.rows).sum();
                Ok((table.rows_in(files), rows))
            }
            _ => {
                let (lake, project) = (self.context.lake, self.plan.project);
                Ok((empty_input(lake, project, &input.input.source, self.plan.date), 0))
            }
        }
    }
}

fn snapshot_verified(
    contract: &SnapshotContract,
    found: &FoundSnapshot,
    verified: &Verified,
    report: &Report,
    started: Instant,
) -> What {
    What::SnapshotVerified {
        snapshot: contract.name.clone(),
        date: found.date,
        fingerprint: found.fingerprint.clone(),
        files: found.files.len() as u64,
        rows: verified.rows,
        bytes: found.bytes(),
        rejected: verified.rejected.len() as u64,
        duplicates_dropped: verified.duplicates_dropped,
        ignored_columns: verified.ignored_columns.clone(),
        success_marker: found.success_marker,
        complete: found.complete,
        checks: report.findings.iter().map(check_record).collect(),
        blocked: report.blocked(),
        elapsed_ms: started.elapsed().as_millis() as u64,
    }
}
