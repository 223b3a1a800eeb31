//! What is there: the lake's tables, the snapshots' days and the record, each looked at once and remembered.
//!
//! A plan of fifty jobs opens each table once and not once for every job that reads it; a year of them asks for each day of a
//! snapshot once. A survey is a look at one moment: whoever changes the lake takes a new one.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::inputs::{InputState, sql_hash, table_state};
use crate::contract::SnapshotContract;
use crate::digest::digest;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Job, Mode};
use crate::memo::Memo;
use crate::names::{Partition, RunId, SnapshotDate, SnapshotName, TableName};
use crate::plan::{PlannedInput, PlannedJob, PlannedSource};
use crate::publish::{LakeTable, bigquery, slice_of};
use crate::record::{Failure, InputRecord, Made, Records, Standing};
use crate::snapshot::{FoundSnapshot, look, no_data};
use crate::storage::Storage;

/// Answers that are waited for at once.
const ASKED_AT_ONCE: usize = 16;

pub struct Survey<'a> {
    lake: &'a Storage,
    snapshots: &'a Storage,
    /// Of the pseudonym key.
    key: Option<&'a str>,
    /// The project in BigQuery that partitions go on to.
    bigquery: Option<&'a str>,
    tables: Memo<TableName, Option<Arc<LakeTable>>>,
    days: Memo<(SnapshotName, SnapshotDate), Seen>,
    loaded: Memo<(TableName, Partition), bool>,
    records: Records,
}

/// A day of a snapshot.
#[derive(Clone)]
enum Seen {
    There(Arc<FoundSnapshot>),
    /// Not there, or not readable, and in which words.
    Not(ErrorKind, String),
}

/// An input of a job.
pub(super) enum Looked {
    There(InputRecord),
    Missing(String),
    Broken(String),
}

impl<'a> Survey<'a> {
    pub fn new(lake: &'a Storage, snapshots: &'a Storage, key: Option<&'a str>, bigquery: Option<&'a str>) -> Self {
        let (tables, days, loaded) = (Memo::default(), Memo::default(), Memo::default());
        Survey { lake, snapshots, key, bigquery, tables, days, loaded, records: Records::new(lake) }
    }

    pub fn key(&self) -> Option<&str> {
        self.key
    }

    /// `None` when the table was never committed.
    pub async fn table(&self, name: &TableName) -> Result<Option<Arc<LakeTable>>> {
        let open = async || {
            let (lake, name) = (self.lake.clone(), name.clone());
            // On a task of its own: reading a log is work for the processor, and there are many.
            let opened = tokio::spawn(async move { LakeTable::open(&lake, &name).await }).await;
            let opened = opened.map_err(|error| Error::internal("the reading of a table was cut off").source(error))?;
            Ok(opened?.map(Arc::new))
        };
        self.tables.get(name.clone(), open).await
    }

