//! What is known of the tables before anything is judged.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::job::Mode;
use crate::names::{JobName, RunId, SnapshotDate, TableName};
use crate::promise::Promise;
use crate::record::CheckRecord;

/// Everything that a report is made from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The instant that is asked about.
    pub now: DateTime<Utc>,
    pub environment: String,
    pub tables: Vec<TableFacts>,
    /// Of every job of the project, those whose tables of the same day it reads.
    pub reads: BTreeMap<JobName, BTreeSet<JobName>>,
    /// One sentence for everything in the lake that could not be read.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableFacts {
    pub job: JobName,
    pub table: TableName,
    #[serde(serialize_with = "mode_text")]
    pub mode: Mode,
    #[serde(skip)]
    pub promise: Option<Promise>,
    /// `None` when nothing was ever published.
    pub latest: Option<Latest>,
    /// Rows of the last days that are there, the earliest first; of a history, those that were current. Empty for a table that
    /// is replaced as a whole.
    pub trend: Vec<RowsOfDay>,
    /// Days before the latest that a table with a promised hour lacks, the earliest first.
    pub gaps: Vec<SnapshotDate>,
    pub last_run: Option<LastRun>,
    /// Those of the last audit that found something.
    pub failing_checks: Vec<CheckRecord>,
    /// The run of the last audit.
    pub audited_by: Option<RunId>,
    /// Whether BigQuery shows the latest partition, by the lake's receipt; `None` without a warehouse or a partition.
    pub in_bigquery: Option<bool>,
    /// Why the table's log cannot be read.
    pub unreadable: Option<String>,
}

/// The newest partition that readers see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Latest {
    /// The day that it holds, that a history took in, or that a whole table shows; `None` for a whole table whose run has no record.
    pub date: Option<SnapshotDate>,
    /// In a history, those that are current.
    pub rows: u64,
    /// The run that made it.
    pub run_id: Option<RunId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowsOfDay {
    pub date: SnapshotDate,
    pub rows: u64,
}

/// The newest run that named the job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastRun {
    pub run_id: RunId,
    /// The snapshot date that it was for.
    pub date: SnapshotDate,
    #[serde(serialize_with = "instant")]
    pub started_at: DateTime<Utc>,
    #[serde(flatten)]
    pub outcome: JobOutcome,
}

/// What became of the job in that run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum JobOutcome {
    Published,
    UpToDate,
    Failed {
        /// `ErrorKind::as_str` of the error.
        error: String,
        exit_code: u8,
        why: String,
    },
    Skipped {
        because: JobName,
    },
    Running,
    Interrupted,
    /// The run has finished, and its record does not say how the job did.
    Untold,
}

fn mode_text<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match mode {
        Mode::Partition => "partition",
        Mode::History => "history",
        Mode::Replace => "replace",
    })
}

/// RFC 3339 in UTC.
pub(super) fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