    /// Looks at everything that these jobs need, many at once, so that judging them one after the other waits for nothing.
    pub async fn look_ahead<'p>(&self, jobs: impl IntoIterator<Item = &'p PlannedJob<'p>>) -> Result<()> {
        let jobs: Vec<&PlannedJob<'_>> = jobs.into_iter().collect();
        let each = stream::iter(jobs).map(|planned| async {
            self.table(&planned.job.table.name).await?;
            for input in &planned.inputs {
                self.input(input).await?;
            }
            if planned.job.table.mode != Mode::History {
                self.published(planned).await?;
            }
            self.is_loaded(planned.job, &planned.partition).await.map(drop)
        });
        each.buffer_unordered(ASKED_AT_ONCE).try_collect().await
    }

    pub(super) async fn input(&self, input: &PlannedInput<'_>) -> Result<Looked> {
        let state = match &input.from {
            PlannedSource::Snapshot { contract, date } => match self.day(contract, *date).await? {
                Seen::There(found) => Ok(InputState::Snapshot(found)),
                Seen::Not(kind, message) => Err(Error::new(kind, message)),
            },
            PlannedSource::Table { job, partition } => {
                let table = self.table(&job.table.name).await?;
                table_state(input, job, partition.as_ref(), table)
            }
        };
        match state {
            Ok(state) => Ok(Looked::There(state.record(input))),
            Err(error) if error.kind() == ErrorKind::InputMissing => Ok(Looked::Missing(error.message().to_owned())),
            Err(error) if error.kind() == ErrorKind::InputBroken => Ok(Looked::Broken(error.message().to_owned())),
            Err(error) => Err(error),
        }
    }

    async fn day(&self, contract: &SnapshotContract, date: SnapshotDate) -> Result<Seen> {
        let see = async || match look(self.snapshots, contract, date).await {
            Ok(Some(found)) => Ok(Seen::There(Arc::new(found))),
            Ok(None) => Ok(Seen::Not(ErrorKind::InputMissing, no_data(contract, date))),
            Err(error) if matches!(error.kind(), ErrorKind::InputMissing | ErrorKind::InputBroken) => {
                Ok(Seen::Not(error.kind(), error.message().to_owned()))
            }
            Err(error) => Err(error),
        };
        self.days.get((contract.name.clone(), date), see).await
    }

    /// The run whose files are visible in the job's partition, and what it made them from.
    pub(super) async fn published(&self, planned: &PlannedJob<'_>) -> Result<Option<PublishedBy>> {
        let Some(table) = self.table(&planned.job.table.name).await? else { return Ok(None) };
        published_in(&table, planned, &self.records).await
    }

    /// Whether BigQuery shows what is visible in the lake, as the lake remembers it.
    pub(super) async fn is_loaded(&self, job: &Job, partition: &Partition) -> Result<bool> {
        let Some(project) = self.bigquery else { return Ok(true) };
        let Some(table) = self.table(&job.table.name).await? else { return Ok(false) };
        let ask = || bigquery::remembers(self.lake, project, &job.table, &table, partition);
        self.loaded.get((job.table.name.clone(), partition.leased()), ask).await
    }

    /// Looks for the failures of these dates, many at once.
    pub async fn look_for_failures(&self, dates: impl IntoIterator<Item = SnapshotDate>) -> Result<()> {
        let asked = stream::iter(dates).map(|date| self.records.failures(date));
        asked.buffer_unordered(ASKED_AT_ONCE).try_for_each(async |_| Ok(())).await
    }

    /// How the last run of a job for a date has failed, when nothing better came after it.
    pub async fn failure(&self, job: &Job, date: SnapshotDate) -> Result<Option<Failure>> {
        Ok(self.records.failures(date).await?.get(&job.name).cloned())
    }

    /// What differs from the run that made what is visible, as far as its record tells.
    pub(super) async fn changes(
        &self,
        planned: &PlannedJob<'_>,
        published_by: &RunId,
        now: &[InputRecord],
    ) -> Result<Vec<String>> {
        let job = planned.job;
        let date = match planned.partition {
            Partition::Day(date) | Partition::Change(date) => Some(date),
            Partition::Whole => None,
        };
        let made = self.records.made(published_by, date).await?;
        let Some(before) = made.as_ref().and_then(|made| made.resolved(&job.name)) else {
            return Ok(vec!["the run's record".to_owned()]);
        };
        let same = |input: &&InputRecord| {
            before.inputs.iter().any(|b| b.alias == input.alias && b.fingerprint == input.fingerprint)
        };
        let mut what: Vec<String> = now.iter().filter(|input| !same(input)).map(|input| input.alias.clone()).collect();
        if before.job_hash != digest([job.text.as_str()]) {
            what.push(job.file.display().to_string());
        }
        if before.sql_hash != sql_hash(job) {
            what.push(job.sql_file.display().to_string());
        }
        if what.is_empty() {
            what.push("a contract, the key or gatefold".to_owned());
        }
        Ok(what)
    }
}

/// The run whose files are visible in the job's partition of the lake as it is now.
pub(super) async fn published_run(planned: &PlannedJob<'_>, lake: &Storage) -> Result<Option<PublishedBy>> {
    let Some(table) = LakeTable::open(lake, &planned.job.table.name).await? else { return Ok(None) };
    published_in(&table, planned, &Records::new(lake)).await
}

async fn published_in(table: &LakeTable, planned: &PlannedJob<'_>, records: &Records) -> Result<Option<PublishedBy>> {
    let runs = table.runs_of(&slice_of(&planned.job.table, &planned.partition));
    let Some(run) = runs.into_iter().next_back() else { return Ok(None) };
    let date = match planned.partition {
        Partition::Day(date) | Partition::Change(date) => Some(date),
        Partition::Whole => None,
    };
    let made = records.made(&run, date).await?;
    Ok(Some(PublishedBy { run, made, whole: planned.job.table.mode == Mode::Replace }))
}

/// The run that made a visible partition.
pub(super) struct PublishedBy {
    pub run: RunId,
    /// As long as the run's record is there.
    made: Option<Arc<Made>>,
    /// Whether the partition is a table that is replaced as a whole.
    whole: bool,
}

impl PublishedBy {
    /// That it was made for, as long as the run's record is there.
    pub fn date(&self) -> Option<SnapshotDate> {
        self.made.as_ref().map(|made| made.date)
    }

    /// Why there is nothing to do for a date: it was made from the same, or it is a whole table that shows a later day.
    pub fn stands(&self, planned: &PlannedJob<'_>, date: SnapshotDate, fingerprint: &str) -> Option<Standing> {
        let made = self.made.as_ref()?;
        let later = (self.whole && made.date > date).then_some(made.date);
        let same = made.fingerprint(&planned.job.name) == Some(fingerprint);
        (same || later.is_some()).then(|| Standing { published_by: self.run.clone(), later })
    }
}
